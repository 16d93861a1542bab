#include "recheck.h"

#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "x86/cpu.h"
#include "x86/x86.h"

enum { ENTRY_SIZE = 5, ENTRIES_SIZE = DIRECT_ENTRY_COUNT * ENTRY_SIZE, UNSEEN = -1 };

struct todo {
    uint32_t at;
    int8_t depth;
};

struct follower {
    const struct verify_unit *u;
    const struct verify_places *places;
    int8_t *depths; /* words on the host's stack in front of the instruction at each offset */
    VEC(struct todo) todo;
    const char *wrong;
    uint32_t wrong_at;
};

static bool
is_place(const struct follower *f, uint64_t at)
{
    return at < f->u->text.size && f->places->bits[at / 64] >> at % 64 & 1;
}

static void
complain(struct follower *f, uint64_t at, const char *wrong)
{
    if (!f->wrong) {
        f->wrong = wrong;
        f->wrong_at = (uint32_t)at;
    }
}

static void
follow(struct follower *f, uint32_t from, int64_t at, int8_t depth)
{
    if (at >= 0 && at < ENTRIES_SIZE) {
        if (at % ENTRY_SIZE || depth)
            complain(f, from, "it does not lead to an entry as it must");
    } else if (at < 0 || at >= (int64_t)f->u->text.size) {
        complain(f, from, "it leads out of the text");
    } else if (f->depths[at] == UNSEEN) {
        f->depths[at] = depth;
        vec_push(&f->todo, ((struct todo){(uint32_t)at, depth}));
    } else if (f->depths[at] != depth) {
        complain(f, at, "it is reached with the stack at different depths");
    }
}

static bool
is_forbidden(const struct x86_insn *insn)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_CPUID: case X86_OP_RDTSC: case X86_OP_RDTSCP: case X86_OP_RDPID: case X86_OP_XGETBV: case X86_OP_RDRAND: case X86_OP_RDSEED:
    case X86_OP_RDFSBASE: case X86_OP_RDGSBASE: case X86_OP_WRFSBASE: case X86_OP_WRGSBASE: case X86_OP_SGDT: case X86_OP_SIDT: case X86_OP_SLDT:
    case X86_OP_STR: case X86_OP_SMSW: case X86_OP_LAR: case X86_OP_LSL: case X86_OP_VERR: case X86_OP_VERW:
    case X86_OP_FNSTENV: case X86_OP_FNSAVE: case X86_OP_FLDENV: case X86_OP_FRSTOR: case X86_OP_FXSAVE: case X86_OP_FXRSTOR:
    case X86_OP_XSAVE: case X86_OP_XSAVEC: case X86_OP_XSAVEOPT: case X86_OP_XRSTOR: case X86_OP_PUSH: case X86_OP_ENTER: case X86_OP_LEAVE:
    /* clang-format on */
    case X86_OP_IRET: return true;
    default: return x86_flow(insn) == X86_FLOW_TRAP || x86_flow(insn) == X86_FLOW_SYSCALL;
    }
}

/* RSI or RDI just became a host address of the memory, and nothing leads here but that. */
static bool
follows_base(const struct follower *f, uint32_t at)
{
    static const uint8_t rsi[] = {0x4a, 0x8d, 0x34, 0x16}, rdi[] = {0x4a, 0x8d, 0x3c, 0x17};
    const uint8_t *before = f->u->text.bytes + at - 4;

    return !is_place(f, at) && !is_place(f, at - 4) && (memcmp(before, rsi, 4) == 0 || memcmp(before, rdi, 4) == 0);
}

static void
check_memory(struct follower *f, uint32_t at, const struct x86_insn *insn, const struct x86_operand *o)
{
    bool string = insn->op == X86_OP_MOVS || insn->op == X86_OP_CMPS || insn->op == X86_OP_STOS ||
                  insn->op == X86_OP_LODS || insn->op == X86_OP_SCAS;
    bool absolute = o->base == X86_BASE_NONE && o->index == X86_BASE_NONE;

    if (o->base == X86_RSP || (o->index == X86_RSP && !o->index_size) || o->base == X86_BASE_RIP)
        complain(f, at, "its address is of the host's");
    if (insn->op == X86_OP_LEA)
        return;
    if (string && o->seg == X86_SEG_DS && insn->address_size == 8 && follows_base(f, at))
        return;
    if (!string && o->seg == X86_SEG_GS && insn->address_size == 4 && o->size <= 32)
        return;
    if (!string && o->seg == X86_SEG_FS && !insn->vector_size && insn->address_size == 8 && absolute && o->size <= 8 &&
        o->disp < 0 && o->disp >= -(int64_t)sizeof(struct x86_cpu))
        return;
    /* of a table of labels */
    if (!string && o->seg == X86_SEG_DS && o->base == X86_BASE_NONE && o->index == X86_R10 && o->scale == 8 &&
        !is_place(f, at) && (uint64_t)o->disp - f->u->tables.address < f->u->tables.size && !(o->access & 2))
        return;
    complain(f, at, "a memory operand is not confined");
}

static void
check_operands(struct follower *f, uint32_t at, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];
        bool memory = o->kind == X86_OPD_MEM;

        if (memory)
            check_memory(f, at, insn, o);
        if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR && o->reg == X86_RSP)
            complain(f, at, "it names the stack pointer");
        if (o->kind == X86_OPD_REG &&
            (o->reg_class == X86_RC_SEG || o->reg_class == X86_RC_CR || o->reg_class == X86_RC_DR))
            complain(f, at, "it names a register of the system");
        if (memory &&
            (insn->op == X86_OP_BT || insn->op == X86_OP_BTS || insn->op == X86_OP_BTR || insn->op == X86_OP_BTC) &&
            insn->operand[1].kind == X86_OPD_REG)
            complain(f, at, "its bit offset may go anywhere");
    }
}

/* PUSHF, POPF and POP. Returns the depth behind it. */
static int8_t
check_stack(struct follower *f, uint32_t at, const struct x86_insn *insn, int8_t depth)
{
    if (insn->op == X86_OP_PUSHF)
        return (int8_t)(depth + 1);
    if (insn->op != X86_OP_POPF && insn->op != X86_OP_POP)
        return depth;
    if (depth != 1 || insn->opsize != 8)
        complain(f, at, "it takes what is not there");
    if (insn->op == X86_OP_POP && (insn->operand[0].kind != X86_OPD_REG || insn->operand[0].reg != X86_R10))
        complain(f, at, "it pops");
    return 0;
}

/* lea rsp, [rsp + 8], which takes back a PUSHF within a lookup */
static bool
forgets_flags(const struct follower *f, struct todo t)
{
    static const uint8_t lea[] = {0x48, 0x8d, 0x64, 0x24, 0x08};

    return t.depth == 1 && !is_place(f, t.at) && f->u->text.size - t.at >= sizeof lea &&
           memcmp(f->u->text.bytes + t.at, lea, sizeof lea) == 0;
}

static void
visit(struct follower *f, struct todo t)
{
    struct x86_insn insn;
    struct x86_parts parts;
    int length = x86_decode_parts(f->u->text.bytes + t.at, f->u->text.size - t.at, 0x10000000 + t.at, &insn, &parts);
    int64_t next = (int64_t)t.at + length;
    int8_t depth;

    if (length <= 0 || (parts.vex && x86_level() < X86_LEVEL_V3) || is_forbidden(&insn)) {
        complain(f, t.at, "it is forbidden");
        return;
    }
    if (is_place(f, t.at) && t.depth)
        complain(f, t.at, "a place is reached with something on the stack");
    if (forgets_flags(f, t)) {
        follow(f, t.at, next, 0);
        return;
    }
    switch (x86_flow(&insn)) {
    case X86_FLOW_JUMP: follow(f, t.at, insn.operand[0].imm - 0x10000000, t.depth); return;
    case X86_FLOW_BRANCH: follow(f, t.at, insn.operand[0].imm - 0x10000000, t.depth); break;
    case X86_FLOW_CALL:
        if (t.depth)
            complain(f, t.at, "a call with something on the stack");
        follow(f, t.at, insn.operand[0].imm - 0x10000000, 0);
        break;
    case X86_FLOW_RETURN:
        if (t.depth || insn.operand_count || length > 2) /* nothing but REX before it */
            complain(f, t.at, "a return with something on the stack");
        return;
    case X86_FLOW_JUMP_INDIRECT:
    case X86_FLOW_CALL_INDIRECT:
        if (t.depth || is_place(f, t.at) || insn.operand[0].kind != X86_OPD_REG || insn.operand[0].reg != X86_R10 ||
            length != 3)
            complain(f, t.at, "an indirect jump");
        if (x86_flow(&insn) == X86_FLOW_JUMP_INDIRECT)
            return;
        break;
    default: break;
    }
    depth = check_stack(f, t.at, &insn, t.depth);
    if (insn.op != X86_OP_POP)
        check_operands(f, t.at, &insn);
    follow(f, t.at, next, depth);
}

const char *
recheck(const struct verify_unit *u, const struct verify_places *places)
{
    struct follower f = {.u = u, .places = places, .depths = mem_alloc(u->text.size + 1)};
    static char text[200];

    memset(f.depths, UNSEEN, u->text.size + 1);
    for (uint32_t at = 0; at < places->size; at++)
        if (is_place(&f, at))
            follow(&f, at, at, 0);
    while (f.todo.count && !f.wrong)
        visit(&f, f.todo.items[--f.todo.count]);
    mem_free(f.depths);
    vec_fini(&f.todo);
    if (!f.wrong)
        return NULL;
    snprintf(text, sizeof text, "accepted, but at offset %u of the text: %s", f.wrong_at, f.wrong);
    return text;
}
