/* The search that context_handlers.h describes. It decodes instructions and follows where a pointer to the context
 * goes, through registers and slots of the stack frame, for a limited number of instructions. */
#include "discover/context_handlers.h"

#include <string.h>

#include "discover/discover_internal.h"
#include "x86/cpu.h"

enum {
    SEARCH_INSNS = 1024,
    SEARCH_PATHS = 64,
    SEARCH_DEPTH = 3,
    SLOTS = 8,
    /* The offsets of uc_mcontext.gregs in struct ucontext_t (sys/ucontext.h) up to all general registers, RIP and
     * flags */
    REGISTERS_START = 0x28,
    REGISTERS_END = 0xe0,
};

/* --- does a function look at the registers in the context that it gets? --- */

struct slot { /* a place in the stack frame, by the base register and displacement with which it is addressed */
    int8_t base;
    int64_t disp;
};

struct path { /* where control goes on, and what holds a pointer to the context there */
    uint64_t address;
    uint16_t registers; /* one bit for each general register */
    struct slot slots[SLOTS];
    uint8_t slot_count;
};

struct search {
    const struct elf_image *image;
    struct path paths[SEARCH_PATHS];  /* all paths that were found, one for each address */
    unsigned path_count, next, insns; /* next is the first path not walked yet; insns counts instructions */
};

static void
follow(struct search *s, uint64_t address, const struct path *from)
{
    for (unsigned i = 0; i < s->path_count; i++)
        if (s->paths[i].address == address)
            return;
    if (s->path_count < SEARCH_PATHS) {
        s->paths[s->path_count] = *from;
        s->paths[s->path_count++].address = address;
    }
}

static bool
is_general(const struct x86_operand *o)
{
    return o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR;
}

static bool
holds(const struct path *p, int8_t reg)
{
    return reg >= 0 && reg < 16 && p->registers >> reg & 1;
}

static bool
is_slot(const struct x86_operand *o)
{
    return o->kind == X86_OPD_MEM && o->index == X86_BASE_NONE && (o->base == X86_RSP || o->base == X86_RBP);
}

static int
find_slot(const struct path *p, const struct x86_operand *o)
{
    for (int i = 0; i < p->slot_count; i++)
        if (p->slots[i].base == o->base && p->slots[i].disp == o->disp)
            return i;
    return -1;
}

static bool
in_registers(int64_t offset)
{
    return offset >= REGISTERS_START && offset < REGISTERS_END;
}

/* Does the instruction read or write a register in the context, or compute the address of one? */
static bool
touches_registers(const struct path *p, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_MEM && holds(p, o->base) && in_registers(o->disp))
            return true;
    }
    return insn->op == X86_OP_ADD && is_general(&insn->operand[0]) && holds(p, (int8_t)insn->operand[0].reg) &&
           insn->operand[1].kind == X86_OPD_IMM && in_registers(insn->operand[1].imm);
}

static void
set_register(struct path *p, unsigned reg, bool is_holder)
{
    p->registers = (uint16_t)((p->registers & ~(1u << reg)) | (unsigned)is_holder << reg);
}

static void
store(struct path *p, const struct x86_operand *to, bool is_holder)
{
    int i = find_slot(p, to);

    if (i >= 0 && !is_holder)
        p->slots[i] = p->slots[--p->slot_count];
    else if (i < 0 && is_holder && p->slot_count < SLOTS)
        p->slots[p->slot_count++] = (struct slot){to->base, to->disp};
}

static void
move(struct path *p, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->operand[0], *from = &insn->operand[1];

    if (insn->operand_count == 0 || !(to->access & 2))
        return;
    if (insn->op == X86_OP_MOV && is_general(to) && is_general(from))
        set_register(p, to->reg, from->size == 8 && holds(p, (int8_t)from->reg));
    else if (insn->op == X86_OP_MOV && is_general(to) && is_slot(from))
        set_register(p, to->reg, from->size == 8 && find_slot(p, from) >= 0);
    else if (insn->op == X86_OP_MOV && is_slot(to))
        store(p, to, is_general(from) && from->size == 8 && holds(p, (int8_t)from->reg));
    else if (is_general(to))
        set_register(p, to->reg, false);
}

static bool looks_at_registers(const struct elf_image *image, uint64_t function, uint16_t registers, unsigned depth);

/* Walks one path until it ends. True says that it came upon the registers in the context. */
static bool
walk(struct search *s, struct path p, unsigned depth)
{
    const uint16_t arguments = 1 << X86_RDI | 1 << X86_RSI | 1 << X86_RDX | 1 << X86_RCX;
    const uint16_t kept = 1 << X86_RBX | 1 << X86_RBP | 0xf000; /* by calls; the last are r12 to r15 */

    while (s->insns++ < SEARCH_INSNS && (p.registers || p.slot_count)) {
        struct x86_insn insn;
        uint64_t left;
        const uint8_t *bytes = elf_image_at(s->image, p.address, &left);

        if (!bytes || !elf_image_is_exec(s->image, p.address) || x86_decode(bytes, left, p.address, &insn) <= 0)
            return false;
        if (touches_registers(&p, &insn))
            return true;
        p.address += insn.length;
        switch (x86_flow(&insn)) {
        case X86_FLOW_NEXT: move(&p, &insn); break;
        case X86_FLOW_BRANCH: follow(s, (uint64_t)insn.operand[0].imm, &p); break;
        case X86_FLOW_JUMP: follow(s, (uint64_t)insn.operand[0].imm, &p); return false;
        case X86_FLOW_CALL:
            if (depth < SEARCH_DEPTH && (p.registers & arguments) &&
                looks_at_registers(s->image, (uint64_t)insn.operand[0].imm, p.registers & arguments, depth + 1))
                return true;
            /* fall through */
        case X86_FLOW_CALL_INDIRECT:
        case X86_FLOW_SYSCALL: p.registers &= kept; break;
        default: return false;
        }
    }
    return false;
}

static bool
looks_at_registers(const struct elf_image *image, uint64_t function, uint16_t registers, unsigned depth)
{
    struct search s = {.image = image};
    struct path start = {.registers = registers};

    follow(&s, function, &start);
    while (s.next < s.path_count)
        if (walk(&s, s.paths[s.next++], depth))
            return true;
    return false;
}

/* --- who installs handlers --- */

static bool
is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && name; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool
installs(const char *name)
{
    static const char *const names[] = {"sigaction", "__sigaction", "signal", "sigset", "bsd_signal", "__sysv_signal"};

    return is_among(name, names, sizeof names / sizeof *names);
}

enum { EDI_UNKNOWN = -1, SYS_RT_SIGACTION = 13, WRAPPER_INSNS = 200, WRAPPER_DEPTH = 4 };

/* Does the function throw a C++ exception? Out of a handler that unwinds the frame that faulted, and needs its
 * registers. */
static bool
throws(const struct elf_image *image, uint64_t address)
{
    static const char *const names[] = {"__cxa_throw", "_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow"};

    for (unsigned i = 0; i < WRAPPER_INSNS; i++) {
        struct x86_insn insn;
        uint64_t left;
        const uint8_t *p = elf_image_at(image, address, &left);
        enum x86_flow flow;

        if (!p || !elf_image_is_exec(image, address) || x86_decode(p, left, address, &insn) <= 0)
            return false;
        flow = x86_flow(&insn);
        if (flow != X86_FLOW_NEXT && is_among(disc_called_import(image, &insn), names, sizeof names / sizeof *names))
            return true;
        if (flow == X86_FLOW_JUMP || flow == X86_FLOW_JUMP_INDIRECT || flow == X86_FLOW_RETURN)
            return false;
        address += insn.length;
    }
    return false;
}

/* Does the function install a signal handler: does it make the system call rt_sigaction or call an imported function
 * that does? Functions that it calls are looked at, too, WRAPPER_DEPTH deep. */
static bool
makes_the_call(const struct elf_image *image, uint64_t address, unsigned depth)
{
    int64_t eax = -1;

    for (unsigned i = 0; i < WRAPPER_INSNS; i++) {
        struct x86_insn insn;
        uint64_t left;
        const uint8_t *p = elf_image_at(image, address, &left);
        enum x86_flow flow;

        if (!p || !elf_image_is_exec(image, address) || x86_decode(p, left, address, &insn) <= 0)
            return false;
        address += insn.length;
        flow = x86_flow(&insn);
        if (flow != X86_FLOW_NEXT && installs(disc_called_import(image, &insn)))
            return true;
        if (flow == X86_FLOW_SYSCALL && eax == SYS_RT_SIGACTION)
            return true;
        if ((flow == X86_FLOW_CALL || flow == X86_FLOW_JUMP) && depth < WRAPPER_DEPTH &&
            makes_the_call(image, (uint64_t)insn.operand[0].imm, depth + 1))
            return true;
        if (flow == X86_FLOW_JUMP || flow == X86_FLOW_JUMP_INDIRECT || flow == X86_FLOW_RETURN)
            return false;
        if (is_general(&insn.operand[0]) && insn.operand[0].reg == X86_RAX && (insn.operand[0].access & 2))
            eax = insn.op == X86_OP_MOV && insn.operand[1].kind == X86_OPD_IMM ? insn.operand[1].imm : -1;
    }
    return false;
}

static bool
is_fault_signal(int64_t n)
{
    return n == 4 || n == 5 || n == 7 || n == 8 || n == 11; /* SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV */
}

struct installer { /* what is known of a function while it is looked through */
    const struct disc *d;
    const struct elf_image *image;
    bool installs; /* It calls an import like sigaction() for the signal of a fault or for an unknown one; or it calls a
                      function of this file that installs handlers, for the signal of a fault. */
    bool takes;    /* It takes the address of a function that looks at the registers in the context or throws. */
    int64_t edi;   /* the constant in EDI, the first argument, or EDI_UNKNOWN */
};

static void
look_at_call(struct installer *in, const struct x86_insn *insn, enum x86_flow flow)
{
    const struct x86_operand *o = &insn->operand[0];
    const char *name = disc_called_import(in->image, insn);

    if ((flow == X86_FLOW_CALL || flow == X86_FLOW_JUMP) && o->kind == X86_OPD_REL && !name)
        in->installs |= is_fault_signal(in->edi) && makes_the_call(in->image, (uint64_t)o->imm, 0);
    in->installs |= installs(name) && (in->edi == EDI_UNKNOWN || is_fault_signal(in->edi));
}

static void
look_at_insn(struct installer *in, const struct x86_insn *insn)
{
    enum x86_flow flow = x86_flow(insn);
    const struct x86_operand *to = &insn->operand[0], *from = &insn->operand[1];
    uint64_t taken = 0;

    if (flow != X86_FLOW_NEXT) {
        look_at_call(in, insn, flow);
        return;
    }
    if (insn->op == X86_OP_LEA && from->kind == X86_OPD_MEM && from->base == X86_BASE_RIP)
        taken = (uint64_t)from->disp;
    else if (insn->op == X86_OP_MOV && from->kind == X86_OPD_IMM && !in->image->is_pie)
        taken = (uint64_t)from->imm;
    if (taken && !in->takes && elf_image_is_exec(in->image, taken))
        in->takes = looks_at_registers(in->image, taken, 1 << X86_RDX, 0) || throws(in->image, taken);
    if (to->kind == X86_OPD_REG && to->reg_class == X86_RC_GPR && to->reg == X86_RDI && (to->access & 2))
        in->edi = insn->op == X86_OP_MOV && from->kind == X86_OPD_IMM ? from->imm : EDI_UNKNOWN;
}

static bool
looks_like_installer(struct installer *in, const struct disc_func *f)
{
    in->installs = in->takes = false;
    for (uint32_t i = 0; i < f->block_count; i++) {
        const struct disc_block *b = &in->d->blocks.items[f->first_block + i];
        uint64_t left, address = b->start;
        const uint8_t *p = elf_image_at(in->image, address, &left);
        struct x86_insn insn;

        in->edi = EDI_UNKNOWN;
        while (p && address < b->end && x86_decode(p, b->end - address, address, &insn) > 0) {
            look_at_insn(in, &insn);
            p += insn.length;
            address += insn.length;
        }
    }
    return in->installs && in->takes;
}

bool
lift_has_context_handlers(const struct disc *d, const struct elf_image *image)
{
    struct installer in = {.d = d, .image = image};
    bool imports_one = image->imports.count == 0 && !image->interpreter;

    if (image->is_go)
        return true;
    for (size_t i = 0; i < image->imports.count; i++)
        imports_one |= installs(image->imports.items[i].name);
    for (size_t i = 0; i < d->funcs.count && imports_one; i++)
        if (looks_like_installer(&in, &d->funcs.items[i]))
            return true;
    return false;
}
