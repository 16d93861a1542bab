/* Memory objects: what is behind shared anonymous memory, and files that are large or mapped. All are ranges of one big
 * sparse memfd, so that thousands of them cost one host descriptor. */
#ifndef VKERNEL_MM_STORE_H
#define VKERNEL_MM_STORE_H

#include <stdbool.h>
#include <stdint.h>

enum { STORE_SLOT_SHIFT = 40 };
#define STORE_SLOT_SIZE (1ull << STORE_SLOT_SHIFT)

/* A range of STORE_SLOT_SIZE bytes, all zero. 0, or -ENOSPC. */
int store_new(uint64_t *slot);
/* Frees it; nothing is behind its first `used` bytes. Much memory is not given back before the running task's next
 * sched_poll(), which this asks for. */
void store_release(uint64_t slot, uint64_t used);
/* Gives back what store_release() has put off, a piece at a time: others get their turn in between. Where another task
 * is doing so already, nothing is done. May sleep. */
void store_empty(void);
/* Gives all of it back at once, and does not sleep. Where another task is in store_empty(), nothing is done, unless
 * `others` says that what that one has left is to be given back, too. */
void store_empty_at_once(bool others);
int store_fd(void);
uint64_t store_memory_used(void); /* bytes of all, which the process's own memory does not show */
static inline uint64_t
store_offset(uint64_t slot)
{
    return slot << STORE_SLOT_SHIFT;
}

#endif
