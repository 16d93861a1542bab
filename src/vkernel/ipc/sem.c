/* Semaphore sets: semget(2), semop(2), and what is undone when a task ends.
 *
 * Operations that cannot be done at once wait in the set, first come, first served, and whoever changes the set does
 * them for their tasks. One walk over the waiters does all that follow each other; where what one did may let one go on
 * that stands before it, the walk begins anew, a few times: what is left then is done by those that were woken. */
#include "vkernel/ipc/sem_internal.h"

#include <limits.h>
#include <string.h>
#include <sys/sem.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/creds.h"

enum { WALKS = 4 };

struct ipc_ids sem_sets = {.limit = SEM_SETS, .last = -1};
unsigned sem_total;

struct sem_undo_list { /* of a task, or of several after CLONE_SYSVSEM */
    struct refcount refs;
    struct id_tree undos; /* struct sem_undo, by the id of the set */
};

OBJECT_POOL(sem_set);
OBJECT_POOL(sem_undo);
OBJECT_POOL(sem_undo_list);

struct sem_set *
sem_set_of(struct ipc_object *o)
{
    return (struct sem_set *)(void *)o;
}
_Static_assert(offsetof(struct sem_set, ipc) == 0, "an object is found by its first member");

void
sem_set_put(struct sem_set *s)
{
    if (!refcount_put(&s->ipc.refs))
        return;
    bytes_free(s->semaphores);
    OBJECT_FREE(sem_set, s);
}

/* --- semget --- */

static int64_t
set_new(int32_t key, unsigned count, int flags)
{
    struct sem_set *s;
    int r;

    if (count == 0)
        return -EINVAL;
    if (count > SEM_ALL - sem_total)
        return -ENOSPC;
    s = OBJECT_NEW(sem_set);
    if (!s)
        return -ENOMEM;
    s->semaphores = bytes_new(count * sizeof *s->semaphores);
    r = s->semaphores ? ipc_add(&sem_sets, &s->ipc, key, flags) : -ENOMEM;
    if (r < 0) {
        bytes_free(s->semaphores);
        OBJECT_FREE(sem_set, s);
        return r;
    }
    memset(s->semaphores, 0, count * sizeof *s->semaphores);
    s->count = count;
    list_init(&s->zero_waiters);
    list_init(&s->waiters);
    list_init(&s->undos);
    sem_total += count;
    return r;
}

int64_t
sys_semget(const uint64_t a[6])
{
    int count = (int)a[1], flags = (int)a[2], r;
    struct ipc_object *o;

    if (count < 0 || count > SEM_OF_SET)
        return -EINVAL;
    r = ipc_find_key(&sem_sets, (int32_t)a[0], flags, &o);
    if (r < 0)
        return r;
    if (!o)
        return set_new((int32_t)a[0], (unsigned)count, flags);
    if (sem_set_of(o)->count < (unsigned)count)
        return -EINVAL;
    return ipc_permits(o, flags) ? o->id : -EACCES;
}

/* --- undo --- */

/* The undo list of the current task, made if it has none; NULL: no memory. */
static struct sem_undo_list *
current_list(void)
{
    struct task *t = current_task();

    if (!t->sem_undos && (t->sem_undos = OBJECT_NEW(sem_undo_list)))
        refcount_init(&t->sem_undos->refs);
    return t->sem_undos;
}

static void
undo_refresh(struct sem_undo *u)
{
    if (u->epoch != u->set->epoch)
        memset(u->adjust, 0, u->set->count * sizeof *u->adjust);
    u->epoch = u->set->epoch;
}

static struct sem_undo *
undo_for(struct sem_set *s)
{
    struct sem_undo_list *l = current_list();
    struct id_node *n = l ? id_tree_find(&l->undos, s->ipc.id) : NULL;
    struct sem_undo *u;

    if (n || !l)
        return n ? id_entry(n, struct sem_undo, by_set) : NULL;
    u = OBJECT_NEW(sem_undo);
    if (!u || !(u->adjust = bytes_new(s->count * sizeof *u->adjust))) {
        OBJECT_FREE(sem_undo, u);
        return NULL;
    }
    memset(u->adjust, 0, s->count * sizeof *u->adjust);
    u->set = s;
    u->epoch = s->epoch;
    id_tree_add(&l->undos, &u->by_set, s->ipc.id, platform_random_priority());
    u->tree = &l->undos;
    list_append(&s->undos, &u->of_set);
    return u;
}

static void
undo_free(struct sem_undo *u)
{
    id_tree_remove(u->tree, &u->by_set);
    list_remove(&u->of_set);
    bytes_free(u->adjust);
    OBJECT_FREE(sem_undo, u);
}

void
sem_forget_undo(struct sem_set *s, unsigned number)
{
    LIST_EACH(p, &s->undos) {
        struct sem_undo *u = list_entry(p, struct sem_undo, of_set);

        if (u->epoch == s->epoch)
            u->adjust[number] = 0;
    }
}

static void
undo_all(struct sem_undo *u)
{
    struct sem_set *s = u->set;

    undo_refresh(u);
    for (unsigned k = 0; k < s->count; k++) {
        int value = s->semaphores[k].value + u->adjust[k];

        if (!u->adjust[k])
            continue;
        s->semaphores[k].value = value < 0 ? 0 : value > SEM_HIGHEST ? SEM_HIGHEST : value;
        s->semaphores[k].pid = ipc_pid();
    }
    s->op_time = ipc_now();
    sem_settle(s);
}

int
sem_task_made(struct task *t, bool shares)
{
    if (!shares)
        return 0;
    t->sem_undos = current_list();
    if (!t->sem_undos)
        return -ENOMEM;
    refcount_get(&t->sem_undos->refs);
    return 0;
}

void
sem_task_leaves(struct task *t)
{
    struct sem_undo_list *l = t->sem_undos;
    struct id_node *n;

    t->sem_undos = NULL;
    if (!l || !refcount_put(&l->refs))
        return;
    while ((n = id_tree_from(&l->undos, INT64_MIN)) != NULL) {
        struct sem_undo *u = id_entry(n, struct sem_undo, by_set);

        undo_all(u);
        undo_free(u);
        sched_checkpoint(); /* who ends has all of them to do in any case */
    }
    OBJECT_FREE(sem_undo_list, l);
}

/* --- operations --- */

/* Takes back the first `count` operations. */
static void
take_back(struct sem_set *s, const struct sem_waiter *w, unsigned count)
{
    while (count-- > 0) {
        const struct sembuf *op = &w->ops[count];

        s->semaphores[op->sem_num].value -= op->sem_op;
        if (op->sem_flg & SEM_UNDO)
            w->undo->adjust[op->sem_num] = (int16_t)(w->undo->adjust[op->sem_num] + op->sem_op);
    }
}

/* One operation: 0, SEM_PENDING where it has to wait, or -ERANGE. */
static int
try_one(struct semaphore *m, const struct sembuf *op, struct sem_undo *undo)
{
    int value = m->value + op->sem_op;

    if (op->sem_op == 0 ? m->value != 0 : value < 0)
        return SEM_PENDING;
    if (value > SEM_HIGHEST)
        return -ERANGE;
    if (op->sem_flg & SEM_UNDO) {
        int adjust = undo->adjust[op->sem_num] - op->sem_op;

        if (adjust < -SEM_MOST_UNDONE - 1 || adjust > SEM_MOST_UNDONE)
            return -ERANGE;
        undo->adjust[op->sem_num] = (int16_t)adjust;
    }
    m->value = value;
    return 0;
}

/* All operations or none: 0, SEM_PENDING, -EAGAIN (IPC_NOWAIT), -ERANGE. */
static int
try_all(struct sem_set *s, struct sem_waiter *w)
{
    if (w->undo)
        undo_refresh(w->undo);
    for (unsigned k = 0; k < w->count; k++) {
        const struct sembuf *op = &w->ops[k];
        struct semaphore *m = &s->semaphores[op->sem_num];
        int r = try_one(m, op, w->undo), reached = m->value;

        if (r == 0)
            continue;
        take_back(s, w, k);
        w->blocking = op->sem_num;
        w->blocking_op = op->sem_op;
        w->added_before = reached - m->value;
        return r == SEM_PENDING && (op->sem_flg & IPC_NOWAIT) ? -EAGAIN : r;
    }
    for (unsigned k = 0; k < w->count; k++)
        s->semaphores[w->ops[k].sem_num].pid = w->pid;
    return 0;
}

/* Is it known without a try that the waiter has to go on waiting? One that raises a semaphore may be out of range by
 * now. */
static bool
is_blocked(const struct sem_set *s, const struct sem_waiter *w)
{
    int value = s->semaphores[w->blocking].value + w->added_before;

    return !w->raises && (w->blocking_op == 0 ? value != 0 : value + w->blocking_op < 0);
}

static void
finish(struct sem_waiter *w, int result)
{
    list_remove(&w->link);
    w->result = result;
    wait_queue_wake(&w->queue);
}

static void
walk_zero_waiters(struct sem_set *s)
{
    LIST_EACH_SAFE(p, &s->zero_waiters) {
        struct sem_waiter *w = list_entry(p, struct sem_waiter, link);
        int r = is_blocked(s, w) ? SEM_PENDING : try_all(s, w);

        if (r == SEM_PENDING)
            continue;
        finish(w, r);
        s->op_time = ipc_now();
    }
}

/* True: somebody who was passed over may be able to go on by now. */
static bool
walk_waiters(struct sem_set *s)
{
    bool passed = false, zero_passed = !list_empty(&s->zero_waiters);

    LIST_EACH_SAFE(p, &s->waiters) {
        struct sem_waiter *w = list_entry(p, struct sem_waiter, link);
        int r = is_blocked(s, w) ? SEM_PENDING : try_all(s, w);

        if (r == SEM_PENDING) {
            passed = true;
            zero_passed |= w->blocking_op == 0;
            continue;
        }
        finish(w, r);
        if (r < 0)
            continue;
        s->op_time = ipc_now();
        if (zero_passed || (passed && w->raises))
            return true;
    }
    return false;
}

void
sem_settle(struct sem_set *s)
{
    s->unsettled = false;
    for (unsigned k = 0; k < WALKS; k++) {
        walk_zero_waiters(s);
        if (!walk_waiters(s))
            return;
    }
    s->unsettled = true;
}

void
sem_remove(struct sem_set *s)
{
    LIST_EACH_SAFE(p, &s->zero_waiters)
        finish(list_entry(p, struct sem_waiter, link), -EIDRM);
    LIST_EACH_SAFE(p, &s->waiters)
        finish(list_entry(p, struct sem_waiter, link), -EIDRM);
    while (!list_empty(&s->undos))
        undo_free(list_entry(s->undos.next, struct sem_undo, of_set));
    sem_total -= s->count;
    ipc_remove(&sem_sets, &s->ipc);
    sem_set_put(s);
}

/* --- semop --- */

/* Sleeps until somebody has done the operations. */
static int
wait_for(struct sem_set *s, struct sem_waiter *w, uint64_t deadline)
{
    int r;

    refcount_get(&s->ipc.refs);
    wait_queue_init(&w->queue);
    w->result = SEM_PENDING;
    list_append(w->alters ? &s->waiters : &s->zero_waiters, &w->link);
    r = WAIT_EVENT(&w->queue, deadline, w->result != SEM_PENDING);
    if (r == 0)
        r = w->result;
    else
        r = r == -ETIMEDOUT ? -EAGAIN : -EINTR; /* never restarted */
    if (w->result == SEM_PENDING)
        list_remove(&w->link);
    wait_queue_fini(&w->queue);
    if (s->unsettled && !s->ipc.removed)
        sem_settle(s);
    sem_set_put(s);
    return r;
}

static int
operate(int id, struct sem_waiter *w, uint64_t deadline)
{
    bool undoes = false;
    unsigned highest = 0;
    struct sem_set *s;
    struct ipc_object *o;
    int r;

    o = ipc_find(&sem_sets, id, &r);
    if (!o)
        return r;
    s = sem_set_of(o);
    for (unsigned k = 0; k < w->count; k++) {
        highest = w->ops[k].sem_num > highest ? w->ops[k].sem_num : highest;
        undoes |= w->ops[k].sem_flg & SEM_UNDO;
        w->alters |= w->ops[k].sem_op != 0;
        w->raises |= w->ops[k].sem_op > 0;
    }
    if (undoes && !(w->undo = undo_for(s)))
        return -ENOMEM;
    if (highest >= s->count)
        return -EFBIG;
    if (!ipc_permits(o, w->alters ? IPC_WRITE : IPC_READ))
        return -EACCES;
    if (s->unsettled)
        sem_settle(s);
    w->pid = ipc_pid();
    r = try_all(s, w);
    if (r == SEM_PENDING)
        return wait_for(s, w, deadline);
    if (r == 0) {
        s->op_time = ipc_now();
        if (w->alters)
            sem_settle(s);
    }
    return r;
}

static int64_t
semop_until(const uint64_t a[6], uint64_t deadline)
{
    enum { FEW = 32 };
    struct sembuf few[FEW], *ops = few;
    unsigned count = (unsigned)a[2];
    struct sem_waiter w = {.count = count};
    int64_t r;

    might_sleep();
    if (count > SEM_OPS)
        return -E2BIG;
    if (count == 0)
        return -EINVAL;
    if (count > FEW && !(ops = bytes_new(count * sizeof *ops)))
        return -ENOMEM;
    w.ops = ops;
    r = copy_from_guest(ops, a[1], count * sizeof *ops);
    if (r == 0)
        r = operate((int)a[0], &w, deadline);
    if (ops != few)
        bytes_free(ops);
    return r;
}

int64_t
sys_semop(const uint64_t a[6])
{
    return semop_until(a, WAIT_FOREVER);
}

int64_t
sys_semtimedop(const uint64_t a[6])
{
    uint64_t ns, deadline = WAIT_FOREVER;

    if (a[3]) {
        int r = timespec_from_guest(a[3], &ns);

        if (r < 0)
            return r;
        deadline = clock_monotonic_ns() + ns;
    }
    return semop_until(a, deadline);
}
