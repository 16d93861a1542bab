/* The host's network, for `--network host` and `--network user`: the only host calls of net/.
 *
 * Whatever a guest asks for passes an allow-list here: TCP, UDP and ICMP datagram sockets over IPv4 and IPv6, addresses
 * of these families, named options, flags and control messages, interface queries. Nothing else of the host's socket
 * layer can be reached (no AF_UNIX, netlink, packet or raw sockets, no filters, no options or ioctls that carry
 * pointers).
 *
 * Descriptors are non-blocking and close-on-exec, and no call here ever waits. Results are those of the host's call,
 * with -errno in place of -1; what is not on a list is refused with the errno that Linux has for an unknown one. */
#ifndef PLATFORM_HOSTNET_H
#define PLATFORM_HOSTNET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* --- readiness: edges of all host sockets arrive at one descriptor, which is to be polled for POLLIN --- */
struct host_net_event {
    void *cookie;
    short events; /* POLL* */
};
/* To be called once before anything else; also raises the soft limit of descriptors to the hard one. The descriptor.
 * *most: how many sockets there may be, that the vkernel has some of the limit left for other things. */
int host_net_start(unsigned *most);
/* For what the host knows of its network, below. 0 or -errno. */
int host_net_start_queries(void);
unsigned host_net_ready(struct host_net_event *out, unsigned max);
/* Edges of fd are reported with cookie from now on until it is closed. */
int host_net_watch(int fd, void *cookie);
/* What fd is ready for is reported once more, as if it had become so now. */
int host_net_look_again(int fd, void *cookie);

/* --- sockets; closed with host_close (platform/hostfs.h), whose lingering never waits: see host_socket_set_option
 * --- */
int host_socket(int family, int type, int protocol); /* protocol must be named, not 0 */
int host_socket_bind(int fd, const void *address, socklen_t length);
/* -EINPROGRESS the first time, -EALREADY until it is decided, then 0 or the error, as for any non-blocking socket. */
int host_socket_connect(int fd, const void *address, socklen_t length);
int host_socket_listen(int fd, int backlog);
int host_socket_accept(int fd, struct sockaddr_storage *from, socklen_t *length);
int host_socket_shutdown(int fd, int how);
int host_socket_name(int fd, bool peer, struct sockaddr_storage *out, socklen_t *length);

struct host_message {
    struct iovec *iov; /* not changed */
    int count;
    int flags;      /* MSG_* asked for; received: the message's */
    const void *to; /* send: NULL for the connected peer's */
    socklen_t to_length;
    bool plain;                    /* receive: of a stream, whose bytes come without an address and without flags */
    struct sockaddr_storage *from; /* receive */
    socklen_t from_length;
    void *control;       /* aligned as struct cmsghdr; NULL: none */
    size_t control_size; /* receive: room, then what was filled */
};
ssize_t host_socket_send(int fd, const struct host_message *m);
ssize_t host_socket_receive(int fd, struct host_message *m);

/* SO_LINGER with a time would make close(2) wait: refused with -EOPNOTSUPP, callers remember it instead. */
int host_socket_set_option(int fd, int level, int name, const void *value, socklen_t size);
int host_socket_get_option(int fd, int level, int name, void *value, socklen_t *size);
int host_tcp_state(int fd);      /* TCP_ESTABLISHED, ... of netinet/tcp.h */
int host_socket_unsent(int fd);  /* SIOCOUTQ: bytes that are not acknowledged */
int host_socket_at_mark(int fd); /* SIOCATMARK */

/* --- what the host knows of its network --- */
bool host_interface_request(unsigned long request); /* is it one of SIOCGIF* that host_interface_get answers? */
int host_interface_get(unsigned long request, struct ifreq *r);
int host_interface_list(struct ifreq *out, unsigned max); /* SIOCGIFCONF; returns how many there are, at most max */
/* An rtnetlink dump (RTM_GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE) of the family: each gets one whole message, its
 * header included, NLMSG_DONE not. */
int host_network_dump(unsigned type, unsigned family, void (*each)(const void *message, size_t size, void *arg),
                      void *arg);
/* A text of the host by name: "hosts", "resolv.conf", or "net/..." for a table of /proc/net; NULL: none. To be
 * freed. */
char *host_network_text(const char *name);
char *host_resolvers(void); /* /etc/resolv.conf, before the lock-down; NULL: none. To be freed. */
int host_name(char *out, size_t size);

#endif
