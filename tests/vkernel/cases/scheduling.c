/* sched_*, priorities, affinity, getrlimit and setrlimit, rusage, times. */
#include "case.h"

#include <sys/times.h>

CASE(sched_policies)
{
    struct sched_param p = {0};

    SHOW(sched_getscheduler(0));
    SHOW(sched_getparam(0, &p));
    say("%d", p.sched_priority);
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_get_priority_min(SCHED_FIFO));
    SHOW(sched_get_priority_max(SCHED_OTHER));
    SHOW(sched_get_priority_max(99));
    SHOW(sched_get_priority_min(-1));
    SHOW(sched_setscheduler(0, SCHED_BATCH, &p));
    SHOW(sched_getscheduler(0));
    SHOW(sched_setscheduler(0, SCHED_OTHER, &p));
    SHOW(sched_setscheduler(0, SCHED_IDLE, &p));
}

CASE(sched_errors)
{
    struct sched_param p = {0}, one = {1};

    SHOW(sched_getscheduler(-1));
    SHOW(sched_getscheduler(0x3fffffff));
    SHOW(sched_getparam(0, NULL));
    SHOW(sched_getparam(-1, &p));
    SHOW(sched_getparam(0x3fffffff, &p));
    SHOW(sched_setscheduler(0, 99, &p));
    SHOW(sched_setscheduler(0, SCHED_OTHER, &one));
    SHOW(sched_setscheduler(0, SCHED_FIFO, &p));
    SHOW(sched_setscheduler(0, SCHED_OTHER, NULL));
    SHOW(sched_setscheduler(-1, SCHED_OTHER, &p));
    SHOW(sched_setscheduler(0x3fffffff, SCHED_OTHER, &p));
    SHOW(sched_setparam(0, &one));
    SHOW(sched_setparam(0, NULL));
    SHOW(sched_rr_get_interval(-1, &(struct timespec){0}));
    SHOW(sched_rr_get_interval(0, (void *)-1));
    SHOW(sched_yield());
    become(1000);
    SHOW(sched_setscheduler(0, SCHED_FIFO, &one));
    SHOW(sched_setscheduler(getppid(), SCHED_OTHER, &p));
}

CASE(affinity)
{
    cpu_set_t set;
    uint64_t words[16] = {0};

    SHOW(sched_getaffinity(0, sizeof set, &set));
    SHOW(CPU_ISSET(0, &set));
    SHOW(syscall(SYS_sched_getaffinity, 0, 4, words));
    SHOW(syscall(SYS_sched_getaffinity, 0, 9, words));
    SHOW(syscall(SYS_sched_getaffinity, 0, 0, words));
    SHOW(syscall(SYS_sched_getaffinity, 0, 128, (void *)-1));
    SHOW(syscall(SYS_sched_getaffinity, 0x3fffffff, 128, words));
    SHOW(syscall(SYS_sched_setaffinity, 0, 128, (uint64_t[16]){0}));
    SHOW(syscall(SYS_sched_setaffinity, 0, 8, &(uint64_t){1}));
    SHOW(syscall(SYS_sched_setaffinity, 0, 8, (void *)-1));
    SHOW(syscall(SYS_sched_setaffinity, 0x3fffffff, 8, &(uint64_t){1}));
    SHOW(syscall(SYS_sched_setaffinity, 0, 0, &(uint64_t){1}));
}

CASE(priorities)
{
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 100));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PGRP, 0));
    SHOW(syscall(SYS_getpriority, 9, 0));
    SHOW(setpriority(9, 0, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0x3fffffff));
    SHOW(setpriority(PRIO_PROCESS, 0x3fffffff, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PGRP, 0x3fffffff));
    SHOW(syscall(SYS_getpriority, PRIO_USER, 0x3fffffff));
    become(1000);
    SHOW(setpriority(PRIO_PROCESS, 0, 3));
    SHOW(setpriority(PRIO_PROCESS, getppid(), 19));
    SHOW(setpriority(PRIO_PROCESS, 0, 19));
}

CASE(rlimit_rules)
{
    struct rlimit r, old;

    SHOW(setrlimit(RLIMIT_CPU, &(struct rlimit){500, 1000}));
    SHOW(getrlimit(RLIMIT_CPU, &r));
    say("%ld %ld", (long)r.rlim_cur, (long)r.rlim_max);
    SHOW(setrlimit(RLIMIT_CPU, &(struct rlimit){1100, 1000}));
    SHOW(setrlimit(99, &r));
    SHOW(getrlimit(99, &r));
    SHOW(getrlimit(-1, &r));
    SHOW(syscall(SYS_getrlimit, RLIMIT_CPU, (void *)-1));
    SHOW(syscall(SYS_setrlimit, RLIMIT_CPU, (void *)-1));
    SHOW(prlimit(0, RLIMIT_CPU, &(struct rlimit){100, 900}, &old));
    say("%ld %ld", (long)old.rlim_cur, (long)old.rlim_max);
    SHOW(prlimit(0x3fffffff, RLIMIT_CPU, NULL, &old));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CPU, NULL, (void *)-1));
    SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1 << 30, RLIM_INFINITY}));
    become(1000);
    SHOW(setrlimit(RLIMIT_CPU, &(struct rlimit){100, 1000}));
    SHOW(setrlimit(RLIMIT_CPU, &(struct rlimit){100, 800}));
    SHOW(setrlimit(RLIMIT_CPU, &(struct rlimit){100, 900}));
    SHOW(prlimit(getppid(), RLIMIT_CPU, NULL, &old));
}

CASE(rusage_answers)
{
    struct rusage u;
    struct tms t;

    SHOW(getrusage(RUSAGE_SELF, &u));
    SHOW(getrusage(RUSAGE_CHILDREN, &u));
    say("%ld", (long)u.ru_utime.tv_sec);
    SHOW(getrusage(RUSAGE_THREAD, &u));
    SHOW(getrusage(9, &u));
    SHOW(getrusage(RUSAGE_SELF, (void *)-1));
    SHOW(times(&t) > 0);
    say("%ld %ld", (long)t.tms_cutime, (long)t.tms_cstime);
    SHOW(times(NULL) > 0);
    SHOW(syscall(SYS_times, (void *)-1));
}
