/* --network user: the container has addresses, ports and a resolver of its own, and reaches what is outside by sockets of
 * the host's that the vkernel makes for it. No packet of a guest's gets anywhere as it is.
 *
 *   lo     127.0.0.0/8, ::1         the container's own loopback
 *   eth0   10.0.2.100/24, fd00::100/64
 *          10.0.2.2, fd00::2        the gateway; with --host-loopback it is the host's 127.0.0.1 and ::1
 *          10.0.2.3                 the resolver (resolver.c)
 *
 * A TCP socket becomes one of the host's when it is connected to an address outside (user.c); a UDP socket has one beside
 * its queue as soon as it sends there (flows.c); connections and datagrams to published ports come by sockets that are
 * bound before the lock-down (publish.c). */
#ifndef VKERNEL_NET_USER_H
#define VKERNEL_NET_USER_H

#include <stdbool.h>

/* --host-loopback: the gateway's address leads to the host's loopback. */
extern bool user_host_loopback;
/* --publish [IP:]HOST:GUEST[/tcp|/udp]; an IPv6 address in brackets; without an address all of the host's. -EINVAL: it
 * is something else; -E2BIG: there are too many. */
int publish_add(const char *spec);
/* --dns IP[:PORT], instead of those in the host's /etc/resolv.conf. -EINVAL, -E2BIG. */
int resolver_add(const char *address);
/* Opens what it needs of the host, before the lock-down. 0 or -errno; *what: of what. */
int user_network_start(const char **what);

#endif
