/* By the ABI no flag but DF means anything at a call or a return. Hand-written code may do otherwise, so all of a file
 * is searched for calls behind which flags are read. The functions that these call must keep their flags when they
 * return, and so must those that they jump to instead of returning. Some are found for nothing: the code behind a call
 * that never returns belongs to something else and may read flags. */
#include "discover/flag_facts.h"

#include <stdlib.h>

#include "ir/block_map.h"

struct pair {
    uint64_t first, second;
};

struct collector {
    struct flag_facts *facts;
    VEC(struct pair) entries; /* the address of an entry, and the index of its function; sorted */
    /* The index of a function, and an address outside of it that it jumps to: IR_NO_ADDRESS when that is not known. */
    VEC(struct pair) leaving;
    /* A callee, and the address behind the call, of calls behind which another function goes on. Whether that reads
     * flags is known only when all functions were looked at. */
    VEC(struct pair) later;
    /* Callees behind whose calls flags are read, some several times. IR_NO_ADDRESS is the callee of indirect calls. */
    VEC(uint64_t) live;
    bool *returns; /* for each function: flags are read behind it */
};

static int
compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool
contains(const uint64_t *items, size_t count, uint64_t address)
{
    return count && bsearch(&address, items, count, sizeof address, compare_u64);
}

static void
note_call(struct collector *c, const struct ir_block_map *map, const struct ir_terminator *t, const uint8_t *live)
{
    uint64_t target = t->kind == IR_T_CALL ? t->target : IR_NO_ADDRESS;
    uint32_t index = ir_block_find(map, t->next);

    if (index == IR_NO_BLOCK)
        vec_push(&c->later, ((struct pair){target, t->next}));
    else if (live[index] & ~(1u << X86_FLAG_DF))
        vec_push(&c->live, target);
}

static void
note_jump(struct collector *c, size_t function, const struct ir_block_map *map, uint64_t target)
{
    if (target == IR_NO_ADDRESS || ir_block_find(map, target) == IR_NO_BLOCK)
        vec_push(&c->leaving, ((struct pair){function, target}));
}

static void
note_jumps(struct collector *c, size_t function, const struct ir_block_map *map, const struct ir_terminator *t)
{
    switch (t->kind) {
    case IR_T_BRANCH:
        note_jump(c, function, map, t->next);
        /* fall through */
    case IR_T_JUMP: note_jump(c, function, map, t->target); break;
    case IR_T_SWITCH:
        for (uint32_t i = 0; i < t->target_count; i++)
            note_jump(c, function, map, t->targets[i]);
        note_jump(c, function, map, t->next);
        break;
    case IR_T_JUMP_INDIRECT: note_jump(c, function, map, IR_NO_ADDRESS); break;
    default: break;
    }
}

static void
look_at_functions(struct collector *c, const struct disc *d, const struct elf_image *image, struct ir_func *f,
                  struct ir_build *b)
{
    VEC(uint8_t) live = {0};

    for (size_t i = 0; i < d->funcs.count; i++) {
        struct ir_block_map map;

        disc_lift(d, &d->funcs.items[i], image, f, b);
        ir_block_map_init(&map, f);
        live.count = 0;
        vec_reserve(&live, f->blocks.count);
        ir_flags_live_in(f, live.items);
        for (size_t j = 0; j < f->blocks.count; j++) {
            const struct ir_block *block = &f->blocks.items[j];

            if (live.items[j] & ~(1u << X86_FLAG_DF))
                vec_push(&c->facts->readers, block->address);
            if (block->entry || j == 0)
                vec_push(&c->entries, ((struct pair){block->address, i}));
            if (block->end.kind == IR_T_CALL || block->end.kind == IR_T_CALL_INDIRECT)
                note_call(c, &map, &block->end, live.items);
            note_jumps(c, i, &map, &block->end);
        }
        ir_block_map_fini(&map);
    }
    vec_fini(&live);
    if (c->facts->readers.count)
        qsort(c->facts->readers.items, c->facts->readers.count, sizeof(uint64_t), compare_u64);
    if (c->entries.count)
        qsort(c->entries.items, c->entries.count, sizeof *c->entries.items, compare_u64);
}

/* Notes that flags are read behind the functions that have this entry; there may be two, which share the block. Says
 * whether that is new. It is not when it was noted before, and when the entry is in no function of this file. */
static bool
mark(struct collector *c, uint64_t entry)
{
    const struct pair *end = c->entries.items + c->entries.count, *p;
    bool changed = false;

    if (entry == IR_NO_ADDRESS)
        c->facts->all_return = true;
    p = c->entries.count ? bsearch(&entry, c->entries.items, c->entries.count, sizeof *p, compare_u64) : NULL;
    while (p && p > c->entries.items && p[-1].first == entry)
        p--;
    for (; p && p < end && p->first == entry; p++) {
        changed |= !c->returns[p->second];
        c->returns[p->second] = true;
    }
    return changed;
}

static void
spread(struct collector *c)
{
    bool changed = true;

    for (size_t i = 0; i < c->live.count; i++)
        mark(c, c->live.items[i]);
    for (size_t i = 0; i < c->later.count; i++) {
        if (contains(c->facts->readers.items, c->facts->readers.count, c->later.items[i].second))
            mark(c, c->later.items[i].first);
    }
    while (changed) {
        changed = false;
        for (size_t i = 0; i < c->leaving.count; i++) {
            if (c->returns[c->leaving.items[i].first])
                changed |= mark(c, c->leaving.items[i].second);
        }
    }
}

void
flag_facts_collect(struct flag_facts *facts, const struct disc *d, const struct elf_image *image, struct ir_func *f,
                   struct ir_build *b)
{
    struct collector c = {.facts = facts, .returns = mem_zalloc(d->funcs.count + 1, sizeof *c.returns)};

    *facts = (struct flag_facts){0};
    look_at_functions(&c, d, image, f, b);
    spread(&c);
    for (size_t i = 0; i < d->funcs.count; i++) {
        if (c.returns[i])
            vec_push(&facts->returners, d->funcs.items[i].address); /* This is sorted because the functions are. */
    }
    vec_fini(&c.entries);
    vec_fini(&c.leaving);
    vec_fini(&c.later);
    vec_fini(&c.live);
    mem_free(c.returns);
}

void
flag_facts_fini(struct flag_facts *facts)
{
    vec_fini(&facts->readers);
    vec_fini(&facts->returners);
}

static bool
reads_flags_at_entry(void *context, uint64_t address)
{
    const struct flag_facts *facts = context;

    return contains(facts->readers.items, facts->readers.count, address);
}

static bool
returns_flags(void *context, uint64_t function)
{
    const struct flag_facts *facts = context;

    return facts->all_return || contains(facts->returners.items, facts->returners.count, function);
}

struct ir_flag_facts
flag_facts_view(struct flag_facts *facts)
{
    return (
        struct ir_flag_facts){.live_at_return = returns_flags, .live_at_entry = reads_flags_at_entry, .context = facts};
}
