/* Listeners (seccomp_unotify(2)): a task asks who listens to its filter what is to become of a call, and sleeps until
 * it is told. What a task asks lies on its stack, as long as it sleeps for the answer; so does a descriptor that the
 * listener wants to have made there. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/seccomp/seccomp_internal.h"
#include "vkernel/usercopy/usercopy.h"
#include "vkernel/vfs/vfs.h"

enum {
    ADDFD_SIZE = 24,
    ADDFD_NUMBER = 3, /* the ioctl whose structure may be longer or shorter */
    SYNC_WAKE_UP = 1, /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: a request to switch faster, which is only kept */
};
/* Linux's first number of ID_VALID had the wrong direction, and goes on working. */
#define ID_VALID_WRONG_DIR _IOR(SECCOMP_IOC_MAGIC, 2, uint64_t)
#define SET_FLAGS          _IOW(SECCOMP_IOC_MAGIC, 4, uint64_t)

_Static_assert(sizeof(struct seccomp_notif) == 80 && sizeof(struct seccomp_notif_resp) == 24 &&
                   sizeof(struct seccomp_notif_addfd) == ADDFD_SIZE,
               "these structures are the guest's");

/* A call that is asked about. */
struct seccomp_notice {
    struct list link; /* in the filter's list, from the question to the end of the sleep */
    struct task *task;
    const struct seccomp_data *data;
    uint64_t id;
    enum { FRESH, TAKEN, ANSWERED } state;
    /* the answer */
    int64_t value;
    int32_t error;
    bool makes;            /* the call is made after all */
    struct list additions; /* struct addition: what the task is to do meanwhile */
    struct wait_queue queue;
};

/* A descriptor that the task is to get. */
struct addition {
    struct list link;
    struct file *file; /* of whoever sleeps for it */
    int fd;            /* SECCOMP_ADDFD_FLAG_SETFD: this one, else any */
    int descriptor_flags;
    uint32_t flags; /* SECCOMP_ADDFD_FLAG_* */
    int64_t result;
    bool done;
    struct wait_queue queue;
};

static void
set_state(struct seccomp_filter *f, struct seccomp_notice *n, int state)
{
    f->fresh += (state == FRESH) - (n->state == FRESH);
    f->taken += (state == TAKEN) - (n->state == TAKEN);
    n->state = state;
}

/* --- who asks --- */

/* Gives the task the descriptor. With SECCOMP_ADDFD_FLAG_SEND that is the answer, if it could be given. */
static void
add_descriptor(struct seccomp_filter *f, struct seccomp_notice *n, struct addition *a)
{
    int fd;

    list_remove(&a->link);
    if (a->flags & SECCOMP_ADDFD_FLAG_SETFD) {
        fd = fd_dup_to(a->file, a->fd, a->descriptor_flags);
    } else {
        fd = fd_install(file_get(a->file), 0, a->descriptor_flags);
        if (fd < 0)
            file_put(a->file);
    }
    if (a->flags & SECCOMP_ADDFD_FLAG_SEND) {
        if (fd < 0)
            set_state(f, n, TAKEN);
        n->value = fd < 0 ? 0 : fd;
    }
    a->result = fd;
    a->done = true;
    wait_queue_wake(&a->queue);
}

static bool
has_news(const struct seccomp_notice *n)
{
    return n->state == ANSWERED || !list_empty(&n->additions);
}

/* Sleeps until there is an answer, and does meanwhile what is asked of the task. -ERESTARTSYS for a signal, from the
 * moment on at which the question was received only a fatal one, if the filter wants it so. */
static int
wait_for_answer(struct seccomp_filter *f, struct seccomp_notice *n)
{
    while (n->state != ANSWERED || !list_empty(&n->additions)) {
        bool killable = f->waits_killable && n->state == TAKEN;
        int r = has_news(n) ? 0
                : killable  ? wait_on_killable(&n->queue, WAIT_FOREVER)
                            : wait_on(&n->queue, WAIT_FOREVER);

        if (r < 0 && !has_news(n) && (killable || !f->waits_killable || n->state != TAKEN))
            return r;
        if (!list_empty(&n->additions))
            add_descriptor(f, n, list_entry(n->additions.next, struct addition, link));
    }
    return 0;
}

static void
notice_fini(struct seccomp_filter *f, struct seccomp_notice *n)
{
    set_state(f, n, ANSWERED);
    list_remove(&n->link);
    while (!list_empty(&n->additions)) {
        struct addition *a = list_entry(n->additions.next, struct addition, link);

        list_remove(&a->link);
        a->result = -ESRCH;
        a->done = true;
        wait_queue_wake(&a->queue);
    }
    wait_queue_fini(&n->queue);
}

struct seccomp_outcome
seccomp_ask(struct seccomp_filter *f, const struct seccomp_data *data)
{
    struct seccomp_notice n = {.task = current_task(), .data = data, .state = ANSWERED};
    int r;

    might_sleep();
    if (!f->heard)
        return (struct seccomp_outcome){SECCOMP_ANSWER, .value = -ENOSYS};
    n.id = f->next_id++;
    list_init(&n.additions);
    wait_queue_init(&n.queue);
    list_append(&f->notices, &n.link);
    set_state(f, &n, FRESH);
    f->due++;
    wait_queue_wake(&f->queue);
    r = wait_for_answer(f, &n);
    notice_fini(f, &n);
    if (r < 0)
        return (struct seccomp_outcome){SECCOMP_ANSWER, .value = r, .restarts = true};
    if (n.makes)
        return (struct seccomp_outcome){SECCOMP_MAKE};
    return (struct seccomp_outcome){SECCOMP_ANSWER, .value = n.error ? n.error : n.value};
}

/* --- who listens --- */

static struct seccomp_notice *
find(struct seccomp_filter *f, uint64_t id)
{
    LIST_EACH(l, &f->notices) {
        struct seccomp_notice *n = list_entry(l, struct seccomp_notice, link);

        if (n->id == id)
            return n;
    }
    return NULL;
}

static struct seccomp_notice *
find_fresh(struct seccomp_filter *f)
{
    LIST_EACH(l, &f->notices) {
        struct seccomp_notice *n = list_entry(l, struct seccomp_notice, link);

        if (n->state == FRESH)
            return n;
    }
    return NULL;
}

static void
answer(struct seccomp_filter *f, struct seccomp_notice *n, int32_t error, int64_t value)
{
    set_state(f, n, ANSWERED);
    n->error = error;
    n->value = value;
    wait_queue_wake(&n->queue);
}

static int
receive(struct seccomp_filter *f, guest_addr address)
{
    struct seccomp_notif out, zero = {0};
    struct seccomp_notice *n;
    int r;

    /* So that a later kernel may read from there. */
    if (copy_from_guest(&out, address, sizeof out) < 0)
        return -EFAULT;
    if (memcmp(&out, &zero, sizeof out) != 0)
        return -EINVAL;
    r = WAIT_EVENT(&f->queue, WAIT_FOREVER, f->due > 0 || f->no_users);
    if (r < 0)
        return r;
    f->due -= f->due > 0;
    n = find_fresh(f);
    if (!n) /* a signal ended its sleep */
        return -ENOENT;
    out = (struct seccomp_notif){.id = n->id, .pid = (uint32_t)n->task->tid, .data = *n->data};
    if (copy_to_guest(address, &out, sizeof out) < 0) {
        f->due++;
        return -EFAULT;
    }
    set_state(f, n, TAKEN);
    wait_queue_wake(&f->queue);
    return 0;
}

static int
send_answer(struct seccomp_filter *f, guest_addr address)
{
    struct seccomp_notif_resp in;
    struct seccomp_notice *n;
    bool makes;

    if (copy_from_guest(&in, address, sizeof in) < 0)
        return -EFAULT;
    makes = in.flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if ((in.flags & ~(uint32_t)SECCOMP_USER_NOTIF_FLAG_CONTINUE) || (makes && (in.error || in.val)))
        return -EINVAL;
    n = find(f, in.id);
    if (!n)
        return -ENOENT;
    if (n->state != TAKEN)
        return -EINPROGRESS;
    n->makes = makes;
    answer(f, n, in.error, in.val);
    return 0;
}

static int
id_valid(struct seccomp_filter *f, guest_addr address)
{
    const struct seccomp_notice *n;
    uint64_t id;

    if (copy_from_guest(&id, address, sizeof id) < 0)
        return -EFAULT;
    n = find(f, id);
    return n && n->state == TAKEN ? 0 : -ENOENT;
}

/* A structure that may be of a later version, which has zeros where this one ends. */
static int
addition_from_guest(struct seccomp_notif_addfd *in, guest_addr address, size_t size)
{
    uint8_t rest[256];

    if (size < ADDFD_SIZE || size >= 4096)
        return -EINVAL;
    for (size_t at = sizeof *in, n; at < size; at += n) {
        n = size - at < sizeof rest ? size - at : sizeof rest;
        if (copy_from_guest(rest, address + at, n) < 0)
            return -EFAULT;
        for (size_t k = 0; k < n; k++)
            if (rest[k])
                return -E2BIG;
    }
    return copy_from_guest(in, address, sizeof *in);
}

/* Waits until the task has the descriptor, and returns its number there. */
static int64_t
let_add(struct seccomp_notice *n, struct addition *a)
{
    int r;

    list_append(&n->additions, &a->link);
    wait_queue_wake(&n->queue);
    r = WAIT_EVENT(&a->queue, WAIT_FOREVER, a->done);
    if (!a->done) {
        list_remove(&a->link);
        a->result = r;
    }
    return a->result;
}

static int64_t
add_fd(struct seccomp_filter *f, guest_addr address, size_t size)
{
    struct seccomp_notif_addfd in;
    struct seccomp_notice *n;
    struct addition a = {.done = false};
    int r = addition_from_guest(&in, address, size);

    if (r < 0)
        return r;
    if ((in.newfd_flags & ~(uint32_t)O_CLOEXEC) ||
        (in.flags & ~(uint32_t)(SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND)) ||
        (in.newfd && !(in.flags & SECCOMP_ADDFD_FLAG_SETFD)))
        return -EINVAL;
    FILE_REF struct file *file = fd_get((int)in.srcfd);
    if (!file)
        return -EBADF;
    n = find(f, in.id);
    if (!n)
        return -ENOENT;
    if (n->state != TAKEN)
        return -EINPROGRESS;
    if (in.flags & SECCOMP_ADDFD_FLAG_SEND) {
        if (!list_empty(&n->additions))
            return -EBUSY;
        set_state(f, n, ANSWERED);
    }
    a.file = file;
    a.fd = (int)in.newfd;
    a.descriptor_flags = (int)in.newfd_flags;
    a.flags = in.flags;
    list_init(&a.link);
    wait_queue_init(&a.queue);
    let_add(n, &a);
    wait_queue_fini(&a.queue);
    return a.result;
}

static int
listener_ioctl(struct file *file, unsigned long request, guest_addr arg)
{
    struct seccomp_filter *f = file->data;

    switch (request) {
    case SECCOMP_IOCTL_NOTIF_RECV: return receive(f, arg);
    case SECCOMP_IOCTL_NOTIF_SEND: return send_answer(f, arg);
    case SECCOMP_IOCTL_NOTIF_ID_VALID:
    case ID_VALID_WRONG_DIR: return id_valid(f, arg);
    case SET_FLAGS: return arg & ~(uint64_t)SYNC_WAKE_UP ? -EINVAL : 0;
    default: break;
    }
    if (_IOC_TYPE(request) == SECCOMP_IOC_MAGIC && _IOC_NR(request) == ADDFD_NUMBER)
        return (int)add_fd(f, arg, _IOC_SIZE(request));
    return -EINVAL;
}

static unsigned
listener_poll(struct file *file, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct seccomp_filter *f = file->data;

    poll_add(queues, count, max, &f->queue);
    return (f->fresh ? POLLIN | POLLRDNORM : 0u) | (f->taken ? POLLOUT | POLLWRNORM : 0u) |
           (f->no_users ? POLLHUP : 0u);
}

/* Nobody will answer any more. */
static void
listener_release(struct file *file)
{
    struct seccomp_filter *f = file->data;

    f->heard = false;
    LIST_EACH(l, &f->notices) {
        struct seccomp_notice *n = list_entry(l, struct seccomp_notice, link);

        if (n->state != ANSWERED)
            answer(f, n, -ENOSYS, 0);
    }
    seccomp_filter_put(f);
}

static const struct file_ops OPS_TABLE(file_ops) listener_ops = {
    .name = "seccomp notify",
    .bare_name = true,
    .no_splice_in = true,
    .no_splice_out = true,
    .ioctl = listener_ioctl,
    .ioctl_sleeps = true,
    .poll = listener_poll,
    .release = listener_release,
};

struct file *
seccomp_listener(struct seccomp_filter *f)
{
    struct file *file = file_new(&listener_ops, O_RDWR);

    if (!file)
        return NULL;
    seccomp_filter_get(f);
    file->data = f;
    f->heard = true;
    platform_random(&f->next_id, sizeof f->next_id);
    return file;
}
