/* fork, vfork, clone, clone3, and pidfds. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/file.h"
#include "vkernel/fs/vfs.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "x86/helpers.h"

#define CLONE_INTO_CGROUP_FLAG 0x200000000ull
#define CLONE_CLEAR_SIGHAND_FLAG 0x100000000ull
#define NAMESPACES                                                                                           \
    ((uint64_t)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)

struct clone_args_kernel {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* --- pidfd --- */

/* Holds the pid, not the process: a process is gone once it was waited for. */
struct pidfd {
    int pid;
    uint64_t start_ns;
};

static struct process *
pidfd_process(const struct file *f)
{
    const struct pidfd *d = f->data;
    struct process *p = process_find(d->pid);

    return p && p->start_ns == d->start_ns ? p : NULL;
}

static unsigned
pidfd_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct process *p = pidfd_process(f);

    if (!p)
        return POLLIN | POLLHUP;
    if (queues && *count < max)
        queues[(*count)++] = &p->pidfd_queue;
    return p->zombie ? POLLIN : 0;
}

static void
pidfd_release(struct file *f)
{
    free(f->data);
}

static const struct file_ops pidfd_ops = {.name = "pidfd", .poll = pidfd_poll, .release = pidfd_release};

static int
pidfd_install(struct process *p, int flags)
{
    struct pidfd *d = malloc(sizeof *d);
    struct file *f;
    int fd;

    if (!d)
        return -ENOMEM;
    *d = (struct pidfd){.pid = p->pid, .start_ns = p->start_ns};
    f = file_new(&pidfd_ops, O_RDWR | flags);
    if (!f) {
        free(d);
        return -ENOMEM;
    }
    f->data = d;
    fd = fd_install(f, 0, O_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
}

int pidfd_pid(int fd);
int
pidfd_pid(int fd)
{
    FILE_REF struct file *f = fd_get(fd);

    if (!f || f->ops != &pidfd_ops)
        return f ? -EINVAL : -EBADF;
    return ((const struct pidfd *)f->data)->pid;
}

int64_t
sys_pidfd_open(const uint64_t a[6])
{
    struct process *p = process_find((int)a[0]);

    if ((int)a[0] <= 0 || (a[1] & ~(uint64_t)O_NONBLOCK))
        return -EINVAL;
    return p ? pidfd_install(p, (int)a[1] & O_NONBLOCK) : -ESRCH;
}

int64_t
sys_pidfd_send_signal(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    siginfo_t info = {.si_signo = (int)a[1], .si_code = SI_USER};
    int r, proc_pid = f && f->ops != &pidfd_ops ? procfs_pid(f) : 0;
    struct process *p;

    if (!f || (f->ops != &pidfd_ops && proc_pid == 0))
        return -EBADF;
    if (a[3] || (int)a[1] < 0 || (int)a[1] > 64)
        return -EINVAL;
    p = proc_pid ? process_find(proc_pid) : pidfd_process(f);
    if (!p || p->zombie)
        return -ESRCH;
    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->creds.uid;
    if (a[2]) {
        if (copy_from_guest(&info, a[2], sizeof info) < 0)
            return -EFAULT;
        if (info.si_signo != (int)a[1])
            return -EINVAL;
        if (p != current_process() && (info.si_code >= 0 || info.si_code == SI_TKILL))
            return -EPERM;
    }
    r = signal_check_permission(p, (int)a[1]);
    return r < 0 || a[1] == 0 ? r : signal_send_info(p, NULL, &info);
}

/* --- clone --- */

static int64_t
check_flags(uint64_t f)
{
    if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
        return -EINVAL;
    if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
        return -EINVAL;
    if ((f & (CLONE_FS | CLONE_NEWNS)) == (CLONE_FS | CLONE_NEWNS))
        return -EINVAL;
    if ((f & CLONE_PIDFD) && (f & CLONE_THREAD))
        return -EINVAL;
    if (f & (NAMESPACES | CLONE_INTO_CGROUP_FLAG))
        return -EPERM;
    return 0;
}

static struct process *
new_process(uint64_t flags, int exit_signal)
{
    struct process *parent = current_process(), *p = process_new(parent);

    if (!p)
        return NULL;
    p->exit_signal = exit_signal;
    p->mm = flags & CLONE_VM ? mm_get(parent->mm) : mm_fork(parent->mm);
    p->files = flags & CLONE_FILES ? fdtable_get(parent->files) : fdtable_clone(parent->files);
    p->fs = flags & CLONE_FS ? fs_context_get(parent->fs) : fs_context_clone(parent->fs);
    if (!p->mm || !p->files || !p->fs) {
        if (p->mm)
            mm_put(p->mm);
        if (p->files)
            fdtable_put(p->files);
        if (p->fs)
            fs_context_put(p->fs);
        process_free(p);
        return NULL;
    }
    if (flags & CLONE_CLEAR_SIGHAND_FLAG)
        signal_exec(p);
    p->parent = flags & CLONE_PARENT ? parent->parent : parent;
    if (flags & CLONE_PARENT)
        p->exit_signal = parent->exit_signal;
    return p;
}

static void
wait_for_vfork(struct wait_queue *q, struct process *child, int pid)
{
    while (process_find(pid) == child && child->vfork_waiter == q)
        if (wait_on_killable(q, WAIT_FOREVER) < 0)
            break;
    if (process_find(pid) == child && child->vfork_waiter == q)
        child->vfork_waiter = NULL;
}

static int64_t
do_clone(const struct clone_args_kernel *c)
{
    struct task *self = sched_current, *t;
    struct process *p = self->process;
    uint64_t flags = c->flags;
    struct wait_queue vfork_queue;
    int64_t id = check_flags(flags);
    int pidfd = -1, tid;

    if (id < 0)
        return id;
    if (!(flags & CLONE_THREAD)) {
        p = new_process(flags, (int)c->exit_signal);
        if (!p)
            return -ENOMEM;
    }
    t = task_new(p);
    id = t ? proc_allocate_id() : -EAGAIN;
    if (id < 0)
        goto fail;
    tid = (int)id;
    if (!(flags & CLONE_THREAD))
        p->pid = tid;
    if (flags & CLONE_PIDFD) {
        pidfd = pidfd_install(p, 0);
        id = pidfd < 0 ? pidfd : copy_to_guest(c->pidfd, &pidfd, sizeof pidfd);
        if (id < 0)
            goto fail;
    }
    if ((flags & CLONE_PARENT_SETTID) && copy_to_guest(c->parent_tid, &tid, sizeof tid) < 0) {
        id = -EFAULT;
        goto fail;
    }

    t->tid = tid;
    t->blocked = self->blocked;
    if (self->restore_blocked)
        t->blocked = self->saved_blocked;
    memcpy(t->comm, self->comm, sizeof t->comm);
    t->policy = self->policy;
    t->priority = self->priority;
    x86_collect_mxcsr();
    t->cpu = x86_cpu_tls;
    t->cpu.gpr[X86_RAX] = 0;
    if (c->stack)
        t->cpu.gpr[X86_RSP] = c->stack + c->stack_size;
    if (flags & CLONE_SETTLS)
        t->cpu.fs_base = c->tls;
    if (flags & CLONE_CHILD_SETTID)
        t->set_child_tid = c->child_tid;
    if (flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = c->child_tid;
    /* An alternate stack belongs to the memory it is in: vfork's child keeps it, a thread does not. */
    if (!(flags & CLONE_VM) || (flags & CLONE_VFORK)) {
        t->altstack_sp = self->altstack_sp;
        t->altstack_size = self->altstack_size;
        t->altstack_flags = self->altstack_flags;
    }
    if (!(flags & CLONE_THREAD)) {
        p->leader = t;
        list_append(&process_list, &p->all);
        list_append(&p->parent->children, &p->sibling);
    }
    list_append(&p->threads, &t->thread_link);
    p->thread_count++;
    list_append(&task_list, &t->all_tasks);
    if (flags & CLONE_VFORK) {
        wait_queue_init(&vfork_queue);
        p->vfork_waiter = &vfork_queue;
    }
    sched_add(t);
    if (flags & CLONE_VFORK)
        wait_for_vfork(&vfork_queue, p, tid);
    return tid;

fail:
    if (t) {
        t->process = self->process; /* task_free looks at it */
        platform_fiber_free(t->fiber);
        task_free(t);
    }
    if (!(flags & CLONE_THREAD)) {
        mm_put(p->mm);
        fdtable_put(p->files);
        fs_context_put(p->fs);
        process_free(p);
    }
    return id;
}

int64_t
sys_fork(const uint64_t a[6])
{
    struct clone_args_kernel c = {.exit_signal = SIGCHLD};

    return do_clone(&c);
}

int64_t
sys_vfork(const uint64_t a[6])
{
    struct clone_args_kernel c = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD};

    return do_clone(&c);
}

int64_t
sys_clone(const uint64_t a[6])
{
    struct clone_args_kernel c = {
        .flags = a[0] & 0xffffff00u, .exit_signal = a[0] & 0xff, .stack = a[1], .parent_tid = a[2],
        .pidfd = a[2], .child_tid = a[3], .tls = a[4],
    };

    if (c.exit_signal > 64)
        return -EINVAL;
    if ((c.flags & CLONE_PIDFD) && (c.flags & CLONE_PARENT_SETTID))
        return -EINVAL;
    return do_clone(&c);
}

int64_t
sys_clone3(const uint64_t a[6])
{
    enum { SIZE_V0 = 64, SIZE_MAX_ACCEPTED = 4096 };
    struct clone_args_kernel c = {0};
    uint64_t size = a[1];
    uint8_t extra;

    if (size > SIZE_MAX_ACCEPTED)
        return -E2BIG;
    if (size < SIZE_V0)
        return -EINVAL;
    if (copy_from_guest(&c, a[0], size < sizeof c ? size : sizeof c) < 0)
        return -EFAULT;
    for (uint64_t i = sizeof c; i < size; i++) {
        if (copy_from_guest(&extra, a[0] + i, 1) < 0)
            return -EFAULT;
        if (extra)
            return -E2BIG;
    }
    if (c.exit_signal > 64 || (c.flags & 0xff) || (c.stack == 0) != (c.stack_size == 0) || c.set_tid_size)
        return -EINVAL;
    if ((c.flags & (CLONE_THREAD | CLONE_PARENT)) && c.exit_signal)
        return -EINVAL;
    return do_clone(&c);
}

int64_t
sys_unshare(const uint64_t a[6])
{
    struct process *p = current_process();

    if (a[0] & NAMESPACES)
        return -EPERM;
    if (a[0] & ~(uint64_t)(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM))
        return -EINVAL;
    if (a[0] & CLONE_FILES) {
        struct fdtable *t = fdtable_clone(p->files);

        if (!t)
            return -ENOMEM;
        fdtable_put(p->files);
        p->files = t;
    }
    if (a[0] & CLONE_FS) {
        struct fs_context *c = fs_context_clone(p->fs);

        if (!c)
            return -ENOMEM;
        fs_context_put(p->fs);
        p->fs = c;
    }
    return 0;
}
