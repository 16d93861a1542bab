/* Tables of the targets of indirect jumps that discovery knows.
 *
 * For a switch, or a computed goto through one table, the index is in a register when the guest loads the address from
 * its own table. Then r10 keeps the index, and our table has the same order as the guest's, so that the processor knows
 * the target as early as the guest's code would let it. Nothing has to be right about the index, not even that r10
 * still holds it: the entry that it leads to says which guest address it is for, and is compared. For other jumps there
 * is a table for each set of labels, in which a hash finds them; the hash is chosen such that no two labels, or few,
 * fall on one place. */
#include "direct/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "discover/discover.h"

enum {
    MAX_LABEL_BITS = 14,
    SAME_TABLES = 256,
    HASH_WORK = 4 << 20 /* how many labels are hashed for one size of a table */
};

/* The bases of files are multiples of 64 KiB, and so are the upper bits of the multiplier, so that only the low half of
 * an address counts. */
static uint32_t
hash(uint32_t address, uint32_t multiplier, unsigned bits)
{
    return address * multiplier >> (32 - bits);
}

/* How many of the labels would not be found, because another one has their place. */
static unsigned
collisions(const uint32_t *labels, size_t count, uint32_t multiplier, unsigned bits, unsigned limit, uint32_t *seen,
           uint32_t stamp)
{
    unsigned bad = 0;

    for (size_t i = 0; i < count && bad < limit; i++) {
        uint32_t h = hash(labels[i], multiplier, bits);

        bad += seen[h] == stamp;
        seen[h] = stamp;
    }
    return bad;
}

/* Chooses a multiplier that sends each label, or nearly each, to a place of its own, in a table that is not larger than
 * it must be. */
static void
choose_hash(const uint32_t *labels, size_t count, struct label_table *t)
{
    uint32_t *seen = mem_zalloc(1 << MAX_LABEL_BITS, sizeof *seen), stamp = 0, best = UINT32_MAX;
    unsigned bits = 1, largest;

    while ((1u << bits) < 2 * count && bits < MAX_LABEL_BITS)
        bits++;
    largest = bits + 3 < MAX_LABEL_BITS ? bits + 3 : MAX_LABEL_BITS;
    for (; bits <= largest && best; bits++) {
        for (uint32_t odd = 1; odd < 0x10000 && odd / 2 * count < HASH_WORK && best; odd += 2) {
            uint32_t multiplier = odd * 0x9e37u << 16 | 0x10000;
            unsigned bad = collisions(labels, count, multiplier, bits, best, seen, ++stamp);

            if (bad < best) {
                best = bad;
                t->multiplier = multiplier;
                t->bits = (uint8_t)bits;
            }
        }
    }
    mem_free(seen);
}

/* Returns 1 + the index of a table of exactly these labels in this order, if one of the last tables is one; these are
 * mostly the same function's. 0: there is none. */
static uint32_t
same_table(const struct rewriter *w, const uint32_t *labels, size_t count, bool indexed)
{
    size_t oldest = w->label_tables.count > SAME_TABLES ? w->label_tables.count - SAME_TABLES : 0;

    for (size_t i = w->label_tables.count; i-- > oldest;) {
        const struct label_table *t = &w->label_tables.items[i];

        if (t->count == count && t->indexed == indexed &&
            memcmp(w->labels.items + t->first, labels, count * sizeof *labels) == 0)
            return (uint32_t)i + 1;
    }
    return 0;
}

/* Adds a table with a hash. labels: sorted, and each of them once. */
static uint32_t
add_label_table(struct rewriter *w, const uint32_t *labels, size_t count)
{
    struct label_table t = {.offset = (uint32_t)w->tables.size,
                            .first = (uint32_t)w->labels.count,
                            .count = (uint32_t)count};
    uint32_t same = same_table(w, labels, count, false);
    bool *taken;

    if (same)
        return same;
    for (size_t i = 0; i < count; i++)
        vec_push(&w->labels, labels[i]);
    t.first_entry = (uint32_t)w->table_entries.count;
    choose_hash(labels, count, &t);
    taken = mem_zalloc((size_t)1 << t.bits, sizeof *taken);
    buf_put_zero(&w->tables, (size_t)8 << t.bits);
    for (size_t i = 0; i < count; i++) {
        uint32_t h = hash(labels[i], t.multiplier, t.bits);
        size_t insn = rewriter_find(w, labels[i]);

        if (taken[h] || insn == SIZE_MAX)
            continue;
        taken[h] = true;
        vec_push(&w->table_entries,
                 ((struct table_entry){.at = t.offset + 8 * h, .guest = labels[i], .position = position_begin(insn)}));
    }
    if (!taken[0]) {
        /* Empty entries are 0, 0. A jump to 0 would be looked for in the first entry and found there. So if that one is
         * empty it gets an address that is looked for elsewhere. */
        uint32_t nobody = 1;

        while (nobody < 0xffff && hash(nobody, t.multiplier, t.bits) == 0)
            nobody++;
        memcpy(w->tables.data + t.offset, &nobody, sizeof nobody);
    }
    mem_free(taken);
    t.entry_count = (uint32_t)w->table_entries.count - t.first_entry;
    vec_push(&w->label_tables, t);
    return (uint32_t)w->label_tables.count;
}

/* Adds a table with the guest's index. labels: in the order of the index. Every entry must be a label's, so that those
 * whose target is no code get another label. 0: none of the labels is code. */
static uint32_t
add_indexed_table(struct rewriter *w, const uint32_t *labels, size_t count)
{
    struct label_table t = {.offset = (uint32_t)w->tables.size,
                            .first = (uint32_t)w->labels.count,
                            .count = (uint32_t)count,
                            .indexed = true,
                            .first_entry = (uint32_t)w->table_entries.count,
                            .bits = 1};
    uint32_t same = same_table(w, labels, count, true);
    size_t any = SIZE_MAX;

    if (same)
        return same;
    while ((size_t)1 << t.bits < count)
        t.bits++;
    for (size_t i = 0; i < count && any == SIZE_MAX; i++)
        if (rewriter_find(w, labels[i]) != SIZE_MAX)
            any = i;
    if (any == SIZE_MAX || t.bits > MAX_LABEL_BITS)
        return 0;
    for (size_t i = 0; i < count; i++)
        vec_push(&w->labels, labels[i]);
    buf_put_zero(&w->tables, (size_t)8 << t.bits);
    for (uint32_t i = 0; i < 1u << t.bits; i++) {
        uint32_t label = i < count && rewriter_find(w, labels[i]) != SIZE_MAX ? labels[i] : labels[any];

        vec_push(&w->table_entries, ((struct table_entry){.at = t.offset + 8 * i,
                                                          .guest = label,
                                                          .position = position_begin(rewriter_find(w, label))}));
    }
    t.entry_count = 1u << t.bits;
    vec_push(&w->label_tables, t);
    return (uint32_t)w->label_tables.count;
}

static int
compare_labels(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static const struct disc_jump *
jump_at(const struct disc *d, uint64_t address)
{
    size_t low = 0, high = d->jumps.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (d->jumps.items[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < d->jumps.count && d->jumps.items[low].address == address ? &d->jumps.items[low] : NULL;
}

/* Returns the last instruction of a block; SIZE_MAX: it has none. */
static size_t
last_insn(const struct rewriter *w, const struct disc_block *b)
{
    size_t behind = rewriter_first_from(w, b->end);

    return behind > 0 && w->insns.items[behind - 1].address >= b->start ? behind - 1 : SIZE_MAX;
}

struct label_list {
    uint32_t *items;
    size_t count, capacity;
};

/* Sorts the labels and takes out those that are there twice. */
static void
make_set(struct label_list *l)
{
    size_t kept = 0;

    if (l->count)
        qsort(l->items, l->count, sizeof *l->items, compare_labels);
    for (size_t i = 0; i < l->count; i++)
        if (!kept || l->items[kept - 1] != l->items[i])
            l->items[kept++] = l->items[i];
    l->count = kept;
}

/* --- the index of a table --- */

enum { MAX_BETWEEN = 6 /* how many instructions may be from the load of the address to the jump */ };

static bool
decode_at(const struct rewriter *w, size_t index, struct x86_insn *insn)
{
    uint64_t left;
    const uint8_t *bytes = rewriter_bytes(w, w->insns.items[index].address, &left);

    return bytes && x86_decode(bytes, left, w->insns.items[index].address, insn) > 0;
}

/* Does this instruction's rewritten form leave the host's r10 alone? Only those kinds are asked for that compilers put
 * there. */
static bool
leaves_scratch(const struct x86_insn *insn)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_ADD: case X86_OP_SUB: case X86_OP_AND: case X86_OP_OR: case X86_OP_XOR: case X86_OP_CMP: case X86_OP_TEST: case X86_OP_INC:
    case X86_OP_DEC: case X86_OP_LEA: case X86_OP_MOV: case X86_OP_MOVZX: case X86_OP_MOVSX: case X86_OP_MOVSXD: case X86_OP_SHL:
    case X86_OP_SHR: case X86_OP_SAR: case X86_OP_NOP:
        /* clang-format on */
        break;
    default: return false;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_REG && (o->reg_class != X86_RC_GPR || is_displaced(o->reg)))
            return false;
        if (o->kind == X86_OPD_MEM && (o->seg != X86_SEG_DS || is_displaced(o->base) || is_displaced(o->index)))
            return false;
    }
    return true;
}

static bool
has_index(const struct x86_operand *o, unsigned scale)
{
    return o->kind == X86_OPD_MEM && o->seg == X86_SEG_DS && o->index >= 0 && !is_displaced(o->index) &&
           o->scale == scale;
}

/* Finds the instruction at which the index of this jump is known: the jump itself or one before it. SIZE_MAX: there is
 * none. */
static size_t
find_index(const struct rewriter *w, const struct disc_block *b, size_t jump, unsigned scale, unsigned *reg)
{
    struct x86_insn insn;
    unsigned target;

    if (!decode_at(w, jump, &insn))
        return SIZE_MAX;
    if (has_index(&insn.operand[0], scale)) {
        *reg = host_register((unsigned)insn.operand[0].index);
        return jump;
    }
    if (insn.operand[0].kind != X86_OPD_REG || is_displaced(insn.operand[0].reg))
        return SIZE_MAX;
    target = insn.operand[0].reg;
    for (size_t i = jump, n = 0; i-- > 0 && n < MAX_BETWEEN; n++) {
        const struct insn_place *p = &w->insns.items[i];

        if (p->address < b->start || p->address + p->length != p[1].address || !decode_at(w, i, &insn) ||
            !leaves_scratch(&insn))
            break;
        if ((insn.op == X86_OP_MOV || insn.op == X86_OP_MOVSXD) && insn.operand[0].kind == X86_OPD_REG &&
            insn.operand[0].reg == target && has_index(&insn.operand[1], scale)) {
            *reg = host_register((unsigned)insn.operand[1].index);
            return i;
        }
    }
    return SIZE_MAX;
}

static bool
take_indexed(struct rewriter *w, const struct disc_block *b, size_t jump, const struct lift_jump_table *table)
{
    unsigned reg;
    size_t at = find_index(w, b, jump, table->entry_size, &reg);
    struct label_list targets = {0};

    if (at == SIZE_MAX || w->insns.items[at].index)
        return false;
    for (uint32_t i = 0; i < table->count; i++)
        vec_push(&targets, (uint32_t)table->targets[i]);
    w->insns.items[jump].labels = targets.count ? add_indexed_table(w, targets.items, targets.count) : 0;
    if (w->insns.items[jump].labels)
        w->insns.items[at].index = (uint8_t)(1 + reg);
    vec_fini(&targets);
    return w->insns.items[jump].labels != 0;
}

static void
take_labels(struct rewriter *w, const struct disc *d, const struct disc_block *b, const struct label_list *of_function)
{
    size_t last = last_insn(w, b);
    const struct disc_jump *jump = last == SIZE_MAX ? NULL : jump_at(d, w->insns.items[last].address);
    struct label_list targets = {0};

    if (!jump || w->insns.items[last].labels)
        return;
    if (jump->table >= 0 && take_indexed(w, b, last, &d->tables.items[jump->table]))
        return;
    if (jump->kind == DISC_JUMP_SWITCH && jump->table >= 0) {
        const struct lift_jump_table *table = &d->tables.items[jump->table];

        for (uint32_t i = 0; i < table->count; i++)
            vec_push(&targets, (uint32_t)table->targets[i]);
        make_set(&targets);
        if (targets.count)
            w->insns.items[last].labels = add_label_table(w, targets.items, targets.count);
        vec_fini(&targets);
    } else if ((jump->kind == DISC_JUMP_GOTO || jump->kind == DISC_JUMP_LABELS) && of_function->count) {
        w->insns.items[last].labels = add_label_table(w, of_function->items, of_function->count);
    }
}

void
find_labels(struct rewriter *w, const struct disc *d, const struct disc_func *f)
{
    struct label_list labels = {0};

    for (uint32_t k = 0; k < f->block_count; k++) {
        const struct disc_block *b = &d->blocks.items[f->first_block + k];
        size_t first = b->label ? rewriter_find(w, b->start) : SIZE_MAX;

        if (b->label)
            vec_push(&labels, (uint32_t)b->start);
        if (first != SIZE_MAX)
            w->insns.items[first].label = true;
    }
    make_set(&labels);
    for (uint32_t k = 0; k < f->block_count; k++)
        take_labels(w, d, &d->blocks.items[f->first_block + k], &labels);
    vec_fini(&labels);
}
