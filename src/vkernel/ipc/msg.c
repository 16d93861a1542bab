/* Message queues of System V (msgget(2), msgop(2), msgctl(2)).
 *
 * A message for which somebody waits never comes to the queue: its sender hands it over, to the first task that takes
 * such messages. A sender that waits for room is woken when there is some for its message, and tries again. */
#include <limits.h>
#include <string.h>
#include <sys/msg.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/ipc/ipc_internal.h"
#include "vkernel/ipc/message.h"
#include "vkernel/sched/sched.h"
#include "vkernel/vfs/creds.h"

/* Of one queue: a search for a type walks them. Linux has no such limit of its own, but one of the queue's bytes, which
 * CAP_SYS_RESOURCE may raise. */
enum { MESSAGES = 65536 };

struct msg_queue {
    struct ipc_object ipc;           /* who sleeps has a reference as well */
    struct list messages;            /* struct ipc_message, the oldest first */
    uint64_t bytes, limit;           /* of all messages; what msg_qbytes allows */
    unsigned count;                  /* messages */
    struct list receivers, senders;  /* first come, first served */
    int last_sender, last_receiver;  /* processes */
    int64_t send_time, receive_time; /* seconds of real time; 0: never */
};

/* A sender that sleeps; it lies on its fiber's stack, as a receiver does. */
struct msg_sender {
    struct list link;
    struct wait_queue queue;
    uint64_t size;
    bool woken;
};

/* Which messages are wanted. */
enum msg_mode { ANY, EQUAL, NOT_EQUAL, LESS_EQUAL, BY_NUMBER };
struct msg_wish {
    enum msg_mode mode;
    int64_t type; /* BY_NUMBER: how many messages are before it */
};

struct msg_receiver {
    struct list link;
    struct wait_queue queue;
    struct msg_wish wish;
    uint64_t most; /* a larger message is E2BIG */
    int pid;
    bool woken;
    struct ipc_message *message; /* what it got and owns now, or NULL: */
    int error;                   /* 0: it is to look again */
};

static struct ipc_ids msg_queues = {.limit = MSG_QUEUES, .last = -1};
static uint64_t bytes_of_all;
static unsigned messages_of_all;

OBJECT_POOL(msg_queue);

static struct msg_queue *
queue_of(struct ipc_object *o)
{
    return (struct msg_queue *)(void *)o;
}
_Static_assert(offsetof(struct msg_queue, ipc) == 0, "an object is found by its first member");

static void
queue_put(struct msg_queue *q)
{
    if (refcount_put(&q->ipc.refs))
        OBJECT_FREE(msg_queue, q);
}

/* --- msgget --- */

static int64_t
queue_new(int32_t key, int flags)
{
    struct msg_queue *q = OBJECT_NEW(msg_queue);
    int r;

    if (!q)
        return -ENOMEM;
    list_init(&q->messages);
    list_init(&q->receivers);
    list_init(&q->senders);
    q->limit = MSG_BYTES;
    r = ipc_add(&msg_queues, &q->ipc, key, flags);
    if (r < 0)
        OBJECT_FREE(msg_queue, q);
    return r;
}

int64_t
sys_msgget(const uint64_t a[6])
{
    int flags = (int)a[1];
    struct ipc_object *o;
    int r = ipc_find_key(&msg_queues, (int32_t)a[0], flags, &o);

    if (r < 0)
        return r;
    if (!o)
        return queue_new((int32_t)a[0], flags);
    return ipc_permits(o, flags) ? o->id : -EACCES;
}

/* --- what lies in a queue --- */

static bool
has_room(const struct msg_queue *q, uint64_t size)
{
    return size + q->bytes <= q->limit && 1 + (uint64_t)q->count <= q->limit && q->count < MESSAGES;
}

static void
append(struct msg_queue *q, struct ipc_message *m)
{
    list_append(&q->messages, &m->link);
    q->bytes += m->size;
    q->count++;
    bytes_of_all += m->size;
    messages_of_all++;
}

static void
take(struct msg_queue *q, struct ipc_message *m)
{
    list_remove(&m->link);
    q->bytes -= m->size;
    q->count--;
    bytes_of_all -= m->size;
    messages_of_all--;
}

static bool
is_wanted(const struct msg_wish *w, int64_t type)
{
    switch (w->mode) {
    case EQUAL: return type == w->type;
    case NOT_EQUAL: return type != w->type;
    case LESS_EQUAL: return type <= w->type;
    default: return true;
    }
}

static struct ipc_message *
find(const struct msg_queue *q, const struct msg_wish *w)
{
    struct ipc_message *lowest = NULL;
    int64_t number = 0;

    LIST_EACH(p, &q->messages) {
        struct ipc_message *m = list_entry(p, struct ipc_message, link);

        if (w->mode == BY_NUMBER ? number++ != w->type : !is_wanted(w, m->type))
            continue;
        if (w->mode != LESS_EQUAL)
            return m;
        if (!lowest || m->type < lowest->type)
            lowest = m;
        if (lowest->type == 1)
            break;
    }
    return lowest;
}

static void
wake_senders(struct msg_queue *q, bool all)
{
    LIST_EACH(p, &q->senders) {
        struct msg_sender *s = list_entry(p, struct msg_sender, link);

        if (s->woken || (!all && !has_room(q, s->size)))
            continue;
        s->woken = true;
        wait_queue_wake(&s->queue);
    }
}

static void
answer(struct msg_receiver *r, struct ipc_message *m, int error)
{
    list_remove(&r->link);
    r->message = m;
    r->error = error;
    r->woken = true;
    wait_queue_wake(&r->queue);
}

/* error: 0, when they are to look again. */
static void
wake_receivers(struct msg_queue *q, int error)
{
    LIST_EACH_SAFE(p, &q->receivers)
        answer(list_entry(p, struct msg_receiver, link), NULL, error);
}

/* Gives the message to the first who waits for such a one, if anybody does. */
static bool
hand_over(struct msg_queue *q, struct ipc_message *m)
{
    LIST_EACH_SAFE(p, &q->receivers) {
        struct msg_receiver *r = list_entry(p, struct msg_receiver, link);

        if (!is_wanted(&r->wish, m->type))
            continue;
        if (m->size > r->most) {
            answer(r, NULL, -E2BIG);
            continue;
        }
        q->last_receiver = r->pid;
        q->receive_time = ipc_now();
        answer(r, m, 0);
        return true;
    }
    return false;
}

/* --- msgsnd --- */

/* Until there may be room: 0, or -errno. */
static int
wait_for_room(struct msg_queue *q, uint64_t size)
{
    struct msg_sender s = {.size = size};
    int r;

    wait_queue_init(&s.queue);
    list_append(&q->senders, &s.link);
    r = WAIT_EVENT(&s.queue, WAIT_FOREVER, s.woken);
    list_remove(&s.link);
    wait_queue_fini(&s.queue);
    if (q->ipc.removed)
        return -EIDRM;
    return r < 0 ? -ERESTARTNOHAND : 0;
}

/* Puts it there: 0, and the message is the queue's, or -errno. */
static int
send(struct msg_queue *q, struct ipc_message *m, int flags)
{
    for (;;) {
        int r;

        if (!ipc_permits(&q->ipc, IPC_WRITE))
            return -EACCES;
        if (has_room(q, m->size))
            break;
        if (flags & IPC_NOWAIT)
            return -EAGAIN;
        r = wait_for_room(q, m->size);
        if (r < 0)
            return r;
    }
    q->last_sender = ipc_pid();
    q->send_time = ipc_now();
    if (!hand_over(q, m))
        append(q, m);
    return 0;
}

int64_t
sys_msgsnd(const uint64_t a[6])
{
    struct ipc_message *m;
    struct ipc_object *o;
    int64_t type;
    int r;

    might_sleep();
    if (copy_from_guest(&type, a[1], sizeof type) < 0)
        return -EFAULT;
    if (a[2] > MSG_SIZE || (int)a[0] < 0 || type < 1)
        return -EINVAL;
    r = ipc_message_load(a[1] + sizeof type, a[2], type, &m);
    if (r < 0)
        return r;
    o = ipc_find(&msg_queues, (int)a[0], &r);
    if (o) {
        refcount_get(&o->refs);
        r = send(queue_of(o), m, (int)a[3]);
        queue_put(queue_of(o));
    }
    if (r < 0)
        ipc_message_free(m);
    return r;
}

/* --- msgrcv --- */

static int
wish_of(int64_t type, int flags, struct msg_wish *out)
{
    *out = (struct msg_wish){.mode = ANY, .type = type};
    if (flags & MSG_COPY) {
        out->mode = BY_NUMBER;
        return (flags & MSG_EXCEPT) || !(flags & IPC_NOWAIT) ? -EINVAL : 0;
    }
    if (type < 0)
        *out = (struct msg_wish){.mode = LESS_EQUAL, .type = type == INT64_MIN ? INT64_MAX : -type};
    else if (type > 0)
        out->mode = flags & MSG_EXCEPT ? NOT_EQUAL : EQUAL;
    return 0;
}

/* Until somebody has sent such a message: 0 and the message, or NULL when the queue is to be looked at again. */
static int
wait_for_message(struct msg_queue *q, const struct msg_wish *w, uint64_t most, struct ipc_message **out)
{
    struct msg_receiver receiver = {.wish = *w, .most = most, .pid = ipc_pid()};
    int r;

    wait_queue_init(&receiver.queue);
    list_append(&q->receivers, &receiver.link);
    r = WAIT_EVENT(&receiver.queue, WAIT_FOREVER, receiver.woken);
    if (!receiver.woken)
        list_remove(&receiver.link);
    wait_queue_fini(&receiver.queue);
    *out = receiver.message;
    return r < 0 ? -ERESTARTNOHAND : receiver.error;
}

/* What a look finds: 0 and the message, which is the caller's now; -ENOMSG: there is none. */
static int
receive_now(struct msg_queue *q, const struct msg_wish *w, uint64_t size, int flags, struct ipc_message **out)
{
    struct ipc_message *m;

    if (!ipc_permits(&q->ipc, IPC_READ))
        return -EACCES;
    m = find(q, w);
    if (!m)
        return -ENOMSG;
    if (size < m->size && !(flags & MSG_NOERROR))
        return -E2BIG;
    if (w->mode == BY_NUMBER) {
        if (size < m->size)
            return -EINVAL;
        *out = ipc_message_copy(m);
        return *out ? 0 : -ENOMEM;
    }
    take(q, m);
    q->last_receiver = ipc_pid();
    q->receive_time = ipc_now();
    wake_senders(q, false);
    *out = m;
    return 0;
}

static int
receive(struct msg_queue *q, const struct msg_wish *w, uint64_t size, int flags, struct ipc_message **out)
{
    int r;

    *out = NULL;
    do {
        r = receive_now(q, w, size, flags, out);
        if (r != -ENOMSG || (flags & IPC_NOWAIT))
            return r;
        r = wait_for_message(q, w, flags & MSG_NOERROR ? UINT64_MAX : size, out);
    } while (r == 0 && !*out && !q->ipc.removed);
    return r == 0 && !*out ? -EIDRM : r;
}

int64_t
sys_msgrcv(const uint64_t a[6])
{
    int flags = (int)a[4], r;
    uint64_t size = a[2];
    struct ipc_message *m = NULL;
    struct ipc_object *o;
    struct msg_wish w;

    might_sleep();
    if ((int)a[0] < 0 || (int64_t)size < 0)
        return -EINVAL;
    r = wish_of((int64_t)a[3], flags, &w);
    if (r < 0)
        return r;
    o = ipc_find(&msg_queues, (int)a[0], &r);
    if (!o)
        return r;
    refcount_get(&o->refs);
    r = receive(queue_of(o), &w, size, flags, &m);
    queue_put(queue_of(o));
    if (r < 0)
        return r;
    size = size < m->size ? size : m->size;
    if (copy_to_guest(a[1], &m->type, sizeof m->type) < 0 ||
        (size && copy_to_guest(a[1] + sizeof m->type, m->data, size) < 0))
        r = -EFAULT; /* it is lost, as on Linux */
    ipc_message_free(m);
    return r < 0 ? r : (int64_t)size;
}

/* --- msgctl --- */

static int64_t
tell_limits(guest_addr out, bool use)
{
    enum { UNIT = 16, POOL = MSG_QUEUES * (MSG_BYTES / 1024) };
    struct msginfo i = {
        .msgpool = use ? (int)msg_queues.used : POOL,
        .msgmap = use ? (int)messages_of_all : MSG_BYTES,
        .msgmax = MSG_SIZE,
        .msgmnb = MSG_BYTES,
        .msgmni = MSG_QUEUES,
        .msgssz = UNIT,
        .msgtql = use ? (int)bytes_of_all : MSG_BYTES,
        .msgseg = UINT16_MAX,
    };

    return copy_to_guest(out, &i, sizeof i) < 0 ? -EFAULT : ipc_highest(&msg_queues);
}

static int64_t
tell_queue(int id, int command, guest_addr out)
{
    int error;
    struct ipc_object *o = ipc_find_stat(&msg_queues, id, command, MSG_STAT_ANY, &error);
    const struct msg_queue *q;
    struct msqid_ds d = {0};

    if (!o)
        return error;
    q = queue_of(o);
    ipc_tell(o, &d.msg_perm);
    d.msg_stime = q->send_time;
    d.msg_rtime = q->receive_time;
    d.msg_ctime = o->change_time;
    d.__msg_cbytes = q->bytes;
    d.msg_qnum = q->count;
    d.msg_qbytes = q->limit;
    d.msg_lspid = q->last_sender;
    d.msg_lrpid = q->last_receiver;
    if (copy_to_guest(out, &d, sizeof d) < 0)
        return -EFAULT;
    return command == IPC_STAT ? 0 : o->id;
}

static int64_t
set_queue(int id, guest_addr in)
{
    struct msqid_ds d;
    struct ipc_object *o;
    struct msg_queue *q;
    int r;

    if (copy_from_guest(&d, in, sizeof d) < 0)
        return -EFAULT;
    o = ipc_find_owned(&msg_queues, id, &r);
    if (!o)
        return r;
    if (d.msg_qbytes > MSG_BYTES && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    r = ipc_set(o, &d.msg_perm);
    if (r < 0)
        return r;
    q = queue_of(o);
    q->limit = d.msg_qbytes;
    wake_receivers(q, 0); /* they may not be permitted to any more */
    wake_senders(q, true);
    return 0;
}

static int64_t
remove_queue(int id)
{
    int error;
    struct ipc_object *o = ipc_find_owned(&msg_queues, id, &error);
    struct msg_queue *q;

    if (!o)
        return error;
    q = queue_of(o);
    ipc_remove(&msg_queues, o);
    wake_receivers(q, -EIDRM);
    wake_senders(q, true);
    while (!list_empty(&q->messages)) {
        struct ipc_message *m = list_entry(q->messages.next, struct ipc_message, link);

        take(q, m);
        ipc_message_free(m);
    }
    queue_put(q);
    return 0;
}

int64_t
sys_msgctl(const uint64_t a[6])
{
    int id = (int)a[0], command = (int)a[1];

    if (id < 0 || command < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case MSG_INFO: return tell_limits(a[2], command == MSG_INFO);
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY: return tell_queue(id, command, a[2]);
    case IPC_SET: return set_queue(id, a[2]);
    case IPC_RMID: return remove_queue(id);
    default: return -EINVAL;
    }
}

int
ipc_show_msg(const struct pseudo_key *key, struct text *out)
{
    text_printf(
        out, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
             "rtime      ctime\n");
    IPC_EACH(o, &msg_queues)
    {
        const struct msg_queue *q = queue_of(o);

        text_printf(out, "%10d %10d  %4o  %10llu %10u %5d %5d %5u %5u %5u %5u %10lld %10lld %10lld\n", o->key, o->id,
                    o->mode, (unsigned long long)q->bytes, q->count, q->last_sender, q->last_receiver, o->uid, o->gid,
                    o->cuid, o->cgid, (long long)q->send_time, (long long)q->receive_time, (long long)o->change_time);
    }
    return 0;
}
