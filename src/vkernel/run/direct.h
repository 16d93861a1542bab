/* Running rewritten code (docs/direct.md). */
#ifndef VKERNEL_RUN_DIRECT_H
#define VKERNEL_RUN_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

struct mm;
struct platform_fault;
struct x86_cpu;

/* The host address of the rewritten code for this guest address, which the running process has mapped where it was made
 * for; 0: there is none. */
uint64_t direct_entry(uint64_t guest);
struct direct_insn;
/* The instruction there, if rewritten code can be entered at it. */
bool direct_insn_at(uint64_t guest, struct direct_insn *out);
/* Runs from there until the guest leaves rewritten code. */
void direct_run(uint64_t host);
/* The same with the trap flag (platform_direct_steps), and without a look at ticks. */
void direct_run_steps(uint64_t host);
/* The guest's state where the trap flag has stopped rewritten code; x86_cpu_tls does not change. False: that is not at
 * the beginning of an instruction of the guest's. */
bool direct_state_between(const struct platform_fault *f, struct x86_cpu *out);

/* A fault of rewritten code: all of the guest's state goes to x86_cpu_tls, as before the instruction that faulted.
 * False: it is none. */
bool direct_fault_state(const struct platform_fault *f);

/* Rewritten code that has called the vkernel does not go on where it was: the dispatcher decides what runs next. */
void direct_leave(void);

/* A host address in rewritten text becomes the guest's; others stay what they are. */
uint64_t direct_guest_address(uint64_t address);

#endif
