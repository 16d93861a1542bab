/* Fuzzes what the container's resolver reads (net/dns.c): a guest's question, and an answer from outside. The first byte
 * chooses; of an answer the question is a fixed one, and the first bytes can be made to be what it asks for. What is
 * accepted must come out of our own writer as the same question, and a name's text must be its own. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vkernel/net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count(const struct in6_addr *ip, uint32_t seconds, void *arg)
{
    if (++*(size_t *)arg > DNS_MESSAGE_MOST / 12)
        abort(); /* more records than fit */
}

static void
question(const uint8_t *data, size_t size)
{
    static struct dns_question q, again;
    uint8_t out[DNS_QUERY_MOST];
    size_t n;

    if (dns_read_query(data, size, &q) < 0)
        return;
    if (strlen(q.name) >= sizeof q.name || q.payload < DNS_PAYLOAD_LEAST || q.payload > DNS_PAYLOAD_MOST)
        abort();
    n = dns_make_query(&q, 7, out);
    if (n > sizeof out || dns_read_query(out, n, &again) < 0 || again.id != 7 || strcmp(again.name, q.name) != 0 ||
        again.type != q.type || again.class != q.class || again.payload != q.payload || again.secure != q.secure)
        abort();
    n = dns_make_answer(&q, DNS_REFUSED, out);
    if (n > sizeof out || dns_read_answer(out, n, &q, q.id, count, &(size_t){0}) < 0)
        abort();
}

static void
answer(const uint8_t *data, size_t size)
{
    static const uint8_t asked[] = {0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 2, 'b', 'c', 0, 0, 1, 0, 1};
    static struct dns_question q;
    uint8_t *copy;
    size_t found = 0, n;

    if (dns_read_query(asked, sizeof asked, &q) < 0)
        abort();
    if (size < 12 || size > DNS_MESSAGE_MOST || dns_read_answer(data, size, &q, 9, count, &found) < 0)
        return;
    copy = malloc(size < DNS_QUERY_MOST ? DNS_QUERY_MOST : size);
    if (!copy)
        return;
    memcpy(copy, data, size);
    n = dns_cut_off(&q, copy, size, q.payload);
    if (n > size && n > q.payload)
        abort();
    free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        answer(data + 1, size - 1);
    else
        question(data + 1, size - 1);
    return 0;
}
