/* What the portable helpers need of <time.h>, for a target without C library. */
#ifndef TESTS_EVAL_V8_TIME_H
#define TESTS_EVAL_V8_TIME_H
struct timespec {
    long long tv_sec;
    long tv_nsec;
};
enum { CLOCK_MONOTONIC = 1 };
int clock_gettime(int clock, struct timespec *t);
#endif
