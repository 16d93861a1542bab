/* System calls of a task that has more to do at each than to make it (task.call_work): seccomp decides whether it is
 * made at all. Linux lets a tracer see a call before that, and asks seccomp about what the tracer made of it. */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/ptrace.h>

#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/trace.h"
#include "vkernel/run/run.h"
#include "vkernel/seccomp/seccomp.h"
#include "vkernel/signal/signal.h"
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

/* A filter leaves the call to the tracer, who may make another one of it. Without a tracer that wants to know it is not
 * made. */
static bool
passes_tracer(int64_t *nr, uint64_t a[6], int64_t *result, int64_t value)
{
    struct task *t = current_task();
    const struct x86_cpu *cpu = x86_this_cpu();
    struct trace *tr;

    if (!trace_wants(t, PTRACE_EVENT_SECCOMP)) {
        trace_unmade(*nr, a, "no tracer");
        *result = -ENOSYS;
        return false;
    }
    tr = trace_get(t->trace);
    trace_event(t, PTRACE_EVENT_SECCOMP, (uint64_t)value);
    *nr = (int32_t)tr->orig_rax;
    trace_put(tr);
    *result = (int64_t)cpu->gpr[X86_RAX];
    for (unsigned k = 0; k < 6; k++)
        a[k] = cpu->gpr[(const uint8_t[]){X86_RDI, X86_RSI, X86_RDX, X86_R10, X86_R8, X86_R9}[k]];
    return *nr >= 0 && !signal_fatal_pending();
}

/* Is the call to be made? If not, *result is what rax gets, or what the tracer gets, if *asks becomes true. */
static bool
is_allowed(int64_t nr, const uint64_t a[6], int64_t *result, bool *asks)
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
        *asks = true;
        *result = o.value;
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

/* The same, with the tracer's say: what it makes of the call is judged once more, but not left to it again. */
static bool
passes_seccomp(int64_t *nr, uint64_t a[6], int64_t *result)
{
    bool asks = false, again = false;

    if (is_allowed(*nr, a, result, &asks))
        return true;
    return asks && passes_tracer(nr, a, result, *result) && (is_allowed(*nr, a, result, &again) || again);
}

int64_t
call_with_work(int64_t nr, uint64_t a[6])
{
    int64_t result;

    current_task()->call_answered = false;
    if ((current_task()->call_work & CALL_SECCOMP) && !passes_seccomp(&nr, a, &result))
        return result;
    return syscall_dispatch(nr, a);
}
