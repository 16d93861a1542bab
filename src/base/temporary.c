#define _XOPEN_SOURCE 700 /* nftw */
#include "base/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static const char mark[] = ".tmp-";

char *
temporary_name(const char *path, const char *role)
{
    return mem_printf("%s%s%s-%ld", path, mark, role, (long)getpid());
}

int
temporary_create(const char *name, unsigned mode)
{
    unlink(name);
    return open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

/* Whether suffix, which begins with the mark, names a process that is gone. */
static bool
is_left_over(const char *suffix)
{
    const char *at = suffix + sizeof mark - 1;
    size_t role = strspn(at, "abcdefghijklmnopqrstuvwxyz");
    long pid = role && at[role] == '-' ? strtol(at + role + 1, NULL, 10) : 0;

    return pid > 0 && (pid_t)pid == pid && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    remove(path);
    return 0;
}

void
temporary_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
temporary_sweep(const char *folder, const char *name)
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        const char *suffix = strstr(entry->d_name, mark);

        if (!suffix || !is_left_over(suffix))
            continue;
        if (!name ||
            (strlen(name) == (size_t)(suffix - entry->d_name) && memcmp(entry->d_name, name, strlen(name)) == 0)) {
            char *path = mem_printf("%s/%s", folder, entry->d_name);

            temporary_remove(path);
            mem_free(path);
        }
    }
    if (d)
        closedir(d);
}
