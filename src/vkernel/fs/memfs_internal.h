/* What the two files of the memory file system share. */
#ifndef VKERNEL_FS_MEMFS_INTERNAL_H
#define VKERNEL_FS_MEMFS_INTERNAL_H

#include "vkernel/vfs/vfs.h"
#include "vkernel/image/artifact.h"

/* The artifact beneath the inode's file system; NULL for a plain tmpfs. */
const struct artifact *memfs_base(const struct inode *i);
void memfs_release_content(struct inode *i);        /* the inode ends */
int memfs_truncate(struct inode *i, uint64_t size); /* 0 or -errno */
/* SEEK_DATA and SEEK_HOLE: the offset, or -errno. */
int64_t memfs_seek_data(struct inode *i, uint64_t offset, int whence);

/* Files up to that size lie on the heap, whole; larger and mapped ones in a slot of the store. */
enum { HEAP_MAX = 64 * 1024 };

#endif
