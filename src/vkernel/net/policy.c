#include "vkernel/net/policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/heap.h"
#include "vkernel/audit/audit.h"
#include "vkernel/sched/sched.h"

/* `name` "": by address. Guarded, as all here, by the kernel lock; rules do not change once guests run. */
struct allow_rule {
    struct in6_addr ip;
    unsigned bits; /* of ip that count, 0 to 128 */
    unsigned port; /* 0: any */
    char name[POLICY_NAME_MAX];
    /* Of a name: a ring of PINS, where the oldest goes when there are more. Each rule has its own, so that who answers
     * for one name takes nothing from the others. */
    struct pin *pins;
    size_t pin_next;
};

enum { PINS = 512, PIN_SECONDS_LEAST = 600, PIN_SECONDS_MOST = 86400 };
struct pin {
    struct in6_addr ip;
    uint64_t until; /* monotonic, in nanoseconds; 0: free */
};
static bool names_given;

static struct allow_rule *rules;
static size_t rule_count;

/* --- reading --- */

bool
policy_parse_port(const char *text, unsigned *port)
{
    unsigned n = 0;
    size_t k = 0;

    for (; text[k] >= '0' && text[k] <= '9' && k < 6; k++)
        n = n * 10 + (unsigned)(text[k] - '0');
    *port = n;
    return k > 0 && !text[k] && n > 0 && n < 65536;
}

bool
policy_parse_address(const char *text, size_t length, struct in6_addr *ip)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr four;

    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (inet_pton(AF_INET6, copy, ip) == 1)
        return true;
    if (inet_pton(AF_INET, copy, &four) != 1)
        return false;
    *ip = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ip->s6_addr[12], &four, sizeof four);
    return true;
}

/* Behind the address: nothing, /BITS, :PORT, or both. */
static bool
parse_rest(const char *rest, struct allow_rule *r)
{
    bool four = IN6_IS_ADDR_V4MAPPED(&r->ip);
    unsigned bits = 0, most = four ? 32 : 128;

    r->bits = 128;
    if (*rest == '/') {
        size_t k = 1;

        for (; rest[k] >= '0' && rest[k] <= '9' && k < 4; k++)
            bits = bits * 10 + (unsigned)(rest[k] - '0');
        if (k == 1 || bits > most)
            return false;
        r->bits = four ? 96 + bits : bits;
        rest += k;
    }
    return !*rest || (*rest == ':' && policy_parse_port(rest + 1, &r->port));
}

static bool
parse_by_address(const char *text, struct allow_rule *r)
{
    size_t bare = strcspn(text, "/"), end = *text == '[' ? strcspn(text, "]") + 1 : strcspn(text, "/:");

    if (*text != '[' && policy_parse_address(text, bare, &r->ip)) /* IPv6 without brackets has no port */
        return parse_rest(text + bare, r);
    return end <= strlen(text) && policy_parse_address(text, end, &r->ip) && parse_rest(text + end, r);
}

static bool
parse_by_name(const char *text, struct allow_rule *r)
{
    size_t n = strcspn(text, ":"), start = strncmp(text, "*.", 2) == 0 ? 2 : 0;
    bool letters = false;

    if (n > 0 && text[n - 1] == '.')
        n--;
    if (n <= start || n >= sizeof r->name)
        return false;
    for (size_t k = 0; k < n; k++) {
        char c = text[k];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || k < start))
            return false;
        letters |= c >= 'a' && c <= 'z';
        r->name[k] = c;
    }
    r->name[n] = '\0';
    n = strcspn(text, ":");
    return letters && (!text[n] || policy_parse_port(text + n + 1, &r->port));
}

int
policy_add(const char *text)
{
    struct allow_rule r = {.port = 0}, *more;

    if (!parse_by_address(text, &r)) {
        r = (struct allow_rule){.port = 0};
        if (!parse_by_name(text, &r))
            return -EINVAL;
    }
    more = array_resize(rules, rule_count, rule_count + 1, sizeof *rules);
    if (!more)
        return -ENOMEM;
    rules = more;
    if (*r.name && !(r.pins = array_new(PINS, sizeof *r.pins)))
        return -ENOMEM;
    names_given |= *r.name != '\0';
    rules[rule_count++] = r;
    return 0;
}

/* --- asking --- */

bool
policy_given(void)
{
    return rule_count > 0;
}

bool
policy_has_names(void)
{
    return names_given;
}

static bool
in_range(const struct in6_addr *ip, const struct allow_rule *r)
{
    unsigned bytes = r->bits / 8, bits = r->bits % 8;

    if (IN6_IS_ADDR_V4MAPPED(ip) != IN6_IS_ADDR_V4MAPPED(&r->ip)) /* ::/0 is IPv6 */
        return false;
    if (memcmp(ip, &r->ip, bytes) != 0)
        return false;
    return bits == 0 || ((ip->s6_addr[bytes] ^ r->ip.s6_addr[bytes]) >> (8 - bits)) == 0;
}

bool
policy_allows_by_address(const struct in6_addr *ip, unsigned port)
{
    for (size_t k = 0; k < rule_count; k++)
        if (!*rules[k].name && (!rules[k].port || rules[k].port == port) && in_range(ip, &rules[k]))
            return true;
    return false;
}

static struct pin *
find_pin(const struct allow_rule *r, const struct in6_addr *ip)
{
    for (size_t k = 0; r->pins && k < PINS && r->pins[k].until; k++)
        if (memcmp(&r->pins[k].ip, ip, sizeof *ip) == 0)
            return &r->pins[k];
    return NULL;
}

bool
policy_allows(const struct in6_addr *ip, unsigned port)
{
    uint64_t now;

    if (!rule_count || policy_allows_by_address(ip, port))
        return true;
    now = names_given ? clock_monotonic_ns() : 0;
    for (size_t k = 0; k < rule_count; k++) {
        const struct pin *p = !rules[k].port || rules[k].port == port ? find_pin(&rules[k], ip) : NULL;

        if (p && p->until > now)
            return true;
    }
    return false;
}

static bool
rule_names(const struct allow_rule *r, const char *name)
{
    size_t n = strlen(name), tail;

    if (strncmp(r->name, "*.", 2) != 0)
        return *r->name && strcmp(r->name, name) == 0;
    tail = strlen(r->name) - 1; /* with its dot */
    return n > tail && strcmp(name + n - tail, r->name + 1) == 0;
}

bool
policy_allows_name(const char *name)
{
    for (size_t k = 0; k < rule_count; k++)
        if (rule_names(&rules[k], name))
            return true;
    return rule_count == 0;
}

static void
pin(struct allow_rule *r, const struct in6_addr *ip, uint64_t until)
{
    struct pin *p = find_pin(r, ip);

    if (p) {
        p->until = until > p->until ? until : p->until;
        return;
    }
    r->pins[r->pin_next] = (struct pin){.ip = *ip, .until = until};
    r->pin_next = (r->pin_next + 1) % PINS;
}

void
policy_pin(const char *name, const struct in6_addr *ip, uint32_t seconds)
{
    uint64_t until;

    if (!names_given)
        return;
    seconds = seconds < PIN_SECONDS_LEAST ? PIN_SECONDS_LEAST : seconds > PIN_SECONDS_MOST ? PIN_SECONDS_MOST : seconds;
    until = clock_monotonic_ns() + seconds * (uint64_t)1000000000u;
    for (size_t k = 0; k < rule_count; k++)
        if (rule_names(&rules[k], name))
            pin(&rules[k], ip, until);
}

/* --- refusing --- */

int
policy_refuse(const struct in6_addr *ip, unsigned port, int error)
{
    bool four = IN6_IS_ADDR_V4MAPPED(ip);
    char text[INET6_ADDRSTRLEN];
    struct audit_entry e;

    audit_begin(&e, AUDIT_NETWORK, "network-refused", false);
    audit_string(&e, "destination.ip",
                 inet_ntop(four ? AF_INET : AF_INET6, four ? &ip->s6_addr[12] : ip->s6_addr, text, sizeof text));
    audit_number(&e, "destination.port", port);
    audit_string(&e, "error.code", strerrorname_np(-error));
    audit_end(&e);
    return error;
}

void
policy_refuse_name(const char *name)
{
    audit_record(AUDIT_NETWORK, "name-refused", false, "dns.question.name", name, NULL);
}

/* What Linux makes of it, which is more than AF_INET and AF_INET6: an IPv4 socket takes a datagram's destination of
 * AF_UNSPEC for one of AF_INET, and the unspecified address leads to the socket's own source address, or from an IPv6
 * socket bound to an IPv4 address to 127.0.0.1, which are not what would be checked: it is made the loopback's. */
int
policy_check(struct sockaddr_storage *a, size_t size)
{
    struct sockaddr_in *four = (void *)a;
    struct sockaddr_in6 *six = (void *)a;
    struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    unsigned port;

    if (!a || !rule_count || size < sizeof *four)
        return 0;
    if (a->ss_family == AF_INET6 && size >= 24) {
        if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
            six->sin6_addr = in6addr_loopback;
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr32[3] == 0)
            six->sin6_addr.s6_addr32[3] = htonl(INADDR_LOOPBACK);
        ip = six->sin6_addr;
        port = ntohs(six->sin6_port);
    } else {
        if (four->sin_addr.s_addr == 0)
            four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&ip.s6_addr[12], &four->sin_addr, 4);
        port = ntohs(four->sin_port);
    }
    return policy_allows(&ip, port) ? 0 : policy_refuse(&ip, port, -EACCES);
}
