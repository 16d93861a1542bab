/* ingot audit verify: recomputes the hash chain of an audit log. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "artifact/audit_chain.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: ingot audit verify [--unfinished] [--last HASH] FILE\n"
    "\n"
    "Recomputes the hash chain of an audit log (ingot run --audit FILE) and names every place where a record was\n"
    "changed, removed, added or moved. A log may hold the records of several runs. Exit status 1 when something is\n"
    "wrong.\n"
    "\n"
    "  --unfinished   accept runs without an end: still running, or killed from outside\n"
    "  --last HASH    the chain's last value must be HASH (64 hex digits), as noted elsewhere: who can write the\n"
    "                 file can also compute a whole new chain\n";

struct run {
    char *id;
    struct sha256 chain;
    json_int_t next; /* sequence number of the next record */
    bool ended;
};

struct audit_log {
    VEC(struct run) runs;
    unsigned long line, records, bad;
    struct sha256 last;
};

static void
complain(struct audit_log *log, const char *run, const char *text)
{
    printf("line %lu%s%s: %s\n", log->line, run ? ", run " : "", run ? run : "", text);
    log->bad++;
}

static struct run *
find_run(struct audit_log *log, const char *id)
{
    for (size_t i = 0; i < log->runs.count; i++)
        if (strcmp(log->runs.items[i].id, id) == 0)
            return &log->runs.items[i];
    return NULL;
}

/* The bytes that the chain covers, and its value; false: the line does not end in a chain. */
static bool
split(const char *line, size_t size, size_t *covered, struct sha256 *chain)
{
    const char *tail = line + size - AUDIT_TAIL_SIZE;
    char hex[SHA256_HEX_SIZE];

    if (size < AUDIT_TAIL_SIZE || strncmp(tail, AUDIT_CHAIN_MEMBER, sizeof AUDIT_CHAIN_MEMBER - 1) != 0 ||
        strcmp(line + size - (sizeof AUDIT_CHAIN_END - 1), AUDIT_CHAIN_END) != 0)
        return false;
    memcpy(hex, tail + sizeof AUDIT_CHAIN_MEMBER - 1, SHA256_HEX_SIZE - 1);
    hex[SHA256_HEX_SIZE - 1] = '\0';
    *covered = size - AUDIT_TAIL_SIZE;
    return sha256_parse(hex, chain) == 0;
}

static void
check_record(struct audit_log *log, const char *line, size_t covered, const struct sha256 *chain, json_t *record)
{
    const char *id = json_string_value(json_object_get(record, "ingot.run"));
    const char *action = json_string_value(json_object_get(record, "event.action"));
    json_t *sequence = json_object_get(record, "event.sequence");
    struct sha256 want = {0};
    struct run *run;

    if (!id || !action || !json_is_integer(sequence)) {
        complain(log, id, "fields are missing");
        return;
    }
    run = find_run(log, id);
    if (!run) {
        if (strcmp(action, AUDIT_STARTED) != 0 || json_integer_value(sequence) != 0)
            complain(log, id, "the beginning of this run is missing");
        vec_push(&log->runs, ((struct run){.id = mem_strdup(id), .next = json_integer_value(sequence), .chain = *chain}));
        run = &log->runs.items[log->runs.count - 1];
        audit_chain_next(&want, line, covered);
        if (run->next == 0 && memcmp(&want, chain, sizeof want) != 0)
            complain(log, id, "this record was changed");
    } else {
        want = run->chain;
        audit_chain_next(&want, line, covered);
        if (run->ended)
            complain(log, id, "a record behind the end of its run");
        if (json_integer_value(sequence) != run->next)
            complain(log, id, "records are missing before this one, or stand elsewhere");
        else if (memcmp(&want, chain, sizeof want) != 0)
            complain(log, id, "this record, or the one before it, was changed");
        run->chain = *chain;
    }
    run->next = json_integer_value(sequence) + 1;
    run->ended = strcmp(action, AUDIT_ENDED) == 0;
    log->last = *chain;
}

static void
check_line(struct audit_log *log, const char *line, size_t size)
{
    json_t *record = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    struct sha256 chain;
    size_t covered;

    log->records++;
    if (!json_is_object(record) || !split(line, size, &covered, &chain))
        complain(log, NULL, "not a record: damaged, or written by something else");
    else
        check_record(log, line, covered, &chain, record);
    json_decref(record);
}

static int
verify(const char *path, bool unfinished, const struct sha256 *last)
{
    struct audit_log log = {0};
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!f)
        return cli_fail(1, "audit: cannot open %s: %s", path, strerror(errno));
    while ((n = getline(&line, &room, f)) >= 0) {
        log.line++;
        if (n && line[n - 1] == '\n')
            line[--n] = '\0';
        check_line(&log, line, (size_t)n);
    }
    if (ferror(f))
        complain(&log, NULL, "the file cannot be read to its end");
    for (size_t i = 0; i < log.runs.count && !unfinished; i++)
        if (!log.runs.items[i].ended)
            complain(&log, log.runs.items[i].id, "this run has no end: records were cut off, or it runs still, or was killed");
    if (last && memcmp(last, &log.last, sizeof *last) != 0)
        complain(&log, NULL, "the last value of the chain is another");
    if (log.records == 0)
        complain(&log, NULL, "no records");
    if (!log.bad) {
        char hex[SHA256_HEX_SIZE];

        sha256_hex(&log.last, hex);
        printf("%s: %lu records of %zu run%s, all as they were written; last %s\n", path, log.records, log.runs.count,
               log.runs.count == 1 ? "" : "s", hex);
    }
    for (size_t i = 0; i < log.runs.count; i++)
        mem_free(log.runs.items[i].id);
    vec_fini(&log.runs);
    free(line);
    fclose(f);
    return log.bad ? 1 : 0;
}

int
cmd_audit(int argc, char **argv)
{
    static const struct option longs[] = {
        {"unfinished", no_argument, NULL, 'u'}, {"last", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    bool unfinished = false, has_last = false;
    struct sha256 last;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'u') {
            unfinished = true;
        } else if (c == 'l') {
            if (sha256_parse(optarg, &last) < 0)
                return cli_fail(2, "audit: --last %s: expected 64 hex digits", optarg);
            has_last = true;
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (optind + 2 != argc || strcmp(argv[optind], "verify") != 0) {
        fputs(usage, stderr);
        return 2;
    }
    return verify(argv[optind + 1], unfinished, has_last ? &last : NULL);
}
