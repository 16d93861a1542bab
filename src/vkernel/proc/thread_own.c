/* What a thread has apart from the other threads of its process: a table of descriptors, a working directory with root
 * and umask, after a clone without CLONE_FILES or CLONE_FS, or after unshare(2). Nearly no thread has any, and then
 * these belong to the process: task.files and task.fs are NULL. Threads that such a thread makes share what it has. */
#include <errno.h>
#include <sched.h>

#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/file.h"
#include "vkernel/worker/worker.h"

int
thread_own_make(struct task *t, uint64_t flags)
{
    struct task *maker = current_task();

    if (!(flags & CLONE_FILES) && !(t->files = fdtable_clone(current_files())))
        return -ENOMEM;
    if ((flags & CLONE_FILES) && maker->files)
        t->files = fdtable_get(maker->files);
    if (!(flags & CLONE_FS) && !(t->fs = fs_context_clone(*task_fs(maker))))
        return -ENOMEM;
    if ((flags & CLONE_FS) && maker->fs)
        t->fs = fs_context_get(maker->fs);
    return 0;
}

/* The fiber has to look elsewhere. */
static void
find_again(void)
{
    this_worker.files = task_files(current_task());
    this_worker.fs = task_fs(current_task());
}

void
thread_own_end(struct task *t)
{
    struct fdtable *files = t->files;
    struct fs_context *fs = t->fs;

    t->files = NULL;
    t->fs = NULL;
    if (t == current_task())
        find_again();
    if (fs)
        fs_context_put(fs);
    if (files)
        fdtable_end(files);
}

void
thread_own_exec(void)
{
    struct task *t = current_task();
    struct process *p = t->process;
    struct fdtable *files = t->files ? p->files : NULL;
    struct fs_context *fs = t->fs ? p->fs : NULL;

    if (files)
        p->files = t->files;
    if (fs)
        p->fs = t->fs;
    t->files = NULL;
    t->fs = NULL;
    find_again();
    if (fs)
        fs_context_put(fs);
    if (files)
        fdtable_end(files);
}

static int
unshare_files(struct task *t)
{
    struct fdtable *own = fdtable_clone(current_files()), *old;

    if (!own)
        return -ENOMEM;
    old = t->files;
    if (!old && t->process->thread_count == 1) {
        old = t->process->files;
        t->process->files = own;
    } else {
        t->files = own;
    }
    find_again();
    if (old)
        fdtable_put(old);
    return 0;
}

static int
unshare_fs(struct task *t)
{
    struct fs_context *own = fs_context_clone(*task_fs(t)), *old;

    if (!own)
        return -ENOMEM;
    old = t->fs;
    if (!old && t->process->thread_count == 1) {
        old = t->process->fs;
        t->process->fs = own;
    } else {
        t->fs = own;
    }
    find_again();
    if (old)
        fs_context_put(old);
    return 0;
}

int
thread_own_unshare(uint64_t flags)
{
    int r = flags & CLONE_FILES ? unshare_files(current_task()) : 0;

    return r == 0 && (flags & CLONE_FS) ? unshare_fs(current_task()) : r;
}
