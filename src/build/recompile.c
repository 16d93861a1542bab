/* ELF files to code objects and native objects, through the cache. */
#include "build/recompile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "aot/aot.h"
#include "build/jobs.h"
#include "build/recompiler_version.h"
#include "elf/elf_image.h"
#include "wasm/imports.h"

/* --- reports in the cache --- */

static int
put_report(const struct recompile *r, const struct unit *u, const struct elf_report *report, struct err *e)
{
    char *text = json_dumps(report->detail, JSON_COMPACT | JSON_SORT_KEYS);
    int result =
        text ? cache_put(&r->cache, "objects", &u->key, ".json", text, strlen(text), e) : err_set(e, "out of memory");

    free(text);
    return result;
}

static int
get_report(const struct recompile *r, struct unit *u, struct err *e)
{
    char *path = cache_path(&r->cache, "objects", &u->key, ".json");
    json_t *detail = json_load_file(path, 0, NULL);
    int result = 0;

    if (!detail || report_read(&u->report, detail) < 0)
        result = err_set(e, "damaged cache entry %s (remove it and build again)", path);
    mem_free(path);
    return result;
}

/* --- phase 1: code objects --- */

struct phase {
    struct recompile *r;
    VEC(size_t) jobs; /* phase 1: units; phase 2: unit << 16 | part */
};

static uint64_t
text_weight(const struct unit *u)
{
    return u->report.exec_bytes ? u->report.exec_bytes : u->size;
}

static const char *
object_name(void *context, size_t index)
{
    struct phase *p = context;

    return p->r->units.items[p->jobs.items[index]].path;
}

static uint64_t
object_weight(void *context, size_t index)
{
    struct phase *p = context;

    return p->r->units.items[p->jobs.items[index]].size;
}

static bool
has_object(const struct recompile *r, const struct unit *u)
{
    return cache_has(&r->cache, "objects", &u->key, ".wasm") && cache_has(&r->cache, "objects", &u->key, ".json");
}

static bool
needs_direct(const struct recompile *r, const struct unit *u)
{
    return r->backend == BACKEND_DIRECT && !direct_has(r, u);
}

static int
make_object(const struct recompile *r, const struct unit *u, const struct elf_image *image, struct disc *d,
            struct err *e)
{
    struct elf_report report = {0};
    struct buf object = {0};
    int result = code_object_make(u, image, d, NULL, &object, &report, e);

    if (result == 0)
        result = put_report(r, u, &report, e);
    if (result == 0)
        result = cache_put(&r->cache, "objects", &u->key, ".wasm", object.data, object.size, e);
    buf_fini(&object);
    report_fini(&report);
    return result;
}

static int
object_run(void *context, size_t index, struct err *e)
{
    struct phase *p = context;
    const struct unit *u = &p->r->units.items[p->jobs.items[index]];
    struct elf_image image;
    struct disc d;
    int result = 0;

    if (unit_discover(u, &image, &d, e) < 0)
        return -1;
    if (needs_direct(p->r, u))
        result = direct_compile(p->r, u, &image, &d, e);
    if (result == 0 && !has_object(p->r, u))
        result = make_object(p->r, u, &image, &d, e);
    disc_fini(&d);
    elf_image_close(&image);
    return result;
}

static void
phase_progress(void *context, uint64_t done, size_t jobs)
{
    struct phase *p = context;

    progress_update(p->r->progress, done, (unsigned)jobs);
}

const char *
recompiler_version(void)
{
    return RECOMPILER_VERSION;
}

static void
object_key(const struct recompile *r, struct unit *u)
{
    struct buf b = {0};

    buf_put(&b, u->sha256.bytes, sizeof u->sha256.bytes);
    buf_put(&b, RECOMPILER_VERSION, strlen(RECOMPILER_VERSION));
    buf_put_u8(&b, (uint8_t)u->precise_faults);
    buf_put_u8(&b, (uint8_t)r->level);
    for (size_t i = 0; i < u->profile_count; i++)
        buf_put_u64(&b, u->profile[i]);
    sha256_of(b.data, b.size, &u->key);
    buf_fini(&b);
}

/* Large files first, so that no worker is left alone with one at the end. */
static struct recompile *sort_context;

static int
compare_object_jobs(const void *a, const void *b)
{
    const struct unit *x = &sort_context->units.items[*(const size_t *)a];
    const struct unit *y = &sort_context->units.items[*(const size_t *)b];

    return x->size > y->size ? -1 : x->size < y->size;
}

static void
note_extent(struct unit *u, const struct elf_image *image)
{
    size_t n = image->exec_sections.count;

    u->is_pie = image->is_pie;
    u->low = image->low;
    u->high = image->high;
    u->exec_low = n ? image->exec_sections.items[0].start : 0;
    u->exec_high = n ? image->exec_sections.items[n - 1].end : 0;
}

int
recompile_objects(struct recompile *r, struct err *e)
{
    struct phase p = {.r = r};
    struct jobs jobs = {.run = object_run,
                        .name = object_name,
                        .weight = object_weight,
                        .progress = phase_progress,
                        .context = &p,
                        .workers = r->workers};
    uint64_t total = 0;
    int result = 0;

    for (size_t i = 0; i < r->units.count; i++) {
        struct unit *u = &r->units.items[i];
        struct elf_image image;
        struct err why = {0};

        if (elf_image_open(&image, u->file, u->size, &why) < 0) {
            u->unusable = true;
            u->reason = mem_strdup(why.text);
            continue;
        }
        u->precise_faults = r->precise_faults;
        note_extent(u, &image);
        elf_image_close(&image);
        object_key(r, u);
        if (r->backend == BACKEND_DIRECT)
            direct_key(r, u);
        if (!has_object(r, u) || needs_direct(r, u)) {
            vec_push(&p.jobs, i);
            total += u->size;
        }
    }
    sort_context = r;
    if (p.jobs.count) {
        qsort(p.jobs.items, p.jobs.count, sizeof(size_t), compare_object_jobs);
        progress_phase(r->progress, r->backend == BACKEND_DIRECT ? "rewriting" : "lifting", total, "files",
                       (unsigned)p.jobs.count);
        jobs.count = p.jobs.count;
        result = jobs_run(&jobs, e);
        progress_done(r->progress);
    }
    for (size_t i = 0; i < r->units.count && result == 0; i++) {
        struct unit *u = &r->units.items[i];

        if (!u->unusable)
            result = get_report(r, u, e);
        if (result == 0 && !u->unusable && r->backend == BACKEND_DIRECT)
            result = direct_note_left_out(r, u, e);
    }
    for (size_t i = 0; i < p.jobs.count && r->backend == BACKEND_DIRECT; i++)
        r->native_bytes_compiled += r->units.items[p.jobs.items[i]].report.exec_bytes;
    vec_fini(&p.jobs);
    return result;
}

/* --- phase 2: native objects --- */

static int
map_object(const struct recompile *r, const struct unit *u, struct mapped *m, struct err *e)
{
    char *path = cache_path(&r->cache, "objects", &u->key, ".wasm");
    int result = file_map(path, m, e);

    mem_free(path);
    return result;
}

bool
unit_has_native(const struct unit *u)
{
    return !u->unusable && !u->left_out;
}

void
unit_leave_out(struct unit *u, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mem_free(u->left_out);
    u->left_out = mem_strdup(text);
    u->native_address = u->native_offset = u->native_size = 0;
}

void
unit_symbol_key(const struct unit *u, char out[SHA256_HEX_SIZE])
{
    sha256_hex(&u->symbol_key, out);
    out[16] = '\0'; /* names need only tell objects apart */
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
compare_native_jobs(const void *a, const void *b)
{
    size_t ja = *(const size_t *)a, jb = *(const size_t *)b;
    const struct unit *x = &sort_context->units.items[ja >> 16], *y = &sort_context->units.items[jb >> 16];
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
plan_native(struct recompile *r, struct phase *p, uint64_t *total, unsigned *files, struct err *e)
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
        *total += text_weight(u);
        ++*files;
    }
    return 0;
}

int
recompile_native(struct recompile *r, struct err *e)
{
    struct phase p = {.r = r};
    struct jobs jobs = {.run = native_run,
                        .name = native_name,
                        .weight = native_weight,
                        .progress = phase_progress,
                        .context = &p,
                        .workers = r->workers};
    uint64_t total = 0;
    unsigned files = 0;
    int result = plan_native(r, &p, &total, &files, e);

    sort_context = r;
    if (result == 0 && p.jobs.count) {
        qsort(p.jobs.items, p.jobs.count, sizeof(size_t), compare_native_jobs);
        progress_phase(r->progress, "compiling", total, "parts", (unsigned)p.jobs.count);
        jobs.count = p.jobs.count;
        result = jobs_run(&jobs, e);
        progress_done(r->progress);
    }
    for (size_t i = 0; i < p.jobs.count && result == 0; i++) {
        const struct unit *u = &r->units.items[p.jobs.items[i] >> 16];
        char text[16];
        int n = snprintf(text, sizeof text, "%u\n", u->parts);

        if ((p.jobs.items[i] & 0xffff) == 0)
            result = cache_put(&r->cache, "native", &u->native_key, ".parts", text, (size_t)n, e);
    }
    r->native_bytes_compiled = total;
    vec_fini(&p.jobs);
    return result;
}

void
recompile_fini(struct recompile *r)
{
    for (size_t i = 0; i < r->units.count; i++) {
        report_fini(&r->units.items[i].report);
        vec_fini(&r->units.items[i].paths);
        mem_free(r->units.items[i].reason);
        mem_free(r->units.items[i].left_out);
    }
    vec_fini(&r->units);
    cache_close(&r->cache);
}
