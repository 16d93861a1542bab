/* ptrace(2): the orders of a tracer. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>

#include <linux/audit.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/proc/ptrace.h"
#include "vkernel/proc/trace.h"
#include "vkernel/signal/signal.h"
#include "x86/cpu.h"

enum { REQUEST_SYSEMU = 31, REQUEST_SYSEMU_STEP = 32, REQUEST_ARCH_PRCTL = 30, REQUEST_OLDSETOPTIONS = 21 };
enum { OPTIONS = 0x300000 | 0xff, OPTION_SUSPEND_SECCOMP = 0x200000 };

/* --- beginning --- */

static int64_t
trace_me(void)
{
    struct task *self = current_task(), *tracer = trace_maker(self->process, trace_oldest(self->process->parent));
    struct trace *tr;

    if (self->trace)
        return -EPERM;
    if (!tracer)
        return 0; /* as on Linux, where a parent that is ending is not linked */
    tr = trace_new(tracer, false, 0);
    if (!tr)
        return -ENOMEM;
    trace_begin(tr, self);
    return 0;
}

static int64_t
attach(struct task *t, bool seize, uint64_t address, uint64_t options)
{
    struct process *p = t->process;
    siginfo_t info = {.si_signo = SIGSTOP, .si_code = SI_KERNEL};
    struct trace *tr;

    if (seize && (address || (options & ~(uint64_t)OPTIONS)))
        return -EIO;
    if (seize && (options & OPTION_SUSPEND_SECCOMP))
        return capable(CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
    if (p == current_process() || !process_may_look(p, LOOK_REAL))
        return -EPERM;
    if (p->zombie || p->group_exit || t->ending || t->trace)
        return -EPERM;
    tr = trace_new(current_task(), seize, seize ? (unsigned)options : 0);
    if (!tr)
        return -ENOMEM;
    trace_begin(tr, t);
    if (!seize)
        signal_send_info(p, t, &info);
    if (p->stopped) /* it sleeps there as one that nobody traces, and comes to a stop of ours */
        wait_queue_wake(&p->stop_queue);
    return 0;
}

static int64_t
set_options(struct trace *tr, uint64_t options)
{
    if (options & ~(uint64_t)OPTIONS)
        return -EINVAL;
    if (options & OPTION_SUSPEND_SECCOMP)
        return capable(CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
    tr->options = (unsigned)options;
    return 0;
}

/* --- memory --- */

/* What a program that its user may not read has in its memory is for who may trace all; its registers are for its
 * tracer, as on Linux. */
static bool
has_memory(const struct trace *tr)
{
    return tr->process->mm && (tr->process->dumpable || capable(CAP_SYS_PTRACE));
}

static int64_t
peek(struct trace *tr, uint64_t address, uint64_t out)
{
    uint64_t word;

    if (!has_memory(tr) || mm_trace_read(tr->process->mm, &word, address, sizeof word) != sizeof word)
        return -EIO;
    return copy_to_guest(out, &word, sizeof word) < 0 ? -EFAULT : 0;
}

static int64_t
poke(struct trace *tr, uint64_t address, uint64_t word)
{
    return has_memory(tr) && mm_trace_write(tr->process->mm, address, &word, sizeof word) == sizeof word ? 0 : -EIO;
}

/* --- signals --- */

static int64_t
get_info(const struct trace *tr, uint64_t out)
{
    if (!tr->has_info)
        return -EINVAL;
    return copy_to_guest(out, &tr->info, sizeof tr->info) < 0 ? -EFAULT : 0;
}

static int64_t
set_info(struct trace *tr, uint64_t from)
{
    siginfo_t info;

    if (copy_from_guest(&info, from, sizeof info) < 0)
        return -EFAULT;
    if (!tr->has_info)
        return -EINVAL;
    tr->info = info;
    return 0;
}

static int64_t
peek_infos(const struct trace *tr, uint64_t arguments, uint64_t out)
{
    struct __ptrace_peeksiginfo_args a;
    const struct signal_queue *q;
    uint64_t skip;
    int done = 0;

    if (copy_from_guest(&a, arguments, sizeof a) < 0)
        return -EFAULT;
    if ((a.flags & ~(uint32_t)PTRACE_PEEKSIGINFO_SHARED) || a.nr < 0)
        return -EINVAL;
    q = a.flags & PTRACE_PEEKSIGINFO_SHARED ? &tr->process->pending : &tr->task->pending;
    skip = a.off;
    for (int sig = 1; sig <= SIGNALS && done < a.nr; sig++) {
        for (const struct list *l = q->entries[sig - 1].next; l != &q->entries[sig - 1] && done < a.nr; l = l->next) {
            const struct signal_entry *e = list_entry(l, const struct signal_entry, link);

            if (skip) {
                skip--;
                continue;
            }
            if (copy_to_guest(out, &e->info, sizeof e->info) < 0)
                return done ? done : -EFAULT;
            out += sizeof e->info;
            done++;
        }
    }
    return done;
}

static int64_t
get_mask(const struct trace *tr, uint64_t size, uint64_t out)
{
    const struct task *t = tr->task;
    uint64_t mask = t->restore_blocked ? t->saved_blocked : t->blocked;

    if (size != sizeof mask)
        return -EINVAL;
    return copy_to_guest(out, &mask, sizeof mask) < 0 ? -EFAULT : 0;
}

static int64_t
set_mask(struct trace *tr, uint64_t size, uint64_t from)
{
    uint64_t mask;

    if (size != sizeof mask)
        return -EINVAL;
    if (copy_from_guest(&mask, from, sizeof mask) < 0)
        return -EFAULT;
    tr->task->blocked = mask & ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
    tr->task->restore_blocked = false;
    return 0;
}

/* --- what kind of stop it is --- */

static int64_t
get_call_info(const struct trace *tr, uint64_t size, uint64_t out)
{
    const struct x86_cpu *cpu = ptrace_cpu(tr);
    struct __ptrace_syscall_info info = {.op = PTRACE_SYSCALL_INFO_NONE,
                                         .arch = AUDIT_ARCH_X86_64,
                                         .instruction_pointer = cpu->rip,
                                         .stack_pointer = cpu->gpr[X86_RSP]};
    int code = tr->has_info ? tr->info.si_code : 0;
    size_t actual = offsetof(struct __ptrace_syscall_info, entry);
    const uint64_t args[6] = {cpu->gpr[X86_RDI], cpu->gpr[X86_RSI], cpu->gpr[X86_RDX],
                              cpu->gpr[X86_R10], cpu->gpr[X86_R8],  cpu->gpr[X86_R9]};

    if (code == (SIGTRAP | 0x80) && tr->message == TRACE_CALL_BEGINS) {
        info.op = PTRACE_SYSCALL_INFO_ENTRY;
        info.entry.nr = (uint64_t)tr->orig_rax;
        memcpy(info.entry.args, args, sizeof args);
        actual += sizeof info.entry;
    } else if (code == (SIGTRAP | 0x80)) {
        int64_t result = (int64_t)cpu->gpr[X86_RAX];

        info.op = PTRACE_SYSCALL_INFO_EXIT;
        info.exit.rval = result;
        info.exit.is_error = result < 0 && result >= -4095;
        actual = offsetof(struct __ptrace_syscall_info, exit.is_error) + sizeof info.exit.is_error;
    } else if (code == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
        info.op = PTRACE_SYSCALL_INFO_SECCOMP;
        info.seccomp.nr = (uint64_t)tr->orig_rax;
        memcpy(info.seccomp.args, args, sizeof args);
        info.seccomp.ret_data = (uint32_t)tr->message;
        actual = offsetof(struct __ptrace_syscall_info, seccomp.ret_data) + sizeof info.seccomp.ret_data;
    }
    if (copy_to_guest(out, &info, actual < size ? actual : size) < 0)
        return -EFAULT;
    return (int64_t)actual;
}

/* --- going on --- */

static int64_t
resume(struct trace *tr, enum trace_resumed how, uint64_t sig)
{
    if (sig > SIGNALS)
        return -EIO;
    trace_resume(tr, how, (int)sig);
    return 0;
}

static int64_t
detach(struct trace *tr, uint64_t sig)
{
    if (sig > SIGNALS)
        return -EIO;
    tr->order = (int)sig;
    tr->resumed = TRACE_CONT;
    trace_end(tr);
    return 0;
}

static int64_t
interrupt(struct trace *tr)
{
    if (!tr->seized)
        return -EIO;
    signal_ask_trap(tr->task);
    return 0;
}

static int64_t
listen_on(struct trace *tr)
{
    if (!tr->seized || !tr->has_info || tr->info.si_code >> 8 != PTRACE_EVENT_STOP)
        return -EIO;
    tr->listening = true;
    if (tr->task->asked & TASK_TO_TRAP)
        signal_ask_trap(tr->task);
    return 0;
}

/* Requests that make the tracee go on, or look what it is. */
static int64_t
request_control(struct trace *tr, int64_t request, uint64_t address, uint64_t data)
{
    switch (request) {
    case PTRACE_CONT: return resume(tr, TRACE_CONT, data);
    case PTRACE_SYSCALL: return resume(tr, TRACE_SYSCALL, data);
    case PTRACE_SINGLESTEP: return resume(tr, TRACE_STEP, data);
    case REQUEST_SYSEMU: return resume(tr, TRACE_SYSEMU, data);
    case REQUEST_SYSEMU_STEP: return resume(tr, TRACE_SYSEMU_STEP, data);
    case PTRACE_DETACH: return detach(tr, data);
    case PTRACE_LISTEN: return listen_on(tr);
    case PTRACE_SETOPTIONS:
    case REQUEST_OLDSETOPTIONS: return set_options(tr, data);
    case PTRACE_GETEVENTMSG: return copy_to_guest(data, &tr->message, sizeof tr->message) < 0 ? -EFAULT : 0;
    case PTRACE_GETSIGINFO: return get_info(tr, data);
    case PTRACE_SETSIGINFO: return set_info(tr, data);
    case PTRACE_PEEKSIGINFO: return peek_infos(tr, address, data);
    case PTRACE_GETSIGMASK: return get_mask(tr, address, data);
    case PTRACE_SETSIGMASK: return set_mask(tr, address, data);
    case PTRACE_GET_SYSCALL_INFO: return get_call_info(tr, address, data);
    default: return -EIO;
    }
}

static int64_t
request_state(struct trace *tr, int64_t request, uint64_t address, uint64_t data)
{
    switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA: return peek(tr, address, data);
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA: return poke(tr, address, data);
    case PTRACE_PEEKUSER: return ptrace_peek_user(tr, address, data);
    case PTRACE_POKEUSER: return ptrace_poke_user(tr, address, data);
    case PTRACE_GETREGS: return ptrace_get_registers(tr, data);
    case PTRACE_SETREGS: return ptrace_set_registers(tr, data);
    case PTRACE_GETFPREGS: return ptrace_get_floats(tr, data);
    case PTRACE_SETFPREGS: return ptrace_set_floats(tr, data);
    case PTRACE_GETREGSET: return ptrace_register_set(tr, address, data, false);
    case PTRACE_SETREGSET: return ptrace_register_set(tr, address, data, true);
    case REQUEST_ARCH_PRCTL: return ptrace_arch_prctl(tr, data, address);
    default: return request_control(tr, request, address, data);
    }
}

int64_t
sys_ptrace(const uint64_t a[6])
{
    int64_t request = (int64_t)a[0];
    struct task *t;

    if (request == PTRACE_TRACEME)
        return trace_me();
    t = (int)a[1] > 0 ? task_find((int)a[1]) : NULL;
    if (request == PTRACE_ATTACH || request == PTRACE_SEIZE)
        return t ? attach(t, request == PTRACE_SEIZE, a[2], a[3]) : process_find((int)a[1]) ? -EPERM : -ESRCH;
    if (!t)
        return -ESRCH;
    if (!t->trace || t->trace->tracer != current_task())
        return -ESRCH;
    if (request == PTRACE_KILL) {
        signal_send_process(t->process, SIGKILL);
        return 0;
    }
    if (request == PTRACE_INTERRUPT)
        return interrupt(t->trace);
    if (!t->trace->stopped || t->trace->listening)
        return -ESRCH;
    return request_state(t->trace, request, a[2], a[3]);
}
