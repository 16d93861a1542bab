/* The image's config: what to run and how (the artifact's CONFIG section, docs/formats.md). */
#ifndef VKERNEL_IMAGE_CONFIG_H
#define VKERNEL_IMAGE_CONFIG_H

#include <stddef.h>

struct string_list {
    char **items; /* owned, NULL-terminated; NULL when empty */
    size_t count;
};
struct image_config {
    struct string_list entrypoint, cmd, env;
    char *working_dir, *user; /* owned; NULL when absent */
};

/* 0, or -1 with a message. The text is JSON of one object; unknown keys are skipped. */
int config_parse(const char *text, size_t size, struct image_config *out, char *error, size_t error_size);
int string_list_add(struct string_list *l, const char *s); /* copies; -1: no memory */

#endif
