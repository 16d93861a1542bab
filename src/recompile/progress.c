/* Progress of long work, on standard error. */
#include "recompile/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

uint64_t
progress_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void
progress_init(struct progress *p, bool quiet)
{
    *p = (struct progress){.terminal = isatty(2), .quiet = quiet};
}

void
progress_phase(struct progress *p, const char *phase, uint64_t total, const char *unit, unsigned count)
{
    p->phase = phase;
    p->unit = unit;
    p->total = total;
    p->count = count;
    p->start_ns = progress_now_ns();
    p->last_ns = 0;
    p->last_percent = -1;
}

void
progress_update(struct progress *p, uint64_t done, unsigned count_done)
{
    uint64_t now = progress_now_ns();
    double seconds = (double)(now - p->start_ns) / 1e9;
    double rate = seconds > 0.1 ? (double)done / seconds : 0;
    char left[32] = "";
    int percent = p->total ? (int)(100.0 * (double)done / (double)p->total) : 100;

    if (p->quiet || !p->total)
        return;
    if (rate > 0)
        snprintf(left, sizeof left, ", %.0f s left", (double)(p->total - done) / rate);
    if (p->terminal) {
        if (now - p->last_ns < 100000000u)
            return;
        fprintf(stderr, "\r\033[K%s: %u/%u %s, %.1f/%.1f MB of text, %.0f KB/s%s", p->phase, count_done, p->count,
                p->unit, (double)done / 1e6, (double)p->total / 1e6, rate / 1e3, left);
        fflush(stderr);
    } else {
        if (percent / 10 == p->last_percent / 10 && p->last_percent >= 0)
            return;
        fprintf(stderr, "%s: %u/%u %s, %.1f/%.1f MB of text (%d %%), %.0f KB/s%s\n", p->phase, count_done, p->count,
                p->unit, (double)done / 1e6, (double)p->total / 1e6, percent, rate / 1e3, left);
    }
    p->last_ns = now;
    p->last_percent = percent;
}

void
progress_done(struct progress *p)
{
    if (!p->quiet && p->terminal)
        fprintf(stderr, "\r\033[K");
}
