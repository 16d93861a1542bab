/* /proc/PID and /proc/PID/task/TID (proc(5)). */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "base/page.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/cow.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "vkernel/task/trace.h"
#include "vkernel/task/system.h"
#include "vkernel/tty/tty.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/users.h"
#include "vkernel/signal/signal.h"

#define TICK_NS 10000000u

static struct process *
of(const struct pseudo_key *key)
{
    return process_find(key->pid);
}

/* The thread that the node is about: the named one, or the process's first. */
static struct task *
thread_of(const struct pseudo_key *key, struct process *p)
{
    struct task *t = key->tid ? task_find(key->tid) : NULL;

    if (t && t->process == p)
        return t;
    return list_empty(&p->threads) ? NULL : list_entry(p->threads.next, struct task, thread_link);
}

/* The descriptors and the places that the node is about; NULL: there are none any more. */
static struct fdtable *
files_of(const struct pseudo_key *key)
{
    struct process *p = of(key);
    struct task *t = p && !p->zombie ? thread_of(key, p) : NULL;

    return t ? *task_files(t) : NULL;
}

static struct fs_context *
fs_of(const struct pseudo_key *key)
{
    struct process *p = of(key);
    struct task *t = p && !p->zombie ? thread_of(key, p) : NULL;

    return t ? *task_fs(t) : NULL;
}

static char
state_of(const struct pseudo_key *key, struct process *p)
{
    struct task *t = thread_of(key, p);

    if (p->zombie)
        return 'Z';
    if (t && t->trace && t->trace->stopped)
        return 't';
    if (p->stopped)
        return 'T';
    if (key->tid) {
        return t && t->sched.state == TASK_RUNNING ? 'R' : 'S';
    }
    LIST_EACH(l, &p->threads)
        if (list_entry(l, struct task, thread_link)->sched.state == TASK_RUNNING)
            return 'R';
    return 'S';
}

static const char *
state_name(char c)
{
    switch (c) {
    case 'R': return "R (running)";
    case 'T': return "T (stopped)";
    case 't': return "t (tracing stop)";
    case 'Z': return "Z (zombie)";
    default: return "S (sleeping)";
    }
}

struct sizes {
    uint64_t total, resident, data, stack, text, shared, libraries; /* bytes */
};

static const struct vma *
first_mapping(const struct process *p)
{
    return p->mm && !p->zombie ? mm_first(p->mm) : NULL;
}

/* Resident memory is not asked of the host for each page: what the guest may touch stands for it. */
static struct sizes
sizes_of(const struct process *p)
{
    struct sizes s = {0};

    for (const struct vma *v = first_mapping(p); v; v = vma_next(p->mm, v)) {
        uint64_t n = v->end - v->start;

        s.total += n;
        if (v->prot == PROT_NONE)
            continue;
        if (v->kind == VMA_FILE) {
            s.shared += n;
            s.resident += n;
            if (v->prot & PROT_EXEC)
                s.text += n;
        } else if (v->name && strcmp(v->name, "[stack]") == 0) {
            s.stack += n;
            s.resident += n < 132 * 1024 ? n : 132 * 1024;
        } else {
            s.data += n;
            s.resident += n;
        }
    }
    return s;
}

static void
masks(struct process *p, uint64_t *ignored, uint64_t *caught)
{
    *ignored = *caught = 0;
    for (int sig = 1; p->actions && !p->zombie && sig <= 64; sig++) {
        if (p->actions[sig].handler == 1)
            *ignored |= 1ull << (sig - 1);
        else if (p->actions[sig].handler)
            *caught |= 1ull << (sig - 1);
    }
}

static int
show_stat(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    struct task *t;
    struct sizes s;
    uint64_t ignored, caught, cpu_ns, system_ns;
    const struct mm *mm;

    if (!p)
        return -ESRCH;
    sched_account();
    t = thread_of(key, p);
    s = sizes_of(p);
    masks(p, &ignored, &caught);
    cpu_ns = key->tid && t ? t->cpu_ns : p->cpu_ns;
    system_ns = key->tid && t ? t->system_ns : p->system_ns;
    mm = p->zombie ? NULL : p->mm;
    text_printf(out, "%d (%s) %c %d %d %d %u %d 4194304 %llu 0 0 0 %llu %llu %llu %llu %d %d %u 0 %llu %llu %llu %llu ",
                key->tid ? key->tid : p->pid, t && key->tid && t->comm[0] ? t->comm : p->comm, state_of(key, p),
                p->parent ? p->parent->pid : 0, p->pgid, p->sid, tty_device_number(p->ctty), tty_foreground(p->ctty),
                (unsigned long long)p->minor_faults, (unsigned long long)((cpu_ns - system_ns) / TICK_NS),
                (unsigned long long)(system_ns / TICK_NS),
                (unsigned long long)((p->children_cpu_ns - p->children_system_ns) / TICK_NS),
                (unsigned long long)(p->children_system_ns / TICK_NS), 20 + p->nice, p->nice, p->thread_count,
                (unsigned long long)(p->start_ns / TICK_NS), (unsigned long long)s.total,
                (unsigned long long)(s.resident / PAGE_SIZE), (unsigned long long)p->rlimits[RLIMIT_RSS].rlim_cur);
    text_printf(out, "%d %d %llu 0 0 %llu %llu %llu %llu 0 0 0 %d %u %d %d 0 0 0 %d %d %llu %llu %llu %llu %llu %d\n",
                mm ? 1 : 0, mm ? 1 : 0, mm ? (unsigned long long)mm->stack_start : 0ull,
                t ? (unsigned long long)t->pending.set : 0ull, t ? (unsigned long long)t->blocked : 0ull,
                (unsigned long long)ignored, (unsigned long long)caught, p->exit_signal,
                t ? t->sched.last_processor : 0, t ? t->priority : 0, t ? t->policy : 0, mm ? 1 : 0, mm ? 1 : 0,
                mm ? (unsigned long long)mm->brk_start : 0ull, mm ? (unsigned long long)mm->arg_start : 0ull,
                mm ? (unsigned long long)mm->arg_end : 0ull, mm ? (unsigned long long)mm->env_start : 0ull,
                mm ? (unsigned long long)mm->env_end : 0ull, p->zombie ? p->exit_status : 0);
    return 0;
}

static int
show_statm(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    struct sizes s;

    if (!p)
        return -ESRCH;
    s = sizes_of(p);
    text_printf(out, "%llu %llu %llu %llu 0 %llu 0\n", (unsigned long long)(s.total / PAGE_SIZE),
                (unsigned long long)(s.resident / PAGE_SIZE), (unsigned long long)(s.shared / PAGE_SIZE),
                (unsigned long long)(s.text / PAGE_SIZE), (unsigned long long)((s.data + s.stack) / PAGE_SIZE));
    return 0;
}

/* One line, whatever the name is. */
static void
name_line(struct text *out, const char *name)
{
    text_printf(out, "Name:\t");
    for (; *name; name++)
        if (*name == '\n' || *name == '\\')
            text_printf(out, "\\%c", *name == '\n' ? 'n' : '\\');
        else
            text_bytes(out, name, 1);
    text_printf(out, "\n");
}

static int
show_status(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    struct task *t;
    struct sizes s;
    uint64_t ignored, caught, set;
    const struct creds *c;
    unsigned long long kb;
    char processors[PROCESSORS_TEXT];

    if (!p)
        return -ESRCH;
    t = thread_of(key, p);
    c = &p->creds;
    masks(p, &ignored, &caught);
    name_line(out, key->tid && t && t->comm[0] ? t->comm : p->comm);
    if (fs_of(key))
        text_printf(out, "Umask:\t%04o\n", fs_context_umask(fs_of(key)));
    text_printf(out, "State:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n",
                state_name(state_of(key, p)), p->pid, key->tid ? key->tid : p->pid, p->parent ? p->parent->pid : 0,
                t && t->trace ? t->trace->tracer->process->pid : 0);
    text_printf(out, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", c->uid, c->euid, c->suid,
                c->fsuid, c->gid, c->egid, c->sgid, c->fsgid);
    for (uint32_t k = 0; k < c->group_count && k < CRED_MAX_GROUPS; k++)
        text_printf(out, "%u ", c->groups[k]);
    text_printf(out, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, key->tid ? key->tid : p->pid,
                p->pgid, p->sid);
    if (p->mm && !p->zombie) {
        s = sizes_of(p);
        kb = s.total / 1024;
        text_printf(out, "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8llu kB\nVmPin:\t       0 kB\n", kb, kb,
                    (unsigned long long)p->mm->locked_pages * 4);
        kb = s.resident / 1024;
        text_printf(
            out,
            "VmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\nRssAnon:\t%8llu kB\nRssFile:\t%8llu kB\n"
            "RssShmem:\t       0 kB\nVmData:\t%8llu kB\nVmStk:\t%8llu kB\nVmExe:\t%8llu kB\nVmLib:\t       0 kB\n"
            "VmPTE:\t       0 kB\nVmSwap:\t       0 kB\n",
            kb, kb, (unsigned long long)((s.resident - s.shared) / 1024), (unsigned long long)(s.shared / 1024),
            (unsigned long long)(s.data / 1024), (unsigned long long)(s.stack / 1024),
            (unsigned long long)(s.text / 1024));
    }
    text_printf(out,
                "Threads:\t%u\nSigQ:\t%llu/%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n"
                "SigIgn:\t%016llx\nSigCgt:\t%016llx\n",
                p->thread_count, (unsigned long long)user_count(p->user, USER_SIGNALS),
                (unsigned long long)p->rlimits[RLIMIT_SIGPENDING].rlim_cur,
                t ? (unsigned long long)t->pending.set : 0ull, (unsigned long long)p->pending.set,
                t ? (unsigned long long)t->blocked : 0ull, (unsigned long long)ignored, (unsigned long long)caught);
    text_printf(out, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
                (unsigned long long)c->cap_inheritable, (unsigned long long)c->cap_permitted,
                (unsigned long long)c->cap_effective, (unsigned long long)c->cap_bounding,
                (unsigned long long)p->cap_ambient);
    set = t ? t->sched.affinity : system_all_processors();
    text_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t%u\nSeccomp_filters:\t%u\nCpus_allowed:\t%s\n", t && t->no_new_privs,
                t ? t->seccomp_mode : 0u, t ? t->seccomp_filters : 0u, system_processor_mask(set, processors));
    text_printf(out, "Cpus_allowed_list:\t%s", system_processor_list(set, processors));
    text_printf(out,
                "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%llu\n"
                "nonvoluntary_ctxt_switches:\t%llu\n",
                (unsigned long long)p->voluntary, (unsigned long long)p->involuntary);
    return 0;
}

static int
show_memory(const struct pseudo_key *key, struct text *out, bool environment)
{
    struct process *p = of(key);
    uint64_t start, end;
    char *buf;
    size_t n;

    if (!p)
        return -ESRCH;
    if (!p->mm || p->zombie)
        return 0;
    start = environment ? p->mm->env_start : p->mm->arg_start;
    end = environment ? p->mm->env_end : p->mm->arg_end;
    if (end <= start || end - start > (8u << 20))
        return 0;
    buf = bytes_new((size_t)(end - start));
    if (!buf)
        return -ENOMEM;
    n = mm_read(p->mm, buf, start, (size_t)(end - start));
    text_bytes(out, buf, n);
    bytes_free(buf);
    return 0;
}

static int
show_cmdline(const struct pseudo_key *key, struct text *out)
{
    return show_memory(key, out, false);
}

static int
show_environ(const struct pseudo_key *key, struct text *out)
{
    return show_memory(key, out, true);
}

static int
show_auxv(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    char buf[1024];
    uint64_t size;

    if (!p)
        return -ESRCH;
    if (!p->mm || p->zombie || p->mm->auxv_end <= p->mm->auxv_start)
        return 0;
    size = p->mm->auxv_end - p->mm->auxv_start;
    text_bytes(out, buf, mm_read(p->mm, buf, p->mm->auxv_start, size < sizeof buf ? (size_t)size : sizeof buf));
    return 0;
}

static int
show_comm(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    struct task *t;

    if (!p)
        return -ESRCH;
    t = thread_of(key, p);
    text_printf(out, "%s\n", key->tid && t && t->comm[0] ? t->comm : p->comm);
    return 0;
}

static ssize_t
store_comm(const struct pseudo_key *key, const char *data, size_t size)
{
    struct process *p = of(key);
    struct task *t;
    size_t n = size;

    if (!p)
        return -ESRCH;
    if (p != current_process())
        return -EINVAL;
    while (n > 0 && data[n - 1] == '\n')
        n--;
    if (n > 15)
        n = 15;
    t = thread_of(key, p);
    if (t) {
        memcpy(t->comm, data, n);
        t->comm[n] = '\0';
    }
    if (!key->tid || key->tid == p->pid) {
        memcpy(p->comm, data, n);
        p->comm[n] = '\0';
    }
    return (ssize_t)size;
}

/* --- memory maps --- */

static void
map_line(struct text *out, const struct vma *v)
{
    char path[VFS_PATH_MAX + 16];
    size_t before = out->size;
    unsigned long ino = 0;
    dev_t dev = 0;

    path[0] = '\0';
    if (v->file) {
        if (v->file->inode) {
            ino = (unsigned long)v->file->inode->ino;
            dev = v->file->inode->sb->dev;
        }
        if (file_path(v->file, path, sizeof path) < 0)
            path[0] = '\0';
    } else if (v->name) {
        snprintf(path, sizeof path, "%s", v->name);
    } else if (v->kind == VMA_SHM) {
        snprintf(path, sizeof path, "/dev/zero (deleted)");
    }
    text_printf(out, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %lu ", (unsigned long long)v->start,
                (unsigned long long)v->end, v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
                v->prot & PROT_EXEC ? 'x' : '-', v->shared ? 's' : 'p',
                (unsigned long long)(v->file || v->shm ? v->offset : 0), major(dev), minor(dev), ino);
    if (path[0]) {
        while (out->size - before < 73 && !out->failed)
            text_bytes(out, " ", 1);
        text_bytes(out, path, strlen(path));
    }
    text_bytes(out, "\n", 1);
}

static int
show_maps(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    for (const struct vma *v = first_mapping(p); v; v = vma_next(p->mm, v))
        map_line(out, v);
    return 0;
}

/* Kibibytes, as smaps says them. */
struct resident {
    unsigned long long rss, pss, shared_clean, shared_dirty, private_dirty;
};

/* Of anonymous memory, what is there, and who else has it; of other mappings, as if all were. */
static struct resident
resident_of(const struct process *p, const struct vma *v)
{
    enum { KIB = PAGE_SIZE / 1024 };
    unsigned long long kb = v->prot == PROT_NONE ? 0 : (v->end - v->start) / 1024;
    struct cow_pages pages = {0};

    if (v->kind == VMA_FILE)
        return (struct resident){.rss = kb, .pss = kb, .shared_clean = kb};
    if (v->kind == VMA_SHM)
        return (struct resident){.rss = kb, .pss = kb, .private_dirty = kb};
    cow_count(p->mm, v, &pages);
    return (struct resident){.rss = (pages.own + pages.shared) * KIB,
                             .pss = pages.own * KIB + pages.parts * KIB / PAGE_SIZE,
                             .shared_dirty = pages.shared * KIB,
                             .private_dirty = pages.own * KIB};
}

/* What VmFlags of smaps says, in Linux's order. */
static void
map_flags(struct text *out, const struct vma *v)
{
    bool written = !v->shared || v->kind != VMA_FILE || (v->file->flags & O_ACCMODE) == O_RDWR;

    text_printf(out, "VmFlags:%s%s%s%s mr%s me%s%s%s%s%s\n", v->prot & PROT_READ ? " rd" : "",
                v->prot & PROT_WRITE ? " wr" : "", v->prot & PROT_EXEC ? " ex" : "", v->shared ? " sh" : "",
                written ? " mw" : "", v->shared ? " ms" : "", v->grows_down ? " gd" : "", v->locked ? " lo" : "",
                v->dont_fork ? " dc" : "", v->wipe_on_fork ? " wf" : "");
}

static int
show_smaps(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    for (const struct vma *v = first_mapping(p); v; v = vma_next(p->mm, v)) {
        struct resident r = resident_of(p, v);

        map_line(out, v);
        text_printf(out,
                    "Size:           %8llu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
                    "Rss:            %8llu kB\nPss:            %8llu kB\nShared_Clean:   %8llu kB\n"
                    "Shared_Dirty:   %8llu kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:  %8llu kB\n"
                    "Referenced:     %8llu kB\nAnonymous:      %8llu kB\nSwap:                  0 kB\n"
                    "Locked:         %8llu kB\n",
                    (unsigned long long)(v->end - v->start) / 1024, r.rss, r.pss, r.shared_clean, r.shared_dirty,
                    r.private_dirty, r.rss, r.shared_dirty + r.private_dirty, v->locked ? r.pss : 0);
        map_flags(out, v);
    }
    return 0;
}

static int
show_smaps_rollup(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    struct sizes s;

    if (!p)
        return -ESRCH;
    s = sizes_of(p);
    text_printf(out,
                "00000000-ffffffff ---p 00000000 00:00 0                          [rollup]\nRss:            %8llu kB\n"
                "Pss:            %8llu kB\nSwap:                  0 kB\nLocked:         %8llu kB\n",
                (unsigned long long)(s.resident / 1024), (unsigned long long)(s.resident / 1024),
                p->mm && !p->zombie ? (unsigned long long)p->mm->locked_pages * PAGE_SIZE / 1024 : 0ull);
    return 0;
}

/* --- descriptors --- */

static int
fd_find(const struct pseudo_key *dir, const char *name, struct pseudo_key *out)
{
    struct fdtable *files = files_of(dir);
    int fd = proc_name_number(name);

    if (!files || fd < 0 || fdtable_next(files, fd) != fd)
        return -ENOENT;
    *out = *dir;
    out->number = fd;
    return 0;
}

static unsigned
fd_next(const struct pseudo_key *dir, int from, int *out, unsigned max)
{
    struct fdtable *files = files_of(dir);
    unsigned count = 0;

    if (!files)
        return 0;
    for (int fd = fdtable_next(files, from); fd >= 0 && count < max; fd = fdtable_next(files, fd + 1))
        out[count++] = fd;
    return count;
}

static struct file *
fd_of(const struct pseudo_key *key)
{
    struct fdtable *files = files_of(key);

    return files ? fdtable_get_file(files, key->number) : NULL;
}

static ssize_t
path_out(const char *path, ssize_t n, char *buf, size_t size)
{
    if (n < 0)
        return n;
    if ((size_t)n > size)
        n = (ssize_t)size;
    memcpy(buf, path, (size_t)n);
    return n;
}

static ssize_t
fd_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    FILE_REF struct file *f = fd_of(key);
    char path[VFS_PATH_MAX + 16];

    return f ? path_out(path, file_path(f, path, sizeof path), buf, size) : -ENOENT;
}

/* A file's place; one without a name gets a nameless dentry to be opened by. */
static int
file_place(struct file *f, struct dentry **out)
{
    char name[64];

    if (f->dentry) {
        *out = dentry_get(f->dentry);
        return 0;
    }
    if (!f->inode)
        return -ENXIO;
    if (file_path(f, name, sizeof name) < 0)
        strcpy(name, "anonymous");
    *out = dentry_new(NULL, name, strlen(name), f->inode);
    return *out ? 0 : -ENOMEM;
}

static int
fd_follow(const struct pseudo_key *key, struct dentry **out)
{
    FILE_REF struct file *f = fd_of(key);

    return f ? file_place(f, out) : -ENOENT;
}

/* What the descriptor may do, which lstat shows. */
static uint32_t
fd_link_mode(const struct pseudo_key *key)
{
    FILE_REF struct file *f = fd_of(key);

    return f ? (file_can_read(f) ? 0500 : 0) | (file_can_write(f) ? 0300 : 0) : 0;
}

static int
show_fdinfo(const struct pseudo_key *key, struct text *out)
{
    FILE_REF struct file *f = fd_of(key);

    if (!f)
        return -ENOENT;
    text_printf(out, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n", (unsigned long long)f->pos,
                (unsigned)f->flags | (fdtable_cloexec(files_of(key), key->number) ? O_CLOEXEC : 0),
                f->inode && f->inode->sb->mount ? f->inode->sb->mount->id : 15,
                f->inode ? (unsigned long long)f->inode->ino : 1ull);
    for (uint64_t at = 0; OPS(f->ops)->describe;) {
        char line[256];
        int n = OPS(f->ops)->describe(f, &at, line, sizeof line);

        if (n <= 0 || out->failed)
            break;
        text_bytes(out, line, (size_t)n);
    }
    return 0;
}

/* --- places --- */

static ssize_t
exe_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    struct process *p = of(key);
    char path[VFS_PATH_MAX + 16];

    if (!p || p->zombie)
        return -ENOENT;
    if (p->exe)
        return path_out(path, file_path(p->exe, path, sizeof path), buf, size);
    return p->exe_path ? path_out(p->exe_path, (ssize_t)strlen(p->exe_path), buf, size) : -ENOENT;
}

static int
exe_follow(const struct pseudo_key *key, struct dentry **out)
{
    struct process *p = of(key);

    return p && !p->zombie && p->exe ? file_place(p->exe, out) : -ENOENT;
}

static struct dentry *
place_of(const struct pseudo_key *key, bool root)
{
    struct fs_context *fs = fs_of(key);

    if (!fs)
        return NULL;
    return root ? fs_context_root(fs) : fs_context_cwd(fs);
}

static ssize_t
place_readlink(const struct pseudo_key *key, char *buf, size_t size, bool root)
{
    struct dentry *d = place_of(key, root);
    char path[VFS_PATH_MAX + 16];

    return d ? path_out(path, dentry_path(d, fs_root(), path, sizeof path), buf, size) : -ENOENT;
}

static ssize_t
cwd_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    return place_readlink(key, buf, size, false);
}

static ssize_t
root_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    return place_readlink(key, buf, size, true);
}

static int
cwd_follow(const struct pseudo_key *key, struct dentry **out)
{
    struct dentry *d = place_of(key, false);

    *out = dentry_get(d);
    return d ? 0 : -ENOENT;
}

static int
root_follow(const struct pseudo_key *key, struct dentry **out)
{
    struct dentry *d = place_of(key, true);

    *out = dentry_get(d);
    return d ? 0 : -ENOENT;
}

/* --- mounts --- */

static void
mount_options(struct text *out, const struct superblock *sb)
{
    text_printf(out, "%s%s%s%s,relatime", sb->read_only ? "ro" : "rw", sb->no_suid ? ",nosuid" : "",
                sb->no_dev ? ",nodev" : "", sb->no_exec ? ",noexec" : "");
}

static bool
mount_path(const struct mount *m, char *path, size_t size)
{
    if (!m->mountpoint) {
        snprintf(path, size, "/");
        return true;
    }
    return dentry_path(m->mountpoint, fs_root(), path, size) > 0;
}

int
proc_mounts_show(const struct pseudo_key *key, struct text *out)
{
    char path[VFS_PATH_MAX];

    LIST_EACH(l, &mount_list) {
        struct mount *m = list_entry(l, struct mount, link);

        if (!mount_path(m, path, sizeof path))
            continue;
        text_printf(out, "%s %s %s ", m->sb->source, path, m->sb->type);
        mount_options(out, m->sb);
        text_printf(out, " 0 0\n");
    }
    return 0;
}

static int
show_mountinfo(const struct pseudo_key *key, struct text *out)
{
    char path[VFS_PATH_MAX];

    LIST_EACH(l, &mount_list) {
        struct mount *m = list_entry(l, struct mount, link);

        if (!mount_path(m, path, sizeof path))
            continue;
        text_printf(out, "%d %d %u:%u / %s ", m->id, m->mountpoint ? m->mountpoint->sb->mount->id : 1,
                    major(m->sb->dev), minor(m->sb->dev), path);
        mount_options(out, m->sb);
        text_printf(out, " - %s %s %s\n", m->sb->type, m->sb->source, m->sb->read_only ? "ro" : "rw");
    }
    return 0;
}

/* --- the rest --- */

static int
show_limits(const struct pseudo_key *key, struct text *out)
{
    static const struct {
        int which;
        const char *name, *unit;
    } rows[] = {
        {RLIMIT_CPU, "Max cpu time", "seconds"},         {RLIMIT_FSIZE, "Max file size", "bytes"},
        {RLIMIT_DATA, "Max data size", "bytes"},         {RLIMIT_STACK, "Max stack size", "bytes"},
        {RLIMIT_CORE, "Max core file size", "bytes"},    {RLIMIT_RSS, "Max resident set", "bytes"},
        {RLIMIT_NPROC, "Max processes", "processes"},    {RLIMIT_NOFILE, "Max open files", "files"},
        {RLIMIT_MEMLOCK, "Max locked memory", "bytes"},  {RLIMIT_AS, "Max address space", "bytes"},
        {RLIMIT_LOCKS, "Max file locks", "locks"},       {RLIMIT_SIGPENDING, "Max pending signals", "signals"},
        {RLIMIT_MSGQUEUE, "Max msgqueue size", "bytes"}, {RLIMIT_NICE, "Max nice priority", ""},
        {RLIMIT_RTPRIO, "Max realtime priority", ""},    {RLIMIT_RTTIME, "Max realtime timeout", "us"},
    };
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        const struct rlimit *l = &p->rlimits[rows[k].which];
        char soft[24] = "unlimited", hard[24] = "unlimited";

        if (l->rlim_cur != RLIM_INFINITY)
            snprintf(soft, sizeof soft, "%llu", (unsigned long long)l->rlim_cur);
        if (l->rlim_max != RLIM_INFINITY)
            snprintf(hard, sizeof hard, "%llu", (unsigned long long)l->rlim_max);
        text_printf(out, "%-25s %-20s %-20s %-10s\n", rows[k].name, soft, hard, rows[k].unit);
    }
    return 0;
}

static int
show_io(const struct pseudo_key *key, struct text *out)
{
    text_printf(out,
                "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
    return 0;
}

static int
show_children(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    LIST_EACH(l, &p->children)
        text_printf(out, "%d ", list_entry(l, struct process, sibling)->pid);
    return 0;
}

static int
task_find_entry(const struct pseudo_key *dir, const char *name, struct pseudo_key *out)
{
    int tid = proc_name_number(name);
    struct task *t = tid > 0 ? task_find(tid) : NULL;
    struct process *p = of(dir);

    if (!p)
        return -ENOENT;
    if (!(t && t->process == p) && !(tid == p->pid && p->zombie))
        return -ENOENT;
    *out = *dir;
    out->tid = tid;
    return 0;
}

static unsigned
task_next(const struct pseudo_key *dir, int from, int *out, unsigned max)
{
    struct process *p = of(dir);
    unsigned count = 0;

    if (!p)
        return 0;
    if (p->zombie) {
        out[0] = p->pid;
        return from <= p->pid;
    }
    LIST_EACH(l, &p->threads) {
        int tid = list_entry(l, struct task, thread_link)->tid;

        if (tid >= from)
            pseudofs_keep_smallest(out, &count, max, tid);
    }
    return count;
}

static const struct pseudo OPS_TABLE(pseudo) fd_entry = {.name = "fd",
                                                         .mode = S_IFLNK | 0700,
                                                         .is_private = true,
                                                         .readlink = fd_readlink,
                                                         .follow = fd_follow,
                                                         .link_mode = fd_link_mode};
static const struct pseudo OPS_TABLE(pseudo)
    fdinfo_entry = {.name = "fdinfo", .mode = S_IFREG | 0444, .is_private = true, .show = show_fdinfo};

#define COMMON_CHILDREN                                                                                              \
    {.name = "stat", .mode = S_IFREG | 0444, .show = show_stat},                                                     \
        {.name = "statm", .mode = S_IFREG | 0444, .show = show_statm},                                               \
        {.name = "status", .mode = S_IFREG | 0444, .show = show_status},                                             \
        {.name = "cmdline", .mode = S_IFREG | 0444, .show = show_cmdline},                                           \
        {.name = "environ", .mode = S_IFREG | 0400, .is_private = true, .show = show_environ},                       \
        {.name = "auxv", .mode = S_IFREG | 0400, .is_private = true, .show = show_auxv},                             \
        {.name = "comm", .mode = S_IFREG | 0644, .show = show_comm, .store = store_comm},                            \
        {.name = "exe", .mode = S_IFLNK | 0777, .is_private = true, .readlink = exe_readlink, .follow = exe_follow}, \
        {.name = "cwd", .mode = S_IFLNK | 0777, .is_private = true, .readlink = cwd_readlink, .follow = cwd_follow}, \
        {.name = "root",                                                                                             \
         .mode = S_IFLNK | 0777,                                                                                     \
         .is_private = true,                                                                                         \
         .readlink = root_readlink,                                                                                  \
         .follow = root_follow},                                                                                     \
        {.name = "fd",                                                                                               \
         .mode = S_IFDIR | 0500,                                                                                     \
         .is_private = true,                                                                                         \
         .dynamic = &fd_entry,                                                                                       \
         .find = fd_find,                                                                                            \
         .next = fd_next},                                                                                           \
        {.name = "fdinfo",                                                                                           \
         .mode = S_IFDIR | 0500,                                                                                     \
         .is_private = true,                                                                                         \
         .dynamic = &fdinfo_entry,                                                                                   \
         .find = fd_find,                                                                                            \
         .next = fd_next},                                                                                           \
        {.name = "maps", .mode = S_IFREG | 0444, .is_private = true, .show = show_maps},                             \
        {.name = "mem", .mode = S_IFREG | 0600, .is_private = true, .open = proc_open_mem},                          \
        {.name = "smaps", .mode = S_IFREG | 0444, .is_private = true, .show = show_smaps},                           \
        {.name = "smaps_rollup", .mode = S_IFREG | 0444, .is_private = true, .show = show_smaps_rollup},             \
        {.name = "mounts", .mode = S_IFREG | 0444, .show = proc_mounts_show, .news = &mount_news},                   \
        {.name = "mountinfo", .mode = S_IFREG | 0444, .show = show_mountinfo, .news = &mount_news},                  \
        {.name = "ns", .mode = S_IFDIR | 0511, .is_private = true, .children = proc_namespace_links},                \
        {.name = "pagemap", .mode = S_IFREG | 0400, .is_private = true, .read_at = proc_read_pagemap},               \
        {.name = "limits", .mode = S_IFREG | 0444, .show = show_limits},                                             \
        {.name = "io", .mode = S_IFREG | 0400, .is_private = true, .show = show_io},                                 \
        {.name = "cgroup", .mode = S_IFREG | 0444, .text = "0::/\n"},                                                \
        {.name = "cpuset", .mode = S_IFREG | 0444, .text = "/\n"},                                                   \
        {.name = "coredump_filter", .mode = S_IFREG | 0444, .text = "00000033\n"},                                   \
        {.name = "projid_map", .mode = S_IFREG | 0444, .text = "         0          0 4294967295\n"},                \
        {.name = "wchan", .mode = S_IFREG | 0444, .text = "0"},                                                      \
        {.name = "personality", .mode = S_IFREG | 0400, .is_private = true, .show = proc_show_personality},          \
        {.name = "loginuid", .mode = S_IFREG | 0644, .show = proc_show_loginuid, .store = proc_store_loginuid},      \
        {.name = "sessionid", .mode = S_IFREG | 0444, .show = proc_show_sessionid},                                  \
        {.name = "oom_score", .mode = S_IFREG | 0444, .show = proc_show_oom_score},                                  \
        {.name = "oom_score_adj",                                                                                    \
         .mode = S_IFREG | 0644,                                                                                     \
         .show = proc_show_oom_score_adj,                                                                            \
         .store = proc_store_oom_score_adj},                                                                         \
        {.name = "oom_adj", .mode = S_IFREG | 0644, .show = proc_show_oom_adj, .store = proc_store_oom_adj},         \
        {.name = "timerslack_ns",                                                                                    \
         .mode = S_IFREG | 0666,                                                                                     \
         .show = proc_show_timerslack,                                                                               \
         .store = proc_store_timerslack},                                                                            \
        {.name = "uid_map", .mode = S_IFREG | 0444, .text = "         0          0 4294967295\n"},                   \
        {.name = "gid_map", .mode = S_IFREG | 0444, .text = "         0          0 4294967295\n"},                   \
        {.name = "setgroups", .mode = S_IFREG | 0444, .text = "allow\n"},                                            \
    {                                                                                                                \
        .name = "net", .mode = S_IFDIR | 0555, .children = proc_net_children                                         \
    }

static const struct pseudo OPS_TABLE(pseudo) task_children[] = {
    COMMON_CHILDREN,
    {.name = "children", .mode = S_IFREG | 0444, .show = show_children},
    {.mode = 0},
};

const struct pseudo OPS_TABLE(pseudo) proc_task_entry = {.name = "tid",
                                                         .mode = S_IFDIR | 0555,
                                                         .children = task_children};

static const struct pseudo OPS_TABLE(pseudo) pid_children[] = {
    COMMON_CHILDREN,
    {.name = "task", .mode = S_IFDIR | 0555, .dynamic = &proc_task_entry, .find = task_find_entry, .next = task_next},
    {.mode = 0},
};

const struct pseudo OPS_TABLE(pseudo) proc_pid_entry = {.name = "pid",
                                                        .mode = S_IFDIR | 0555,
                                                        .children = pid_children};

int
procfs_pid(const struct file *f)
{
    const struct pseudo_key *key = pseudofs_directory(f, &proc_pid_entry);

    return key ? key->pid : 0;
}
