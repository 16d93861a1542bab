/* The execution engine: guest code runs until it asks for something, faults, or is interrupted. */
#ifndef VKERNEL_RUN_RUN_H
#define VKERNEL_RUN_RUN_H

#include "platform/platform.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"

/* A nested run inside compiled code: it is over when the guest is back at pc with this stack pointer. */
struct run_frame {
    struct run_frame *outer;
    uint64_t stop_pc, stop_rsp;
};

/* A fault of compiled code whose registers nobody knows, while its handler runs below that code (faults.c). */
struct fault_record {
    struct fault_record *outer;
    struct platform_jump base; /* the dispatcher that runs the handler */
    uint64_t host_pc;
    uint64_t stack; /* all that is in use lies above */
    uint64_t frame; /* the signal frame made there; 0: none, the state is the fault's */
};

/* Values of the jump to a dispatcher. */
enum { JUMP_RESTART = 1, JUMP_FAULT };

/* --- run.c --- */
_Noreturn void task_run(struct task *t); /* first code of a new fiber */
_Noreturn void run_restart(void);        /* drops every frame; goes on at x86_cpu_tls.rip */
void run_reset_limit(void);              /* of the running task's stack; --stress budget: such that every check fires */
bool run_forced_tick(void);              /* --stress budget, of rewritten code, which has no limit */
void syscall_edge(void);                 /* a syscall instruction was executed; rip is after it */
void syscall_edge_with(uint64_t rflags); /* the same, for who has x86_cpu_rflags() at hand */
void poll_edge(void);                    /* preemption and signals */
void run_init(void);
void run_evaluate(void); /* from rip to the next compiled entry, or until something else is to do; the edge included */
/* Runs the guest until the handler of this fault has returned: true; else whoever is further out goes on. */
bool run_until_returned(struct fault_record *fault);
/* For the evaluator (eval_host.fetch), and: is there a compiled entry at the address? */
const uint8_t *run_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base);
bool run_has_entry(uint64_t address);
/* Does the evaluator run everything, because floating-point exceptions are unmasked and their handler looks at registers?
 * Compiled code has no map of its arithmetic (decision 0009). */
bool run_floats_evaluated(void);
extern bool stress_unwind, stress_budget, stress_evaluate;

/* --- deliver.c --- */
/* At the edge to guest code. nr: of the system call that ends, whose result in rax (-ERESTART*) decides; or -1. Returns true when the
 * system call is to be done again in place. */
bool signal_deliver(int nr);
/* A fault of the current task: cannot be blocked or ignored. */
void signal_force(int sig, int code, uint64_t address, int trapno);
/* err: bits of the processor's page fault error code. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_FETCH = 16 };
void signal_force_page_fault(int sig, int code, uint64_t address, unsigned err);

/* --- switch.c: sched_hooks of tasks --- */
void task_charge_time(struct task *t, uint64_t ns);
void task_stop(struct task *t);
void task_leave(struct task *t);
void task_enter(struct task *t);
void task_polled(struct task *t);
void task_count_switch(struct task *t, bool voluntary);
bool task_wants_tick(struct task *t);
void task_reload(void); /* the running task's address space is another one (exec) */

/* --- faults.c --- */
void run_trap(unsigned vector, uint64_t pc); /* an exception, IR_TRAP_* or a vector, of the instruction at pc */
/* x86_cpu_tls is as of a string instruction that faulted in the evaluator: what that did before becomes visible. */
void fault_finish_string(void);
void fault_deliver(void); /* the signal of the fault or exception that was left by JUMP_FAULT */
/* Has the handler gone away by longjmp, as it seems: is the stack pointer above its frame, or on another stack? */
bool fault_is_left(const struct fault_record *fault);
/* Is the state of this task that of a fault whose registers nobody knows? Then its record. */
struct fault_record *fault_unknown(const struct task *t);
#define FAULT_UNKNOWN_CONTEXT (GUEST_UNKNOWN + 0x1000u) /* what the handler gets as its context */
/* What stands for a register of it. number: of x86; 16: rip */
uint64_t fault_unknown_register(unsigned number);
/* sigreturn from the frame at this address, made over an unknown state; it ends the process unless the fault is still there. */
void fault_returned(struct task *t, uint64_t frame);
/* Ends the process: somebody wants of a fault what only precise faults could tell. The verb's subject is a handler. */
_Noreturn void fault_refuse(const char *verb);

/* A copy from or to this address cannot be: was it what stands for unknown registers? Then the process ends. */
void fault_note_copy(uint64_t address);

/* --- trampoline.c --- */
bool trampoline_run(void); /* is there a known one at rip, which is not executable? It has been carried out */

#endif
