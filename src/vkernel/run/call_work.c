/* System calls of a task that has more to do at each than to make it (task.call_work): seccomp decides whether it is
 * made at all. Linux lets a tracer see a call before that, and asks seccomp about what the tracer made of it. */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>

#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/proc/proc.h"
#include "vkernel/run/run.h"
#include "vkernel/seccomp/seccomp.h"
#include "x86/helpers.h"

enum { LINE = 256 };

/* The whole of rax, which Linux gives back where a call is not made. When the call is made again, rax has the result of
 * the time before. */
static uint64_t
rax_of(int64_t nr)
{
    uint64_t rax = x86_this_cpu()->gpr[X86_RAX];

    return (int32_t)rax == nr ? rax : (uint64_t)nr;
}

static siginfo_t
sigsys(const struct seccomp_data *data, int reason)
{
    siginfo_t info = {.si_signo = SIGSYS, .si_code = 1 /* SYS_SECCOMP */, .si_errno = reason};

    info.si_call_addr = (void *)(uintptr_t)data->instruction_pointer;
    info.si_syscall = data->nr;
    info.si_arch = data->arch;
    return info;
}

static void
trace_unmade(int64_t nr, const uint64_t a[6], const char *what)
{
    char line[LINE];

    if (!strace_on)
        return;
    syscall_describe(nr, a, line, sizeof line);
    platform_log("[%d] %s is not made: seccomp: %s\n", current_task()->tid, line, what);
}

/* Is the call to be made? If not, *result is what rax gets. */
static bool
passes_seccomp(int64_t nr, const uint64_t a[6], int64_t *result)
{
    struct task *t = current_task();
    const struct seccomp_data data = {.nr = (int)nr,
                                      .arch = AUDIT_ARCH_X86_64,
                                      .instruction_pointer = x86_this_cpu()->rip,
                                      .args = {a[0], a[1], a[2], a[3], a[4], a[5]}};
    struct seccomp_outcome o = seccomp_check(&data);
    siginfo_t info;

    switch (o.verdict) {
    case SECCOMP_MAKE: return true;
    case SECCOMP_ANSWER:
        trace_unmade(nr, a, "an answer");
        t->call_answered = !o.restarts;
        *result = o.value;
        return false;
    case SECCOMP_TELL_TRACER:
        trace_unmade(nr, a, "no tracer");
        *result = -ENOSYS;
        return false;
    case SECCOMP_SIGNAL:
        trace_unmade(nr, a, "SIGSYS");
        info = sigsys(&data, (int)o.value);
        *result = (int64_t)rax_of(nr);
        signal_force_info(&info);
        return false;
    case SECCOMP_END_TASK: trace_unmade(nr, a, "the thread ends"); task_exit((int)o.value);
    case SECCOMP_END_PROCESS: break;
    }
    trace_unmade(nr, a, "the process ends");
    group_exit(SIGSYS);
}

int64_t
call_with_work(int64_t nr, uint64_t a[6])
{
    int64_t result;

    current_task()->call_answered = false;
    if ((current_task()->call_work & CALL_SECCOMP) && !passes_seccomp(nr, a, &result))
        return result;
    return syscall_dispatch(nr, a);
}
