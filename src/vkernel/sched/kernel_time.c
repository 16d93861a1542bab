#include "vkernel/sched/kernel_time.h"

#include "platform/platform.h"
#include "vkernel/sched/sched.h"

enum {
    /* What a short call takes outside of its handler, where it cannot be measured: the way in and out, in rewritten
     * code. The cheapest call takes 24 ns, of which 2 are its handler's and some 5 the caller's loop's. */
    EDGE_NS = 16,
    /* Beyond that, a sample stands for itself alone: it may be that the host took the processor away meanwhile. */
    SAMPLE_MOST_NS = 50000,
    /* So much that was estimated may be charged later than the time slice in which it was noticed. */
    LATER_MOST_NS = 20000000,
};

static struct sched_entity *
running(void)
{
    return sched_entity_of(current_task());
}

/* The part of a section that lies in the present time slice, until now. */
static uint64_t
part(const struct sched_entity *e, uint64_t now)
{
    return now - (e->kernel_since > e->started_ns ? e->kernel_since : e->started_ns);
}

bool
kernel_time_begin(void)
{
    struct sched_entity *e = running();

    if (e->kernel_since)
        return false;
    e->kernel_since = platform_monotonic_ns();
    e->section_ns = 0;
    return true;
}

uint64_t
kernel_time_end(void)
{
    struct sched_entity *e = running();
    uint64_t last;

    if (!e->kernel_since)
        return 0;
    last = part(e, platform_monotonic_ns());
    e->kernel_since = 0;
    e->kernel_ns += last;
    return e->section_ns + last;
}

/* What one reading of the clock takes, which is in each section once. */
static uint64_t
clock_cost(void)
{
    static uint64_t cost;
    uint64_t before, now;

    if (cost)
        return cost;
    cost = UINT64_MAX;
    before = platform_monotonic_ns();
    for (int k = 0; k < 32; k++, before = now) {
        now = platform_monotonic_ns();
        if (now - before < cost)
            cost = now - before;
    }
    return cost = cost ? cost : 1;
}

void
kernel_time_call(uint64_t took, unsigned stands_for)
{
    uint64_t cost = clock_cost(), one = (took > cost ? took - cost : 0) + EDGE_NS;

    running()->sampled_ns += (one < SAMPLE_MOST_NS ? one : SAMPLE_MOST_NS) * (stands_for - 1);
}

unsigned
kernel_time_next_sample(void)
{
    static uint32_t state = 1; /* xorshift: Marsaglia, Xorshift RNGs, 2003 */

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return 1 + state % (2 * KERNEL_TIME_SAMPLED - 1);
}

/* What was measured has its part of the time that the host took away in it. Samples do not (SAMPLE_MOST_NS). */
uint64_t
kernel_time_take(struct sched_entity *e, uint64_t ns, uint64_t used)
{
    uint64_t measured, sampled;

    if (e->kernel_since) {
        uint64_t this_part = part(e, e->started_ns + ns);

        e->section_ns += this_part;
        e->kernel_ns += this_part;
    }
    measured = e->kernel_ns < ns ? e->kernel_ns : ns;
    e->kernel_ns -= measured;
    if (used < ns)
        measured = (uint64_t)((unsigned __int128)measured * used / ns);
    sampled = e->sampled_ns < used - measured ? e->sampled_ns : used - measured;
    e->sampled_ns -= sampled;
    if (e->sampled_ns > LATER_MOST_NS)
        e->sampled_ns = LATER_MOST_NS;
    return measured + sampled;
}
