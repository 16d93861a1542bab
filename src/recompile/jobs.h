/* Runs independent jobs in worker processes: a crash or out-of-memory in one job fails that job, not the build,
 * and memory that a compiler leaks goes with the worker. */
#ifndef RECOMPILE_JOBS_H
#define RECOMPILE_JOBS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct jobs {
    size_t count;
    /* Runs job `index` in a worker: 0, or -1 with a message. Results go to files. */
    int (*run)(void *context, size_t index, struct err *e);
    /* Names the job in messages. */
    const char *(*name)(void *context, size_t index);
    /* Called in the parent about ten times a second, with the work finished so far in the units of `weight`. */
    void (*progress)(void *context, uint64_t done_weight, size_t done_jobs);
    uint64_t (*weight)(void *context, size_t index);
    void *context;
    unsigned workers;
};

/* Jobs start in order of index. Stops early on the first failure, whose message it gives. */
int jobs_run(const struct jobs *j, struct err *e);

#endif
