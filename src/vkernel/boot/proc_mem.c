/* /proc/PID/mem (proc(5)): the memory of a process, for who may trace it. */
#include <errno.h>
#include <stdio.h>

#include "platform/heap.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/file.h"

/* The address space that was there when the file was opened, by its number: once the process has another one, or none,
 * the file has no bytes. */
struct memory_file {
    int pid;
    uint64_t number;
};
OBJECT_POOL(memory_file);

enum { PIECE = 4096 };

static struct mm *
memory_of(const struct file *f)
{
    const struct memory_file *m = f->data;
    const struct process *p = process_find(m->pid);

    return p && p->mm && p->mm->number == m->number ? p->mm : NULL;
}

static ssize_t
memory_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct mm *mm = memory_of(f);
    size_t total = iov_total(iov, count), done = 0;
    uint8_t buffer[PIECE];

    while (mm && done < total) {
        size_t size = total - done < PIECE ? total - done : PIECE, n = mm_trace_read(mm, buffer, *pos, size), put;

        if (n == 0)
            return done ? (ssize_t)done : -EIO;
        put = iov_scatter(iov, count, done, buffer, n);
        done += put;
        *pos += put;
        if (put < n)
            return done ? (ssize_t)done : -EFAULT;
        if (n < size)
            break;
    }
    return (ssize_t)done;
}

static ssize_t
memory_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct mm *mm = memory_of(f);
    size_t total = iov_total(iov, count), done = 0;
    uint8_t buffer[PIECE];

    while (mm && done < total) {
        size_t size = total - done < PIECE ? total - done : PIECE, got = iov_gather(iov, count, done, buffer, size), n;

        if (got == 0)
            return done ? (ssize_t)done : -EFAULT;
        n = mm_trace_write(mm, *pos, buffer, got);
        if (n == 0)
            return done ? (ssize_t)done : -EIO;
        done += n;
        *pos += n;
        if (n < size)
            break;
    }
    return (ssize_t)done;
}

static int64_t
memory_seek(struct file *f, int64_t offset, int whence)
{
    if (whence != SEEK_SET && whence != SEEK_CUR)
        return -EINVAL;
    /* As on Linux, addresses are unsigned here, and nothing is out of range. */
    f->pos = whence == SEEK_SET ? (uint64_t)offset : f->pos + (uint64_t)offset;
    return (int64_t)f->pos;
}

static void
memory_release(struct file *f)
{
    OBJECT_FREE(memory_file, f->data);
}

static const struct file_ops OPS_TABLE(file_ops) memory_ops = {.name = "mem",
                                                               .read = memory_read,
                                                               .write = memory_write,
                                                               .seek = memory_seek,
                                                               .release = memory_release};

int
proc_open_mem(const struct pseudo_key *key, struct file *f)
{
    const struct process *p = process_find(key->pid);
    struct memory_file *m;

    if (!p)
        return -ESRCH;
    m = OBJECT_NEW(memory_file);
    if (!m)
        return -ENOMEM;
    *m = (struct memory_file){.pid = p->pid, .number = p->mm ? p->mm->number : 0};
    f->data = m;
    f->ops = &memory_ops;
    return 0;
}
