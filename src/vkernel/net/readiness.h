/* What is known of a host socket's readiness, so that most polls need not ask the host.
 *
 * Each edge that the host's epoll gives comes with all of the descriptor's POLL* as they are at that moment. Bits that
 * only the other end and the host can turn on (POLLIN, POLLHUP, ...) come on with an edge; only calls on this socket turn
 * bits off, and no such call goes by the functions here. So a bit is known until a call on the socket that could have
 * changed it: `known` has those that are, `ready` which of these are on. A bit that is known to be off is so as of the
 * last edges that were collected: who polls collects them first (host_watch_refresh()), or is woken by the edge. */
#ifndef VKERNEL_NET_READINESS_H
#define VKERNEL_NET_READINESS_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "vkernel/net/socket.h"

enum {
    READY_IN = POLLIN | POLLRDNORM,
    READY_OUT = POLLOUT | POLLWRNORM | POLLWRBAND,
    READY_ENDS = POLLRDHUP | POLLHUP | POLLERR,
    READY_ALL = READY_IN | READY_OUT | READY_ENDS | POLLPRI | POLLRDBAND,
};

/* The host said so, of all of them. */
static inline void
readiness_told(struct socket *s, unsigned events)
{
    s->host_known = READY_ALL;
    s->host_ready = (unsigned short)(events & READY_ALL);
}

/* A call was made that may change anything. */
static inline void
readiness_forget(struct socket *s)
{
    s->host_known = 0;
}

/* A call gave, or would have waited for, what POLLIN is about: n bytes or -errno, of `asked`. Who got less of a stream
 * than asked for has taken all there was, unless an end or an urgent byte stopped it. */
static inline void
readiness_received(struct socket *s, ssize_t n, size_t asked, int flags)
{
    bool plain = !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | MSG_WAITALL));
    bool ends =
        (s->host_known & (READY_ENDS | POLLPRI)) != (READY_ENDS | POLLPRI) || (s->host_ready & (READY_ENDS | POLLPRI));

    if (plain && !ends && (n == -EAGAIN || (n > 0 && (size_t)n < asked && is_stream(s)))) {
        s->host_known |= READY_IN;
        s->host_ready &= (unsigned short)~READY_IN;
    } else if (n > 0 && plain) {
        s->host_known &= (unsigned short)~(READY_IN | POLLPRI | POLLRDBAND);
    } else {
        readiness_forget(s);
    }
}

/* n bytes were sent, or -errno. */
static inline void
readiness_sent(struct socket *s, ssize_t n)
{
    if (n >= 0 || n == -EAGAIN)
        s->host_known &= (unsigned short)~READY_OUT;
    else
        readiness_forget(s);
}

/* Are these known? */
static inline bool
readiness_known(const struct socket *s, unsigned wanted)
{
    return !((wanted | READY_ENDS) & READY_ALL & ~(unsigned)s->host_known);
}

#endif
