/* --network user: what its files share (user.h has the whole). */
#ifndef VKERNEL_NET_USER_INTERNAL_H
#define VKERNEL_NET_USER_INTERNAL_H

#include "vkernel/net/host_internal.h"
#include "vkernel/net/inet_internal.h"

/* --- user.c --- */
/* What sockets of the container's network that a connection of the host's is behind do. */
extern const struct socket_ops OPS_TABLE(socket_ops) outside_ops;
/* Who owns the sockets that the network itself has. */
extern const struct ucred user_network_owner;
/* The address of the host's that guests know as `to`, and as what guests know one of the host's. */
struct endpoint user_real(const struct endpoint *to);
struct endpoint user_told(const struct endpoint *real);
struct endpoint user_endpoint_of(const struct sockaddr_storage *a); /* of an address of the host's */
bool user_is_resolver(const struct endpoint *to);                   /* at its port */

/* --- flows.c --- */
int flows_udp_connect(struct socket *s, const struct endpoint *to);
int flows_transmit(struct socket *s, const struct endpoint *from, const struct endpoint *to, const struct iovec *iov,
                   int count);
void flows_udp_close(struct socket *s);
void flows_udp_ready(struct socket *s);
bool flows_answers(const struct socket *s, const struct endpoint *to); /* to a datagram that came to a published port */
/* A socket of the network's own at a published port has datagrams. */
void flows_published_ready(struct socket *published, unsigned guest_port);

/* --- publish.c --- */
/* Who gets what comes to a published port from there, by which addresses of the container's; NULL: nobody. */
struct socket *publish_find(int type, unsigned port, const struct endpoint *real, struct endpoint *told,
                            struct endpoint *to);
void publish_accepted(struct socket *listener);
int publish_listening(struct socket *listener);
void publish_closed(unsigned port);
void publish_retry(void);            /* a descriptor is free again */
int publish_open(const char **what); /* before the lock-down; 0 or -errno, and which one failed */

/* --- resolver.c --- */
void resolver_ask(struct socket *s, const struct endpoint *from, const struct iovec *iov, int count);
int resolver_connect(struct socket *s, const struct endpoint *to); /* by TCP */
int resolver_start(void);                                          /* before the lock-down */
char *resolver_text(void);                                         /* of /etc/resolv.conf, to be freed */

#endif
