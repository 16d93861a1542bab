/* The seccomp filter: an allow list with conditions on arguments, made from host_calls.def. Everything else ends the
 * process: the C library is our own copy, so nothing that it makes is a surprise, and a wrong errno would only help
 * whoever probes.
 *
 * Conditions look at the lower half of an argument: each of these is an int, or a word of flags, to the kernel. What
 * a pointer leads to cannot be seen here (the paths and flags of openat2, addresses): that is for the other layers. */
#include "platform/lockdown_internal.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS SECCOMP_RET_KILL
#endif

enum {
    FILTER_MAX = 600,
    CONDITIONS_MAX = 3,
    RULE_MAX = 60,
    NEAR_RULES = 255 / RULE_MAX,
    LINEAR_RULES = 5,
    CODE_SET_GS = 0x1001,
    CODE_SET_FS = 0x1002,
    TCGETS2_ = 0x802c542a,
    TCSETS2_ = 0x402c542b
};

static const uint32_t advices[] = {MADV_DONTNEED, MADV_FREE, MADV_REMOVE, 23 /* MADV_POPULATE_WRITE */};
static const uint32_t lock_commands[] = {F_OFD_GETLK, F_OFD_SETLK};
static const uint32_t punches[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
/* The numbers ending in 2 are what newer C libraries make of tcgetattr and tcsetattr. */
static const uint32_t requests[] = {TCGETS,     TCSETS,   TCSETSW,
                                    TCGETS2_,   TCSETS2_, TCSETS2_ + 1,
                                    TIOCGWINSZ, FIONREAD, PLATFORM_PAGEMAP_SCAN};
/* The first ones are about bytes of a socket, and all that --network user has. */
enum { SOCKET_REQUESTS = 2 };
static const uint32_t network_requests[] = {
    SIOCOUTQ,       SIOCATMARK,     SIOCGIFCONF,   SIOCGIFNAME, SIOCGIFFLAGS,  SIOCGIFADDR,  SIOCGIFDSTADDR,
    SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU,  SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN,
};

static size_t
network_request_count(const struct lockdown *l)
{
    if (l->network_host)
        return sizeof network_requests / sizeof *network_requests;
    return l->network_user ? SOCKET_REQUESTS : 0;
}
static const uint32_t empty_path[] = {AT_EMPTY_PATH};
static const uint32_t clocks[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                  CLOCK_THREAD_CPUTIME_ID, CLOCK_BOOTTIME,  (uint32_t)OWN_TICK_CLOCK,
                                  (uint32_t)OWN_USER_CLOCK};
static const uint32_t futex_operations[] = {FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE};
static const uint32_t set_bases[] = {CODE_SET_GS, CODE_SET_FS};
static const uint32_t families[] = {AF_INET, AF_INET6};
static const uint32_t types[] = {SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK};
static const uint32_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};
static const uint32_t levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP};

enum { MAP_FLAGS = MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_STACK };

struct condition {
    enum { END, BITS_CLEAR, BITS_WITHIN, LISTED, OWN_PID } kind;
    unsigned argument;
    const char *name, *text;
    uint32_t bits;
    const uint32_t *values;
    size_t count;
};

#define NO_BITS(n, name, text, mask)   {BITS_CLEAR, n, name, text, mask, NULL, 0}
#define ONLY_BITS(n, name, text, mask) {BITS_WITHIN, n, name, text, mask, NULL, 0}
#define ONE_OF(n, name, list)          {LISTED, n, name, NULL, 0, list, sizeof list / sizeof *list}
#define SELF(n, name)                  {OWN_PID, n, name, NULL, 0, NULL, 0}
#define C(...)                         {__VA_ARGS__}
#define ANY                            {{0}}

enum when { ALWAYS, VOLUMES, NETWORK, NETWORK_HOST, PUBLISHED, PROCESSORS };

static const struct rule {
    int number;
    const char *name;
    enum when when;
    struct condition conditions[CONDITIONS_MAX];
    const char *purpose;
} rules[] = {
#define HOST_CALL(name, when, conditions, purpose) {__NR_##name, #name, when, conditions, purpose},
#include "platform/host_calls.def"
#undef HOST_CALL
};

static bool
applies(const struct rule *r, const struct lockdown *l)
{
    switch (r->when) {
    case ALWAYS: return true;
    case VOLUMES: return l->volumes;
    case NETWORK: return l->network_host || l->network_user;
    case NETWORK_HOST: return l->network_host;
    case PUBLISHED: return l->network_host || l->published;
    case PROCESSORS: return l->threads > 1;
    }
    return false;
}

/* --- the program --- */

static struct sock_filter program[FILTER_MAX];
static unsigned length;

static void
emit(uint16_t code, uint32_t k, uint8_t on_true, uint8_t on_false)
{
    if (length < FILTER_MAX)
        program[length] = (struct sock_filter){code, on_true, on_false, k};
    length++; /* counted past the end: install refuses */
}

static void
emit_load(size_t offset)
{
    emit(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
emit_kill(void)
{
    emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
}

/* Falls through when the argument is among the values. */
static void
emit_listed(const uint32_t *values, size_t count, const uint32_t *more, size_t more_count)
{
    size_t all = count + more_count;

    for (size_t i = 0; i < all; i++)
        emit(BPF_JMP | BPF_JEQ | BPF_K, i < count ? values[i] : more[i - count], (uint8_t)(all - i), 0);
    emit_kill();
}

static void
emit_condition(const struct condition *c, const struct lockdown *l)
{
    emit_load(offsetof(struct seccomp_data, args) + 8 * c->argument); /* its lower half */
    switch (c->kind) {
    case BITS_CLEAR:
    case BITS_WITHIN:
        emit(BPF_JMP | BPF_JSET | BPF_K, c->kind == BITS_CLEAR ? c->bits : ~c->bits, 0, 1);
        emit_kill();
        break;
    case LISTED:
        emit_listed(c->values, c->count, network_requests, c->values == requests ? network_request_count(l) : 0);
        break;
    case OWN_PID: emit_listed(&(uint32_t){(uint32_t)getpid()}, 1, NULL, 0); break;
    case END: break;
    }
}

/* Falls through when the call is another. */
static void
emit_rule(const struct rule *r, const struct lockdown *l)
{
    unsigned start = length;

    emit(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->number, 0, 0);
    for (unsigned i = 0; i < CONDITIONS_MAX && r->conditions[i].kind != END; i++)
        emit_condition(&r->conditions[i], l);
    emit(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    if (start < FILTER_MAX)
        program[start].jf = (uint8_t)(length - start - 1);
    if (length - start > RULE_MAX)
        length = FILTER_MAX + 1; /* install refuses */
}

/* A binary search: the kernel tries the program for each number that there is when it is installed, to make its bitmap
 * of calls that are always allowed. `sorted` by number. Conditional jumps reach 255 instructions only. */
static void
emit_search(const struct rule *const *sorted, size_t count, const struct lockdown *l)
{
    size_t half = count / 2;
    unsigned start = length;
    bool far = half > NEAR_RULES;

    if (count <= LINEAR_RULES) {
        for (size_t i = 0; i < count; i++)
            emit_rule(sorted[i], l);
        emit_kill();
        return;
    }
    emit(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)sorted[half]->number, 0, far ? 1 : 0);
    if (far)
        emit(BPF_JMP | BPF_JA, 0, 0, 0);
    emit_search(sorted, half, l);
    if (start + 1 < FILTER_MAX) {
        if (far)
            program[start + 1].k = length - start - 2;
        else
            program[start].jt = (uint8_t)(length - start - 1);
    }
    emit_search(sorted + half, count - half, l);
}

static int
by_number(const void *a, const void *b)
{
    return (*(const struct rule *const *)a)->number - (*(const struct rule *const *)b)->number;
}

int
filter_install(const struct lockdown *l)
{
    enum { RULES = sizeof rules / sizeof *rules };
    struct sock_fprog p = {.filter = program};
    unsigned long flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    long r;
    const struct rule *sorted[RULES];
    size_t count = 0;

    for (size_t i = 0; i < RULES; i++)
        if (applies(&rules[i], l))
            sorted[count++] = &rules[i];
    qsort(sorted, count, sizeof *sorted, by_number);
    length = 0;
    emit_load(offsetof(struct seccomp_data, arch));
    emit(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    emit_kill();
    emit_load(offsetof(struct seccomp_data, nr)); /* those of x32 have a bit of their own: no rule is theirs */
    emit_search(sorted, count, l);
    if (length > FILTER_MAX)
        return -E2BIG;
    p.len = (unsigned short)length;
    /* Without SPEC_ALLOW older kernels would slow all code down while a filter is there. With TSYNC it is
     * every thread's, or nobody's. */
    if (l->threads > 1)
        flags |= SECCOMP_FILTER_FLAG_TSYNC;
    r = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
    if (r == 0)
        return 0;
    if (l->threads > 1)
        return r > 0 ? -ESRCH : -errno; /* the number of a thread that has a filter of its own */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0) < 0 ? -errno : 0;
}

/* --- the list --- */

static size_t
put_values(char *text, size_t at, size_t size, const uint32_t *values, size_t count)
{
    for (size_t i = 0; i < count && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%#x", i ? " " : "", values[i]);
    return at;
}

static size_t
put_condition(char *text, size_t at, size_t size, const struct condition *c, const struct lockdown *l)
{
    const char *what = c->kind == BITS_CLEAR ? "without" : c->kind == BITS_WITHIN ? "only" : "one of";

    at += (size_t)snprintf(text + at, size - at, "; %s %s ", c->name, c->kind == OWN_PID ? "its own" : what);
    if (at < size && c->text)
        at += (size_t)snprintf(text + at, size - at, "%s (%#x)", c->text, c->bits);
    if (at < size && c->kind == LISTED)
        at = put_values(text, at, size, c->values, c->count);
    if (at < size && c->values == requests && network_request_count(l)) {
        text[at++] = ' ';
        at = put_values(text, at, size, network_requests, network_request_count(l));
    }
    return at;
}

void
platform_filter_list(const struct lockdown *l, void (*put)(const char *line))
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *r = &rules[i];
        char text[1024];
        size_t at;

        if (!applies(r, l))
            continue;
        at = (size_t)snprintf(text, sizeof text, "  %s%s", r->name,
                              r->when == VOLUMES        ? " (--volume)"
                              : r->when == NETWORK      ? " (--network user)"
                              : r->when == PUBLISHED    ? " (--publish)"
                              : r->when == NETWORK_HOST ? " (--network host)"
                              : r->when == PROCESSORS   ? " (--cpus 2)"
                                                        : "");
        for (unsigned k = 0; k < CONDITIONS_MAX && r->conditions[k].kind != END && at < sizeof text; k++)
            at = put_condition(text, at, sizeof text, &r->conditions[k], l);
        if (*r->purpose && at < sizeof text)
            snprintf(text + at, sizeof text - at, "; %s", r->purpose);
        put(text);
    }
}
