/* Where indirect jumps lead that discovery knows: a table of labels for each set of them, found by a hash that sends no two to the same
 * place. */
#include "direct/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "lift/discover.h"

enum { MAX_LABEL_BITS = 14, SAME_TABLES = 256, HASH_WORK = 4 << 20 /* labels looked at for one size of a table */ };

/* Image bases are multiples of 64 KiB and so is the multiplier, so that only the low half of an address counts. */
static uint32_t
hash(uint32_t address, uint32_t multiplier, unsigned bits)
{
    return address * multiplier >> (32 - bits);
}

/* How many of the labels would miss. */
static unsigned
collisions(const uint32_t *labels, size_t count, uint32_t multiplier, unsigned bits, unsigned limit, uint32_t *seen, uint32_t stamp)
{
    unsigned bad = 0;

    for (size_t i = 0; i < count && bad < limit; i++) {
        uint32_t h = hash(labels[i], multiplier, bits);

        bad += seen[h] == stamp;
        seen[h] = stamp;
    }
    return bad;
}

/* A multiplier that sends each label to a place of its own, or nearly all, in a table that is not larger than it must be. */
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

/* 1 + index of a table of exactly these labels among the last ones, which are the same function's; 0: there is none. */
static uint32_t
same_table(const struct rewriter *w, const uint32_t *labels, size_t count)
{
    size_t oldest = w->label_tables.count > SAME_TABLES ? w->label_tables.count - SAME_TABLES : 0;

    for (size_t i = w->label_tables.count; i-- > oldest;) {
        const struct label_table *t = &w->label_tables.items[i];

        if (t->count == count && memcmp(w->labels.items + t->first, labels, count * sizeof *labels) == 0)
            return (uint32_t)i + 1;
    }
    return 0;
}

/* labels: sorted, each once. */
static uint32_t
add_label_table(struct rewriter *w, const uint32_t *labels, size_t count)
{
    struct label_table t = {.offset = (uint32_t)w->tables.size, .first = (uint32_t)w->labels.count, .count = (uint32_t)count};
    uint32_t same = same_table(w, labels, count);
    bool *taken;

    if (same)
        return same;
    for (size_t i = 0; i < count; i++)
        vec_push(&w->labels, labels[i]);

    choose_hash(labels, count, &t);
    taken = mem_zalloc((size_t)1 << t.bits, sizeof *taken);
    buf_put_zero(&w->tables, (size_t)8 << t.bits);
    for (size_t i = 0; i < count; i++) {
        uint32_t h = hash(labels[i], t.multiplier, t.bits);
        size_t insn = rewriter_find(w, labels[i]);

        if (taken[h] || insn == SIZE_MAX)
            continue;
        taken[h] = true;
        vec_push(&w->table_entries, ((struct table_entry){.at = t.offset + 8 * h, .guest = labels[i], .position = position_begin(insn)}));
    }
    if (!taken[0]) {
        /* Empty entries are 0, 0. In the first one, a jump to 0 would find that: it gets an address that is looked for elsewhere. */
        uint32_t nobody = 1;

        while (nobody < 0xffff && hash(nobody, t.multiplier, t.bits) == 0)
            nobody++;
        memcpy(w->tables.data + t.offset, &nobody, sizeof nobody);
    }
    mem_free(taken);
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

/* The last instruction of a block. */
static size_t
last_insn(const struct rewriter *w, const struct disc_block *b)
{
    size_t low = 0, high = w->insns.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (w->insns.items[middle].address < b->end)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && w->insns.items[low - 1].address >= b->start ? low - 1 : SIZE_MAX;
}

struct label_list {
    uint32_t *items;
    size_t count, capacity;
};

/* Sorts them and takes out what is there twice. */
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

static void
take_labels(struct rewriter *w, const struct disc *d, const struct disc_block *b, const struct label_list *of_function)
{
    size_t last = last_insn(w, b);
    const struct disc_jump *jump = last == SIZE_MAX ? NULL : jump_at(d, w->insns.items[last].address);
    struct label_list targets = {0};

    if (!jump || w->insns.items[last].labels)
        return;
    if (b->table >= 0) {
        const struct lift_jump_table *table = &d->tables.items[b->table];

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

    for (uint32_t k = 0; k < f->block_count; k++)
        if (d->blocks.items[f->first_block + k].label)
            vec_push(&labels, (uint32_t)d->blocks.items[f->first_block + k].start);
    make_set(&labels);
    for (uint32_t k = 0; k < f->block_count; k++)
        take_labels(w, d, &d->blocks.items[f->first_block + k], &labels);
    vec_fini(&labels);
}
