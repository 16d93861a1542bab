/* Making and changing programs. */
#ifndef FUZZ_SYSCALLS_GENERATE_H
#define FUZZ_SYSCALLS_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "fuzz/syscalls/program.h"

void random_seed(uint64_t seed);
uint64_t random_u64(void);
unsigned random_below(unsigned n); /* [0, n); n 0: 0 */
bool one_in(unsigned n);

void generate(struct program *p);
/* One call, with what it needs, put into the program at `at` in a lane. False: no room. */
bool generate_call(struct program *p, unsigned at, unsigned lane);
/* Another value for one argument of the operation. */
void regenerate_argument(struct program *p, struct program_op *op);
/* Some changes; other is a program to take parts from. */
void mutate(struct program *p, const struct program *other);
void remove_range(struct program *p, unsigned at, unsigned count);

void print_program(const struct program *p, const char *note, const char *path); /* as C */

#endif
