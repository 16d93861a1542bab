/* From names to places: the path walk, and the operations on names that every file system shares. */
#include <sys/inotify.h>

#include "vkernel/vfs/namei_internal.h"
#include "vkernel/vfs/vfs.h"

struct fs_context {
    struct refcount refs;
    struct dentry *cwd, *root;
    uint32_t umask;
};

static struct dentry *root_place; /* of the root file system */

static struct fs_context *
context(void)
{
    return this_worker.fs ? *this_worker.fs : NULL;
}

/* The root file system's root, known once it is mounted. */
static struct dentry *
top(void)
{
    if (!root_place && !list_empty(&mount_list))
        root_place = list_entry(mount_list.next, struct mount, link)->root;
    return root_place;
}

struct dentry *
fs_root(void)
{
    struct fs_context *c = context();

    return c ? c->root : top();
}

struct dentry *
fs_cwd(void)
{
    struct fs_context *c = context();

    return c ? c->cwd : top();
}

uint32_t
fs_umask(void)
{
    struct fs_context *c = context();

    return c ? c->umask : 022;
}

uint32_t
fs_set_umask(uint32_t mask)
{
    uint32_t old = context()->umask;

    context()->umask = mask & 0777;
    return old;
}

void
fs_set_cwd(struct dentry *d)
{
    struct fs_context *c = context();

    dentry_get(d);
    dentry_put(c->cwd);
    c->cwd = d;
}

void
fs_set_root(struct dentry *d)
{
    struct fs_context *c = context();

    dentry_get(d);
    dentry_put(c->root);
    c->root = d;
}

struct dentry *
fs_context_root(struct fs_context *c)
{
    return c->root;
}

struct dentry *
fs_context_cwd(struct fs_context *c)
{
    return c->cwd;
}

uint32_t
fs_context_umask(struct fs_context *c)
{
    return c->umask;
}

OBJECT_POOL(fs_context);

struct fs_context *
fs_context_new(void)
{
    struct fs_context *c = OBJECT_NEW(fs_context);

    if (!c)
        return NULL;
    refcount_init(&c->refs);
    c->cwd = dentry_get(top());
    c->root = dentry_get(top());
    c->umask = 022;
    return c;
}

struct fs_context *
fs_context_clone(struct fs_context *old)
{
    struct fs_context *c = OBJECT_NEW(fs_context);

    if (!c)
        return NULL;
    refcount_init(&c->refs);
    c->cwd = dentry_get(old->cwd);
    c->root = dentry_get(old->root);
    c->umask = old->umask;
    return c;
}

struct fs_context *
fs_context_get(struct fs_context *c)
{
    refcount_get(&c->refs);
    return c;
}

void
fs_context_put(struct fs_context *c)
{
    if (!c || !refcount_put(&c->refs))
        return;
    dentry_put(c->cwd);
    dentry_put(c->root);
    OBJECT_FREE(fs_context, c);
}

int
fs_context_chdir(struct fs_context *c, const char *path)
{
    struct path p;
    int r = path_walk(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &p);

    if (r < 0)
        return r;
    dentry_get(p.dentry);
    dentry_put(c->cwd);
    c->cwd = p.dentry;
    path_fini(&p);
    return 0;
}

int
path_from_guest(char *buf, guest_addr a)
{
    ssize_t n = copy_string_from_guest(buf, a, VFS_PATH_MAX);

    return n < 0 ? (int)n : 0;
}

/* --- the walk --- */

/* What is left of a path; symlinks push their text. */
struct frame {
    const char *at;
    char *owned;
};

struct walk {
    struct dentry *cur, *root, *start;
    unsigned flags;
    int links, depth;
    bool must_dir;
    struct frame frames[VFS_LINK_MAX + 1];
};

static struct dentry *
cross_mounts(struct dentry *d)
{
    while (d->mounted) {
        struct dentry *top = dentry_get(d->mounted->root);

        dentry_put(d);
        d = top;
    }
    return d;
}

int
vfs_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    struct dentry *d = NULL;
    int r;

    *out = NULL;
    if (dir->flags & DENTRY_DELETED)
        return -ENOENT;
    if (length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    d = dentry_find(dir, name, length);
    if (d) {
        if (!d->inode)
            return -ENOENT;
        dentry_get(d);
    } else {
        if (!OPS(dir->inode->ops)->lookup)
            return -ENOENT;
        r = OPS(dir->inode->ops)->lookup(dir, name, length, &d);
        if (r < 0)
            return r;
    }
    *out = cross_mounts(d);
    return 0;
}

static void
move_to(struct walk *w, struct dentry *d)
{
    dentry_put(w->cur);
    w->cur = d;
}

static int
step_up(struct walk *w)
{
    struct dentry *d = w->cur;

    if ((w->flags & WALK_BENEATH) && d == w->start) /* even where that is the root, which ".." would not leave */
        return -EXDEV;
    if (d == w->root)
        return 0;
    while (!d->parent && d->sb->mount && d->sb->mount->mountpoint) {
        if (w->flags & WALK_NO_XDEV)
            return -EXDEV;
        d = d->sb->mount->mountpoint;
        if (d == w->root)
            break;
    }
    if (d->parent)
        d = d->parent;
    move_to(w, cross_mounts(dentry_get(d)));
    return 0;
}

int
namei_magic_target(struct dentry *link, unsigned flags, struct dentry **target)
{
    const struct inode_ops *ops = OPS(link->inode->ops);

    *target = NULL;
    if (!ops->follow)
        return -EOPNOTSUPP;
    return flags & (WALK_NO_MAGICLINKS | WALK_BENEATH | WALK_IN_ROOT) ? -ELOOP : ops->follow(link, target);
}

int
namei_link_text(struct dentry *link, char *text)
{
    const struct inode_ops *ops = OPS(link->inode->ops);
    ssize_t n = ops->readlink ? ops->readlink(link, text, VFS_PATH_MAX - 1) : -EINVAL;

    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    text[n] = '\0';
    return 0;
}

/* Puts a symlink's text in front of what is left. `link` has been looked up and is not yet current. */
static int
push_link(struct walk *w, struct dentry *link)
{
    struct dentry *target;
    char *text;
    int r;

    if (++w->links > VFS_LINK_MAX || (w->flags & WALK_NO_SYMLINKS))
        return -ELOOP;
    r = namei_magic_target(link, w->flags, &target);
    if (r == 0)
        move_to(w, target);
    if (r != -EOPNOTSUPP)
        return r;
    text = bytes_new(VFS_PATH_MAX);
    if (!text)
        return -ENOMEM;
    r = namei_link_text(link, text);
    if (r < 0) {
        bytes_free(text);
        return r;
    }
    if (text[0] == '/') {
        if (w->flags & WALK_BENEATH) {
            bytes_free(text);
            return -EXDEV;
        }
        move_to(w, dentry_get(w->root));
    }
    /* frames that are used up make room: the depth stays within the number of links */
    while (w->depth >= 0 && !*w->frames[w->depth].at)
        bytes_free(w->frames[w->depth--].owned);
    w->depth++;
    w->frames[w->depth] = (struct frame){text, text};
    return 0;
}

static const char *
skip_slashes(const char *s)
{
    while (*s == '/')
        s++;
    return s;
}

static bool
nothing_left(const struct walk *w, int depth)
{
    for (int k = 0; k <= depth; k++)
        if (*w->frames[k].at)
            return false;
    return true;
}

static int
walk_component(struct walk *w, const char *name, size_t length, bool last, bool slash)
{
    struct dentry *next;
    int r;

    if (!S_ISDIR(w->cur->inode->mode))
        return -ENOTDIR;
    r = inode_permission(w->cur->inode, MAY_EXEC);
    if (r < 0)
        return r;
    if (length == 1 && name[0] == '.')
        return 0;
    if (length == 2 && name[0] == '.' && name[1] == '.')
        return step_up(w);
    r = vfs_lookup(w->cur, name, length, &next);
    if (r < 0)
        return r;
    if ((w->flags & WALK_NO_XDEV) && next->sb != w->cur->sb) {
        dentry_put(next);
        return -EXDEV;
    }
    if (S_ISLNK(next->inode->mode) && (!last || slash || (w->flags & WALK_FOLLOW))) {
        r = push_link(w, next);
        dentry_put(next);
        return r;
    }
    move_to(w, next);
    return 0;
}

static int
walk_run(struct walk *w, struct path *out)
{
    for (;;) {
        struct frame *f = &w->frames[w->depth];
        const char *name = skip_slashes(f->at), *end = name;
        bool slash, last;
        int r;

        if (!*name) {
            if (w->depth == 0)
                break;
            bytes_free(f->owned);
            w->depth--;
            continue;
        }
        while (*end && *end != '/')
            end++;
        slash = *end == '/';
        f->at = skip_slashes(end); /* once: nothing_left looks at every frame for every component */
        last = nothing_left(w, w->depth);
        if (last && slash)
            w->must_dir = true;
        if (last && (w->flags & WALK_PARENT)) {
            size_t length = (size_t)(end - name);

            if (!S_ISDIR(w->cur->inode->mode))
                return -ENOTDIR;
            if ((r = inode_permission(w->cur->inode, MAY_EXEC)) < 0)
                return r;
            if ((w->flags & WALK_BENEATH) && w->cur == w->start && length == 2 && memcmp(name, "..", 2) == 0)
                return -EXDEV;
            out->storage = bytes_string_part(name, length);
            if (!out->storage)
                return -ENOMEM;
            out->last = out->storage;
            out->last_length = length;
            out->last_slash = w->must_dir;
            out->last_special = strcmp(out->last, ".") == 0 || strcmp(out->last, "..") == 0;
            return 0;
        }
        r = walk_component(w, name, (size_t)(end - name), last, last && w->must_dir);
        if (r < 0)
            return r;
    }
    if (w->flags & WALK_PARENT) { /* "/" alone */
        out->storage = bytes_string("/");
        if (!out->storage)
            return -ENOMEM;
        out->last = out->storage;
        out->last_length = 1;
        out->last_special = true;
        return 0;
    }
    if ((w->must_dir || (w->flags & WALK_DIRECTORY)) && !S_ISDIR(w->cur->inode->mode))
        return -ENOTDIR;
    return 0;
}

int
namei_walk_from(struct dentry *start, struct dentry *bound, const char *name, unsigned flags, int links,
                struct path *out)
{
    NO_SLEEP;
    UNINITIALIZED struct walk w;
    int r;

    w.flags = flags;
    w.links = links;
    w.depth = 0;
    w.must_dir = false;
    w.start = bound;
    w.root = dentry_get((flags & WALK_IN_ROOT) ? bound : fs_root());
    w.frames[0] = (struct frame){name, NULL};
    w.cur = dentry_get(name[0] == '/' ? w.root : start);
    r = name[0] == '/' && (flags & WALK_BENEATH) ? -EXDEV : walk_run(&w, out);
    for (int k = w.depth; k >= 0; k--)
        bytes_free(w.frames[k].owned);
    dentry_put(w.root);
    if (r < 0) {
        dentry_put(w.cur);
        bytes_free(out->storage);
        *out = (struct path){0};
        return r;
    }
    out->dentry = w.cur;
    return 0;
}

int
namei_start_place(int dirfd, const char *name, unsigned flags, struct dentry **out)
{
    if (name[0] == '/' && !(flags & (WALK_IN_ROOT | WALK_BENEATH))) {
        *out = dentry_get(fs_root());
    } else if (dirfd == AT_FDCWD) {
        *out = dentry_get(fs_cwd());
    } else {
        FILE_REF struct file *f = fd_get(dirfd);

        if (!f)
            return -EBADF;
        if (!f->dentry)
            return name[0] ? -ENOTDIR : -EINVAL;
        if (name[0] && !S_ISDIR(f->dentry->inode->mode))
            return -ENOTDIR;
        *out = dentry_get(f->dentry);
    }
    return 0;
}

int
path_walk(int dirfd, const char *name, unsigned flags, struct path *out)
{
    struct dentry *start = NULL;
    int r;

    *out = (struct path){0};
    if (!*name && !(flags & WALK_EMPTY))
        return -ENOENT;
    r = namei_start_place(dirfd, name, flags, &start);
    if (r < 0)
        return r;
    if (!*name) {
        out->dentry = start;
        return 0;
    }
    r = namei_walk_from(start, start, name, flags, 0, out);
    dentry_put(start);
    return r;
}

int
path_walk_guest(int dirfd, guest_addr name, unsigned flags, struct path *out)
{
    UNINITIALIZED char buf[VFS_PATH_MAX];
    int r = path_from_guest(buf, name);

    *out = (struct path){0};
    return r < 0 ? r : path_walk(dirfd, buf, flags, out);
}

void
path_fini(struct path *p)
{
    dentry_put(p->dentry);
    bytes_free(p->storage);
    *p = (struct path){0};
}

/* --- names: creation and removal --- */

int
vfs_may_delete(struct dentry *dir, struct dentry *victim, bool is_dir)
{
    const struct inode *i = victim->inode;
    int r = inode_permission(dir->inode, MAY_WRITE | MAY_EXEC);

    if (r < 0)
        return r;
    if ((dir->inode->mode & S_ISVTX) && current_creds()->fsuid != i->uid && current_creds()->fsuid != dir->inode->uid &&
        !capable(CAP_FOWNER))
        return -EPERM;
    if (is_dir && !S_ISDIR(i->mode))
        return -ENOTDIR;
    if (!is_dir && S_ISDIR(i->mode))
        return -EISDIR;
    if (victim->mounted || !victim->parent)
        return -EBUSY;
    return 0;
}

int
vfs_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
           struct dentry **out)
{
    struct dentry *d = NULL;
    int r;

    if (out)
        *out = NULL;
    if (length > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (dir->flags & DENTRY_DELETED)
        return -ENOENT;
    r = inode_permission(dir->inode, MAY_WRITE | MAY_EXEC);
    if (r < 0)
        return r;
    if (!OPS(dir->inode->ops)->create)
        return -EPERM;
    r = OPS(dir->inode->ops)->create(dir, name, length, mode, rdev, target, &d);
    if (r < 0)
        return r;
    inotify_event(dir->inode, S_ISDIR(mode) ? IN_CREATE | IN_ISDIR : IN_CREATE, d->name, 0);
    if (out)
        *out = d;
    else
        dentry_put(d);
    return 0;
}

int
vfs_unlink(struct dentry *dir, struct dentry *victim)
{
    struct inode *i = victim->inode;
    bool is_dir = S_ISDIR(i->mode);
    int r;

    if (!OPS(dir->inode->ops)->unlink)
        return -EPERM;
    inode_get(i);
    dentry_get(victim);
    r = OPS(dir->inode->ops)->unlink(dir, victim);
    if (r == 0) {
        if (!is_dir)
            inotify_event(i, IN_ATTRIB, NULL, 0); /* the number of names */
        /* Of its end dentry_put() tells; when nobody else has it open, Linux tells of that first. */
        if (i->nlink == 0 && refcount_is(&victim->refs, 2))
            inotify_event(i, IN_DELETE_SELF, NULL, 0);
        inotify_event(dir->inode, is_dir ? IN_DELETE | IN_ISDIR : IN_DELETE, victim->name, 0);
    }
    dentry_put(victim);
    inode_put(i);
    return r;
}
