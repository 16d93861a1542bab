/* Open files: references, and reading and writing with sleep.
 *
 * Host spans of guest memory must not be kept over a sleep, so file operations are always tried without blocking; when
 * there is nothing to do, the sleep happens here, on the queues that poll names. */
#include <sys/inotify.h>
#include <sys/resource.h>
#include <poll.h>
#include <stdio.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"

unsigned vfs_poll_wanted = ~0u;
bool vfs_read_timed_out;

unsigned file_count;

OBJECT_POOL(file);

struct file *
file_new(const struct file_ops *ops, int flags)
{
    struct file *f;

    if (file_count >= LIMIT_FILES && !capable(CAP_SYS_ADMIN))
        return NULL;
    f = OBJECT_NEW(file);
    if (!f)
        return NULL;
    file_count++;
    refcount_init(&f->refs);
    f->ops = ops;
    f->flags = flags;
    f->opener = current_creds()->fsuid;
    list_init(&f->epoll_links);
    return f;
}

struct file *
file_new_inode(const struct file_ops *ops, int flags, struct inode *inode, struct dentry *d)
{
    struct file *f = file_new(ops, flags);

    if (f) {
        f->inode = inode_get(inode);
        f->dentry = dentry_get(d);
    }
    return f;
}

struct file *
file_get(struct file *f)
{
    refcount_get(&f->refs);
    return f;
}

struct file *
file_execute(struct file *f)
{
    f->inode->executed++;
    return file_get(f);
}

void
file_execute_end(struct file *f)
{
    if (!f)
        return;
    f->inode->executed--;
    file_put(f);
}

const struct artifact_ledger *
file_base_ledger(const struct file *f)
{
    return f->inode && OPS(f->inode->ops)->ledger_row ? OPS(f->inode->ops)->ledger_row(f->inode) : NULL;
}

static void
file_release(struct file *f)
{
    NO_SLEEP;

    refcount_init(&f->refs); /* release may look at the file, and must not free it again */
    vfs_hooks.file_released(f);
    if (f->inode && f->inode->locks)
        locks_release_file(f);
    lease_release(f);
    if (OPS(f->ops)->release)
        OPS(f->ops)->release(f);
    if (f->opened && f->inode) {
        bool wrote = file_can_write(f);

        if (wrote)
            f->inode->write_opens--;
        else
            f->inode->read_opens--;
        inotify_opened(f->dentry, wrote ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    }
    dentry_put(f->dentry);
    inode_put(f->inode);
    OBJECT_FREE(file, f);
    file_count--;
}

/* Releasing a file can drop the last reference of another (a socket's messages carry files), and that one's of a third:
 * a guest makes such chains as long as it likes. So a file whose last reference goes while another is being released
 * waits for its turn; the outermost file_put releases them one after the other, with a stack of constant depth. */
void
file_put(struct file *f)
{
    static struct list dead = {&dead, &dead};
    static bool releasing;

    if (!f)
        return;
    if (!refcount_put(&f->refs)) {
        if (f->in_flight && refcount_is(&f->refs, f->in_flight))
            vfs_hooks.file_suspected(f);
        return;
    }
    list_append(&dead, &f->dead_link);
    if (releasing)
        return;
    releasing = true;
    while (!list_empty(&dead)) {
        struct list *next = dead.next;

        list_remove(next);
        file_release(list_entry(next, struct file, dead_link));
    }
    releasing = false;
}

size_t
iov_total(const struct iovec *iov, int count)
{
    size_t n = 0;

    for (int k = 0; k < count; k++)
        n += iov[k].iov_len;
    return n;
}

enum iov_way { IOV_FROM_FLAT, IOV_TO_FLAT, IOV_CLEAR };

static size_t
iov_copy(const struct iovec *iov, int count, size_t skip, uint8_t *flat, size_t size, enum iov_way way)
{
    size_t done = 0;

    for (int k = 0; k < count && done < size; k++) {
        size_t n = iov[k].iov_len, copied;
        uint8_t *p = iov[k].iov_base;

        if (skip >= n) {
            skip -= n;
            continue;
        }
        p += skip;
        n -= skip;
        skip = 0;
        if (n > size - done)
            n = size - done;
        copied = way == IOV_FROM_FLAT ? platform_copy(p, flat + done, n)
                 : way == IOV_TO_FLAT ? platform_copy(flat + done, p, n)
                                      : platform_clear(p, n);
        done += copied;
        if (copied < n)
            break;
    }
    return done;
}

size_t
iov_scatter(const struct iovec *iov, int count, size_t skip, const void *src, size_t size)
{
    return iov_copy(iov, count, skip, (uint8_t *)(uintptr_t)src, size, IOV_FROM_FLAT);
}

size_t
iov_gather(const struct iovec *iov, int count, size_t skip, void *dst, size_t size)
{
    return iov_copy(iov, count, skip, dst, size, IOV_TO_FLAT);
}

size_t
iov_clear(const struct iovec *iov, int count, size_t skip, size_t size)
{
    return iov_copy(iov, count, skip, NULL, size, IOV_CLEAR);
}

unsigned
file_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    NO_SLEEP;
    unsigned none = 0;

    if (!OPS(f->ops)->poll)
        return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return OPS(f->ops)->poll(f, queues, count ? count : &none, max);
}

int
file_wait(struct file *f, uint64_t deadline)
{
    struct wait_queue *queues[8];
    unsigned count = 0;

    might_sleep();
    file_poll(f, queues, &count, 8);
    return wait_on_many(queues, count, deadline);
}

ssize_t
file_try_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    NO_SLEEP;
    int saved = f->flags;
    ssize_t n;

    if (!OPS(f->ops)->read)
        return -EINVAL;
    f->flags |= O_NONBLOCK;
    n = OPS(f->ops)->read(f, iov, count, pos ? pos : &f->pos);
    f->flags = saved;
    return n;
}

ssize_t
file_try_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    NO_SLEEP;
    int saved = f->flags;
    uint64_t *at = pos ? pos : &f->pos, before = *at;
    ssize_t n;

    if (!OPS(f->ops)->write)
        return -EINVAL;
    f->flags |= O_NONBLOCK;
    n = OPS(f->ops)->write(f, iov, count, at);
    f->flags = saved;
    if (n < 0)
        *at = before; /* also where O_APPEND moved it */
    if (n > 0 && f->inode && inode_drop_privileges(f->inode) && f->dentry)
        inotify_dentry(f->dentry, IN_ATTRIB);
    return n;
}

/* After a try whose result is *n: has the file become ready meanwhile, so that it is tried again? Otherwise *n is the call's. */
static bool
waits(struct file *f, ssize_t *n)
{
    int r;

    if (*n != -EAGAIN || (f->flags & O_NONBLOCK) || !OPS(f->ops)->poll)
        return false;
    r = file_wait(f, WAIT_FOREVER);
    if (r < 0)
        *n = r;
    return r >= 0;
}

ssize_t
file_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    might_sleep();
    for (;;) {
        ssize_t n = file_try_read(f, iov, count, pos);

        if (!waits(f, &n))
            return n;
    }
}

int
file_written(struct file *f)
{
    if (f->dentry)
        inotify_opened(f->dentry, IN_MODIFY);
    return (f->flags & O_DSYNC) && OPS(f->ops)->sync ? OPS(f->ops)->sync(f) : 0; /* of O_SYNC, too */
}

void
file_broken(const struct file *f, uint64_t done)
{
    if (!OPS(f->ops)->raises_sigpipe || OPS(f->ops)->raises_sigpipe(f, done))
        vfs_hooks.signal_self(SIGPIPE);
}

int
file_limit_write(uint64_t pos, uint64_t *size)
{
    uint64_t limit = this_worker.rlimits[RLIMIT_FSIZE].rlim_cur;

    if (pos >= limit) {
        vfs_hooks.signal_self(SIGXFSZ);
        return -EFBIG;
    }
    if (*size > limit - pos)
        *size = limit - pos;
    return 0;
}

ssize_t
file_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    might_sleep();
    for (;;) {
        ssize_t n = file_try_write(f, iov, count, pos);

        if (!waits(f, &n))
            return n;
    }
}

ssize_t
file_pread(struct file *f, void *buf, size_t size, uint64_t offset)
{
    NO_SLEEP;
    size_t done = 0;

    if (!OPS(f->ops)->read)
        return -EINVAL;
    while (done < size) {
        struct iovec iov = {(uint8_t *)buf + done, size - done};
        ssize_t n = OPS(f->ops)->read(f, &iov, 1, &offset);

        if (n < 0)
            return done ? (ssize_t)done : n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

uint64_t
file_size(const struct file *f)
{
    struct stat st;

    if (file_stat((struct file *)(uintptr_t)f, &st) < 0 || st.st_size < 0)
        return 0;
    return (uint64_t)st.st_size;
}

uint64_t
file_mapped_size(const struct file *f)
{
    return f->inode->size;
}

int
file_stat(struct file *f, struct stat *st)
{
    memset(st, 0, sizeof *st);
    if (OPS(f->ops)->stat)
        return OPS(f->ops)->stat(f, st);
    if (f->inode)
        return inode_stat(f->inode, st);
    st->st_dev = anon_superblock()->dev; /* as Linux's anonymous inodes: one inode for all */
    st->st_ino = 1;
    st->st_mode = 0600;
    st->st_nlink = 1;
    st->st_blksize = 4096;
    return 0;
}

bool
file_write_sealed(const struct file *f)
{
    return f->inode && (f->inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

ssize_t
file_path(const struct file *f, char *buf, size_t size)
{
    struct stat st;
    int n;

    if (f->dentry)
        return dentry_path(f->dentry, fs_root(), buf, size);
    /* The host's pipes on descriptors 0 to 2 are pipes to the guest, too. */
    if (file_stat((struct file *)(uintptr_t)f, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        n = snprintf(buf, size, "%s:[%llu]", S_ISFIFO(st.st_mode) ? "pipe" : "socket", (unsigned long long)st.st_ino);
    else if (OPS(f->ops)->bare_name)
        n = snprintf(buf, size, "anon_inode:%s", OPS(f->ops)->name);
    else
        n = snprintf(buf, size, "anon_inode:[%s]", OPS(f->ops)->name ? OPS(f->ops)->name : "unknown");
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : n;
}

/* --- guest vectors --- */

int
user_iov_init(struct user_iov *u, guest_addr array, uint64_t count)
{
    struct {
        uint64_t base, size;
    } raw;

    user_iov_single(u, 0, 0);
    u->count = 0;
    if (count > IOV_MAX)
        return -EINVAL;
    if (count > USER_IOV_INLINE) {
        u->parts = array_new((size_t)count, sizeof *u->parts);
        u->span_max = (int)count + USER_IOV_SPANS;
        u->spans = array_new((size_t)u->span_max, sizeof *u->spans);
        if (!u->parts || !u->spans) {
            user_iov_fini(u);
            return -ENOMEM;
        }
    }
    for (uint64_t k = 0; k < count; k++) {
        int r = copy_from_guest(&raw, array + k * sizeof raw, sizeof raw);

        if (r == 0 && (int64_t)raw.size < 0)
            r = -EINVAL;
        else if (r == 0 && !guest_may_name(raw.base, raw.size))
            r = -EFAULT;
        if (r < 0) {
            user_iov_fini(u);
            return r;
        }
        if (raw.size > 0x7ffff000u - u->total)
            raw.size = 0x7ffff000u - u->total;
        u->parts[k].base = raw.base;
        u->parts[k].size = raw.size;
        u->total += raw.size;
        u->count++;
    }
    return 0;
}

void
user_iov_single(struct user_iov *u, guest_addr base, uint64_t size)
{
    u->parts = u->inline_parts;
    u->spans = u->inline_spans;
    u->span_max = USER_IOV_INLINE + USER_IOV_SPANS;
    u->count = 1;
    u->total = size > 0x7ffff000u ? 0x7ffff000u : size;
    u->parts[0].base = guest_may_name(base, size) ? base : UINT64_MAX; /* there nothing is */
    u->parts[0].size = u->total;
}

void
user_iov_fini(struct user_iov *u)
{
    if (u->parts != u->inline_parts)
        array_free(u->parts);
    if (u->spans != u->inline_spans)
        array_free(u->spans);
    user_iov_single(u, 0, 0);
    u->count = 0;
}

static int
spans_of_all(struct user_iov *u, uint64_t skip, uint64_t most, bool write)
{
    int n = 0;

    for (unsigned k = 0; k < u->count && most > 0; k++) {
        guest_addr at = u->parts[k].base;
        uint64_t left = u->parts[k].size;

        if (skip >= left) {
            skip -= left;
            continue;
        }
        at += skip;
        left -= skip;
        left = left < most ? left : most;
        most -= left;
        skip = 0;
        while (left > 0) {
            size_t size = (size_t)left;
            void *p;

            if (n == u->span_max)
                return n;
            p = guest_span(at, &size, write);
            if (!p || size == 0)
                return n;
            u->spans[n++] = (struct iovec){p, size};
            at += size;
            left -= size;
        }
    }
    return n;
}

static int
find_spans(struct user_iov *u, uint64_t skip, uint64_t most, bool write)
{
    assert_no_sleep();
    if (u->count == 1 && skip < u->parts[0].size) { /* one buffer, most often in one mapping */
        size_t left = u->parts[0].size - skip < most ? u->parts[0].size - skip : most, size = left;
        void *p = guest_span(u->parts[0].base + skip, &size, write);

        if (p && size == left) {
            u->spans[0] = (struct iovec){p, size};
            return 1;
        }
    }
    return spans_of_all(u, skip, most, write);
}

int
user_iov_whole(const struct user_iov *u, int spans)
{
    if (iov_total(u->spans, spans) >= (u->total < SPANS_MOST ? u->total : SPANS_MOST))
        return 0;
    return spans == u->span_max ? -EMSGSIZE : -EFAULT;
}

int
user_iov_spans(struct user_iov *u, uint64_t skip, uint64_t most, bool write)
{
    int n = find_spans(u, skip, most, write);

    for (int i = 0; i < n && usercopy_recording && !write; i++)
        usercopy_hooks.recorded(u->spans[i].iov_base, u->spans[i].iov_len);
    return n;
}
