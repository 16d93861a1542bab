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
#define OPAQUE   ".wh..wh..opq"

enum { BLOCK = 1 << 20 };

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

static int
apply_entry(struct tree *t, struct archive *a, struct archive_entry *entry, struct err *e)
{
    const char *path = archive_entry_pathname(entry);
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

    if (!path)
        return err_set(e, "entry without a usable name");
    if (is_whiteout(path))
        return 0;
    if (hardlink)
        return tree_link(t, path, hardlink, e);
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
each_entry(struct tree *t, const char *path, bool whiteouts, struct err *e)
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
        } else if (whiteouts) {
            const char *name = archive_entry_pathname(entry);

            result = name ? apply_whiteout(t, name, e) : err_set(e, "entry without a usable name");
        } else {
            result = apply_entry(t, a, entry, e);
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
