/* Semaphore sets, between sem.c (operations) and semctl.c. */
#ifndef VKERNEL_IPC_SEM_INTERNAL_H
#define VKERNEL_IPC_SEM_INTERNAL_H

#include "base/list.h"
#include "vkernel/ipc/ipc_internal.h"
#include "vkernel/sched/sched.h"

enum { SEM_HIGHEST = 32767, SEM_MOST_UNDONE = 32767 };

struct semaphore {
    int value; /* 0 to SEM_HIGHEST */
    int pid;   /* of the process that changed it, or looked for zero, last */
};

struct sem_set {
    struct ipc_object ipc; /* who sleeps has a reference as well */
    unsigned count;
    struct semaphore *semaphores; /* owned */
    /* struct sem_waiter, first come, first served: those that only wait for zeros, and those that change something. */
    struct list zero_waiters, waiters;
    struct list undos; /* struct sem_undo.of_set */
    uint64_t epoch;    /* SETALL begins a new one: adjustments of older ones are zero */
    bool unsettled;    /* waiters that could go on are left, because the walk over them was to end */
    int64_t op_time;   /* seconds of real time; 0: never */
};

/* Operations that wait: on the stack of who sleeps. */
struct sem_waiter {
    struct list link;
    struct wait_queue queue;
    const struct sembuf *ops; /* the caller's, on numbers that the set has */
    unsigned count;
    bool alters, raises;   /* some op is not 0; is above 0 */
    struct sem_undo *undo; /* the caller's, for ops with SEM_UNDO; NULL: none has it */
    int pid;
    int result; /* SEM_PENDING, or what the call returns */
    /* The op that could not be done, on which semaphore, and what the ops before it add to that. */
    unsigned blocking;
    int blocking_op, added_before;
};
enum { SEM_PENDING = 1 };

/* What a task's SEM_UNDO operations on one set add up to, and shall be taken back. */
struct sem_undo {
    struct id_node by_set; /* in *tree, that of the tasks' sem_undo_list, by the id of the set */
    struct id_tree *tree;
    struct list of_set;
    struct sem_set *set; /* without a reference: sem_remove() ends all undos of its set */
    uint64_t epoch;      /* the set's when adjust was valid */
    int16_t *adjust;     /* owned; of each semaphore */
};

extern struct ipc_ids sem_sets;
extern unsigned sem_total; /* semaphores of all sets */

struct sem_set *sem_set_of(struct ipc_object *o);
void sem_set_put(struct sem_set *s);
/* Lets waiters go on whose operations can be done now. */
void sem_settle(struct sem_set *s);
/* The value was set: what tasks would undo of this semaphore is nothing any more. */
void sem_forget_undo(struct sem_set *s, unsigned number);
void sem_remove(struct sem_set *s); /* IPC_RMID */

#endif
