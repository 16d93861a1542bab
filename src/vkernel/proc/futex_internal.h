/* Between the files of futexes: futex.c, futex2.c. */
#ifndef VKERNEL_PROC_FUTEX_INTERNAL_H
#define VKERNEL_PROC_FUTEX_INTERNAL_H

#include "base/list.h"
#include "vkernel/mm/mm.h"
#include "vkernel/sched/sched.h"

struct futex_waiter {
    struct list link;
    struct futex_key key;
    struct wait_queue *queue; /* of one sleeper, who may wait with several waiters */
    uint32_t bitset;
    bool woken;
};

/* Adds the waiter behind the others of its key. */
void futex_enqueue(struct futex_waiter *w);
/* Wakes `n` waiters of the key at most whose bitset has a bit of this one: how many. */
int futex_wake_key(const struct futex_key *key, unsigned n, uint32_t bitset);
/* Wakes `wake` waiters of `from`, and makes `move` of the others wait for `to`: how many of both. */
int64_t futex_requeue_keys(const struct futex_key *from, const struct futex_key *to, unsigned wake, unsigned move);
/* Sleeps while the word is this value: 0 when it was woken, -EAGAIN, -EFAULT, -EINVAL (no bitset), -ETIMEDOUT,
 * -ERESTARTSYS. */
int64_t futex_wait(uint64_t address, const struct futex_key *key, uint32_t value, uint64_t deadline, uint32_t bitset);
/* The word at the address: 0 or -EFAULT. */
int64_t futex_load(uint64_t address, uint32_t *value);
/* How many a guest wants woken: Linux looks after the first. */
unsigned futex_at_least_one(uint64_t n);
/* The deadline of an absolute timeout in guest memory, by the real-time clock or the monotonic one; of 0: there is
 * none. 0, -EFAULT, -EINVAL. */
int64_t futex_deadline(uint64_t timeout, bool realtime, uint64_t *deadline);

#endif
