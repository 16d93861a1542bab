/* Where the host's cgroup is that this process was started in, and reading its files. Before lock-down only: it opens
 * files by their names. */
#ifndef PLATFORM_CGROUP_PLACE_H
#define PLATFORM_CGROUP_PLACE_H

#include <stdbool.h>
#include <stddef.h>

enum { CGROUP_PATH_SIZE = 1024 };

/* The directory of our group in the hierarchy that has this controller, if there is one and it can be seen. *mount is
 * the length of the part at its front that leads to the topmost group that can be seen. *unified: it is the hierarchy
 * of version 2, in which groups may be without files of the controller. */
bool cgroup_directory(const char *name, char out[CGROUP_PATH_SIZE], bool *unified, size_t *mount);
/* A file of a group, with a NUL behind it, or what of it fits. */
bool cgroup_read(const char *directory, const char *name, char *text, size_t size);
bool cgroup_list_has(const char *list, const char *word, const char *separators);

#endif
