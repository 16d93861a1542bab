/* Fuzzes what is read as text: an image's config as the builder takes it, the config section as the vkernel reads it
 * (what the builder wrote must be readable), and profiles. The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recompile/profile.h"
#include "image/config.h"
#include "vkernel/image/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
list_free(struct string_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
}

/* Returns what config_parse did. */
static int
read_section(const char *text, size_t size)
{
    struct image_config config = {0};
    char error[256];
    int r = config_parse(text, size, &config, error, sizeof error);

    list_free(&config.entrypoint);
    list_free(&config.cmd);
    list_free(&config.env);
    free(config.working_dir);
    free(config.user);
    return r;
}

static void
image_config(const char *text, size_t size)
{
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *config;
    struct err e = {0};
    char *section;

    config = document ? config_from_image(document, &e) : NULL;
    if (config) {
        section = config_text(config);
        if (section && read_section(section, strlen(section)) != 0)
            abort();
        free(section);
    }
    json_decref(config);
    json_decref(document);
}

static void
profile(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/fuzz-profile-XXXXXX";
    int fd = mkstemp(path);
    struct profile p = {0};
    struct err e = {0};

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (profile_read(&p, path, &e) == 0)
        profile_settle(&p);
    profile_fini(&p);
    unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0: image_config((const char *)data + 1, size - 1); break;
    case 1: read_section((const char *)data + 1, size - 1); break;
    default: profile(data + 1, size - 1); break;
    }
    return 0;
}
