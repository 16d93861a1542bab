/* Sending, receiving, and notices of POSIX message queues (mq_overview(7)).
 *
 * As with System V's, a message for which somebody waits is handed to that task. A message that waits for room is put
 * into the queue by the task that makes room, so that no later sender overtakes its sender. */
#include "vkernel/ipc/mqueue_internal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/net/socket.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"

enum { HARD_MESSAGES = 65536, HARD_SIZE = 16 << 20 }; /* with CAP_SYS_RESOURCE */

struct mq_waiter {
    struct list link;
    struct wait_queue queue;
    struct ipc_message *message; /* a sender's; what a receiver got */
    bool done;
};

OBJECT_POOL(mqueue);

/* --- a queue --- */

static int
check_attributes(const struct mq_attributes *a)
{
    bool more = capable(CAP_SYS_RESOURCE);

    if (a->max_messages <= 0 || a->message_size <= 0 || a->max_messages > (more ? HARD_MESSAGES : MQ_MESSAGES) ||
        a->message_size > (more ? HARD_SIZE : MQ_SIZE))
        return -EINVAL;
    return 0;
}

/* What Linux charges for a queue, with the sizes of its structures. */
static uint64_t
charge_of(const struct mqueue *q)
{
    enum { MESSAGE = 48, PRIORITY = 48 };
    uint64_t messages = (uint64_t)q->max_messages;

    return messages * MESSAGE + (messages < MQ_PRIORITIES ? messages : MQ_PRIORITIES) * PRIORITY +
           messages * (uint64_t)q->message_size;
}

int
mqueue_new(const struct mq_attributes *a, struct mqueue **out)
{
    static const struct mq_attributes usual = {.max_messages = MQ_MESSAGES, .message_size = MQ_SIZE};
    struct mqueue *q;
    int r = a ? check_attributes(a) : 0;

    if (r < 0)
        return r;
    if (!a)
        a = &usual;
    q = OBJECT_NEW(mqueue);
    if (!q)
        return -ENOMEM;
    q->max_messages = a->max_messages;
    q->message_size = a->message_size;
    q->charged = charge_of(q);
    q->user = user_charge(USER_MQ_BYTES, q->charged, this_worker.rlimits[RLIMIT_MSGQUEUE].rlim_cur);
    if (!q->user) {
        OBJECT_FREE(mqueue, q);
        return -EMFILE;
    }
    list_init(&q->senders);
    list_init(&q->receivers);
    wait_queue_init(&q->queue);
    *out = q;
    return 0;
}

static struct ipc_message *
first_message(struct mqueue *q)
{
    struct id_node *n = id_tree_from(&q->messages, INT64_MIN);

    return n ? id_entry(n, struct ipc_message, node) : NULL;
}

static void
append(struct mqueue *q, struct ipc_message *m)
{
    enum { ORDER_BITS = 47 }; /* four years of a message each microsecond, as long as the queue is never empty */
    int64_t id;

    _Static_assert((int64_t)MQ_PRIORITIES <= INT64_MAX >> ORDER_BITS, "priority and order are one number");
    if (q->count == 0)
        q->sent = 0;
    id = (MQ_PRIORITIES - m->type) << ORDER_BITS | (int64_t)(q->sent++ & ((1ull << ORDER_BITS) - 1));
    id_tree_add(&q->messages, &m->node, id, platform_random_priority());
    q->count++;
    q->bytes += m->size;
}

static struct ipc_message *
take(struct mqueue *q)
{
    struct ipc_message *m = first_message(q);

    id_tree_remove(&q->messages, &m->node);
    q->count--;
    q->bytes -= m->size;
    return m;
}

static void
forget_notice(struct mqueue *q)
{
    if (q->notice.socket)
        socket_put(q->notice.socket);
    q->notice = (struct mq_notice){0};
}

void
mqueue_free(struct mqueue *q)
{
    while (q->count > 0)
        ipc_message_free(take(q));
    forget_notice(q);
    wait_queue_fini(&q->queue);
    user_uncharge(q->user, USER_MQ_BYTES, q->charged);
    OBJECT_FREE(mqueue, q);
}

/* --- notices --- */

enum { COOKIE_MESSAGE = 1, COOKIE_REMOVED = 2 }; /* what glibc's thread reads in its last byte */

static void
send_cookie(struct mqueue *q, uint8_t what)
{
    q->notice.cookie[MQ_COOKIE - 1] = what;
    netlink_tell(q->notice.socket, q->notice.cookie, MQ_COOKIE);
}

static void
send_signal(const struct mq_notice *n)
{
    struct process *p = process_find(n->pid);
    siginfo_t info = {.si_signo = n->signal, .si_code = SI_MESGQ};

    if (!p || p->zombie || p->start_ns != n->started || n->signal == 0)
        return;
    info.si_pid = current_process()->pid;
    info.si_uid = current_creds()->uid;
    info.si_value.sival_ptr = (void *)(uintptr_t)n->value;
    signal_send_info(p, NULL, &info);
}

/* A message has come to the empty queue. */
static void
notify(struct mqueue *q)
{
    if (!q->notice.pid)
        return;
    if (q->notice.how == SIGEV_SIGNAL)
        send_signal(&q->notice);
    else if (q->notice.how == SIGEV_THREAD)
        send_cookie(q, COOKIE_MESSAGE);
    forget_notice(q);
}

static void
remove_notice(struct mqueue *q)
{
    if (q->notice.pid != current_process()->pid || q->notice.started != current_process()->start_ns)
        return;
    if (q->notice.how == SIGEV_THREAD)
        send_cookie(q, COOKIE_REMOVED);
    forget_notice(q);
}

/* --- waiting --- */

/* Until somebody has taken the sender's message, or brought the receiver one. */
static int
wait_in(struct list *waiters, struct mq_waiter *w, uint64_t deadline)
{
    int r;

    wait_queue_init(&w->queue);
    list_append(waiters, &w->link);
    r = WAIT_EVENT(&w->queue, deadline, w->done);
    if (!w->done)
        list_remove(&w->link);
    wait_queue_fini(&w->queue);
    return r;
}

static void
finish(struct mq_waiter *w)
{
    list_remove(&w->link);
    w->done = true;
    wait_queue_wake(&w->queue);
}

static struct mq_waiter *
first_waiter(struct list *waiters)
{
    return list_empty(waiters) ? NULL : list_entry(waiters->next, struct mq_waiter, link);
}

static void
touch(struct inode *i)
{
    i->atime = i->ctime = timespec_now();
}

/* The end of a wait by a time in guest memory; 0: there is none. */
static int
deadline_from_guest(guest_addr address, uint64_t *deadline)
{
    uint64_t ns, now = clock_realtime_ns();
    int r;

    *deadline = WAIT_FOREVER;
    if (!address)
        return 0;
    r = timespec_from_guest(address, &ns);
    if (r == 0)
        *deadline = clock_monotonic_ns() + (ns > now ? ns - now : 0);
    return r;
}

/* The open queue of the descriptor, with a reference; NULL: EBADF. */
static struct file *
queue_get(int fd)
{
    struct file *f = fd_get(fd);

    if (f && f->ops != &mqueue_file_ops) {
        file_put(f);
        return NULL;
    }
    return f;
}

static struct mqueue *
queue_of(const struct file *f)
{
    return f->inode->data;
}

/* --- the calls --- */

/* 0: the message is the queue's. */
static int
send_message(struct file *f, struct ipc_message *m, uint64_t deadline)
{
    struct mqueue *q = queue_of(f);
    struct mq_waiter w = {.message = m}, *receiver;

    if (q->count == q->max_messages)
        return f->flags & O_NONBLOCK ? -EAGAIN : wait_in(&q->senders, &w, deadline);
    touch(f->inode);
    receiver = first_waiter(&q->receivers);
    if (receiver) {
        receiver->message = m;
        finish(receiver);
        return 0;
    }
    append(q, m);
    if (q->count == 1)
        notify(q);
    wait_queue_wake(&q->queue);
    return 0;
}

int64_t
sys_mq_timedsend(const uint64_t a[6])
{
    FILE_REF struct file *f = NULL;
    struct ipc_message *m;
    uint64_t deadline;
    int r = deadline_from_guest(a[4], &deadline);

    might_sleep();
    if (r < 0)
        return r;
    if ((unsigned)a[3] >= MQ_PRIORITIES)
        return -EINVAL;
    f = queue_get((int)a[0]);
    if (!f || !file_can_write(f))
        return -EBADF;
    if (a[2] > (uint64_t)queue_of(f)->message_size)
        return -EMSGSIZE;
    r = ipc_message_load(a[1], a[2], (unsigned)a[3], &m);
    if (r < 0)
        return r;
    r = send_message(f, m, deadline);
    if (r < 0)
        ipc_message_free(m);
    return r;
}

static int
receive_message(struct file *f, uint64_t deadline, struct ipc_message **out)
{
    struct mqueue *q = queue_of(f);
    struct mq_waiter w = {0}, *sender;

    if (q->count == 0) {
        int r = f->flags & O_NONBLOCK ? -EAGAIN : wait_in(&q->receivers, &w, deadline);

        *out = w.message;
        return r;
    }
    *out = take(q);
    touch(f->inode);
    sender = first_waiter(&q->senders);
    if (sender) {
        append(q, sender->message);
        finish(sender);
    }
    wait_queue_wake(&q->queue);
    return 0;
}

int64_t
sys_mq_timedreceive(const uint64_t a[6])
{
    FILE_REF struct file *f = NULL;
    struct ipc_message *m;
    uint64_t deadline;
    uint32_t priority;
    int64_t r = deadline_from_guest(a[4], &deadline);

    might_sleep();
    if (r < 0)
        return r;
    f = queue_get((int)a[0]);
    if (!f || !file_can_read(f))
        return -EBADF;
    if (a[2] < (uint64_t)queue_of(f)->message_size)
        return -EMSGSIZE;
    r = receive_message(f, deadline, &m);
    if (r < 0)
        return r;
    priority = (uint32_t)m->type;
    r = (int64_t)m->size;
    if ((a[3] && copy_to_guest(a[3], &priority, sizeof priority) < 0) ||
        (m->size && copy_to_guest(a[1], m->data, m->size) < 0))
        r = -EFAULT; /* it is lost, as on Linux */
    ipc_message_free(m);
    return r;
}

struct guest_sigevent {
    uint64_t value;
    int32_t signal, how, pad[12];
};
_Static_assert(sizeof(struct guest_sigevent) == 64, "sigevent");

/* What a guest asks for; the socket is a reference. */
static int
notice_from_guest(guest_addr address, struct mq_notice *n)
{
    FILE_REF struct file *f = NULL;
    struct guest_sigevent ev;

    if (copy_from_guest(&ev, address, sizeof ev) < 0)
        return -EFAULT;
    if ((ev.how != SIGEV_NONE && ev.how != SIGEV_SIGNAL && ev.how != SIGEV_THREAD) ||
        (ev.how == SIGEV_SIGNAL && (ev.signal < 0 || ev.signal > SIGNALS)))
        return -EINVAL;
    *n = (struct mq_notice){.pid = current_process()->pid,
                            .started = current_process()->start_ns,
                            .how = ev.how,
                            .signal = ev.signal};
    n->value = ev.value;
    if (ev.how != SIGEV_THREAD)
        return 0;
    if (copy_from_guest(n->cookie, ev.value, sizeof n->cookie) < 0)
        return -EFAULT;
    f = fd_get(ev.signal);
    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (!file_socket(f))
        return -ENOTSOCK;
    if (file_socket(f)->family != AF_NETLINK)
        return -EINVAL;
    n->socket = socket_get(file_socket(f));
    return 0;
}

int64_t
sys_mq_notify(const uint64_t a[6])
{
    struct mq_notice n = {0};
    FILE_REF struct file *f = NULL;
    struct mqueue *q;
    int r = a[1] ? notice_from_guest(a[1], &n) : 0;

    if (r < 0)
        return r;
    f = queue_get((int)a[0]);
    q = f ? queue_of(f) : NULL;
    if (!q)
        r = -EBADF;
    else if (!a[1])
        remove_notice(q);
    else if (q->notice.pid)
        r = -EBUSY;
    if (r < 0 || !a[1]) {
        if (n.socket)
            socket_put(n.socket);
        return r;
    }
    q->notice = n;
    touch(f->inode);
    return 0;
}

int64_t
sys_mq_getsetattr(const uint64_t a[6])
{
    FILE_REF struct file *f = NULL;
    struct mq_attributes new, old = {0};

    if (a[1]) {
        if (copy_from_guest(&new, a[1], sizeof new) < 0)
            return -EFAULT;
        if (new.flags & ~(int64_t)O_NONBLOCK)
            return -EINVAL;
    }
    f = queue_get((int)a[0]);
    if (!f)
        return -EBADF;
    old.flags = f->flags & O_NONBLOCK;
    old.max_messages = queue_of(f)->max_messages;
    old.message_size = queue_of(f)->message_size;
    old.messages = queue_of(f)->count;
    if (a[1]) {
        f->flags = (f->flags & ~O_NONBLOCK) | (int)new.flags;
        touch(f->inode);
    }
    return a[2] && copy_to_guest(a[2], &old, sizeof old) < 0 ? -EFAULT : 0;
}

/* --- what a descriptor does --- */

static ssize_t
queue_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    const struct mqueue *q = queue_of(f);
    const struct mq_notice *n = &q->notice;
    char text[128];
    size_t size = (size_t)snprintf(text, sizeof text, "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
                                   (unsigned long long)q->bytes, n->pid ? n->how : 0,
                                   n->pid && n->how == SIGEV_SIGNAL ? n->signal : 0, n->pid);
    size_t wanted = iov_total(iov, count), done;

    if (*pos >= size || wanted == 0)
        return 0;
    size -= *pos;
    size = size < wanted ? size : wanted;
    done = iov_scatter(iov, count, 0, text + *pos, size);
    if (done == 0)
        return -EFAULT;
    *pos += done;
    return (ssize_t)done;
}

static int64_t
queue_seek(struct file *f, int64_t offset, int whence)
{
    int64_t at = offset;

    if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
        return -EINVAL;
    if (__builtin_add_overflow(offset,
                               (int64_t)(whence == SEEK_CUR   ? f->pos
                                         : whence == SEEK_END ? f->inode->size
                                                              : 0),
                               &at) ||
        at < 0)
        return -EINVAL;
    f->pos = (uint64_t)at;
    return at;
}

static int
queue_file_truncate(struct file *f, uint64_t size)
{
    return OPS(f->inode->ops)->truncate(f->inode, size);
}

static unsigned
poll_queue(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct mqueue *q = queue_of(f);

    poll_add(queues, count, max, &q->queue);
    return (q->count > 0 ? POLLIN | POLLRDNORM : 0u) | (q->count < q->max_messages ? POLLOUT | POLLWRNORM : 0u);
}

static void
queue_closed(struct file *f)
{
    remove_notice(queue_of(f));
}

const struct file_ops OPS_TABLE(file_ops) mqueue_file_ops = {
    .name = "mqueue",
    .read = queue_read,
    .seek = queue_seek,
    .poll = poll_queue,
    .truncate = queue_file_truncate,
    .closed = queue_closed,
};
