/* O_ASYNC: signals that tell a file's owner of its events (fcntl(2), "Managing signals"). A watcher on the file's
 * queues, as epoll's. */
#include <poll.h>
#include <signal.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/io/async.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/vfs.h"

enum { QUEUES = 4 };

struct async {
    struct file *file;
    int type, id;         /* F_OWNER_*; id 0: nobody */
    uint64_t start_ns;    /* of the owner's process: another one may have its number later */
    uint32_t uid, euid;   /* of who named it: what may be signalled */
    int signal;           /* F_SETSIG; 0: SIGIO without particulars */
    int fd;               /* by which O_ASYNC was set */
    bool writable;        /* when last looked at: of room only the beginning is told */
    unsigned queue_count; /* 0: O_ASYNC is not set */
    struct wait_entry entries[QUEUES];
};

OBJECT_POOL(async);

static struct async *
async_of(struct file *f)
{
    if (!f->async) {
        f->async = OBJECT_NEW(async);
        if (f->async)
            *f->async = (struct async){.file = f, .type = F_OWNER_PID};
    }
    return f->async;
}

static struct process *
owner_process(const struct async *a, struct task **t)
{
    *t = a->type == F_OWNER_TID ? task_find(a->id) : NULL;
    return a->type == F_OWNER_TID ? *t ? (*t)->process : NULL : process_find(a->id);
}

/* May the one who named the owner send it a signal? */
static bool
may_tell(const struct async *a, const struct process *p)
{
    const struct creds *c = &p->creds;

    return a->euid == 0 || a->euid == c->suid || a->euid == c->uid || a->uid == c->suid || a->uid == c->uid;
}

static void
tell(const struct async *a, struct process *p, struct task *t, unsigned events)
{
    siginfo_t info = {.si_signo = a->signal,
                      .si_code = events & POLLIN    ? POLL_IN
                                 : events & POLLOUT ? POLL_OUT
                                                    : POLL_HUP};

    info.si_band = (long)events;
    info.si_fd = a->fd;
    if (!a->signal || signal_send_info(p, t, &info) < 0) /* no room for one more: SIGIO always has */
        signal_send_process(p, SIGIO);
}

/* Calls `each` for the file's owner: all processes of a group, or one, or one of its threads (else t is NULL). */
static void
each_owner(const struct async *a, void (*each)(const struct async *, struct process *, struct task *, unsigned),
           unsigned events)
{
    struct process *p;
    struct task *t;

    if (a->type == F_OWNER_PGRP) {
        for (p = group_next(a->id, NULL); p; p = group_next(a->id, p))
            if (may_tell(a, p))
                each(a, p, NULL, events);
        return;
    }
    p = owner_process(a, &t);
    if (p && p->start_ns == a->start_ns && may_tell(a, p))
        each(a, p, t, events);
}

static void
tell_urgent(const struct async *a, struct process *p, struct task *t, unsigned events)
{
    siginfo_t info = {.si_signo = SIGURG, .si_code = SI_KERNEL};

    signal_send_info(p, t, &info);
}

/* fd: of the lease or watch that there is news of. */
static void
tell_message(const struct async *a, struct process *p, struct task *t, unsigned fd)
{
    siginfo_t info = {.si_signo = a->signal, .si_code = POLL_MSG};

    info.si_band = POLLIN | POLLRDNORM | POLLMSG;
    info.si_fd = (int)fd;
    if (!a->signal || signal_send_info(p, t, &info) < 0)
        signal_send_process(p, SIGIO);
}

void
async_message(const struct file *f, int fd)
{
    if (f->async && f->async->id)
        each_owner(f->async, tell_message, (unsigned)fd);
}

void
async_urgent(const struct file *f)
{
    if (f->async && f->async->id)
        each_owner(f->async, tell_urgent, 0);
}

CALLBACK static void
async_notify(struct wait_entry *e)
{
    struct async *a = (struct async *)(void *)e->task;
    unsigned none = 0, events;
    bool room;

    if (list_empty(&e->link) || !a->id) /* the queue is dying, or there is nobody to tell */
        return;
    events = file_poll(a->file, NULL, &none, 0);
    room = (events & POLLOUT) && !a->writable;
    a->writable = (events & POLLOUT) != 0;
    if (!room && !(events & (POLLIN | POLLPRI | POLLHUP | POLLERR)))
        return;
    each_owner(a, tell, events);
}

static void
stop(struct async *a)
{
    for (unsigned k = 0; k < a->queue_count; k++)
        list_remove(&a->entries[k].link);
    a->queue_count = 0;
}

int
async_set(struct file *f, int fd, bool on)
{
    struct wait_queue *queues[QUEUES];
    struct async *a;
    unsigned count = 0;

    if (!OPS(f->ops)->tells_async || (!on && !f->async)) /* the flag alone, as on Linux */
        return 0;
    a = async_of(f);
    if (!a)
        return -ENOMEM;
    stop(a);
    if (!on)
        return 0;
    a->fd = fd;
    a->writable = (file_poll(f, queues, &count, QUEUES) & POLLOUT) != 0;
    for (unsigned k = 0; k < count; k++) {
        a->entries[k] = (struct wait_entry){.notify = async_notify, .task = (struct task *)(void *)a};
        wait_queue_listen(queues[k], &a->entries[k]);
    }
    a->queue_count = count;
    return 0;
}

int
async_set_owner(struct file *f, int type, int id)
{
    struct async *a = async_of(f), next;
    struct process *p;
    struct task *t;

    if (!a)
        return -ENOMEM;
    next = *a;
    next.type = type;
    next.id = id;
    p = type == F_OWNER_PGRP ? id ? group_next(id, NULL) : NULL : id ? owner_process(&next, &t) : NULL;
    if (id && !p)
        return -ESRCH;
    a->type = type;
    a->id = id;
    a->start_ns = p ? p->start_ns : 0;
    a->uid = current_process()->creds.uid;
    a->euid = current_process()->creds.euid;
    return 0;
}

int
async_owner(const struct file *f, int *type)
{
    *type = f->async ? f->async->type : F_OWNER_PID;
    return f->async ? f->async->id : 0;
}

void
async_owner_ids(const struct file *f, uint32_t ids[2])
{
    ids[0] = f->async ? f->async->uid : 0;
    ids[1] = f->async ? f->async->euid : 0;
}

int
async_set_signal(struct file *f, uint64_t signal)
{
    struct async *a;

    if (signal > 64)
        return -EINVAL;
    a = async_of(f);
    if (!a)
        return -ENOMEM;
    a->signal = (int)signal;
    return 0;
}

int
async_signal(const struct file *f)
{
    return f->async ? f->async->signal : 0;
}

int
async_own(struct file *f)
{
    return f->async && f->async->id ? 0 : async_set_owner(f, F_OWNER_PID, current_process()->pid);
}

void
async_disown(struct file *f)
{
    if (f->async)
        f->async->id = f->async->signal = 0;
}

void
async_free(struct file *f)
{
    if (f->async) {
        stop(f->async);
        OBJECT_FREE(async, f->async);
    }
    f->async = NULL;
}
