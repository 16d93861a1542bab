/* inotify(7). */
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/id_tree.h"
#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/vfs/users.h"

enum { QUEUE_MAX = LIMIT_INOTIFY_EVENTS };

struct inotify {
    struct id_tree watches; /* struct inotify_watch.of_instance, by watch descriptor */
    struct list events;
    unsigned event_count;
    int next_wd;
    struct user *user; /* who is charged for it */
    struct wait_queue queue;
};

struct inotify_watch {
    struct id_node of_instance; /* its id is the watch descriptor */
    struct list of_inode;
    struct inotify *instance;
    struct inode *inode; /* holds a reference */
    uint32_t mask;
    struct user *user; /* who is charged for it */
};

/* As the guest reads it; the kernel's header has the name's bytes behind, which are kept apart here. */
struct event_head {
    int32_t wd;
    uint32_t mask, cookie, len;
};
_Static_assert(sizeof(struct event_head) == sizeof(struct inotify_event), "struct inotify_event");

struct queued {
    struct list link;
    struct event_head head;
    char *name; /* head.len bytes, or NULL */
};

OBJECT_POOL(queued);

static void
queued_free(struct queued *q)
{
    bytes_free(q->name);
    OBJECT_FREE(queued, q);
}

static unsigned watch_total; /* most containers have none: events cost one test */

static void
queue_event(struct inotify *n, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    size_t length = name ? (strlen(name) + 1 + 15) & ~(size_t)15 : 0;
    struct queued *q;

    if (n->event_count >= QUEUE_MAX) {
        if (n->event_count > QUEUE_MAX)
            return;
        wd = -1;
        mask = IN_Q_OVERFLOW;
        cookie = 0;
        length = 0;
    }
    if (!list_empty(&n->events)) { /* identical to the last one: merged, as Linux does */
        struct queued *last = list_entry(n->events.prev, struct queued, link);

        if (last->head.wd == wd && last->head.mask == mask && last->head.cookie == cookie && last->head.len == length &&
            (length == 0 || strcmp(last->name, name) == 0))
            return;
    }
    q = OBJECT_NEW(queued);
    if (!q)
        return;
    if (length && !(q->name = bytes_new(length))) {
        OBJECT_FREE(queued, q);
        return;
    }
    q->head = (struct event_head){.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)length};
    if (length) {
        memset(q->name, 0, length);
        strcpy(q->name, name);
    }
    list_append(&n->events, &q->link);
    n->event_count++;
    wait_queue_wake(&n->queue);
}

OBJECT_POOL(inotify);
OBJECT_POOL(inotify_watch);

static void
watch_free(struct inotify_watch *w)
{
    struct inode *i = w->inode;

    id_tree_remove(&w->instance->watches, &w->of_instance);
    list_remove(&w->of_inode);
    if (i->watched_outside && list_empty(&i->watches)) {
        i->watched_outside = false;
        OPS(i->ops)->watch(i, false);
    }
    user_uncharge(w->user, USER_INOTIFY_WATCHES, 1);
    OBJECT_FREE(inotify_watch, w);
    watch_total--;
    inode_put(i);
}

/* As the kernel has it within, and shows it there (new_encode_dev is for programs). */
static uint64_t
device_number(dev_t dev)
{
    return (uint64_t)major(dev) << 20 | minor(dev);
}

/* unlinked: done to an open file whose name is gone. */
static void
report(struct inode *i, uint32_t mask, const char *name, uint32_t cookie, bool unlinked)
{
    inode_get(i);
    LIST_EACH_SAFE(p, &i->watches) {
        struct inotify_watch *w = list_entry(p, struct inotify_watch, of_inode);
        struct inotify *n = w->instance;
        int wd = (int)w->of_instance.id;

        if (mask & IN_Q_OVERFLOW)
            queue_event(n, -1, IN_Q_OVERFLOW, 0, NULL);
        if ((w->mask & mask & IN_ALL_EVENTS) && !(unlinked && (w->mask & IN_EXCL_UNLINK)))
            queue_event(n, wd, mask, cookie, name);
        if ((mask & (IN_DELETE_SELF | IN_IGNORED)) || ((w->mask & IN_ONESHOT) && (w->mask & mask & IN_ALL_EVENTS))) {
            watch_free(w);
            queue_event(n, wd, IN_IGNORED, 0, NULL);
        }
    }
    inode_put(i);
}

/* A file that is watched outside has its events from there: only a folder's end, which our own descriptor of it hides
 * from the host, is told here. */
static void
event(struct inode *i, uint32_t mask, const char *name, uint32_t cookie, bool unlinked)
{
    if (note_total && i->notes && (name || (mask & IN_ISDIR)))
        notes_tell(i, mask);
    if (watch_total == 0 || list_empty(&i->watches))
        return;
    if (i->watched_outside) {
        vfs_hooks.collect_changes();
        if (!(mask & IN_DELETE_SELF) || !S_ISDIR(i->mode))
            return;
    }
    report(i, mask, name, cookie, unlinked);
}

void
inotify_event(struct inode *i, uint32_t mask, const char *name, uint32_t cookie)
{
    event(i, mask, name, cookie, false);
}

void
inotify_report(struct inode *i, uint32_t mask, const char *name, uint32_t cookie)
{
    report(i, mask, name, cookie, false);
}

static void
event_of_dentry(struct dentry *d, uint32_t mask, bool unlinked)
{
    uint32_t dir;

    if (watch_total + note_total == 0 || !d->inode)
        return;
    dir = S_ISDIR(d->inode->mode) ? IN_ISDIR : 0;
    if (d->parent && d->parent->inode)
        event(d->parent->inode, mask | dir, d->name, 0, unlinked);
    event(d->inode, mask | dir, NULL, 0, unlinked);
}

void
inotify_dentry(struct dentry *d, uint32_t mask)
{
    event_of_dentry(d, mask, false);
}

void
inotify_opened(struct dentry *d, uint32_t mask)
{
    event_of_dentry(d, mask, (d->flags & DENTRY_DELETED) != 0);
}

void
inotify_inode_gone(struct inode *i)
{
    /* watches hold references: an inode that goes has none */
}

static ssize_t
inotify_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct inotify *n = f->data;
    size_t room = iov_total(iov, count), done = 0, skip = 0;

    if (watch_total)
        vfs_hooks.collect_changes();
    if (list_empty(&n->events))
        return -EAGAIN;
    LIST_EACH_SAFE(p, &n->events) {
        struct queued *q = list_entry(p, struct queued, link);
        size_t size = sizeof q->head + q->head.len;

        if (done + size > room)
            break;
        iov_advance(&iov, &count, &skip);
        if (iov_scatter(iov, count, skip, &q->head, sizeof q->head) < sizeof q->head ||
            iov_scatter(iov, count, skip + sizeof q->head, q->name, q->head.len) < q->head.len)
            return done ? (ssize_t)done : -EFAULT;
        done += size;
        skip += size;
        list_remove(&q->link);
        n->event_count--;
        queued_free(q);
    }
    return done ? (ssize_t)done : -EINVAL;
}

static unsigned
inotify_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct inotify *n = f->data;

    poll_add(queues, count, max, &n->queue);
    return list_empty(&n->events) ? 0 : POLLIN | POLLRDNORM;
}

static int
inotify_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct inotify *n = f->data;
    int total = 0;

    if (request != FIONREAD)
        return -ENOTTY;
    LIST_EACH(p, &n->events) {
        struct queued *q = list_entry(p, struct queued, link);

        total += (int)(sizeof q->head + q->head.len);
    }
    return copy_to_guest(arg, &total, sizeof total);
}

static int
inotify_describe(const struct file *f, uint64_t *at, char *line, size_t size)
{
    const struct inotify *n = f->data;
    const struct id_node *node = *at > INT32_MAX ? NULL : id_tree_from(&n->watches, (int64_t)*at);
    const struct inotify_watch *w = node ? id_entry(node, struct inotify_watch, of_instance) : NULL;

    if (!w)
        return 0;
    *at = (uint64_t)node->id + 1;
    return snprintf(line, size, "inotify wd:%x ino:%llx sdev:%llx mask:%x ignored_mask:0 \n", (unsigned)node->id,
                    (unsigned long long)w->inode->ino, (unsigned long long)device_number(w->inode->sb->dev),
                    w->mask & IN_ALL_EVENTS);
}

static void
inotify_release(struct file *f)
{
    struct inotify *n = f->data;

    while (n->watches.root)
        watch_free(id_entry(n->watches.root, struct inotify_watch, of_instance));
    LIST_EACH_SAFE(p, &n->events)
        queued_free(list_entry(p, struct queued, link));
    wait_queue_fini(&n->queue);
    user_uncharge(n->user, USER_INOTIFY_INSTANCES, 1);
    OBJECT_FREE(inotify, n);
}

static const struct file_ops OPS_TABLE(file_ops) inotify_ops = {
    .name = "inotify",
    .bare_name = true,
    .seeks_nowhere = true,
    .no_splice_out = true,
    .tells_async = true,
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .describe = inotify_describe,
    .release = inotify_release,
};

static int64_t
make_inotify(int flags)
{
    struct inotify *n;
    struct file *f;

    if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
        return -EINVAL;
    n = OBJECT_NEW(inotify);
    if (!n)
        return -ENOMEM;
    n->user = user_charge(USER_INOTIFY_INSTANCES, 1, LIMIT_INOTIFY_INSTANCES);
    if (!n->user) {
        OBJECT_FREE(inotify, n);
        return -EMFILE;
    }
    f = file_new(&inotify_ops, O_RDONLY | (flags & O_NONBLOCK));
    if (!f) {
        user_uncharge(n->user, USER_INOTIFY_INSTANCES, 1);
        OBJECT_FREE(inotify, n);
        return -ENFILE;
    }
    list_init(&n->events);
    wait_queue_init(&n->queue);
    n->next_wd = 1;
    f->data = n;
    return fd_install_or_put(f, flags & O_CLOEXEC);
}

int64_t
sys_inotify_init(const uint64_t a[6])
{
    return make_inotify(0);
}

int64_t
sys_inotify_init1(const uint64_t a[6])
{
    return make_inotify((int)a[0]);
}

static int
add_watch(struct inotify *n, struct inode *i, uint32_t mask)
{
    struct inotify_watch *w;

    LIST_EACH(p, &i->watches) {
        w = list_entry(p, struct inotify_watch, of_inode);
        if (w->instance != n)
            continue;
        if (mask & IN_MASK_CREATE)
            return -EEXIST;
        w->mask = (mask & IN_MASK_ADD) ? w->mask | mask : mask;
        return (int)w->of_instance.id;
    }
    if (n->next_wd == INT32_MAX)
        return -ENOSPC;
    w = OBJECT_NEW(inotify_watch);
    if (!w)
        return -ENOMEM;
    w->user = user_charge(USER_INOTIFY_WATCHES, 1, LIMIT_INOTIFY_WATCHES);
    if (!w->user) {
        OBJECT_FREE(inotify_watch, w);
        return -ENOSPC;
    }
    if (OPS(i->ops)->watch && !i->watched_outside) {
        int r = OPS(i->ops)->watch(i, true);

        if (r < 0) {
            user_uncharge(w->user, USER_INOTIFY_WATCHES, 1);
            OBJECT_FREE(inotify_watch, w);
            return r;
        }
        i->watched_outside = true;
    }
    w->instance = n;
    w->inode = inode_get(i);
    w->mask = mask;
    id_tree_add(&n->watches, &w->of_instance, n->next_wd++, platform_random_priority());
    list_append(&i->watches, &w->of_inode);
    watch_total++;
    return (int)w->of_instance.id;
}

enum {
    KNOWN_BITS = IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW |
                 IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR | (int)IN_ONESHOT
};

int64_t
sys_inotify_add_watch(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    uint32_t mask = (uint32_t)a[2];
    struct path p;
    int r;

    if (!(mask & KNOWN_BITS))
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (f->ops != &inotify_ops || ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)))
        return -EINVAL;
    r = path_walk_guest(AT_FDCWD, a[1],
                        ((mask & IN_DONT_FOLLOW) ? 0 : WALK_FOLLOW) | ((mask & IN_ONLYDIR) ? WALK_DIRECTORY : 0), &p);
    if (r < 0)
        return r;
    r = inode_permission(p.dentry->inode, MAY_READ);
    if (r == 0)
        r = add_watch(f->data, p.dentry->inode, mask);
    path_fini(&p);
    return r;
}

int64_t
sys_inotify_rm_watch(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    struct id_node *node;
    struct inotify *n;

    if (!f)
        return -EBADF;
    if (f->ops != &inotify_ops)
        return -EINVAL;
    n = f->data;
    node = id_tree_find(&n->watches, (int)a[1]);
    if (!node)
        return -EINVAL;
    watch_free(id_entry(node, struct inotify_watch, of_instance));
    queue_event(n, (int)a[1], IN_IGNORED, 0, NULL);
    return 0;
}
