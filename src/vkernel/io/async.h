/* O_ASYNC, F_SETOWN and F_SETSIG: who is told by a signal that a file is ready. */
#ifndef VKERNEL_IO_ASYNC_H
#define VKERNEL_IO_ASYNC_H

#include "vkernel/vfs/file.h"

/* fd: by which it is switched on. */
int async_set(struct file *f, int fd, bool on);
int async_set_owner(struct file *f, int type, int id); /* F_OWNER_*; id 0: nobody */
int async_owner(const struct file *f, int *type);
void async_owner_ids(const struct file *f, uint32_t ids[2]); /* uid and euid of who named it */
int async_set_signal(struct file *f, uint64_t signal);
int async_signal(const struct file *f);
/* Urgent data came: SIGURG to the file's owner, whether or not O_ASYNC is set. */
void async_urgent(const struct file *f);
/* The kernel has news for the file's owner that is no readiness (a lease is broken): its signal, as poll's POLLMSG. */
void async_message(const struct file *f, int fd);
/* The current process becomes its owner if there is none: 0 or -ENOMEM. */
int async_own(struct file *f);
void async_disown(struct file *f); /* nobody is its owner any more, and the signal is SIGIO again */
void async_free(struct file *f);

#endif
