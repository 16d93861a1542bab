/* The phases of a build: work of many jobs, spread over worker processes. */
#ifndef RECOMPILE_PHASE_H
#define RECOMPILE_PHASE_H

#include "recompile/jobs.h"
#include "recompile/recompile.h"

struct phase {
    struct recompile *r;
    VEC(size_t) jobs;         /* a job is a number; the phase says what it means */
    uint64_t total;           /* weight of all jobs, in bytes of x86 text */
    const char *title, *unit; /* for the progress: what is done, and what the jobs of it are called */
    /* The three of struct jobs; their context is this phase. */
    int (*run)(void *context, size_t index, struct err *e);
    const char *(*name)(void *context, size_t index);
    uint64_t (*weight)(void *context, size_t index);
    /* Which of two jobs starts first, as qsort_r() has it; the context is the struct recompile. */
    int (*compare)(const void *a, const void *b, void *context);
};

/* Runs all jobs, if there are any. */
int phase_run(struct phase *p, struct err *e);

#endif
