/* The last steps of `ingot build`: the artifact is linked, written and, with the direct backend, verified. */
#include "cli/build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "aot/aot.h"
#include "base/temporary.h"
#include "image/artifact.h"
#include "recompile/link.h"
#include "recompile/paths.h"
#include "verify/verify.h"
#include "wasm/link.h"

/* Stays mapped until the artifact is written. */
static int
map_direct_entries(struct build *b, const struct unit *u, struct artifact_program *p, struct err *e)
{
    char *path = cache_path(&b->r.cache, "native", &u->native_key, ".entries");
    struct mapped m;
    int result = file_map(path, &m, e);

    mem_free(path);
    if (result < 0)
        return -1;
    if (m.size % 8 != 0)
        return err_set(e, "%s: a damaged cache entry (remove it and build again)", u->path);
    p->direct_entries = (const uint32_t *)(const void *)m.data;
    p->direct_count = m.size / 8;
    return 0;
}

static int
fill_programs(struct build *b, struct artifact_program *programs, size_t *count, struct err *e)
{
    *count = 0;
    for (size_t i = 0; i < b->r.units.count; i++) {
        const struct unit *u = &b->r.units.items[i];
        struct artifact_program *p = &programs[*count];
        struct mapped object;
        uint64_t *entries;
        size_t entry_count;
        char *path;
        int result;

        if (u->unusable)
            continue;
        path = cache_path(&b->r.cache, "objects", &u->key, ".wasm");
        result = file_map(path, &object, e);
        mem_free(path);
        if (result < 0 || wasm_object_entries(object.data, object.size, &entries, &entry_count, e) < 0)
            return -1;
        *p = (struct artifact_program){
            .sha256 = u->sha256,
            .code_key = u->key,
            .file_size = u->size,
            .base = u->base,
            .low = u->low,
            .high = u->high,
            .text_bytes = u->report.exec_bytes,
            .exec_low = u->exec_low,
            .exec_high = u->exec_high,
            .entries = entries,
            .entry_count = (uint32_t)entry_count,
            .table_base = u->table_base,
            .function_count = u->report.functions,
            .native_offset = u->native_offset,
            .native_size = u->native_size,
        };
        sha256_of(object.data, object.size, &p->code_sha256);
        file_unmap(&object);
        p->native_address = u->native_address;
        if (b->r.backend == BACKEND_DIRECT && unit_has_native(u) && map_direct_entries(b, u, p, e) < 0)
            return -1;
        ++*count;
    }
    return 0;
}

/* The options that count. */
static json_t *
options_json(const struct options *o, const char *profile)
{
    static const char *const precise[] = {[PRECISE_AUTO] = "auto", [PRECISE_ALL] = "all", [PRECISE_NONE] = "none"};

    if (o->backend == BACKEND_DIRECT)
        return json_pack("{s:s,s:s,s:s}", "backend", "direct", "cpu", x86_level_name(o->level), "profile", profile);
    return json_pack("{s:s,s:s,s:i,s:s,s:s}", "backend", "wasm", "cpu", x86_level_name(o->level), "optimize",
                     o->optimize, "precise-faults", precise[o->precise_faults], "profile", profile);
}

/* What made the artifact of what: the object "Build" of its config, for `ingot attest`. */
static void
note_build(struct build *b)
{
    struct sha256 profile;
    char hex[SHA256_HEX_SIZE] = "";

    if (b->profile_addresses.count) {
        sha256_of(b->profile_addresses.items, b->profile_addresses.count * sizeof *b->profile_addresses.items,
                  &profile);
        sha256_hex(&profile, hex);
    }
    json_object_set_new(b->image.config, "Build",
                        json_pack("{s:s,s:s,s:s,s:O,s:o}", "Version", INGOT_VERSION, "Recompiler", recompiler_version(),
                                  "Compiler", b->r.backend == BACKEND_DIRECT ? direct_version() : aot_version(),
                                  "Source", b->image.origin, "Options", options_json(&b->options, hex)));
}

/* --- the artifact --- */

static int
link_and_write(struct build *b, struct artifact_input *in, const char *runtime, const char *out, struct err *e)
{
    struct artifact_program *programs = mem_zalloc(b->r.units.count, sizeof *programs);
    int result = link_executable(&b->r, runtime, b->table_size, in->executable, e);

    in->programs = programs;
    in->program_count = 0;
    if (result == 0)
        result = link_native_ranges(&b->r, in->executable, e);
    if (result == 0)
        result = fill_programs(b, programs, &in->program_count, e);
    if (result == 0)
        result = artifact_write(in, out, e);
    unlink(in->executable);
    for (size_t i = 0; i < in->program_count; i++)
        mem_free((void *)programs[i].entries);
    mem_free(programs);
    return result;
}

/* --strict: nothing may be left out. */
int
build_check_strict(const struct build *b, struct err *e)
{
    for (size_t i = 0; b->options.strict && i < b->r.units.count; i++) {
        const struct unit *u = &b->r.units.items[i];

        if (u->left_out)
            return err_set(e, "%s would be left to the evaluator, which --strict forbids: %s", u->path, u->left_out);
    }
    return 0;
}

/* The linker takes an object as it is: it may contribute nothing but a unit. */
static int
check_native_objects(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->r.units.count; i++) {
        struct unit *u = &b->r.units.items[i];
        char *path, key[SHA256_HEX_SIZE];
        struct err why = {0};
        struct mapped m;
        int result;

        if (!unit_has_native(u))
            continue;
        path = cache_path(&b->r.cache, "native", &u->native_key, ".0.o");
        result = file_map(path, &m, e);
        mem_free(path);
        if (result < 0)
            return -1;
        unit_symbol_key(u, key);
        if (verify_object(m.data, m.size, key, &why) < 0)
            unit_leave_out(u, "its native object is refused by the verifier: %s", why.text);
        file_unmap(&m);
    }
    return build_check_strict(b, e);
}

struct refusals {
    struct build *build;
    unsigned units;   /* left out */
    struct err other; /* the first that belongs to no unit */
};

static void
note_refusal(void *context, const uint8_t *program, const char *text)
{
    struct refusals *r = context;

    for (size_t i = 0; program && i < r->build->r.units.count; i++) {
        struct unit *u = &r->build->r.units.items[i];

        if (!unit_has_native(u) || memcmp(u->sha256.bytes, program, SHA256_SIZE) != 0)
            continue;
        unit_leave_out(u, "its rewritten code is refused by the verifier: %s", text);
        r->units++;
        return;
    }
    if (!r->other.text[0])
        err_set(&r->other, "rewritten code is refused by the verifier: %s", text);
}

/* What the direct backend made is believed only when the verifier accepts it, as it lies in the finished file.
 * *left_out: units whose code it refused, so that there has to be another file, without it. */
static int
verify_output(struct build *b, const char *path, unsigned *left_out, struct err *e)
{
    struct refusals refusals = {.build = b};
    struct mapped m;

    if (file_map(path, &m, e) < 0)
        return -1;
    verify_artifact(m.data, m.size, note_refusal, &refusals, NULL);
    file_unmap(&m);
    *left_out = refusals.units;
    if (refusals.units)
        return build_check_strict(b, e);
    return refusals.other.text[0] ? err_set(e, "%s", refusals.other.text) : 0;
}

/* The artifact comes to its place only when it is accepted as a whole. */
static int
write_verified(struct build *b, struct artifact_input *in, const char *runtime, struct err *e)
{
    char *unverified = temporary_name(b->options.out, "unverified");
    int result = check_native_objects(b, e);
    unsigned left_out;

    do {
        left_out = 0;
        if (result == 0)
            result = link_and_write(b, in, runtime, unverified, e);
        if (result == 0)
            result = verify_output(b, unverified, &left_out, e);
    } while (result == 0 && left_out);
    if (result == 0 && rename(unverified, b->options.out) < 0)
        result = err_set(e, "cannot write %s: %s", b->options.out, strerror(errno));
    if (result < 0)
        unlink(unverified);
    mem_free(unverified);
    return result;
}

int
build_write_artifact(struct build *b, const struct buf *megabinary, struct err *e)
{
    char *runtime = link_runtime_dir(e), *executable = temporary_name(b->options.out, "elf");
    struct artifact_input in = {.executable = executable,
                                .image = &b->image,
                                .table_size = b->table_size,
                                .level = b->options.level,
                                .backend = b->options.backend == BACKEND_DIRECT ? ARTIFACT_BACKEND_DIRECT
                                                                                : ARTIFACT_BACKEND_WASM};
    int result = runtime ? 0 : -1;

    sha256_of(megabinary->data, megabinary->size, &in.megabinary);
    note_build(b);
    if (result == 0)
        result = in.backend == ARTIFACT_BACKEND_DIRECT ? write_verified(b, &in, runtime, e)
                                                       : link_and_write(b, &in, runtime, b->options.out, e);
    mem_free(executable);
    mem_free(runtime);
    return result;
}
