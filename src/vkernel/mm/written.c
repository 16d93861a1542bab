/* Which pages somebody has written to, as the host tells, batch by batch and run by run. */
#include <string.h>

#include "base/rare.h"
#include "platform/platform.h"
#include "vkernel/mm/mm_internal.h"

enum { BATCH = 32 << 10 }; /* so many pages are asked for at once */

/* Of the walk that goes on. Only one does: who walks does not sleep, and has the kernel lock. */
static uint16_t written[BATCH / 16] RARE;

bool
mm_next_batch(struct written_pages *w)
{
    w->first += w->count;
    w->count = w->pages - w->first < BATCH ? w->pages - w->first : BATCH;
    w->bits = written;
    if (w->count == 0)
        return false;
    w->known = platform_written_pages(w->host + w->first * PAGE_SIZE, w->count, w->anonymous, written) == 0;
    if (!w->known)
        memset(written, -1, sizeof written);
    return true;
}

static size_t
next_page(const uint16_t *bits, bool set, size_t from, size_t count)
{
    const uint16_t skipped = set ? 0 : UINT16_MAX;

    while (from < count && (bits[from / 16] >> from % 16 & 1) != set)
        from += from % 16 == 0 && bits[from / 16] == skipped ? 16 : 1;
    return from < count ? from : count;
}

bool
mm_next_run(const uint16_t *bits, bool set, size_t count, struct page_run *run)
{
    run->start = next_page(bits, set, run->end, count);
    run->end = next_page(bits, !set, run->start, count);
    return run->start < count;
}
