/* Seccomp: a task narrows down which system calls it and its children can make (seccomp(2), seccomp_unotify(2)). Who
 * makes calls asks seccomp_check() for each call of a task that has CALL_SECCOMP in call_work, and carries out what it
 * says (run/call_work.c). */
#ifndef VKERNEL_SECCOMP_SECCOMP_H
#define VKERNEL_SECCOMP_SECCOMP_H

#include <linux/seccomp.h>
#include <stdint.h>

#include "vkernel/task/process.h"

struct text;

/* What becomes of a call. */
enum seccomp_verdict {
    SECCOMP_MAKE,        /* it is made */
    SECCOMP_ANSWER,      /* it is not made, and value is its result */
    SECCOMP_SIGNAL,      /* it is not made: the registers stay, and SIGSYS comes with value as si_errno */
    SECCOMP_TELL_TRACER, /* a tracer that asked for it decides, and gets value; without one the result is -ENOSYS */
    SECCOMP_END_TASK,    /* the task ends with the wait status value */
    SECCOMP_END_PROCESS  /* the process ends by SIGSYS */
};
struct seccomp_outcome {
    enum seccomp_verdict verdict;
    int64_t value;
    bool restarts; /* with SECCOMP_ANSWER: value may be -ERESTARTSYS, which means what it does of any call */
};
/* For the running task, which may sleep for an answer of who listens. `data` is kept to the end of the call. */
struct seccomp_outcome seccomp_check(const struct seccomp_data *data);

/* prctl(PR_SET_SECCOMP): 0 or -errno. filter: the address of a struct sock_fprog, for SECCOMP_MODE_FILTER. */
int64_t seccomp_prctl(uint64_t mode, uint64_t filter);

/* A new task, of which nobody knows yet, gets the current one's mode and filters. */
void seccomp_inherit(struct task *t);
/* A task that ends, or was not to be, gives up its filters. Its mode stays. */
void seccomp_leave(struct task *t);

/* /proc/sys/kernel/seccomp/actions_logged: the names of actions, separated by blanks. */
enum { SECCOMP_NAMES = 128 }; /* room for all */
void seccomp_show_available(char out[SECCOMP_NAMES]);
void seccomp_show_logged(char out[SECCOMP_NAMES]);
int seccomp_set_logged(const char *names); /* 0, -EPERM, -EINVAL */

#endif
