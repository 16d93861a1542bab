/* Shared memory segments (shmget(2), shmop(2), shmctl(2)).
 *
 * A segment's bytes are those of a file in memory without a name, as memfd_create() makes it. Each shmat() opens that
 * file anew, with the rights of the attachment, and maps it; the mappings count (file_ops.mapped), whoever makes or
 * ends them: fork, mprotect and munmap in the middle, exec, exit. A segment that was removed with IPC_RMID is
 * destroyed with its last mapping. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

#include "base/page.h"
#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/fs.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/ipc/ipc_internal.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/users.h"
#include "x86/address_space.h"

enum { HUGE_PAGE_GROUP = 0 }; /* vm.hugetlb_shm_group */

struct segment {
    struct ipc_object ipc; /* each open file of it has a reference as well */
    uint64_t size;         /* bytes, as asked for */
    struct dentry *dentry; /* holds the inode */
    int creator, last;     /* processes */
    uint64_t attached;     /* mappings */
    bool was_attached;
    int64_t attach_time, detach_time; /* seconds of real time; 0: never */
    struct user *locker;              /* who is charged for SHM_LOCK, or NULL */
};

static struct ipc_ids segments = {.limit = SHM_NUMBER, .last = -1};
static uint64_t pages_of_all;

OBJECT_POOL(segment);

static struct segment *
segment_of(struct ipc_object *o)
{
    return (struct segment *)(void *)o;
}
_Static_assert(offsetof(struct segment, ipc) == 0, "an object is found by its first member");

static uint64_t
pages(const struct segment *s)
{
    return PAGE_UP(s->size) / PAGE_SIZE;
}

static void
segment_put(struct segment *s)
{
    if (!refcount_put(&s->ipc.refs))
        return;
    dentry_put(s->dentry);
    OBJECT_FREE(segment, s);
}

static void
unlock(struct segment *s)
{
    user_uncharge(s->locker, USER_SHM_LOCKED, PAGE_UP(s->size));
    s->locker = NULL;
    s->ipc.mode &= ~(uint32_t)SHM_LOCKED;
}

static void
destroy(struct segment *s)
{
    unlock(s);
    pages_of_all -= pages(s);
    ipc_remove(&segments, &s->ipc);
    segment_put(s);
}

/* --- its open files --- */

static int
segment_source(struct file *f, int *host_fd, uint64_t *host_offset, bool *bounded)
{
    return memfs_file_ops.mmap_source(f, host_fd, host_offset, bounded);
}

static void
segment_mapped(struct file *f, bool more)
{
    struct segment *s = f->data;

    s->last = ipc_pid();
    if (more) {
        s->attached++;
        s->was_attached = true;
        s->attach_time = ipc_now();
        return;
    }
    s->attached--;
    s->detach_time = ipc_now();
    if (s->attached == 0 && (s->ipc.mode & SHM_DEST) && !s->ipc.removed)
        destroy(s);
}

static void
segment_release(struct file *f)
{
    segment_put(f->data);
}

static const struct file_ops OPS_TABLE(file_ops) segment_file_ops = {
    .name = "shm",
    .mmap_source = segment_source,
    .mapped = segment_mapped,
    .release = segment_release,
};

/* --- shmget --- */

/* The file: its name is what /proc/PID/maps shows. Inode and dentry are in *s when this succeeds. */
static int
make_file(struct segment *s, int32_t key)
{
    struct inode *i = memfs_inode_new(anon_superblock(), S_IFREG | 0777, 0, NULL);
    char name[16];
    int r;

    if (!i)
        return -ENOMEM;
    i->nlink = 0;
    snprintf(name, sizeof name, "/SYSV%08x", (unsigned)key);
    s->dentry = dentry_new(NULL, name, strlen(name), i);
    if (s->dentry)
        s->dentry->flags |= DENTRY_DELETED;
    r = s->dentry ? OPS(i->ops)->truncate(i, s->size) : -ENOMEM;
    inode_put(i);
    return r < 0 ? -ENOMEM : 0;
}

static int64_t
segment_new(int32_t key, uint64_t size, int flags)
{
    struct segment *s;
    uint64_t sum;
    int r;

    if (size == 0 || size > SHM_MAX)
        return -EINVAL;
    if (__builtin_add_overflow(pages_of_all, size / PAGE_SIZE + (size % PAGE_SIZE != 0), &sum) || sum > SHM_MAX)
        return -ENOSPC;
    if (flags & SHM_HUGETLB) /* there are no huge pages to reserve */
        return capable(CAP_IPC_LOCK) || in_group(HUGE_PAGE_GROUP) ? -ENOMEM : -EPERM;
    if (size > STORE_SLOT_SIZE || !(s = OBJECT_NEW(segment)))
        return -ENOMEM;
    s->size = size;
    s->creator = ipc_pid();
    r = make_file(s, key);
    if (r == 0)
        r = ipc_add(&segments, &s->ipc, key, flags);
    if (r < 0) {
        dentry_put(s->dentry);
        OBJECT_FREE(segment, s);
        return r;
    }
    s->dentry->inode->ino = (uint64_t)r;
    pages_of_all = sum;
    return r;
}

int64_t
sys_shmget(const uint64_t a[6])
{
    int flags = (int)a[2];
    struct ipc_object *o;
    int r = ipc_find_key(&segments, (int32_t)a[0], flags, &o);

    if (r < 0)
        return r;
    if (!o)
        return segment_new((int32_t)a[0], a[1], flags);
    if (segment_of(o)->size < a[1])
        return -EINVAL;
    return ipc_permits(o, flags) ? o->id : -EACCES;
}

/* --- shmat, shmdt --- */

struct attachment {
    uint64_t address;
    int prot, access, open_flags;
    unsigned mm_flags;
};

static int
check_attachment(uint64_t address, int flags, struct attachment *out)
{
    *out = (struct attachment){.prot = PROT_READ, .access = IPC_READ, .open_flags = O_RDONLY, .mm_flags = MM_SHARED};
    if (address) {
        if (address % SHMLBA) {
            if (!(flags & SHM_RND))
                return -EINVAL;
            address -= address % SHMLBA;
            if (!address && (flags & SHM_REMAP))
                return -EINVAL;
        }
        out->mm_flags |= MM_FIXED;
    } else if (flags & SHM_REMAP) {
        return -EINVAL;
    }
    out->address = address;
    if (!(flags & SHM_RDONLY)) {
        out->prot |= PROT_WRITE;
        out->access |= IPC_WRITE;
        out->open_flags = O_RDWR;
    }
    if (flags & SHM_EXEC) {
        out->prot |= PROT_EXEC;
        out->access |= IPC_EXECUTE;
    }
    return 0;
}

/* Is nothing mapped there? */
static int
check_free(const struct segment *s, const struct attachment *t)
{
    const struct vma *v;
    uint64_t end;

    if (__builtin_add_overflow(t->address, s->size, &end))
        return -EINVAL;
    v = mm_find(current_mm(), t->address);
    return v && v->start < end ? -EINVAL : 0;
}

static int64_t
attach(struct segment *s, const struct attachment *t)
{
    FILE_REF struct file *f = NULL;

    if (current_mm()->lock_future && !mm_may_lock(current_mm(), NULL, PAGE_UP(s->size)))
        return -EAGAIN;
    f = file_new_inode(&segment_file_ops, t->open_flags, s->dentry->inode, s->dentry);
    if (!f)
        return -ENOMEM;
    refcount_get(&s->ipc.refs);
    f->data = s;
    return mm_map(current_mm(), t->address, s->size, t->prot, t->mm_flags, f, 0, NULL);
}

int64_t
sys_shmat(const uint64_t a[6])
{
    int flags = (int)a[2], error;
    struct attachment t;
    struct ipc_object *o;

    if ((int)a[0] < 0)
        return -EINVAL;
    error = check_attachment(a[1], flags, &t);
    if (error < 0)
        return error;
    o = ipc_find(&segments, (int)a[0], &error);
    if (!o)
        return error;
    if (!ipc_permits(o, t.access))
        return -EACCES;
    if ((t.mm_flags & MM_FIXED) && !(flags & SHM_REMAP) && (error = check_free(segment_of(o), &t)) < 0)
        return error;
    return attach(segment_of(o), &t);
}

/* Is the mapping a part of what a shmat() at the address made? */
static bool
is_part(const struct vma *v, uint64_t address)
{
    return v->kind == VMA_FILE && v->file->ops == &segment_file_ops && v->start - address == v->offset;
}

/* Unmaps all parts of an attachment, between which other mappings may lie by now. */
int64_t
sys_shmdt(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    uint64_t address = a[0], end;
    struct vma *v;
    FILE_REF struct file *f = NULL;
    int r = 0;

    if (address % PAGE_SIZE)
        return -EINVAL;
    for (v = mm_find(mm, address); v && !is_part(v, address);)
        v = vma_next(mm, v);
    if (!v)
        return -EINVAL;
    f = file_get(v->file);
    end = address + PAGE_UP(((struct segment *)f->data)->size);
    for (uint64_t at = v->start; r == 0 && (v = mm_find(mm, at)) && v->start < end;) {
        uint64_t start = v->start;

        at = v->end;
        if (is_part(v, address) && v->file == f)
            r = mm_unmap_in_pieces(mm, start, at - start);
        else
            r = sched_checkpoint();
    }
    return r;
}

/* --- shmctl --- */

static int64_t
tell_limits(guest_addr out)
{
    struct shminfo i = {.shmmax = SHM_MAX, .shmmin = 1, .shmmni = SHM_NUMBER, .shmseg = SHM_NUMBER, .shmall = SHM_MAX};

    return copy_to_guest(out, &i, sizeof i) < 0 ? -EFAULT : ipc_highest(&segments);
}

/* Pages that are in memory: the host's store does not say it of a part of it, so that each page of a segment counts
 * that was ever attached. */
static uint64_t
resident(const struct segment *s)
{
    return s->was_attached ? pages(s) : 0;
}

static int64_t
tell_use(guest_addr out)
{
    struct shm_info i = {.used_ids = (int)segments.used, .shm_tot = pages_of_all};

    IPC_EACH(o, &segments)
    i.shm_rss += resident(segment_of(o));
    return copy_to_guest(out, &i, sizeof i) < 0 ? -EFAULT : ipc_highest(&segments);
}

static int64_t
tell_segment(int id, int command, guest_addr out)
{
    int error;
    struct ipc_object *o = ipc_find_stat(&segments, id, command, SHM_STAT_ANY, &error);
    const struct segment *s;
    struct shmid_ds d = {0};

    if (!o)
        return error;
    s = segment_of(o);
    ipc_tell(o, &d.shm_perm);
    d.shm_segsz = s->size;
    d.shm_atime = s->attach_time;
    d.shm_dtime = s->detach_time;
    d.shm_ctime = o->change_time;
    d.shm_cpid = s->creator;
    d.shm_lpid = s->last;
    d.shm_nattch = s->attached;
    if (copy_to_guest(out, &d, sizeof d) < 0)
        return -EFAULT;
    return command == IPC_STAT ? 0 : o->id;
}

static int64_t
set_segment(int id, guest_addr in)
{
    struct shmid_ds d;
    struct ipc_object *o;
    int error;

    if (copy_from_guest(&d, in, sizeof d) < 0)
        return -EFAULT;
    o = ipc_find_owned(&segments, id, &error);
    if (!o)
        return error;
    return ipc_set(o, &d.shm_perm);
}

static int64_t
remove_segment(int id)
{
    int error;
    struct ipc_object *o = ipc_find_owned(&segments, id, &error);

    if (!o)
        return error;
    if (segment_of(o)->attached) {
        o->mode |= SHM_DEST;
        ipc_forget_key(&segments, o);
    } else {
        destroy(segment_of(o));
    }
    return 0;
}

/* Keeps the account; what stays in memory is the host's to say, as with mlock. */
static int64_t
lock_segment(int id, bool lock)
{
    int error;
    struct ipc_object *o = ipc_find(&segments, id, &error);
    uint32_t euid = current_creds()->euid;
    rlim_t limit = this_worker.rlimits[RLIMIT_MEMLOCK].rlim_cur;

    if (!o)
        return error;
    if (!capable(CAP_IPC_LOCK) && ((euid != o->uid && euid != o->cuid) || (lock && limit == 0)))
        return -EPERM;
    if (!lock) {
        unlock(segment_of(o));
    } else if (!(o->mode & SHM_LOCKED)) {
        struct segment *s = segment_of(o);

        s->locker = user_charge(USER_SHM_LOCKED, PAGE_UP(s->size), capable(CAP_IPC_LOCK) ? UINT64_MAX : limit);
        if (!s->locker)
            return -ENOMEM;
        o->mode |= SHM_LOCKED;
    }
    return 0;
}

int64_t
sys_shmctl(const uint64_t a[6])
{
    int id = (int)a[0], command = (int)a[1];

    if (id < 0 || command < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO: return tell_limits(a[2]);
    case SHM_INFO: return tell_use(a[2]);
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY: return tell_segment(id, command, a[2]);
    case IPC_SET: return set_segment(id, a[2]);
    case IPC_RMID: return remove_segment(id);
    case SHM_LOCK:
    case SHM_UNLOCK: return lock_segment(id, command == SHM_LOCK);
    default: return -EINVAL;
    }
}

int
ipc_show_shm(const struct pseudo_key *key, struct text *out)
{
    text_printf(out,
                "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      "
                "atime      dtime      ctime                   rss                  swap\n");
    IPC_EACH(o, &segments)
    {
        const struct segment *s = segment_of(o);

        text_printf(out, "%10d %10d  %4o %21llu %5d %5d  %5llu %5u %5u %5u %5u %10lld %10lld %10lld %21llu %21u\n",
                    o->key, o->id, o->mode, (unsigned long long)s->size, s->creator, s->last,
                    (unsigned long long)s->attached, o->uid, o->gid, o->cuid, o->cgid, (long long)s->attach_time,
                    (long long)s->detach_time, (long long)o->change_time, (unsigned long long)resident(s) * PAGE_SIZE,
                    0u);
    }
    return 0;
}
