/* What leads into the text from outside of it: tables of labels, the map of instructions, the code map. */
#include "verify/verify_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* --- tables of labels --- */

enum { LABEL_SIZE = 8 /* of a guest's and a host's address */ };

static int
compare_lookups(const void *a, const void *b)
{
    const struct verify_lookup *x = a, *y = b;

    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    if (x->indexed != y->indexed)
        return x->indexed ? 1 : -1;
    return x->multiplier < y->multiplier ? -1 : x->multiplier > y->multiplier;
}

/* Each label leads to a place, or is where no lookup by hash finds it: an empty one has a guest's address that would be
 * looked for elsewhere. */
static int
check_labels(struct verifier *v, const struct verify_lookup *l)
{
    const struct verify_range *tables = &v->unit->tables;
    uint64_t offset = l->table - tables->address, size = (uint64_t)LABEL_SIZE << l->bits;

    if (l->table < tables->address || offset > tables->size || size > tables->size - offset)
        return verify_breaks(v, VERIFY_LABELS, l->from) ? -1 : 0;
    for (uint32_t i = 0; i < 1u << l->bits; i++) {
        uint32_t label[2];

        memcpy(label, tables->bytes + offset + (uint64_t)LABEL_SIZE * i, sizeof label);
        if (verify_is_place(v, label[1] - v->unit->text.address))
            continue;
        if ((l->indexed || label[0] * l->multiplier >> (32 - l->bits) == i) && verify_breaks(v, VERIFY_LABELS, l->from))
            return -1;
    }
    return 0;
}

/* Each table is checked once; that they do not overlap bounds the work. */
int
verify_labels(struct verifier *v)
{
    uint64_t end = 0;

    if (v->lookups.count)
        qsort(v->lookups.items, v->lookups.count, sizeof *v->lookups.items, compare_lookups);
    for (size_t i = 0; i < v->lookups.count; i++) {
        const struct verify_lookup *l = &v->lookups.items[i];

        if (i > 0 && compare_lookups(l - 1, l) == 0)
            continue;
        if (l->table < end && verify_breaks(v, VERIFY_LABELS, l->from))
            return -1;
        end = l->table + ((uint64_t)LABEL_SIZE << l->bits);
        if (check_labels(v, l) < 0)
            return -1;
    }
    return 0;
}

/* --- the map --- */

struct walk {
    struct cursor map;
    const uint8_t *start;
    uint64_t guest, host;
    uint32_t place; /* the next of the index */
};

/* Is the walk where the next place of the index says? */
static bool
is_at_place(const struct verify_unit *u, const struct walk *w)
{
    struct direct_place p;

    memcpy(&p, u->index.bytes + w->place * sizeof p, sizeof p);
    return p.at == (uint64_t)(w->map.at - w->start) && p.guest == w->guest && p.host == w->host;
}

/* The offset in the map of the index's next place; beyond the map, when there are no more. */
static uint64_t
next_place(const struct verify_unit *u, const struct walk *w)
{
    struct direct_place p;

    if (w->place >= u->index.size / sizeof p)
        return UINT64_MAX;
    memcpy(&p, u->index.bytes + w->place * sizeof p, sizeof p);
    return p.at;
}

static bool
take_gap(struct walk *w)
{
    w->guest += cursor_uleb(&w->map, 32);
    w->host += cursor_uleb(&w->map, 32);
    return !w->map.failed && w->guest <= UINT32_MAX && w->host <= UINT32_MAX;
}

/* An instruction whose first byte in the map is `first`. */
static bool
take_insn(struct verifier *v, struct walk *w, uint8_t first)
{
    uint64_t length = first & 15;

    if (first >> 4 == 0)
        return false;
    if (length == DIRECT_MAP_LONG)
        length = cursor_uleb(&w->map, 32);
    w->guest += first >> 4;
    w->host += length;
    return !w->map.failed && w->guest <= UINT32_MAX && w->host <= v->size;
}

int
verify_map(struct verifier *v)
{
    const struct verify_unit *u = v->unit;
    struct walk w = {.map = cursor_make(u->map.bytes, u->map.size), .start = u->map.bytes};
    struct direct_place first = {0};
    bool good = u->index.size >= sizeof first && u->index.size % sizeof first == 0;

    /* The walk begins where the index's first place says. */
    if (good)
        memcpy(&first, u->index.bytes, sizeof first);
    good &= first.at == 0;
    w.guest = first.guest;
    w.host = first.host;
    while (good && cursor_left(&w.map)) {
        bool place = next_place(u, &w) == (uint64_t)(w.map.at - w.start);
        uint64_t host;
        uint8_t byte;

        if (place)
            good = is_at_place(u, &w);
        w.place += place;
        byte = cursor_u8(&w.map);
        if (byte == DIRECT_MAP_GAP) {
            good &= !place && take_gap(&w);
            continue;
        }
        /* In a run, too: at a fault, the run time looks at what comes before in the same instruction. */
        host = w.host;
        if (byte == DIRECT_MAP_RUN) {
            good &= !place;
            byte = cursor_u8(&w.map);
        }
        good &= take_insn(v, &w, byte);
        if (good && !verify_is_place(v, host) && verify_breaks(v, VERIFY_PLACE, (uint32_t)host))
            return -1;
    }
    /* The index's last place is the end. */
    good =
        good && next_place(u, &w) == u->map.size && is_at_place(u, &w) && w.place + 1 == u->index.size / sizeof first;
    return !good && verify_breaks(v, VERIFY_MAP, (uint32_t)(w.host < v->size ? w.host : 0)) ? -1 : 0;
}
