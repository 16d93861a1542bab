/* Pseudo file systems (/proc, /sys): a tree of tables, with directories that also make names up. */
#ifndef VKERNEL_FS_PSEUDOFS_H
#define VKERNEL_FS_PSEUDOFS_H

#include "vkernel/vfs/vfs.h"

/* Text under construction. */
struct text {
    char *data;
    size_t size, capacity;
    uint64_t told; /* of the file's news: those before */
    bool failed;
};
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_bytes(struct text *t, const void *data, size_t size);

struct pseudo;

/* Which object a node is about; 0 where it does not apply. What is below a directory is about the same object. */
struct pseudo_key {
    int pid, tid, number;
};

struct pseudo {
    const char *name;
    uint32_t mode;   /* with type; 0 ends a table */
    bool is_private; /* what it tells, or leads to, is for who may trace the process: process_may_look() */
    /* files */
    int (*show)(const struct pseudo_key *key, struct text *out);
    ssize_t (*store)(const struct pseudo_key *key, const char *data, size_t size);
    /* instead of show: bytes at a position, at most size; 0 at the end; -errno */
    ssize_t (*read_at)(const struct pseudo_key *key, char *out, size_t size, uint64_t pos);
    /* its poll says POLLERR and POLLPRI once after each news, beside that it can be read; NULL: it cannot be polled */
    struct vfs_news *news;
    uint64_t ino;                                              /* 0: made up */
    int (*open)(const struct pseudo_key *key, struct file *f); /* instead: sets the open file's operations */
    /* directories */
    const struct pseudo *children;
    const struct pseudo *dynamic; /* what a made-up name is */
    const char *prefix;           /* what stands before the number in a made-up name; NULL: nothing does */
    int (*find)(const struct pseudo_key *dir, const char *name, struct pseudo_key *out); /* 0 or -ENOENT */
    /* The first made-up names with number >= from, rising: how many were put to out, at most max; 0 at the end. */
    unsigned (*next)(const struct pseudo_key *dir, int from, int *out, unsigned max);
    /* links */
    ssize_t (*readlink)(const struct pseudo_key *key, char *buf, size_t size);
    int (*follow)(const struct pseudo_key *key, struct dentry **out); /* NULL: by its text */
    uint32_t (*link_mode)(const struct pseudo_key *key);              /* NULL: mode */
    const char *text;                                                 /* a file that never changes */
};

/* For `next` over what has no order: keeps the max smallest numbers of those it is called with, sorted. */
void pseudofs_keep_smallest(int *out, unsigned *count, unsigned max, int number);
struct superblock *pseudofs_new(const char *type, uint64_t magic, const struct pseudo *root);
/* What an open directory of this entry is about; NULL for other files. */
const struct pseudo_key *pseudofs_directory(const struct file *f, const struct pseudo *entry);
int pseudofs_mount(struct dentry *root, const char *name, struct superblock *sb);

#endif
