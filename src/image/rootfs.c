/* A root filesystem folder as an image. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "image/source.h"

enum { BLOCK = 1 << 20, MAX_DEPTH = 256 };

struct seen { /* files with several links, to keep them one */
    dev_t dev;
    ino_t ino;
    char *path;
};

struct loader {
    struct tree *t;
    VEC(struct seen) seen;
    uint8_t *block;
};

static int
load_content(struct loader *l, int dirfd, const char *name, struct tree_inode *inode, struct err *e)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct tree_writer w;
    uint64_t offset = 0;
    int result;

    if (fd < 0)
        return err_set(e, "cannot open: %s", strerror(errno));
    result = tree_write_begin(l->t, &w, e);
    while (result == 0) {
        ssize_t n = read(fd, l->block, BLOCK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            result = err_set(e, "cannot read: %s", strerror(errno));
        if (n <= 0)
            break;
        result = tree_write(&w, l->block, (size_t)n, offset, e);
        offset += (uint64_t)n;
    }
    close(fd);
    if (result == 0)
        return tree_write_end(&w, inode, offset, e);
    tree_write_abort(&w);
    return result;
}

static const char *
seen_before(struct loader *l, const struct stat *st, const char *path)
{
    for (size_t i = 0; i < l->seen.count; i++) {
        if (l->seen.items[i].dev == st->st_dev && l->seen.items[i].ino == st->st_ino)
            return l->seen.items[i].path;
    }
    vec_push(&l->seen, ((struct seen){st->st_dev, st->st_ino, mem_strdup(path)}));
    return NULL;
}

static int load_dir(struct loader *l, int fd, const char *path, unsigned depth, struct err *e);

static int
load_entry(struct loader *l, int dirfd, const char *name, const char *path, unsigned depth, struct err *e)
{
    struct stat st;
    char target[4096];
    struct tree_attributes a;
    struct tree_inode *inode;
    const char *first;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(e, "cannot stat: %s", strerror(errno));
    if (S_ISSOCK(st.st_mode))
        return 0; /* meaningless without the process that made it */
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && (first = seen_before(l, &st, path)))
        return tree_link(l->t, path, first, e);
    a = (struct tree_attributes){
        .mode = st.st_mode,
        .uid = st.st_uid,
        .gid = st.st_gid,
        .mtime = st.st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)st.st_mtim.tv_nsec,
        .rdev_major = major(st.st_rdev),
        .rdev_minor = minor(st.st_rdev),
    };
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);

        if (n <= 0)
            return err_set(e, "cannot read symbolic link: %s", strerror(errno));
        target[n] = '\0';
        a.target = target;
    }
    inode = tree_put(l->t, path, &a, e);
    if (!inode)
        return -1;
    if (S_ISREG(st.st_mode))
        return load_content(l, dirfd, name, inode, e);
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
            return err_set(e, "cannot open: %s", strerror(errno));
        return load_dir(l, fd, path, depth + 1, e);
    }
    return 0;
}

/* Takes over fd. Names in sorted order, so that the artifact does not depend on the folder's own. */
static int
load_dir(struct loader *l, int fd, const char *path, unsigned depth, struct err *e)
{
    struct dirent **names = NULL;
    int count, result = 0;

    if (depth > MAX_DEPTH) {
        close(fd);
        return err_set(e, "%s: folders nested too deeply", path);
    }
    count = scandirat(fd, ".", &names, NULL, alphasort);
    if (count < 0)
        result = err_set(e, "cannot read folder: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;

        if (result == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            char *child = mem_printf("%s/%s", path, name);
            struct err why = {0};

            result = load_entry(l, fd, name, child, depth, &why);
            if (result < 0) /* the innermost name is enough */
                err_set(e, "%s", why.text[0] == '/' ? why.text : (err_prefix(&why, "%s", child), why.text));
            mem_free(child);
        }
        free(names[i]);
    }
    free(names);
    close(fd);
    return result;
}

int
rootfs_load(struct tree *t, const char *path, struct err *e)
{
    struct loader l = {.t = t, .block = mem_alloc(BLOCK)};
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd < 0 || fstat(fd, &st) < 0) {
        result = err_set(e, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    } else {
        t->root->mode = st.st_mode;
        t->root->uid = st.st_uid;
        t->root->gid = st.st_gid;
        t->root->mtime = st.st_mtim.tv_sec;
        t->root->mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
        result = load_dir(&l, fd, "", 0, e);
        if (result < 0)
            err_prefix(e, "root filesystem %s", path);
    }
    for (size_t i = 0; i < l.seen.count; i++)
        mem_free(l.seen.items[i].path);
    vec_fini(&l.seen);
    mem_free(l.block);
    return result;
}
