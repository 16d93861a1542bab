/* One program or library to the native object of the direct backend: the ELF file alone decides. */
#include <stdio.h>
#include <string.h>

#include "recompile/recompile.h"
#include "recompile/recompiler_version.h"
#include "direct/unit.h"

/* Why there is no object: the rewriter cannot make one. */
#define REASON ".why"

const char *
direct_version(void)
{
    return DIRECT_SOURCE_VERSION;
}

void
direct_key(const struct recompile *r, struct unit *u)
{
    struct buf b = {0};

    u->symbol_key = u->sha256;
    u->parts = 1;
    buf_put(&b, u->sha256.bytes, sizeof u->sha256.bytes);
    buf_put_u8(&b, (uint8_t)r->level);
    buf_put(&b, DIRECT_SOURCE_VERSION, strlen(DIRECT_SOURCE_VERSION));
    for (size_t i = 0; i < u->profile_count; i++)
        buf_put_u64(&b, u->profile[i]);
    sha256_of(b.data, b.size, &u->native_key);
    buf_fini(&b);
}

bool
direct_has(const struct recompile *r, const struct unit *u)
{
    if (cache_has(&r->cache, "native", &u->native_key, REASON))
        return true;
    return cache_has(&r->cache, "native", &u->native_key, ".0.o") &&
           cache_has(&r->cache, "native", &u->native_key, ".entries");
}

int
direct_compile(const struct recompile *r, const struct unit *u, const struct elf_image *image, const struct disc *d,
               struct err *e)
{
    struct direct_result out = {0};
    struct err why = {0};
    char key[SHA256_HEX_SIZE];
    int result;

    unit_symbol_key(u, key);
    if (direct_rewrite(image, d, key, &out, &why) < 0) {
        result = cache_put(&r->cache, "native", &u->native_key, REASON, why.text, strlen(why.text), e);
    } else {
        result = cache_put(&r->cache, "native", &u->native_key, ".entries", out.entries.data, out.entries.size, e);
        if (result == 0)
            result = cache_put(&r->cache, "native", &u->native_key, ".0.o", out.object.data, out.object.size, e);
    }
    buf_fini(&out.entries);
    buf_fini(&out.object);
    return result;
}

int
direct_note_left_out(const struct recompile *r, struct unit *u, struct err *e)
{
    char *path;
    struct mapped m;
    int result;

    if (!cache_has(&r->cache, "native", &u->native_key, REASON))
        return 0;
    path = cache_path(&r->cache, "native", &u->native_key, REASON);
    result = file_map(path, &m, e);
    mem_free(path);
    if (result < 0)
        return -1;
    unit_leave_out(u, "%.*s", (int)m.size, (const char *)m.data);
    file_unmap(&m);
    return 0;
}
