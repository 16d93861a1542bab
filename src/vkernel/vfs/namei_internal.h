/* Of namei.c, for open.c: the parts of a walk that opening takes one by one. */
#ifndef VKERNEL_VFS_NAMEI_INTERNAL_H
#define VKERNEL_VFS_NAMEI_INTERNAL_H

#include "vkernel/vfs/vfs.h"

/* Walks from a given place; bound is what WALK_BENEATH and WALK_IN_ROOT are about. *out is empty on entry, and at a
 * failure. */
int namei_walk_from(struct dentry *start, struct dentry *bound, const char *name, unsigned flags, int links,
                    struct path *out);
/* Where the walk of a name begins. *out gets a reference: the descriptor, or the working directory, may be another one
 * before the walk is over. */
int namei_start_place(int dirfd, const char *name, unsigned flags, struct dentry **out);
/* What a link of /proc leads to, which may have no name. -EOPNOTSUPP: this link is nothing but its text. */
int namei_magic_target(struct dentry *link, unsigned flags, struct dentry **target);
/* What a link says. text: of VFS_PATH_MAX bytes. An empty one is an error. */
int namei_link_text(struct dentry *link, char *text);

#endif
