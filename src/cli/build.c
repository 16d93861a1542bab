/* ingot build: an image to one executable. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "aot/aot.h"
#include "base/temporary.h"
#include "recompile/link.h"
#include "recompile/paths.h"
#include "recompile/profile.h"
#include "recompile/recompile.h"
#include "cli/cli.h"
#include "elf/elf_image.h"
#include "image/artifact.h"
#include "image/source.h"
#include "verify/verify.h"
#include "wasm/link.h"

static const char usage[] =
    "usage: ingot build [OPTIONS] SOURCE -o OUT\n"
    "\n"
    "Recompiles every x86-64 program and library of an image and writes one executable.\n"
    "\n"
    "SOURCE  an OCI image layout (folder or .tar, with :TAG when it holds several), a docker-save archive,\n"
    "        or a root filesystem folder\n"
    "\n"
    "  -o, --output FILE    where the result goes\n"
    "  --emit=wasm          write the megabinary (standard WebAssembly) instead of the executable\n"
    "  --cache DIR          the cache (default $XDG_CACHE_HOME/ingot or ~/.cache/ingot)\n"
    "  -j, --jobs N         worker processes (default: all processors)\n"
    "  --backend direct|wasm\n"
    "                       where native code comes from: the programs' own instructions, rewritten (x86-64 hosts, and\n"
    "                       there the default), or compiled from WebAssembly\n"
    "  -O, --optimize N     backend wasm: effort of native compilation, 0 to 3 (default 2)\n"
    "  --cpu x86-64-v2|x86-64-v3\n"
    "                       what the programs find, on every host, and the host must have (default x86-64-v2)\n"
    "  --profile FILE       compile what an ingot run --stats=FILE of this image left to the evaluator (repeatable)\n"
    "  --precise-faults auto|all|none\n"
    "                       backend wasm: programs whose signal handlers get, and may change, all registers at a fault\n"
    "                       (default auto: those that have such handlers)\n"
    "  --strict             backend direct: fail where a program would be left to the evaluator as a whole\n"
    "  --report FILE        write what was found in each program, and what is left to the evaluator, as JSON\n"
    "  --dump PASS          print the IR of every function after a pass (no cache; for developers)\n"
    "  -q, --quiet          no progress, no report\n";

struct options {
    const char *source, *out, *cache, *report, *dump;
    VEC(const char *) profiles;
    bool wasm, quiet, strict;
    enum precise_choice precise_faults;
    enum backend backend;
    bool backend_given;
    const char *wasm_only; /* an option that was given and means nothing to the direct backend, or NULL */
    enum x86_level level;
    unsigned jobs;
    int optimize;
};

struct skipped { /* an ELF kept as data */
    char *path;
    const char *reason;
};

struct build {
    struct options options;
    struct image image;
    struct recompile r;
    struct profile profile;
    VEC(uint64_t) profile_addresses; /* of all units, one after the other */
    struct progress progress;
    VEC(struct skipped) skipped;
    unsigned elf_files; /* names that lead to an ELF we recompile, before merging equal ones */
    uint32_t table_size;
    uint64_t start_ns;
};

static int
parse_precise(const char *text, enum precise_choice *out)
{
    static const char *const names[] = {[PRECISE_AUTO] = "auto", [PRECISE_ALL] = "all", [PRECISE_NONE] = "none"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum precise_choice)i;
            return 0;
        }
    }
    return -1;
}

/* What is not made into native code has no backend: the megabinary and dumps are WebAssembly's. */
static int
settle_backend(struct options *o)
{
    const char *without = o->wasm ? "--emit=wasm" : o->dump ? "--dump" : NULL;

    if (without && o->backend_given && o->backend == BACKEND_DIRECT)
        return cli_fail(2, "%s goes with --backend wasm only", without);
    if (without)
        o->backend = BACKEND_WASM;
    else if (o->backend == BACKEND_WASM && !aot_version())
        return cli_fail(
            2,
            "this ingot was built without LLVM, which --backend wasm needs; the megabinary (--emit=wasm) needs none");
    if (o->backend != BACKEND_DIRECT)
        return o->strict ? cli_fail(2, "--strict is an option of --backend direct") : 0;
    if (o->wasm_only)
        return cli_fail(2, "%s is an option of --backend wasm; with --backend direct%s it has no meaning", o->wasm_only,
                        o->backend_given ? "" : " (the default)");
    return 0;
}

static int
parse_level(const char *text, enum x86_level *out)
{
    for (enum x86_level i = X86_LEVEL_V2; i < X86_LEVEL_END; i++) {
        if (strcmp(text, x86_level_name(i)) == 0) {
            *out = i;
            return 0;
        }
    }
    return -1;
}

static int
parse(int argc, char **argv, struct options *o)
{
    /* clang-format off */
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'}, {"emit", required_argument, NULL, 'e'},
        {"cache", required_argument, NULL, 'c'}, {"jobs", required_argument, NULL, 'j'},
        {"optimize", required_argument, NULL, 'O'}, {"cpu", required_argument, NULL, 'u'},
        {"profile", required_argument, NULL, 'p'}, {"precise-faults", required_argument, NULL, 'F'},
        {"report", required_argument, NULL, 'r'}, {"backend", required_argument, NULL, 'b'}, {"dump", required_argument, NULL, 'd'},
        {"strict", no_argument, NULL, 's'}, {"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    /* clang-format on */
    int c;

    *o = (struct options){.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
                          .optimize = 2,
                          .level = X86_LEVEL_V2,
                          .backend = INGOT_DEFAULT_BACKEND};
    while ((c = getopt_long(argc, argv, "o:j:O:qh", longs, NULL)) != -1) {
        switch (c) {
        case 'o': o->out = optarg; break;
        case 'c': o->cache = optarg; break;
        case 'j': o->jobs = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'O':
            o->optimize = atoi(optarg);
            o->wasm_only = "--optimize";
            break;
        case 'u':
            if (parse_level(optarg, &o->level) < 0)
                return cli_fail(2, "--cpu takes x86-64-v2 or x86-64-v3, not \"%s\"", optarg);
            break;
        case 'p': vec_push(&o->profiles, (const char *)optarg); break;
        case 'r': o->report = optarg; break;
        case 'd': o->dump = optarg; break;
        case 'F':
            if (parse_precise(optarg, &o->precise_faults) < 0)
                return cli_fail(2, "--precise-faults takes auto, all or none, not \"%s\"", optarg);
            o->wasm_only = "--precise-faults";
            break;
        case 'b':
            if (strcmp(optarg, "wasm") != 0 && strcmp(optarg, "direct") != 0)
                return cli_fail(2, "--backend takes direct or wasm, not \"%s\"", optarg);
            o->backend = optarg[0] == 'd' ? BACKEND_DIRECT : BACKEND_WASM;
            o->backend_given = true;
            break;
        case 's': o->strict = true; break;
        case 'q': o->quiet = true; break;
        case 'e':
            if (strcmp(optarg, "wasm") != 0)
                return cli_fail(2, "--emit takes wasm, not \"%s\"", optarg);
            o->wasm = true;
            break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 != argc || (!o->out && !o->dump)) {
        fputs(usage, stderr);
        return 2;
    }
    if (o->jobs < 1 || o->jobs > 256 || o->optimize < 0 || o->optimize > 3)
        return cli_fail(2, "--jobs takes 1 to 256, --optimize 0 to 3");
    o->source = argv[optind];
    return settle_backend(o);
}

static int
collect_elf(void *context, struct tree_inode *inode, const char *path, struct err *e)
{
    struct build *b = context;
    const uint8_t *data;
    const char *reason;
    enum elf_kind kind;
    size_t at = 0;

    (void)e;
    if (!S_ISREG(inode->mode))
        return 0;
    data = tree_content(&b->image.tree, inode);
    kind = elf_classify(data, inode->size, &reason);
    if (kind == ELF_KIND_OTHER)
        vec_push(&b->skipped, ((struct skipped){mem_strdup(path), reason}));
    if (kind != ELF_KIND_X86_64)
        return 0;
    b->elf_files++;
    path = arena_strdup(&b->image.tree.arena, path);
    while (at < b->r.units.count && memcmp(&b->r.units.items[at].sha256, &inode->sha256, SHA256_SIZE) != 0)
        at++;
    if (at == b->r.units.count)
        vec_push(&b->r.units,
                 ((struct unit){.path = path, .file = data, .size = inode->size, .sha256 = inode->sha256}));
    vec_push(&b->r.units.items[at].paths, path);
    return 0;
}

static int
compare_units(const void *a, const void *b)
{
    return memcmp(((const struct unit *)a)->sha256.bytes, ((const struct unit *)b)->sha256.bytes, SHA256_SIZE);
}

static char *
folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

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
static int
check_strict(const struct build *b, struct err *e)
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
    return check_strict(b, e);
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
        return check_strict(b, e);
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

static int
write_artifact(struct build *b, const struct buf *megabinary, struct err *e)
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

struct totals {
    uint64_t text, covered, gaps[DISC_GAP_KIND_COUNT], functions, wasm, unresolved;
    unsigned programs, left_out;
};

static struct totals
add_up(const struct build *b)
{
    struct totals t = {0};

    for (size_t i = 0; i < b->r.units.count; i++) {
        const struct unit *u = &b->r.units.items[i];

        if (u->unusable)
            continue;
        t.programs++;
        t.text += u->report.exec_bytes;
        t.left_out += u->left_out != NULL;
        t.covered += u->left_out ? 0 : u->report.covered_bytes;
        t.gaps[DISC_GAP_UNREACHED] += u->left_out ? u->report.covered_bytes : 0;
        for (int k = 0; k < DISC_GAP_KIND_COUNT; k++)
            t.gaps[k] += u->report.gap_bytes[k];
        t.functions += u->report.functions;
        t.wasm += u->report.wasm_bytes;
        t.unresolved += u->report.unresolved_jumps;
    }
    return t;
}

static double
percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 100.0;
}

static void
print_report(const struct build *b)
{
    struct totals t = add_up(b);
    uint64_t code = t.covered + t.gaps[DISC_GAP_FOREIGN] + t.gaps[DISC_GAP_UNREACHED];
    struct rusage self, children;
    struct stat st;
    double seconds = (double)(progress_now_ns() - b->start_ns) / 1e9;

    for (size_t i = 0; i < b->r.units.count; i++) {
        const struct unit *u = &b->r.units.items[i];

        if (u->unusable)
            cli_print(stderr, "  kept as data: %s: %s", u->path, u->reason);
        else if (u->report.unlifted[0])
            cli_print(stderr, "  not recompiled (trap when reached): %s: %s", u->path, u->report.unlifted);
    }
    for (size_t i = 0; i < b->skipped.count; i++)
        cli_print(stderr, "  kept as data: %s: %s", b->skipped.items[i].path, b->skipped.items[i].reason);
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    fprintf(stderr, "%s: %u programs and libraries (%u files), %.1f MB of text, %llu functions\n", b->image.kind,
            t.programs, b->elf_files, (double)t.text / 1e6, (unsigned long long)t.functions);
    fprintf(stderr,
            "  of %.1f MB that is neither padding nor data %.2f %% recompiled, %.2f %% for other processors, %.2f %% "
            "left to the evaluator; %llu indirect jumps to unknown places\n",
            (double)code / 1e6, percent(t.covered, code), percent(t.gaps[DISC_GAP_FOREIGN], code),
            percent(t.gaps[DISC_GAP_UNREACHED], code), (unsigned long long)t.unresolved);
    fprintf(stderr, "  %.1f MB of text compiled, the rest from the cache; %.1f s, %.0f KB/s; peak memory %ld MB\n",
            (double)b->r.native_bytes_compiled / 1e6, seconds,
            seconds > 0 ? (double)b->r.native_bytes_compiled / seconds / 1e3 : 0,
            (self.ru_maxrss > children.ru_maxrss ? self.ru_maxrss : children.ru_maxrss) / 1024);
    if (stat(b->options.out, &st) == 0)
        fprintf(stderr, "  %s: %.1f MB (wasm %.1f MB)\n", b->options.out, (double)st.st_size / 1e6,
                (double)t.wasm / 1e6);
}

static void
warn_left_out(const struct build *b)
{
    for (size_t i = 0; i < b->r.units.count; i++)
        if (b->r.units.items[i].left_out)
            cli_print(stderr, "ingot: warning: %s is left to the evaluator, which is slow: %s",
                      b->r.units.items[i].path, b->r.units.items[i].left_out);
}

static json_t *
total_json(const struct build *b)
{
    struct totals t = add_up(b);

    return json_pack("{s:I,s:I,s:{s:I,s:I,s:I,s:I},s:I,s:I,s:I,s:I,s:I}", "text_bytes", (json_int_t)t.text,
                     "covered_bytes", (json_int_t)t.covered, "uncovered_bytes", "padding",
                     (json_int_t)t.gaps[DISC_GAP_PADDING], "foreign", (json_int_t)t.gaps[DISC_GAP_FOREIGN], "data",
                     (json_int_t)t.gaps[DISC_GAP_DATA], "unreached", (json_int_t)t.gaps[DISC_GAP_UNREACHED],
                     "functions", (json_int_t)t.functions, "wasm_bytes", (json_int_t)t.wasm, "programs",
                     (json_int_t)t.programs, "left_out", (json_int_t)t.left_out, "unresolved_jumps",
                     (json_int_t)t.unresolved);
}

/* --report: totals, and one object per program, in the order of the ledger. */
static int
write_report(const struct build *b, struct err *e)
{
    json_t *programs = json_array(), *kept = json_array(), *all;
    char *text;
    int result;

    for (size_t i = 0; i < b->r.units.count; i++) {
        const struct unit *u = &b->r.units.items[i];
        json_t *program, *paths;
        char hex[SHA256_HEX_SIZE];

        if (u->unusable) {
            json_array_append_new(kept, json_pack("{s:o,s:o}", "path", cli_json_string(u->path), "reason",
                                                  cli_json_string(u->reason)));
            continue;
        }
        sha256_hex(&u->sha256, hex);
        paths = json_array();
        for (size_t k = 0; k < u->paths.count; k++)
            json_array_append_new(paths, cli_json_string(u->paths.items[k]));
        program = json_pack("{s:o,s:s}", "paths", paths, "sha256", hex);
        json_object_update(program, u->report.detail);
        if (u->left_out)
            json_object_set_new(program, "left_out", cli_json_string(u->left_out));
        json_array_append_new(programs, program);
    }
    for (size_t i = 0; i < b->skipped.count; i++)
        json_array_append_new(kept, json_pack("{s:o,s:s}", "path", cli_json_string(b->skipped.items[i].path), "reason",
                                              b->skipped.items[i].reason));
    all = json_pack("{s:o,s:o,s:o}", "total", total_json(b), "programs", programs, "kept_as_data", kept);
    text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
    result = text ? file_write_atomic(b->options.report, text, strlen(text), 0666, e)
                  : err_set(e, "cannot write the report: a path is not UTF-8");
    free(text);
    json_decref(all);
    return result;
}

static int
dump(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->r.units.count; i++) {
        struct buf object = {0};
        struct elf_report report = {0};

        if (recompile_one(&b->r.units.items[i], b->options.dump, &object, &report, e) < 0)
            return -1;
        buf_fini(&object);
        report_fini(&report);
    }
    return 0;
}

/* Gives each unit the addresses that the profiles have for it. */
static int
apply_profiles(struct build *b, struct err *e)
{
    size_t used = 0;

    for (size_t i = 0; i < b->options.profiles.count; i++) {
        if (profile_read(&b->profile, b->options.profiles.items[i], e) < 0)
            return -1;
    }
    profile_settle(&b->profile);
    vec_reserve(&b->profile_addresses, b->profile.entries.count);
    for (size_t i = 0; i < b->r.units.count; i++) {
        struct unit *u = &b->r.units.items[i];
        const struct profile_entry *entries = profile_of(&b->profile, &u->sha256, &u->profile_count);

        u->profile = b->profile_addresses.items + used;
        for (size_t j = 0; j < u->profile_count; j++)
            b->profile_addresses.items[used++] = entries[j].address;
    }
    if (used < b->profile.entries.count && !b->options.quiet)
        fprintf(stderr, "  %zu of %zu addresses in the profiles are of files that are not in this image\n",
                b->profile.entries.count - used, b->profile.entries.count);
    return 0;
}

/* What a killed build left beside its output. */
static void
sweep_beside(const char *out)
{
    const char *slash = strrchr(out, '/');
    char *folder = folder_of(out);

    temporary_sweep(folder, slash ? slash + 1 : out);
    mem_free(folder);
}

static int
run_build(struct build *b, struct err *e)
{
    char *work_dir = folder_of(b->options.out ? b->options.out : ".");
    struct buf megabinary = {0};
    int result = image_load(&b->image, b->options.source, work_dir, e);

    mem_free(work_dir);
    if (result < 0)
        return -1;
    if (tree_walk(&b->image.tree, collect_elf, b, e) < 0)
        return -1;
    if (b->r.units.count)
        qsort(b->r.units.items, b->r.units.count, sizeof(struct unit), compare_units);
    if (b->options.profiles.count && apply_profiles(b, e) < 0)
        return -1;
    if (b->options.dump)
        return dump(b, e);
    if (cache_open(&b->r.cache, b->options.cache, e) < 0)
        return -1;
    sweep_beside(b->options.out);
    b->r.workers = b->options.jobs;
    b->r.opt_level = b->options.optimize;
    b->r.backend = b->options.backend;
    b->r.level = b->options.level;
    b->r.precise_faults = b->options.precise_faults;
    b->r.progress = &b->progress;
    if (recompile_objects(&b->r, e) < 0 || check_strict(b, e) < 0 || recompile_layout(&b->r, e) < 0)
        return -1;
    if (b->r.backend == BACKEND_WASM && !b->options.wasm && recompile_native(&b->r, e) < 0)
        return -1;
    result = link_megabinary(&b->r, &megabinary, &b->table_size, e);
    if (result == 0)
        result = b->options.wasm ? file_write_atomic(b->options.out, megabinary.data, megabinary.size, 0666, e)
                                 : write_artifact(b, &megabinary, e);
    buf_fini(&megabinary);
    if (result == 0 && b->options.report)
        result = write_report(b, e);
    return result;
}

int
cmd_build(int argc, char **argv)
{
    struct build b = {.start_ns = progress_now_ns()};
    struct err e = {0};
    int status = parse(argc, argv, &b.options);

    if (status)
        return status;
    x86_set_level(b.options.level);
    progress_init(&b.progress, b.options.quiet);
    if (run_build(&b, &e) < 0)
        status = cli_fail(1, "%s", e.text);
    else
        warn_left_out(&b);
    if (status == 0 && !b.options.quiet && !b.options.dump)
        print_report(&b);
    for (size_t i = 0; i < b.skipped.count; i++)
        mem_free(b.skipped.items[i].path);
    vec_fini(&b.skipped);
    vec_fini(&b.options.profiles);
    vec_fini(&b.profile_addresses);
    profile_fini(&b.profile);
    recompile_fini(&b.r);
    if (b.image.config)
        image_fini(&b.image);
    return status;
}
