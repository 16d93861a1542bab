/* Reads the tables of system calls and types. */
#include "fuzz/syscalls/table.h"

#include <arpa/inet.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_KINDS = 64, KIND_NAME = 16 };

#define VALUES(name, ...)  static const uint64_t values_##name[] = {__VA_ARGS__};
#define FLAGS(name, ...)   static const uint64_t flags_##name[] = {__VA_ARGS__};
#define STRINGS(name, ...) static const char *const strings_##name[] = {__VA_ARGS__};
#define STRUCT(name, fields)
#define UNION(name, members)
#include "vkernel/abi/types.def"
#undef VALUES
#undef FLAGS
#undef STRINGS
#undef STRUCT
#undef UNION

#define COUNT(a) (sizeof(a) / sizeof *(a))
static struct type types[] = {
#define VALUES(n, ...)    {.name = #n, .kind = TYPE_VALUES, .values = values_##n, .count = COUNT(values_##n)},
#define FLAGS(n, ...)     {.name = #n, .kind = TYPE_FLAGS, .values = flags_##n, .count = COUNT(flags_##n)},
#define STRINGS(n, ...)   {.name = #n, .kind = TYPE_STRINGS, .strings = strings_##n, .count = COUNT(strings_##n)},
#define STRUCT(n, fields) {.name = #n, .kind = TYPE_STRUCT, .text = (fields)},
#define UNION(n, members) {.name = #n, .kind = TYPE_UNION, .text = (members)},
#include "vkernel/abi/types.def"
};

struct row rows[] = {
#define SYS(nr, n, a, f) {.number = (nr), .name = #n, .arity = (a), .format = (f)},
#include "vkernel/abi/syscalls.def"
};
const unsigned row_count = COUNT(rows);

static char kinds[MAX_KINDS][KIND_NAME];
static unsigned kind_count = 1;

static _Noreturn void
bad(const char *where, const char *what)
{
    fprintf(stderr, "fuzz_syscalls: %s: %s\n", where, what);
    exit(2);
}

/* What a letter's name is, where types of several sorts share one: FLAGS and VALUES for numbers, STRINGS for s. */
static const struct type *
find_type(const char *name, char letter)
{
    for (unsigned i = 0; i < COUNT(types); i++) {
        enum type_kind k = types[i].kind;
        bool fits = letter == 's'           ? k == TYPE_STRINGS
                    : strchr("prw", letter) ? k == TYPE_STRUCT || k == TYPE_UNION
                                            : k == TYPE_VALUES || k == TYPE_FLAGS;

        if (fits && strcmp(types[i].name, name) == 0)
            return &types[i];
    }
    return NULL;
}

const struct type *
table_type(const char *name)
{
    for (unsigned i = 0; i < COUNT(types); i++)
        if ((types[i].kind == TYPE_STRUCT || types[i].kind == TYPE_UNION) && strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const struct type *
table_number(const char *name)
{
    return find_type(name, 'd');
}

unsigned
table_kind(const char *name)
{
    for (unsigned i = 1; i < kind_count; i++)
        if (strcmp(kinds[i], name) == 0)
            return i;
    if (kind_count == MAX_KINDS || strlen(name) >= KIND_NAME)
        bad("descriptor kind", name);
    strcpy(kinds[kind_count], name);
    return kind_count++;
}

/* "p8:iovec*", "f:epoll", "lo16": returns what is behind it. */
static const char *
parse_word(const char *p, struct word *w, const char *where)
{
    char name[40] = "";
    size_t n = strcspn(p, " ");
    const char *end = p + n, *colon = memchr(p, ':', n);

    *w = (struct word){.letter = *p == 'X' ? 'x' : *p}; /* only wider */
    if ((n == 4 && strncmp(p, "lo16", n) == 0) || (n == 5 && strncmp(p, "elf16", n) == 0)) {
        *w = (struct word){.letter = '"', .size = 16, .literal = *p == 'l' ? "lo" : "\177ELF\2\1\1"};
        return end + (*end == ' ');
    }
    w->size = (unsigned)strtoul(p + 1, NULL, 10);
    if (colon) {
        size_t length = (size_t)(end - colon) - 1;

        if (end[-1] == '*') {
            w->array = true;
            length--;
        }
        if (length >= sizeof name)
            bad(where, "name too long");
        memcpy(name, colon + 1, length);
        name[length] = '\0';
    }
    if (w->letter == 'f')
        w->resource = *name ? (uint8_t)table_kind(name) : 0;
    else if (*name && !(w->type = find_type(name, w->letter)))
        bad(where, name);
    if (w->letter == 's' && !*name)
        w->type = find_type("path", 's');
    if (w->letter == 'F')
        w->type = find_type("open", 'x');
    if (w->letter == 'P')
        w->type = find_type("prot", 'x');
    if (w->letter == 'c')
        w->type = find_type("clock", 'd');
    return end + (*end == ' ');
}

void
table_word(const char *text, struct word *w)
{
    char word[60];

    snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " ;"), text);
    parse_word(word, w, text);
}

static void
parse_structure(struct type *t)
{
    const char *p = t->text;

    for (t->count = 0; *p; t->count++) {
        if (t->count == MAX_FIELDS)
            bad(t->name, "too many fields");
        p = parse_word(p, &t->fields[t->count], t->name);
        if (!t->fields[t->count].size)
            bad(t->name, "field without a size");
        t->size += t->fields[t->count].size;
    }
}

static void
parse_union(struct type *t)
{
    char text[200], *save = NULL;

    snprintf(text, sizeof text, "%s", t->text);
    for (char *m = strtok_r(text, " ", &save); m; m = strtok_r(NULL, " ", &save)) {
        const struct type *member = table_type(m);

        if (!member && strcmp(m, "direct") != 0)
            bad(t->name, m);
        if (t->count == MAX_ALTERNATIVES)
            bad(t->name, "too many members");
        t->alternatives[t->count++] = member; /* NULL: a number in the pointer's place */
    }
}

static void
parse_row(struct row *r)
{
    const char *p = r->format;

    for (unsigned i = 0; i < r->arity; i++)
        p = parse_word(p, &r->args[i], r->name);
    if (*p == '=')
        p = parse_word(p + 1, &r->result, r->name);
    if (*p)
        bad(r->name, "more words than arguments");
}

void
table_init(void)
{
    for (unsigned i = 0; i < COUNT(types); i++)
        if (types[i].kind == TYPE_STRUCT)
            parse_structure(&types[i]);
    for (unsigned i = 0; i < COUNT(types); i++)
        if (types[i].kind == TYPE_UNION)
            parse_union(&types[i]);
    for (unsigned i = 0; i < row_count; i++)
        parse_row(&rows[i]);
}

const struct row *
table_row(unsigned number)
{
    for (unsigned i = 0; i < row_count; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

const struct row *
table_named(const char *name)
{
    for (unsigned i = 0; i < row_count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    bad("no such call", name);
}
