/* The container's resolver, at 10.0.2.3, by UDP (resolver_tcp.c has TCP): it hands questions on to the host's resolvers, or to those of --dns, one
 * descriptor of the host's for each, so that each has a port of its own. With --allow it answers questions about names
 * on that list only, and pins the addresses in the answers (policy.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/hostnet.h"
#include "platform/platform.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/resolver_internal.h"
#include "vkernel/net/user.h"

enum { LOOKUPS_MOST = 256, DOMAIN = 53 };
static const uint64_t SERVER_NS = 3 * (uint64_t)1000000000u; /* until the next server is asked */

struct endpoint resolver_servers[SERVERS_MOST];
unsigned resolver_server_count;
static char *settings; /* lines of the host's resolv.conf that stay; NULL: none */

/* A question by UDP that waits for its answer. */
struct lookup {
    struct list link;
    struct socket *host;  /* the network's own, with the host's descriptor; a reference */
    struct socket *asker; /* the guest's; a reference */
    struct endpoint from; /* by which it asked */
    struct dns_question question;
    uint16_t id;     /* to the server */
    unsigned server; /* which one is asked */
    struct ktimer timer;
};
OBJECT_POOL(lookup);

static struct list lookups = {&lookups, &lookups};
static unsigned lookup_count;

/* --- options --- */

static int
add_server(const char *address, size_t length, unsigned port)
{
    struct endpoint e = {.port = port};

    if (!policy_parse_address(address, length, &e.ip))
        return -EINVAL;
    if (resolver_server_count == SERVERS_MOST)
        return -E2BIG;
    resolver_servers[resolver_server_count++] = e;
    return 0;
}

int
resolver_add(const char *address)
{
    const char *colon = strrchr(address, ':'), *bracket = strrchr(address, ']');
    struct in6_addr whole;
    unsigned port = DOMAIN;

    if (policy_parse_address(address, strlen(address), &whole))
        return add_server(address, strlen(address), port);
    if (!colon || (bracket && bracket > colon) || !policy_parse_port(colon + 1, &port))
        return -EINVAL;
    return add_server(address, (size_t)(colon - address), port);
}

/* A line of the host's resolv.conf. */
static void
read_line(const char *line, size_t length, bool add, size_t *kept)
{
    static const char name[] = "nameserver";
    size_t n;

    if (length > sizeof name && strncmp(line, name, sizeof name - 1) == 0) {
        line += sizeof name - 1;
        n = strspn(line, " \t");
        if (add && n > 0)
            (void)add_server(line + n, strcspn(line + n, " \t\r\n%"), DOMAIN);
    } else if (strncmp(line, "search", 6) == 0 || strncmp(line, "options", 7) == 0 || strncmp(line, "domain", 6) == 0) {
        memcpy(settings + *kept, line, length);
        *kept += length;
        settings[(*kept)++] = '\n';
    }
}

int
resolver_start(void)
{
    char *text = host_resolvers();
    bool add = resolver_server_count == 0;
    size_t kept = 0;

    if (!text)
        return 0;
    settings = bytes_new(strlen(text) + 2);
    for (const char *line = text; settings && *line;) {
        size_t n = strcspn(line, "\n");

        read_line(line, n, add, &kept);
        line += n + (line[n] != '\0');
    }
    if (settings)
        settings[kept] = '\0';
    bytes_free(text);
    return settings ? 0 : -ENOMEM;
}

char *
resolver_text(void)
{
    static const char first[] = "nameserver 10.0.2.3\n";
    const char *rest = settings ? settings : "";
    size_t size = sizeof first + strlen(rest);
    char *text = bytes_new(size);

    if (text)
        snprintf(text, size, "%s%s", first, rest);
    return text;
}

/* --- answers --- */

const struct endpoint resolver_endpoint = {.ip = {.s6_addr = {[10] = 0xff, [11] = 0xff, 10, 0, 2, 3}}, .port = DOMAIN};

static void
answer(struct socket *asker, const struct endpoint *to, uint8_t *data, size_t size)
{
    if (asker->open)
        udp_arrive(asker, &resolver_endpoint, to, data, size);
}

static void
answer_code(struct socket *asker, const struct endpoint *to, const struct dns_question *q, unsigned code)
{
    uint8_t out[DNS_QUERY_MOST];

    answer(asker, to, out, dns_make_answer(q, code, out));
}

static void
lookup_free(struct lookup *l)
{
    list_remove(&l->link);
    lookup_count--;
    ktimer_stop(&l->timer);
    host_detach(l->host);
    socket_put(l->host);
    socket_put(l->asker);
    OBJECT_FREE(lookup, l);
}

/* No resolver's client tries more addresses, and 64 KiB have thousands. */
enum { PINS_PER_ANSWER = 32 };

struct pinning {
    const char *name;
    unsigned left;
};

static void
pin(const struct in6_addr *ip, uint32_t seconds, void *arg)
{
    struct pinning *p = arg;

    if (p->left) {
        p->left--;
        policy_pin(p->name, ip, seconds);
    }
}

static void
no_pin(const struct in6_addr *ip, uint32_t seconds, void *arg)
{
}

bool
resolver_accepts(const struct dns_question *q, uint16_t id, const uint8_t *p, size_t size)
{
    struct pinning pinning = {.name = q->name, .left = PINS_PER_ANSWER};

    /* twice: addresses of an answer that is damaged at its end are not used */
    return dns_read_answer(p, size, q, id, no_pin, NULL) == 0 && dns_read_answer(p, size, q, id, pin, &pinning) == 0;
}

/* --- asking by UDP --- */

static int ask_server(struct lookup *l);

/* The next server, or that there is none. */
static void
next_server(struct lookup *l)
{
    while (++l->server < resolver_server_count)
        if (ask_server(l) == 0)
            return;
    answer_code(l->asker, &l->from, &l->question, DNS_SERVER_FAILURE);
    lookup_free(l);
}

CALLBACK static void
lookup_late(struct ktimer *k)
{
    next_server(list_entry(k, struct lookup, timer));
}

static void
lookup_ready(struct socket *s, short events)
{
    static uint8_t *buffer;
    struct lookup *l = NULL;
    struct iovec iov;
    struct host_message m = {.iov = &iov, .count = 1};
    ssize_t n;

    if (!buffer && !(buffer = bytes_new(DNS_MESSAGE_MOST)))
        return;
    iov = (struct iovec){buffer, DNS_MESSAGE_MOST};
    LIST_EACH(p, &lookups)
        if (list_entry(p, struct lookup, link)->host == s)
            l = list_entry(p, struct lookup, link);
    if (!l)
        return;
    for (;;) {
        n = host_socket_receive(s->host_fd, &m);
        if (n == -EAGAIN)
            return;
        if (n < 0 || resolver_accepts(&l->question, l->id, buffer, (size_t)n))
            break; /* what is no answer to the question came from somebody else */
    }
    if (n < 0) {
        next_server(l);
        return;
    }
    buffer[0] = (uint8_t)(l->question.id >> 8);
    buffer[1] = (uint8_t)l->question.id;
    answer(l->asker, &l->from, buffer, dns_cut_off(&l->question, buffer, (size_t)n, l->question.payload));
    lookup_free(l);
}

static const struct socket_ops OPS_TABLE(socket_ops) lookup_ops = {.host_ready = lookup_ready};

/* A connected socket: nobody else's datagrams arrive there. */
static int
ask_server(struct lookup *l)
{
    const struct endpoint *to = &resolver_servers[l->server];
    int family = IN6_IS_ADDR_V4MAPPED(&to->ip) ? AF_INET : AF_INET6, r;
    struct address a = inet_format(family, to);
    uint8_t data[DNS_QUERY_MOST];
    struct iovec iov = {data, 0};
    struct host_message m = {.iov = &iov, .count = 1};
    int fd;

    host_detach(l->host);
    fd = host_socket(family, SOCK_DGRAM, IPPROTO_UDP);
    r = fd < 0 ? fd : host_attach(l->host, fd);
    if (r == 0)
        r = host_socket_connect(l->host->host_fd, &a.storage, a.length);
    if (r < 0)
        return r;
    platform_random(&l->id, sizeof l->id);
    iov.iov_len = dns_make_query(&l->question, l->id, data);
    r = (int)host_socket_send(l->host->host_fd, &m);
    ktimer_start(&l->timer, clock_monotonic_ns() + SERVER_NS);
    return r < 0 ? r : 0;
}

static void
look_up(struct socket *s, const struct endpoint *from, const struct dns_question *q)
{
    struct lookup *l = lookup_count < LOOKUPS_MOST ? OBJECT_NEW(lookup) : NULL;

    if (!l)
        return; /* as if it were lost: whoever asks asks again */
    list_init(&l->link);
    l->host = socket_new_of(user_network_owner, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &lookup_ops);
    if (!l->host) {
        OBJECT_FREE(lookup, l);
        return;
    }
    l->asker = socket_get(s);
    l->from = *from;
    l->question = *q;
    l->timer.fire = lookup_late;
    list_append(&lookups, &l->link);
    lookup_count++;
    l->server = (unsigned)-1;
    next_server(l);
}

void
resolver_ask(struct socket *s, const struct endpoint *from, const struct iovec *iov, int count)
{
    uint8_t data[DNS_QUERY_MOST * 2];
    size_t size = iov_total(iov, count);
    struct dns_question q;

    if (size > sizeof data || iov_gather(iov, count, 0, data, size) < size || dns_read_query(data, size, &q) < 0)
        return;
    if (policy_allows_name(q.name)) {
        look_up(s, from, &q);
        return;
    }
    policy_refuse_name(q.name);
    answer_code(s, from, &q, DNS_REFUSED);
}
