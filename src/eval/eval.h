/* The IR evaluator: runs guest code that has no compiled entry, from the same IR (DESIGN D7).
 * Works on x86_this_cpu() and the current guest memory.
 *
 * Several threads may run in one evaluator, each on a state of its own. They take turns in everything here (whoever
 * calls holds a lock) but the running of translated code, for which a run may let go of the lock. */
#ifndef EVAL_EVAL_H
#define EVAL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the evaluator needs from its host (the vkernel, or a test). Addresses are guest addresses. */
struct eval_host {
    void *context;
    /* Start of the guest's memory in host memory (address 0). */
    uint8_t *memory;
    /* The code at a guest address: host pointer to bytes of a ledger-verified executable mapping, bytes
     * left in it, and its image base (0 for ET_EXEC). NULL: not executable (the vkernel raises SIGSEGV). */
    const uint8_t *(*fetch)(void *context, uint64_t address, size_t *left, uint64_t *image_base);
    /* Is there a compiled entry at this address? Then the evaluator stops before it. */
    bool (*has_compiled)(void *context, uint64_t address);
    /* NULL, or: must a block end before the instruction at this address, so that has_compiled is asked? Asked when code
     * is translated; for others, eval_invalidate(). */
    bool (*ends_before)(void *context, uint64_t address);
    /* NULL, or: between these two calls nothing is done but the running of translated code, which touches the CPU
     * state and the guest's memory alone, so that the caller's lock may be let go. come_in() is also called without a
     * go_out() before it. A run goes out behind its first block, because many are not longer. While it is out, blocks
     * follow each other without has_compiled being asked: who makes it answer otherwise than before calls
     * eval_invalidate(). */
    void (*go_out)(void *context), (*come_in)(void *context);
};

enum eval_stop {
    EVAL_COMPILED, /* x86_cpu.rip has a compiled entry */
    EVAL_SYSCALL,  /* a syscall instruction was executed; rip is after it */
    EVAL_TRAP,     /* exception *trap (IR_TRAP_*) at rip */
    EVAL_NOEXEC,   /* rip is not in an executable mapping */
    EVAL_BUDGET,   /* x86_cpu.limit asks for a poll (checked at every block end), or code was forgotten; state exact */
};

struct eval; /* block cache and counters; one per guest address space */

struct eval *eval_new(void);
void eval_free(struct eval *ev); /* with the last run in it that is under way */
/* Mappings in [start, end) changed: forget blocks there. Runs of other threads end behind the block in which they are.
 */
void eval_invalidate(struct eval *ev, uint64_t start, uint64_t end);
/* Runs of other threads end behind the block in which they are, because this is no longer the evaluator of their
 * address space. */
void eval_stop_runs(struct eval *ev);
/* Runs from x86_cpu.rip. limit_forced(): a check is due when x86_this_cpu()->limit == UINT64_MAX. */
enum eval_stop eval_run(struct eval *ev, const struct eval_host *host, unsigned *trap);

/* In a handler of a fault in eval_run(), or in x86_raise(): the guest address of the instruction that faulted. The
 * translation tells it, which may be freed from eval_left() on if the code has changed since the run began. State is as
 * of the instruction's last operation before the fault, rip is not touched. */
uint64_t eval_fault_address(void);
/* Whoever leaves eval_run() by a jump calls this before, or lets the next eval_run() of the thread do it who still asks
 * where the run was. Where no run is under way it does nothing. */
void eval_left(void);

struct ir_build;
struct ir_block;
/* The IR of the instruction in these bytes, the only block of the builder's function; address is image-relative. For
 * those who explain what the evaluator did. */
const struct ir_block *eval_instruction_ir(struct ir_build *b, const uint8_t *bytes, size_t size, uint64_t address);

/* Where the block that was run last ends; as eval_fault_address(). */
uint64_t eval_block_end(void);

/* Counters per start address of a block. */
struct eval_count {
    uint64_t address;
    uint64_t entered; /* how often eval_run() began here or an indirect jump, call or return led here */
    uint64_t insns;   /* guest instructions executed */
};
/* Hands out the counters of all blocks in [start, end) that ran, in no order, and sets them to zero. */
void eval_collect(struct eval *ev, uint64_t start, uint64_t end,
                  void (*take)(void *context, const struct eval_count *c), void *context);

/* The thread-local variable that the evaluator computes in, and its size: between two calls of it there is nothing in it. */
void *eval_scratch(size_t *size);

#endif
