/* The values of options that limit the container, as docker writes them. Each function is false when the text is no such value. */
#ifndef VKERNEL_BOOT_LIMIT_VALUES_H
#define VKERNEL_BOOT_LIMIT_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

/* A number of processors, of which a part may be meant: 2, 0.5, 1.25. In billionths. */
bool value_processors(const char *text, uint64_t *billionths);
/* 90 (seconds), 90s, 1m30s, 1.5h, 250ms. In nanoseconds. */
bool value_duration(const char *text, uint64_t *ns);
/* A number; -1: as many as there may be (UINT64_MAX). */
bool value_count(const char *text, uint64_t *count);
/* NAME=SOFT[:HARD], numbers or -1; the name is that of a resource limit in lower case. *why says what is wrong. */
bool value_ulimit(const char *text, int *resource, struct rlimit *limit, const char **why);

#endif
