/* Numbered mutants: each is made from its number and the seed alone, so that a finding's number repeats it, and they
 * are tried in children, so that one can be lost. Options of every program of that kind: --count N, --seed N|time,
 * --states N, --from NUMBER, --only NUMBER, -v. */
#ifndef TESTS_SANDBOX_MUTANTS_H
#define TESTS_SANDBOX_MUTANTS_H

#include <getopt.h>

#include "sandbox.h"

enum { MUTANTS_REFUSALS = 3, MUTANTS_MOST_FINDINGS = 20 };

struct mutants {
    volatile uint64_t number;   /* of the one at work */
    const char *volatile phase; /* "made", "run": what becomes of it; a constant */
    unsigned tried, run, findings;
    unsigned refused[MUTANTS_REFUSALS]; /* by what each program has */
    unsigned ends[SANDBOX_ENDS];
};
extern struct mutants *mutants; /* shared with the children */

extern uint64_t mutants_seed, mutants_first, mutants_last;
extern unsigned mutants_states, mutants_most_findings;
extern bool mutants_verbose;

#define MUTANTS_OPTIONS                                                                   \
    {"count", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},      \
        {"states", required_argument, NULL, 't'}, {"from", required_argument, NULL, 'f'}, \
        {"only", required_argument, NULL, 'o'}
/* False: it is none of these. */
bool mutants_option(int c);

int mutants_init(struct err *e);
void mutants_finding(const char *reason);
/* Tries them all; try is called in children, on a stack with a guard. */
void mutants_run(unsigned in_a_child, void (*try)(uint64_t number));
/* For the mutant, and for what `together` of them have in common. */
uint64_t mutants_random(uint64_t number, uint64_t together);

#endif
