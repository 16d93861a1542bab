/* What compiled code calls of the kernel. The functions of enter.S have a calling convention of their own: they
 * hand the guest's registers over in x86_cpu_tls, and call the functions NAME_c, which the vkernel defines
 * (run/run.c), or a test. */
#ifndef PLATFORM_KERNEL_IMPORTS_H
#define PLATFORM_KERNEL_IMPORTS_H

#include <stdint.h>

/* enter.S: only their addresses are of use to C. */
void kernel_syscall(void);
void kernel_poll(void);
void kernel_enter(void);
void kernel_trap(void);
void kernel_unwind(void);

/* These return only if the guest goes on at `next`, `pc` or `link`, as compiled code expects. */
void kernel_syscall_c(uint64_t next);
void kernel_poll_c(uint64_t pc);
void kernel_enter_c(uint64_t link);
_Noreturn void kernel_trap_c(uint64_t pc);

/* A trap of WebAssembly (enum aot_trap), called as C. */
_Noreturn void kernel_wasm_trap(int kind);

#endif
