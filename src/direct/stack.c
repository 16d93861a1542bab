/* Rewriting PUSH, POP and the other instructions that move the guest's stack pointer by themselves. The guest's stack
 * pointer is the host's r11, so that each becomes an access to memory and an LEA, which changes no flags. Several in a
 * row need one LEA. */
#include "direct/rewrite.h"

#include <stddef.h>

enum { SLOT = 8, MAX_RUN = 16 };

bool
is_stack_insn(const struct x86_insn *insn)
{
    return insn->op == X86_OP_PUSH || insn->op == X86_OP_POP || insn->op == X86_OP_PUSHF || insn->op == X86_OP_LEAVE;
}

/* May this instruction be in a run with others of its kind? */
static bool
is_simple(const struct x86_insn *insn)
{
    const struct x86_operand *o = &insn->operand[0];

    if (insn->opsize != SLOT || (insn->op != X86_OP_PUSH && insn->op != X86_OP_POP))
        return false;
    return (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR && o->reg != X86_RSP) ||
           (o->kind == X86_OPD_IMM && insn->op == X86_OP_PUSH);
}

static void
put_push(struct rewriter *w, const struct x86_operand *o, int32_t disp)
{
    if (o->kind == X86_OPD_IMM) {
        struct encoding e = encode_store(0, SEGMENT_GS, HOST_GUEST_RSP, disp);

        e.opcode[0] = 0xc7;
        e.immediate_size = 4;
        for (unsigned i = 0; i < 4; i++)
            e.immediate[i] = (uint8_t)((uint64_t)o->imm >> 8 * i);
        emit(w, &e);
        return;
    }
    if (host_register(o->reg) == HOST_SCRATCH)
        emit_load(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_GPR_SLOT(o->reg));
    emit_store(w, host_register(o->reg), SEGMENT_GS, HOST_GUEST_RSP, disp);
}

static void
put_pop(struct rewriter *w, const struct x86_operand *o, int32_t disp)
{
    emit_load(w, host_register(o->reg), SEGMENT_GS, HOST_GUEST_RSP, disp);
    if (host_register(o->reg) == HOST_SCRATCH)
        emit_store(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_GPR_SLOT(o->reg));
}

static bool
decode_at(const struct rewriter *w, size_t index, const uint8_t **bytes, struct x86_insn *insn, struct x86_parts *at)
{
    uint64_t left;

    *bytes = rewriter_bytes(w, w->insns.items[index].address, &left);
    return *bytes && x86_decode_parts(*bytes, left, w->insns.items[index].address, insn, at) > 0;
}

static size_t
put_run(struct rewriter *w, size_t first, enum x86_op op)
{
    int32_t sign = op == X86_OP_PUSH ? -1 : 1;
    size_t count = 0;

    while (first + count < w->insns.count && count < MAX_RUN) {
        struct insn_place *p = &w->insns.items[first + count];
        struct x86_parts at;
        struct x86_insn insn;
        const uint8_t *bytes;

        if (count > 0 && (p->leader || p->address != p[-1].address + p[-1].length))
            break;
        if (!decode_at(w, first + count, &bytes, &insn, &at) || insn.op != op || !is_simple(&insn))
            break;
        layout_place(&w->layout, position_begin(first + count));
        if (op == X86_OP_PUSH)
            put_push(w, &insn.operand[0], -SLOT * (int32_t)(count + 1));
        else
            put_pop(w, &insn.operand[0], SLOT * (int32_t)count);
        layout_place(&w->layout, position_end(first + count));
        p->run = count > 0;
        count++;
    }
    emit_lea(w, HOST_GUEST_RSP, HOST_GUEST_RSP, X86_BASE_NONE, sign * SLOT * (int32_t)count);
    layout_place(&w->layout, position_end(first + count - 1));
    return count;
}

static bool
pop_memory(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at)
{
    const struct x86_operand *o = &insn->operand[0];
    struct encoding e;

    if (!encoding_of(bytes, insn, at, &e) || o->seg != X86_SEG_DS || e.disp > INT32_MAX - SLOT ||
        (e.base >= 0 && host_register((unsigned)e.base) == HOST_SCRATCH) ||
        (e.index >= 0 && host_register((unsigned)e.index) == HOST_SCRATCH))
        return false;
    if (e.base == X86_RSP)
        e.disp += SLOT; /* the address counts from where the stack pointer is after the POP */
    if (e.base >= 0)
        e.base = (int8_t)host_register((unsigned)e.base);
    e.opcode[0] = 0x89;
    e.reg = HOST_SCRATCH;
    e.wide = true;
    e.segment = SEGMENT_GS;
    e.address32 = true;
    emit_load(w, HOST_SCRATCH, SEGMENT_GS, HOST_GUEST_RSP, 0);
    emit(w, &e);
    emit_lea(w, HOST_GUEST_RSP, HOST_GUEST_RSP, X86_BASE_NONE, SLOT);
    return true;
}

static bool
push_scratch(struct rewriter *w)
{
    emit_store(w, HOST_SCRATCH, SEGMENT_GS, HOST_GUEST_RSP, -SLOT);
    emit_lea(w, HOST_GUEST_RSP, HOST_GUEST_RSP, X86_BASE_NONE, -SLOT);
    return true;
}

/* Loads the guest's flags into r10 without changing any: those of the host, and x86_cpu.id_flag, which POPF may have
 * set and the host's RFLAGS never have. */
static void
load_flags(struct rewriter *w)
{
    static const uint8_t flags_to_scratch[] = {0x9c, 0x41, 0x5a}; /* pushfq; pop r10 */
    struct encoding carried = encode_load(X86_RAX, SEGMENT_FS, X86_BASE_NONE, CPU_SLOT(id_flag));

    carried.wide = false;
    emit_bytes(w, flags_to_scratch, sizeof flags_to_scratch);
    emit_store(w, X86_RAX, SEGMENT_FS, X86_BASE_NONE, CPU_BORROWED_SLOT(0));
    emit(w, &carried);
    emit_lea(w, HOST_SCRATCH, HOST_SCRATCH, X86_RAX, 0);
    emit_load(w, X86_RAX, SEGMENT_FS, X86_BASE_NONE, CPU_BORROWED_SLOT(0));
}

static bool
put_other(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at)
{
    const struct x86_operand *o = &insn->operand[0];

    if (insn->opsize != SLOT || (insn->operand_count && o->kind == X86_OPD_REG && o->reg_class != X86_RC_GPR))
        return false;
    switch (insn->op) {
    case X86_OP_PUSH: return rewrite_load_operand(w, bytes, insn, at) && push_scratch(w);
    case X86_OP_PUSHF: load_flags(w); return push_scratch(w);
    case X86_OP_POP:
        if (o->kind == X86_OPD_MEM)
            return pop_memory(w, bytes, insn, at);
        emit_load(w, HOST_GUEST_RSP, SEGMENT_GS, HOST_GUEST_RSP, 0); /* pop rsp */
        return true;
    case X86_OP_LEAVE:
        emit_lea(w, HOST_SCRATCH, X86_RBP, X86_BASE_NONE, SLOT);
        emit_load(w, X86_RBP, SEGMENT_GS, X86_RBP, 0);
        emit_move(w, HOST_GUEST_RSP, HOST_SCRATCH);
        return true;
    default: return false;
    }
}

size_t
rewrite_stack(struct rewriter *w, size_t first)
{
    struct x86_parts at;
    struct x86_insn insn;
    const uint8_t *bytes;

    if (!decode_at(w, first, &bytes, &insn, &at))
        return 0;
    if (is_simple(&insn))
        return put_run(w, first, insn.op);
    layout_place(&w->layout, position_begin(first));
    if (!put_other(w, bytes, &insn, &at))
        return 0;
    layout_place(&w->layout, position_end(first));
    return 1;
}
