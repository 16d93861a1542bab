/* Shared by the files of lockstep. */
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

enum { LOCKSTEP_LOG = 2048 }; /* checks in a region */

/* What states are compared: those of ir_state_infos, one that stands for the x87 unit without its registers' mantissas,
 * and of rewritten code MXCSR. */
#define STATE_X87   X86_S_COUNT
#define STATE_MXCSR (X86_S_COUNT + 1)
#define STATES_COMPARED                                                                         \
    (IR_STATES_ALL & ~IR_STATES_FLAGS & ~IR_STATE_BIT(X86_S_TMP0) & ~IR_STATE_BIT(X86_S_TMP1) & \
     ~IR_STATE_BIT(X86_S_TMPV) & ~IR_STATE_BIT(X86_S_LIMIT) & ~IR_STATE_BIT(X86_S_STACK))

struct checkpoint { /* a check */
    uint64_t pc;
    struct x86_cpu cpu;
};

struct region {
    bool open, entered;
    struct mm *mm;
    struct x86_cpu start;           /* for compiled code */
    struct x86_cpu evaluator_start; /* the evaluator's own: dead states differ */
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
    REPLAY_STATE, /* states differ at a check (index next) or, next == count, at the end */
    REPLAY_PATH,  /* the evaluator went elsewhere after check next - 1 */
};
struct replay {
    size_t stop;                                      /* follow the log only that far; more than count: to the end */
    bool goes_on;                                     /* whatever differs (for reports) */
    void (*step)(struct replay *r, uint64_t address); /* NULL, or called before each instruction but the first */
    void (*check)(struct replay *r);                  /* NULL, or called at each check, before next is counted up */
    size_t next;                                      /* checks met */
    uint64_t steps;                                   /* since then: blocks or instructions */
    uint64_t limit;                                   /* of them */
    bool stopped;                                     /* set by step: that was enough */
    enum replay_result result;
};
/* From the region's start, with memory rolled back; leaves the state in x86_this_cpu(). */
void lockstep_replay(struct replay *r);
/* The evaluator's state now, as a whole. */
const struct x86_cpu *lockstep_evaluated(void);
/* States that differ; only those that somebody may read are right in compiled code at a check within a function. */
ir_states lockstep_differences(const struct x86_cpu *a, const struct x86_cpu *b);
ir_states lockstep_end_differences(const struct x86_cpu *evaluated); /* those from R.end that count there */
/* Runs the region's compiled code once more, from rolled back memory, until it has made that many checks or its
 * end. On a stack of its own. false: its stack was too deep to keep. */
bool lockstep_rerun(size_t checks);

/* --- memory as it was: lockstep_memory.c --- */
void snapshot_begin(struct mm *mm); /* from here on pages are kept before they are written */
void snapshot_keep_result(void);    /* what is in them now, as the other execution's result */
void snapshot_roll_back(void);
/* The first address whose byte is not as in the kept result; false: none. */
bool snapshot_differs(uint64_t *address);
void snapshot_take_result(void); /* back to the kept result */
void snapshot_end(void);         /* pages may be written */

/* --- what an instruction does: lockstep_effects.c --- */
struct effects { /* of one instruction, by state */
    ir_states written;
    ir_states depends[STATE_MXCSR + 1];
    ir_states control; /* what decides where it goes */
    ir_states stores;  /* what it stores, and where */
    bool copies;       /* it computes nothing: what is wrong after it was wrong before */
};
void effects_of(uint64_t address, struct effects *e);
/* The states that these, after the instruction, depend on before it. */
ir_states effects_needed_before(const struct effects *e, ir_states states);

/* --- lines of a report: lockstep_show.c --- */
const char *lockstep_native(void); /* what the code is called: "compiled" or "rewritten" */
void show_head(void);
void show_instruction(uint64_t address, bool suspect, bool part);
void show_states(const struct x86_cpu *compiled, const struct x86_cpu *evaluated, ir_states which);
void show_registers(const struct x86_cpu *cpu);
void show_bytes(const char *who, uint64_t address); /* as they are now */
_Noreturn void show_end(void);

/* --- lockstep_report.c; of rewritten code: lockstep_direct.c --- */
_Noreturn void lockstep_report(const struct replay *found);
_Noreturn void lockstep_report_direct(void);
/* Rewritten code that runs again has come in: does not return. */
_Noreturn void lockstep_steps_end(void);

#endif
