/* Finds the constants that general registers hold at the headers of loops, with a data flow over the blocks of the
 * function that has the loop. It is optimistic: a register holds a constant until a path is found on which it holds
 * something else. Of entries, and behind calls, nothing is assumed. */
#include "discover/loop_facts.h"

#include <stdlib.h>
#include <string.h>

#include "ir/block_map.h"

enum { REGISTERS = 16 };
_Static_assert(X86_S_R15 - X86_S_RAX == REGISTERS - 1, "general registers are states in a row");

struct known {
    enum { NOT_REACHED, CONSTANT, ADDRESS, UNKNOWN } kind;
    uint64_t value;
};

struct solver {
    const struct ir_func *f;
    struct ir_block_map map;
    struct known *in;     /* what is known at the start of each block, REGISTERS elements for each */
    struct known *values; /* for each operation what is known of its value; valid while its block is looked at */
    bool changed;
};

static void
meet(struct solver *s, struct known *to, struct known from)
{
    struct known result = to->kind == NOT_REACHED ? from : *to;

    if (to->kind != NOT_REACHED && (to->kind != from.kind || to->value != from.value))
        result = (struct known){.kind = UNKNOWN};
    s->changed |= result.kind != to->kind;
    *to = result;
}

static void
flow_to(struct solver *s, uint64_t address, const struct known *out)
{
    uint32_t block = ir_block_find(&s->map, address);

    for (unsigned r = 0; block != IR_NO_BLOCK && r < REGISTERS; r++)
        meet(s, &s->in[block * REGISTERS + r], out ? out[r] : (struct known){.kind = UNKNOWN});
}

static void
flow_on(struct solver *s, const struct ir_terminator *t, const struct known *out)
{
    switch (t->kind) {
    case IR_T_BRANCH:
        flow_to(s, t->next, out);
        /* fall through */
    case IR_T_JUMP: flow_to(s, t->target, out); break;
    case IR_T_SWITCH:
        for (uint32_t i = 0; i < t->target_count; i++)
            flow_to(s, t->targets[i], out);
        break;
    case IR_T_CALL:
    case IR_T_CALL_INDIRECT:
    case IR_T_SYSCALL: flow_to(s, t->next, NULL); break;
    default: /* An indirect jump leads to entries, of which nothing is known anyway. */ break;
    }
}

static void
transfer(struct solver *s, uint32_t index)
{
    const struct ir_block *block = &s->f->blocks.items[index];
    struct known now[REGISTERS];

    memcpy(now, &s->in[index * REGISTERS], sizeof now);
    if (now[0].kind == NOT_REACHED)
        return;
    for (uint32_t v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = &s->f->ops.items[v];
        struct known k = {.kind = UNKNOWN};

        if (op->op == IR_CONST64)
            k = (struct known){CONSTANT, op->imm};
        else if (op->op == IR_ADDR)
            k = (struct known){ADDRESS, op->imm};
        else if (op->op == IR_GET && op->aux < REGISTERS)
            k = now[op->aux];
        else if (op->op == IR_SET && op->aux < REGISTERS)
            now[op->aux] = s->values[op->a];
        s->values[v] = k;
    }
    flow_on(s, &block->end, now);
}

static void
solve(struct solver *s)
{
    for (uint32_t i = 0; i < s->f->blocks.count; i++) {
        for (unsigned r = 0; (i == 0 || s->f->blocks.items[i].entry) && r < REGISTERS; r++)
            s->in[i * REGISTERS + r].kind = UNKNOWN;
    }
    do {
        s->changed = false;
        for (uint32_t i = 0; i < s->f->blocks.count; i++)
            transfer(s, i);
    } while (s->changed);
}

/* The registers that the loop reads and never writes. There are none if it calls something, which may write them
 * all. */
static ir_states
only_read(const struct solver *s, const struct disc *d, const struct disc_func *loop)
{
    ir_states read = 0, written = 0;

    for (uint32_t i = 0; i < loop->block_count; i++) {
        uint32_t index = ir_block_find(&s->map, d->blocks.items[loop->first_block + i].start);
        const struct ir_block *block;

        if (index == IR_NO_BLOCK)
            return 0;
        block = &s->f->blocks.items[index];
        if (block->end.kind == IR_T_CALL || block->end.kind == IR_T_CALL_INDIRECT || block->end.kind == IR_T_SYSCALL)
            return 0;
        for (uint32_t v = block->first_op; v < block->first_op + block->op_count; v++) {
            const struct ir_op *op = &s->f->ops.items[v];

            read |= op->op == IR_GET ? IR_STATE_BIT(op->aux) : 0;
            written |= op->op == IR_SET ? IR_STATE_BIT(op->aux) : 0;
        }
    }
    return read & ~written;
}

static void
note_loop(struct loop_facts *facts, const struct solver *s, const struct disc *d, const struct disc_func *loop)
{
    ir_states states = only_read(s, d, loop);
    uint32_t header = ir_block_find(&s->map, loop->address);

    for (unsigned r = 0; header != IR_NO_BLOCK && r < REGISTERS; r++) {
        struct known k = s->in[header * REGISTERS + r];

        if (!(states & IR_STATE_BIT(X86_S_RAX + r)) || (k.kind != CONSTANT && k.kind != ADDRESS))
            continue;
        vec_push(&facts->items, ((struct loop_fact){loop->address,
                                                    {.state = (uint8_t)(X86_S_RAX + r),
                                                     .is_address = k.kind == ADDRESS,
                                                     .value = k.value}}));
    }
}

static int
compare_owners(const void *a, const void *b)
{
    const struct disc_func *x = *(const struct disc_func *const *)a, *y = *(const struct disc_func *const *)b;

    if (x->owner != y->owner)
        return x->owner < y->owner ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static const struct disc_func *
find_func(const struct disc *d, uint64_t address)
{
    size_t low = 0, high = d->funcs.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (d->funcs.items[mid].address == address)
            return &d->funcs.items[mid];
        if (d->funcs.items[mid].address < address)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Notes what is known of the loops of one function. */
static void
look_at_owner(struct loop_facts *facts, const struct disc *d, const struct elf_image *image, struct ir_func *f,
              struct ir_build *b, const struct disc_func *const *loops, size_t count)
{
    const struct disc_func *owner = find_func(d, loops[0]->owner);
    struct solver s = {.f = f};

    if (!owner)
        return;
    disc_lift(d, owner, image, f, b);
    ir_block_map_init(&s.map, f);
    s.in = mem_zalloc(f->blocks.count * REGISTERS + 1, sizeof *s.in);
    s.values = mem_zalloc(f->ops.count + 1, sizeof *s.values);
    solve(&s);
    for (size_t i = 0; i < count; i++)
        note_loop(facts, &s, d, loops[i]);
    mem_free(s.in);
    mem_free(s.values);
    ir_block_map_fini(&s.map);
}

static int
compare_facts(const void *a, const void *b)
{
    const struct loop_fact *x = a, *y = b;

    if (x->loop != y->loop)
        return x->loop < y->loop ? -1 : 1;
    return (int)x->assumption.state - (int)y->assumption.state;
}

void
loop_facts_collect(struct loop_facts *facts, const struct disc *d, const struct elf_image *image, struct ir_func *f,
                   struct ir_build *b)
{
    VEC(const struct disc_func *) loops = {0};

    *facts = (struct loop_facts){0};
    for (size_t i = 0; i < d->funcs.count; i++) {
        if (d->funcs.items[i].loop)
            vec_push(&loops, (const struct disc_func *)&d->funcs.items[i]);
    }
    if (loops.count)
        qsort(loops.items, loops.count, sizeof *loops.items, compare_owners);
    for (size_t i = 0, j; i < loops.count; i = j) {
        for (j = i + 1; j < loops.count && loops.items[j]->owner == loops.items[i]->owner; j++)
            ;
        look_at_owner(facts, d, image, f, b, loops.items + i, j - i);
    }
    if (facts->items.count)
        qsort(facts->items.items, facts->items.count, sizeof *facts->items.items, compare_facts);
    vec_fini(&loops);
}

void
loop_facts_apply(const struct loop_facts *facts, struct ir_func *f)
{
    size_t low = 0, high = facts->items.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (facts->items.items[mid].loop < f->address)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < facts->items.count && facts->items.items[low].loop == f->address; low++)
        vec_push(&f->assumptions, facts->items.items[low].assumption);
}

void
loop_facts_fini(struct loop_facts *facts)
{
    vec_fini(&facts->items);
}
