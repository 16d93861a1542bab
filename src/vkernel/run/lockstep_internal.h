/* What the files of lockstep share with one another. */
#ifndef VKERNEL_RUN_LOCKSTEP_INTERNAL_H
#define VKERNEL_RUN_LOCKSTEP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/ir.h"
#include "platform/platform.h"
#include "vkernel/run/lockstep.h"
#include "x86/cpu.h"

struct mm;

enum { LOCKSTEP_LOG = 2048 }; /* polls in a region */

/* The states that are compared: those of ir_state_infos; STATE_X87, which stands for the x87 unit without the mantissas
 * of its registers; and, of rewritten code, STATE_MXCSR. */
#define STATE_X87   X86_S_COUNT
#define STATE_MXCSR (X86_S_COUNT + 1)
#define STATES_COMPARED                                                                         \
    (IR_STATES_ALL & ~IR_STATES_FLAGS & ~IR_STATE_BIT(X86_S_TMP0) & ~IR_STATE_BIT(X86_S_TMP1) & \
     ~IR_STATE_BIT(X86_S_TMPV) & ~IR_STATE_BIT(X86_S_LIMIT) & ~IR_STATE_BIT(X86_S_STACK))

struct checkpoint { /* what the log has of one poll */
    uint64_t pc;
    struct x86_cpu cpu;
};

struct region {
    bool open, entered;
    struct mm *mm;
    struct x86_cpu start;           /* native code's state */
    struct x86_cpu evaluator_start; /* the evaluator's own: states that nobody will read may differ */
    struct x86_cpu end;
    enum lockstep_end kind;
    uint64_t detail;
    size_t count;
    struct checkpoint log[LOCKSTEP_LOG];
};
extern struct region lockstep_region;

/* --- the evaluator's run: lockstep.c --- */
enum replay_result {
    REPLAY_SAME,
    REPLAY_STATE, /* the states differ at a poll (index next) or, when next == count, at the end */
    REPLAY_PATH,  /* the evaluator went elsewhere after poll next - 1 */
};
struct replay {
    size_t stop;  /* the polls to follow the log for; more than the log's count: to the region's end */
    bool goes_on; /* the replay goes on, whatever differs (for reports) */
    void (*step)(struct replay *r, uint64_t address); /* NULL, or called before each instruction but the first */
    void (*check)(struct replay *r);                  /* NULL, or called at each poll, before next is counted up */
    size_t next;                                      /* how many polls were met */
    uint64_t steps;                                   /* blocks or instructions since the last of them */
    uint64_t limit;                                   /* the most steps; 0: a value for everyday use */
    bool stopped;                                     /* set by step: the replay is to end here */
    enum replay_result result;
};
/* Runs the evaluator from the region's start, with memory rolled back; leaves the state in x86_this_cpu(). */
void lockstep_replay(struct replay *r);
/* The evaluator's state now, as a whole. */
const struct x86_cpu *lockstep_evaluated(void);
/* The states that differ. At a poll within a function, compiled code has the right value only of those that somebody
 * may still read. */
ir_states lockstep_differences(const struct x86_cpu *a, const struct x86_cpu *b);
/* those that differ from lockstep_region.end and count there */
ir_states lockstep_end_differences(const struct x86_cpu *evaluated);
/* Runs the region's compiled code once more, from rolled back memory, until it has made so many polls or is at its end.
 * It runs on a copy of the region's host stack. False: no stack was kept, as for rewritten code. */
bool lockstep_rerun(size_t checks);

/* --- memory as it was: lockstep_memory.c --- */
void snapshot_begin(struct mm *mm); /* from here on each page is copied before it is written */
void snapshot_keep_result(void);    /* keeps what is in these pages now, as the result of one execution */
void snapshot_roll_back(void);
/* The lowest address whose byte is not as in the kept result. False: there is none. */
bool snapshot_differs(uint64_t *address);
void snapshot_take_result(void); /* memory becomes the kept result again */
void snapshot_end(void);         /* pages may be written again without a copy */

/* --- what an instruction does: lockstep_effects.c --- */
struct effects { /* what one instruction does, by state */
    ir_states written;
    ir_states depends[STATE_MXCSR + 1];
    ir_states control; /* the states that decide where it goes */
    ir_states stores;  /* the states that decide what it stores, and where */
    bool copies;       /* it computes nothing, so that what is wrong behind it was wrong before it */
};
void effects_of(uint64_t address, struct effects *e);
/* The states before the instruction on which these states behind it depend. */
ir_states effects_needed_before(const struct effects *e, ir_states states);

/* --- lines of a report: lockstep_show.c --- */
const char *lockstep_native(void); /* what a report calls the code: "compiled" or "rewritten" */
void show_head(void);
void show_instruction(uint64_t address, bool suspect, bool part);
void show_states(const struct x86_cpu *compiled, const struct x86_cpu *evaluated, ir_states which);
void show_registers(const struct x86_cpu *cpu);
void show_bytes(const char *who, uint64_t address); /* the bytes as they are now */
_Noreturn void show_end(void);

/* --- lockstep_report.c; of rewritten code: lockstep_direct.c --- */
_Noreturn void lockstep_report(const struct replay *found);
_Noreturn void lockstep_report_direct(void);
/* To be called when rewritten code that runs step by step has left; does not return. */
_Noreturn void lockstep_steps_end(void);

#endif
