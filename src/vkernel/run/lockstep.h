/* ingot run --lockstep: everything that native code does (compiled, or rewritten: docs/direct.md), the evaluator does
 * again from the same state and memory; where they part, the process ends with a report (docs/testing.md).
 *
 * A *region* is a run of compiled code without the kernel in between: from where it is entered or gone back to
 * until it asks for something. In it every check fires and its state is logged. At its end memory is rolled
 * back, the evaluator follows the log, and registers and memory are compared. Then the guest goes on from what
 * compiled code made. Rewritten code has no checks: its regions end by a tick at the latest, and which instruction is
 * wrong is found by running it again, instruction by instruction (lockstep_direct.c). One host worker runs all guest
 * threads, none of them within a region of another, so what a region reads changes under neither execution. */
#ifndef VKERNEL_RUN_LOCKSTEP_H
#define VKERNEL_RUN_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

enum lockstep_end {
    LOCKSTEP_POLL,    /* at a check, which is the last one in the log */
    LOCKSTEP_AT,      /* the guest went to rip, where compiled code does not go on by itself; so for kernel.enter */
    LOCKSTEP_SYSCALL, /* rip is after it */
    LOCKSTEP_TRAP,    /* detail: the vector; rip */
    LOCKSTEP_FAULT,   /* within an instruction; detail: what both must agree on. Registers are exact in rewritten code
                         only */
    LOCKSTEP_STATE,   /* rewritten code was stopped at rip, by a tick or because it knew no way there: whenever the
                         evaluator comes by with * this state, it is right */
};

extern bool lockstep_on;

void lockstep_init(void);
/* Before native code runs: entered from the dispatcher, or gone back to. Does nothing when a region is open. */
void lockstep_begin(bool entered);
/* At a check: true when there is nothing else to do. */
bool lockstep_poll(uint64_t pc);
/* Native code came in. Returns if it was right; then for LOCKSTEP_FAULT x86_this_cpu() is the evaluator's
 * state. Does nothing when no region is open. */
void lockstep_end(enum lockstep_end kind, uint64_t detail);
/* A fault (kind LOCKSTEP_FAULT) or exception (LOCKSTEP_TRAP): returns if it is for the guest. */
void lockstep_caught(enum lockstep_end kind, uint64_t detail);
/* eval_host.ends_before: compiled code has a check there. */
bool lockstep_block_ends(void *context, uint64_t address);
unsigned lockstep_tick_us(void);  /* a region of rewritten code is no longer */
uint64_t lockstep_compared(void); /* checks and ends of regions */

#endif
