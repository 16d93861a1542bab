/* Pseudo terminals: /dev/pts, masters, and the console, which is /dev/pts/0 with the host's terminal for a master. */
#include "base/rare.h"
#include "vkernel/ops.h"
#include "vkernel/tty/tty_internal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "platform/heap.h"
#include "platform/hostfs.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/sched/sched.h"
#include "vkernel/usercopy/usercopy.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/file.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"
#include "vkernel/fs/fs.h"

enum { PTY_MAX = LIMIT_PTYS };

unsigned pty_count;
static struct tty *ptys[PTY_MAX] RARE;
static struct superblock *devpts;
static struct tty *console_tty;

/* Gives the tty a number and its node in /dev/pts. */
static int
pty_add(struct tty *t)
{
    char name[16];
    struct dentry *d;
    int n = 0, r;

    while (n < PTY_MAX && ptys[n])
        n++;
    if (n == PTY_MAX || !devpts)
        return -ENOSPC;
    snprintf(name, sizeof name, "%d", n);
    r = memfs_inode_ops.create(devpts->root, name, strlen(name), S_IFCHR | 0620, makedev(136, (unsigned)n), NULL, &d);
    if (r < 0)
        return r;
    d->inode->gid = 5; /* tty */
    t->index = n;
    t->node = d;
    ptys[n] = t;
    pty_count++;
    return 0;
}

void
pty_free_node(struct tty *t)
{
    if (!t->node)
        return;
    if (t->node->flags & DENTRY_HASHED)
        memfs_inode_ops.unlink(devpts->root, t->node);
    dentry_put(t->node);
    t->node = NULL;
    if (ptys[t->index] == t) {
        ptys[t->index] = NULL;
        pty_count--;
    }
}

struct superblock *
devpts_new(void)
{
    struct dentry *d;

    devpts = memfs_new("devpts", NULL, 0755);
    if (!devpts)
        return NULL;
    devpts->magic = 0x1cd1;
    devpts->no_suid = devpts->no_exec = true;
    if (memfs_inode_ops.create(devpts->root, "ptmx", 4, S_IFCHR | 0666, makedev(5, 2), NULL, &d) < 0)
        return NULL;
    dentry_put(d);
    return devpts;
}

/* --- masters --- */

static ssize_t
master_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct tty *t = f->data;
    size_t want = iov_total(iov, count), n, first, skip = 0;

    if (want == 0)
        return 0;
    if (t->packet && t->packet_status) {
        iov_scatter(iov, count, 0, &t->packet_status, 1);
        t->packet_status = 0;
        return 1;
    }
    if (t->out_used == 0)
        return t->slave_opened && t->slaves == 0 ? -EIO : -EAGAIN;
    if (t->packet) {
        uint8_t zero = TIOCPKT_DATA;

        iov_scatter(iov, count, 0, &zero, 1);
        skip = 1;
        want--;
    }
    n = want < t->out_used ? want : t->out_used;
    first = TTY_OUTPUT - t->out_head;
    if (first > n)
        first = n;
    iov_scatter(iov, count, skip, t->output + t->out_head, first);
    iov_scatter(iov, count, skip + first, t->output, n - first);
    t->out_head = (t->out_head + (unsigned)n) % TTY_OUTPUT;
    t->out_used -= (unsigned)n;
    wait_queue_wake(&t->write_queue);
    return (ssize_t)(n + skip);
}

static ssize_t
master_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct tty *t = f->data;
    size_t total = tty_at_once(iov_total(iov, count)), done = 0;
    uint8_t chunk[512];

    while (done < total) {
        /* a canonical reader's full line buffer drops bytes, it does not block the typist */
        size_t room = (t->termios.c_lflag & ICANON) && t->lines == 0 ? sizeof chunk : tty_input_room(t);
        size_t n = iov_gather(iov, count, done, chunk, room < sizeof chunk ? room : sizeof chunk);

        if (n == 0 && room > 0)
            return done ? (ssize_t)done : -EFAULT;
        if (n == 0)
            break;
        tty_receive(t, chunk, n);
        done += n;
    }
    return done || total == 0 ? (ssize_t)done : -EAGAIN;
}

static unsigned
master_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct tty *t = f->data;
    unsigned events = 0;

    poll_add(queues, count, max, &t->master_read_queue);
    poll_add(queues, count, max, &t->master_write_queue);
    if (t->out_used > 0 || (t->packet && t->packet_status))
        events |= POLLIN | POLLRDNORM;
    if (t->packet && t->packet_status)
        events |= POLLPRI;
    if (t->slave_opened && t->slaves == 0)
        events |= POLLHUP;
    if (tty_input_room(t) > 0)
        events |= POLLOUT | POLLWRNORM;
    return events;
}

static int
master_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct tty *t = f->data;
    int value, fd;

    switch (request) {
    case TIOCGPTN: return copy_to_guest(arg, &t->index, sizeof t->index);
    case TIOCSPTLCK:
        if (copy_from_guest(&value, arg, sizeof value) < 0)
            return -EFAULT;
        t->locked = value != 0;
        return 0;
    case TIOCGPTLCK: value = t->locked; return copy_to_guest(arg, &value, sizeof value);
    case TIOCGPTPEER: {
        struct file *peer;
        int r = vfs_open_dentry(t->node, (int)arg & (O_ACCMODE | O_NONBLOCK | O_NOCTTY), &peer);

        if (r < 0)
            return r;
        fd = fd_install(peer, 0, (int)arg & O_CLOEXEC);
        if (fd < 0)
            file_put(peer);
        return fd;
    }
    case TIOCPKT:
        if (copy_from_guest(&value, arg, sizeof value) < 0)
            return -EFAULT;
        t->packet = value != 0;
        t->packet_status = 0;
        return 0;
    case TIOCGPKT: value = t->packet; return copy_to_guest(arg, &value, sizeof value);
    case TIOCSIG:
        if (arg != SIGINT && arg != SIGQUIT && arg != SIGTSTP) /* what could be typed: others ask for more rights */
            return -EINVAL;
        if (t->pgrp > 0)
            signal_send_group(t->pgrp, (int)arg);
        return 0;
    case FIONREAD: value = (int)t->out_used; return copy_to_guest(arg, &value, sizeof value);
    default: return tty_common_ioctl(t, request, arg, true);
    }
}

static void
master_release(struct file *f)
{
    struct tty *t = f->data;

    t->master_open = false;
    tty_hangup(t);
    pty_free_node(t); /* the number is free again; open slaves see the hangup */
    tty_put(t);
}

static const struct file_ops OPS_TABLE(file_ops) master_ops = {
    .name = "ptmx",
    .tells_async = true,
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .release = master_release,
};

OBJECT_POOL_SHARED(tty);

static int
master_open(struct file *f)
{
    struct tty *t = OBJECT_NEW(tty);
    int r;

    if (!t)
        return -ENOMEM;
    tty_init(t);
    t->locked = true;
    t->master_open = true;
    r = pty_add(t);
    if (r < 0) {
        OBJECT_FREE(tty, t);
        return r;
    }
    t->node->inode->uid = current_creds()->fsuid;
    f->ops = &master_ops;
    f->data = t;
    return 0;
}

int
tty_device_open(unsigned ma, unsigned mi, struct file *f)
{
    struct tty *t;

    if (ma == 5 && mi == 2)
        return master_open(f);
    if (ma == 5 && mi == 0) {
        t = current_process()->ctty;
        if (!t)
            return -ENXIO;
        f->flags |= O_NOCTTY;
        return tty_open_slave(t, f);
    }
    if (ma == 5 && mi == 1)
        return console_tty ? tty_open_slave(console_tty, f) : -ENXIO;
    if (ma == 136 && mi < PTY_MAX && ptys[mi])
        return tty_open_slave(ptys[mi], f);
    return -ENXIO;
}

/* --- the console --- */

CALLBACK static void
console_input(struct wait_entry *e)
{
    struct tty *t = list_entry(e, struct tty, on_input);
    uint8_t chunk[256];

    while (host_poll_now(t->host_in, POLLIN | POLLHUP)) {
        /* the signal characters must get through even when nobody reads: drop, never stop reading, in canonical mode */
        unsigned room = (t->termios.c_lflag & ICANON) ? sizeof chunk : tty_input_room(t);
        struct iovec iov = {chunk, room < sizeof chunk ? room : sizeof chunk};
        ssize_t n;

        if (room == 0) {
            t->watch.events = 0;
            return;
        }
        n = host_readv(t->host_in, &iov, 1);
        if (n == -EINTR)
            continue;
        if (n <= 0) {
            if (n != -EAGAIN) {
                t->watch.events = 0;
                tty_hangup(t);
            }
            return;
        }
        tty_receive(t, chunk, (size_t)n);
    }
}

void
console_resume_input(struct tty *t)
{
    if (!t->hung_up && t->watch.events == 0)
        t->watch.events = POLLIN;
}

CALLBACK static void
console_resized(struct wait_entry *e)
{
    struct tty *t = list_entry(e, struct tty, on_resize);
    struct winsize w = t->winsize;
    uint8_t drain[64];
    struct iovec iov = {drain, sizeof drain};

    while (host_readv(t->size_watch.fd, &iov, 1) > 0)
        ;
    if (host_tty_size(t->host_out, &w.ws_row, &w.ws_col) == 0)
        tty_set_winsize(t, &w);
}

static void
watch_host(struct host_watch *w, int fd, short events, struct wait_queue *q)
{
    *w = (struct host_watch){.fd = fd, .events = events, .queue = q};
    host_watch_add(w);
}

struct tty *
tty_console_new(int host_in, int host_out)
{
    struct tty *t;
    int size_fd;

    if (console_tty)
        return console_tty;
    t = OBJECT_NEW(tty);
    if (!t)
        return NULL;
    tty_init(t);
    t->console = true;
    t->host_in = host_in;
    t->host_out = host_out;
    t->termios.c_iflag |= IUTF8;
    if (pty_add(t) < 0) {
        OBJECT_FREE(tty, t);
        return NULL;
    }
    t->node->inode->mode = S_IFCHR | 0620;
    host_tty_size(host_out, &t->winsize.ws_row, &t->winsize.ws_col);
    host_tty_raw(host_in);
    t->on_input.notify = console_input;
    wait_queue_listen(&t->host_queue, &t->on_input);
    watch_host(&t->watch, host_in, POLLIN, &t->host_queue);
    watch_host(&t->out_watch, host_out, POLLOUT, &t->host_out_queue);
    size_fd = host_tty_size_watch();
    if (size_fd >= 0) {
        t->on_resize.notify = console_resized;
        wait_queue_listen(&t->size_queue, &t->on_resize);
        watch_host(&t->size_watch, size_fd, POLLIN, &t->size_queue);
    }
    console_tty = t;
    return t;
}

struct file *
tty_console_file(struct tty *t)
{
    struct file *f;

    if (vfs_open_dentry(t->node, O_RDWR, &f) < 0)
        return NULL;
    return f;
}
