/* One program or library to the native object of the direct backend: the ELF file alone decides. */
#include <stdio.h>

#include "build/recompile.h"
#include "build/recompiler_version.h"
#include "direct/unit.h"

const char *
direct_version(void)
{
    return DIRECT_SOURCE_VERSION;
}

static int
rewrite(const struct unit *u, const struct elf_image *image, const char *key, struct direct_result *out, struct err *e)
{
    struct disc d;
    int result = discover(&d, image, u->profile, u->profile_count, e);

    if (result < 0)
        return -1;
    result = direct_rewrite(image, &d, key, out, e);
    disc_fini(&d);
    return result;
}

int
direct_compile(const struct recompile *r, const struct unit *u, struct err *e)
{
    struct direct_result out = {0};
    struct elf_image image;
    char key[SHA256_HEX_SIZE];
    int result = elf_image_open(&image, u->file, u->size, e);

    if (result == 0) {
        unit_symbol_key(u, key);
        result = rewrite(u, &image, key, &out, e);
        elf_image_close(&image);
    }
    if (result == 0)
        result = cache_put(&r->cache, "native", &u->native_key, ".entries", out.entries.data, out.entries.size, e);
    if (result == 0)
        result = cache_put(&r->cache, "native", &u->native_key, ".0.o", out.object.data, out.object.size, e);
    buf_fini(&out.entries);
    buf_fini(&out.object);
    return result < 0 ? err_prefix(e, "%s", u->path) : 0;
}
