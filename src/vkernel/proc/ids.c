/* Who a process is: ids, groups, sessions, credentials, capabilities. */
#include <stdlib.h>
#include <errno.h>
#include <linux/securebits.h>
#include <string.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/users.h"

enum { KEEP = -1 };
#define ALL_CAPS ((1ull << (CAP_LAST_CAP + 1)) - 1)
enum { CAP_VERSION_1 = 0x19980330, CAP_VERSION_2 = 0x20071026, CAP_VERSION_3 = 0x20080522 };

static struct creds *
creds(void)
{
    return &current_process()->creds;
}

int64_t
sys_getpid(const uint64_t a[6])
{
    return current_process()->pid;
}

int64_t
sys_gettid(const uint64_t a[6])
{
    return current_task()->tid;
}

int64_t
sys_getppid(const uint64_t a[6])
{
    struct process *p = current_process()->parent;

    return p ? p->pid : 0;
}

int64_t
sys_getuid(const uint64_t a[6])
{
    return creds()->uid;
}

int64_t
sys_geteuid(const uint64_t a[6])
{
    return creds()->euid;
}

int64_t
sys_getgid(const uint64_t a[6])
{
    return creds()->gid;
}

int64_t
sys_getegid(const uint64_t a[6])
{
    return creds()->egid;
}

/* --- process groups and sessions --- */

int64_t
sys_getpgrp(const uint64_t a[6])
{
    return current_process()->pgid;
}

int64_t
sys_getpgid(const uint64_t a[6])
{
    struct process *p = a[0] ? process_find((int)a[0]) : current_process();

    return p ? p->pgid : -ESRCH;
}

int64_t
sys_getsid(const uint64_t a[6])
{
    struct process *p = a[0] ? process_find((int)a[0]) : current_process();

    return p ? p->sid : -ESRCH;
}

int64_t
sys_setpgid(const uint64_t a[6])
{
    struct process *self = current_process(), *p = a[0] ? process_find((int)a[0]) : self;
    int pgid = a[1] ? (int)a[1] : (int)a[0] ? (int)a[0] : self->pid;
    bool exists = false;

    if ((int)a[0] < 0 || (int)a[1] < 0)
        return -EINVAL;
    if (!p || (p != self && p->parent != self))
        return -ESRCH;
    if (p != self) {
        if (p->sid != self->sid)
            return -EPERM;
        if (p->exec_done)
            return -EACCES;
    }
    if (p->sid == p->pid)
        return -EPERM;
    if (pgid != p->pid) {
        for (struct process *q = group_next(pgid, NULL); q && !exists; q = group_next(pgid, q))
            exists = q->sid == self->sid;
        if (!exists)
            return -EPERM;
    }
    process_set_group(p, pgid, p->sid);
    return 0;
}

int64_t
sys_setsid(const uint64_t a[6])
{
    struct process *p = current_process();

    if (group_next(p->pid, NULL))
        return -EPERM;
    process_set_group(p, p->pid, p->pid);
    p->ctty = NULL;
    return p->pid;
}

/* --- users --- */

/* Whoever has other rights than before is not to be looked into by who had the old ones (Linux's commit_creds). */
static void
rights_changed(const struct creds *old)
{
    const struct creds *c = creds();
    struct process *p = current_process();

    if (old->euid == c->euid && old->egid == c->egid && old->fsuid == c->fsuid && old->fsgid == c->fsgid &&
        !(c->cap_permitted & ~old->cap_permitted))
        return;
    p->dumpable = false;
    p->pdeath_signal = 0;
}

/* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD and MAC_OVERRIDE: what Linux's
 * cap_task_fix_setuid gives and takes with the file system's uid. */
#define FS_CAPABILITIES (0x1full | 1ull << 9 | 1ull << 27 | 1ull << 32)

static void
fsuid_changed(uint32_t old)
{
    struct creds *c = creds();

    if (current_process()->securebits & SECBIT_NO_SETUID_FIXUP)
        return;
    if (old == 0 && c->fsuid != 0)
        c->cap_effective &= ~FS_CAPABILITIES;
    if (old != 0 && c->fsuid == 0)
        c->cap_effective |= c->cap_permitted & FS_CAPABILITIES;
}

/* Capabilities follow the uids (capabilities(7), "Effect of user ID changes"). */
static int
uids_changed(const struct creds *old)
{
    struct creds *c = creds();
    struct process *p = current_process();
    bool had_root = old->uid == 0 || old->euid == 0 || old->suid == 0;
    bool has_root = c->uid == 0 || c->euid == 0 || c->suid == 0;

    if (c->uid != old->uid) {
        if (process_set_user(p, c->uid) < 0) {
            *c = *old;
            return -EAGAIN;
        }
        p->over_limit = c->uid != 0 && user_count(p->user, USER_TASKS) - p->charged_tasks >
                                           p->rlimits[RLIMIT_NPROC].rlim_cur; /* beside it */
    }
    if (p->securebits & SECBIT_NO_SETUID_FIXUP) {
        rights_changed(old);
        return 0;
    }
    if (had_root && !has_root && !p->keep_caps)
        c->cap_permitted = c->cap_effective = 0;
    if (old->euid == 0 && c->euid != 0)
        c->cap_effective = 0;
    if (old->euid != 0 && c->euid == 0)
        c->cap_effective = c->cap_permitted;
    /* Kept or not: who gives root up and executes a program must have none there. */
    if (had_root && !has_root)
        p->cap_ambient = 0;
    rights_changed(old);
    return 0;
}

static bool
own_uid(uint32_t id)
{
    const struct creds *c = creds();

    return id == c->uid || id == c->euid || id == c->suid;
}

static bool
own_gid(uint32_t id)
{
    const struct creds *c = creds();

    return id == c->gid || id == c->egid || id == c->sgid;
}

static bool
same(uint64_t argument, uint32_t id)
{
    return (int)argument == KEEP || (uint32_t)argument == id;
}

int64_t
sys_setresuid(const uint64_t a[6])
{
    struct creds *c = creds(), old = *c;
    bool may = capable(CAP_SETUID);

    for (int i = 0; i < 3; i++)
        if ((int)a[i] != KEEP && !may && !own_uid((uint32_t)a[i]))
            return -EPERM;
    if (same(a[0], c->uid) && same(a[1], c->euid) && ((int)a[1] == KEEP || c->euid == c->fsuid) && same(a[2], c->suid))
        return 0; /* not even the fsuid changes */
    if ((int)a[0] != KEEP)
        c->uid = (uint32_t)a[0];
    if ((int)a[1] != KEEP)
        c->euid = (uint32_t)a[1];
    if ((int)a[2] != KEEP)
        c->suid = (uint32_t)a[2];
    c->fsuid = c->euid;
    return uids_changed(&old);
}

int64_t
sys_setreuid(const uint64_t a[6])
{
    struct creds *c = creds(), old = *c;
    bool may = capable(CAP_SETUID);
    uint32_t uid = (uint32_t)a[0], euid = (uint32_t)a[1];

    if ((int)a[0] != KEEP && !may && uid != c->uid && uid != c->euid)
        return -EPERM;
    if ((int)a[1] != KEEP && !may && !own_uid(euid))
        return -EPERM;
    if ((int)a[0] != KEEP)
        c->uid = uid;
    if ((int)a[1] != KEEP)
        c->euid = euid;
    if ((int)a[0] != KEEP || ((int)a[1] != KEEP && euid != old.uid))
        c->suid = c->euid;
    c->fsuid = c->euid;
    return uids_changed(&old);
}

int64_t
sys_setuid(const uint64_t a[6])
{
    struct creds *c = creds(), old = *c;
    uint32_t id = (uint32_t)a[0];

    if ((int)a[0] == KEEP)
        return -EINVAL;
    if (capable(CAP_SETUID))
        c->uid = c->suid = id;
    else if (id != c->uid && id != c->suid)
        return -EPERM;
    c->euid = c->fsuid = id;
    return uids_changed(&old);
}

int64_t
sys_getresuid(const uint64_t a[6])
{
    const struct creds *c = creds();

    if (copy_to_guest(a[0], &c->uid, 4) < 0 || copy_to_guest(a[1], &c->euid, 4) < 0 ||
        copy_to_guest(a[2], &c->suid, 4) < 0)
        return -EFAULT;
    return 0;
}

int64_t
sys_setresgid(const uint64_t a[6])
{
    struct creds *c = creds(), before = *c;
    bool may = capable(CAP_SETGID);

    for (int i = 0; i < 3; i++)
        if ((int)a[i] != KEEP && !may && !own_gid((uint32_t)a[i]))
            return -EPERM;
    if (same(a[0], c->gid) && same(a[1], c->egid) && ((int)a[1] == KEEP || c->egid == c->fsgid) && same(a[2], c->sgid))
        return 0;
    if ((int)a[0] != KEEP)
        c->gid = (uint32_t)a[0];
    if ((int)a[1] != KEEP)
        c->egid = (uint32_t)a[1];
    if ((int)a[2] != KEEP)
        c->sgid = (uint32_t)a[2];
    c->fsgid = c->egid;
    rights_changed(&before);
    return 0;
}

int64_t
sys_setregid(const uint64_t a[6])
{
    struct creds *c = creds(), before = *c;
    uint32_t old = c->gid;
    bool may = capable(CAP_SETGID);

    if ((int)a[0] != KEEP && !may && (uint32_t)a[0] != c->gid && (uint32_t)a[0] != c->egid)
        return -EPERM;
    if ((int)a[1] != KEEP && !may && !own_gid((uint32_t)a[1]))
        return -EPERM;
    if ((int)a[0] != KEEP)
        c->gid = (uint32_t)a[0];
    if ((int)a[1] != KEEP)
        c->egid = (uint32_t)a[1];
    if ((int)a[0] != KEEP || ((int)a[1] != KEEP && (uint32_t)a[1] != old))
        c->sgid = c->egid;
    c->fsgid = c->egid;
    rights_changed(&before);
    return 0;
}

int64_t
sys_setgid(const uint64_t a[6])
{
    struct creds *c = creds(), before = *c;
    uint32_t id = (uint32_t)a[0];

    if ((int)a[0] == KEEP)
        return -EINVAL;
    if (capable(CAP_SETGID))
        c->gid = c->sgid = id;
    else if (id != c->gid && id != c->sgid)
        return -EPERM;
    c->egid = c->fsgid = id;
    rights_changed(&before);
    return 0;
}

int64_t
sys_getresgid(const uint64_t a[6])
{
    const struct creds *c = creds();

    if (copy_to_guest(a[0], &c->gid, 4) < 0 || copy_to_guest(a[1], &c->egid, 4) < 0 ||
        copy_to_guest(a[2], &c->sgid, 4) < 0)
        return -EFAULT;
    return 0;
}

int64_t
sys_setfsuid(const uint64_t a[6])
{
    struct creds *c = creds(), before = *c;
    uint32_t old = c->fsuid, id = (uint32_t)a[0];

    if ((int)a[0] == KEEP || id == old || !(own_uid(id) || capable(CAP_SETUID)))
        return old;
    c->fsuid = id;
    fsuid_changed(old);
    rights_changed(&before);
    return old;
}

int64_t
sys_setfsgid(const uint64_t a[6])
{
    struct creds *c = creds(), before = *c;
    uint32_t old = c->fsgid, id = (uint32_t)a[0];

    if ((int)a[0] == KEEP || id == old || !(own_gid(id) || capable(CAP_SETGID)))
        return old;
    c->fsgid = id;
    rights_changed(&before);
    return old;
}

int64_t
sys_getgroups(const uint64_t a[6])
{
    const struct creds *c = creds();

    if ((int)a[0] < 0)
        return -EINVAL;
    if (a[0] == 0)
        return c->group_count;
    if (a[0] < c->group_count)
        return -EINVAL;
    return copy_to_guest(a[1], c->groups, c->group_count * 4) < 0 ? -EFAULT : (int64_t)c->group_count;
}

static int
compare_groups(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int64_t
sys_setgroups(const uint64_t a[6])
{
    struct creds *c = creds();
    uint32_t groups[CRED_MAX_GROUPS];

    if (!capable(CAP_SETGID))
        return -EPERM;
    if (a[0] > CRED_MAX_GROUPS)
        return -EINVAL;
    if (copy_from_guest(groups, a[1], a[0] * 4) < 0)
        return -EFAULT;
    for (unsigned k = 0; k < a[0]; k++)
        if ((int)groups[k] == KEEP)
            return -EINVAL;
    qsort(groups, a[0], sizeof groups[0], compare_groups); /* as getgroups shows them */
    memcpy(c->groups, groups, a[0] * 4);
    c->group_count = (uint32_t)a[0];
    return 0;
}

/* --- capabilities --- */

struct cap_header {
    uint32_t version;
    int32_t pid;
};
struct cap_data {
    uint32_t effective, permitted, inheritable;
};

static int
cap_words(uint64_t header_address, struct cap_header *h)
{
    uint32_t preferred = CAP_VERSION_3;

    if (copy_from_guest(h, header_address, sizeof *h) < 0)
        return -EFAULT;
    if (h->version == CAP_VERSION_1)
        return 1;
    if (h->version == CAP_VERSION_2 || h->version == CAP_VERSION_3)
        return 2;
    return copy_to_guest(header_address, &preferred, sizeof preferred) < 0 ? -EFAULT : -EINVAL;
}

int64_t
sys_capget(const uint64_t a[6])
{
    struct cap_header h;
    struct cap_data d[2];
    int n = cap_words(a[0], &h);
    const struct process *p;

    if (n == -EINVAL && !a[1])
        return 0;
    if (n < 0)
        return n;
    if (h.pid < 0)
        return -EINVAL;
    p = h.pid ? process_find(h.pid) : current_process();
    if (!p)
        return -ESRCH;
    for (int i = 0; i < 2; i++)
        d[i] = (struct cap_data){
            .effective = (uint32_t)(p->creds.cap_effective >> 32 * i),
            .permitted = (uint32_t)(p->creds.cap_permitted >> 32 * i),
            .inheritable = (uint32_t)(p->creds.cap_inheritable >> 32 * i),
        };
    return copy_to_guest(a[1], d, (size_t)n * sizeof *d) < 0 ? -EFAULT : 0;
}

int64_t
sys_capset(const uint64_t a[6])
{
    struct cap_header h;
    struct cap_data d[2] = {{0}};
    struct creds *c = creds();
    int n = cap_words(a[0], &h);
    uint64_t effective, permitted, inheritable;

    if (n < 0)
        return n;
    if (h.pid && h.pid != current_process()->pid)
        return -EPERM;
    if (copy_from_guest(d, a[1], (size_t)n * sizeof *d) < 0)
        return -EFAULT;
    effective = (d[0].effective | (uint64_t)d[1].effective << 32) & ALL_CAPS;
    permitted = (d[0].permitted | (uint64_t)d[1].permitted << 32) & ALL_CAPS;
    inheritable = (d[0].inheritable | (uint64_t)d[1].inheritable << 32) & ALL_CAPS;
    if ((permitted & ~c->cap_permitted) || (effective & ~permitted))
        return -EPERM;
    if ((inheritable & ~(c->cap_inheritable | c->cap_bounding)) ||
        (!capable(CAP_SETPCAP) && (inheritable & ~(c->cap_inheritable | c->cap_permitted))))
        return -EPERM;
    c->cap_effective = effective;
    c->cap_permitted = permitted;
    c->cap_inheritable = inheritable;
    current_process()->cap_ambient &= permitted & inheritable;
    return 0;
}

int64_t
proc_capability_prctl(int option, const uint64_t a[6])
{
    /* clang-format off */
    enum { CAPBSET_READ = 23, CAPBSET_DROP = 24, CAP_AMBIENT = 47, AMBIENT_IS_SET = 1, AMBIENT_RAISE, AMBIENT_LOWER,
           AMBIENT_CLEAR };
    /* clang-format on */
    struct process *p = current_process();
    struct creds *c = creds();
    uint64_t argument = a[1], argument3 = a[2], bit;

    if (option == CAP_AMBIENT && argument == AMBIENT_CLEAR) {
        if (a[2] || a[3] || a[4])
            return -EINVAL;
        p->cap_ambient = 0;
        return 0;
    }
    if (option == CAP_AMBIENT) {
        uint64_t operation = argument;

        if (argument3 > CAP_LAST_CAP || a[3] || a[4])
            return -EINVAL;
        bit = 1ull << argument3;
        if (operation == AMBIENT_IS_SET)
            return (p->cap_ambient & bit) != 0;
        if (operation == AMBIENT_LOWER) {
            p->cap_ambient &= ~bit;
            return 0;
        }
        if (operation != AMBIENT_RAISE)
            return -EINVAL;
        if (!(c->cap_permitted & bit) || !(c->cap_inheritable & bit) || (p->securebits & SECBIT_NO_CAP_AMBIENT_RAISE))
            return -EPERM;
        p->cap_ambient |= bit;
        return 0;
    }
    if (option != CAPBSET_READ && !capable(CAP_SETPCAP))
        return -EPERM;
    if (argument > CAP_LAST_CAP)
        return -EINVAL;
    bit = 1ull << argument;
    if (option == CAPBSET_READ)
        return (c->cap_bounding & bit) != 0;
    c->cap_bounding &= ~bit;
    return 0;
}
