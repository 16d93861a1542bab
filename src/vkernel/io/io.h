/* Pipes and epoll, for the rooms above. */
#ifndef VKERNEL_IO_IO_H
#define VKERNEL_IO_IO_H

#include "vkernel/vfs/vfs.h"

/* --- pipe.c --- */
int fifo_open(struct inode *inode, struct file *f);
void pipe_inode_evict(struct inode *inode);
int64_t pipe_fcntl_size(struct file *f, int64_t size); /* F_SETPIPE_SZ; size below 0: F_GETPIPE_SZ */
/* For splice and tee, on the ends of pipes. */
/* Copies without taking; 0: empty, no writer; -EAGAIN: empty. */
ssize_t pipe_peek(struct file *f, void *buf, size_t size);
void pipe_discard(struct file *f, size_t size); /* takes out what pipe_peek showed */
/* What a write could put in now; when it can be written, no less than PIPE_ATOMIC. */
size_t pipe_room(const struct file *f);

/* --- eventfd.c --- */
bool eventfd_is(const struct file *f);
/* The kernel adds one to its counter, which stays at its largest value once it is there. Does not sleep. */
void eventfd_signal(struct file *f);
/* The same in two steps, for many signals at once: what is added is told by one walk of those who wait. Returns whether
 * there was something to tell. */
void eventfd_add(struct file *f);
bool eventfd_tell(struct file *f);

/* --- epoll.c --- */
void epoll_file_released(struct file *f);
/* Of the items of an epoll file that were added with the number fd, the one behind `skip` others: the file that it
 * watches is in *out, without a reference. -EINVAL: not an epoll file, -ENOENT. */
int epoll_watched(const struct file *epoll, int fd, unsigned skip, const struct file **out);

#endif
