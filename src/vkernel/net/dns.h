/* The Domain Name System's messages (RFC 1035, RFC 6891), as far as the resolver reads and makes them. What is read comes
 * from guests and from outside: every length in it is checked, and compressed names are only skipped. */
#ifndef VKERNEL_NET_DNS_H
#define VKERNEL_NET_DNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_MESSAGE_MOST = 65535,
    DNS_NAME_MOST = 1024,    /* as text, its end included: 254 bytes that may each be escaped */
    DNS_QUERY_MOST = 512,    /* that we make */
    DNS_PAYLOAD_LEAST = 512, /* what anybody can receive */
    DNS_PAYLOAD_MOST = 4096,
    DNS_SERVER_FAILURE = 2,
    DNS_REFUSED = 5,
};

struct dns_question {
    uint16_t id, flags; /* flags as they were asked with */
    uint16_t type, class;
    uint16_t payload; /* how large an answer by UDP may be: DNS_PAYLOAD_LEAST to DNS_PAYLOAD_MOST */
    bool extended;    /* it has an OPT record */
    bool secure;      /* with DO */
    uint8_t wire[256];
    size_t wire_size;         /* the name as it was asked: labels, without compression */
    char name[DNS_NAME_MOST]; /* in lower case, without a dot at the end; other bytes than letters, digits, - and _ are
                                 \DDD, so that no two names have the same text */
};

/* One question, and nothing else but an OPT record that is read. -EINVAL: it is none, and gets no answer. */
int dns_read_query(const uint8_t *p, size_t size, struct dns_question *q);
/* The same question with another number, of at most DNS_QUERY_MOST bytes: nothing else of the guest's message. */
size_t dns_make_query(const struct dns_question *q, uint16_t id, uint8_t *out);
/* An answer of ours with that code, of at most DNS_QUERY_MOST bytes. */
size_t dns_make_answer(const struct dns_question *q, unsigned code, uint8_t *out);
/* Is it an answer to the question, as it was asked with that number? Hands each address of its answers to `each`; one
 * that is cut off or damaged ends it with -EINVAL, after which nothing of it may be used. */
int dns_read_answer(const uint8_t *p, size_t size, const struct dns_question *q, uint16_t id,
                    void (*each)(const struct in6_addr *ip, uint32_t seconds, void *arg), void *arg);
/* Makes a longer answer one of `size` bytes at most that says that it was cut off. Returns the new size. */
size_t dns_cut_off(const struct dns_question *q, uint8_t *p, size_t size, size_t most);

#endif
