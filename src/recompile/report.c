#include "recompile/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "discover/discover.h"

enum { MAX_RANGES = 1000, MAX_JUMPS = 1000 };

static const char *const gap_names[DISC_GAP_KIND_COUNT] = {
    [DISC_GAP_PADDING] = "padding",
    [DISC_GAP_FOREIGN] = "foreign",
    [DISC_GAP_DATA] = "data",
    [DISC_GAP_UNREACHED] = "unreached",
};

static const char *const jump_names[DISC_JUMP_KIND_COUNT] = {
    [DISC_JUMP_SWITCH] = "switch",
    [DISC_JUMP_GOTO] = "goto",
    [DISC_JUMP_LABELS] = "labels",
    [DISC_JUMP_SLOT] = "slot",
    [DISC_JUMP_TAIL_CALL] = "tail_call",
    [DISC_JUMP_POINTER] = "through a pointer of which nothing is known",
    [DISC_JUMP_COMPUTED] = "to a computed address without a bound",
    [DISC_JUMP_TABLE_UNKNOWN] = "through a table whose address is not known",
};

static const char *const evaluated_names[DISC_EVALUATED_KIND_COUNT] = {
    [DISC_EVALUATED_UNREACHED] = "nothing that was found leads there",
    [DISC_EVALUATED_RETURN] =
        "returned to after the frame of compiled code was lost (a signal handler, longjmp, an exception, a child)",
    [DISC_EVALUATED_SYSCALL] = "behind a system call that gave up the frames of compiled code",
    [DISC_EVALUATED_BLOCK] = "jumped to by evaluated code, or by a jump to unknown places",
    [DISC_EVALUATED_INSTRUCTION] =
        "within a block: interrupted by a signal or fault, or jumped to between instructions",
    [DISC_EVALUATED_ENTRY] = "an entry at which compiled code had to give up",
};

static json_t *
address_json(uint64_t address)
{
    char text[24];

    snprintf(text, sizeof text, "%#" PRIx64, address);
    return json_string(text);
}

/* Bytes by kind. */
static json_t *
gaps_json(const struct disc *d)
{
    json_t *j = json_object();

    for (int i = 0; i < DISC_GAP_KIND_COUNT; i++)
        json_object_set_new(j, gap_names[i], json_integer((json_int_t)d->gap_bytes[i]));
    return j;
}

/* The ranges that are not padding, the first MAX_RANGES. */
static json_t *
ranges_json(const struct disc *d, json_int_t *count)
{
    json_t *j = json_array();

    *count = 0;
    for (size_t i = 0; i < d->gaps.count; i++) {
        const struct disc_gap *g = &d->gaps.items[i];

        if (g->kind != DISC_GAP_PADDING && ++*count <= MAX_RANGES)
            json_array_append_new(j, json_pack("{s:o,s:o,s:s}", "start", address_json(g->start), "end",
                                               address_json(g->end), "kind", gap_names[g->kind]));
    }
    return j;
}

/* How many indirect jumps of each resolved kind; the unresolved ones with their addresses. */
static json_t *
jumps_json(const struct disc *d)
{
    json_int_t counts[DISC_JUMP_KIND_COUNT] = {0};
    json_t *j = json_object(), *unresolved = json_array();

    for (size_t i = 0; i < d->jumps.count; i++) {
        const struct disc_jump *jump = &d->jumps.items[i];

        counts[jump->kind]++;
        if (jump->kind >= DISC_JUMP_POINTER && json_array_size(unresolved) < MAX_JUMPS)
            json_array_append_new(unresolved, json_pack("{s:o,s:s}", "address", address_json(jump->address), "reason",
                                                        jump_names[jump->kind]));
    }
    for (int i = 0; i < DISC_JUMP_POINTER; i++)
        json_object_set_new(j, jump_names[i], json_integer(counts[i]));
    json_object_set_new(j, "unresolved", json_integer((json_int_t)disc_unresolved_jumps(d)));
    json_object_set_new(j, "unresolved_jumps", unresolved);
    return j;
}

/* The addresses of the profile, each with its function and the reason. */
static json_t *
evaluated_json(const struct disc *d)
{
    json_t *j = json_array();

    for (size_t i = 0; i < d->evaluated.count; i++) {
        const struct disc_evaluated *v = &d->evaluated.items[i];
        json_t *item = json_pack("{s:o,s:s}", "address", address_json(v->address), "reason", evaluated_names[v->kind]);

        if (v->function)
            json_object_set_new(item, "function", address_json(v->function));
        json_array_append_new(j, item);
    }
    return j;
}

static json_t *
unlifted_json(const struct disc *d)
{
    struct buf text = {0};
    json_t *j;

    for (size_t i = 0; i < d->unlifted.count; i++) {
        char item[96];
        int n = snprintf(item, sizeof item, "%s%s %u", i ? ", " : "", x86_op_name(d->unlifted.items[i].op),
                         d->unlifted_counts.items[i] + 0u);

        buf_put(&text, item, (size_t)n);
    }
    j = json_stringn(text.size ? (const char *)text.data : "", text.size);
    buf_fini(&text);
    return j;
}

/* Without those that are loops of others once more. */
static int
function_count(const struct disc *d)
{
    int n = 0;

    for (size_t i = 0; i < d->funcs.count; i++)
        n += !d->funcs.items[i].loop;
    return n;
}

/* Of bytes or functions of one file. */
static bool
is_count(json_int_t n)
{
    return n >= 0 && n < (json_int_t)1 << 40;
}

void
report_make(struct elf_report *report, const struct disc *d, const struct elf_image *image, uint64_t wasm_bytes)
{
    size_t n = image->exec_sections.count;
    json_int_t range_count;
    json_t *ranges = ranges_json(d, &range_count);
    json_t *detail =
        json_pack("{s:I,s:I,s:o,s:i,s:I,s:o,s:I,s:o,s:o,s:o,s:b,s:b,s:I,s:I,s:I,s:I}", "text_bytes",
                  (json_int_t)d->exec_bytes, "covered_bytes", (json_int_t)d->covered_bytes, "uncovered_bytes",
                  gaps_json(d), "functions", function_count(d), "wasm_bytes", (json_int_t)wasm_bytes, "indirect_jumps",
                  jumps_json(d), "uncovered_range_count", range_count, "uncovered_ranges", ranges, "evaluated",
                  evaluated_json(d), "not_recompiled", unlifted_json(d), "precise_faults", d->precise_faults, "pie",
                  image->is_pie, "low", (json_int_t)image->low, "high", (json_int_t)image->high, "text_low",
                  (json_int_t)(n ? image->exec_sections.items[0].start : 0), "text_high",
                  (json_int_t)(n ? image->exec_sections.items[n - 1].end : 0));

    if (!detail || report_read(report, detail) < 0)
        abort(); /* nothing but memory can have been wrong with it */
}

int
report_read(struct elf_report *report, json_t *detail)
{
    json_int_t exec, covered, wasm, functions, unresolved, gaps[DISC_GAP_KIND_COUNT];
    const char *unlifted;

    *report = (struct elf_report){.detail = detail};
    if (json_unpack(detail, "{s:I,s:I,s:{s:I,s:I,s:I,s:I},s:I,s:I,s:{s:I},s:s}", "text_bytes", &exec, "covered_bytes",
                    &covered, "uncovered_bytes", gap_names[0], &gaps[0], gap_names[1], &gaps[1], gap_names[2], &gaps[2],
                    gap_names[3], &gaps[3], "functions", &functions, "wasm_bytes", &wasm, "indirect_jumps",
                    "unresolved", &unresolved, "not_recompiled", &unlifted) < 0)
        return -1;
    _Static_assert(DISC_GAP_KIND_COUNT == 4, "all kinds are read");
    if (!is_count(exec) || !is_count(covered) || !is_count(wasm) || !is_count(functions) || !is_count(unresolved))
        return -1;
    for (int i = 0; i < DISC_GAP_KIND_COUNT; i++) {
        if (!is_count(gaps[i]))
            return -1;
        report->gap_bytes[i] = (uint64_t)gaps[i];
    }
    report->exec_bytes = (uint64_t)exec;
    report->covered_bytes = (uint64_t)covered;
    report->functions = (uint32_t)functions;
    report->unresolved_jumps = (uint32_t)unresolved;
    report->wasm_bytes = (uint64_t)wasm;
    report->unlifted = unlifted;
    return 0;
}

void
report_fini(struct elf_report *report)
{
    json_decref(report->detail);
    report->detail = NULL;
}
