/* Between ptrace.c and the files of its requests. */
#ifndef VKERNEL_PROC_PTRACE_H
#define VKERNEL_PROC_PTRACE_H

#include "vkernel/task/trace.h"

/* --- ptrace_registers.c: the registers of a tracee in a stop. All of it is what any tracer writes: no value of a
 * register is trusted by anybody. 0 or -errno. --- */
struct x86_cpu *ptrace_cpu(const struct trace *tr);
int64_t ptrace_peek_user(const struct trace *tr, uint64_t offset, uint64_t out);
int64_t ptrace_poke_user(struct trace *tr, uint64_t offset, uint64_t value);
int64_t ptrace_get_registers(const struct trace *tr, uint64_t out); /* struct user_regs_struct */
int64_t ptrace_set_registers(struct trace *tr, uint64_t from);
int64_t ptrace_get_floats(const struct trace *tr, uint64_t out); /* struct user_fpregs_struct */
int64_t ptrace_set_floats(struct trace *tr, uint64_t from);
int64_t ptrace_register_set(struct trace *tr, uint64_t type, uint64_t iovec, bool set);
int64_t ptrace_arch_prctl(struct trace *tr, uint64_t code, uint64_t value);

#endif
