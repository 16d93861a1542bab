/* What `ingot build` says of its work: on the terminal, and as JSON with --report. */
#include "cli/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <jansson.h>

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

void
build_print_report(const struct build *b)
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

void
build_warn_left_out(const struct build *b)
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
int
build_write_report(const struct build *b, struct err *e)
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
