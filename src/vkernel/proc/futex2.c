/* The newer calls on futexes: futex_waitv, futex_wake, futex_wait, futex_requeue. Futexes have 32 bits; those of other
 * sizes and those that belong to a NUMA node are refused, as by a Linux that has none. */
#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/proc/futex_internal.h"
#include "vkernel/worker/worker.h"

enum { SIZE_MASK = 3, SIZE_U32 = 2, PRIVATE = FUTEX_PRIVATE_FLAG, WAITV_MAX = 128 };

/* Linux's struct futex_waitv. */
struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static int
check_flags(uint32_t flags)
{
    return flags & ~(uint32_t)(SIZE_MASK | PRIVATE) || (flags & SIZE_MASK) != SIZE_U32 ? -EINVAL : 0;
}

/* Does the number fit a futex? */
static bool
fits(uint64_t value)
{
    return value <= UINT32_MAX;
}

static int
key_of(uint64_t address, uint32_t flags, struct futex_key *key)
{
    if (address % sizeof(uint32_t))
        return -EINVAL;
    return mm_futex_key(address, flags & PRIVATE, key) ? 0 : -EFAULT;
}

static int64_t
absolute_deadline(uint64_t timeout, int clock, uint64_t *deadline)
{
    if (timeout && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return -EINVAL;
    return futex_deadline(timeout, clock == CLOCK_REALTIME, deadline);
}

static int
waitv_from_guest(struct waitv *v, uint64_t address)
{
    if (copy_from_guest(v, address, sizeof *v) < 0)
        return -EFAULT;
    return v->reserved || check_flags(v->flags) < 0 || !fits(v->value) ? -EINVAL : 0;
}

/* --- futex_waitv --- */

struct wanted {
    struct futex_waiter waiter;
    uint64_t address;
    uint32_t value, flags;
};

static int64_t
check_values(struct wanted *w, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        int r = key_of(w[k].address, w[k].flags, &w[k].waiter.key);

        if (r < 0)
            return r;
    }
    for (unsigned k = 0; k < count; k++) {
        uint32_t now;

        if (futex_load(w[k].address, &now) < 0)
            return -EFAULT;
        if (now != w[k].value)
            return -EAGAIN;
    }
    return 0;
}

/* Sleeps until one of them is woken, whose number is the result: that of the last one if there are several. */
static int64_t
wait_for_any(struct wanted *w, unsigned count, uint64_t deadline)
{
    struct wait_queue queue;
    int64_t r = check_values(w, count);

    might_sleep();
    if (r < 0)
        return r;
    wait_queue_init(&queue);
    for (unsigned k = 0; k < count; k++) {
        w[k].waiter.queue = &queue;
        w[k].waiter.bitset = FUTEX_BITSET_MATCH_ANY;
        futex_enqueue(&w[k].waiter);
    }
    r = wait_on(&queue, deadline);
    for (unsigned k = 0; k < count; k++) {
        list_remove(&w[k].waiter.link);
        if (w[k].waiter.woken)
            r = k;
    }
    wait_queue_fini(&queue);
    return r;
}

int64_t
sys_futex_waitv(const uint64_t a[6])
{
    unsigned count = (unsigned)a[1];
    struct wanted *wanted;
    uint64_t deadline;
    int64_t r;

    if (a[2] || count == 0 || count > WAITV_MAX || !a[0])
        return -EINVAL;
    r = absolute_deadline(a[3], (int)a[4], &deadline);
    if (r < 0)
        return r;
    wanted = array_new(count, sizeof *wanted);
    if (!wanted)
        return -ENOMEM;
    for (unsigned k = 0; k < count && r == 0; k++) {
        struct waitv v;

        r = waitv_from_guest(&v, a[0] + k * sizeof v);
        if (r == 0)
            wanted[k] = (struct wanted){.address = v.address, .value = (uint32_t)v.value, .flags = v.flags};
    }
    if (r == 0)
        r = wait_for_any(wanted, count, deadline);
    array_free(wanted);
    return r;
}

/* --- one futex --- */

int64_t
sys_futex_wake(const uint64_t a[6])
{
    struct futex_key key;
    int r = check_flags((uint32_t)a[3]);

    if (r < 0 || !fits(a[1]) || a[1] == 0)
        return -EINVAL;
    r = key_of(a[0], (uint32_t)a[3], &key);
    if (r < 0)
        return r;
    return (int)a[2] == 0 ? 0 : futex_wake_key(&key, futex_at_least_one(a[2]), (uint32_t)a[1]);
}

int64_t
sys_futex_wait(const uint64_t a[6])
{
    struct futex_key key;
    uint64_t deadline;
    int64_t r = check_flags((uint32_t)a[3]);

    if (r < 0 || !fits(a[1]) || !fits(a[2]))
        return -EINVAL;
    r = absolute_deadline(a[4], (int)a[5], &deadline);
    if (r == 0 && a[2] == 0)
        r = -EINVAL;
    if (r == 0)
        r = key_of(a[0], (uint32_t)a[3], &key);
    return r < 0 ? r : futex_wait(a[0], &key, (uint32_t)a[1], deadline, (uint32_t)a[2]);
}

int64_t
sys_futex_requeue(const uint64_t a[6])
{
    struct futex_key from, to;
    struct waitv v[2];
    uint32_t now;
    int r = 0;

    if (a[1] || !a[0])
        return -EINVAL;
    for (unsigned k = 0; k < 2 && r == 0; k++)
        r = waitv_from_guest(&v[k], a[0] + k * sizeof v[k]);
    if (r < 0)
        return r;
    if (v[0].flags != v[1].flags || (int)a[2] < 0 || (int)a[3] < 0)
        return -EINVAL;
    r = key_of(v[0].address, v[0].flags, &from);
    if (r == 0)
        r = key_of(v[1].address, v[1].flags, &to);
    if (r == 0 && futex_load(v[0].address, &now) < 0)
        r = -EFAULT;
    if (r < 0)
        return r;
    return now == (uint32_t)v[0].value ? futex_requeue_keys(&from, &to, (unsigned)a[2], (unsigned)a[3]) : -EAGAIN;
}
