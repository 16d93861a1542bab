/* The container's resolver: what it is by UDP and TCP. */
#ifndef VKERNEL_NET_RESOLVER_INTERNAL_H
#define VKERNEL_NET_RESOLVER_INTERNAL_H

#include "vkernel/net/dns.h"
#include "vkernel/net/user_internal.h"

enum { SERVERS_MOST = 3 };
extern struct endpoint resolver_servers[SERVERS_MOST]; /* whom it asks, one after the other */
extern unsigned resolver_server_count;
extern const struct endpoint resolver_endpoint; /* where guests find it */

/* Is it an answer to the question, which was asked with that number? Then its addresses are pinned. */
bool resolver_accepts(const struct dns_question *q, uint16_t id, const uint8_t *p, size_t size);

#endif
