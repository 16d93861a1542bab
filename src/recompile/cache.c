/* The content-addressed cache. What is linked into an artifact comes from here, so entries are not believed: see
 * cache.h. */
#include "recompile/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/temporary.h"

static int
make_dirs(const char *path, struct err *e)
{
    char *copy = mem_strdup(path);
    int result = 0;

    for (char *p = copy + 1; result == 0; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            result = err_set(e, "cannot create folder %s: %s", copy, strerror(errno));
        *p = c;
        if (c == '\0')
            break;
    }
    mem_free(copy);
    return result;
}

/* Nobody but us and root can have put this here. */
static bool
is_ours(const struct stat *st)
{
    return (st->st_uid == geteuid() || st->st_uid == 0) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int
check_folder(const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_set(e, "cannot use the cache folder %s: %s", path, strerror(errno));
    if (!is_ours(&st))
        return err_set(
            e,
            "the cache folder %s cannot be trusted: others may write to it (owner %u, mode %04o). Give it to "
            "yourself and take away the rights of others (chmod go-w), or choose another with --cache",
            path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    return 0;
}

int
cache_open(struct cache *c, const char *dir, struct err *e)
{
    static const char *const kinds[] = {"objects", "native"};
    const char *base;

    if (dir)
        c->dir = mem_strdup(dir);
    else if ((base = getenv("XDG_CACHE_HOME")) && base[0] == '/')
        c->dir = mem_printf("%s/ingot", base);
    else if ((base = getenv("HOME")) && base[0] == '/')
        c->dir = mem_printf("%s/.cache/ingot", base);
    else
        return err_set(e, "no place for the cache: set HOME or XDG_CACHE_HOME, or give --cache DIR");
    for (int i = 0; i < 2; i++) {
        char *path = mem_printf("%s/%s", c->dir, kinds[i]);

        if (make_dirs(path, e) < 0 || check_folder(c->dir, e) < 0 || check_folder(path, e) < 0) {
            mem_free(path);
            cache_close(c);
            return -1;
        }
        temporary_sweep(path, NULL);
        mem_free(path);
    }
    return 0;
}

void
cache_close(struct cache *c)
{
    mem_free(c->dir);
    c->dir = NULL;
}

char *
cache_path(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix)
{
    char hex[SHA256_HEX_SIZE];

    sha256_hex(key, hex);
    return mem_printf("%s/%s/%s%s", c->dir, kind, hex, suffix);
}

/* The hash of what an entry's file should hold, from the file beside it; false: there is none. */
static bool
read_sum(const char *path, struct sha256 *sum)
{
    char *beside = mem_printf("%s.sum", path), hex[SHA256_HEX_SIZE];
    int fd = open(beside, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, hex, SHA256_HEX_SIZE);

    if (fd >= 0)
        close(fd);
    mem_free(beside);
    if (n != SHA256_HEX_SIZE || hex[SHA256_HEX_SIZE - 1] != '\n')
        return false;
    hex[SHA256_HEX_SIZE - 1] = '\0';
    return sha256_parse(hex, sum) == 0;
}

/* NULL, or what is wrong with the file. */
static const char *
examine(int fd, const struct sha256 *want)
{
    struct sha256 have;
    struct stat st;
    void *data = NULL;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return "it is no regular file";
    if (!is_ours(&st))
        return "others may write to it";
    if (st.st_size && (data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        return "it cannot be read";
    sha256_of(data, (size_t)st.st_size, &have);
    if (st.st_size)
        munmap(data, (size_t)st.st_size);
    return memcmp(&have, want, sizeof have) == 0 ? NULL : "it does not hold what was put there";
}

static void
drop(const char *path, const char *why)
{
    char *beside = mem_printf("%s.sum", path);

    fprintf(stderr, "ingot: warning: dropped %s from the cache: %s\n", path, why);
    unlink(path);
    unlink(beside);
    mem_free(beside);
}

bool
cache_has(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix)
{
    char *path = cache_path(c, kind, key, suffix);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const char *wrong = NULL;
    struct sha256 sum;
    bool has = fd >= 0 && read_sum(path, &sum);

    if (fd < 0 && errno != ENOENT)
        wrong = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    else if (has)
        wrong = examine(fd, &sum);
    if (fd >= 0)
        close(fd);
    if (wrong)
        drop(path, wrong);
    mem_free(path);
    return has && !wrong;
}

int
cache_put(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix, const void *data,
          size_t size, struct err *e)
{
    char *path = cache_path(c, kind, key, suffix), *beside = mem_printf("%s.sum", path), hex[SHA256_HEX_SIZE];
    struct sha256 sum;
    int result;

    sha256_of(data, size, &sum);
    sha256_hex(&sum, hex);
    hex[SHA256_HEX_SIZE - 1] = '\n';
    /* The hash first: a build that is killed between the two leaves no entry. */
    result = file_write_atomic(beside, hex, sizeof hex, 0644, e);
    if (result == 0)
        result = file_write_atomic(path, data, size, 0644, e);
    mem_free(beside);
    mem_free(path);
    return result;
}
