/* File systems, for the rooms above. */
#ifndef VKERNEL_FS_FS_H
#define VKERNEL_FS_FS_H

#include "vkernel/vfs/vfs.h"

/* --- memfs.c: memory, with the artifact's files beneath --- */
extern const struct inode_ops OPS_TABLE(inode_ops) memfs_inode_ops;
extern const struct file_ops OPS_TABLE(file_ops) memfs_file_ops, memfs_dir_ops;
struct superblock *memfs_new(const char *type, const struct artifact *base, uint32_t root_mode);
struct inode *memfs_inode_new(struct superblock *sb, uint32_t mode, dev_t rdev, const char *target);
int memfs_sealed(const struct inode *i, uint64_t pos, uint64_t *size); /* 0 or -EPERM */
int memfs_fallocate(struct inode *i, int mode, uint64_t offset, uint64_t size);
ssize_t memfs_write_inode(struct inode *i, const void *data, size_t size, uint64_t offset);
ssize_t memfs_read_inode(struct inode *i, void *data, size_t size, uint64_t offset);

/* --- hostfs.c --- */
struct superblock *hostfs_new(int host_fd, bool read_only);
void hostfs_collect_changes(void);

/* --- xattr.c --- */
void xattr_free_all(struct inode *i);

#endif
