/* prctl, arch_prctl, personality and other small calls on the calling thread. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

int64_t proc_capability_prctl(int option, uint64_t argument, uint64_t argument3);

static int64_t
put_int(uint64_t address, int value)
{
    return copy_to_guest(address, &value, sizeof value) < 0 ? -EFAULT : 0;
}

static int64_t
set_name(uint64_t address)
{
    struct task *t = sched_current;
    char name[16] = {0};
    ssize_t n = copy_string_from_guest(name, address, sizeof name);

    if (n == -ENAMETOOLONG) {
        if (copy_from_guest(name, address, sizeof name - 1) < 0)
            return -EFAULT;
    } else if (n < 0) {
        return n;
    }
    name[15] = '\0';
    memcpy(t->comm, name, sizeof name);
    if (t == t->process->leader)
        memcpy(t->process->comm, name, sizeof name);
    return 0;
}

int64_t
sys_prctl(const uint64_t a[6])
{
    struct process *p = current_process();

    switch ((int)a[0]) {
    case PR_SET_NAME:
        return set_name(a[1]);
    case PR_GET_NAME:
        return copy_to_guest(a[1], sched_current->comm, 16) < 0 ? -EFAULT : 0;
    case PR_SET_PDEATHSIG:
        if (a[1] > 64)
            return -EINVAL;
        p->pdeath_signal = (int)a[1];
        return 0;
    case PR_GET_PDEATHSIG:
        return put_int(a[1], p->pdeath_signal);
    case PR_SET_DUMPABLE:
        if (a[1] > 1)
            return -EINVAL;
        p->dumpable = a[1] != 0;
        return 0;
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_SET_NO_NEW_PRIVS:
        if (a[1] != 1 || a[2] || a[3] || a[4])
            return -EINVAL;
        p->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return p->no_new_privs;
    case PR_SET_CHILD_SUBREAPER:
        p->subreaper = a[1] != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        return put_int(a[1], p->subreaper);
    case PR_SET_KEEPCAPS:
        if (a[1] > 1)
            return -EINVAL;
        p->keep_caps = a[1] != 0;
        return 0;
    case PR_GET_KEEPCAPS:
        return p->keep_caps;
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT:
        return proc_capability_prctl((int)a[0], a[1], a[2]);
    case PR_GET_SECUREBITS:
        return (int64_t)p->securebits;
    case PR_SET_SECUREBITS:
        if (!capable(8))
            return -EPERM;
        p->securebits = a[1];
        return 0;
    case PR_GET_SECCOMP:
        return 0;
    case PR_SET_TIMERSLACK:
    case PR_SET_VMA: /* names of anonymous memory: accepted, as a kernel without them answers EINVAL anyway */
        return (int)a[0] == PR_SET_VMA ? -EINVAL : 0;
    case PR_GET_TIMERSLACK:
        return 50000;
    case PR_GET_TSC:
        return put_int(a[1], PR_TSC_ENABLE);
    case PR_SET_THP_DISABLE:
    case PR_GET_THP_DISABLE:
        return 0;
    case PR_GET_TID_ADDRESS:
        return copy_to_guest(a[1], &sched_current->clear_child_tid, 8) < 0 ? -EFAULT : 0;
    case PR_MCE_KILL:
    case PR_SET_PTRACER:
        return 0;
    default:
        return -EINVAL;
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
    case GET_FS:
        return copy_to_guest(a[1], &cpu->fs_base, 8) < 0 ? -EFAULT : 0;
    case GET_GS:
        return copy_to_guest(a[1], &cpu->gs_base, 8) < 0 ? -EFAULT : 0;
    default:
        return -EINVAL;
    }
}

int64_t
sys_personality(const uint64_t a[6])
{
    struct process *p = current_process();
    uint32_t old = p->personality;

    if ((uint32_t)a[0] != 0xffffffffu) {
        /* READ_IMPLIES_EXEC would make data executable. */
        if (a[0] & 0x0400000u)
            return -EPERM;
        p->personality = (uint32_t)a[0];
    }
    return old;
}

int64_t
sys_set_tid_address(const uint64_t a[6])
{
    sched_current->clear_child_tid = a[0];
    return sched_current->tid;
}
