/* The hash chain of an audit log. */
#include "cli/audit_log.h"

#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "artifact/audit_chain.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/cli.h"

/* No record is longer than AUDIT_LINE_MAX; a line that is gets no more memory than this, and is none. */
enum { LINE_ROOM = AUDIT_LINE_MAX + 1 };

struct run {
    char *id;
    struct sha256 chain;
    int64_t next; /* sequence number of the next record; -1: none can follow */
    bool ended;
};

struct audit_log {
    FILE *out;
    VEC(struct run) runs;
    size_t *slots; /* open addressing: index of a run and 1, by its id; a log may consist of beginnings of runs */
    size_t slot_count;
    unsigned long line, records, bad;
    struct sha256 last;
};

static void
complain(struct audit_log *log, const char *run, const char *text)
{
    cli_print(log->out, "line %lu%s%s: %s", log->line, run ? ", run " : "", run ? run : "", text);
    log->bad++;
}

static size_t
hash_id(const char *id)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * 0x100000001b3;
    return (size_t)(h ^ h >> 32);
}

/* Where the run stands, or will. */
static size_t *
find_slot(struct audit_log *log, const char *id)
{
    size_t at = hash_id(id) & (log->slot_count - 1);

    while (log->slots[at] && strcmp(log->runs.items[log->slots[at] - 1].id, id) != 0)
        at = (at + 1) & (log->slot_count - 1);
    return &log->slots[at];
}

static void
make_room(struct audit_log *log)
{
    if (log->slot_count && log->runs.count < log->slot_count / 2)
        return;
    mem_free(log->slots);
    log->slot_count = log->slot_count ? log->slot_count * 2 : 64;
    log->slots = mem_zalloc(log->slot_count, sizeof *log->slots);
    for (size_t i = 0; i < log->runs.count; i++)
        *find_slot(log, log->runs.items[i].id) = i + 1;
}

/* The bytes that the chain covers, and its value; false: the line does not end in a chain. */
static bool
split(const char *line, size_t size, size_t *covered, struct sha256 *chain)
{
    const char *tail;
    char hex[SHA256_HEX_SIZE];

    if (size < AUDIT_TAIL_SIZE)
        return false;
    tail = line + size - AUDIT_TAIL_SIZE;
    if (memcmp(tail, AUDIT_CHAIN_MEMBER, sizeof AUDIT_CHAIN_MEMBER - 1) != 0 ||
        memcmp(line + size - (sizeof AUDIT_CHAIN_END - 1), AUDIT_CHAIN_END, sizeof AUDIT_CHAIN_END - 1) != 0)
        return false;
    memcpy(hex, tail + sizeof AUDIT_CHAIN_MEMBER - 1, SHA256_HEX_SIZE - 1);
    hex[SHA256_HEX_SIZE - 1] = '\0';
    *covered = size - AUDIT_TAIL_SIZE;
    return sha256_parse(hex, chain) == 0;
}

static struct run *
begin_run(struct audit_log *log, const char *id, int64_t sequence, const char *action)
{
    if (strcmp(action, AUDIT_STARTED) != 0 || sequence != 0)
        complain(log, id, "the beginning of this run is missing");
    vec_push(&log->runs, ((struct run){.id = mem_strdup(id), .next = sequence}));
    *find_slot(log, id) = log->runs.count;
    return &log->runs.items[log->runs.count - 1];
}

static void
check_record(struct audit_log *log, const char *line, size_t covered, const struct sha256 *chain, json_t *record)
{
    const char *id = json_string_value(json_object_get(record, "ingot.run"));
    const char *action = json_string_value(json_object_get(record, "event.action"));
    json_t *number = json_object_get(record, "event.sequence");
    int64_t sequence = json_integer_value(number);
    struct sha256 want;
    struct run *run;
    bool first;

    if (!id || !action || !json_is_integer(number) || sequence < 0) {
        complain(log, id, "fields are missing");
        return;
    }
    make_room(log);
    first = !*find_slot(log, id);
    run = first ? begin_run(log, id, sequence, action) : &log->runs.items[*find_slot(log, id) - 1];
    if (run->ended)
        complain(log, id, "a record behind the end of its run");
    want = run->chain;
    audit_chain_next(&want, line, covered);
    if (sequence != run->next)
        complain(log, id, "records are missing before this one, or stand elsewhere");
    else if (memcmp(&want, chain, sizeof want) != 0 && (!first || sequence == 0))
        complain(log, id, first ? "this record was changed" : "this record, or the one before it, was changed");
    run->chain = *chain;
    run->next = sequence < INT64_MAX ? sequence + 1 : -1;
    run->ended = strcmp(action, AUDIT_ENDED) == 0;
    log->last = *chain;
}

static void
check_line(struct audit_log *log, const char *line, size_t size)
{
    json_t *record = size < LINE_ROOM ? json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    struct sha256 chain;
    size_t covered;

    log->records++;
    if (!json_is_object(record) || !split(line, size, &covered, &chain))
        complain(log, NULL, "not a record: damaged, or written by something else");
    else
        check_record(log, line, covered, &chain, record);
    json_decref(record);
}

/* A line without its newline, as far as there is room. False: there is none. */
static bool
read_line(FILE *f, char line[LINE_ROOM], size_t *size)
{
    int c = getc_unlocked(f);

    *size = 0;
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(f))
        if (*size < LINE_ROOM)
            line[(*size)++] = (char)c;
    return true;
}

unsigned long
audit_log_verify(FILE *f, const char *name, bool unfinished, const struct sha256 *last, FILE *out)
{
    struct audit_log log = {.out = out};
    char *line = mem_alloc(LINE_ROOM);
    char hex[SHA256_HEX_SIZE];
    size_t size;

    while (read_line(f, line, &size)) {
        log.line++;
        check_line(&log, line, size);
    }
    if (ferror(f))
        complain(&log, NULL, "the file cannot be read to its end");
    for (size_t i = 0; i < log.runs.count && !unfinished; i++)
        if (!log.runs.items[i].ended)
            complain(&log, log.runs.items[i].id,
                     "this run has no end: records were cut off, or it runs still, or was killed");
    if (last && memcmp(last, &log.last, sizeof *last) != 0)
        complain(&log, NULL, "the last value of the chain is another");
    if (log.records == 0)
        complain(&log, NULL, "no records");
    if (!log.bad) {
        sha256_hex(&log.last, hex);
        cli_print(out, "%s: %lu records of %zu run%s, all as they were written; last %s", name, log.records,
                  log.runs.count, log.runs.count == 1 ? "" : "s", hex);
    }
    for (size_t i = 0; i < log.runs.count; i++)
        mem_free(log.runs.items[i].id);
    vec_fini(&log.runs);
    mem_free(log.slots);
    mem_free(line);
    return log.bad;
}
