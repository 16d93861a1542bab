/* Between the files of /proc. */
#ifndef VKERNEL_BOOT_PROCFS_H
#define VKERNEL_BOOT_PROCFS_H

#include "vkernel/fs/pseudofs.h"

extern const struct pseudo OPS_TABLE(pseudo) proc_pid_entry, proc_task_entry; /* proc_pid.c */
extern const struct pseudo OPS_TABLE(pseudo) proc_net_children[];             /* proc_net.c */
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

int proc_mounts_show(const struct pseudo_key *key, struct text *out);
unsigned proc_cpu_count(void);

#endif
