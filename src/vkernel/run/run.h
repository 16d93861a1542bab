/* Running guest code until it asks for something, faults, or is interrupted; delivering signals to it; and what its
 * faults become. */
#ifndef VKERNEL_RUN_RUN_H
#define VKERNEL_RUN_RUN_H

#include "eval/eval.h"
#include "platform/platform.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"

/* A nested run: guest code that runs below compiled code. It is over when the guest is back at stop_pc with this stack
 * pointer. */
struct run_frame {
    struct run_frame *outer;
    uint64_t stop_pc, stop_rsp;
};

/* A fault of compiled code whose guest registers nobody knows. The record exists while the fault's handler runs below
 * that code (faults.c). */
struct fault_record {
    struct fault_record *outer;
    struct platform_jump base; /* the dispatcher that runs the handler */
    uint64_t host_pc;
    /* cpu.stack at the fault. Of the guest's stack nothing below it is in use but X86_STACK_LAG bytes and the red
     * zone. */
    uint64_t stack;
    uint64_t frame; /* the handler's signal frame; 0: there is none, and the task's state is still that of the fault */
};

/* The values that platform_jump() passes to a dispatcher. */
enum { JUMP_RESTART = 1, JUMP_FAULT };

/* --- run.c --- */
_Noreturn void task_run(struct task *t); /* the first code of a new fiber */
_Noreturn void run_restart(void); /* drops every frame of the fiber; its base dispatcher goes on at x86_cpu_tls.rip */
/* Sets cpu.limit to the end of the running task's host stack; with --stress budget, to more than any address, so that
 * every poll calls the kernel. */
void run_reset_limit(void);
/* Does the tick have to come although nobody asks for it? That is so for rewritten code, which has no polls, with
 * --stress budget and in lockstep. */
bool run_forced_tick(void);
void syscall_edge(void);                 /* the guest executed SYSCALL; rip is behind it */
void syscall_edge_with(uint64_t rflags); /* the same, for a caller that has the guest's RFLAGS already */
/* call_work.c: makes a call of the running task, which has call_work, or does not; the result for rax. */
int64_t call_with_work(int64_t nr, uint64_t a[6]);
void poll_edge(void); /* preempts the task if a tick has come, and delivers signals */
void run_init(void);
/* Evaluates from rip to the next compiled entry, or until something else is to be done, such as a system call, which it
 * then does. */
void run_evaluate(void);
/* The same with this evaluator, as the host says, but for memory and fetch: where it stopped. What is to be done then has been, but for
 * EVAL_BUDGET. */
enum eval_stop run_evaluate_with(struct eval *eval, struct eval_host host);
/* Is the guest at a breakpoint of a tracer's? Then it gets the exception of one. */
bool run_breakpoint(void);
/* Runs the guest until the handler of this fault has returned, and returns true. False: it will not return here, and
 * whoever is further out must go on from the guest's state. */
bool run_until_returned(struct fault_record *fault);
/* run_fetch is the evaluator's eval_host.fetch. run_has_entry: is there native code to enter at this guest address
 * now? */
const uint8_t *run_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base);
bool run_has_entry(uint64_t address);
/* Must the evaluator run everything? Of compiled code alone: because a tracer wants to know registers; or because
 * floating-point exceptions are unmasked and their handler is precise code, which may look at registers: compiled code
 * has no map of the registers at its arithmetic (decision 0009). */
bool run_all_evaluated(void);
extern bool stress_unwind, stress_budget, stress_evaluate;

/* --- deliver.c --- */
/* Delivers pending signals at the edge to guest code. nr: the number of the system call that ends here, whose result in
 * rax (-ERESTART*) decides whether it is restarted; -1: none ends. Returns true when the caller is to do the system
 * call again in place. */
bool signal_deliver(int nr);
/* The current task gets a signal for a fault of its own, which it can neither block nor ignore. */
void signal_force(int sig, int code, uint64_t address, int trapno);
void signal_force_info(const siginfo_t *info);
/* The same for a page fault; err has the bits of the processor's page fault error code. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_FETCH = 16 };
void signal_force_page_fault(int sig, int code, uint64_t address, unsigned err);

/* --- switch.c: sched_hooks of tasks --- */
void task_stop(struct task *t);
void task_leave(struct task *t);
/* Do the guest's loads and stores come in the order of x86, also for those on other processors? What is compiled from
 * WebAssembly does not promise that (docs/decisions/0019). */
bool run_keeps_memory_order(void);
void task_enter(struct task *t);
void task_code_changed(const struct mm *mm);
void task_polled(struct task *t);
void task_count_switch(struct task *t, bool voluntary);
bool task_wants_tick(struct task *t);
void task_reload(void); /* to be called when the running task's address space was replaced (exec) */

/* --- effective.c --- */
/* The instruction at rip, whose registers are those before it, has faulted at an address of which *address has the lower
 * 32 bits: makes it the whole address. Returns the vector of its exception: that of a page fault, or, where the address
 * is not canonical, of #GP or #SS. */
unsigned fault_named_address(uint64_t *address);

/* --- vsyscall.c --- */
/* Carries out a jump to a function of the vsyscall page, or sends SIGSEGV for one to elsewhere in it; false: rip is not
 * there. */
bool vsyscall_run(void);

/* --- faults.c --- */
/* Raises the guest's signal for an exception (IR_TRAP_* or a vector) of the instruction at pc. */
void run_trap(unsigned vector, uint64_t pc);
/* x86_cpu_tls has the state before an instruction that faulted outside of rewritten code. If it is a string instruction
 * with a REP prefix, the elements that it did before the fault become visible in the state. */
void fault_finish_string(void);
void fault_deliver(void); /* sends the signal of the fault or exception that came last (JUMP_FAULT) */
/* Has the handler left by longjmp, as it seems, because the guest's stack pointer is above its frame or on another
 * stack? */
bool fault_is_left(const struct fault_record *fault);
/* The record of the fault whose state this task is in, when nobody knows its registers; else NULL. */
struct fault_record *fault_unknown(const struct task *t);
#define FAULT_UNKNOWN_CONTEXT (GUEST_UNKNOWN + 0x1000u) /* the handler gets this address as its context */
/* The value that the handler gets in place of an unknown register. number: that of x86, or 16 for rip. */
uint64_t fault_unknown_register(unsigned number);
/* rt_sigreturn leaves the frame at this address, which was made over an unknown state. It ends the process unless the
 * record of that fault is still there. */
void fault_returned(struct task *t, uint64_t frame);
/* Ends the process, because a handler wants something of a fault that only precise faults could tell. The handler is
 * the subject of `verb` in the message. */
_Noreturn void fault_refuse(const char *verb);

/* A copy from or to this address has failed. If the address stands for unknown registers, the process ends with a
 * message. */
void fault_note_copy(uint64_t address);

/* --- trampoline.c --- */
/* Is there a known trampoline at rip, which is not executable? Then what it would do has been done. */
bool trampoline_run(void);

#endif
