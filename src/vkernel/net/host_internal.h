/* Sockets that are the host's: what host.c and user.c share. */
#ifndef VKERNEL_NET_HOST_INTERNAL_H
#define VKERNEL_NET_HOST_INTERNAL_H

#include "vkernel/net/socket.h"

/* Once, before the lock-down. 0 or -errno. */
int host_sockets_start(void);
/* The socket has no descriptor of the host's and gets this one, which is closed where that fails: -ENFILE, as many as
 * there may be are open; or the host's error. Its readiness wakes the socket's queues and calls its host_ready. */
int host_attach(struct socket *s, int fd);
void host_detach(struct socket *s); /* closes it, if there is one */

/* Operations on the descriptor alone, as of struct socket_ops. */
ssize_t host_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
ssize_t host_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
int host_shutdown(struct socket *s, int how);
unsigned host_poll(struct socket *s);
int host_ioctl(struct socket *s, unsigned long request, guest_addr arg);

#endif
