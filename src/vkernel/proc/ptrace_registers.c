/* A tracee's registers, as struct user and the register sets of core files (elf(5)) lay them out. */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <asm/prctl.h>

#include "platform/platform.h"
#include "vkernel/cpu/xsave.h"
#include "vkernel/proc/ptrace.h"
#include "vkernel/usercopy/usercopy.h"
#include "x86/cpu.h"

#include <sys/user.h> /* behind the others, as it defines PAGE_SIZE */

enum { USER_CS = 0x33, USER_SS = 0x2b };
enum { USER_SIZE = 928 }; /* of the kernel's struct user, whose last two words the C library's has not */
/* What of RFLAGS a tracer may set. TF and RF are left out: steps are the tracer's orders, and the guest's own TF has no
 * effect. */
enum { RFLAGS_TRACER = 0x44cd5 };

struct x86_cpu *
ptrace_cpu(const struct trace *tr)
{
    return platform_fiber_cpu(tr->task->sched.fiber);
}

/* --- general registers --- */

static void
get_all(const struct trace *tr, struct user_regs_struct *r)
{
    const struct x86_cpu *cpu = ptrace_cpu(tr);

    *r = (struct user_regs_struct){
        .r15 = cpu->gpr[15],
        .r14 = cpu->gpr[14],
        .r13 = cpu->gpr[13],
        .r12 = cpu->gpr[12],
        .rbp = cpu->gpr[X86_RBP],
        .rbx = cpu->gpr[X86_RBX],
        .r11 = cpu->gpr[11],
        .r10 = cpu->gpr[10],
        .r9 = cpu->gpr[9],
        .r8 = cpu->gpr[8],
        .rax = cpu->gpr[X86_RAX],
        .rcx = cpu->gpr[X86_RCX],
        .rdx = cpu->gpr[X86_RDX],
        .rsi = cpu->gpr[X86_RSI],
        .rdi = cpu->gpr[X86_RDI],
        .orig_rax = (uint64_t)tr->orig_rax,
        .rip = cpu->rip,
        .cs = USER_CS,
        .eflags = x86_cpu_rflags(cpu),
        .rsp = cpu->gpr[X86_RSP],
        .ss = USER_SS,
        .fs_base = cpu->fs_base,
        .gs_base = cpu->gs_base,
    };
}

/* Segment registers have the values that they always have here; a tracer may write them back. */
static bool
is_segment(size_t offset, uint64_t *has)
{
    switch (offset) {
    case offsetof(struct user_regs_struct, cs): *has = USER_CS; return true;
    case offsetof(struct user_regs_struct, ss): *has = USER_SS; return true;
    case offsetof(struct user_regs_struct, ds):
    case offsetof(struct user_regs_struct, es):
    case offsetof(struct user_regs_struct, fs):
    case offsetof(struct user_regs_struct, gs): *has = 0; return true;
    default: return false;
    }
}

/* The place of a register whose every value is allowed; NULL: it is another one. */
static uint64_t *
plain_register(struct trace *tr, size_t offset)
{
    enum { REGISTERS = sizeof(struct user_regs_struct) / sizeof(uint64_t), NONE = 0xff };
    static const uint8_t number[REGISTERS] = {15,   14,      13,      12,      X86_RBP, X86_RBX, 11,   10,   9,
                                              8,    X86_RAX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, NONE, NONE, NONE,
                                              NONE, X86_RSP, NONE,    NONE,    NONE,    NONE,    NONE, NONE, NONE};
    struct x86_cpu *cpu = ptrace_cpu(tr);

    if (offset == offsetof(struct user_regs_struct, rip))
        return &cpu->rip;
    if (offset == offsetof(struct user_regs_struct, orig_rax))
        return (uint64_t *)&tr->orig_rax;
    return number[offset / sizeof(uint64_t)] == NONE ? NULL : &cpu->gpr[number[offset / sizeof(uint64_t)]];
}

static int
set_one(struct trace *tr, size_t offset, uint64_t value)
{
    struct x86_cpu *cpu = ptrace_cpu(tr);
    uint64_t *plain = plain_register(tr, offset), has;

    if (plain) {
        *plain = value;
        return 0;
    }
    if (is_segment(offset, &has))
        return value == has ? 0 : -EIO;
    if (offset == offsetof(struct user_regs_struct, eflags)) {
        x86_cpu_set_rflags(cpu, (x86_cpu_rflags(cpu) & ~(uint64_t)RFLAGS_TRACER) | (value & RFLAGS_TRACER));
        return 0;
    }
    if (value >= TASK_SIZE)
        return -EIO;
    *(offset == offsetof(struct user_regs_struct, fs_base) ? &cpu->fs_base : &cpu->gs_base) = value;
    return 0;
}

/* Whole registers, as many as `size` bytes have; those before the first bad one are set, as on Linux. */
static int
set_some(struct trace *tr, const struct user_regs_struct *r, size_t size)
{
    int result = 0;

    for (size_t at = 0; at + sizeof(uint64_t) <= size && result == 0; at += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, (const char *)r + at, sizeof value);
        result = set_one(tr, at, value);
    }
    return result;
}

int64_t
ptrace_get_registers(const struct trace *tr, uint64_t out)
{
    struct user_regs_struct r;

    get_all(tr, &r);
    return copy_to_guest(out, &r, sizeof r) < 0 ? -EFAULT : 0;
}

int64_t
ptrace_set_registers(struct trace *tr, uint64_t from)
{
    struct user_regs_struct r;

    return copy_from_guest(&r, from, sizeof r) < 0 ? -EFAULT : set_some(tr, &r, sizeof r);
}

/* --- struct user --- */

/* The debug register at this offset of struct user, 0 to 7; -1: it is something else. */
static int
debug_register(uint64_t offset)
{
    const uint64_t first = offsetof(struct user, u_debugreg);

    return offset >= first && offset < first + sizeof((struct user *)0)->u_debugreg ? (int)((offset - first) / 8) : -1;
}

/* As on a machine all of whose breakpoint registers are somebody else's. */
static int
set_debug_register(int number, uint64_t value)
{
    enum { ENABLED = 0xff };

    switch (number) {
    case 4:
    case 5: return -EIO;
    case 6: return 0;
    case 7: return value & ENABLED ? -ENOSPC : 0;
    default: return value >= TASK_SIZE ? -EINVAL : value ? -ENOSPC : 0;
    }
}

int64_t
ptrace_peek_user(const struct trace *tr, uint64_t offset, uint64_t out)
{
    struct user_regs_struct r;
    uint64_t value = 0;

    if (offset % sizeof value || offset >= USER_SIZE)
        return -EIO;
    if (offset < sizeof r) {
        get_all(tr, &r);
        memcpy(&value, (const char *)&r + offset, sizeof value);
    }
    return copy_to_guest(out, &value, sizeof value) < 0 ? -EFAULT : 0;
}

int64_t
ptrace_poke_user(struct trace *tr, uint64_t offset, uint64_t value)
{
    int number = debug_register(offset);

    if (offset % sizeof value || offset >= USER_SIZE)
        return -EIO;
    if (offset < sizeof(struct user_regs_struct))
        return set_one(tr, offset, value);
    return number >= 0 ? set_debug_register(number, value) : -EIO;
}

/* --- floating point --- */

static void
get_area(const struct trace *tr, struct x86_xsave *a)
{
    uint64_t components = xsave_components();

    xsave_put(a, ptrace_cpu(tr));
    memcpy(&a->fx.software, &components, sizeof components); /* where debuggers look for XCR0 */
}

int64_t
ptrace_get_floats(const struct trace *tr, uint64_t out)
{
    struct x86_xsave a;

    get_area(tr, &a);
    memset(&a.fx.software, 0, sizeof a.fx.software);
    return copy_to_guest(out, &a.fx, sizeof a.fx) < 0 ? -EFAULT : 0;
}

static int
set_legacy(struct trace *tr, const struct x86_fxsave *fx)
{
    struct x86_xsave a;
    uint64_t found;

    xsave_put(&a, ptrace_cpu(tr));
    found = a.components;
    a.fx = *fx;
    if (!xsave_mxcsr_good(&a))
        return -EINVAL;
    xsave_get(&a, ptrace_cpu(tr), found, true);
    return 0;
}

int64_t
ptrace_set_floats(struct trace *tr, uint64_t from)
{
    struct x86_fxsave fx;

    return copy_from_guest(&fx, from, sizeof fx) < 0 ? -EFAULT : set_legacy(tr, &fx);
}

/* --- register sets --- */

/* The guest's struct iovec. */
struct room {
    uint64_t base, size;
};

/* The smaller of what the caller has room for and the set's size. */
static size_t
cut(const struct room *v, size_t size)
{
    return v->size < size ? v->size : size;
}

static int
get_set(struct trace *tr, uint64_t type, struct room *v)
{
    struct user_regs_struct r;
    struct x86_xsave a;
    const void *from = &a;

    switch (type) {
    case NT_PRSTATUS:
        get_all(tr, &r);
        from = &r;
        v->size = cut(v, sizeof r);
        break;
    case NT_FPREGSET:
        get_area(tr, &a);
        memset(&a.fx.software, 0, sizeof a.fx.software);
        v->size = cut(v, sizeof a.fx);
        break;
    default:
        get_area(tr, &a);
        v->size = cut(v, xsave_size());
        break;
    }
    return copy_to_guest(v->base, from, v->size);
}

static int
set_whole_area(struct trace *tr, const struct room *v)
{
    struct x86_xsave a = {0};

    if (v->size != xsave_size())
        return -EFAULT;
    if (copy_from_guest(&a, v->base, v->size) < 0)
        return -EFAULT;
    if (!xsave_header_good(&a) || !xsave_mxcsr_good(&a))
        return -EINVAL;
    xsave_get(&a, ptrace_cpu(tr), a.components, a.components & (X86_XSAVE_SSE | X86_XSAVE_AVX));
    return 0;
}

static int
set_set(struct trace *tr, uint64_t type, struct room *v)
{
    uint64_t from = v->base;
    struct user_regs_struct r;
    struct x86_fxsave fx;

    switch (type) {
    case NT_PRSTATUS:
        v->size = cut(v, sizeof r);
        return copy_from_guest(&r, from, v->size) < 0 ? -EFAULT : set_some(tr, &r, v->size);
    case NT_FPREGSET:
        v->size = cut(v, sizeof fx);
        if (v->size != sizeof fx)
            return -EINVAL;
        return copy_from_guest(&fx, from, sizeof fx) < 0 ? -EFAULT : set_legacy(tr, &fx);
    default: v->size = cut(v, xsave_size()); return set_whole_area(tr, v);
    }
}

int64_t
ptrace_register_set(struct trace *tr, uint64_t type, uint64_t iovec, bool set)
{
    struct room v;
    int r;

    if (copy_from_guest(&v, iovec, sizeof v) < 0)
        return -EFAULT;
    if ((type != NT_PRSTATUS && type != NT_FPREGSET && type != NT_X86_XSTATE) || v.size % sizeof(uint64_t))
        return -EINVAL;
    r = set ? set_set(tr, type, &v) : get_set(tr, type, &v);
    if (r < 0)
        return r;
    return copy_to_guest(iovec + offsetof(struct room, size), &v.size, sizeof v.size) < 0 ? -EFAULT : 0;
}

/* The tracee's, with addresses that are the tracer's. */
int64_t
ptrace_arch_prctl(struct trace *tr, uint64_t code, uint64_t value)
{
    struct x86_cpu *cpu = ptrace_cpu(tr);
    uint64_t *base = code == ARCH_SET_FS || code == ARCH_GET_FS   ? &cpu->fs_base
                     : code == ARCH_SET_GS || code == ARCH_GET_GS ? &cpu->gs_base
                                                                  : NULL;

    if (!base)
        return -EINVAL;
    if (code == ARCH_GET_FS || code == ARCH_GET_GS)
        return copy_to_guest(value, base, sizeof *base) < 0 ? -EFAULT : 0;
    if (value >= TASK_SIZE)
        return -EPERM;
    *base = value;
    return 0;
}
