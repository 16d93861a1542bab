/* Whole files. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/temporary.h"

int
file_map_fd(int fd, const char *path, struct mapped *m, struct err *e)
{
    struct stat st;

    *m = (struct mapped){0};
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, "%s is not a regular file", path);
    if (st.st_size == 0) {
        m->data = (const uint8_t *)"";
        return 0;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED)
        return err_set(e, "cannot map %s: %s", path, strerror(errno));
    *m = (struct mapped){.data = p, .size = (size_t)st.st_size};
    return 0;
}

int
file_open(const char *path, struct err *e)
{
    /* A FIFO would be waited for until somebody writes to it. For a regular file, which all callers want, O_NONBLOCK says nothing. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? err_set(e, "cannot open %s: %s", path, strerror(errno)) : fd;
}

int
file_map(const char *path, struct mapped *m, struct err *e)
{
    int fd = file_open(path, e), result;

    *m = (struct mapped){0};
    if (fd < 0)
        return -1;
    result = file_map_fd(fd, path, m, e);
    close(fd);
    return result;
}

void
file_unmap(struct mapped *m)
{
    if (m->size)
        munmap((void *)m->data, m->size);
    *m = (struct mapped){0};
}

int
file_write_all(int fd, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = write(fd, p, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

int
file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, struct err *e)
{
    char *tmp = temporary_name(path, "file");
    int fd = temporary_create(tmp, mode), result = 0;

    if (fd < 0) {
        result = err_set(e, "cannot create %s: %s", tmp, strerror(errno));
    } else {
        if (file_write_all(fd, data, size) < 0)
            result = err_set(e, "cannot write %s: %s", tmp, strerror(errno));
        if (close(fd) < 0 && result == 0)
            result = err_set(e, "cannot write %s: %s", tmp, strerror(errno));
        if (result == 0 && rename(tmp, path) < 0)
            result = err_set(e, "cannot rename %s to %s: %s", tmp, path, strerror(errno));
        if (result < 0)
            unlink(tmp);
    }
    mem_free(tmp);
    return result;
}
