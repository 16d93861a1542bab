/* What inet.c, udp.c and user.c share: addresses of the container's own, and who is bound where. */
#ifndef VKERNEL_NET_INET_INTERNAL_H
#define VKERNEL_NET_INET_INTERNAL_H

#include "vkernel/net/interfaces.h"
#include "vkernel/net/socket.h"

/* Addresses are kept as IPv6, IPv4 ones mapped (::ffff:a.b.c.d). */
struct endpoint {
    struct in6_addr ip;
    unsigned port;
};

bool inet_is_any(const struct in6_addr *a);
bool inet_is_local(const struct in6_addr *a);
/* Reads a socket address of the family of s. */
int inet_parse(const struct socket *s, const struct address *a, struct endpoint *e);
struct address inet_format(int family, const struct endpoint *e);
struct endpoint inet_local(const struct socket *s);
/* Where a connection to the unspecified address really goes. */
void inet_loopback_for(struct endpoint *e);
/* The address that a packet to there comes from. */
struct in6_addr inet_source_for(const struct in6_addr *to);
/* A bound-to-any socket that connects gets the address it speaks from. */
void inet_settle_local(struct socket *s, const struct endpoint *to);
int inet_bind(struct socket *s, const struct address *a);
/* Any local address, for a socket that sends without having been bound. */
int inet_autobind(struct socket *s, const struct endpoint *to);
void inet_unbind_auto(struct socket *s); /* takes a name away that nobody asked for */
void inet_close(struct socket *s);
/* The socket that a packet reaches; of several with SO_REUSEPORT one by its sender's address. */
struct socket *inet_find_bound(int type, const struct endpoint *to, const struct endpoint *from);
/* Calls `each` for all datagram sockets that a broadcast reaches. */
void inet_each_bound(const struct endpoint *to, void (*each)(struct socket *s, void *arg), void *arg);

struct socket *inet_socket_new(int family, int type, int protocol, int *error);
void inet_list_accepted(struct socket *s); /* the end of a connection that a listener is to accept, for /proc/net */
extern const struct socket_ops OPS_TABLE(socket_ops) tcp_ops;
/* A datagram of these bytes comes to the socket, or is lost for lack of room. */
void udp_arrive(struct socket *s, const struct endpoint *from, const struct endpoint *to, void *data, size_t size);

#endif
