/* The table of system calls: the handlers are all rooms'. */
#include <errno.h>

#include "vkernel/abi/dispatch.h"

const struct syscall_row syscall_table[SYSCALL_TABLE_SIZE] = {
#define SYS(number, n, a, f) [number] = {.handler = sys_##n, .name = #n, .format = (f), .arity = (a)},
#include "vkernel/abi/syscalls.def"
#undef SYS
#define REFUSED(number, n, e, why) [number] = {.name = #n, .refusal = (e)},
#include "vkernel/abi/refused.def"
#undef REFUSED
};
