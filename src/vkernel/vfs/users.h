/* What the processes of one user hold together: the counts behind the limits that Linux has per user. A user is a real user id. */
#ifndef VKERNEL_VFS_USERS_H
#define VKERNEL_VFS_USERS_H

#include <stdint.h>

enum user_count {
    USER_IN_FLIGHT, /* descriptors in messages on their way through Unix sockets; RLIMIT_NOFILE */
    USER_TASKS,     /* threads, and processes until they are waited for; RLIMIT_NPROC */
    USER_SIGNALS,   /* queued, and POSIX timers; RLIMIT_SIGPENDING */
    USER_PIPE_PAGES,
    USER_INOTIFY_INSTANCES,
    USER_INOTIFY_WATCHES,
    USER_EPOLL_WATCHES,
    USER_SHM_LOCKED, /* bytes; RLIMIT_MEMLOCK */
    USER_MQ_BYTES,   /* of POSIX message queues, with what Linux keeps beside them; RLIMIT_MSGQUEUE */
    USER_COUNTS,
};

struct user;

/* Adds n to a count of the current process's user: the user, to give back to, or NULL when the sum would be above the
 * limit. */
struct user *user_charge(enum user_count what, uint64_t n, uint64_t limit);
/* The same of any user. */
struct user *user_charge_uid(uint32_t uid, enum user_count what, uint64_t n, uint64_t limit);
void user_uncharge(struct user *u, enum user_count what, uint64_t n);
uint32_t user_uid(const struct user *u);
uint64_t user_count(const struct user *u, enum user_count what);
/* Puts `to` in the place of what was charged, `from`; neither is 0. */
void user_recharge(struct user *u, enum user_count what, uint64_t from, uint64_t to);
uint64_t user_counted(enum user_count what); /* of the current process's user */

#endif
