/* The content-addressed cache. */
#include "build/cache.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

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
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            result = err_set(e, "cannot create folder %s: %s", copy, strerror(errno));
        *p = c;
        if (c == '\0')
            break;
    }
    mem_free(copy);
    return result;
}

/* Temporary files of builds that were killed. */
static void
sweep(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        const char *tmp = strstr(entry->d_name, ".tmp-");
        long pid = tmp ? atol(tmp + 5) : 0;

        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            unlinkat(dirfd(d), entry->d_name, 0);
    }
    if (d)
        closedir(d);
}

void
cache_sweep_beside(const char *out)
{
    const char *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out;
    char *dir = slash ? mem_printf("%.*s/", (int)(slash - out), out) : mem_strdup(".");
    size_t length = strlen(name);
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        const char *at = entry->d_name;
        long pid;

        if (strncmp(at, name, length) != 0 || strncmp(at + length, ".tmp-", 5) != 0)
            continue;
        at += length + 5;
        pid = atol(strncmp(at, "elf-", 4) == 0 ? at + 4 : at);
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            unlinkat(dirfd(d), entry->d_name, 0);
    }
    if (d)
        closedir(d);
    mem_free(dir);
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

        if (make_dirs(path, e) < 0) {
            mem_free(path);
            cache_close(c);
            return -1;
        }
        sweep(path);
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

bool
cache_has(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix)
{
    char *path = cache_path(c, kind, key, suffix);
    bool has = access(path, R_OK) == 0;

    mem_free(path);
    return has;
}

int
cache_put(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix,
          const void *data, size_t size, struct err *e)
{
    char *path = cache_path(c, kind, key, suffix);
    int result = file_write_atomic(path, data, size, 0666, e);

    mem_free(path);
    return result;
}
