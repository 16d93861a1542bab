/* The seccomp filter around the whole process (DESIGN D9, layer 4): no memory can become executable, no other process be
 * touched, no other program be started, no other kernel interface be reached that could do so. It is a list of what is
 * forbidden, so that a C library's choice among harmless calls does not matter; whoever gets here has already
 * broken out of WebAssembly's rules. Tests: tests/platform/test_lockdown.c. */
#include "platform/platform.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/sanitizer.h"

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS SECCOMP_RET_KILL
#endif

enum { X32_BIT = 0x40000000 };

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define LOAD_ARGUMENT(n) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n))) /* its lower half */
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define KILL RETURN(SECCOMP_RET_KILL_PROCESS)
#define FORBID(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), KILL
/* A protection argument must not have PROT_EXEC. */
#define NOT_EXECUTABLE(nr, argument)                                                                                   \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4), LOAD_ARGUMENT(argument),                                            \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), KILL, RETURN(SECCOMP_RET_ALLOW)

static const struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    KILL,
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
    KILL,
    NOT_EXECUTABLE(__NR_mmap, 2),
    NOT_EXECUTABLE(__NR_mprotect, 2),
    NOT_EXECUTABLE(__NR_pkey_mprotect, 2),
    /* further ways to memory that executes, or to the memory of this process by another road */
    FORBID(__NR_shmat), FORBID(__NR_shmget), FORBID(__NR_remap_file_pages), FORBID(__NR_personality),
    FORBID(__NR_modify_ldt), FORBID(__NR_uselib), FORBID(__NR_userfaultfd), FORBID(447 /* memfd_secret */),
    FORBID(__NR_ptrace), FORBID(__NR_process_vm_readv), FORBID(__NR_process_vm_writev), FORBID(440 /* process_madvise */),
    FORBID(438 /* pidfd_getfd */), FORBID(__NR_kcmp), FORBID(__NR_move_pages), FORBID(__NR_migrate_pages),
    /* other programs and processes: there is one process and one thread */
    FORBID(__NR_execve), FORBID(__NR_execveat), FORBID(__NR_fork), FORBID(__NR_vfork), FORBID(__NR_clone),
    FORBID(435 /* clone3 */),
    /* interfaces that run code or calls elsewhere */
    FORBID(__NR_bpf), FORBID(__NR_perf_event_open), FORBID(425 /* io_uring_setup */), FORBID(426 /* io_uring_enter */),
    FORBID(427 /* io_uring_register */), FORBID(__NR_io_setup), FORBID(__NR_io_submit), FORBID(__NR_init_module),
    FORBID(__NR_finit_module), FORBID(__NR_delete_module), FORBID(__NR_kexec_load), FORBID(__NR_kexec_file_load),
    FORBID(__NR_iopl), FORBID(__NR_ioperm), FORBID(__NR_add_key), FORBID(__NR_request_key), FORBID(__NR_keyctl),
    /* the system around it */
    FORBID(__NR_mount), FORBID(__NR_umount2), FORBID(__NR_pivot_root), FORBID(__NR_chroot), FORBID(__NR_setns),
    FORBID(__NR_unshare), FORBID(428 /* open_tree */), FORBID(429 /* move_mount */), FORBID(430 /* fsopen */),
    FORBID(431 /* fsconfig */), FORBID(432 /* fsmount */), FORBID(433 /* fspick */), FORBID(442 /* mount_setattr */),
    FORBID(__NR_swapon), FORBID(__NR_swapoff), FORBID(__NR_reboot), FORBID(__NR_acct), FORBID(__NR_syslog),
    FORBID(__NR_quotactl), FORBID(__NR_settimeofday), FORBID(__NR_clock_settime), FORBID(__NR_adjtimex),
    FORBID(__NR_clock_adjtime), FORBID(__NR_sethostname), FORBID(__NR_setdomainname),
    FORBID(__NR_open_by_handle_at), FORBID(__NR_fanotify_init), FORBID(__NR_vhangup),
    RETURN(SECCOMP_RET_ALLOW),
};

int
platform_lockdown(void)
{
    const struct sock_fprog program = {.len = sizeof filter / sizeof *filter,
                                       .filter = (struct sock_filter *)(uintptr_t)filter};

    /* The sanitizers' reports start a symbolizer, their leak check a thread. */
    if (PLATFORM_SANITIZED)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Without SPEC_ALLOW older kernels would slow all code down while a filter is there. */
    if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0)
        return 0;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}
