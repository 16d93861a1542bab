/* For whom the kernel acts: user and group ids and capabilities (credentials(7), capabilities(7)). */
#ifndef VKERNEL_VFS_CREDS_H
#define VKERNEL_VFS_CREDS_H

#include <stdbool.h>
#include <stdint.h>

#define CAP_CHOWN              0
#define CAP_DAC_OVERRIDE       1
#define CAP_DAC_READ_SEARCH    2
#define CAP_FOWNER             3
#define CAP_FSETID             4
#define CAP_KILL               5
#define CAP_SETGID             6
#define CAP_SETUID             7
#define CAP_SETPCAP            8
#define CAP_NET_BIND_SERVICE   10
#define CAP_NET_ADMIN          12
#define CAP_NET_RAW            13
#define CAP_IPC_LOCK           14
#define CAP_IPC_OWNER          15
#define CAP_SYS_CHROOT         18
#define CAP_SYS_PTRACE         19
#define CAP_SYS_ADMIN          21
#define CAP_SYS_NICE           23
#define CAP_SYS_RESOURCE       24
#define CAP_SYS_TTY_CONFIG     26
#define CAP_MKNOD              27
#define CAP_LEASE              28
#define CAP_AUDIT_CONTROL      30
#define CAP_WAKE_ALARM         35
#define CAP_CHECKPOINT_RESTORE 40
#define CAP_LAST_CAP           40

enum { CRED_MAX_GROUPS = 64 };
struct creds {
    uint32_t uid, euid, suid, fsuid;
    uint32_t gid, egid, sgid, fsgid;
    uint32_t group_count;
    uint32_t groups[CRED_MAX_GROUPS];
    uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding; /* bits CAP_* */
};

/* Of the running task; root's, without capabilities, while the container is made. */
const struct creds *current_creds(void);
bool capable(int cap); /* CAP_*, of the effective set */

#endif
