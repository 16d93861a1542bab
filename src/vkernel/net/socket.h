/* Sockets between guests: AF_UNIX, loopback AF_INET and AF_INET6, a little AF_NETLINK.
 *
 * All kinds share one receive queue of messages and, when connected, a pointer to the other end. Operations never sleep:
 * they answer -EAGAIN and the system call waits on the socket's queues. */
#ifndef VKERNEL_NET_SOCKET_H
#define VKERNEL_NET_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vkernel/fs/vfs.h"

enum { SCM_MAX_FILES = 253, SOCKET_BUFFER = 212992, OPTION_SLOTS = 24, DGRAM_QUEUE = 512 };

struct scm {
    unsigned file_count;
    struct file *files[SCM_MAX_FILES];
};

struct socket;

struct message {
    struct list link;
    struct scm *scm;
    struct ucred creds;
    struct socket *sender; /* a reference; datagrams only */
    struct sockaddr_storage from;
    socklen_t from_length;
    size_t size, offset;
    uint8_t data[];
};

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* What goes with a send or a receive besides the bytes. */
struct transfer {
    int flags;              /* MSG_* asked for */
    struct address *to;     /* send: explicit destination, or NULL */
    struct scm *scm;        /* send: taken over on success; receive: given to the caller, who frees it */
    struct address from;    /* receive: length 0 when there is none */
    struct ucred creds;
    int out_flags;          /* receive: MSG_TRUNC, MSG_EOR */
};

struct socket_ops {
    int (*bind)(struct socket *s, const struct address *a);
    int (*connect)(struct socket *s, const struct address *a);
    int (*listen)(struct socket *s);
    ssize_t (*send)(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
    /* NULL: the common message queue */
    ssize_t (*recv)(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
    void (*close)(struct socket *s);
};

struct socket {
    unsigned refs;
    int family, type, protocol;
    const struct socket_ops *ops;
    struct inode *inode;        /* of its file; not a reference */
    bool open;                  /* its file exists (or will: in an accept queue) */
    bool listening, connected, bound;
    bool shut_read, shut_write; /* shut_read also when the other end shut or closed */
    bool peer_gone;
    int error;                  /* SO_ERROR */
    struct socket *peer;        /* a reference; the stream's other end, or a connected datagram's target */
    struct list messages;
    size_t queued;
    unsigned message_count;
    size_t receive_limit, send_limit;
    struct list pending, pending_link; /* listener: sockets to accept; and the link in that list */
    unsigned pending_count, backlog;
    struct address local, remote;
    struct ucred creds, peer_creds;
    bool pass_creds;
    uint64_t receive_timeout, send_timeout;
    struct wait_queue in_queue, out_queue;
    struct list all;            /* bound sockets of the family */
    struct inode *bound_inode;  /* AF_UNIX path; a reference */
    struct { int level, name, value; } options[OPTION_SLOTS];
    unsigned option_count;
    struct linger linger;
};

/* socket.c */
struct socket *socket_new(int family, int type, int protocol, const struct socket_ops *ops);
struct socket *socket_get(struct socket *s);
void socket_put(struct socket *s);
struct file *socket_file(struct socket *s, int flags); /* takes the reference */
struct socket *file_socket(const struct file *f);      /* NULL: not a socket */
bool is_stream(const struct socket *s);
struct ucred current_ucred(void);
void socket_wake(struct socket *s);
void socket_pair_up(struct socket *a, struct socket *b);
void scm_free(struct scm *m);
struct message *message_new(struct socket *sender, const struct iovec *iov, int count, size_t size, struct transfer *t);
void message_free(struct message *m);
int message_append(struct socket *to, struct message *m);
ssize_t stream_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
ssize_t queue_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
ssize_t socket_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
ssize_t socket_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t);
int stream_offer(struct socket *client, struct socket *listener, struct socket *server);
void stream_disconnect(struct socket *s);
int socket_shutdown(struct socket *s, int how);
extern struct wait_queue dgram_space;
extern const struct file_ops socket_file_ops;
int socket_option(const struct socket *s, int level, int name, int fallback);

/* families */
struct socket *unix_socket_new(int type, int protocol, int *error);
struct socket *inet_socket_new(int family, int type, int protocol, int *error);
struct socket *netlink_socket_new(int type, int protocol, int *error);
int inet_ioctl(struct socket *s, unsigned long request, guest_addr arg);
void unix_socket_list(void (*each)(struct socket *s, void *arg), void *arg);
void inet_socket_list(void (*each)(struct socket *s, void *arg), void *arg);

#endif
