/* What the evaluator ran: code without a compiled entry, for --stats and for the next build (ingot build --profile). */
#ifndef VKERNEL_RUN_EVALUATED_H
#define VKERNEL_RUN_EVALUATED_H

#include <stdbool.h>
#include <stdint.h>

struct mm;

extern bool run_stats; /* count at all */
/* Takes over the counters of code in [start, end), while its mappings are still there. */
void evaluated_collect(struct mm *mm, uint64_t start, uint64_t end);
void evaluated_collect_all(void); /* of every process alive */
void evaluated_report(int fd);    /* text: the sum, and the addresses that ran most */
/* The members "evaluated", "files" and "lost" of a --stats=FILE record (docs/formats.md). */
void evaluated_write(void (*put)(const char *text));

#endif
