/* The root file system of an image while it is built: inodes in memory, file contents in one spool file.
 *
 * The spool is the artifact's DATA section as it will be: each distinct content once, page aligned. */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/vec.h"

struct tree_inode;

struct tree_entry {
    const char *name; /* in the tree's arena */
    struct tree_inode *inode;
};

struct tree_inode {
    uint32_t mode, uid, gid;
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t rdev_major, rdev_minor;
    uint32_t nlink;
    uint64_t size;
    uint64_t spool_offset; /* regular files */
    struct sha256 sha256;
    const char *target;             /* symlinks */
    VEC(struct tree_entry) entries; /* directories, sorted by name */
    uint32_t index;                 /* in the artifact; UINT32_MAX before numbering */
    bool visited;                   /* scratch of tree_walk */
};

struct tree {
    struct arena arena;
    struct tree_inode *root;
    VEC(struct tree_inode *) inodes; /* all ever made, for freeing */
    int spool_fd;
    uint64_t spool_size;
    uint64_t content_size;     /* of all contents ever written, equal ones too */
    struct spool_index *index; /* content hash -> offset */
    const uint8_t *spool;      /* read-only mapping after tree_seal */
};

struct tree_attributes {
    uint32_t mode, uid, gid; /* mode with file type */
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t rdev_major, rdev_minor;
    const char *target;
};

/* The spool is an unlinked temporary file in folder `dir`. */
int tree_init(struct tree *t, const char *dir, struct err *e);
void tree_fini(struct tree *t);

/* Puts an object at path (relative or absolute; "." components dropped, ".." refused, symlinks in the parents followed
 * inside the tree; missing parents made 0755). Replaces what is there, except that a directory over a
 * directory keeps its entries. The new inode, or NULL with a message. */
struct tree_inode *tree_put(struct tree *t, const char *path, const struct tree_attributes *a, struct err *e);
/* A further name for an existing file. */
int tree_link(struct tree *t, const char *path, const char *target, struct err *e);
/* Removes path and all below; nothing there is no error, nor is a file where a folder would be. */
int tree_remove(struct tree *t, const char *path, struct err *e);
/* The object at path, symlinks in all but the last component followed; NULL when there is none. */
struct tree_inode *tree_lookup(struct tree *t, const char *path);

/* --- content: begin, write..., end sets size, hash and offset (an identical content is stored once) --- */
struct tree_writer {
    struct tree *tree;
    uint64_t start, size;
    void *hash; /* EVP_MD_CTX */
};
int tree_write_begin(struct tree *t, struct tree_writer *w, struct err *e);
/* offset: position in the file; gaps are zero (sparse). Must not go backwards. */
int tree_write(struct tree_writer *w, const void *data, size_t size, uint64_t offset, struct err *e);
int tree_write_end(struct tree_writer *w, struct tree_inode *inode, uint64_t size, struct err *e);
void tree_write_abort(struct tree_writer *w);

/* No more content: maps the spool. */
int tree_seal(struct tree *t, struct err *e);
const uint8_t *tree_content(const struct tree *t, const struct tree_inode *inode);

/* Every inode once, depth first in name order, with one of its paths ("/usr/bin/env"). */
typedef int tree_visit(void *context, struct tree_inode *inode, const char *path, struct err *e);
int tree_walk(struct tree *t, tree_visit *visit, void *context, struct err *e);

#endif
