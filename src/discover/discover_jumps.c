/* Finding out where the indirect jumps of a function lead. The data flow (discover_values.h) proposes what each one
 * jumps to. When that is an entry of a table in constant data, and the block that jumps computes the index and loads
 * the entry itself, the jump becomes a switch (IR_T_SWITCH). In all other cases in which targets are known (another
 * block has the load, the table is writable, the address is computed) the targets become labels: entries of the
 * function that its computed gotos lead to. Wrong or missing targets cost time and nothing else: a switch looks whether
 * the index and the registers are as was found, a computed goto compares the address, and when they differ the guest
 * goes where the loaded address says, by the dispatcher. */
#include <stdlib.h>
#include <string.h>

#include "discover/discover_internal.h"
#include "discover/discover_values.h"

enum { NO_COUNT = UINT32_MAX, MAX_COMPUTED = 1024, MAX_OUTSIDE = 7, MAX_CANDIDATES = 8, SURE_TABLE = 4 };

/* Collects the addresses of data that lea reg, [rip + x] takes or that jmp [x + reg * 8] goes through. They tell where
 * tables end, and so are needed before it is known where instructions begin. That is why the bytes of these
 * instructions are looked for at every address of the text, and some of what is found is none. */
void
finder_collect_data_refs(struct finder *f)
{
    for (size_t i = 0; i < f->ranges.count; i++) {
        const struct text_range *r = &f->ranges.items[i];

        for (uint64_t at = 0; at + 7 <= r->end - r->start; at++) {
            const uint8_t *p = r->bytes + at;
            int32_t disp;
            uint64_t to;

            memcpy(&disp, p + 3, sizeof disp);
            if ((p[0] & 0xfb) == 0x48 && p[1] == 0x8d && (p[2] & 0xc7) == 0x05)
                to = r->start + at + 7 + (uint64_t)(int64_t)disp;
            else if (p[0] == 0xff && p[1] == 0x24 && (p[2] & 0xc7) == 0xc5)
                to = (uint64_t)(int64_t)disp;
            else
                continue;
            if (elf_image_at(f->image, to, NULL) && !finder_range(f, to))
                vec_push(&f->data_refs, to);
        }
    }
    if (f->data_refs.count)
        qsort(f->data_refs.items, f->data_refs.count, sizeof(uint64_t), finder_compare_addresses);
}

/* The absolute address that the word at `at` holds once the file is loaded. A PIE (an executable or library that may be
 * loaded anywhere) has such addresses in its relocations and not in the words. */
static bool
read_absolute_entry(const struct finder *f, uint64_t at, uint64_t *target)
{
    for (size_t low = 0, high = f->image->relocs.count; low < high;) {
        size_t mid = (low + high) / 2;
        const struct elf_reloc *r = &f->image->relocs.items[mid];

        if (r->where == at) {
            *target = r->target;
            return true;
        }
        if (r->where < at)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* Reads where the table's entry at this address leads. False says that it leads to no code, or that there is no
 * entry. */
static bool
read_target(struct finder *f, const struct lift_jump_table *table, uint64_t at, uint64_t *target)
{
    uint64_t left, v = 0;
    const uint8_t *p;

    if (!table->relative && f->image->is_pie)
        return read_absolute_entry(f, at, target) && finder_range(f, *target);
    p = elf_image_at(f->image, at, &left);
    if (!p || left < table->entry_size)
        return false;
    memcpy(&v, p, table->entry_size);
    if (table->relative)
        v = table->relative_to + (table->entry_size == 4 ? (uint64_t)(int64_t)(int32_t)v : v);
    *target = v;
    return finder_range(f, v);
}

/* Does the text seem to take this address of data? Then a piece of data begins there, and another one ends. */
static bool
starts_table(const struct finder *f, uint64_t address)
{
    return f->data_refs.count &&
           bsearch(&address, f->data_refs.items, f->data_refs.count, sizeof address, finder_compare_addresses);
}

/* Are the first `count` entries of the table one piece of data, because the text takes no address within? */
static bool
is_whole(const struct finder *f, const struct lift_jump_table *table, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (starts_table(f, table->table_address + (uint64_t)i * table->entry_size))
            return false;
    }
    return true;
}

static bool
is_inside(const struct func *fn, uint64_t address)
{
    return address >= fn->address && address < fn->limit;
}

/* Reads the entries of a table into f->targets, up to the first that leads to no code, and returns how many there are.
 * count is how many the code before the jump allows. Where it does not say (NO_COUNT), an address that the text takes
 * ends the table, and so does a run of more than MAX_OUTSIDE entries that lead out of the function. A shorter run is
 * part of it when an entry inside of the function follows: a compiler puts code that is rarely run into a cold part
 * elsewhere. An absolute table all of whose entries lead out of the function is taken as it is. */
static uint32_t
read_table(struct finder *f, const struct func *fn, const struct lift_jump_table *table, uint32_t count)
{
    uint32_t n = 0, outside = 0, inside = 0, limit = count == NO_COUNT ? MAX_TABLE : count;

    while (n < limit && read_target(f, table, table->table_address + (uint64_t)n * table->entry_size, &f->targets[n])) {
        if (count == NO_COUNT) {
            bool in = is_inside(fn, f->targets[n]);

            if (n > 0 && starts_table(f, table->table_address + (uint64_t)n * table->entry_size))
                break;
            if (!in && !table->relative) { /* A label of the cold part is inside of an FDE, a function begins one. */
                const struct elf_fde *fde = finder_fde(f, f->targets[n]);

                in = fde && fde->start != f->targets[n];
            }
            inside += in;
            outside = in ? 0 : outside + 1;
            if (outside > MAX_OUTSIDE && (table->relative || inside)) {
                n++; /* `outside` counts this entry, and is subtracted below. */
                break;
            }
        }
        n++;
    }
    return table->relative || inside ? n - outside : n;
}

/* How many entries the code before the jump allows. A bound that only says that the index was a byte says nothing of
 * the table. */
static uint32_t
entry_count(const struct value *v)
{
    return v->max >= MAX_TABLE || v->max == UINT8_MAX ? NO_COUNT : v->max + 1;
}

static bool
is_constant(const struct finder *f, const struct lift_jump_table *table)
{
    return elf_image_is_constant(f->image, table->table_address) &&
           elf_image_is_constant(f->image, table->table_address + (uint64_t)table->count * table->entry_size - 1);
}

/* Does the lifter find the table's index in the block that jumps? It is tried, since only then can the jump be lifted
 * to a switch. */
static bool
lifts_to_switch(struct finder *f, const struct ir_block *b, const struct lift_jump_table *table)
{
    const struct text_range *r = finder_range(f, b->address);
    struct lift_request request = {.bytes = r->bytes + (b->address - r->start),
                                   .size = b->size,
                                   .address = b->address,
                                   .jump_table = table};

    ir_func_clear(&f->scratch_block, b->address);
    lift_block(&f->build_block, &request);
    return f->scratch_block.blocks.items[0].end.kind == IR_T_SWITCH;
}

/* --- labels --- */

static void
add_label(struct func *fn, uint64_t target)
{
    for (size_t i = 0; i < fn->labels.count; i++) {
        if (fn->labels.items[i] == target)
            return;
    }
    if (fn->labels.count < MAX_LABELS)
        vec_push(&fn->labels, target);
}

/* Makes labels of the targets inside of the function. The others become functions, or entries of other functions. */
static void
take_labels(struct finder *f, struct func *fn, const uint64_t *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_inside(fn, targets[i]))
            add_label(fn, targets[i]);
        finder_add_jump(f, fn, targets[i]);
    }
}

/* Makes labels of all the addresses inside of this function that data holds or that the function itself takes, because
 * a computed goto through a pointer may lead to each of them. False says that there are none, or too many. */
static bool
take_all_labels(struct finder *f, struct func *fn)
{
    size_t low = 0, high = f->words.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (f->words.items[mid] <= fn->address)
            low = mid + 1;
        else
            high = mid;
    }
    for (high = low; high < f->words.count && f->words.items[high] < fn->limit && high - low <= MAX_LABELS; high++) {
        if (finder_is_function(f, f->words.items[high]))
            break; /* Without an FDE it is the next function that ends this one. */
    }
    if (high - low > MAX_LABELS || f->lea_labels.count > MAX_LABELS)
        return false;
    for (size_t i = low; i < high; i++)
        take_labels(f, fn, &f->words.items[i], 1);
    take_labels(f, fn, f->lea_labels.items, (uint32_t)f->lea_labels.count);
    return high > low || f->lea_labels.count;
}

/* --- one jump --- */

/* Takes the targets that were read into f->targets. whole says that the table begins with the entry of index 0, so that
 * the targets are in the order of the index. */
static void
take_table(struct finder *f, struct func *fn, const struct ir_block *b, struct found_jump *jump, bool whole)
{
    struct lift_jump_table *table = &jump->table;

    table->targets = arena_copy(&f->disc->arena, f->targets, table->count * sizeof *f->targets);
    jump->kind = whole && is_constant(f, table) && lifts_to_switch(f, b, table) ? DISC_JUMP_SWITCH : DISC_JUMP_GOTO;
    jump->by_index = whole;
    if (jump->kind == DISC_JUMP_GOTO) {
        take_labels(f, fn, table->targets, table->count);
        return;
    }
    for (uint32_t i = 0; i < table->count; i++)
        finder_add_jump(f, fn, table->targets[i]);
}

/* The jump goes through an array of records of `stride` bytes, each of which has an address of code or none: takes the
 * addresses. MAX_OUTSIDE records in a row that have none end the array. */
static bool
resolve_records(struct finder *f, struct func *fn, uint32_t stride, uint32_t count, struct found_jump *jump)
{
    struct lift_jump_table *table = &jump->table;
    uint32_t misses = 0;

    for (uint32_t i = 0; i < (count == NO_COUNT ? MAX_TABLE : count) && misses < MAX_OUTSIDE; i++) {
        uint64_t at = table->table_address + (uint64_t)i * stride;

        if (read_target(f, table, at, &f->targets[table->count])) {
            table->count++;
            misses = 0;
        } else {
            misses++;
        }
    }
    if (table->count == 0)
        return false;
    table->targets = arena_copy(&f->disc->arena, f->targets, table->count * sizeof *f->targets);
    jump->kind = DISC_JUMP_GOTO;
    take_labels(f, fn, table->targets, table->count);
    return true;
}

/* Takes the table that the value v describes. False says that there is none. */
static bool
resolve_table(struct finder *f, struct func *fn, const struct ir_block *b, const struct value *v,
              struct found_jump *jump)
{
    struct lift_jump_table *table = &jump->table;
    uint32_t count = entry_count(v);

    *table = (struct lift_jump_table){.insn_address = jump->address,
                                      .table_address = v->base,
                                      .entry_size = v->size,
                                      .relative = v->kind == VALUE_TARGET,
                                      .relative_to = v->relative};
    if (v->scale != v->size)
        return resolve_records(f, fn, v->scale, count, jump);
    if (table->relative && v->relative < v->base && starts_table(f, v->relative)) {
        table->table_address = v->relative; /* The entry of index 0 lies behind the table's start. */
        count = NO_COUNT;
    }
    table->count = read_table(f, fn, table, count);
    if (table->count == 0 && table->relative) { /* The lowest index has no entry: the table begins with the next one. */
        table->table_address += table->entry_size;
        table->count = read_table(f, fn, table, count == NO_COUNT ? count : count - 1);
    }
    if (table->count == 0 ||
        (v->likely && (table->count < (count == NO_COUNT ? 2 : count) || !is_whole(f, table, table->count)))) {
        table->count = 0;
        return false;
    }
    take_table(f, fn, b, jump, table->table_address == v->base);
    return true;
}

static bool
is_claimed(const struct func *fn, uint64_t table_address)
{
    for (size_t i = 0; i < fn->jumps.count; i++) {
        if (fn->jumps.items[i].kind == DISC_JUMP_SWITCH && fn->jumps.items[i].table.table_address == table_address)
            return true;
    }
    return false;
}

/* Looks for the relative table of a jump whose data flow does not tell the address. It must be at an address that the
 * function takes, have as many entries as the index may choose from if that has a bound, and half of them and no fewer
 * than SURE_TABLE must lead into the function. Of several such tables it is the one that no switch uses. When that does
 * not leave exactly one, the targets of all of them become labels. */
static bool
search_table(struct finder *f, struct func *fn, const struct ir_block *b, const struct value *v,
             struct found_jump *jump)
{
    struct lift_jump_table t = {.insn_address = jump->address, .entry_size = 4, .relative = true};
    struct lift_jump_table found[MAX_CANDIDATES];
    uint32_t count = entry_count(v);
    unsigned n = 0, unclaimed = 0;

    if (v->size != 4 || count < SURE_TABLE)
        return false;
    for (size_t i = 0; i < f->lea_targets.count && n < MAX_CANDIDATES; i++) {
        uint32_t inside = 0;

        t.table_address = t.relative_to = f->lea_targets.items[i];
        t.count = read_table(f, fn, &t, count);
        for (uint32_t j = 0; j < t.count; j++)
            inside += is_inside(fn, f->targets[j]);
        if ((count != NO_COUNT && t.count < count) || inside < SURE_TABLE || inside < t.count / 2 ||
            !is_whole(f, &t, t.count) || (n && found[n - 1].table_address == t.table_address))
            continue;
        found[n++] = t;
        if (!is_claimed(fn, t.table_address)) {
            unclaimed++;
            jump->table = t;
        }
    }
    if (unclaimed == 1) {
        read_table(f, fn, &jump->table, jump->table.count);
        take_table(f, fn, b, jump, true);
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        read_table(f, fn, &found[i], found[i].count);
        jump->table = found[i];
        take_table(f, fn, b, jump, false);
    }
    return n != 0;
}

/* The jump goes to an address of code + index * size, as into an unrolled loop: takes all these addresses. */
static bool
resolve_computed(struct finder *f, struct func *fn, const struct value *v, struct found_jump *jump)
{
    uint32_t n = 0;

    if (v->max >= MAX_COMPUTED || !finder_range(f, v->base))
        return false;
    while (n <= v->max && finder_range(f, v->base + (uint64_t)n * v->scale)) {
        f->targets[n] = v->base + (uint64_t)n * v->scale;
        n++;
    }
    jump->kind = DISC_JUMP_GOTO;
    jump->table.targets = arena_copy(&f->disc->arena, f->targets, n * sizeof *f->targets);
    jump->table.count = n;
    take_labels(f, fn, f->targets, n);
    return true;
}

static void
classify_jump(struct finder *f, struct func *fn, const struct value_jump *found, struct found_jump *jump)
{
    const struct ir_block *b = &f->scratch.blocks.items[found->block];
    const struct value *v = &found->value;

    switch (v->kind) {
    case VALUE_ENTRY:
    case VALUE_TARGET:
        if (!((v->kind == VALUE_TARGET || v->size == 8) && resolve_table(f, fn, b, v, jump)) &&
            !search_table(f, fn, b, v, jump))
            jump->kind = DISC_JUMP_TABLE_UNKNOWN;
        break;
    case VALUE_CONST:
        if (!v->likely && finder_range(f, v->base)) {
            jump->kind = DISC_JUMP_GOTO;
            f->targets[0] = v->base;
            jump->table.targets = arena_copy(&f->disc->arena, f->targets, sizeof *f->targets);
            jump->table.count = 1;
            take_labels(f, fn, f->targets, 1);
        }
        break;
    case VALUE_SLOT:
        if (resolve_computed(f, fn, v, jump))
            break;
        /* fall through */
    case VALUE_SLOT_ANY: jump->kind = DISC_JUMP_COMPUTED; break;
    case VALUE_ENTRY_ANY:
        if (!search_table(f, fn, b, v, jump))
            jump->kind = DISC_JUMP_TABLE_UNKNOWN;
        break;
    default: break;
    }
    if (jump->kind == DISC_JUMP_SWITCH || jump->kind == DISC_JUMP_GOTO)
        return;
    if (found->leaves_frame && (v->kind == VALUE_ANY || v->kind == VALUE_CONST || v->size == 8))
        jump->kind = DISC_JUMP_TAIL_CALL;
    else if (take_all_labels(f, fn))
        jump->kind = DISC_JUMP_LABELS;
}

/* Finds out where one jump leads, once more when it was tried before. What the earlier try found stays, unless this one
 * finds more targets. Since then the function may have gained edges, and where more paths meet less is known of a
 * value: that is no reason to forget a table. But an index that looked constant may turn out not to be, and then the
 * table is larger than it seemed. */
static void
resolve_jump(struct finder *f, struct func *fn, const struct value_jump *found, struct found_jump *jump)
{
    struct found_jump before = *jump;

    jump->by_index = false;
    classify_jump(f, fn, found, jump);
    if (before.table.count && jump->table.count <= before.table.count)
        *jump = before;
}

/* --- all of a function --- */

static void
lift_function_blocks(struct finder *f, const struct func *fn)
{
    ir_func_clear(&f->scratch, fn->address);
    for (int pass = 0; pass < 2; pass++) { /* The first pass is for the entry, which must be the first block. */
        for (size_t i = 0; i < fn->blocks.count; i++) {
            const struct disc_block *b = &fn->blocks.items[i];
            struct text_range *r = finder_range(f, b->start);
            struct lift_request request = {.bytes = r->bytes + (b->start - r->start),
                                           .size = b->end - b->start,
                                           .address = b->start};

            if ((b->start == fn->address) == (pass == 0))
                lift_block(&f->build, &request);
        }
    }
}

static int
compare_jumps(const void *a, const void *b)
{
    const struct found_jump *x = a, *y = b;

    return x->end < y->end ? -1 : x->end > y->end;
}

static struct found_jump *
find_jump(struct func *fn, uint64_t end)
{
    struct found_jump key = {.end = end};

    return bsearch(&key, fn->jumps.items, fn->jumps.count, sizeof key, compare_jumps);
}

void
finder_resolve_jumps(struct finder *f, struct func *fn)
{
    VEC(struct value_jump) found = {0};
    VEC(struct found_jump *) jumps = {0};

    if (f->jump_work < fn->blocks.count)
        return;
    f->jump_work -= fn->blocks.count;
    qsort(fn->jumps.items, fn->jumps.count, sizeof *fn->jumps.items, compare_jumps);
    lift_function_blocks(f, fn);
    for (uint32_t i = 0; i < f->scratch.blocks.count; i++) {
        const struct ir_block *b = &f->scratch.blocks.items[i];
        struct value_jump jump = {.block = i};
        struct found_jump *known = b->end.kind == IR_T_JUMP_INDIRECT ? find_jump(fn, b->address + b->size) : NULL;

        if (!known || known->kind == DISC_JUMP_SLOT)
            continue;
        jump.targets = known->table.targets;
        jump.target_count = known->table.count;
        vec_push(&found, jump);
        vec_push(&jumps, known);
    }
    if (found.count)
        values_find(&f->scratch, fn->entries.items, fn->entries.count, found.items, found.count);
    for (size_t i = 0; i < found.count; i++)
        resolve_jump(f, fn, &found.items[i], jumps.items[i]);
    vec_fini(&found);
    vec_fini(&jumps);
}
