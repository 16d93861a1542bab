/* Filters for the cases of seccomp. */
#ifndef CASES_SECCOMP_H
#define CASES_SECCOMP_H

#include "case.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#define COUNT(a)              (sizeof(a) / sizeof *(a))
#define LOAD(field)           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(value)         BPF_STMT(BPF_RET | BPF_K, value)

static inline void
no_new_privs(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static inline long
seccomp(unsigned operation, unsigned flags, void *argument)
{
    return syscall(SYS_seccomp, operation, flags, argument);
}

static inline long
install(unsigned flags, struct sock_filter *program, size_t count)
{
    struct sock_fprog p = {.len = (unsigned short)count, .filter = program};

    return seccomp(SECCOMP_SET_MODE_FILTER, flags, &p);
}
#define INSTALL(flags, ...)                            \
    ({                                                 \
        struct sock_filter program_[] = {__VA_ARGS__}; \
        install(flags, program_, COUNT(program_));     \
    })

/* This call has this result, all others are allowed. */
#define FOR_CALL(nr_, result) LOAD(nr), EQUAL(nr_, 0, 1), RETURN(result), RETURN(SECCOMP_RET_ALLOW)

static inline long
filter_call(unsigned flags, unsigned nr, unsigned result)
{
    return INSTALL(flags, FOR_CALL(nr, result));
}

/* A line of /proc/self/status or another thread's. */
static inline void
say_status(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    char line[256];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            printf("%s", line);
    if (f)
        fclose(f);
    fflush(stdout);
}

static inline void
say_seccomp(void)
{
    say_status("/proc/thread-self/status", "NoNewPrivs:");
    say_status("/proc/thread-self/status", "Seccomp");
}

#endif
