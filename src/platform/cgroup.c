/* --isolate full: a cgroup of the container's own, below the one it was started in, so that limits and accounts of
 * whoever started it go on counting. It bounds what a taken-over process can use: its threads; with --memory that,
 * an eighth more and 64 MiB (the vkernel keeps the process itself below --memory, but a group is charged for what the
 * host's kernel keeps for it as well: descriptions of mappings, buffers of sockets, pages of the artifact's file); with
 * --cpus just that. The process that waits makes it, and removes it when the container has ended.
 *
 * A controller is where the host has it: in the hierarchy of version 2, or in one of version 1 of its own. Version 2
 * wants controllers switched on in a group that holds no process: when nobody but us is in the one we were started in
 * (a unit or scope of systemd's with Delegate=yes), we move aside, into a group beside the container's, until the
 * end. */
#include "platform/cgroup_place.h"
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONTROLLERS = 3, MARGIN = 64 << 20 };

struct hierarchy {
    char own[CGROUP_PATH_SIZE]; /* the directory of the group that we were started in */
    bool unified;
    bool made, aside; /* the container's group; the one that we moved to */
};

static const struct controller {
    const char *name, *limit[2]; /* the file of version 1, of version 2 */
    const char *swap[2];         /* must not be where the memory goes instead; not every kernel counts it */
} controllers[CONTROLLERS] = {
    {"pids", {"pids.max", "pids.max"}, {NULL, NULL}},
    {"memory", {"memory.limit_in_bytes", "memory.max"}, {"memory.memsw.limit_in_bytes", "memory.swap.max"}},
    {"cpu", {"cpu.cfs_quota_us", "cpu.max"}, {NULL, NULL}},
};

static struct hierarchy hierarchies[CONTROLLERS]; /* of the process that waits */
static unsigned hierarchy_count;
static int id;

/* --- files --- */

static int
write_file(const char *directory, const char *name, const char *text)
{
    char path[CGROUP_PATH_SIZE + 64];
    int fd, r = 0;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        r = -errno;
    close(fd);
    return r;
}

/* Both controllers may be in one. */
static struct hierarchy *
find_hierarchy(const char *name)
{
    struct hierarchy *h = &hierarchies[hierarchy_count];
    size_t mount;

    if (!cgroup_directory(name, h->own, &h->unified, &mount))
        return NULL;
    for (unsigned i = 0; i < hierarchy_count; i++)
        if (strcmp(hierarchies[i].own, h->own) == 0)
            return &hierarchies[i];
    hierarchy_count++;
    return h;
}

/* --- making it --- */

static void
group_name(const struct hierarchy *h, const char *suffix, char out[CGROUP_PATH_SIZE + 32])
{
    snprintf(out, CGROUP_PATH_SIZE + 32, "%.*s/ingot-%d%s", CGROUP_PATH_SIZE, h->own, id, suffix);
}

/* One of that name is left of a process that was killed, and empty. */
static int
make_group(const struct hierarchy *h, const char *suffix)
{
    char path[CGROUP_PATH_SIZE + 32];

    group_name(h, suffix, path);
    if (mkdir(path, 0755) == 0 || (errno == EEXIST && rmdir(path) == 0 && mkdir(path, 0755) == 0))
        return 0;
    return -errno;
}

static void
remove_group(const struct hierarchy *h, const char *suffix)
{
    char path[CGROUP_PATH_SIZE + 32];

    group_name(h, suffix, path);
    rmdir(path);
}

/* Out of the way of controllers, when there is nobody else. */
static int
move_aside(struct hierarchy *h)
{
    char members[64], self[32], path[CGROUP_PATH_SIZE + 32];
    int r;

    snprintf(self, sizeof self, "%d\n", getpid());
    if (!cgroup_read(h->own, "cgroup.procs", members, sizeof members) || strcmp(members, self) != 0)
        return -EBUSY;
    r = make_group(h, ".waits");
    if (r < 0)
        return r;
    group_name(h, ".waits", path);
    r = write_file(path, "cgroup.procs", "0");
    if (r < 0)
        remove_group(h, ".waits");
    h->aside = r == 0;
    return r;
}

/* Only the group at the top of all may have both processes and controllers for groups below. Its folder lacks this
 * file. */
static bool
is_top(const struct hierarchy *h)
{
    char text[64];

    return !cgroup_read(h->own, "cgroup.type", text, sizeof text);
}

/* We move first, though the kernel does not always ask for it: pids and cpu can be switched on in a group that holds a
 * process, but that makes it one for threads, in which there is no memory controller, and below which there is no place
 * for another process. */
static int
switch_on(struct hierarchy *h, const char *name)
{
    char text[256], word[32];
    int r;

    if (cgroup_read(h->own, "cgroup.subtree_control", text, sizeof text) && cgroup_list_has(text, name, " \n"))
        return 0;
    if (!cgroup_read(h->own, "cgroup.controllers", text, sizeof text) || !cgroup_list_has(text, name, " \n"))
        return -EOPNOTSUPP;
    if (!h->aside && !is_top(h) && (r = move_aside(h)) < 0)
        return r;
    snprintf(word, sizeof word, "+%s", name);
    return write_file(h->own, "cgroup.subtree_control", word);
}

static int
limit(const struct controller *c, struct hierarchy *h, const char *value)
{
    char path[CGROUP_PATH_SIZE + 32];
    int r;

    if (!h)
        return -EOPNOTSUPP;
    r = h->unified ? switch_on(h, c->name) : 0;
    if (r == 0 && !h->made) {
        r = make_group(h, "");
        h->made = r == 0;
    }
    if (r < 0)
        return r;
    group_name(h, "", path);
    r = write_file(path, c->limit[h->unified], value);
    if (r == 0 && c->swap[h->unified])
        write_file(path, c->swap[h->unified], h->unified ? "0" : value); /* of version 1 it is the sum */
    return r;
}

int
cgroup_make(const struct lockdown *l)
{
    struct hierarchy *of[CONTROLLERS];
    char text[32];
    int r;

    id = l->id;
    for (unsigned i = 0; i < CONTROLLERS; i++) /* all, before we move in one of them */
        of[i] = find_hierarchy(controllers[i].name);
    snprintf(text, sizeof text, "%u", l->threads ? l->threads : 1);
    r = limit(&controllers[0], of[0], text);
    if (r == 0 && l->memory_limit && l->memory_limit < UINT64_MAX / 4) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)(l->memory_limit + l->memory_limit / 8 + MARGIN));
        r = limit(&controllers[1], of[1], text);
    }
    if (r == 0 && l->cpu_quota_us && l->cpu_quota_us < UINT32_MAX) { /* the period is the kernel's default, 100 ms */
        snprintf(text, sizeof text, "%llu", (unsigned long long)l->cpu_quota_us);
        r = limit(&controllers[2], of[2], text);
    }
    if (r < 0)
        cgroup_remove();
    return r;
}

int
cgroup_enter(void)
{
    char path[CGROUP_PATH_SIZE + 32];
    int r = 0;

    for (unsigned i = 0; i < hierarchy_count && r == 0; i++) {
        if (!hierarchies[i].made)
            continue; /* that of a controller without a limit */
        group_name(&hierarchies[i], "", path);
        r = write_file(path, "cgroup.procs", "0");
    }
    return r;
}

/* --- its end --- */

bool
cgroup_was_full(void)
{
    static const char *const files[2] = {"memory.oom_control", "memory.events"};
    char path[CGROUP_PATH_SIZE + 32], text[512];

    for (unsigned i = 0; i < hierarchy_count; i++) {
        const char *at;

        group_name(&hierarchies[i], "", path);
        if (cgroup_read(path, files[hierarchies[i].unified], text, sizeof text) && (at = strstr(text, "oom_kill ")) &&
            strtoul(at + strlen("oom_kill "), NULL, 10) > 0)
            return true;
    }
    return false;
}

/* Backwards: a group can be removed when nobody is in it, and we go back when no controller is on. */
void
cgroup_remove(void)
{
    for (unsigned i = 0; i < hierarchy_count; i++) {
        struct hierarchy *h = &hierarchies[i];

        if (h->made)
            remove_group(h, "");
        if (!h->aside)
            continue;
        for (unsigned k = 0; k < CONTROLLERS; k++) {
            char word[32];

            snprintf(word, sizeof word, "-%s", controllers[k].name);
            write_file(h->own, "cgroup.subtree_control", word);
        }
        write_file(h->own, "cgroup.procs", "0");
        remove_group(h, ".waits");
    }
    hierarchy_count = 0;
}
