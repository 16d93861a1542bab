/* One layer of an image applied to the tree (OCI image spec, "Image Layer Filesystem Changeset"): an archive read
 * through libarchive, whiteouts (.wh.NAME) and opaque directories (.wh..wh..opq). */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "image/unpack.h"
#include "image/source.h"

#define WHITEOUT ".wh."
#define AUFS_OWN ".wh..wh."
#define OPAQUE   ".wh..wh..opq"

enum { BLOCK = 1 << 20 };

/* A name as it is used: without "..", which takes back the component before it, whatever that is in the tree (as other
 * tools have it). The caller frees it; NULL: it leads out of the image. */
static char *
clean_name(const char *path, struct err *e)
{
    const char *whole = path;
    char *clean = mem_zalloc(strlen(path) + 2, 1);
    size_t end = 0;

    while (*path) {
        size_t length = strcspn(path, "/");

        if (length == 2 && path[0] == '.' && path[1] == '.') {
            if (end == 0) {
                err_set(e, "path \"%s\" leads out of the image", whole);
                mem_free(clean);
                return NULL;
            }
            while (end > 0 && clean[--end] != '/')
                ;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (end > 0)
                clean[end++] = '/';
            memcpy(clean + end, path, length);
            end += length;
        }
        clean[end] = '\0';
        path += length;
        path += *path == '/';
    }
    return clean;
}

/* Files of aufs, the file system that whiteouts come from, about itself: they are nobody's files. */
static bool
is_aufs_own(const char *path)
{
    for (const char *name = path; name; name = strchr(name, '/')) {
        name += *name == '/';
        if (strncmp(name, AUFS_OWN, strlen(AUFS_OWN)) == 0 && strcmp(name, OPAQUE) != 0)
            return true;
    }
    return false;
}

/* Opaque markers may come after new entries of their directory: what this layer put there itself must stay. So
 * removals are done in a first pass over the archive, everything else in a second. */
static int
apply_whiteout(struct tree *t, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *target;
    int result;

    if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) != 0)
        return 0;
    if (strcmp(name, OPAQUE) == 0) {
        char *dir = mem_printf("%.*s", (int)(name - path), path);
        struct tree_inode *n = tree_lookup(t, dir);

        mem_free(dir);
        if (n && S_ISDIR(n->mode)) {
            for (size_t i = 0; i < n->entries.count; i++)
                n->entries.items[i].inode->nlink--;
            n->entries.count = 0;
        }
        return 0;
    }
    name += strlen(WHITEOUT);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(e, "%s: whiteout of no name", path);
    target = mem_printf("%.*s%s", (int)(name - path - strlen(WHITEOUT)), path, name);
    result = tree_remove(t, target, e);
    mem_free(target);
    return result;
}

static bool
is_whiteout(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strncmp(slash ? slash + 1 : path, WHITEOUT, strlen(WHITEOUT)) == 0;
}

static int
read_content(struct tree *t, struct archive *a, struct tree_inode *inode, uint64_t size, struct err *e)
{
    struct tree_writer w;
    const void *data;
    size_t n;
    la_int64_t offset;
    int status;

    if (tree_write_begin(t, &w, e) < 0)
        return -1;
    while ((status = archive_read_data_block(a, &data, &n, &offset)) == ARCHIVE_OK) {
        if (tree_write(&w, data, n, (uint64_t)offset, e) < 0) {
            tree_write_abort(&w);
            return -1;
        }
    }
    if (status != ARCHIVE_EOF) {
        tree_write_abort(&w);
        return err_set(e, "%s", archive_error_string(a));
    }
    return tree_write_end(&w, inode, size, e);
}

/* What the first pass does with an entry: removals, and directories that take the place of something else, so that a
 * whiteout below one removes nothing where a link of that name led. */
static int
prepare_entry(struct tree *t, struct archive_entry *entry, const char *path, struct err *e)
{
    struct tree_attributes attributes = {.mode = S_IFDIR | 0755};
    const struct tree_inode *old;

    if (is_whiteout(path))
        return apply_whiteout(t, path, e);
    if (!S_ISDIR(archive_entry_mode(entry)) || archive_entry_hardlink(entry))
        return 0;
    old = tree_lookup(t, path);
    return old && !S_ISDIR(old->mode) && !tree_put(t, path, &attributes, e) ? -1 : 0;
}

static int
link_entry(struct tree *t, const char *path, const char *hardlink, struct err *e)
{
    char *target = clean_name(hardlink, NULL);
    int result = target ? tree_link(t, path, target, e)
                        : err_set(e, "%s: hard link to \"%s\", which is out of the image", path, hardlink);

    mem_free(target);
    return result;
}

static int
apply_entry(struct tree *t, struct archive *a, struct archive_entry *entry, const char *path, struct err *e)
{
    const char *hardlink = archive_entry_hardlink(entry);
    struct tree_attributes attributes = {
        .mode = archive_entry_mode(entry),
        .uid = (uint32_t)archive_entry_uid(entry),
        .gid = (uint32_t)archive_entry_gid(entry),
        .mtime = archive_entry_mtime(entry),
        .mtime_nsec = (uint32_t)archive_entry_mtime_nsec(entry),
        .target = archive_entry_symlink(entry),
    };
    struct tree_inode *inode;

    if (is_whiteout(path))
        return 0;
    if (hardlink)
        return link_entry(t, path, hardlink, e);
    switch (attributes.mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFIFO: break;
    case S_IFLNK:
        if (!attributes.target || !attributes.target[0])
            return err_set(e, "%s: symbolic link without a target", path);
        break;
    case S_IFCHR:
    case S_IFBLK:
        attributes.rdev_major = (uint32_t)archive_entry_rdevmajor(entry);
        attributes.rdev_minor = (uint32_t)archive_entry_rdevminor(entry);
        break;
    default: return err_set(e, "%s: entry of unknown type %o", path, attributes.mode & S_IFMT);
    }
    inode = tree_put(t, path, &attributes, e);
    if (!inode)
        return -1;
    if (S_ISREG(attributes.mode) &&
        read_content(t, a, inode, archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0, e) < 0)
        return err_prefix(e, "%s", path);
    return 0;
}

static int
each_entry(struct tree *t, const char *path, bool first, struct err *e)
{
    struct archive *a = archive_reader();
    struct archive_entry *entry;
    int status, result = 0;

    archive_read_support_format_empty(a);
    if (archive_read_open_filename(a, path, BLOCK) != ARCHIVE_OK)
        result = err_set(e, "%s", archive_error_string(a));
    while (result == 0) {
        status = archive_read_next_header(a, &entry);
        if (status == ARCHIVE_EOF)
            break;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            result = err_set(e, "%s", archive_error_string(a));
        } else {
            const char *name = archive_entry_pathname(entry);
            char *path = name ? clean_name(name, e) : NULL;

            if (!path)
                result = name ? -1 : err_set(e, "entry without a usable name");
            else if (!is_aufs_own(path))
                result = first ? prepare_entry(t, entry, path, e) : apply_entry(t, a, entry, path, e);
            mem_free(path);
        }
    }
    archive_read_free(a);
    return result;
}

int
layer_apply(struct tree *t, const char *path, struct err *e)
{
    if (each_entry(t, path, true, e) < 0 || each_entry(t, path, false, e) < 0)
        return err_prefix(e, "layer %s", path);
    return 0;
}
