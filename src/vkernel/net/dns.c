#include "vkernel/net/dns.h"

#include <errno.h>
#include <string.h>

enum {
    HEADER = 12,
    LABEL_MOST = 63,
    NAME_MOST = 255, /* bytes of a name on the wire */
    POINTER = 0xc0,
    TYPE_A = 1,
    TYPE_AAAA = 28,
    TYPE_OPT = 41,
    CLASS_IN = 1,
    /* flags */
    RESPONSE = 0x8000,
    OPCODE = 0x7800,
    CUT_OFF = 0x0200,
    RECURSION_WANTED = 0x0100,
    RECURSION_THERE = 0x0080,
    AUTHENTIC = 0x0020,
    UNCHECKED = 0x0010,
    /* of OPT's flags */
    SECURE = 0x8000,
};

/* What is left to read; `failed` once something was not there, and then all that is read is 0. */
struct cursor {
    const uint8_t *p;
    size_t size, at;
    bool failed;
};

static const uint8_t *
take(struct cursor *c, size_t n)
{
    const uint8_t *p = c->p + c->at;

    if (c->failed || n > c->size - c->at) {
        c->failed = true;
        return NULL;
    }
    c->at += n;
    return p;
}

static unsigned
take_u8(struct cursor *c)
{
    const uint8_t *p = take(c, 1);

    return p ? p[0] : 0;
}

static unsigned
take_u16(struct cursor *c)
{
    const uint8_t *p = take(c, 2);

    return p ? (unsigned)(p[0] << 8 | p[1]) : 0;
}

static uint32_t
take_u32(struct cursor *c)
{
    uint32_t high = take_u16(c);

    return high << 16 | take_u16(c);
}

/* A name ends with its root or with a pointer to the rest of it, which is not followed. */
static void
skip_name(struct cursor *c)
{
    size_t start = c->at;

    while (!c->failed && c->at - start <= NAME_MOST) {
        unsigned n = take_u8(c);

        if (n == 0)
            return;
        if ((n & POINTER) == POINTER) {
            take_u8(c);
            return;
        }
        if (n & POINTER)
            break;
        take(c, n);
    }
    c->failed = true;
}

struct record {
    unsigned type, class;
    uint32_t seconds;
    const uint8_t *data;
    size_t size;
};

static void
take_record(struct cursor *c, struct record *r)
{
    skip_name(c);
    r->type = take_u16(c);
    r->class = take_u16(c);
    r->seconds = take_u32(c);
    r->size = take_u16(c);
    r->data = take(c, r->size);
}

/* --- questions --- */

static size_t
put_character(char *out, uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        c = (uint8_t)(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = (char)('0' + c / 100);
    out[2] = (char)('0' + c / 10 % 10);
    out[3] = (char)('0' + c % 10);
    return 4;
}

static void
take_question_name(struct cursor *c, struct dns_question *q)
{
    size_t at = 0;
    unsigned n;

    while ((n = take_u8(c)) != 0) {
        const uint8_t *label = n <= LABEL_MOST ? take(c, n) : NULL;

        if (!label || q->wire_size + 1 + n >= NAME_MOST) {
            c->failed = true;
            return;
        }
        q->wire[q->wire_size++] = (uint8_t)n;
        memcpy(q->wire + q->wire_size, label, n);
        q->wire_size += n;
        if (at)
            q->name[at++] = '.';
        for (unsigned k = 0; k < n; k++)
            at += put_character(q->name + at, label[k]);
    }
    q->wire[q->wire_size++] = 0;
    q->name[at] = '\0';
}

int
dns_read_query(const uint8_t *p, size_t size, struct dns_question *q)
{
    struct cursor c = {.p = p, .size = size};
    unsigned questions, answers, authorities, more;

    memset(q, 0, sizeof *q);
    q->id = (uint16_t)take_u16(&c);
    q->flags = (uint16_t)take_u16(&c);
    questions = take_u16(&c);
    answers = take_u16(&c);
    authorities = take_u16(&c);
    more = take_u16(&c);
    if (c.failed || (q->flags & (RESPONSE | OPCODE)) || questions != 1 || answers || authorities)
        return -EINVAL;
    take_question_name(&c, q);
    q->type = (uint16_t)take_u16(&c);
    q->class = (uint16_t)take_u16(&c);
    q->payload = DNS_PAYLOAD_LEAST;
    for (; more && !c.failed; more--) {
        struct record r;

        take_record(&c, &r);
        if (c.failed || r.type != TYPE_OPT)
            continue;
        q->extended = true;
        q->secure = r.seconds & SECURE;
        q->payload = (uint16_t)(r.class < DNS_PAYLOAD_LEAST  ? DNS_PAYLOAD_LEAST
                                : r.class > DNS_PAYLOAD_MOST ? DNS_PAYLOAD_MOST
                                                             : r.class);
    }
    return c.failed ? -EINVAL : 0;
}

/* --- making --- */

static size_t
put_u16(uint8_t *out, size_t at, unsigned value)
{
    out[at] = (uint8_t)(value >> 8);
    out[at + 1] = (uint8_t)value;
    return at + 2;
}

static size_t
put_start(const struct dns_question *q, unsigned id, unsigned flags, uint8_t *out)
{
    size_t at = put_u16(out, 0, id);

    at = put_u16(out, at, flags);
    at = put_u16(out, at, 1);
    at = put_u16(out, at, 0);
    at = put_u16(out, at, 0);
    at = put_u16(out, at, q->extended);
    memcpy(out + at, q->wire, q->wire_size);
    at = put_u16(out, at + q->wire_size, q->type);
    at = put_u16(out, at, q->class);
    if (!q->extended)
        return at;
    out[at++] = 0; /* the root */
    at = put_u16(out, at, TYPE_OPT);
    at = put_u16(out, at, q->payload);
    at = put_u16(out, at, 0);
    at = put_u16(out, at, q->secure ? SECURE : 0);
    return put_u16(out, at, 0);
}
_Static_assert(HEADER + 256 + 4 + 11 <= DNS_QUERY_MOST, "a question and an OPT record");

size_t
dns_make_query(const struct dns_question *q, uint16_t id, uint8_t *out)
{
    return put_start(q, id, q->flags & (RECURSION_WANTED | AUTHENTIC | UNCHECKED), out);
}

size_t
dns_make_answer(const struct dns_question *q, unsigned code, uint8_t *out)
{
    return put_start(q, q->id, RESPONSE | RECURSION_THERE | (q->flags & (RECURSION_WANTED | UNCHECKED)) | code, out);
}

size_t
dns_cut_off(const struct dns_question *q, uint8_t *p, size_t size, size_t most)
{
    unsigned flags = (unsigned)(p[2] << 8 | p[3]);

    return size <= most ? size : put_start(q, q->id, flags | CUT_OFF, p);
}

/* --- answers --- */

static bool
same_name(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t k = 0; k < size; k++) { /* resolvers may change letters' case; lengths are below 'A' */
        uint8_t x = a[k] >= 'A' && a[k] <= 'Z' ? (uint8_t)(a[k] + 32) : a[k];
        uint8_t y = b[k] >= 'A' && b[k] <= 'Z' ? (uint8_t)(b[k] + 32) : b[k];

        if (x != y)
            return false;
    }
    return true;
}

static bool
address_of(const struct record *r, struct in6_addr *ip)
{
    if (r->class != CLASS_IN || !((r->type == TYPE_A && r->size == 4) || (r->type == TYPE_AAAA && r->size == 16)))
        return false;
    *ip = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ip->s6_addr[16 - r->size], r->data, r->size);
    return true;
}

int
dns_read_answer(const uint8_t *p, size_t size, const struct dns_question *q, uint16_t id,
                void (*each)(const struct in6_addr *ip, uint32_t seconds, void *arg), void *arg)
{
    struct cursor c = {.p = p, .size = size};
    unsigned flags, questions, answers;
    const uint8_t *name;

    if (take_u16(&c) != id)
        return -EINVAL;
    flags = take_u16(&c);
    questions = take_u16(&c);
    answers = take_u16(&c);
    take(&c, 4);
    name = take(&c, q->wire_size);
    if (!(flags & RESPONSE) || questions != 1 || !name || !same_name(name, q->wire, q->wire_size) ||
        take_u16(&c) != q->type || take_u16(&c) != q->class || c.failed)
        return -EINVAL;
    for (; answers && !c.failed; answers--) {
        struct in6_addr ip;
        struct record r;

        take_record(&c, &r);
        if (!c.failed && address_of(&r, &ip))
            each(&ip, r.seconds, arg);
    }
    return c.failed && !(flags & CUT_OFF) ? -EINVAL : 0;
}
