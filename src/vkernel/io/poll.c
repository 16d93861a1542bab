/* poll, ppoll, select, pselect6. */
#include <poll.h>
#include <sys/select.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"

enum { FEW = 16, QUEUES_EACH = 4 };

/* Files looked at, with references, and the queues to sleep on. */
struct watched {
    struct file **files;
    struct wait_queue **queues;
    unsigned file_count, queue_count, queue_max;
    struct file *few_files[FEW];
    struct wait_queue *few_queues[FEW * QUEUES_EACH];
};

/* Sets all but the arrays. */
static int
watched_init(struct watched *w, unsigned n)
{
    w->file_count = w->queue_count = 0;
    w->files = w->few_files;
    w->queues = w->few_queues;
    w->queue_max = FEW * QUEUES_EACH;
    if (n <= FEW)
        return 0;
    w->queue_max = n * QUEUES_EACH;
    w->files = array_new(n, sizeof *w->files);
    w->queues = array_new(w->queue_max, sizeof *w->queues);
    if (w->files && w->queues)
        return 0;
    array_free(w->files);
    array_free(w->queues);
    return -ENOMEM;
}

static void
watched_drop(struct watched *w)
{
    for (unsigned k = 0; k < w->file_count; k++)
        file_put(w->files[k]);
    w->file_count = w->queue_count = 0;
}

static void
watched_fini(struct watched *w)
{
    watched_drop(w);
    if (w->files != w->few_files) {
        array_free(w->files);
        array_free(w->queues);
    }
}

static unsigned
look(struct watched *w, int fd, unsigned wanted, bool sleep)
{
    FILE_REF struct file *f = fd_get(fd);
    unsigned events;

    if (!f)
        return POLLNVAL;
    vfs_poll_wanted = wanted;
    if (f->flags & O_PATH)
        events = POLLNVAL;
    else if (sleep)
        events = file_poll(f, w->queues, &w->queue_count, w->queue_max);
    else
        events = file_poll(f, NULL, NULL, 0);
    vfs_poll_wanted = ~0u;
    if (sleep)
        w->files[w->file_count++] = file_get(f);
    return events & (wanted | POLLERR | POLLHUP | POLLNVAL);
}

static uint64_t
deadline_in(int64_t ns)
{
    uint64_t now = clock_monotonic_ns();

    return ns < 0 || (uint64_t)ns > WAIT_FOREVER - now - 1 ? WAIT_FOREVER : now + (uint64_t)ns;
}

static int
poll_round(struct pollfd *fds, unsigned n, struct watched *w, bool sleep)
{
    int ready = 0;

    for (unsigned k = 0; k < n; k++) {
        fds[k].revents = 0;
        if (fds[k].fd < 0)
            continue;
        fds[k].revents = (short)look(w, fds[k].fd, (unsigned)(unsigned short)fds[k].events, sleep && ready == 0);
        if (fds[k].revents)
            ready++;
    }
    return ready;
}

static int
poll_loop(struct pollfd *fds, unsigned n, uint64_t deadline)
{
    UNINITIALIZED struct watched w;
    int r, ready;

    might_sleep();
    host_watch_refresh(); /* never between a look and a sleep: it would lose the edge */
    ready = poll_round(fds, n, NULL, false);
    if (ready || deadline == 0)
        return ready;
    r = watched_init(&w, n);
    if (r < 0)
        return r;
    for (;;) {
        ready = poll_round(fds, n, &w, true);
        if (ready)
            break;
        r = wait_on_many(w.queues, w.queue_count, deadline);
        watched_drop(&w);
        if (r < 0) {
            if (r == -ETIMEDOUT)
                ready = poll_round(fds, n, NULL, false);
            else
                ready = r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
            break;
        }
    }
    watched_fini(&w);
    return ready;
}

static int64_t
poll_common(guest_addr array, uint64_t n, uint64_t deadline)
{
    UNINITIALIZED struct pollfd few[FEW];
    struct pollfd *fds = few;
    int64_t r;

    if (n > current_process()->rlimits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    if (n > FEW && !(fds = bytes_new(n * sizeof *fds)))
        return -ENOMEM;
    if (n && copy_from_guest(fds, array, n * sizeof *fds) < 0)
        r = -EFAULT;
    else
        r = poll_loop(fds, (unsigned)n, deadline);
    if (r >= 0 && n && copy_to_guest(array, fds, n * sizeof *fds) < 0)
        r = -EFAULT;
    if (fds != few)
        bytes_free(fds);
    return r;
}

int64_t
sys_poll(const uint64_t a[6])
{
    int timeout = (int)a[2];

    return poll_common(a[0], (uint32_t)a[1],
                       timeout == 0 ? 0 : deadline_in(timeout < 0 ? -1 : (int64_t)timeout * 1000000));
}

/* A timeout argument: its deadline, 0 for "do not sleep". */
static int
timespec_deadline(guest_addr p, uint64_t *deadline)
{
    struct timespec t;

    *deadline = WAIT_FOREVER;
    if (!p)
        return 0;
    if (copy_from_guest(&t, p, sizeof t) < 0)
        return -EFAULT;
    if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec > 999999999)
        return -EINVAL;
    if (t.tv_sec == 0 && t.tv_nsec == 0)
        *deadline = 0;
    else if (t.tv_sec < INT64_MAX / 2000000000)
        *deadline = deadline_in(t.tv_sec * 1000000000 + t.tv_nsec);
    return 0;
}

/* What is left, written back as Linux does; a bad address there is no error. */
static void
timespec_left(guest_addr p, uint64_t deadline)
{
    uint64_t now = clock_monotonic_ns(), left = deadline > now ? deadline - now : 0;
    struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};

    if (p && deadline != WAIT_FOREVER && copy_to_guest(p, &t, sizeof t) < 0)
        return;
}

int64_t
sys_ppoll(const uint64_t a[6])
{
    uint64_t deadline;
    int64_t r = timespec_deadline(a[2], &deadline);

    if (r == 0)
        r = signal_temporary_mask_from_guest(a[3], a[4]);
    if (r < 0)
        return r;
    r = signal_temporary_mask_result(poll_common(a[0], (uint32_t)a[1], deadline));
    timespec_left(a[2], deadline);
    return r;
}

/* --- select --- */

/* What cannot be polled is ready. A descriptor that is not open at the start is EBADF; one closed meanwhile is ready,
 * too. */
#define IN_SET  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL)
#define OUT_SET (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL)
#define EX_SET  (POLLPRI | POLLNVAL)

struct select_sets {
    unsigned n, words;
    uint64_t *in[3], *out[3];
};

static const unsigned set_events[3] = {IN_SET, OUT_SET, EX_SET};

static bool
bit(const uint64_t *set, unsigned fd)
{
    return set[fd / 64] >> (fd % 64) & 1;
}

static bool
all_open(const struct select_sets *s)
{
    for (unsigned fd = 0; fd < s->n; fd++)
        if ((bit(s->in[0], fd) || bit(s->in[1], fd) || bit(s->in[2], fd)) &&
            fdtable_next(current_files(), (int)fd) != (int)fd)
            return false;
    return true;
}

static int
select_round(struct select_sets *s, struct watched *w, bool sleep)
{
    int ready = 0;

    for (int k = 0; k < 3; k++)
        memset(s->out[k], 0, s->words * 8);
    for (unsigned fd = 0; fd < s->n; fd++) {
        unsigned wanted = 0, events;

        if (fd % 64 == 0 && !(s->in[0][fd / 64] | s->in[1][fd / 64] | s->in[2][fd / 64])) {
            fd += 63;
            continue;
        }
        for (int k = 0; k < 3; k++)
            if (bit(s->in[k], fd))
                wanted |= set_events[k];
        if (!wanted)
            continue;
        events = look(w, (int)fd, wanted, sleep && ready == 0);
        for (int k = 0; k < 3; k++)
            if (bit(s->in[k], fd) && (events & set_events[k])) {
                s->out[k][fd / 64] |= 1ull << (fd % 64);
                ready++;
            }
    }
    return ready;
}

static int
select_loop(struct select_sets *s, uint64_t deadline)
{
    UNINITIALIZED struct watched w;
    int r, ready;

    might_sleep();
    if (!all_open(s))
        return -EBADF;
    host_watch_refresh();
    ready = select_round(s, NULL, false);
    if (ready || deadline == 0)
        return ready;
    r = watched_init(&w, s->n);
    if (r < 0)
        return r;
    for (;;) {
        ready = select_round(s, &w, true);
        if (ready)
            break;
        r = wait_on_many(w.queues, w.queue_count, deadline);
        watched_drop(&w);
        if (r < 0) {
            if (r == -ETIMEDOUT)
                ready = select_round(s, NULL, false);
            else
                ready = r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
            break;
        }
    }
    watched_fini(&w);
    return ready;
}

static int64_t
select_common(const uint64_t a[6], uint64_t deadline)
{
    int n = (int)a[0];
    uint64_t few[6 * FEW], *bits = few;
    struct select_sets s;
    int64_t r = 0;

    if (n < 0)
        return -EINVAL;
    if ((uint64_t)n > current_process()->rlimits[RLIMIT_NOFILE].rlim_cur)
        n = (int)current_process()->rlimits[RLIMIT_NOFILE].rlim_cur;
    s.n = (unsigned)n;
    s.words = ((unsigned)n + 63) / 64;
    if (s.words > FEW && !(bits = bytes_new(6 * (size_t)s.words * 8)))
        return -ENOMEM;
    memset(bits, 0, 6 * (size_t)s.words * 8);
    for (int k = 0; k < 3; k++) {
        s.in[k] = bits + (size_t)k * s.words;
        s.out[k] = bits + (size_t)(k + 3) * s.words;
        if (a[k + 1] && s.words && copy_from_guest(s.in[k], a[k + 1], s.words * 8) < 0)
            r = -EFAULT;
        if (n % 64 && s.words)
            s.in[k][s.words - 1] &= (1ull << (n % 64)) - 1;
    }
    if (r == 0)
        r = select_loop(&s, deadline);
    for (int k = 0; k < 3 && r >= 0; k++)
        if (a[k + 1] && s.words && copy_to_guest(a[k + 1], s.out[k], s.words * 8) < 0)
            r = -EFAULT;
    if (bits != few)
        bytes_free(bits);
    return r;
}

int64_t
sys_select(const uint64_t a[6])
{
    struct timeval t;
    uint64_t deadline = WAIT_FOREVER, now, left;
    int64_t r;

    if (a[4]) {
        if (copy_from_guest(&t, a[4], sizeof t) < 0)
            return -EFAULT;
        if (t.tv_sec < 0 || t.tv_usec < 0)
            return -EINVAL;
        if (t.tv_sec == 0 && t.tv_usec == 0)
            deadline = 0;
        else if (t.tv_sec < INT64_MAX / 2000000000 && t.tv_usec < INT64_MAX / 2000000)
            deadline = deadline_in(t.tv_sec * 1000000000 + t.tv_usec * 1000);
    }
    r = select_common(a, deadline);
    if (a[4] && deadline != WAIT_FOREVER) {
        now = clock_monotonic_ns();
        left = deadline > now ? deadline - now : 0;
        t = (struct timeval){(time_t)(left / 1000000000), (suseconds_t)(left % 1000000000 / 1000)};
        if (copy_to_guest(a[4], &t, sizeof t) < 0)
            return r;
    }
    return r;
}

int64_t
sys_pselect6(const uint64_t a[6])
{
    uint64_t deadline, sigset[2] = {0};
    int64_t r = timespec_deadline(a[4], &deadline);

    if (r == 0 && a[5]) {
        if (copy_from_guest(sigset, a[5], sizeof sigset) < 0)
            return -EFAULT;
        r = signal_temporary_mask_from_guest(sigset[0], sigset[1]);
    }
    if (r < 0)
        return r;
    r = signal_temporary_mask_result(select_common(a, deadline));
    timespec_left(a[4], deadline);
    return r;
}
