/* semctl(2), and /proc/sysvipc/sem. */
#include <string.h>
#include <sys/sem.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/ipc/sem_internal.h"

/* The set, where the caller has this access. */
static struct sem_set *
find(int id, int access, int *error)
{
    struct ipc_object *o = ipc_find(&sem_sets, id, error);

    if (o && !ipc_permits(o, access)) {
        *error = -EACCES;
        return NULL;
    }
    return o ? sem_set_of(o) : NULL;
}

/* How many operations wait at this semaphore, for zero or for more. */
static int
waiters_at(const struct sem_set *s, unsigned number, bool for_zero)
{
    const struct list *lists[] = {&s->zero_waiters, &s->waiters};
    int count = 0;

    for (unsigned k = 0; k < 2; k++)
        LIST_EACH(p, lists[k]) {
            const struct sem_waiter *w = list_entry(p, struct sem_waiter, link);

            count += w->blocking == number && (w->blocking_op == 0) == for_zero;
        }
    return count;
}

static int64_t
get_one(int id, int number, int command)
{
    int error;
    const struct sem_set *s = find(id, IPC_READ, &error);

    if (!s)
        return error;
    if (number < 0 || (unsigned)number >= s->count)
        return -EINVAL;
    switch (command) {
    case GETVAL: return s->semaphores[number].value;
    case GETPID: return s->semaphores[number].pid;
    default: return waiters_at(s, (unsigned)number, command == GETZCNT);
    }
}

static int64_t
get_all(int id, guest_addr out)
{
    int error;
    const struct sem_set *s = find(id, IPC_READ, &error);
    uint16_t *values;

    if (!s)
        return error;
    values = bytes_new(s->count * sizeof *values);
    if (!values)
        return -ENOMEM;
    for (unsigned k = 0; k < s->count; k++)
        values[k] = (uint16_t)s->semaphores[k].value;
    error = copy_to_guest(out, values, s->count * sizeof *values);
    bytes_free(values);
    return error;
}

static void
put_all(struct sem_set *s, const uint16_t *values)
{
    for (unsigned k = 0; k < s->count; k++)
        s->semaphores[k] = (struct semaphore){values[k], ipc_pid()};
    s->epoch++;
    s->ipc.change_time = ipc_now();
    sem_settle(s);
}

static int64_t
set_all(int id, guest_addr in)
{
    int r;
    struct sem_set *s = find(id, IPC_WRITE, &r);
    uint16_t *values;

    if (!s)
        return r;
    values = bytes_new(s->count * sizeof *values);
    if (!values)
        return -ENOMEM;
    r = copy_from_guest(values, in, s->count * sizeof *values);
    for (unsigned k = 0; r == 0 && k < s->count; k++)
        if (values[k] > SEM_HIGHEST)
            r = -ERANGE;
    if (r == 0)
        put_all(s, values);
    bytes_free(values);
    return r;
}

static int64_t
set_one(int id, int number, int value)
{
    int r;
    struct sem_set *s;
    struct ipc_object *o;

    if (value < 0 || value > SEM_HIGHEST)
        return -ERANGE;
    o = ipc_find(&sem_sets, id, &r);
    if (!o)
        return r;
    s = sem_set_of(o);
    if (number < 0 || (unsigned)number >= s->count)
        return -EINVAL;
    if (!ipc_permits(o, IPC_WRITE))
        return -EACCES;
    sem_forget_undo(s, (unsigned)number);
    s->semaphores[number] = (struct semaphore){value, ipc_pid()};
    s->ipc.change_time = ipc_now();
    sem_settle(s);
    return 0;
}

static int64_t
tell_limits(guest_addr out, bool use)
{
    struct seminfo i = {
        .semmap = SEM_ALL,
        .semmni = SEM_SETS,
        .semmns = SEM_ALL,
        .semmnu = SEM_ALL,
        .semmsl = SEM_OF_SET,
        .semopm = SEM_OPS,
        .semume = SEM_OPS,
        .semusz = use ? (int)sem_sets.used : 20, /* what a Linux of 32 bits had for an undo */
        .semvmx = SEM_HIGHEST,
        .semaem = use ? (int)sem_total : SEM_MOST_UNDONE,
    };

    return copy_to_guest(out, &i, sizeof i) < 0 ? -EFAULT : ipc_highest(&sem_sets);
}

static int64_t
tell_set(int id, int command, guest_addr out)
{
    int error;
    struct ipc_object *o = ipc_find_stat(&sem_sets, id, command, SEM_STAT_ANY, &error);
    struct semid_ds d = {0};

    if (!o)
        return error;
    ipc_tell(o, &d.sem_perm);
    d.sem_otime = sem_set_of(o)->op_time;
    d.sem_ctime = o->change_time;
    d.sem_nsems = sem_set_of(o)->count;
    if (copy_to_guest(out, &d, sizeof d) < 0)
        return -EFAULT;
    return command == IPC_STAT ? 0 : o->id;
}

static int64_t
set_owner(int id, guest_addr in)
{
    struct semid_ds d;
    struct ipc_object *o;
    int r;

    if (copy_from_guest(&d, in, sizeof d) < 0)
        return -EFAULT;
    o = ipc_find_owned(&sem_sets, id, &r);
    if (!o)
        return r;
    return ipc_set(o, &d.sem_perm);
}

static int64_t
remove_set(int id)
{
    int error;
    struct ipc_object *o = ipc_find_owned(&sem_sets, id, &error);

    if (!o)
        return error;
    sem_remove(sem_set_of(o));
    return 0;
}

int64_t
sys_semctl(const uint64_t a[6])
{
    int id = (int)a[0], number = (int)a[1], command = (int)a[2];

    if (id < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case SEM_INFO: return tell_limits(a[3], command == SEM_INFO);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY: return tell_set(id, command, a[3]);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT: return get_one(id, number, command);
    case GETALL: return get_all(id, a[3]);
    case SETALL: return set_all(id, a[3]);
    case SETVAL: return set_one(id, number, (int)a[3]);
    case IPC_SET: return set_owner(id, a[3]);
    case IPC_RMID: return remove_set(id);
    default: return -EINVAL;
    }
}

int
ipc_show_sem(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    IPC_EACH(o, &sem_sets)
    {
        const struct sem_set *s = sem_set_of(o);

        text_printf(out, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lld %10lld\n", o->key, o->id, o->mode, s->count,
                    o->uid, o->gid, o->cuid, o->cgid, (long long)s->op_time, (long long)o->change_time);
    }
    return 0;
}
