/* Between the files of seccomp/. */
#ifndef VKERNEL_SECCOMP_SECCOMP_INTERNAL_H
#define VKERNEL_SECCOMP_SECCOMP_INTERNAL_H

#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/seccomp/bpf.h"
#include "vkernel/seccomp/seccomp.h"

/* A filter. Filters form a tree: each knows the one that was there before it, and tasks have leaves of it. Nothing of
 * it changes once a task has it, but mark, and what is said below of listeners. */
struct seccomp_filter {
    struct refcount refs;  /* tasks, later filters, the listener's file */
    struct refcount users; /* tasks and later filters that have users themselves; 0 (see no_users): none is left */
    struct seccomp_filter *before; /* counted; NULL: none */
    struct sock_filter *program;   /* owned */
    unsigned count, counted;       /* instructions, and how many Linux counts (bpf_counted_length) */
    bool logs;                     /* SECCOMP_FILTER_FLAG_LOG */
    bool waits_killable;           /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
    bool no_users;
    uint64_t mark; /* the last walk that came by here (mark() in filter.c) */
    /* Calls that it and all before it allow, whatever the arguments are; a bit for each number. */
    uint64_t allows[SYSCALL_TABLE_SIZE / 64];

    /* --- notify.c: of a filter with SECCOMP_FILTER_FLAG_NEW_LISTENER --- */
    bool heard;              /* the listener is open */
    uint64_t next_id;        /* of the next notice */
    struct list notices;     /* struct seccomp_notice, the oldest first */
    unsigned fresh, taken;   /* how many of them nobody has received, and were received but not answered */
    unsigned due;            /* how many times RECV finds something without a wait, as Linux counts */
    struct wait_queue queue; /* who receives, and polls */
};

void seccomp_filter_get(struct seccomp_filter *f);
void seccomp_filter_put(struct seccomp_filter *f);

/* --- notify.c --- */
/* A file that listens to the filter, with a reference of its own; NULL: no room. */
struct file *seccomp_listener(struct seccomp_filter *f);
/* Asks who listens what is to become of the call. Sleeps. */
struct seccomp_outcome seccomp_ask(struct seccomp_filter *f, const struct seccomp_data *data);

#endif
