/* Sockets: AF_UNIX, loopback AF_INET and AF_INET6, a little AF_NETLINK between guests; with --network host the host's
 * AF_INET and AF_INET6 (host.c), with --network user the host's for what is outside (user.c).
 *
 * Those between guests share one receive queue of messages and, when connected, a pointer to the other end. Operations
 * never sleep: they answer -EAGAIN and the system call waits on the socket's queues. */
#ifndef VKERNEL_NET_SOCKET_H
#define VKERNEL_NET_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"

enum { SCM_MAX_FILES = 253, SOCKET_BUFFER = LIMIT_SOCKET_BUFFER, DGRAM_QUEUE = LIMIT_DGRAM_QUEUE };

/* The options that a socket keeps, by name (options.def). */
enum socket_option {
#define REAL(level, name, who, form, low, high, initial, where) OPTION_##name,
#define HINT                                                    REAL
#define REFUSED(level, name, who, error, why)
#include "vkernel/net/options.def"
#undef REAL
#undef HINT
#undef REFUSED
    OPTION_COUNT
};
#define socket_option(s, name) ((s)->options[OPTION_##name])

/* Files that go with a message. */
struct scm {
    bool in_flight;    /* lies in a queue, and is counted there (unix_gc.c) */
    struct user *user; /* at whose cost */
    unsigned file_count;
    struct file *files[SCM_MAX_FILES];
};
OBJECT_POOL_OF(scm);

struct socket;

/* What a datagram's headers say besides its sender's address. Addresses are IPv6, IPv4 ones mapped. */
struct packet {
    struct in6_addr to;
    uint16_t port;
    uint8_t ttl, tos;
    int error; /* it did not arrive: why (in a socket's queue of errors) */
};

struct message {
    struct list link;
    struct scm *scm;
    struct ucred creds;           /* of the sender, where one of the ends wanted to know (socket_creds) */
    struct socket *sender;        /* a reference; of packets between Unix sockets, whose `sent` counts it */
    struct sockaddr_storage from; /* of others */
    socklen_t from_length;
    size_t size, offset;
    size_t room;          /* bytes that data has place for */
    size_t charge;        /* what it counts against the buffer's limit */
    uint64_t time;        /* CLOCK_REALTIME of its arrival, for who asked; 0: it was not taken */
    uint32_t drops;       /* what its socket had lost by then */
    struct packet packet; /* AF_INET, AF_INET6 */
    uint8_t *data;        /* apart: whoever writes behind its end must not reach pointers */
};

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* What goes with a send or a receive besides the bytes. */
struct transfer {
    int flags;           /* MSG_* asked for */
    bool patient;        /* receive: the caller sleeps until there is as much as SO_RCVLOWAT says */
    struct address *to;  /* send: explicit destination, or NULL */
    struct scm *scm;     /* send: taken over on success; receive: given to the caller, who frees it */
    struct address from; /* receive: length 0 when there is none */
    struct ucred creds;  /* receive: the sender's; send: what it claims to be, when creds_given */
    bool creds_given;
    bool received;       /* receive: there was a message, so creds are its sender's; a stream gives no others with
                               it */
    int out_flags;       /* receive: MSG_TRUNC, MSG_EOR */
    void *control;       /* other control messages than struct scm's, in Linux's form; NULL: none */
    size_t control_size; /* receive: room, then what was filled */
    size_t control_room; /* receive, ancillary.c: room */
};

/* Where getsockopt puts its answer. */
struct option_out {
    guest_addr p, length;
    uint32_t room;
};

/* One kind of socket. bind, connect, listen, accept: NULL is -EOPNOTSUPP. Kinds whose messages lie in the socket's own
 * queue take QUEUE_SOCKET_OPS. */
struct socket_ops {
    int (*bind)(struct socket *s, const struct address *a);
    /* -EAGAIN, -EINPROGRESS, -EALREADY: a blocking call sleeps on the socket's queues or dgram_space and asks again,
     * after -EINPROGRESS as soon as poll says that it is writable. */
    int (*connect)(struct socket *s, const struct address *a);
    int (*listen)(struct socket *s, unsigned backlog);
    int (*accept)(struct socket *s, struct socket **out);
    ssize_t (*send)(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
    ssize_t (*recv)(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
    int (*shutdown)(struct socket *s, int how);
    int (*name)(struct socket *s, bool peer, struct address *out);
    unsigned (*poll)(struct socket *s);
    int (*ioctl)(struct socket *s, unsigned long request, guest_addr arg);
    int (*set_option)(struct socket *s, int level, int name, guest_addr p, uint32_t size);
    int (*get_option)(struct socket *s, int level, int name, const struct option_out *out);
    void (*close)(struct socket *s);
    /* Its descriptor of the host's has news (POLL*). Called outside of any task's call: nothing of the current process
     * may be used. */
    void (*host_ready)(struct socket *s, short events);
};

#define QUEUE_SOCKET_OPS                                                                                            \
    .accept = queue_accept, .recv = queue_recv, .shutdown = queue_shutdown, .name = queue_name, .poll = queue_poll, \
    .ioctl = queue_ioctl, .set_option = queue_set_option, .get_option = queue_get_option

struct socket {
    struct refcount refs;
    int family, type, protocol;
    const struct socket_ops *ops;
    struct inode *inode; /* of its file; not a reference */
    struct file *file;   /* not a reference; NULL in an accept queue, and when the file is gone */
    bool open;           /* its file exists (or will: in an accept queue) */
    bool listening, connected, bound;
    bool autobound;             /* AF_INET, AF_INET6: by the kernel alone */
    bool connecting;            /* a connect() began whose outcome nobody has asked for */
    bool shut_read, shut_write; /* also by what the other end did */
    bool peer_gone;             /* a stream or sequenced packets: the other end closed */
    bool fin;                   /* TCP: the other end sends nothing more, which it said in order */
    bool was_reset;             /* TCP: or it did not know the connection any more */
    int error;                  /* SO_ERROR */
    struct socket *peer;        /* a reference; the stream's other end, or a connected datagram's target */
    struct list messages;
    struct message *urgent; /* TCP: the one of them that is the urgent byte, until it is read or passed; or NULL */
    uint64_t urgent_at;     /* received_bytes before it */
    bool urgent_read;       /* by MSG_OOB */
    size_t queued;          /* bytes in messages */
    size_t charged;         /* the same and what messages take besides: small ones must not fill memory */
    size_t sent;            /* the same of this socket's packets, in whosever queues they lie */
    unsigned message_count;
    size_t receive_limit, send_limit;
    struct list pending, pending_link; /* listener: sockets to accept; and the link in that list */
    unsigned pending_count, backlog;
    unsigned deferred_count; /* of those pending */
    struct address local, remote;
    struct ucred creds, peer_creds;
    int stamp, stamping;        /* SO_TIMESTAMP or SO_TIMESTAMPNS, 0: neither; flags of SO_TIMESTAMPING */
    uint32_t drops;             /* datagrams lost for lack of room */
    struct list errors;         /* messages: the error queue */
    struct cork *cork;          /* udp.c: what UDP_CORK or MSG_MORE holds back; NULL: nothing */
    struct socket *deferred_by; /* waits, in this listener's queue, for its first byte (TCP_DEFER_ACCEPT); not a
                                   reference */
    struct ktimer defer_timer;
    uint64_t sent_bytes, received_bytes; /* streams, for TCP_INFO */
    uint64_t receive_timeout, send_timeout;
    struct wait_queue in_queue, out_queue;
    struct list all;           /* bound sockets of the family */
    struct inode *bound_inode; /* AF_UNIX path; a reference */
    int options[OPTION_COUNT];
    struct linger linger;
    int host_fd;                           /* a descriptor of the host's (host.c); -1: none */
    unsigned short host_known, host_ready; /* readiness.h */
    /* user.c. host_family: that of host_fd; host_connected: UDP, it has a peer, and hears of no other */
    int host_family;
    bool host_connected;
    struct list flows; /* flows.c */

    /* unix_gc.c */
    struct list in_flight_link, reached_link;
    unsigned outside; /* messages that carry it, but for those in candidates' queues */
    bool candidate;
};

struct ifreq;
struct endpoint;
struct interface;

/* How sockets of inet.c and udp.c reach what is not the container's own. Addresses are those that guests see. */
struct outside {
    /* TCP: begins to connect a socket that is bound; -EINPROGRESS or the error. */
    int (*connect)(struct socket *s, const struct endpoint *to);
    /* A guest listens, or does not any more, or has taken a connection out of a listener's queue. */
    void (*accepted)(struct socket *listener);
    int (*listening)(struct socket *listener);
    void (*closed)(unsigned port);
    /* May it be sent there? 0 or the error. */
    int (*route)(const struct socket *s, const struct endpoint *to);
    int (*udp_connect)(struct socket *s, const struct endpoint *to); /* to NULL: it has no peer any more */
    /* from: as it is known to other guests; iov: of guests' or of our own memory */
    int (*transmit)(struct socket *s, const struct endpoint *from, const struct endpoint *to, const struct iovec *iov,
                    int count);
    void (*udp_close)(struct socket *s);
    void (*udp_ready)(struct socket *s); /* its descriptor of the host's has news */
};

/* What a container sees beyond its own AF_UNIX sockets. */
struct network {
    struct socket *(*socket_new)(int family, int type, int protocol, int *error);
    const struct outside *outside;      /* NULL: nothing is there */
    const struct interface *interfaces; /* interfaces.h; NULL where dump and text have the host's */
    int (*interface_ioctl)(unsigned long request, guest_addr arg);
    /* Hands each message of an rtnetlink dump to `each`; NULL: that of `interfaces`, made by netlink.c. */
    int (*dump)(unsigned type, unsigned family, void (*each)(const void *message, size_t size, void *arg), void *arg);
    /* The text of /proc/net/NAME or of /etc/NAME ("net/NAME", "NAME"), to be freed; NULL: the container's own. */
    char *(*text)(const char *name);
};
extern const struct network loopback_network, host_network, user_network;
extern const struct network *network; /* the container's; loopback_network unless boot says otherwise */
int host_network_start(void);

/* socket.c */
struct socket *socket_new(int family, int type, int protocol, const struct socket_ops *ops);
/* The same where there is no current process. */
struct socket *socket_new_of(struct ucred owner, int family, int type, int protocol, const struct socket_ops *ops);
struct socket *socket_get(struct socket *s);
void socket_put(struct socket *s);
struct file *socket_file(struct socket *s, int flags); /* takes the reference */
struct socket *file_socket(const struct file *f);      /* NULL: not a socket */
bool is_stream(const struct socket *s);
struct ucred current_ucred(void);
struct ucred message_creds(const struct socket *s, const struct socket *to, const struct transfer *t);
void socket_wake(struct socket *s);
/* Sends bytes, or a packet, of which callers show SPANS_MOST (vfs.h) at most. A larger packet is refused by its size, as
 * it is seen; where the limit was forced above that, there is no memory for one, as in Linux: -ENOBUFS. */
ssize_t socket_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
int socket_error(struct socket *s);    /* the error that waits to be told, negative, or 0; it is told then */
int tcp_state(const struct socket *s); /* TCP_ESTABLISHED, ... of netinet/tcp.h */
void socket_pair_up(struct socket *a, struct socket *b);
void scm_free(struct scm *m);
struct message *message_new(struct socket *sender, const struct iovec *iov, int count, size_t size, struct transfer *t);
/* Of `size` bytes from byte `skip` of the vector on, with room for more. */
struct message *message_with_room(struct socket *sender, const struct iovec *iov, int count, size_t skip, size_t size,
                                  size_t room, struct transfer *t);
void message_free(struct message *m);
int message_append(struct socket *to, struct message *m);
/* Takes all messages out of the queue, onto a list. */
void messages_take(struct socket *s, struct list *out);
int queue_accept(struct socket *s, struct socket **out);
int queue_shutdown(struct socket *s, int how);
bool queue_at_end(const struct socket *s); /* a call that may sleep need not: nothing will come */
void messages_drop(struct socket *s);
int queue_name(struct socket *s, bool peer, struct address *out);
unsigned queue_poll(struct socket *s);
int queue_ioctl(struct socket *s, unsigned long request, guest_addr arg);
int stream_offer(struct socket *client, struct socket *listener, struct socket *server);
void stream_disconnect(struct socket *s);
void socket_listening(struct socket *s, unsigned backlog);
void socket_close(struct socket *s); /* drops the file's reference: its file is gone, or was never made */
extern struct wait_queue dgram_space;
extern const struct file_ops OPS_TABLE(file_ops) socket_file_ops;

/* queue.c */
ssize_t stream_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
ssize_t queue_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
void tcp_reset(struct socket *s);
/* TCP: would a read begin with the urgent byte? */
bool tcp_at_mark(const struct socket *s);
/* On Linux what lies in a Unix stream counts against its sender's buffer, in a TCP connection against the
 * receiver's. */
size_t stream_limit(const struct socket *s);
/* SO_RCVLOWAT: is there as much as a reader of `want` bytes waits for? One that Linux's buffer could never hold is half
 * of ours. */
bool queue_has_enough(const struct socket *s, size_t want);

/* unix_gc.c */
int scm_take_off(struct scm *m);
void scm_land(struct scm *m);
bool scm_too_many(void); /* the current process's user has more in flight than it may */
void unix_gc(void);

/* options.c */
void options_init(struct socket *s);
void options_inherit(struct socket *s, const struct socket *listener); /* of a connection that was made for it */
int queue_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size);
int queue_get_option(struct socket *s, int level, int name, const struct option_out *out);
/* Hands the options that are kept for a socket on to a descriptor of the host's; name -1: all that are not as at first. */
void options_to_host(const struct socket *s, int fd, int level, int name);
int option_give(const struct option_out *o, const void *data, size_t size);

/* ancillary.c: control messages besides those of struct scm */
void ancillary_of(struct socket *s, const struct message *m, struct transfer *t);
/* The sender's headers: its options, and what its control messages say. *from: the source address they ask for, if
 * any. */
int packet_headers(const struct socket *s, const struct transfer *t, struct packet *p, struct in6_addr *from);

/* inet.c */
void udp_push(struct socket *s); /* sends what was held back */
extern const struct socket_ops OPS_TABLE(socket_ops) udp_ops;

/* families */
struct socket *unix_socket_new(int type, int protocol, int *error);
struct socket *netlink_socket_new(int type, int protocol, int *error);
/* A message of the kernel's own, for mq_notify: lost when the socket has too much already, or nobody has it open. */
void netlink_tell(struct socket *s, const void *data, size_t size);
void unix_socket_list(void (*each)(struct socket *s, void *arg), void *arg);
void inet_socket_list(void (*each)(struct socket *s, void *arg), void *arg);

/* --- unix_gc.c --- */
void unix_gc_suspect(const struct file *f); /* it is held by messages in sockets' queues alone */

#endif
