/* Between the files of /proc and /sys. */
#ifndef VKERNEL_BOOT_PROCFS_H
#define VKERNEL_BOOT_PROCFS_H

#include "vkernel/fs/pseudofs.h"

extern const struct pseudo OPS_TABLE(pseudo) proc_pid_entry, proc_task_entry; /* proc_pid.c */
extern const struct pseudo OPS_TABLE(pseudo) proc_net_children[];             /* proc_net.c */
extern const struct pseudo OPS_TABLE(pseudo) proc_namespace_links[];          /* proc_namespaces.c */
int proc_namespaces_init(void);                                               /* -errno */
/* proc_pagemap.c: the words of /proc/PID/pagemap */
ssize_t proc_read_pagemap(const struct pseudo_key *key, char *out, size_t size, uint64_t pos);
/* proc_settings.c: by what is set through /proc/PID */
#define PROC_SETTING(name)                                                \
    int proc_show_##name(const struct pseudo_key *key, struct text *out); \
    ssize_t proc_store_##name(const struct pseudo_key *key, const char *data, size_t size)
PROC_SETTING(oom_score_adj);
PROC_SETTING(oom_adj);
PROC_SETTING(loginuid);
PROC_SETTING(timerslack);
int proc_show_oom_score(const struct pseudo_key *key, struct text *out);
int proc_show_sessionid(const struct pseudo_key *key, struct text *out);
int proc_show_personality(const struct pseudo_key *key, struct text *out);

/* proc_settings.c: of /proc/sys/kernel/seccomp */
PROC_SETTING(seccomp_logged);
int proc_show_seccomp_actions(const struct pseudo_key *key, struct text *out);

/* The number that a made-up name is, as Linux writes it: no sign, no space, no zero in front. -1: the name is none, or
 * one above INT_MAX. */
int proc_name_number(const char *name);
int proc_open_mem(const struct pseudo_key *key, struct file *f); /* proc_mem.c */
int proc_mounts_show(const struct pseudo_key *key, struct text *out);
/* proc_stat.c: what the kernel has counted */
int proc_show_stat(const struct pseudo_key *key, struct text *out);
int proc_show_uptime(const struct pseudo_key *key, struct text *out);
int proc_show_loadavg(const struct pseudo_key *key, struct text *out);

/* Entries of a table of pseudo files. */
#define TEXT(file, contents) {.name = file, .mode = S_IFREG | 0444, .text = contents}
#define SHOW(file, function) {.name = file, .mode = S_IFREG | 0444, .show = function}
#define DIR(file, table)     {.name = file, .mode = S_IFDIR | 0555, .children = table}
#define END                  {.mode = 0}

#endif
