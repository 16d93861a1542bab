/* System V IPC and POSIX message queues, for the rooms above. */
#ifndef VKERNEL_IPC_IPC_H
#define VKERNEL_IPC_IPC_H

#include "vkernel/fs/pseudofs.h"

/* The limits that /proc/sys/kernel shows. They are Linux's, and cannot be set. */
#define SHM_MAX      (UINT64_MAX - (1 << 24)) /* bytes of a segment, and pages of all (shmall) */
#define SHM_MAX_TEXT "18446744073692774399\n"
#define SHM_NUMBER   4096 /* segments */

/* What /proc/sysvipc shows. */
int ipc_show_shm(const struct pseudo_key *key, struct text *out);

#endif
