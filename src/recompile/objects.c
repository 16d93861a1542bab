/* The first phase of a build: the code object of every unit and, with the direct backend, its native object. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "recompile/phase.h"
#include "recompile/recompiler_version.h"
#include "elf/elf_image.h"
#include "discover/discover.h"

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

/* --- code objects --- */

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
static int
compare_object_jobs(const void *a, const void *b, void *context)
{
    const struct recompile *r = context;
    const struct unit *x = &r->units.items[*(const size_t *)a];
    const struct unit *y = &r->units.items[*(const size_t *)b];

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

/* Fills in what the file itself says of a unit, and the keys of its entries in the cache. */
static void
prepare(const struct recompile *r, struct unit *u)
{
    struct elf_image image;
    struct err why = {0};

    if (elf_image_open(&image, u->file, u->size, &why) < 0) {
        u->unusable = true;
        u->reason = mem_strdup(why.text);
        return;
    }
    u->precise_faults = r->precise_faults;
    note_extent(u, &image);
    elf_image_close(&image);
    object_key(r, u);
    if (r->backend == BACKEND_DIRECT)
        direct_key(r, u);
}

int
recompile_objects(struct recompile *r, struct err *e)
{
    struct phase p = {.r = r,
                      .title = r->backend == BACKEND_DIRECT ? "rewriting" : "lifting",
                      .unit = "files",
                      .run = object_run,
                      .name = object_name,
                      .weight = object_weight,
                      .compare = compare_object_jobs};
    int result;

    for (size_t i = 0; i < r->units.count; i++) {
        struct unit *u = &r->units.items[i];

        prepare(r, u);
        if (u->unusable || (has_object(r, u) && !needs_direct(r, u)))
            continue;
        vec_push(&p.jobs, i);
        p.total += u->size;
    }
    result = phase_run(&p, e);
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
