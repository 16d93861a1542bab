/* For programs that make random calls and print what came of them, so that Linux and the vkernel can be compared:
 *
 *     PROGRAM                a few fixed seeds, a line with a hash for each
 *     PROGRAM FIRST COUNT    the seeds from FIRST on
 *     PROGRAM -v SEED        every call of one seed
 *
 * What is noted may depend on the seed alone: no times, no numbers that the kernel chooses freely. */
#ifndef PROGRAMS_RANDOM_H
#define PROGRAMS_RANDOM_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state, random_hash;
static int random_verbose;

static inline unsigned
draw(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 11) % n);
}

#define DRAW_OF(array) ((array)[draw(sizeof(array) / sizeof((array)[0]))])

static inline void
note_bytes(const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t k = 0; k < size; k++) {
        random_hash = (random_hash ^ bytes[k]) * 0x100000001b3ull;
        random_hash ^= random_hash >> 29;
    }
}

__attribute__((format(printf, 1, 2))) static inline void
note(const char *format, ...)
{
    char line[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    note_bytes(line, strlen(line));
    if (random_verbose) {
        fputs(line, stdout);
        fputc('\n', stdout);
        fflush(stdout);
    }
}

static inline int
random_main(int argc, char **argv, unsigned quick, void (*one)(void))
{
    unsigned long first = 1, count = quick;

    if (argc > 2 && strcmp(argv[1], "-v") == 0) {
        random_verbose = 1;
        first = strtoul(argv[2], NULL, 0);
        count = 1;
    } else if (argc > 2) {
        first = strtoul(argv[1], NULL, 0);
        count = strtoul(argv[2], NULL, 0);
    }
    for (unsigned long seed = first; seed < first + count; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15ull + 1;
        random_hash = 0xcbf29ce484222325ull;
        for (int k = 0; k < 8; k++)
            draw(2);
        one();
        printf("seed %lu: %016llx\n", seed, (unsigned long long)random_hash);
        fflush(stdout);
    }
    return 0;
}

#endif
