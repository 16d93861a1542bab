/* Progress of long work: one line redrawn on a terminal, a plain line now and then otherwise. */
#ifndef RECOMPILE_PROGRESS_H
#define RECOMPILE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, quiet;
    const char *phase, *unit;
    uint64_t total, start_ns, last_ns;
    unsigned count;
    int last_percent;
};

void progress_init(struct progress *p, bool quiet);
/* total: bytes of x86 text in this phase; unit: what is counted beside them ("files"), and how many. */
void progress_phase(struct progress *p, const char *phase, uint64_t total, const char *unit, unsigned count);
void progress_update(struct progress *p, uint64_t done, unsigned count_done);
void progress_done(struct progress *p);
uint64_t progress_now_ns(void);

#endif
