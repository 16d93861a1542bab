/* Counts what the evaluator ran, by file and by address in the file. The table is bounded, because a guest decides how
 * much code it makes the evaluator run; what does not fit is added to the counters of what was lost. */
#include "vkernel/run/evaluated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "eval/eval.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "vkernel/image/artifact.h"
#include "x86/address_space.h"

enum { FIRST_SIZE = 1 << 8, LAST_SIZE = 1 << 17, SHOWN = 40 }; /* rows */

struct row {
    const struct artifact_ledger *file; /* NULL: free */
    uint64_t address, entered, insns;
};

bool run_stats;

static struct row *rows;
static size_t row_count, row_space;
static uint64_t total, lost_addresses, lost_insns;

static struct row *
row_at(struct row *table, size_t size, const struct artifact_ledger *file, uint64_t address)
{
    size_t i = (size_t)(((address << 8) + (uintptr_t)file) * 0x9e3779b97f4a7c15ull >> 32) & (size - 1);

    while (table[i].file && (table[i].file != file || table[i].address != address))
        i = (i + 1) & (size - 1);
    return &table[i];
}

static bool
grow(void)
{
    size_t size = row_space ? row_space * 2 : FIRST_SIZE;
    struct row *table = size <= LAST_SIZE ? array_new(size, sizeof *table) : NULL;

    if (!table)
        return false;
    for (size_t i = 0; i < row_space; i++)
        if (rows[i].file)
            *row_at(table, size, rows[i].file, rows[i].address) = rows[i];
    array_free(rows);
    rows = table;
    row_space = size;
    return true;
}

static struct row *
find_row(const struct artifact_ledger *file, uint64_t address)
{
    struct row *r = row_space ? row_at(rows, row_space, file, address) : NULL;

    if (r && r->file)
        return r;
    if (!r || row_count * 2 >= row_space) {
        if (!grow())
            return NULL;
        r = row_at(rows, row_space, file, address);
    }
    row_count++;
    *r = (struct row){.file = file, .address = address};
    return r;
}

static void
take(void *context, const struct eval_count *c)
{
    const struct vma *v = mm_find(context, c->address);
    struct row *r = v && v->start <= c->address && v->code ? find_row(v->code, c->address - v->image_base) : NULL;

    total += c->insns;
    if (!r) {
        lost_addresses++;
        lost_insns += c->insns;
        return;
    }
    r->entered += c->entered;
    r->insns += c->insns;
}

void
evaluated_collect(struct mm *mm, uint64_t start, uint64_t end)
{
    if (run_stats && mm->eval)
        eval_collect(mm->eval, start, end, take, mm);
}

void
evaluated_collect_all(void)
{
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->mm)
            evaluated_collect(p->mm, 0, GUEST_END);
}

static int
by_insns(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return x->insns < y->insns ? 1 : x->insns > y->insns ? -1 : x->address < y->address ? -1 : 1;
}

static int
by_file(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = memcmp(x->file->sha256, y->file->sha256, sizeof x->file->sha256);

    return order ? order : x->address < y->address ? -1 : x->address > y->address;
}

/* Moves the table's rows to its front, in the given order. The table cannot be searched any more after that. */
static void
sort(int (*order)(const void *, const void *))
{
    size_t n = 0;

    for (size_t i = 0; i < row_space; i++)
        if (rows[i].file)
            rows[n++] = rows[i];
    if (n)
        qsort(rows, n, sizeof *rows, order);
    row_space = n; /* rows are not looked up from here on */
}

void
evaluated_report(int fd)
{
    char line[320];

    sort(by_insns);
    snprintf(line, sizeof line, "evaluated instructions: %llu\n", (unsigned long long)total);
    platform_write(fd, line, strlen(line));
    for (size_t i = 0; i < row_space && i < SHOWN; i++) {
        const struct row *r = &rows[i];

        snprintf(line, sizeof line, "evaluated: %#llx %llu %.200s+%#llx\n",
                 (unsigned long long)(r->file->base + r->address), (unsigned long long)r->insns,
                 artifact_string(the_artifact, r->file->path), (unsigned long long)r->address);
        platform_write(fd, line, strlen(line));
    }
}

static void
write_file(void (*put)(const char *text), const struct artifact_ledger *file)
{
    char text[4200], hex[2 * sizeof file->sha256 + 1];
    size_t at;

    for (size_t i = 0; i < sizeof file->sha256; i++)
        snprintf(hex + 2 * i, 3, "%02x", file->sha256[i]);
    at = (size_t)snprintf(text, sizeof text, "{\"sha256\":\"%s\",\"path\":", hex);
    text[json_put_string(text, at, sizeof text - 1, artifact_string(the_artifact, file->path), NULL)] = '\0';
    put(text);
    put(",\"code\":[");
}

void
evaluated_write(void (*put)(const char *text))
{
    char text[128];

    sort(by_file);
    snprintf(text, sizeof text, "\"evaluated\":%llu,\"files\":[", (unsigned long long)total);
    put(text);
    for (size_t i = 0; i < row_space; i++) {
        bool first = i == 0 || rows[i].file != rows[i - 1].file;

        if (first && i)
            put("]},");
        if (first)
            write_file(put, rows[i].file);
        snprintf(text, sizeof text, "%s[%llu,%llu,%llu]", first ? "" : ",", (unsigned long long)rows[i].address,
                 (unsigned long long)rows[i].entered, (unsigned long long)rows[i].insns);
        put(text);
    }
    snprintf(text, sizeof text, "%s],\"lost\":{\"addresses\":%llu,\"instructions\":%llu}", row_space ? "]}" : "",
             (unsigned long long)lost_addresses, (unsigned long long)lost_insns);
    put(text);
}
