/* POSIX message queues, between mqueue.c (what is done with one) and mqueue_fs.c (names and open queues). */
#ifndef VKERNEL_IPC_MQUEUE_INTERNAL_H
#define VKERNEL_IPC_MQUEUE_INTERNAL_H

#include "base/id_tree.h"
#include "base/list.h"
#include "vkernel/ipc/message.h"
#include "vkernel/sched/sched.h"
#include "vkernel/vfs/vfs.h"

struct socket;

enum { MQ_COOKIE = 32, MQ_PRIORITIES = 32768 };

struct mq_attributes { /* struct mq_attr */
    int64_t flags, max_messages, message_size, messages, reserved[4];
};
_Static_assert(sizeof(struct mq_attributes) == 64, "mq_attr");

/* Who is told, once, of a message that comes to the empty queue while nobody waits for it. */
struct mq_notice {
    int pid;          /* of the process; 0: nobody is told */
    uint64_t started; /* when that process began: its number may be another's by now */
    int how, signal;  /* SIGEV_*; for SIGEV_SIGNAL */
    uint64_t value;
    struct socket *socket; /* SIGEV_THREAD: where the cookie goes; a reference */
    uint8_t cookie[MQ_COOKIE];
};

struct mqueue {
    int64_t max_messages, message_size; /* bytes of the largest one */
    int64_t count;                      /* messages in it */
    uint64_t bytes;                     /* of these */
    uint64_t sent;                      /* messages ever, so that those of one priority stay in order */
    struct id_tree messages;            /* struct ipc_message.node: the highest priority first */
    struct list senders, receivers;     /* struct mq_waiter, first come, first served */
    struct wait_queue queue;            /* of poll */
    struct mq_notice notice;
    struct user *user; /* who is charged, until user_uncharge() */
    uint64_t charged;  /* bytes */
};

extern const struct file_ops OPS_TABLE(file_ops) mqueue_file_ops;

/* A new queue, which becomes its inode's, charged to the current user; NULL attributes: the default ones. -EINVAL,
 * -EMFILE (RLIMIT_MSGQUEUE), -ENOMEM. */
int mqueue_new(const struct mq_attributes *a, struct mqueue **out);
void mqueue_free(struct mqueue *q); /* its inode ends, so nobody has it open */

#endif
