/* Archives of images. */
#include "image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/mem.h"
#include "image/limits.h"

/* libarchive knows more compressions, and starts programs of the host (lrzip, grzip, lzop) for some: an image would
 * choose which. */
struct archive *
archive_reader(void)
{
    struct archive *a = archive_read_new();

    if (!a)
        mem_exhausted(0);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_gnutar(a);
    return a;
}

/* Only names that layouts and docker archives use; anything else in the archive is passed over. */
static bool
wanted_member(const char *name)
{
    if (strstr(name, "..") || name[0] == '/')
        return false;
    return strncmp(name, "blobs/", 6) == 0 || strchr(name, '/') == NULL ||
           (strlen(name) > 10 && strcmp(name + strlen(name) - 10, "/layer.tar") == 0);
}

static int
write_at(int fd, const void *data, size_t size, int64_t offset)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = pwrite(fd, p, size, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        offset += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Grows a member from *end bytes to `to`. A hole counts as well: it costs the archive nothing, but will be read. */
static int
grow(uint64_t *end, uint64_t to, uint64_t *total, struct err *e)
{
    if (to < *end)
        return 0;
    if (to - *end > IMAGE_MAX_BYTES - *total)
        return err_set(e, "the image has more than %llu GiB", IMAGE_MAX_BYTES >> 30);
    *total += to - *end;
    *end = to;
    return 0;
}

/* size: as the archive says, which may end in a hole. *total: bytes of all members so far. */
static int
copy_content(struct archive *a, int fd, int64_t size, uint64_t *total, struct err *e)
{
    uint64_t end = 0;
    const void *data;
    la_int64_t offset;
    size_t n;
    int status;

    while ((status = archive_read_data_block(a, &data, &n, &offset)) == ARCHIVE_OK) {
        if (offset < 0 || (uint64_t)offset < end)
            return err_set(e, "content is out of order");
        if (grow(&end, (uint64_t)offset + n, total, e) < 0)
            return -1;
        if (write_at(fd, data, n, offset) < 0)
            return err_set(e, "cannot write: %s", strerror(errno));
    }
    if (status != ARCHIVE_EOF)
        return err_set(e, "%s", archive_error_string(a));
    if (size > 0 && grow(&end, (uint64_t)size, total, e) < 0)
        return -1;
    return ftruncate(fd, (off_t)end) < 0 ? err_set(e, "cannot write: %s", strerror(errno)) : 0;
}

static int
copy_member(struct archive *a, int64_t size, const char *dir, const char *name, uint64_t *total, struct err *e)
{
    char *path = mem_printf("%s/%s", dir, name);
    int fd, result = 0;

    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        result = err_set(e, "cannot create %s: %s", path, strerror(errno));
    else if (copy_content(a, fd, size, total, e) < 0)
        result = err_prefix(e, "member %s", name);
    if (fd >= 0)
        close(fd);
    mem_free(path);
    return result;
}

/* docker save writes a layer it has already written as the symbolic link ../ID/layer.tar. */
static int
link_member(const char *dir, const char *name, const char *target, struct err *e)
{
    const char *slash = strchr(name, '/'), *id = target + 3, *end;
    char *from, *to;
    int result = 0;

    if (!slash || strcmp(slash, "/layer.tar") != 0 || strncmp(target, "../", 3) != 0 || !(end = strchr(id, '/')) ||
        strcmp(end, "/layer.tar") != 0 || id[0] == '.' || end == id)
        return 0; /* not a name that the manifest may use */
    from = mem_printf("%s/%.*s", dir, (int)(slash - name), name);
    mkdir(from, 0700);
    mem_free(from);
    from = mem_printf("%s/%s", dir, name);
    to = mem_printf("../%.*s/layer.tar", (int)(end - id), id);
    if (symlink(to, from) < 0 && errno != EEXIST)
        result = err_set(e, "cannot create %s: %s", from, strerror(errno));
    mem_free(from);
    mem_free(to);
    return result;
}

int
archive_unpack(const char *archive, const char *dir, struct err *e)
{
    struct archive *a = archive_reader();
    struct archive_entry *entry;
    uint64_t total = 0;
    int status, result = 0;

    if (archive_read_open_filename(a, archive, 1 << 20) != ARCHIVE_OK)
        result = err_set(e, "%s: %s", archive, archive_error_string(a));
    while (result == 0) {
        const char *name;

        status = archive_read_next_header(a, &entry);
        if (status == ARCHIVE_EOF)
            break;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            result = err_set(e, "%s: %s", archive, archive_error_string(a));
            break;
        }
        name = archive_entry_pathname(entry);
        if (name && strncmp(name, "./", 2) == 0)
            name += 2;
        if (name && wanted_member(name) && archive_entry_filetype(entry) == AE_IFREG)
            result = copy_member(a, archive_entry_size(entry), dir, name, &total, e);
        else if (name && wanted_member(name) && archive_entry_symlink(entry))
            result = link_member(dir, name, archive_entry_symlink(entry), e);
    }
    archive_read_free(a);
    return result;
}
