/* Races that the fuzzer's server makes (races.c). */
#ifndef FUZZ_SYSCALLS_RACES_H
#define FUZZ_SYSCALLS_RACES_H

#include "fuzz/syscalls/program.h"

void races_start(struct fuzz_shared *s); /* in a copy */
void races_call_begins(int64_t number);  /* of the current task */
void races_call_ends(void);

#endif
