/* See cgroup_place.h. */
#include "platform/cgroup_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
cgroup_read(const char *directory, const char *name, char *text, size_t size)
{
    char path[CGROUP_PATH_SIZE + 64];
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

bool
cgroup_list_has(const char *list, const char *word, const char *separators)
{
    size_t n = strlen(word);

    for (list += strspn(list, separators); *list; list += strspn(list, separators)) {
        size_t length = strcspn(list, separators);

        if (length == n && memcmp(list, word, n) == 0)
            return true;
        list += length;
    }
    return false;
}

/* Our group in the hierarchy of a controller, from lines "NUMBER:CONTROLLERS:PATH"; that of version 2 has number 0 and
 * no names. */
static bool
own_path(const char *name, char path[CGROUP_PATH_SIZE], bool *unified)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[CGROUP_PATH_SIZE + 256];
    bool found = false;

    while (f && fgets(line, sizeof line, f)) {
        char *list = strchr(line, ':'), *at = list ? strchr(list + 1, ':') : NULL;

        if (!at)
            continue;
        *at++ = '\0';
        at[strcspn(at, "\n")] = '\0';
        *unified = strncmp(line, "0::", 2) == 0 && !list[1];
        if ((!*unified && !cgroup_list_has(list + 1, name, ",")) || strlen(at) >= CGROUP_PATH_SIZE)
            continue;
        strcpy(path, at);
        found = true;
        if (!*unified)
            break; /* what is in a hierarchy of version 1 is not in that of version 2 */
    }
    if (f)
        fclose(f);
    return found;
}

/* Where that is mounted: "ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS ... - TYPE SOURCE OPTIONS", of which ROOT is what
 * can be seen of the hierarchy. A path with escaped blanks is no such place. */
static bool
own_directory(const char *name, bool unified, const char *path, char out[CGROUP_PATH_SIZE], size_t *mount)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096], root[CGROUP_PATH_SIZE], point[CGROUP_PATH_SIZE], type[32], options[512];
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f)) {
        const char *rest = strstr(line, " - ");
        size_t n;

        if (!rest || sscanf(rest, " - %31s %*s %511s", type, options) != 2 ||
            sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2)
            continue;
        if (unified ? strcmp(type, "cgroup2") != 0
                    : strcmp(type, "cgroup") != 0 || !cgroup_list_has(options, name, ","))
            continue;
        n = strcmp(root, "/") == 0 ? 0 : strlen(root);
        found = strncmp(path, root, n) == 0 && (!path[n] || path[n] == '/') &&
                snprintf(out, CGROUP_PATH_SIZE, "%s%s", point, path + n) < CGROUP_PATH_SIZE;
        *mount = strlen(point);
    }
    if (f)
        fclose(f);
    return found;
}

bool
cgroup_directory(const char *name, char out[CGROUP_PATH_SIZE], bool *unified, size_t *mount)
{
    char path[CGROUP_PATH_SIZE];

    if (!own_path(name, path, unified) || !own_directory(name, *unified, path, out, mount))
        return false;
    if (strcmp(path, "/") == 0)
        out[*mount] = '\0';
    return true;
}
