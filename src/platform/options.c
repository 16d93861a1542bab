/* The options that `ingot run` hands to the artifact: in a sealed memory file, whose descriptor the environment names.
 * An environment alone, which others may have set, can so hand over nothing (docs/formats.md). */
#include "platform/heap.h"
#include "platform/platform.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/options.h"

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, MAX_OPTIONS = 8 << 20 };

char *
platform_handed_options(const char *where)
{
    static const char magic[] = OPTIONS_MAGIC;
    char *text = NULL, *end;
    unsigned long fd = strncmp(where, "fd:", 3) == 0 ? strtoul(where + 3, &end, 10) : 0;
    int64_t size;

    if (fd <= 2 || fd > INT32_MAX || *end || fcntl((int)fd, F_GET_SEALS) != SEALS)
        return NULL;
    size = platform_file_size((int)fd);
    if (size >= (int64_t)sizeof magic - 1 && size <= MAX_OPTIONS)
        text = bytes_new((size_t)size + 1);
    if (text && platform_read_at((int)fd, text, (size_t)size, 0) == size &&
        memcmp(text, magic, sizeof magic - 1) == 0) {
        text[size] = '\0';
        memmove(text, text + sizeof magic - 1, (size_t)size + 1 - (sizeof magic - 1));
        close((int)fd);
        return text;
    }
    bytes_free(text);
    return NULL;
}
