/* Checks that stay in the shipped build: they are cheap, and what they find is memory that is no longer sound, so that
 * going on could only help an attacker. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Ends the program with a line on standard error. */
_Noreturn void check_failed(const char *what);

/* Of a large local on a hot path whose use is bounded by what was written: not cleared beforehand (meson.build: other
 * locals of what serves guests are zero). */
#define UNINITIALIZED __attribute__((uninitialized))

/* -Dhardening=false measures what they cost. */
#ifndef HARDENING
#define HARDENING 1
#endif

#define CHECK(condition, what)                              \
    do {                                                    \
        if (HARDENING && __builtin_expect(!(condition), 0)) \
            check_failed(what);                             \
    } while (0)

#endif
