/* From a system call's number to its handler, and the trace. */
#ifndef VKERNEL_ABI_DISPATCH_H
#define VKERNEL_ABI_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vkernel/abi/syscall.h"

/* The table is boot's (boot/syscall_table.c), as it names handlers of all rooms. */
enum { SYSCALL_TABLE_SIZE = 512 };
struct syscall_row {
    syscall_fn *handler;       /* NULL: it is refused, or there is no such call */
    const char *name, *format; /* format: NULL without a handler */
    unsigned arity;
    int refusal; /* the error of a call that is refused (abi/refused.def); 0: ENOSYS */
};
extern const struct syscall_row syscall_table[SYSCALL_TABLE_SIZE];

/* Makes the call. The arguments are cut in place to the bits that each has by the table. */
int64_t syscall_dispatch(int64_t nr, uint64_t a[6]);
void syscall_report(int fd);
void syscall_write_unknown(void (*put)(const char *text)); /* [number, times], ... */
extern bool strace_on;
extern uint64_t syscall_total;
void strace_exit_note(const char *text);
/* As the trace shows it, without its result. */
void syscall_describe(int64_t nr, const uint64_t a[6], char *out, size_t size);
void strace_result(int64_t nr, int64_t result);

#endif
