/* signalfd: signals read as records. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/file.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"

#define UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

enum signal_layout {
    LAYOUT_SENDER,
    LAYOUT_TIMER,
    LAYOUT_POLL,
    LAYOUT_FAULT,
    LAYOUT_CHILD,
    LAYOUT_VALUE,
    LAYOUT_SYSTEM_CALL
};

struct signalfd {
    uint64_t set;
};

/* A wake may ask without a task: a timer's, on an idle processor. Then nothing is pending for anybody. */
static bool
ready(const struct signalfd *s)
{
    const struct task *t = current_task();

    return t && ((t->pending.set | t->process->pending.set) & s->set) != 0;
}

/* Which fields of a siginfo mean something is told by signal and code (siginfo_layout of Linux). */
static enum signal_layout
layout_of(const siginfo_t *info)
{
    enum { POLL_CODES = 6 };
    int sig = info->si_signo, code = info->si_code;

    if (code <= 0 || code >= SI_KERNEL)
        return code == SI_TIMER   ? LAYOUT_TIMER
               : code == SI_SIGIO ? LAYOUT_POLL
               : code < 0         ? LAYOUT_VALUE
                                  : LAYOUT_SENDER;
    if (code <= signal_codes(sig))
        return sig == SIGCHLD   ? LAYOUT_CHILD
               : sig == SIGPOLL ? LAYOUT_POLL
               : sig == SIGSYS  ? LAYOUT_SYSTEM_CALL
                                : LAYOUT_FAULT;
    return code <= POLL_CODES ? LAYOUT_POLL : LAYOUT_SENDER;
}

static struct signalfd_siginfo
record_of(const siginfo_t *info)
{
    struct signalfd_siginfo r = {
        .ssi_signo = (uint32_t)info->si_signo,
        .ssi_errno = info->si_errno,
        .ssi_code = info->si_code,
    };
    enum signal_layout layout = layout_of(info);

    if (layout == LAYOUT_SENDER || layout == LAYOUT_CHILD || layout == LAYOUT_VALUE) {
        r.ssi_pid = (uint32_t)info->si_pid;
        r.ssi_uid = info->si_uid;
    }
    switch (layout) {
    case LAYOUT_SENDER: break;
    case LAYOUT_CHILD:
        r.ssi_status = info->si_status;
        r.ssi_utime = (uint64_t)info->si_utime;
        r.ssi_stime = (uint64_t)info->si_stime;
        break;
    case LAYOUT_TIMER:
        r.ssi_tid = (uint32_t)info->si_timerid;
        r.ssi_overrun = (uint32_t)info->si_overrun;
        /* fall through */
    case LAYOUT_VALUE:
        r.ssi_ptr = (uint64_t)(uintptr_t)info->si_ptr;
        r.ssi_int = info->si_int;
        break;
    case LAYOUT_POLL:
        r.ssi_band = (uint32_t)info->si_band;
        r.ssi_fd = info->si_fd;
        break;
    case LAYOUT_FAULT:
        r.ssi_addr = (uint64_t)(uintptr_t)info->si_addr;
        if (info->si_signo == SIGBUS && (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO))
            r.ssi_addr_lsb = (uint16_t)info->si_addr_lsb;
        break;
    case LAYOUT_SYSTEM_CALL:
        r.ssi_call_addr = (uint64_t)(uintptr_t)info->si_call_addr;
        r.ssi_syscall = info->si_syscall;
        r.ssi_arch = info->si_arch;
        break;
    }
    return r;
}

static ssize_t
signalfd_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct signalfd *s = f->data;
    size_t room = iov_total(iov, count), done = 0, skip = 0;

    if (room < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    if (!ready(s))
        return -EAGAIN;
    while (room - done >= sizeof(struct signalfd_siginfo)) {
        struct signalfd_siginfo record;
        siginfo_t info;

        if (!signal_take(current_task(), s->set, &info))
            break;
        record = record_of(&info);
        iov_advance(&iov, &count, &skip);
        if (iov_scatter(iov, count, skip, &record, sizeof record) < sizeof record)
            return done ? (ssize_t)done : -EFAULT; /* the signal is lost, as on Linux */
        done += sizeof record;
        skip += sizeof record;
    }
    return (ssize_t)done;
}

static unsigned
signalfd_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    if (queues && *count < max)
        queues[(*count)++] = &current_process()->signalfd_queue;
    return ready(f->data) ? POLLIN : 0;
}

OBJECT_POOL(signalfd);

static void
signalfd_release(struct file *f)
{
    OBJECT_FREE(signalfd, f->data);
}

static int
signalfd_describe(const struct file *f, uint64_t *at, char *line, size_t size)
{
    const struct signalfd *s = f->data;

    return (*at)++ ? 0 : snprintf(line, size, "sigmask:\t%016llx\n", (unsigned long long)s->set);
}

static const struct file_ops OPS_TABLE(file_ops) signalfd_ops = {
    .name = "signalfd",
    .seeks_nowhere = true,
    .no_splice_out = true,
    .read = signalfd_read,
    .poll = signalfd_poll,
    .describe = signalfd_describe,
    .release = signalfd_release,
};

static int64_t
make_signalfd(int fd, uint64_t mask_address, uint64_t size, int flags)
{
    struct signalfd *s;
    struct file *f;
    uint64_t set;

    if (size != sizeof set || (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)))
        return -EINVAL;
    if (copy_from_guest(&set, mask_address, sizeof set) < 0)
        return -EFAULT;
    set &= ~UNBLOCKABLE;
    if (fd != -1) {
        FILE_REF struct file *old = fd_get(fd);

        if (!old)
            return -EBADF;
        if (old->ops != &signalfd_ops)
            return -EINVAL;
        ((struct signalfd *)old->data)->set = set;
        wait_queue_wake(&current_process()->signalfd_queue);
        return fd;
    }
    s = OBJECT_NEW(signalfd);
    if (!s)
        return -ENOMEM;
    s->set = set;
    f = file_new(&signalfd_ops, O_RDWR | (flags & SFD_NONBLOCK));
    if (!f) {
        OBJECT_FREE(signalfd, s);
        return -ENOMEM;
    }
    f->data = s;
    return fd_install_or_put(f, flags & SFD_CLOEXEC);
}

int64_t
sys_signalfd(const uint64_t a[6])
{
    return make_signalfd((int)a[0], a[1], a[2], 0);
}

int64_t
sys_signalfd4(const uint64_t a[6])
{
    return make_signalfd((int)a[0], a[1], a[2], (int)a[3]);
}
