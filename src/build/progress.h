/* Progress of long work: one line redrawn on a terminal, a plain line now and then otherwise. */
#ifndef BUILD_PROGRESS_H
#define BUILD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, quiet;
    const char *phase;
    uint64_t total, start_ns, last_ns;
    unsigned files;
    int last_percent;
};

void progress_init(struct progress *p, bool quiet);
/* total: bytes of x86 text in this phase; files: how many. */
void progress_phase(struct progress *p, const char *phase, uint64_t total, unsigned files);
void progress_update(struct progress *p, uint64_t done, unsigned files_done);
void progress_done(struct progress *p);
uint64_t progress_now_ns(void);

#endif
