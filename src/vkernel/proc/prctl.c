/* prctl, arch_prctl, personality and other small calls on the calling thread. */
#include <errno.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/seccomp/seccomp.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

static int64_t
put_int(uint64_t address, int value)
{
    return copy_to_guest(address, &value, sizeof value) < 0 ? -EFAULT : 0;
}

static int64_t
set_name(uint64_t address)
{
    struct task *t = current_task();
    char name[16] = {0};
    ssize_t n = copy_string_from_guest(name, address, sizeof name);

    if (n < 0 && n != -ENAMETOOLONG)
        return n;
    name[15] = '\0'; /* of a longer one, its beginning */
    memcpy(t->comm, name, sizeof name);
    if (t == t->process->leader)
        memcpy(t->process->comm, name, sizeof name);
    return 0;
}

/* capabilities(7), "The securebits flags": a lock holds itself and the flag before it. */
static int64_t
set_securebits(struct process *p, uint64_t bits)
{
    uint64_t old = p->securebits | (p->keep_caps ? SECBIT_KEEP_CAPS : 0);

    if ((((old & SECURE_ALL_LOCKS) >> 1) & (old ^ bits)) || (old & SECURE_ALL_LOCKS & ~bits) ||
        (bits & ~(uint64_t)(SECURE_ALL_LOCKS | SECURE_ALL_BITS)) || !capable(CAP_SETPCAP))
        return -EPERM;
    p->keep_caps = (bits & SECBIT_KEEP_CAPS) != 0;
    p->securebits = bits & ~(uint64_t)SECBIT_KEEP_CAPS;
    return 0;
}

/* Kept: memory errors of the host's machine reach no guest. */
static int64_t
set_mce_kill(struct process *p, const uint64_t a[6])
{
    if (a[3] || a[4] || (a[1] == PR_MCE_KILL_CLEAR && a[2]) ||
        (a[1] == PR_MCE_KILL_SET && a[2] != PR_MCE_KILL_EARLY && a[2] != PR_MCE_KILL_LATE &&
         a[2] != PR_MCE_KILL_DEFAULT) ||
        (a[1] != PR_MCE_KILL_CLEAR && a[1] != PR_MCE_KILL_SET))
        return -EINVAL;
    p->mce_kill = a[1] == PR_MCE_KILL_SET ? (int)a[2] : PR_MCE_KILL_DEFAULT;
    return 0;
}

int64_t
sys_prctl(const uint64_t a[6])
{
    struct process *p = current_process();

    switch ((int)a[0]) {
    case PR_SET_NAME: return set_name(a[1]);
    case PR_GET_NAME: return copy_to_guest(a[1], current_task()->comm, 16) < 0 ? -EFAULT : 0;
    case PR_SET_PDEATHSIG:
        if (a[1] > 64)
            return -EINVAL;
        p->pdeath_signal = (int)a[1];
        return 0;
    case PR_GET_PDEATHSIG: return put_int(a[1], p->pdeath_signal);
    case PR_SET_DUMPABLE:
        if (a[1] > 1)
            return -EINVAL;
        p->dumpable = a[1] != 0;
        return 0;
    case PR_GET_DUMPABLE: return p->dumpable;
    case PR_SET_NO_NEW_PRIVS:
        if (a[1] != 1 || a[2] || a[3] || a[4])
            return -EINVAL;
        current_task()->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS: return a[1] || a[2] || a[3] || a[4] ? -EINVAL : current_task()->no_new_privs;
    case PR_SET_CHILD_SUBREAPER: p->subreaper = a[1] != 0; return 0;
    case PR_GET_CHILD_SUBREAPER: return put_int(a[1], p->subreaper);
    case PR_SET_KEEPCAPS:
        if (a[1] > 1)
            return -EINVAL;
        if (p->securebits & SECBIT_KEEP_CAPS_LOCKED)
            return -EPERM;
        p->keep_caps = a[1] != 0;
        return 0;
    case PR_GET_KEEPCAPS: return p->keep_caps;
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT: return proc_capability_prctl((int)a[0], a);
    case PR_GET_SECUREBITS: return (int64_t)(p->securebits | (p->keep_caps ? SECBIT_KEEP_CAPS : 0));
    case PR_SET_SECUREBITS: return set_securebits(p, a[1]);
    case PR_GET_SECCOMP: return current_task()->seccomp_mode;
    case PR_SET_SECCOMP: return seccomp_prctl(a[1], a[2]);
    case PR_SET_TIMERSLACK: /* timers are never delayed on purpose, which any slack allows */
        current_task()->timer_slack = (int64_t)a[1] > 0 ? a[1] : current_task()->default_timer_slack;
        return 0;
    case PR_GET_TIMERSLACK:
        return current_task()->timer_slack > INT64_MAX ? INT64_MAX : (int64_t)current_task()->timer_slack;
    case PR_GET_TIMING: return PR_TIMING_STATISTICAL; /* Linux has no other either */
    case PR_SET_TIMING: return a[1] == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case PR_GET_TSC: return put_int(a[1], PR_TSC_ENABLE);
    case PR_SET_TSC: /* compiled code reads the counter itself: it cannot be made to fault */
        return a[1] == PR_TSC_ENABLE ? 0 : -EINVAL;
    case PR_SET_THP_DISABLE:
        if (a[2] || a[3] || a[4])
            return -EINVAL;
        p->thp_disabled = a[1] != 0;
        return 0;
    case PR_GET_THP_DISABLE: return a[1] || a[2] || a[3] || a[4] ? -EINVAL : p->thp_disabled;
    case PR_GET_TID_ADDRESS: return copy_to_guest(a[1], &current_task()->clear_child_tid, 8) < 0 ? -EFAULT : 0;
    case PR_MCE_KILL: return set_mce_kill(p, a);
    case PR_MCE_KILL_GET: return a[1] || a[2] || a[3] || a[4] ? -EINVAL : p->mce_kill;
    default: /* among them those of modules that are not here: PR_SET_PTRACER, PR_SET_VMA */ return -EINVAL;
    }
}

int64_t
sys_arch_prctl(const uint64_t a[6])
{
    enum { SET_GS = 0x1001, SET_FS, GET_FS, GET_GS };
    struct x86_cpu *cpu = x86_this_cpu();

    switch ((int)a[0]) {
    case SET_FS:
    case SET_GS:
        if (a[1] >= 0x7ffffffff000ull)
            return -EPERM;
        if (a[0] == SET_FS)
            cpu->fs_base = a[1];
        else
            cpu->gs_base = a[1];
        return 0;
    case GET_FS: return copy_to_guest(a[1], &cpu->fs_base, 8) < 0 ? -EFAULT : 0;
    case GET_GS: return copy_to_guest(a[1], &cpu->gs_base, 8) < 0 ? -EFAULT : 0;
    default: return -EINVAL;
    }
}

int64_t
sys_personality(const uint64_t a[6])
{
    struct process *p = current_process();
    uint32_t old = p->personality;

    if ((uint32_t)a[0] != 0xffffffffu) {
        uint32_t kind = (uint32_t)a[0] & 0xff;

        /* READ_IMPLIES_EXEC would make data executable. */
        if (a[0] & 0x0400000u)
            return -EPERM;
        if (((uint32_t)a[0] & ~PERSONALITY_KNOWN) || (kind != 0 && kind != PERSONALITY_LINUX32))
            return -EINVAL; /* nothing would come of it */
        p->personality = (uint32_t)a[0];
    }
    return old;
}

int64_t
sys_set_tid_address(const uint64_t a[6])
{
    current_task()->clear_child_tid = a[0];
    return current_task()->tid;
}
