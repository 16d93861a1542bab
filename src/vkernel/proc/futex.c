/* Futexes: waiters hashed by key; the key of private memory is (address space, address), of shared memory the object
 * behind it and the offset. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/ops.h"
#include "vkernel/proc/futex_internal.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/process.h"

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

enum { BUCKETS = 256, MAX_ROBUST = 2048 };

static struct list buckets[BUCKETS];

static struct list *
bucket(const struct futex_key *k)
{
    uint64_t h = k->object * 31 + (k->offset >> 2);
    struct list *b = &buckets[(h ^ h >> 9) % BUCKETS];

    if (!b->next)
        list_init(b);
    return b;
}

static bool
same_key(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}

static void
wake_waiter(struct futex_waiter *w)
{
    list_remove(&w->link);
    w->woken = true;
    wait_queue_wake(w->queue);
}

void
futex_enqueue(struct futex_waiter *w)
{
    list_append(bucket(&w->key), &w->link);
}

int
futex_wake_key(const struct futex_key *key, unsigned n, uint32_t bitset)
{
    struct list *b = bucket(key);
    int woken = 0;

    LIST_EACH_SAFE(p, b) {
        struct futex_waiter *w = list_entry(p, struct futex_waiter, link);

        if ((unsigned)woken >= n)
            break;
        if (!same_key(&w->key, key) || !(w->bitset & bitset))
            continue;
        wake_waiter(w);
        woken++;
    }
    return woken;
}

int
futex_wake_address(uint64_t address, unsigned n)
{
    struct futex_key key;
    int woken;

    if (!mm_futex_key(address, true, &key))
        return -EFAULT;
    woken = futex_wake_key(&key, n, FUTEX_BITSET_MATCH_ANY);
    if ((unsigned)woken < n && mm_futex_key(address, false, &key))
        woken += futex_wake_key(&key, n - (unsigned)woken, FUTEX_BITSET_MATCH_ANY);
    return woken;
}

int64_t
futex_load(uint64_t address, uint32_t *value)
{
    return copy_from_guest(value, address, sizeof *value);
}

int64_t
futex_wait(uint64_t address, const struct futex_key *key, uint32_t value, uint64_t deadline, uint32_t bitset)
{
    struct wait_queue queue;
    struct futex_waiter w = {.key = *key, .bitset = bitset, .queue = &queue};
    uint32_t now;
    int r;

    might_sleep();
    if (bitset == 0)
        return -EINVAL;
    if (futex_load(address, &now) < 0)
        return -EFAULT;
    if (now != value)
        return -EAGAIN;
    wait_queue_init(&queue);
    futex_enqueue(&w);
    r = wait_on(&queue, deadline);
    list_remove(&w.link);
    wait_queue_fini(&queue);
    if (w.woken)
        return 0;
    return r;
}

/* restart_args: address, value, deadline, bitset and above it whether the futex is private. */
CALLBACK static int64_t
resume_wait(struct task *t)
{
    uint64_t address = t->restart_args[0], deadline = t->restart_args[2], bitset = t->restart_args[3];
    struct futex_key key;
    int64_t r;

    if (!mm_futex_key(address, bitset >> 32 != 0, &key))
        return -EFAULT;
    r = futex_wait(address, &key, (uint32_t)t->restart_args[1], deadline, (uint32_t)bitset);
    if (r != -ERESTARTSYS || deadline == WAIT_FOREVER)
        return r;
    t->restart = resume_wait;
    return -ERESTART_RESTARTBLOCK;
}

/* With a timeout a handler ends the wait even under SA_RESTART (signal(7)); a stop leaves the deadline as it was. */
static int64_t
wait_call(uint64_t address, bool private, uint32_t value, uint64_t deadline, uint32_t bitset)
{
    uint64_t *args = current_task()->restart_args;

    args[0] = address;
    args[1] = value;
    args[2] = deadline;
    args[3] = (uint64_t)private << 32 | bitset;
    return resume_wait(current_task());
}

/* The arguments of a wake_op are numbers of twelve bits with a sign. */
static uint32_t
sign_extended(uint32_t bits)
{
    return (uint32_t)((int32_t)(bits << 20) >> 20);
}

static int
wake_op_value(uint32_t op, uint32_t old, uint32_t *new)
{
    uint32_t argument = sign_extended(op >> 12);

    *new = old;
    if (op & (8u << 28))
        argument = 1u << (argument & 31);
    switch (op >> 28 & 7) {
    case FUTEX_OP_SET: *new = argument; return 0;
    case FUTEX_OP_ADD: *new = old + argument; return 0;
    case FUTEX_OP_OR: *new = old | argument; return 0;
    case FUTEX_OP_ANDN: *new = old & ~argument; return 0;
    case FUTEX_OP_XOR: *new = old ^ argument; return 0;
    default: return -ENOSYS;
    }
}

static int
wake_op(uint64_t address, uint32_t op, bool *wake_second)
{
    uint32_t old, new, compare = sign_extended(op);
    int r;

    if (futex_load(address, &old) < 0)
        return -EFAULT;
    do {
        r = wake_op_value(op, old, &new);
        if (r == 0)
            r = guest_exchange(address, &old, new);
    } while (r == 0);
    if (r < 0)
        return r;
    switch (op >> 24 & 15) {
    case FUTEX_OP_CMP_EQ: *wake_second = old == compare; break;
    case FUTEX_OP_CMP_NE: *wake_second = old != compare; break;
    case FUTEX_OP_CMP_LT: *wake_second = (int32_t)old < (int32_t)compare; break;
    case FUTEX_OP_CMP_LE: *wake_second = (int32_t)old <= (int32_t)compare; break;
    case FUTEX_OP_CMP_GT: *wake_second = (int32_t)old > (int32_t)compare; break;
    case FUTEX_OP_CMP_GE: *wake_second = (int32_t)old >= (int32_t)compare; break;
    default: return -ENOSYS;
    }
    return 0;
}

int64_t
futex_requeue_keys(const struct futex_key *from, const struct futex_key *to, unsigned wake, unsigned move)
{
    int64_t woken = futex_wake_key(from, wake, FUTEX_BITSET_MATCH_ANY);
    unsigned moved = 0;

    LIST_EACH_SAFE(p, bucket(from)) {
        struct futex_waiter *w = list_entry(p, struct futex_waiter, link);

        if (moved >= move)
            break;
        if (!same_key(&w->key, from))
            continue;
        if (same_key(from, to)) {
            moved++;
            continue;
        }
        list_remove(&w->link);
        w->key = *to;
        list_append(bucket(to), &w->link);
        moved++;
    }
    return woken + moved;
}

/* Priority inheritance without priorities: the protocol of the word is kept, waiters are first come, first served. */
static int64_t
lock_pi(uint64_t address, const struct futex_key *key, uint64_t deadline, bool try)
{
    uint32_t tid = (uint32_t)current_task()->tid, word;

    for (;;) {
        uint32_t owner;
        int64_t r;

        if (futex_load(address, &word) < 0)
            return -EFAULT;
        owner = word & FUTEX_TID_MASK;
        if (owner == tid)
            return -EDEADLK;
        if (owner && !task_find((int)owner))
            return -ESRCH;
        if (owner && try)
            return -EAGAIN;
        r = guest_exchange(address, &word,
                           owner ? word | FUTEX_WAITERS : (word & (FUTEX_OWNER_DIED | FUTEX_WAITERS)) | tid);
        if (r < 0 || (r > 0 && !owner))
            return r < 0 ? r : 0;
        if (r == 0) /* it is another meanwhile */
            continue;
        r = futex_wait(address, key, word | FUTEX_WAITERS, deadline, FUTEX_BITSET_MATCH_ANY);
        if (r < 0 && r != -EAGAIN)
            return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
    }
}

static int64_t
unlock_pi(uint64_t address, const struct futex_key *key)
{
    uint32_t word, more = 0;
    bool first = true;
    int r;

    if (futex_load(address, &word) < 0)
        return -EFAULT;
    if ((word & FUTEX_TID_MASK) != (uint32_t)current_task()->tid)
        return -EPERM;
    LIST_EACH(p, bucket(key)) {
        if (!same_key(&list_entry(p, struct futex_waiter, link)->key, key))
            continue;
        if (!first)
            more = FUTEX_WAITERS;
        first = false;
    }
    r = guest_exchange(address, &word, more);
    if (r <= 0)
        return r < 0 ? r : -EAGAIN;
    futex_wake_key(key, 1, FUTEX_BITSET_MATCH_ANY);
    return 0;
}

/* The nanoseconds of a timeout in guest memory, UINT64_MAX: more than ever pass. 0, -EFAULT, -EINVAL. */
static int64_t
timeout_from_guest(uint64_t address, uint64_t *ns)
{
    struct timespec ts;

    if (copy_from_guest(&ts, address, sizeof ts) < 0)
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
        return -EINVAL;
    *ns = (uint64_t)ts.tv_sec > 9000000000u ? UINT64_MAX : (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    return 0;
}

int64_t
futex_deadline(uint64_t timeout, bool realtime, uint64_t *deadline)
{
    uint64_t ns, now;
    int64_t r;

    *deadline = WAIT_FOREVER;
    if (!timeout)
        return 0;
    r = timeout_from_guest(timeout, &ns);
    if (r < 0 || ns == UINT64_MAX)
        return r;
    now = clock_realtime_ns();
    *deadline = realtime ? clock_monotonic_ns() + (ns > now ? ns - now : 0) : ns;
    return 0;
}

/* That of futex(2): FUTEX_WAIT's is relative. */
static int64_t
deadline_of(uint64_t address, int op, bool realtime, uint64_t *deadline)
{
    uint64_t ns;
    int64_t r;

    if (op != FUTEX_WAIT || !address)
        return futex_deadline(address, realtime, deadline);
    r = timeout_from_guest(address, &ns);
    if (r == 0)
        *deadline = ns == UINT64_MAX ? WAIT_FOREVER : clock_monotonic_ns() + ns;
    return r;
}

unsigned
futex_at_least_one(uint64_t n)
{
    return (int)n < 1 ? 1 : (unsigned)n;
}

/* Of the second word of a call. */
static int
second_key(uint64_t address, bool private, struct futex_key *key)
{
    if (address % 4)
        return -EINVAL;
    return mm_futex_key(address, private, key) ? 0 : -EFAULT;
}

static int64_t
requeue_call(const uint64_t a[6], bool private, const struct futex_key *from)
{
    struct futex_key to;
    uint32_t value;
    int r;

    if (((int)a[1] & FUTEX_CMD_MASK) == FUTEX_CMP_REQUEUE) {
        if (futex_load(a[0], &value) < 0)
            return -EFAULT;
        if (value != (uint32_t)a[5])
            return -EAGAIN;
    }
    r = second_key(a[4], private, &to);
    return r < 0 ? r : futex_requeue_keys(from, &to, (unsigned)a[2], (unsigned)a[3]);
}

static int64_t
wake_op_call(const uint64_t a[6], bool private, const struct futex_key *first)
{
    struct futex_key second;
    bool wakes_second = false;
    int64_t r = second_key(a[4], private, &second);

    if (r == 0)
        r = wake_op(a[4], (uint32_t)a[5], &wakes_second);
    if (r < 0)
        return r;
    r = futex_wake_key(first, futex_at_least_one(a[2]), FUTEX_BITSET_MATCH_ANY);
    if (wakes_second)
        r += futex_wake_key(&second, futex_at_least_one(a[3]), FUTEX_BITSET_MATCH_ANY);
    return r;
}

int64_t
sys_futex(const uint64_t a[6])
{
    int op = (int)a[1] & FUTEX_CMD_MASK;
    bool private = (a[1] & FUTEX_PRIVATE_FLAG) != 0, realtime = (a[1] & FUTEX_CLOCK_REALTIME) != 0;
    bool timed = op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET || op == FUTEX_LOCK_PI || op == FUTEX_LOCK_PI2;
    struct futex_key key;
    uint64_t deadline = WAIT_FOREVER;
    uint32_t value;
    int64_t r;

    if (op == FUTEX_FD || op > FUTEX_LOCK_PI2 ||
        (realtime && op != FUTEX_WAIT_BITSET && op != FUTEX_WAIT_REQUEUE_PI && op != FUTEX_LOCK_PI2))
        return -ENOSYS;
    if ((op == FUTEX_REQUEUE || op == FUTEX_CMP_REQUEUE) && ((int)a[2] < 0 || (int)a[3] < 0))
        return -EINVAL;
    if (op == FUTEX_UNLOCK_PI && futex_load(a[0], &value) < 0)
        return -EFAULT;
    if (a[0] % 4)
        return -EINVAL;
    if (!mm_futex_key(a[0], private, &key))
        return -EFAULT;
    if (timed) {
        r = deadline_of(a[3], op, realtime || op == FUTEX_LOCK_PI, &deadline);
        if (r < 0)
            return r;
    }
    switch (op) {
    case FUTEX_WAIT: return wait_call(a[0], private, (uint32_t)a[2], deadline, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAIT_BITSET: return wait_call(a[0], private, (uint32_t)a[2], deadline, (uint32_t)a[5]);
    case FUTEX_WAKE: return futex_wake_key(&key, futex_at_least_one(a[2]), FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return (uint32_t)a[5] == 0 ? -EINVAL : futex_wake_key(&key, futex_at_least_one(a[2]), (uint32_t)a[5]);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE: return requeue_call(a, private, &key);
    case FUTEX_WAKE_OP: return wake_op_call(a, private, &key);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2: return lock_pi(a[0], &key, deadline, false);
    case FUTEX_TRYLOCK_PI: return lock_pi(a[0], &key, deadline, true);
    case FUTEX_UNLOCK_PI: return unlock_pi(a[0], &key);
    default: return -ENOSYS;
    }
}

/* --- robust lists (Documentation/robust-futexes.txt) --- */

static void
robust_death(struct task *t, uint64_t address, bool pending)
{
    uint32_t word;
    int r = 0;

    if (address % 4 || futex_load(address, &word) < 0)
        return;
    /* It died between giving the lock up and waking who waits for it. */
    if (pending && word == 0)
        futex_wake_address(address, 1);
    while (r == 0 && (word & FUTEX_TID_MASK) == (uint32_t)t->tid)
        r = guest_exchange(address, &word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    if (r > 0 && (word & FUTEX_WAITERS))
        futex_wake_address(address, 1);
}

void
futex_exit_robust(struct task *t)
{
    struct {
        uint64_t next;
        int64_t offset;
        uint64_t pending;
    } head;
    uint64_t entry;

    might_sleep();
    if (!t->robust_list || !t->process->mm || copy_from_guest(&head, t->robust_list, sizeof head) < 0)
        return;
    entry = head.next;
    for (int i = 0; i < MAX_ROBUST && (entry & ~1ull) != t->robust_list; i++) {
        uint64_t next;

        if (copy_from_guest(&next, entry & ~1ull, sizeof next) < 0)
            return;
        if (entry != head.pending)
            robust_death(t, (entry & ~1ull) + (uint64_t)head.offset, false);
        entry = next;
        sched_checkpoint(); /* each may walk past all that wait; who is to die does so anyhow */
    }
    if (head.pending)
        robust_death(t, (head.pending & ~1ull) + (uint64_t)head.offset, true);
}

int64_t
sys_set_robust_list(const uint64_t a[6])
{
    if (a[1] != 24)
        return -EINVAL;
    current_task()->robust_list = a[0];
    return 0;
}

int64_t
sys_get_robust_list(const uint64_t a[6])
{
    struct task *t = a[0] ? task_find((int)a[0]) : current_task();
    uint64_t size = 24;

    if (!t)
        return -ESRCH;
    if (!process_may_look(t->process, LOOK_REAL))
        return -EPERM;
    if (copy_to_guest(a[1], &t->robust_list, 8) < 0 || copy_to_guest(a[2], &size, 8) < 0)
        return -EFAULT;
    return 0;
}
