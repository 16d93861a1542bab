/* ingot run: starts a built image with options, by executing it. The options travel as percent-encoded words,
 * separated by spaces (hand_over.c). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/vec.h"
#include "cli/cli.h"
#include "cli/signature.h"

static const char usage[] =
    "usage: ingot run [OPTIONS] OUT [CMD [ARG...]]\n"
    "\n"
    "Runs a built image; CMD replaces the image's Cmd, as with docker run.\n"
    "\n"
    "  -e, --env NAME=VALUE       set an environment variable (NAME alone: from the environment)\n"
    "  -w, --workdir DIR          working directory\n"
    "  -u, --user USER[:GROUP]    user name or id\n"
    "  -v, --volume SRC:DST[:ro]  mount a host folder\n"
    "  --network none|user|host   none (default): only the container's own loopback; user: addresses and ports of its\n"
    "                             own, and what is outside by TCP, UDP and names; host: TCP and UDP of the host, with\n"
    "                             its interfaces, ports, /etc/hosts and /etc/resolv.conf\n"
    "  -p, --publish [IP:]HOST:GUEST[/udp]\n"
    "                             a port of the host leads to one of the container (--network user); may be repeated\n"
    "  --allow DEST[:PORT]        the container reaches only such destinations: an address, a range as 10.0.0.0/8 or\n"
    "                             [fd00::]/8, with --network user also a name or *.NAME; may be repeated\n"
    "  --dns IP[:PORT]            whom the container's resolver asks (default: the host's resolvers); up to three\n"
    "  --host-loopback            the gateway 10.0.2.2, fd00::2 is the host's 127.0.0.1, ::1 (--network user)\n"
    "  -m, --memory BYTES         limit of all memory that the container takes (suffixes k, m, g)\n"
    "  --pids N                   limit of processes and threads (also --pids-limit); -1: none\n"
    "  --cpus N                   processors of the container (default: all that ingot may use); 0.5: half the time of one\n"
    "  --disk BYTES               limit of what the container may write beside the image and volumes\n"
    "  --ulimit NAME=SOFT[:HARD]  resource limit of all processes (nofile, nproc, ...); may be repeated; -1: none\n"
    "  --timeout TIME             end the container after so long (90, 1m30s, 1.5h): SIGTERM, after 10 s SIGKILL\n"
    "  -h, --hostname NAME        host name (default: 12 random hex digits; with --network host the host's)\n"
    "  --audit FILE|fd:N|journald append an audit record (JSON lines) for every launch, refusal and limit\n"
    "  --audit-full wait|drop     a log that nobody reads: wait for them (default), or drop records and count them\n"
    "  -q, --quiet                no lines of ingot's own about what it refused or limited\n"
    "  --require-signature KEY    run it only when it is signed by this Ed25519 key (PEM) and its native code is right;\n"
    "                             may be repeated\n"
    "  --isolate default|full     full: in PID and network namespaces of its own too, which takes a second process\n"
    "  --require-layers           refuse to start where the host does not allow a layer of the lock-down\n"
    "  --eval-unknown             let in programs that are not in the ledger, made in the container for example: slowly, by\n"
    "                             the evaluator; each is recorded\n"
    "  --policy enforce|audit     audit: as --eval-unknown, and say of each that it would be refused\n"
    "  --strace                   print system calls to standard error\n"
    "  --stats                    at the end, print what the evaluator ran and which system calls are missing\n"
    "  --stats=FILE               append that to FILE as JSON, with every address: a profile for ingot build\n"
    "  --lockstep                 check native code against the evaluator; stop at the first instruction that it gets wrong\n"
    "  --lockstep=OTHER           run OTHER, built from the same image (by the other backend, say), at the same time: stop at the first system call\n"
    "                             at which the two differ (standard input is empty, time passes by system calls)\n"
    "  --stress MODE              unwind, budget, evaluate or migrate: rare paths made frequent, for testing\n"
    "  --help                     this text\n"
    "\n"
    "Exit status: the command's; 125 when ingot itself failed, 126 when the command cannot be\n"
    "executed, 127 when it was not found, 128 + N when signal N ended it, 124 when --timeout did.\n";

/* clang-format off */
static const struct run_option {
    const char *name;
    char letter;
    enum { NO_VALUE, VALUE, OPTIONAL_VALUE } value;
} options[] = {
    {"--env", 'e', VALUE}, {"--workdir", 'w', VALUE}, {"--user", 'u', VALUE}, {"--volume", 'v', VALUE},
    {"--network", 0, VALUE}, {"--publish", 'p', VALUE}, {"--allow", 0, VALUE}, {"--dns", 0, VALUE},
    {"--host-loopback", 0, NO_VALUE}, {"--memory", 'm', VALUE},
    {"--pids", 0, VALUE},
    {"--pids-limit", 0, VALUE},
    {"--cpus", 0, VALUE},
    {"--disk", 0, VALUE},
    {"--timeout", 0, VALUE},
    {"--ulimit", 0, VALUE}, {"--hostname", 'h', VALUE}, {"--audit", 0, VALUE}, {"--audit-full", 0, VALUE},
    {"--strace", 0, NO_VALUE}, {"--stats", 0, OPTIONAL_VALUE}, {"--stress", 0, VALUE},
    {"--require-layers", 0, NO_VALUE}, {"--isolate", 0, VALUE}, {"--lockstep", 0, OPTIONAL_VALUE}, {"--policy", 0, VALUE}, {"--eval-unknown", 0, NO_VALUE}, {"--require-signature", 0, VALUE}, {"--quiet", 'q', NO_VALUE},
};
/* clang-format on */

static void
put_word(struct buf *b, const char *s)
{
    static const char digits[] = "0123456789abcdef";

    if (b->size)
        buf_put_u8(b, ' ');
    if (!*s)
        buf_put(b, "%00", 3); /* an empty word must show */
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (isalnum(c) || strchr("-_./:=,+@", c)) {
            buf_put_u8(b, c);
        } else {
            buf_put_u8(b, '%');
            buf_put_u8(b, (uint8_t)digits[c >> 4]);
            buf_put_u8(b, (uint8_t)digits[c & 15]);
        }
    }
}

static const struct run_option *
find_option(const char *arg, const char **value)
{
    size_t length = strcspn(arg, "=");

    *value = arg[length] ? arg + length + 1 : NULL;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strlen(options[i].name) == length && strncmp(arg, options[i].name, length) == 0)
            return &options[i];
        if (arg[0] == '-' && options[i].letter && arg[1] == options[i].letter) {
            *value = arg[2] ? arg + 2 : NULL;
            return &options[i];
        }
    }
    return NULL;
}

/* NAME alone takes the value from our own environment; unset: nothing, as docker does. */
static void
put_env(struct buf *b, const char *value)
{
    const char *set;
    char *pair;

    if (strchr(value, '=')) {
        put_word(b, "--env");
        put_word(b, value);
        return;
    }
    set = getenv(value);
    if (!set)
        return;
    pair = mem_printf("%s=%s", value, set);
    put_word(b, "--env");
    put_word(b, pair);
    mem_free(pair);
}

/* The artifact checks the rest of itself when it starts; whether the code that does so is the one that was signed, it
 * cannot. */
static int
check_signatures(const struct artifact_view *v, char *const *keys, size_t count, struct err *e)
{
    struct sha256 have;

    for (size_t i = 0; i < count; i++) {
        uint8_t key[32];

        if (signature_read_public(keys[i], key, e) < 0)
            return -1;
        if (signature_check(v, key, e) < 0)
            return err_prefix(e, "%s", keys[i]);
    }
    sha256_of(v->file.data, v->header.elf_size, &have);
    if (memcmp(have.bytes, v->header.elf_sha256, sizeof have.bytes) != 0)
        return err_set(e, "the native code does not match its hash");
    return 0;
}

/* A descriptor of it, or -1 after a message. *path: its name for exec. */
static int
open_image(const char *name, char *const *keys, size_t key_count, char **path)
{
    struct artifact_view view;
    struct err e = {0};
    int fd;

    *path = strchr(name, '/') ? mem_strdup(name) : mem_printf("./%s", name);
    /* Anything else would run as a program of the host's, with nothing around it. */
    fd = file_open(*path, &e);
    if (fd < 0 || artifact_open_fd(&view, fd, *path, &e) < 0) {
        cli_fail(125, "run: %s", e.text);
        return -1;
    }
    if (key_count && check_signatures(&view, keys, key_count, &e) < 0) {
        cli_fail(125, "run: %s was not started: %s", *path, e.text);
        return -1;
    }
    artifact_close(&view);
    return fd;
}

/* What the options before the image say. */
struct request {
    struct buf words; /* for the vkernel: docs/formats.md, "Options from ingot run" */
    VEC(char *) keys;
    const char *other; /* of --lockstep=OTHER */
};

/* 0, or the exit status after a message. last: there is no further argument, which could be its value. */
static int
check_option(const struct run_option *o, const char *argument, const char *value, bool last)
{
    if (!o)
        return cli_fail(125, "run: unknown option %s (see ingot run --help)", argument);
    if (o->value == NO_VALUE && value)
        return cli_fail(125, "run: %s takes no value", o->name);
    if (o->value == VALUE && !value && last)
        return cli_fail(125, "run: %s needs a value", o->name);
    return 0;
}

static void
take_option(struct request *q, const struct run_option *o, const char *value)
{
    if (strcmp(o->name, "--lockstep") == 0 && value) {
        q->other = value;
    } else if (strcmp(o->name, "--require-signature") == 0) {
        vec_push(&q->keys, (char *)(uintptr_t)value);
    } else if (strcmp(o->name, "--env") == 0) {
        put_env(&q->words, value);
    } else if (o->value == OPTIONAL_VALUE && value) {
        char *word = mem_printf("%s=%s", o->name, value);

        put_word(&q->words, word);
        mem_free(word);
    } else {
        put_word(&q->words, o->name);
        if (value)
            put_word(&q->words, value);
    }
}

/* Returns the index of what is behind the options. -1: this is all of the run, and *status its exit status. */
static int
take_options(struct request *q, int argc, char **argv, int *status)
{
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        const char *value;
        const struct run_option *o;

        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            *status = 0;
            return -1;
        }
        o = find_option(argv[i], &value);
        *status = check_option(o, argv[i], value, i + 1 == argc);
        if (*status != 0)
            return -1;
        take_option(q, o, o->value == VALUE && !value ? argv[++i] : value);
    }
    return i;
}

int
cmd_run(int argc, char **argv)
{
    struct request q = {0};
    char *path, *other_path = NULL;
    int status, fd, i = take_options(&q, argc, argv, &status);

    if (i < 0)
        return status;
    if (i >= argc) {
        fputs(usage, stderr);
        return 125;
    }
    fd = open_image(argv[i], q.keys.items, q.keys.count, &path);
    if (fd < 0 || (q.other && open_image(q.other, q.keys.items, q.keys.count, &other_path) < 0))
        return 125;
    buf_put_u8(&q.words, 0);
    if (!q.other && hand_over((char *)q.words.data) != 0)
        return 125;
    if (i + 1 < argc && strcmp(argv[i + 1], "--") == 0) {
        argv[i + 1] = argv[i];
        i++;
    }
    if (q.other && q.keys.count)
        return cli_fail(2, "run: --require-signature does not go with --lockstep=OTHER");
    if (q.other)
        return compare_runs(path, other_path, (char *)q.words.data, argv + i);
    if (q.keys.count) /* the very file that was checked */
        execveat(fd, "", argv + i, environ, AT_EMPTY_PATH);
    else
        execv(path, argv + i);
    return cli_fail(125, "run: %s: %s", path, strerror(errno));
}
