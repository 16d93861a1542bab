/* System calls: the table and the form of handlers. */
#ifndef VKERNEL_ABI_SYSCALL_H
#define VKERNEL_ABI_SYSCALL_H

#include <stdint.h>

/* a[0..5] are the six argument registers. Returns the value for rax: >= 0, or -errno. */
typedef int64_t syscall_fn(const uint64_t a[6]);

#define SYS(nr, name, arity, format) syscall_fn sys_##name;
#include "vkernel/abi/syscalls.def"
#undef SYS

/* Their numbers: NR_read and so on. */
enum {
#define SYS(nr, name, arity, format) NR_##name = (nr),
#include "vkernel/abi/syscalls.def"
#undef SYS
};

#endif
