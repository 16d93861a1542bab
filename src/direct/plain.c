/* Rewriting instructions that stay what they are: their registers get the host's names, and their memory operands are
 * confined to the guest's memory. */
#include "direct/rewrite.h"

#include <stddef.h>
#include <string.h>

/* --- pieces --- */

void
emit(struct rewriter *w, const struct encoding *e)
{
    size_t before = w->layout.code.size, relative = encoding_put(&w->layout.code, e);

    w->too_long |= w->layout.code.size - before > X86_MAX_LENGTH;
    if (relative)
        layout_fix(&w->layout, relative, FIX_IMAGE32S, e->disp);
}

void
emit_load(struct rewriter *w, unsigned reg, unsigned segment, int base, int32_t disp)
{
    struct encoding e = encode_load(reg, segment, base, disp);

    emit(w, &e);
}

void
emit_store(struct rewriter *w, unsigned reg, unsigned segment, int base, int32_t disp)
{
    struct encoding e = encode_store(reg, segment, base, disp);

    emit(w, &e);
}

void
emit_lea(struct rewriter *w, unsigned reg, int base, int index, int32_t disp)
{
    struct encoding e = encode_lea(reg, base, index, disp);

    emit(w, &e);
}

void
emit_move(struct rewriter *w, unsigned to, unsigned from)
{
    struct encoding e = encode_move(to, from);

    emit(w, &e);
}

void
emit_bytes(struct rewriter *w, const void *bytes, size_t size)
{
    buf_put(&w->layout.code, bytes, size);
}

void
emit_address(struct rewriter *w, unsigned reg, uint64_t address)
{
    struct encoding e = {.opcode = {0xb8},
                         .opcode_size = 1,
                         .register_in_opcode = true,
                         .reg = (uint8_t)reg,
                         .immediate_size = 4};

    emit(w, &e);
    layout_fix(&w->layout, w->layout.code.size - 4, FIX_IMAGE32, (int64_t)address);
}

unsigned
host_register(unsigned guest)
{
    return guest == X86_RSP ? HOST_GUEST_RSP : guest == X86_R10 || guest == X86_R11 ? HOST_SCRATCH : guest;
}

/* --- scratch registers --- */

/* What one instruction needs besides the guest registers that are in the host's. */
struct needs {
    uint32_t busy;       /* host registers that the instruction names, or uses without a name */
    unsigned taken;      /* how many registers were borrowed */
    uint8_t borrowed[2]; /* these registers, whose values are in x86_cpu_tls.borrowed meanwhile */
    int8_t displaced[2]; /* the host registers for the guest's r10 and r11; -1: not needed */
    bool load[2], store[2];
    int8_t segment; /* the host register for the base of FS or GS; -1: not needed */
    int32_t segment_slot;
    int8_t legacy; /* a host register that needs no REX prefix, for the address; -1: not needed */
};

enum { UNNAMED = 1 << X86_RAX | 1 << X86_RCX | 1 << X86_RDX | 1 << X86_RBX | 1 << X86_RSI | 1 << X86_RDI };

/* Returns the next scratch register: r10, and then registers that are borrowed. -1: there are no more. */
static int
take_scratch(struct needs *n, bool legacy)
{
    static const uint8_t candidates[] = {X86_R8, X86_R9, X86_R15, X86_R14, X86_R13, X86_R12};
    static const uint8_t legacy_candidates[] = {X86_RBP, X86_RSI, X86_RDI, X86_RBX};
    const uint8_t *list = legacy ? legacy_candidates : candidates;
    unsigned count = legacy ? sizeof legacy_candidates : sizeof candidates;

    if (!legacy && !(n->busy >> HOST_SCRATCH & 1)) {
        n->busy |= 1u << HOST_SCRATCH;
        return HOST_SCRATCH;
    }
    for (unsigned i = 0; i < count && n->taken < 2; i++) {
        if (n->busy >> list[i] & 1)
            continue;
        n->busy |= 1u << list[i];
        n->borrowed[n->taken++] = list[i];
        return list[i];
    }
    return -1;
}

static bool
need_displaced(struct needs *n, int reg, bool load, bool store)
{
    unsigned i = reg == X86_R11;

    if (n->displaced[i] < 0)
        n->displaced[i] = (int8_t)take_scratch(n, false);
    n->load[i] |= load;
    n->store[i] |= store;
    return n->displaced[i] >= 0;
}

static unsigned
name_of(const struct needs *n, unsigned guest)
{
    return is_displaced((int)guest) ? (unsigned)n->displaced[guest == X86_R11] : host_register(guest);
}

static void
note_busy(struct needs *n, const struct x86_insn *insn, const struct encoding *e)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_REG && (o->reg_class == X86_RC_GPR || o->reg_class == X86_RC_GPR_HIGH) &&
            !is_displaced(o->reg))
            n->busy |= 1u << host_register(o->reg);
    }
    if (e->memory && e->base >= 0 && !is_displaced(e->base))
        n->busy |= 1u << host_register((unsigned)e->base);
    if (e->memory && e->index >= 0 && !e->vector_index && !is_displaced(e->index))
        n->busy |= 1u << host_register((unsigned)e->index);
    n->busy |= 1u << HOST_GUEST_RSP | 1u << X86_RSP | 1u << X86_RAX | 1u << X86_RCX | 1u << X86_RDX;
}

/* Are rbx, rsi or rdi among the registers that the instruction uses without naming them? */
static bool
uses_unnamed(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_OP_CMPXCHG8B:
    case X86_OP_CMPXCHG16B:
    case X86_OP_XLAT:
    case X86_OP_MASKMOVQ:
    case X86_OP_MASKMOVDQU: return true;
    default: return false;
    }
}

/* Does the destination get a value that does not depend on what it was? */
static bool
writes_always(const struct x86_insn *insn)
{
    return insn->op == X86_OP_MOV || insn->op == X86_OP_MOVZX || insn->op == X86_OP_MOVSX ||
           insn->op == X86_OP_MOVSXD || insn->op == X86_OP_LEA;
}

static bool
find_needs(struct needs *n, const struct x86_insn *insn, const struct encoding *e)
{
    *n = (struct needs){.displaced = {-1, -1}, .segment = -1, .legacy = -1};
    note_busy(n, insn, e);
    if (uses_unnamed(insn))
        n->busy |= UNNAMED;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_MEM && (o->seg == X86_SEG_FS || o->seg == X86_SEG_GS)) {
            n->segment_slot = o->seg == X86_SEG_FS ? CPU_SLOT(fs_base) : CPU_SLOT(gs_base);
            n->segment = (int8_t)take_scratch(n, false);
            if (n->segment < 0 || x86_operand_field(insn, i) == X86_FIELD_NONE)
                return false;
        }
    }
    if (e->memory && is_displaced(e->base) && !need_displaced(n, e->base, true, false))
        return false;
    if (e->memory && !e->vector_index && is_displaced(e->index) && !need_displaced(n, e->index, true, false))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];
        bool partial = o->size < 4;

        if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR && is_displaced(o->reg) &&
            !need_displaced(n, o->reg, (o->access & 1) || partial || !writes_always(insn), o->access & 2))
            return false;
    }
    return true;
}

static void
begin_needs(struct rewriter *w, const struct needs *n)
{
    int kept = w->kept;

    for (unsigned i = 0; i < n->taken; i++)
        emit_store(w, n->borrowed[i], SEGMENT_FS, X86_BASE_NONE, CPU_BORROWED_SLOT(i));
    if (n->segment >= 0)
        emit_load(w, (unsigned)n->segment, SEGMENT_FS, X86_BASE_NONE, n->segment_slot);
    if (n->busy >> HOST_SCRATCH & 1)
        w->kept = -1;
    for (unsigned i = 0; i < 2; i++) {
        if (n->displaced[i] < 0)
            continue;
        if (n->displaced[i] == HOST_SCRATCH) {
            w->kept = (int8_t)(X86_R10 + i);
            w->used_kept = n->load[i] && kept == w->kept;
            w->loaded_kept = !w->used_kept;
        }
        if (n->load[i] && (n->displaced[i] != HOST_SCRATCH || w->loaded_kept))
            emit_load(w, (unsigned)n->displaced[i], SEGMENT_FS, X86_BASE_NONE, CPU_GPR_SLOT(X86_R10 + i));
    }
}

static void
end_needs(struct rewriter *w, const struct needs *n)
{
    for (unsigned i = 0; i < 2; i++)
        if (n->displaced[i] >= 0 && n->store[i])
            emit_store(w, (unsigned)n->displaced[i], SEGMENT_FS, X86_BASE_NONE, CPU_GPR_SLOT(X86_R10 + i));
    for (unsigned i = 0; i < n->taken; i++)
        emit_load(w, n->borrowed[i], SEGMENT_FS, X86_BASE_NONE, CPU_BORROWED_SLOT(i));
}

/* --- operands --- */

/* Puts the host's registers into the address, and adds the base of FS or GS to it. It may emit instructions for
 * that. */
static void
name_address(struct rewriter *w, const struct needs *n, struct encoding *e)
{
    if (e->base >= 0)
        e->base = (int8_t)name_of(n, (unsigned)e->base);
    if (e->index >= 0 && !e->vector_index)
        e->index = (int8_t)name_of(n, (unsigned)e->index);
    if (n->segment < 0)
        return;
    if (e->base < 0 && e->disp_relative == DIRECT_ABSOLUTE) {
        e->base = n->segment;
    } else if (e->index < 0 && e->disp_relative == DIRECT_ABSOLUTE) {
        e->index = n->segment;
        e->scale = 1;
    } else if (e->disp_relative == DIRECT_IMAGE) {
        struct encoding lea = encode_lea((unsigned)n->segment, n->segment, X86_BASE_NONE, e->disp);

        /* This LEA has 4 bytes of displacement, which the linker fills in. */
        lea.disp = INT32_MAX;
        encoding_put(&w->layout.code, &lea);
        layout_fix(&w->layout, w->layout.code.size - 4, FIX_IMAGE32S, e->disp);
        e->disp_relative = DIRECT_ABSOLUTE;
        e->disp = 0;
        e->base = n->segment;
    } else {
        emit_lea(w, (unsigned)n->segment, n->segment, e->base, 0);
        e->base = n->segment;
    }
}

static void
name_registers(const struct needs *n, const struct x86_insn *insn, struct encoding *e)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];
        enum x86_field field = x86_operand_field(insn, i);

        if (o->kind != X86_OPD_REG || o->reg_class != X86_RC_GPR)
            continue;
        if (field == X86_FIELD_RM)
            e->rm = (uint8_t)name_of(n, o->reg);
        else if (field == X86_FIELD_REG || field == X86_FIELD_OPCODE)
            e->reg = (uint8_t)name_of(n, o->reg);
        else if (field == X86_FIELD_VVVV)
            e->vvvv = (uint8_t)name_of(n, o->reg);
    }
}

/* AH, CH, DH and BH cannot be named in an instruction with a REX prefix, which r8 to r15 need. The address goes through
 * a register that needs none. */
static bool
avoid_rex(struct rewriter *w, struct needs *n, struct encoding *e)
{
    int reg;

    if (!e->high_byte || !encoding_needs_rex(e))
        return true;
    if (!e->memory)
        return false;
    reg = n->legacy;
    if (reg < 0)
        return false;
    {
        struct encoding lea = *e;

        lea.opcode[0] = 0x8d;
        lea.opcode_size = 1;
        lea.lock = lea.operand_size = lea.high_byte = false;
        lea.repeat = lea.immediate_size = 0;
        lea.wide = true;
        lea.reg = (uint8_t)reg;
        emit(w, &lea);
    }
    e->base = (int8_t)reg;
    e->index = X86_BASE_NONE;
    e->disp = 0;
    e->disp_relative = DIRECT_ABSOLUTE;
    return true;
}

/* Would the address need a REX prefix, while an operand forbids one? */
static bool
needs_legacy(const struct needs *n, const struct encoding *e)
{
    return e->high_byte && e->memory && (e->base >= 8 || e->index >= 8 || e->base == X86_RSP || n->segment >= 0);
}

static bool
unnamed_memory(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == X86_OPD_MEM && x86_operand_field(insn, i) == X86_FIELD_NONE)
            return true;
    return false;
}

/* --- instructions --- */

static bool
rewrite_lea(struct rewriter *w, const struct x86_insn *insn, struct encoding *e, struct needs *n)
{
    const struct x86_operand *to = &insn->operand[0];

    if (e->disp_relative == DIRECT_IMAGE && e->disp >= 0 && to->size >= 4 && !is_displaced(to->reg)) {
        emit_address(w, host_register(to->reg), (uint64_t)e->disp);
        return true;
    }
    begin_needs(w, n);
    name_address(w, n, e);
    name_registers(n, insn, e);
    emit(w, e);
    end_needs(w, n);
    return true;
}

/* --- r10 or r11 of the guest as a memory operand --- */

/* Makes the same operation with the operands named the other way round, for ALU operations and MOV, which have both
 * register forms. */
static bool
reverse(struct encoding *e)
{
    uint8_t reg = e->reg, opcode = e->opcode[0];
    bool alu = opcode < 0x40 && (opcode & 7) < 4, move = opcode >= 0x88 && opcode <= 0x8b;

    if (e->opcode_size != 1 || (!alu && !move))
        return false;
    e->opcode[0] ^= 2;
    e->reg = e->rm;
    e->rm = reg;
    return true;
}

/* Does e mean what insn means, with the displaced register's operand in memory? What is written there must be all that
 * the register gets: the 4 bytes of a 32-bit result would leave the upper half as it was. */
static bool
means_the_same(const struct encoding *e, const struct x86_insn *insn)
{
    struct buf bytes = {0};
    struct x86_insn other;
    bool same;

    encoding_put(&bytes, e);
    same = x86_decode(bytes.data, bytes.size, 0, &other) > 0 && other.op == insn->op &&
           other.operand_count == insn->operand_count;
    buf_fini(&bytes);
    for (unsigned i = 0; same && i < insn->operand_count; i++) {
        const struct x86_operand *a = &insn->operand[i], *b = &other.operand[i];

        if (b->kind == X86_OPD_MEM)
            same = a->kind == X86_OPD_REG && a->reg_class == X86_RC_GPR && is_displaced(a->reg) && a->size == b->size &&
                   !((a->access & 2) && a->size == 4);
        else
            same = a->kind == b->kind &&
                   (a->kind != X86_OPD_REG || (a->reg == b->reg && a->reg_class == b->reg_class)) &&
                   (a->kind != X86_OPD_IMM || a->imm == b->imm);
    }
    return same;
}

/* Has this operation no form with memory, or one that does something else? BT and its kin go beyond the operand; XCHG
 * and its kin lock it, or give up what they loaded; and for rotations Intel's processors leave another undefined OF for
 * memory than for a register. */
static bool
differs_in_memory(enum x86_op op)
{
    switch (op) {
        /* clang-format off */
    case X86_OP_XCHG: case X86_OP_XADD: case X86_OP_CMPXCHG: case X86_OP_BT: case X86_OP_BTS: case X86_OP_BTR: case X86_OP_BTC:
    case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR:
        /* clang-format on */
        return true;
    default: return false;
    }
}

/* Makes one access to the displaced register's slot in place of a load, the instruction and a store. That is not done
 * where the host's r10 has the register's value, or should have it for the next instruction. */
static bool
rewrite_in_slot(struct rewriter *w, const struct x86_insn *insn, const struct encoding *from)
{
    struct encoding e = *from;
    unsigned displaced = 0, reg = 0;

    if (e.memory || !e.modrm || e.vex || differs_in_memory((enum x86_op)insn->op))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operand[i].kind == X86_OPD_REG && insn->operand[i].reg_class == X86_RC_GPR &&
            is_displaced(insn->operand[i].reg)) {
            displaced++;
            reg = insn->operand[i].reg;
        }
    }
    if (displaced != 1 || w->kept == (int)reg || (w->wanted >> (reg - X86_R10) & 1) ||
        ((!is_displaced(e.rm) || e.rm != reg) && !reverse(&e)) || e.rm != reg)
        return false;
    e.memory = true;
    e.base = e.index = X86_BASE_NONE;
    e.disp = CPU_GPR_SLOT(reg);
    e.segment = SEGMENT_FS;
    if (!means_the_same(&e, insn))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == X86_OPD_REG && insn->operand[i].reg_class == X86_RC_GPR &&
            insn->operand[i].reg == X86_RSP && e.reg == X86_RSP)
            e.reg = HOST_GUEST_RSP;
    emit(w, &e);
    return true;
}

bool
rewrite_plain(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at)
{
    struct encoding e;
    struct needs n;

    if (!encoding_of(bytes, insn, at, &e) || !find_needs(&n, insn, &e))
        return false;
    if (rewrite_in_slot(w, insn, &e))
        return true;
    if (insn->op == X86_OP_LEA)
        return rewrite_lea(w, insn, &e, &n);
    if (e.high_byte && !e.memory) {
        /* Beside a register that is r10 or r11 of the host the instruction has no form. */
        struct encoding named = e;

        name_registers(&n, insn, &named);
        if (encoding_needs_rex(&named))
            return false;
    }
    if (needs_legacy(&n, &e)) {
        n.legacy = (int8_t)take_scratch(&n, true);
        if (n.legacy < 0)
            return false;
        for (unsigned i = 0; i < insn->operand_count; i++)
            if (insn->operand[i].kind == X86_OPD_REG && insn->operand[i].reg_class == X86_RC_GPR &&
                insn->operand[i].reg >= 8)
                return false;
    }
    begin_needs(w, &n);
    if (e.memory)
        name_address(w, &n, &e);
    name_registers(&n, insn, &e);
    if (e.memory || unnamed_memory(insn)) {
        if (!avoid_rex(w, &n, &e))
            return false;
        e.segment = SEGMENT_GS;
        e.address32 = true;
    }
    emit(w, &e);
    end_needs(w, &n);
    return true;
}

bool
rewrite_load_operand(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at)
{
    const struct x86_operand *o = &insn->operand[0];
    struct encoding e;
    struct needs n;

    if (o->kind == X86_OPD_REG) {
        if (is_displaced(o->reg))
            emit_load(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_GPR_SLOT(o->reg));
        else
            emit_move(w, HOST_SCRATCH, host_register(o->reg));
        return true;
    }
    if (!encoding_of(bytes, insn, at, &e) || !find_needs(&n, insn, &e) || n.taken)
        return false;
    begin_needs(w, &n);
    name_address(w, &n, &e);
    e.opcode[0] = 0x8b;
    e.opcode_size = 1;
    e.reg = HOST_SCRATCH;
    e.wide = true;
    e.operand_size = e.lock = false;
    e.repeat = 0;
    e.segment = SEGMENT_GS;
    e.address32 = true;
    emit(w, &e);
    return true;
}
