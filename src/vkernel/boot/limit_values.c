/* Parsing the values of the options that limit the container. This file knows only texts and numbers;
 * container_limits.c decides what becomes of them. The texts come from whoever starts the container, so every sum and
 * product is checked for overflow. */
#include "vkernel/boot/limit_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BILLION UINT64_C(1000000000)

/* Reads a decimal number, which has digits before the point or behind it, in billionths. *end is what follows it. */
static bool
decimal(const char *text, const char **end, uint64_t *billionths)
{
    uint64_t whole = 0, part = 0, unit = BILLION;
    const char *p = text;
    bool digits = false;

    for (; *p >= '0' && *p <= '9'; p++, digits = true)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return false;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits = true) {
            unit /= 10; /* the unit is 0 from the tenth digit on, which is below a billionth */
            part += unit * (uint64_t)(*p - '0');
        }
    *end = p;
    return digits && !__builtin_mul_overflow(whole, BILLION, &whole) &&
           !__builtin_add_overflow(whole, part, billionths);
}

bool
value_processors(const char *text, uint64_t *billionths)
{
    const char *end;

    return decimal(text, &end, billionths) && !*end;
}

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", BILLION}, {"m", 60 * BILLION}, {"h", 3600 * BILLION}};

static const struct unit *
find_unit(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
            return &units[i];
    return NULL;
}

bool
value_duration(const char *text, uint64_t *ns)
{
    uint64_t number;

    *ns = 0;
    do {
        const struct unit *u;
        unsigned __int128 sum;
        size_t length;

        if (!decimal(text, &text, &number))
            return false;
        if (!*text && *ns == 0) { /* A number alone means seconds, and a billionth of a second is a nanosecond. */
            *ns = number;
            return true;
        }
        length = strcspn(text, "0123456789.");
        u = find_unit(text, length);
        if (!u)
            return false;
        sum = (unsigned __int128)number * u->ns / BILLION + *ns;
        if (sum > UINT64_MAX)
            return false;
        *ns = (uint64_t)sum;
        text += length;
    } while (*text);
    return true;
}

static bool
number(const char *text, const char **end, uint64_t *value)
{
    char *after;

    if (strncmp(text, "-1", 2) == 0) {
        *value = UINT64_MAX;
        *end = text + 2;
        return true;
    }
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

bool
value_count(const char *text, uint64_t *count)
{
    return number(text, &text, count) && !*text;
}

/* The names are docker's. It does not have `as`. */
static const char *const resources[RLIM_NLIMITS] = {
    [RLIMIT_CORE] = "core",         [RLIMIT_CPU] = "cpu",
    [RLIMIT_DATA] = "data",         [RLIMIT_FSIZE] = "fsize",
    [RLIMIT_LOCKS] = "locks",       [RLIMIT_MEMLOCK] = "memlock",
    [RLIMIT_NICE] = "nice",         [RLIMIT_NOFILE] = "nofile",
    [RLIMIT_NPROC] = "nproc",       [RLIMIT_RSS] = "rss",
    [RLIMIT_RTPRIO] = "rtprio",     [RLIMIT_RTTIME] = "rttime",
    [RLIMIT_STACK] = "stack",       [RLIMIT_AS] = "as",
    [RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_SIGPENDING] = "sigpending",
};

static int
find_resource(const char *name, size_t length)
{
    for (int k = 0; k < RLIM_NLIMITS; k++)
        if (resources[k] && strlen(resources[k]) == length && memcmp(resources[k], name, length) == 0)
            return k;
    return -1;
}

bool
value_ulimit(const char *text, int *resource, struct rlimit *limit, const char **why)
{
    size_t length = strcspn(text, "=");
    uint64_t soft = 0, hard;
    bool valid;

    *resource = find_resource(text, length);
    *why =
        "expected one of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, "
        "sigpending and stack in front of =";
    if (*resource < 0 || !text[length])
        return false;
    valid = number(text + length + 1, &text, &soft);
    hard = soft;
    if (valid && *text == ':')
        valid = number(text + 1, &text, &hard);
    *why = "expected NAME=SOFT[:HARD], numbers or -1";
    if (!valid || *text)
        return false;
    *why = "the soft limit is above the hard one";
    *limit = (struct rlimit){.rlim_cur = soft, .rlim_max = hard}; /* UINT64_MAX is RLIM_INFINITY */
    return soft <= hard;
}
