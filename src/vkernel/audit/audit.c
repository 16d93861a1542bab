#include "vkernel/audit/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json_text.h"
#include "base/rare.h"
#include "platform/platform.h"
#include "vkernel/worker/worker.h"

/* What a guest can make us write: of each kind this many records at once, and then so many a second. An exec takes some
 * tenths of a millisecond, so ordinary work stays far below. Kinds do not share, so that a flood of refusals or
 * connections hides no launch. */
enum { BURST = 8192, RATE = 1000 };
enum kind { DONE, REFUSED, NETWORK, KINDS };

/* Behind a record's fields: the mark that it was cut, the chain, the newline. */
#define CUT_MEMBER ",\"ingot.cut\":true"
enum { TAIL_ROOM = sizeof CUT_MEMBER - 1 + AUDIT_TAIL_SIZE + 1, FIELD_ROOM = AUDIT_LINE_MAX - TAIL_ROOM };

uint64_t audit_refusals;

/* All of it belongs to the holder of the kernel lock. */
static char audit_line[AUDIT_LINE_MAX] RARE; /* of the entry in the making: 16 KiB of stack would be cleared at each
                                                use, with a log or without */
static struct {
    int fd; /* -1: no log */
    bool journal, torn, drop, said, making;
    char run[33]; /* hex: tells the runs in one file apart */
    struct sha256 chain;
    uint64_t sequence, dropped[KINDS], lost;
    uint64_t tokens[KINDS], refilled_ns; /* the rate */
} audit_log = {.fd = -1};

void
audit_open(const char *where, bool drop)
{
    uint8_t id[16];

    if (strcmp(where, "journald") == 0) {
        audit_log.fd = platform_open_journal();
        audit_log.journal = true;
    } else if (strncmp(where, "fd:", 3) == 0) {
        char *end;
        unsigned long fd = strtoul(where + 3, &end, 10);

        if (where[3] < '0' || where[3] > '9' || *end || fd > INT32_MAX)
            platform_die("--audit %s: expected fd: and the number of an open descriptor", where);
        audit_log.fd = platform_take_descriptor((int)fd);
    } else {
        audit_log.fd = platform_open_append(where);
    }
    if (audit_log.fd < 0)
        platform_die("cannot open the audit log %s: %s", where, strerror(-audit_log.fd));
    platform_random(id, sizeof id);
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(audit_log.run + 2 * i, 3, "%02x", id[i]);
    audit_log.drop = drop;
    audit_log.torn = !audit_log.journal && platform_ends_within_line(audit_log.fd); /* by a run before */
    if (drop)
        audit_log.fd = platform_never_wait(audit_log.fd);
    for (int i = 0; i < KINDS; i++)
        audit_log.tokens[i] = BURST;
    audit_log.refilled_ns = platform_monotonic_ns();
}

static bool
within_rate(enum kind kind)
{
    uint64_t now = platform_monotonic_ns(), fresh = (now - audit_log.refilled_ns) / (1000000000u / RATE);

    if (fresh) {
        for (int i = 0; i < KINDS; i++)
            audit_log.tokens[i] = audit_log.tokens[i] + fresh < BURST ? audit_log.tokens[i] + fresh : BURST;
        audit_log.refilled_ns = now;
    }
    if (!audit_log.tokens[kind]) {
        audit_log.dropped[kind]++;
        return false;
    }
    audit_log.tokens[kind]--;
    return true;
}

/* --- a record --- */

static void
put_text(struct audit_entry *e, const char *text)
{
    size_t n = strlen(text);

    if (n > FIELD_ROOM - e->at) {
        e->cut = true;
        return;
    }
    memcpy(audit_line + e->at, text, n);
    e->at += n;
}

/* A member's name and colon; false: no room for it and a value of `room` bytes. */
static bool
put_name(struct audit_entry *e, const char *field, size_t room)
{
    size_t n = strlen(field);

    if (!e->on)
        return false;
    if (n + 4 + room > FIELD_ROOM - e->at) {
        e->cut = true;
        return false;
    }
    e->at += (size_t)snprintf(audit_line + e->at, FIELD_ROOM - e->at, ",\"%s\":", field);
    return true;
}

void
audit_string(struct audit_entry *e, const char *field, const char *value)
{
    if (value && *value && put_name(e, field, 64))
        e->at = json_put_string(audit_line, e->at, FIELD_ROOM, value, &e->cut);
}

void
audit_number(struct audit_entry *e, const char *field, int64_t value)
{
    if (put_name(e, field, 24))
        e->at += (size_t)snprintf(audit_line + e->at, FIELD_ROOM - e->at, "%lld", (long long)value);
}

void
audit_hash(struct audit_entry *e, const char *field, const uint8_t hash[SHA256_SIZE])
{
    char hex[SHA256_HEX_SIZE];
    struct sha256 h;

    memcpy(h.bytes, hash, sizeof h.bytes);
    sha256_hex(&h, hex);
    audit_string(e, field, hex);
}

void
audit_list(struct audit_entry *e, const char *field, char *const *items)
{
    enum { ROOM = 64 };

    if (!items || !put_name(e, field, ROOM))
        return;
    audit_line[e->at++] = '[';
    for (size_t i = 0; items[i]; i++) {
        if (FIELD_ROOM - e->at < ROOM) {
            e->cut = true;
            break;
        }
        if (i)
            audit_line[e->at++] = ',';
        e->at = json_put_string(audit_line, e->at, FIELD_ROOM - 1, items[i], &e->cut);
    }
    audit_line[e->at++] = ']';
}

/* The C library's gmtime reads the host's time zone, a file out of reach. Days are counted from 1 March of year 0, so
 * that a leap day is the last of its year; 146097 days are 400 years. */
static void
put_time(struct audit_entry *e)
{
    enum { DAYS_BEFORE_1970 = 719468, DAYS_400_YEARS = 146097 };
    uint64_t now = platform_realtime_ns(), seconds = now / 1000000000u;
    unsigned second = (unsigned)(seconds % 86400), days = (unsigned)(seconds / 86400) + DAYS_BEFORE_1970;
    unsigned era = days / DAYS_400_YEARS, day = days % DAYS_400_YEARS;
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned month;
    char text[64];

    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* from March */
    day -= (153 * month + 2) / 5;
    month = month < 10 ? month + 3 : month - 9;
    year += 400 * era + (month <= 2);
    snprintf(text, sizeof text, "{\"@timestamp\":\"%04u-%02u-%02uT%02u:%02u:%02u.%09uZ\"", year, month, day + 1,
             second / 3600, second / 60 % 60, second % 60, (unsigned)(now % 1000000000u));
    put_text(e, text);
}

static void
begin(struct audit_entry *e, enum audit_category category, const char *action, bool outcome)
{
    static const char *const categories[] = {
        [AUDIT_PROCESS] = "process",
        [AUDIT_FILE] = "file",
        [AUDIT_NETWORK] = "network",
        [AUDIT_CONFIGURATION] = "configuration",
    };
    char text[256];

    CHECK(!audit_log.making, "two audit records are made at once");
    audit_log.making = true;
    e->on = true;
    e->cut = false;
    e->at = 0;
    put_time(e);
    snprintf(text, sizeof text,
             ",\"ecs.version\":\"8.11.0\",\"event.kind\":\"event\",\"event.category\":[\"%s\"],\"event.action\":\"%s\","
             "\"event.outcome\":\"%s\",\"event.sequence\":%llu,\"ingot.run\":\"%s\"",
             categories[category], action, outcome ? "success" : "failure", (unsigned long long)audit_log.sequence,
             audit_log.run);
    put_text(e, text);
    if (this_worker.pid) {
        audit_number(e, "process.pid", *this_worker.pid);
        audit_string(e, "process.name", this_worker.comm);
    }
}

/* One write, so that runs that share a file do not mix their lines. */
static bool
write_line(const char *line, size_t size)
{
    static const char head[] = "SYSLOG_IDENTIFIER=ingot\nPRIORITY=6\nMESSAGE=";
    static char packet[sizeof head + AUDIT_LINE_MAX] RARE;
    size_t done = 0;

    if (audit_log.drop && !platform_can_write(audit_log.fd))
        return false;
    if (audit_log.journal) {
        memcpy(packet, head, sizeof head - 1);
        memcpy(packet + sizeof head - 1, line, size);
        return platform_write(audit_log.fd, packet, sizeof head - 1 + size) > 0;
    }
    if (audit_log.torn) { /* what stands there of a record that could not be finished is a line of its own */
        if (platform_write(audit_log.fd, "\n", 1) != 1)
            return false;
        audit_log.torn = false;
    }
    while (done < size) {
        long n = platform_write(audit_log.fd, line + done, size - done);

        if (n <= 0) {
            audit_log.torn = done > 0;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool
finish(struct audit_entry *e)
{
    struct sha256 chain = audit_log.chain;
    char hex[SHA256_HEX_SIZE];

    e->on = audit_log.making = false;
    if (e->cut) {
        memcpy(audit_line + e->at, CUT_MEMBER, sizeof CUT_MEMBER - 1);
        e->at += sizeof CUT_MEMBER - 1;
    }
    audit_chain_next(&chain, audit_line, e->at);
    sha256_hex(&chain, hex);
    e->at +=
        (size_t)snprintf(audit_line + e->at, sizeof audit_line - e->at, AUDIT_CHAIN_MEMBER "%s" AUDIT_CHAIN_END, hex);
    audit_line[e->at++] = '\n';
    if (!write_line(audit_line, e->at)) {
        if (!audit_log.said)
            platform_log("ingot: the audit log cannot be written; records are lost\n");
        audit_log.said = true;
        return false;
    }
    audit_log.chain = chain;
    audit_log.sequence++;
    return true;
}

void
audit_end(struct audit_entry *e)
{
    if (e->on && !finish(e))
        audit_log.lost++;
}

/* What is not there, as soon as something can be written again. */
static void
put_missing(void)
{
    uint64_t dropped = 0;
    struct audit_entry e;

    for (int i = 0; i < KINDS; i++)
        dropped += audit_log.dropped[i];
    if (!dropped && !audit_log.lost)
        return;
    begin(&e, AUDIT_CONFIGURATION, "records-dropped", false);
    audit_number(&e, "ingot.dropped", (int64_t)dropped);
    audit_number(&e, "ingot.dropped_launches", (int64_t)audit_log.dropped[DONE]);
    audit_number(&e, "ingot.lost", (int64_t)audit_log.lost);
    if (!finish(&e))
        return;
    memset(audit_log.dropped, 0, sizeof audit_log.dropped);
    audit_log.lost = 0;
}

void
audit_begin(struct audit_entry *e, enum audit_category category, const char *action, bool outcome)
{
    e->on = false;
    if (audit_log.fd < 0 || !within_rate(category == AUDIT_NETWORK ? NETWORK : outcome ? DONE : REFUSED))
        return;
    put_missing();
    begin(e, category, action, outcome);
}

void
audit_record(enum audit_category category, const char *action, int outcome, ...)
{
    struct audit_entry e;
    const char *field;
    va_list ap;

    audit_begin(&e, category, action, outcome);
    va_start(ap, outcome);
    while ((field = va_arg(ap, const char *)))
        audit_string(&e, field, va_arg(ap, const char *));
    va_end(ap);
    audit_end(&e);
}

/* --- first and last: never dropped --- */

void
audit_start(const uint8_t root_digest[SHA256_SIZE], const char *layers, const char *missing, char *const *command)
{
    struct audit_entry e;

    if (audit_log.fd < 0)
        return;
    begin(&e, AUDIT_PROCESS, AUDIT_STARTED, true);
    audit_hash(&e, "ingot.root_digest", root_digest);
    audit_string(&e, "ingot.layers", layers);
    audit_string(&e, "ingot.missing_layers", missing);
    audit_list(&e, "process.args", command);
    audit_end(&e);
}

void
audit_finish(int exit_status)
{
    struct audit_entry e;

    if (audit_log.fd < 0)
        return;
    put_missing();
    begin(&e, AUDIT_PROCESS, AUDIT_ENDED, true);
    audit_number(&e, "process.exit_code", exit_status);
    audit_number(&e, "ingot.refused", (int64_t)audit_refusals);
    audit_end(&e);
}
