/* Memory objects: what is behind shared anonymous memory, and files that are large or mapped. All are ranges of one big
 * sparse memfd, so that thousands of them cost one host descriptor. */
#ifndef VKERNEL_MM_STORE_H
#define VKERNEL_MM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { STORE_SLOT_SHIFT = 40 };
#define STORE_SLOT_SIZE (1ull << STORE_SLOT_SHIFT)

/* A range of STORE_SLOT_SIZE bytes, all zero. 0, or -ENOSPC. */
int store_new(uint64_t *slot);
/* Frees it; nothing is behind its first `used` bytes. Much memory is not given back before the running task's next
 * sched_poll(), which this asks for. */
void store_release(uint64_t slot, uint64_t used);

/* What a process has released and not given back yet. Nobody else gives it back, so that a process which makes much of
 * it keeps only itself busy; store_empty_all_at_once() excepted. */
struct store_released {
    struct list items;
    bool emptying; /* one of its threads is in store_empty() */
};
void store_released_init(struct store_released *s);
void store_released_end(struct store_released *s); /* gives the rest back at once; no thread of the process is left */
/* Gives back what the running task's process has released, a piece at a time: others get their turn in between. Where
 * another of its threads is about it already, nothing is done. It ends early when the task is to die, unless it is
 * ending, and then has this to do in any case. May sleep. */
void store_empty(bool ending);
/* Gives back, without a sleep, what all processes have released: for when memory is short. */
void store_empty_all_at_once(void);
int store_fd(void);
uint64_t store_memory_used(void); /* bytes of all, which the process's own memory does not show */
static inline uint64_t
store_offset(uint64_t slot)
{
    return slot << STORE_SLOT_SHIFT;
}

#endif
