/* --disk: what the root file system may take beyond the image. Its files lie in memory, so this is a limit of its own
 * beside --memory: who exceeds it gets ENOSPC, as on a full disk, where memory would end a process.
 *
 * Counted are the pages of files that are not, or no longer, the image's; a fixed size for each new inode, which comes
 * with a name, and another for each further name (hard link); the text of symbolic links; and extended attributes with
 * what the vkernel keeps beside each. Holes are not counted. Other memory file systems (/dev/shm, memfds, what a guest
 * mounts) have no such limit. */
#ifndef VKERNEL_FS_DISK_H
#define VKERNEL_FS_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/page.h"

struct inode;

enum { DISK_PAGE = PAGE_SIZE, DISK_INODE = 1024, DISK_NAME = 384 };

void disk_set_limit(uint64_t bytes); /* 0: none */

/* Is the inode's file system limited? Nothing else here is to be called for one that is not. */
bool disk_limited(const struct inode *i);
bool disk_take(uint64_t bytes); /* false: there is not so much left */
void disk_give(uint64_t bytes);
uint64_t disk_left(void);
uint64_t disk_size(void); /* 0: no limit */

/* The content of a regular file. The range is to become data: 0, with *size cut to what there is room for, or -ENOSPC. What the image's
 * file has is counted when it is copied. */
int disk_take_range(struct inode *i, uint64_t offset, uint64_t *size);
int disk_take_all(struct inode *i, uint64_t size); /* as if there were no holes up to `size` */
void disk_shrink(struct inode *i, uint64_t size);  /* nothing is behind it any more */
void disk_recount(struct inode *i);                /* holes were made */

#endif
