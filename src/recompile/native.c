/* The second phase of a build with the backend wasm: native objects from code objects. A job is one part of one unit,
 * written unit << 16 | part. */
#include <stdio.h>
#include <string.h>

#include "aot/aot.h"
#include "recompile/phase.h"
#include "recompile/recompiler_version.h"
#include "wasm/imports.h"

static uint64_t
text_weight(const struct unit *u)
{
    return u->report.exec_bytes ? u->report.exec_bytes : u->size;
}

static int
map_object(const struct recompile *r, const struct unit *u, struct mapped *m, struct err *e)
{
    char *path = cache_path(&r->cache, "objects", &u->key, ".wasm");
    int result = file_map(path, m, e);

    mem_free(path);
    return result;
}

static const char *
native_name(void *context, size_t index)
{
    struct phase *p = context;

    return p->r->units.items[p->jobs.items[index] >> 16].path;
}

static uint64_t
native_weight(void *context, size_t index)
{
    struct phase *p = context;
    const struct unit *u = &p->r->units.items[p->jobs.items[index] >> 16];

    return text_weight(u) / u->parts;
}

static int
native_run(void *context, size_t index, struct err *e)
{
    struct phase *p = context;
    const struct unit *u = &p->r->units.items[p->jobs.items[index] >> 16];
    unsigned part = p->jobs.items[index] & 0xffff;
    char hex[SHA256_HEX_SIZE], suffix[32];
    struct aot_options options = {.key = hex, .cpu = x86_level_name(p->r->level), .opt_level = p->r->opt_level};
    struct mapped object;
    struct buf out = {0};
    int result;

    unit_symbol_key(u, hex);
    snprintf(suffix, sizeof suffix, ".%u.o", part);
    if (cache_has(&p->r->cache, "native", &u->native_key, suffix))
        return 0; /* of a build that was killed */
    if (map_object(p->r, u, &object, e) < 0)
        return -1;
    result = aot_compile(object.data, object.size, part, &options, &out, e);
    if (result == 0)
        result = cache_put(&p->r->cache, "native", &u->native_key, suffix, out.data, out.size, e);
    else
        err_prefix(e, "%s: part %u", u->path, part);
    buf_fini(&out);
    file_unmap(&object);
    return result;
}

static int
compare_native_jobs(const void *a, const void *b, void *context)
{
    const struct recompile *r = context;
    size_t ja = *(const size_t *)a, jb = *(const size_t *)b;
    const struct unit *x = &r->units.items[ja >> 16], *y = &r->units.items[jb >> 16];
    uint64_t wx = text_weight(x) / x->parts, wy = text_weight(y) / y->parts;

    if (wx != wy)
        return wx > wy ? -1 : 1;
    return ja < jb ? -1 : ja > jb;
}

/* Content of the object and everything that changes what aot makes of it. */
static void
native_key(const struct recompile *r, struct unit *u, const struct mapped *object)
{
    struct sha256 content;
    char options[128];
    struct buf b = {0};

    sha256_of(object->data, object->size, &content);
    buf_put(&b, content.bytes, sizeof content.bytes);
    buf_put(&b, u->sha256.bytes, sizeof u->sha256.bytes); /* two files may have the same code */
    sha256_of(b.data, b.size, &u->symbol_key);
    buf_put_u8(&b, (uint8_t)r->level);
    buf_put(&b, aot_version(), strlen(aot_version()));
    buf_put(&b, AOT_SOURCE_VERSION, strlen(AOT_SOURCE_VERSION));
    snprintf(options, sizeof options, "|%d", r->opt_level);
    buf_put(&b, options, strlen(options));
    sha256_of(b.data, b.size, &u->native_key);
    buf_fini(&b);
}

static bool
has_native(const struct recompile *r, const struct unit *u)
{
    bool whole = cache_has(&r->cache, "native", &u->native_key, ".parts");

    for (unsigned part = 0; part < u->parts && whole; part++) {
        char suffix[32];

        snprintf(suffix, sizeof suffix, ".%u.o", part);
        whole = cache_has(&r->cache, "native", &u->native_key, suffix);
    }
    return whole;
}

/* What aot cannot know: the names that code objects may link with, and their types. */
static int
count_parts(const struct mapped *object, unsigned *parts, struct err *e)
{
    if (wasm_check_object_imports(object->data, object->size, e) < 0)
        return -1;
    return aot_part_count(object->data, object->size, parts, e);
}

static int
plan_native(struct recompile *r, struct phase *p, struct err *e)
{
    for (size_t i = 0; i < r->units.count; i++) {
        struct unit *u = &r->units.items[i];
        struct mapped object;
        int result;

        if (u->unusable)
            continue;
        if (map_object(r, u, &object, e) < 0)
            return -1;
        native_key(r, u, &object);
        result = count_parts(&object, &u->parts, e);
        file_unmap(&object);
        if (result < 0)
            return err_prefix(e, "%s: code object", u->path);
        if (u->parts == 0 || u->parts > 0xffff)
            return err_set(e, "%s: %u parts", u->path, u->parts);
        if (has_native(r, u))
            continue;
        for (unsigned part = 0; part < u->parts; part++)
            vec_push(&p->jobs, i << 16 | part);
        p->total += text_weight(u);
    }
    return 0;
}

int
recompile_native(struct recompile *r, struct err *e)
{
    struct phase p = {.r = r,
                      .title = "compiling",
                      .unit = "parts",
                      .run = native_run,
                      .name = native_name,
                      .weight = native_weight,
                      .compare = compare_native_jobs};
    int result = plan_native(r, &p, e);

    if (result == 0)
        result = phase_run(&p, e);
    for (size_t i = 0; i < p.jobs.count && result == 0; i++) {
        const struct unit *u = &r->units.items[p.jobs.items[i] >> 16];
        char text[16];
        int n = snprintf(text, sizeof text, "%u\n", u->parts);

        if ((p.jobs.items[i] & 0xffff) == 0)
            result = cache_put(&r->cache, "native", &u->native_key, ".parts", text, (size_t)n, e);
    }
    r->native_bytes_compiled = p.total;
    vec_fini(&p.jobs);
    return result;
}
