/* --memory: what the container has of the host's memory, and what becomes of it when that is too much. */
#ifndef VKERNEL_PROC_MEMORY_LIMIT_H
#define VKERNEL_PROC_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that count, and those that are left; with --memory only. */
uint64_t memory_used(void);
uint64_t memory_left(void);
extern uint64_t memory_kills;  /* processes that were killed at the limit */
void memory_limit_start(void); /* once the options are known */
/* Some call brought in so many bytes, which the guest did not touch itself. False: the container is above its limit, a
 * process was killed for it, and nothing more should come. */
bool memory_brought_in(uint64_t size);

#endif
