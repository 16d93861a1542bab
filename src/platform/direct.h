/* Rewritten guest code (docs/direct.md) as the host sees it: direct.S, direct.c. */
#ifndef PLATFORM_DIRECT_H
#define PLATFORM_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

struct x86_cpu;

/* Is there any in this executable, and: does the host address lie in it? */
bool platform_has_direct(void);
bool platform_in_direct_text(uint64_t host);
/* Where a byte of this executable's file is loaded, if it is in the same segment as that code; else 0. */
uint64_t platform_direct_loaded_at(uint64_t file_offset);

/* Runs it from the state in x86_cpu_tls until it leaves; the state is there again, rip too. rflags: status flags and DF
 * only. */
void direct_enter(uint64_t host, uint64_t rflags);
/* What its code jumps to and calls: docs/direct.md. */
void direct_syscall(void), direct_unwind(void), direct_jump(void), direct_evaluate(void);
/* What lies at the bottom of each host stack of rewritten code, as a return address. */
extern const uint8_t direct_base[];

/* Whoever runs guests defines these; the state is in x86_cpu_tls but for the flags, which are in rflags.
 * A system call, with rip behind it; returns if the guest goes on there. */
void direct_syscall_c(uint64_t next, uint64_t rflags);
/* rip has no entry in the cache, or its instruction is the evaluator's. *top is the host's return address on top of the
 * stack. Returns the host address where the guest goes on, or 0: *top is that address. RFLAGS are in x86_cpu_tls.tmp[0]
 * then. */
uint64_t direct_jump_c(uint64_t rflags, const uint64_t *top);
uint64_t direct_evaluate_c(uint64_t rflags, const uint64_t *top);
/* Between two instructions, at this host address; returns if the guest goes on there in the same state. */
void direct_poll_c(uint64_t host, uint64_t rflags);
/* The guest left, and these are its flags. */
void direct_flags_c(uint64_t rflags);
struct platform_fault;
/* From the host's signal handler, which interrupted rewritten code there: what becomes of it? */
enum direct_interrupted {
    DIRECT_POLLS,   /* it goes to direct_poll */
    DIRECT_LEAVES,  /* the guest's state is in x86_cpu_tls, and it goes to platform_leave */
    DIRECT_STEPS,   /* the trap flag brings it here again, behind the next instruction of the host's */
    DIRECT_GOES_ON, /* until the next signal */
};
enum direct_interrupted direct_interrupted(const struct platform_fault *f) __attribute__((weak));

/* For lockstep: code that was entered with the trap flag is stopped behind each instruction of the host's, and no other
 * signal interrupts it, while this is on. Of each within rewritten text direct_stepped() is told, and answers
 * DIRECT_LEAVES or DIRECT_STEPS. */
extern bool platform_direct_steps;
enum direct_interrupted direct_stepped(const struct platform_fault *f) __attribute__((weak));

/* --- the cache of host addresses: what returns, jumps and calls without another way find --- */
/* The code of the address space in which the fiber runs, by a number that no other code ever has; not 0. To be called
 * when it is to run, and when that code changes while it runs, on whatever thread. */
struct platform_fiber;
void platform_direct_generation(struct platform_fiber *f, uint64_t generation);
void platform_direct_remember(uint64_t guest, uint64_t host); /* in the present generation */
uint64_t platform_direct_recall(uint64_t guest);              /* 0: not there */

/* --- for platform/: the context of a host signal --- */
/* News for the vkernel came while rewritten code may have been running: it is led there, at once or from one of the
 * next instructions. */
void platform_direct_interrupt(void *ucontext);
/* The same, where that had the processor stop behind one of the host's instructions. A guest that cannot be led away
 * from any of many is ended by platform_on_fault, with SIGKILL. */
void platform_direct_step(void *ucontext);
void platform_fault_take(struct platform_fault *f, void *ucontext); /* faults.c: all of it but what the siginfo tells */
/* A host call found no room on the fiber's stack: true, and all that is on it is thrown away. */
bool platform_direct_stack_full(uint64_t address, void *ucontext);

#endif
