/* What the executions in the oracle's process share: guest memory, and the way out of a fault. */
#ifndef TESTS_EVAL_ORACLE_NATIVE_H
#define TESTS_EVAL_ORACLE_NATIVE_H

#include <setjmp.h>

#include "oracle.h"

enum native_runs { RUNS_NOTHING, RUNS_NATIVELY, RUNS_EVALUATOR, RUNS_COMPILED, RUNS_DIRECT };

/* Whoever runs something sets `running` after sigsetjmp(escape); a signal or x86_raise() fills in the rest and comes
 * back there. */
extern struct native_caught {
    sigjmp_buf escape;
    volatile enum native_runs running;
    volatile int vector;
    volatile uint64_t rip; /* of a signal; 0: of x86_raise(), whose pc is in pc */
    volatile uint64_t pc;
    struct state state; /* of a signal: the host's registers */
} native_caught;

extern uint8_t *native_guest_memory;

/* Guest code, as of struct eval_host. */
const uint8_t *native_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base);
void native_set_gs(const void *base);
/* The state becomes x86_cpu_tls's, the program the one that native_fetch() and the alarm know. */
struct x86_cpu *native_load_cpu(const struct program *p, const struct state *in);
/* The guest's exception flags go from the host's MXCSR to x86_cpu_tls's. */
void native_take_mxcsr(void);
/* Nothing runs any more: the host's floating point is the C library's again. */
void native_stop(void);
/* The one instruction at x86_cpu_tls.rip in the evaluator, with escape set. The trap, or NO_TRAP. */
int native_evaluate_one(void);
/* The guest instruction that raised what was caught in the evaluator. */
uint64_t native_fault_address(void);

#endif
