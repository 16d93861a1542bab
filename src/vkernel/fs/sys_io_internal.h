/* Of sys_io.c, for sys_copy.c and aio_submit.c. */
#ifndef VKERNEL_FS_SYS_IO_INTERNAL_H
#define VKERNEL_FS_SYS_IO_INTERNAL_H

#include "vkernel/vfs/vfs.h"

/* As fd_get, without those opened with O_PATH. */
struct file *io_get(uint64_t fd);
/* As read and write, from and to the guest's memory, at *pos or at the file's own position. They sleep, unless IO_NO_WAIT
 * is in `how`; with IO_NO_APPEND they write where they are told although the file has O_APPEND. */
enum { IO_NO_WAIT = O_NONBLOCK, IO_NO_APPEND = O_APPEND };
int64_t user_read(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how);
int64_t user_write(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how);

/* The same as preadv2 and pwritev2 do it, with their flags, which are of TRANSFER_FLAGS; pos NULL: at the file's own
 * position. */
enum { TRANSFER_FLAGS = 63 };
int64_t user_transfer(struct file *f, struct user_iov *u, uint64_t *pos, bool write, uint64_t flags);
/* fsync. -EINVAL: of such a file there is nothing to synchronise. May sleep. */
int file_sync(struct file *f);

#endif
