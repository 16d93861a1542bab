/* Image bases: fixed when the image is built, derived from each file's hash, moved on conflict (DESIGN D4). */
#include <stdlib.h>
#include <string.h>

#include "recompile/recompile.h"
#include "x86/address_space.h"

enum { GRANULE = 65536 };

static uint64_t
round_up(uint64_t v)
{
    return (v + GRANULE - 1) / GRANULE * GRANULE;
}

/* First free run of `need` granules at or after `from`, around once; UINT64_MAX when there is none. */
static uint64_t
find_free(const uint8_t *taken, uint64_t count, uint64_t from, uint64_t need)
{
    uint64_t run = 0;

    for (uint64_t i = 0; i < 2 * count; i++) {
        uint64_t at = (from + i) % count;

        if (at == 0)
            run = 0;
        run = taken[at] ? 0 : run + 1;
        if (run == need)
            return at + 1 - need;
    }
    return UINT64_MAX;
}

int
recompile_layout(struct recompile *r, struct err *e)
{
    uint64_t count = (GUEST_IMAGE_END - GUEST_PIE_START) / GRANULE;
    uint8_t *taken = mem_zalloc(count, 1);

    for (size_t i = 0; i < r->units.count; i++) {
        struct unit *u = &r->units.items[i];
        uint64_t need, start, at;

        if (u->unusable)
            continue;
        if (!u->is_pie) {
            u->base = 0;
            continue;
        }
        need = round_up(u->high - u->low) / GRANULE + 1; /* one granule between images */
        memcpy(&start, u->sha256.bytes, sizeof start);
        at = find_free(taken, count, start % count, need);
        if (at == UINT64_MAX) {
            mem_free(taken);
            return err_set(e,
                           "%s: the programs and libraries of this image do not fit the %u MiB of code address space",
                           u->path, (GUEST_IMAGE_END - GUEST_PIE_START) >> 20);
        }
        memset(taken + at, 1, need);
        u->base = GUEST_PIE_START + at * GRANULE - u->low;
    }
    mem_free(taken);
    return 0;
}
