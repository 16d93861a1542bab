/* Running the jobs of one phase of a build: they are put in the phase's order, spread over worker processes, and shown
 * in the progress. */
#include "recompile/phase.h"

#include <stdlib.h>

static void
phase_progress(void *context, uint64_t done, size_t jobs)
{
    struct phase *p = context;

    progress_update(p->r->progress, done, (unsigned)jobs);
}

int
phase_run(struct phase *p, struct err *e)
{
    struct jobs jobs = {.count = p->jobs.count,
                        .run = p->run,
                        .name = p->name,
                        .weight = p->weight,
                        .progress = phase_progress,
                        .context = p,
                        .workers = p->r->workers};
    int result;

    if (p->jobs.count == 0)
        return 0;
    qsort_r(p->jobs.items, p->jobs.count, sizeof *p->jobs.items, p->compare, p->r);
    progress_phase(p->r->progress, p->title, p->total, p->unit, (unsigned)p->jobs.count);
    result = jobs_run(&jobs, e);
    progress_done(p->r->progress);
    return result;
}
