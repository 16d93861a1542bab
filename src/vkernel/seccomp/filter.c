/* Modes and filters: how a task gets them, what they say of a call, and what of that is logged. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/audit/audit.h"
#include "vkernel/seccomp/seccomp_internal.h"
#include "vkernel/usercopy/usercopy.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/file.h"

enum {
    MAX_COUNTED = 32768, /* instructions that a call may go through (Linux's MAX_INSNS_PER_PATH) */
    FILTER_COUNTS = 4,   /* what each earlier filter counts beyond its instructions */
    MAX_ERRNO = 4095,
    FLAGS = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
};

OBJECT_POOL(seccomp_filter);

struct guest_program { /* struct sock_fprog */
    uint16_t count, pad[3];
    uint64_t program;
};
_Static_assert(sizeof(struct guest_program) == 16, "struct sock_fprog is the guest's");

/* --- actions --- */

/* By precedence. */
static const struct {
    uint32_t action;
    const char *name;
} actions[] = {
    {SECCOMP_RET_KILL_PROCESS, "kill_process"},
    {SECCOMP_RET_KILL_THREAD, "kill_thread"},
    {SECCOMP_RET_TRAP, "trap"},
    {SECCOMP_RET_ERRNO, "errno"},
    {SECCOMP_RET_USER_NOTIF, "user_notif"},
    {SECCOMP_RET_TRACE, "trace"},
    {SECCOMP_RET_LOG, "log"},
    {SECCOMP_RET_ALLOW, "allow"},
};
enum { ACTIONS = sizeof actions / sizeof actions[0], ALLOW = ACTIONS - 1 };

/* A bit for each of `actions` that is logged where it should be. Linux's default; it is the container's. */
static unsigned logged = (1u << ALLOW) - 1;

/* Which of `actions` it is; 0, which ends the process, for what is none. */
static unsigned
action_of(uint32_t result)
{
    for (unsigned k = 0; k < ACTIONS; k++)
        if ((result & SECCOMP_RET_ACTION_FULL) == actions[k].action)
            return k;
    return 0;
}

static void
put_names(char out[SECCOMP_NAMES], unsigned set)
{
    size_t at = 0;

    out[0] = '\0';
    for (unsigned k = 0; k < ACTIONS; k++)
        if (set >> k & 1)
            at += (size_t)snprintf(out + at, SECCOMP_NAMES - at, "%s%s", at ? " " : "", actions[k].name);
}

void
seccomp_show_available(char out[SECCOMP_NAMES])
{
    put_names(out, (1u << ACTIONS) - 1);
}

void
seccomp_show_logged(char out[SECCOMP_NAMES])
{
    put_names(out, logged);
}

int
seccomp_set_logged(const char *names)
{
    unsigned set = 0;

    if (!capable(CAP_SYS_ADMIN))
        return -EPERM;
    while (*names && *names != ' ' && *names != '\n') {
        size_t length = strcspn(names, " \n");
        unsigned k = 0;

        while (k < ALLOW && (strlen(actions[k].name) != length || memcmp(actions[k].name, names, length) != 0))
            k++;
        if (k == ALLOW) /* what is allowed is not logged */
            return -EINVAL;
        set |= 1u << k;
        names += length;
        names += *names == ' ';
    }
    logged = set;
    return 0;
}

/* wanted: the filter was made with SECCOMP_FILTER_FLAG_LOG. What ends a task, and SECCOMP_RET_LOG, asks for no flag. */
static void
log_action(unsigned action, bool wanted, int sig, const struct seccomp_data *data)
{
    static const uint32_t always[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG};
    struct audit_entry e;

    for (unsigned k = 0; k < sizeof always / sizeof always[0]; k++)
        wanted |= actions[action].action == always[k];
    if (!wanted || !(logged >> action & 1))
        return;
    audit_begin(&e, AUDIT_PROCESS, "seccomp", actions[action].action == SECCOMP_RET_LOG);
    audit_number(&e, "process.thread.id", current_task()->tid);
    audit_string(&e, "ingot.action", actions[action].name);
    audit_number(&e, "ingot.call_number", data->nr);
    if (data->nr >= 0 && data->nr < SYSCALL_TABLE_SIZE)
        audit_string(&e, "ingot.call", syscall_table[data->nr].name);
    if (sig)
        audit_number(&e, "ingot.signal", sig);
    audit_end(&e);
}

/* --- filters --- */

void
seccomp_filter_get(struct seccomp_filter *f)
{
    refcount_get(&f->refs);
}

void
seccomp_filter_put(struct seccomp_filter *f)
{
    while (f && refcount_put(&f->refs)) {
        struct seccomp_filter *before = f->before;

        wait_queue_fini(&f->queue);
        bytes_free(f->program);
        OBJECT_FREE(seccomp_filter, f);
        f = before;
    }
}

/* A user less. Who listens is told when there is none left, as nothing will come any more. */
static void
filter_leave(struct seccomp_filter *f)
{
    for (struct seccomp_filter *x = f; x && refcount_put(&x->users); x = x->before) {
        x->no_users = true;
        wait_queue_wake(&x->queue);
    }
    seccomp_filter_put(f);
}

static void
filter_join(struct seccomp_filter *f)
{
    if (!f)
        return;
    refcount_get(&f->refs);
    refcount_get(&f->users);
}

/* Reads a program of the guest's and makes a filter of it that no task has yet. */
static int
filter_new(uint64_t address, struct seccomp_filter **out)
{
    struct guest_program g;
    struct seccomp_filter *f;
    struct sock_filter *program;

    if (copy_from_guest(&g, address, sizeof g) < 0)
        return -EFAULT;
    if (g.count == 0 || g.count > BPF_MAXINSNS)
        return -EINVAL;
    /* Else a filter could deceive a program that the task runs with more rights than its own. */
    if (!current_task()->no_new_privs && !capable(CAP_SYS_ADMIN))
        return -EACCES;
    if (g.program == 0)
        return -EINVAL;
    f = OBJECT_NEW(seccomp_filter);
    program = f ? bytes_new(g.count * sizeof *program) : NULL;
    if (!program) {
        OBJECT_FREE(seccomp_filter, f);
        return -ENOMEM;
    }
    *f = (struct seccomp_filter){.program = program, .count = g.count};
    refcount_init(&f->refs);
    refcount_init(&f->users);
    list_init(&f->notices);
    wait_queue_init(&f->queue);
    *out = f;
    if (copy_from_guest(program, g.program, g.count * sizeof *program) < 0)
        return -EFAULT;
    if (!bpf_valid(program, g.count))
        return -EINVAL;
    f->counted = bpf_counted_length(program, g.count);
    return 0;
}

/* Finds out which calls it always allows. That is the work of some runs for each number, so others may come between. */
static int
find_allowed(struct seccomp_filter *f)
{
    enum { AT_ONCE = 64 };

    might_sleep();
    for (unsigned nr = 0; nr < SYSCALL_TABLE_SIZE; nr++) {
        if (bpf_always_allows(f->program, f->count, nr, AUDIT_ARCH_X86_64))
            f->allows[nr / 64] |= 1ull << nr % 64;
        if (nr % AT_ONCE == AT_ONCE - 1 && sched_checkpoint() < 0)
            return -EINTR;
    }
    return 0;
}

/* How many instructions the calls of a task with this filter go through, and with one of so many more, as Linux
 * counts: 0, or -ENOMEM. */
static int
check_length(const struct seccomp_filter *f, unsigned more)
{
    unsigned total = more;

    for (; f; f = f->before)
        total += f->counted + FILTER_COUNTS;
    return total > MAX_COUNTED ? -ENOMEM : 0;
}

static bool
listened_to(const struct seccomp_filter *f)
{
    while (f && !f->heard)
        f = f->before;
    return f != NULL;
}

/* Marks the filter and all before it with a number of their own, which it returns. Many threads may be asked whether
 * theirs is one of many filters, and no answer may take a walk. */
static uint64_t
mark(struct seccomp_filter *f)
{
    static uint64_t last;

    last++;
    for (; f; f = f->before)
        f->mark = last;
    return last;
}

/* --- modes --- */

static void
set_mode(struct task *t, uint8_t mode)
{
    t->seccomp_mode = mode;
    t->call_work |= CALL_SECCOMP;
}

/* A thread that could not get this task's filters, because it has others or is in strict mode; NULL: there is none. */
static struct task *
other_ways(struct task *self)
{
    uint64_t ours = mark(self->seccomp_filter);

    LIST_EACH(l, &self->process->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (t != self && t->seccomp_mode != SECCOMP_MODE_DISABLED &&
            (t->seccomp_mode != SECCOMP_MODE_FILTER || (t->seccomp_filter && t->seccomp_filter->mark != ours)))
            return t;
    }
    return NULL;
}

/* Gives all threads this one's filters. */
static void
synchronize(struct task *self)
{
    LIST_EACH(l, &self->process->threads) {
        struct task *t = list_entry(l, struct task, thread_link);
        struct seccomp_filter *old = t->seccomp_filter;

        if (t == self)
            continue;
        filter_join(self->seccomp_filter);
        t->seccomp_filter = self->seccomp_filter;
        t->seccomp_filters = self->seccomp_filters;
        filter_leave(old);
        t->no_new_privs |= self->no_new_privs;
        if (t->seccomp_mode == SECCOMP_MODE_DISABLED)
            set_mode(t, SECCOMP_MODE_FILTER);
    }
}

/* Gives the filter to the current task: 0, -errno, or the number of the thread that could not get it. */
static int64_t
attach(struct seccomp_filter *f, uint64_t flags)
{
    struct task *self = current_task(), *other;

    if (self->seccomp_mode == SECCOMP_MODE_STRICT)
        return -EINVAL;
    if (f->heard && listened_to(self->seccomp_filter))
        return -EBUSY;
    if (check_length(self->seccomp_filter, f->counted) < 0)
        return -ENOMEM;
    other = flags & SECCOMP_FILTER_FLAG_TSYNC ? other_ways(self) : NULL;
    if (other)
        return flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : other->tid;
    f->logs = flags & SECCOMP_FILTER_FLAG_LOG;
    f->waits_killable = flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    f->before = self->seccomp_filter; /* with the task's reference */
    for (unsigned k = 0; f->before && k < SYSCALL_TABLE_SIZE / 64; k++)
        f->allows[k] &= f->before->allows[k];
    self->seccomp_filter = f;
    self->seccomp_filters++;
    set_mode(self, SECCOMP_MODE_FILTER);
    if (flags & SECCOMP_FILTER_FLAG_TSYNC)
        synchronize(self);
    return 0;
}

/* With a listener: its descriptor. */
static int64_t
attach_heard(struct seccomp_filter *f, uint64_t flags)
{
    FILE_REF struct file *listener = NULL;
    int fd = fd_room();
    int64_t r;

    if (fd < 0)
        return fd;
    listener = seccomp_listener(f);
    if (!listener)
        return -ENFILE;
    r = attach(f, flags);
    if (r != 0)
        return r;
    fd = fd_install(listener, 0, O_CLOEXEC); /* there was room, and nobody came between */
    if (fd >= 0)
        file_get(listener);
    return fd;
}

static int64_t
set_filter(uint64_t flags, uint64_t address)
{
    struct seccomp_filter *f = NULL;
    int64_t r;

    if ((flags & ~(uint64_t)FLAGS) ||
        /* A thread's number and a descriptor could not be told apart. */
        ((flags & SECCOMP_FILTER_FLAG_TSYNC) && (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) &&
         !(flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH)) ||
        ((flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) && !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)))
        return -EINVAL;
    r = filter_new(address, &f);
    if (r == 0)
        r = find_allowed(f);
    if (r == 0)
        r = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? attach_heard(f, flags) : attach(f, flags);
    if (current_task()->seccomp_filter != f)
        seccomp_filter_put(f);
    return r;
}

static int64_t
set_strict(void)
{
    struct task *t = current_task();

    if (t->seccomp_mode == SECCOMP_MODE_FILTER)
        return -EINVAL;
    set_mode(t, SECCOMP_MODE_STRICT);
    return 0;
}

static int64_t
action_available(uint64_t address)
{
    uint32_t action;

    if (copy_from_guest(&action, address, sizeof action) < 0)
        return -EFAULT;
    return actions[action_of(action)].action == action ? 0 : -EOPNOTSUPP;
}

static int64_t
notice_sizes(uint64_t address)
{
    const struct seccomp_notif_sizes sizes = {sizeof(struct seccomp_notif), sizeof(struct seccomp_notif_resp),
                                              sizeof(struct seccomp_data)};

    return copy_to_guest(address, &sizes, sizeof sizes) < 0 ? -EFAULT : 0;
}

int64_t
sys_seccomp(const uint64_t a[6])
{
    switch (a[0]) {
    case SECCOMP_SET_MODE_STRICT: return a[1] || a[2] ? -EINVAL : set_strict();
    case SECCOMP_SET_MODE_FILTER: return set_filter(a[1], a[2]);
    case SECCOMP_GET_ACTION_AVAIL: return a[1] ? -EINVAL : action_available(a[2]);
    case SECCOMP_GET_NOTIF_SIZES: return a[1] ? -EINVAL : notice_sizes(a[2]);
    default: return -EINVAL;
    }
}

int64_t
seccomp_prctl(uint64_t mode, uint64_t filter)
{
    switch (mode) {
    case SECCOMP_MODE_STRICT: return set_strict();
    case SECCOMP_MODE_FILTER: return set_filter(0, filter);
    default: return -EINVAL;
    }
}

void
seccomp_inherit(struct task *t)
{
    const struct task *self = current_task();

    filter_join(self->seccomp_filter);
    t->seccomp_filter = self->seccomp_filter;
    t->seccomp_filters = self->seccomp_filters;
    t->no_new_privs = self->no_new_privs;
    t->seccomp_mode = self->seccomp_mode;
    t->call_work |= self->call_work & CALL_SECCOMP;
}

void
seccomp_leave(struct task *t)
{
    struct seccomp_filter *f = t->seccomp_filter;

    t->seccomp_filter = NULL;
    filter_leave(f);
}

/* --- a call --- */

/* Strict mode: reading, writing and ending is all. */
static struct seccomp_outcome
check_strict(const struct seccomp_data *data)
{
    switch (data->nr) {
    case NR_read:
    case NR_write:
    case NR_exit:
    case NR_rt_sigreturn: return (struct seccomp_outcome){SECCOMP_MAKE};
    default:
        log_action(action_of(SECCOMP_RET_KILL_THREAD), true, SIGKILL, data);
        return (struct seccomp_outcome){SECCOMP_END_TASK, .value = SIGKILL};
    }
}

/* Runs all filters of the task. The action that comes first by precedence wins, and among equal ones the last
 * filter's, which is also the one to listen to. */
static uint32_t
run_filters(const struct seccomp_data *data, struct seccomp_filter **by)
{
    uint32_t result = SECCOMP_RET_ALLOW;

    *by = NULL;
    for (struct seccomp_filter *f = current_task()->seccomp_filter; f; f = f->before) {
        uint32_t r = bpf_run(f->program, f->count, data);

        if ((int32_t)(r & SECCOMP_RET_ACTION_FULL) < (int32_t)(result & SECCOMP_RET_ACTION_FULL)) {
            result = r;
            *by = f;
        }
    }
    return result;
}

struct seccomp_outcome
seccomp_check(const struct seccomp_data *data)
{
    struct task *t = current_task();
    struct seccomp_filter *by;
    unsigned action;
    uint32_t result;
    int64_t value;

    if (t->seccomp_mode == SECCOMP_MODE_STRICT)
        return check_strict(data);
    if ((uint32_t)data->nr < SYSCALL_TABLE_SIZE && (t->seccomp_filter->allows[data->nr / 64] >> data->nr % 64 & 1))
        return (struct seccomp_outcome){SECCOMP_MAKE};
    result = run_filters(data, &by);
    action = action_of(result);
    value = result & SECCOMP_RET_DATA;
    log_action(action, by && by->logs, actions[action].action == SECCOMP_RET_TRAP || action <= 1 ? SIGSYS : 0, data);
    switch (actions[action].action) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG: return (struct seccomp_outcome){SECCOMP_MAKE};
    case SECCOMP_RET_ERRNO:
        return (struct seccomp_outcome){SECCOMP_ANSWER, .value = -(value < MAX_ERRNO ? value : MAX_ERRNO)};
    case SECCOMP_RET_TRACE: return (struct seccomp_outcome){SECCOMP_TELL_TRACER, .value = value};
    case SECCOMP_RET_TRAP: return (struct seccomp_outcome){SECCOMP_SIGNAL, .value = value};
    case SECCOMP_RET_USER_NOTIF: return seccomp_ask(by, data);
    case SECCOMP_RET_KILL_THREAD:
        if (t->process->thread_count > 1)
            return (struct seccomp_outcome){SECCOMP_END_TASK, .value = SIGSYS};
        /* fall through */
    default: return (struct seccomp_outcome){SECCOMP_END_PROCESS};
    }
}
