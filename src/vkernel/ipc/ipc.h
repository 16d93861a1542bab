/* System V IPC and POSIX message queues, for the rooms above. */
#ifndef VKERNEL_IPC_IPC_H
#define VKERNEL_IPC_IPC_H

#include "vkernel/fs/pseudofs.h"

/* The limits that /proc/sys/kernel shows, and cannot set. They are those that Linux begins with. */
#define SHM_MAX      (UINT64_MAX - (1 << 24)) /* bytes of a segment, and pages of all (shmall) */
#define SHM_MAX_TEXT "18446744073692774399\n"
#define SHM_NUMBER   4096 /* segments */

#define SEM_SETS   32000
#define SEM_OF_SET 32000      /* semaphores of a set */
#define SEM_ALL    1024000000 /* semaphores of all sets */
#define SEM_OPS    500        /* operations of a call */

#define MSG_QUEUES 32000
#define MSG_SIZE   8192  /* bytes of a message */
#define MSG_BYTES  16384 /* of all messages in a queue, as it is made */

/* POSIX message queues: what /proc/sys/fs/mqueue shows. */
#define MQ_MESSAGES 10   /* of a queue, at most and by default; more with CAP_SYS_RESOURCE */
#define MQ_SIZE     8192 /* bytes of a message, the same */
#define MQ_QUEUES   256

/* Their file system, to be made once and mounted at /dev/mqueue; NULL: no memory. */
struct superblock *mqueue_fs_new(void);

struct task;
/* The current task has made the task t. shares: with CLONE_SYSVSEM, so that what both do with SEM_UNDO is taken back
 * when the last of them ends. 0 or -ENOMEM. */
int sem_task_made(struct task *t, bool shares);
/* The task ends, or shall share nothing any more: what it did with SEM_UNDO is taken back, unless others share that.
 * May sleep. */
void sem_task_leaves(struct task *t);

/* What /proc/sysvipc shows. They return 0. */
int ipc_show_shm(const struct pseudo_key *key, struct text *out);
int ipc_show_msg(const struct pseudo_key *key, struct text *out);
int ipc_show_sem(const struct pseudo_key *key, struct text *out);

#endif
