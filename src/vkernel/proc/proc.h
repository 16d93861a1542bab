/* The life of processes and threads: clone, exec, exit, wait; futexes; limits. */
#ifndef VKERNEL_PROC_PROC_H
#define VKERNEL_PROC_PROC_H

#include "vkernel/task/process.h"

struct file;

/* --- life.c --- */
struct process *process_new(struct process *parent); /* not yet visible */
void process_free(struct process *p);
struct task *task_new(struct process *p);
void task_free(struct task *t);

/* --- clone.c --- */
int pidfd_pid(int fd, bool *nonblock); /* of the process; -EBADF, -ECHILD */

/* --- exit.c --- */
_Noreturn void task_exit(int status);         /* this thread; the process too when it is the last */
_Noreturn void group_exit(int status);        /* wait status */
void process_end(struct process *p, int sig); /* task_hooks.end */
bool kill_other_threads(void);                /* for exec: true when alone; false: this one must leave, too */
void mm_release(struct task *t);              /* clear_child_tid, robust list, who waits for a vfork */

void vfork_put(struct vfork_wait *w);

/* --- ids.c --- */
int64_t proc_capability_prctl(int option, const uint64_t a[6]);

/* --- exec.c --- */
int exec_file(int dirfd, const char *path, int flags, char **argv, char **envp);

/* --- futex.c --- */
int futex_wake_address(uint64_t address, unsigned n);
void futex_exit_robust(struct task *t);

struct proc_hooks {
    void (*reload)(void);                    /* the running task's address space is another one */
    void (*restart)(void);                   /* does not return: drops every frame; goes on at x86_cpu_tls.rip */
    void (*leaves_memory)(struct mm *mm);    /* a process is about to give it up: statistics are taken */
    int (*procfs_pid)(const struct file *f); /* of an open /proc/PID; 0 for other files */
    void (*container_exit)(int status);      /* wait status of process 1; does not return */
};
extern const struct proc_hooks proc_hooks; /* boot/hooks.c */

#endif
