/* System calls on other processes that take rights over them: pidfd_getfd, process_madvise, process_mrelease, kcmp. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/mman.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/io/io.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/vfs/vfs.h"

/* The process of a pidfd, or of one of the two numbers that stand for the caller's own. */
static int
process_of(int pidfd, struct process **out)
{
    enum { SELF_THREAD = -10000, SELF_GROUP = -10001 };
    bool nonblock;
    int pid;

    *out = current_process();
    if (pidfd == SELF_THREAD || pidfd == SELF_GROUP)
        return 0;
    pid = pidfd_pid(pidfd, &nonblock);
    *out = pid > 0 ? process_find(pid) : NULL;
    if (pid == -EBADF)
        return pid;
    return *out ? 0 : -ESRCH;
}

int64_t
sys_pidfd_getfd(const uint64_t a[6])
{
    struct process *p;
    struct file *f;
    bool nonblock;
    int pid, fd;

    if (a[2])
        return -EINVAL;
    pid = pidfd_pid((int)a[0], &nonblock);
    p = pid > 0 ? process_find(pid) : NULL;
    if (!p)
        return pid == -EBADF ? -EBADF : -ESRCH;
    if (!process_may_look(p, LOOK_REAL))
        return -EPERM;
    f = p->files ? fdtable_get_file(p->files, (int)a[1]) : NULL;
    if (!f)
        return p->zombie || !p->files ? -ESRCH : -EBADF;
    fd = fd_install_or_put(f, O_CLOEXEC);
    return fd;
}

/* --- memory --- */

int64_t
sys_process_mrelease(const uint64_t a[6])
{
    struct process *p;
    int r;

    if (a[1])
        return -EINVAL;
    r = process_of((int)a[0], &p);
    if (r < 0)
        return r;
    if (p->zombie || !p->mm)
        return -ESRCH;
    /* Whoever is to die gives its memory back before all others run: there is nothing to hurry. */
    return p->group_exit ? 0 : -EINVAL;
}

/* Advice about another's memory says what is not used or will be used soon; nothing follows from it here. What is not
 * mapped is an error all the same. */
static int64_t
advise_other(struct mm *mm, uint64_t address, uint64_t size)
{
    uint64_t end;

    if (address % PAGE_SIZE || !checked_add(address, PAGE_UP(size), &end) || (size && PAGE_UP(size) == 0))
        return -EINVAL;
    while (address < end) {
        const struct vma *v = mm_at(mm, address);

        if (!v)
            return -ENOMEM;
        address = v->end;
    }
    return 0;
}

static bool
is_for_others(int advice)
{
    enum { COLD = 20, PAGEOUT = 21, COLLAPSE = 25 };

    return advice == MADV_WILLNEED || advice == COLD || advice == PAGEOUT || advice == COLLAPSE;
}

/* The bytes of the parts that were advised before one could not be, or the error of the first. */
static int64_t
advise_parts(struct mm *mm, const struct user_iov *u, int advice)
{
    uint64_t done = 0;
    bool own = mm == current_mm();

    for (unsigned k = 0; k < u->count; k++) {
        uint64_t call[6] = {u->parts[k].base, u->parts[k].size, (uint32_t)advice};
        int64_t r = own ? sys_madvise(call) : advise_other(mm, call[0], call[1]);

        if (r < 0)
            return done ? (int64_t)done : r;
        done += u->parts[k].size;
        if (sched_checkpoint() < 0)
            return -EINTR;
    }
    return (int64_t)done;
}

/* Others run in between, and the process may end: its memory is kept. */
static int64_t
advise_kept(struct mm *mm, const struct user_iov *u, int advice)
{
    int64_t r;

    might_sleep();
    mm_get(mm);
    r = advise_parts(mm, u, advice);
    mm_empty(mm);
    mm_put(mm);
    return r;
}

int64_t
sys_process_madvise(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;
    int advice = (int)a[3];
    struct process *p;
    int64_t r;

    if (a[4])
        return -EINVAL;
    r = user_iov_init(&u, a[1], a[2]);
    if (r < 0)
        return r;
    r = process_of((int)a[0], &p);
    if (r == 0 && !p->mm)
        r = -ESRCH;
    else if (r == 0 && !process_may_look(p, LOOK_FILES))
        r = -EACCES;
    else if (r == 0 && p->mm != current_mm() && !is_for_others(advice))
        r = -EINVAL;
    else if (r == 0 && p->mm != current_mm() && !capable(CAP_SYS_NICE))
        r = -EPERM;
    if (r == 0)
        r = advise_kept(p->mm, &u, advice);
    user_iov_fini(&u);
    return r;
}

/* --- kcmp --- */

/* Says which of two objects comes first, in an order of each type's own that tells nothing of addresses. */
static int64_t
compare(int type, const void *one, const void *other)
{
    static uint64_t secrets[KCMP_TYPES][2];
    uint64_t *secret = secrets[type], x, y;

    if (!secret[1]) {
        platform_random(secret, sizeof secrets[type]);
        secret[1] |= 1;
    }
    x = ((uint64_t)(uintptr_t)one ^ secret[0]) * secret[1];
    y = ((uint64_t)(uintptr_t)other ^ secret[0]) * secret[1];
    return x == y ? 0 : x < y ? 1 : 2;
}

static int64_t
compare_files(struct task *one, struct task *other, int fd, int other_fd)
{
    FILE_REF struct file *f = fdtable_get_file(*task_files(one), fd);
    FILE_REF struct file *g = fdtable_get_file(*task_files(other), other_fd);

    return f && g ? compare(KCMP_FILE, f, g) : -EBADF;
}

/* Is the file the one that an epoll file of the other process watches by this number, `skip` others left out? */
static int64_t
compare_watched(struct task *one, struct task *other, int fd, uint64_t at)
{
    FILE_REF struct file *f = fdtable_get_file(*task_files(one), fd);
    struct kcmp_epoll_slot slot;
    const struct file *watched;
    int r;

    if (!f)
        return -EBADF;
    if (copy_from_guest(&slot, at, sizeof slot) < 0)
        return -EFAULT;
    FILE_REF struct file *epoll = fdtable_get_file(*task_files(other), (int)slot.efd);
    if (!epoll)
        return -EBADF;
    r = epoll_watched(epoll, (int)slot.tfd, slot.toff, &watched);
    return r < 0 ? r : compare(KCMP_EPOLL_TFD, f, watched);
}

int64_t
sys_kcmp(const uint64_t a[6])
{
    struct task *one = task_find((int)a[0]), *other = task_find((int)a[1]);
    int type = (int)a[2];

    if (!one || !other)
        return -ESRCH;
    if (!process_may_look(one->process, LOOK_REAL) || !process_may_look(other->process, LOOK_REAL))
        return -EPERM;
    switch (type) {
    case KCMP_FILE: return compare_files(one, other, (int)a[3], (int)a[4]);
    case KCMP_VM: return compare(type, one->process->mm, other->process->mm);
    case KCMP_FILES: return compare(type, *task_files(one), *task_files(other));
    case KCMP_FS: return compare(type, *task_fs(one), *task_fs(other));
    case KCMP_SIGHAND: return compare(type, one->process->actions, other->process->actions);
    case KCMP_IO: /* a task with a priority of its own has a context of its own */
        return compare(type, one->ioprio ? one : NULL, other->ioprio ? other : NULL);
    case KCMP_SYSVSEM: return compare(type, one->sem_undos, other->sem_undos);
    case KCMP_EPOLL_TFD: return compare_watched(one, other, (int)a[3], a[4]);
    default: return -EINVAL;
    }
}
