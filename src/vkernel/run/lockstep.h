/* ingot run --lockstep: everything that native code does, the evaluator does again from the same state and memory.
 * Where the two part, the process ends with a report (docs/testing.md).
 *
 * A *region* is a run of native code without the kernel in between: from where it is entered, or gone back to, until it
 * asks for something. In a region of compiled code every poll calls, and the state is logged there. At the region's end
 * memory is rolled back, the evaluator follows the log, and registers and memory are compared. Then the guest goes on
 * from what native code made. Rewritten code has no polls: its regions end by a tick at the latest, and which
 * instruction is wrong is found by running the region again, instruction by instruction (lockstep_direct.c).
 *
 * In lockstep a container has one processor, and no guest thread runs within a region of another. So what a region
 * reads changes under neither execution. */
#ifndef VKERNEL_RUN_LOCKSTEP_H
#define VKERNEL_RUN_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

enum lockstep_end {
    LOCKSTEP_POLL,    /* at a poll, which is the last one in the log */
    LOCKSTEP_AT,      /* the guest went to rip, where native code does not go on by itself; so for kernel.enter */
    LOCKSTEP_SYSCALL, /* rip is behind the instruction */
    LOCKSTEP_TRAP,    /* detail: the vector; rip is that of the instruction */
    /* within an instruction; detail: a number that must be the same in both. Registers are exact in rewritten code
     * only */
    LOCKSTEP_FAULT,
    /* rewritten code was stopped at rip, by a tick or because it knew no way on. The evaluator is right if it ever
     * comes by with this state */
    LOCKSTEP_STATE,
};

extern bool lockstep_on;

void lockstep_init(void);
/* To be called before native code runs. entered: it is entered by the dispatcher; else the kernel goes back to it. Does
 * nothing when a region is open. */
void lockstep_begin(bool entered);
/* To be called at a poll: true when there is nothing else to do. */
bool lockstep_poll(uint64_t pc);
/* To be called when native code has left or called the kernel. Returns if native code was right; after LOCKSTEP_FAULT
 * of compiled code x86_this_cpu() is the evaluator's state then. Does nothing when no region is open. */
void lockstep_end(enum lockstep_end kind, uint64_t detail);
/* To be told of a fault (LOCKSTEP_FAULT) or exception (LOCKSTEP_TRAP). Returns if it is not the replay's but the
 * guest's. */
void lockstep_caught(enum lockstep_end kind, uint64_t detail);
/* eval_host.ends_before: native code polls there, was left there, or has an entry there. */
bool lockstep_block_ends(void *context, uint64_t address);
unsigned lockstep_tick_us(void);  /* microseconds; no region of rewritten code takes longer */
uint64_t lockstep_compared(void); /* how many polls and ends of regions were compared */

#endif
