/* Vector instructions that are encoded with VEX (AVX, AVX2). One lifter says what such an instruction means for both of
 * its lengths and for the SSE instruction that it is (DESIGN D7).
 *
 * lift_lanes() runs the lifter of the SSE instruction for each 128 bits of the operands, a lane. Such a lifter sees an
 * instruction of two operands, the first of which is also the first source, as in SSE. What it writes there is caught.
 * When there are two lanes, both are read and computed before either is written, so that a fault in the second leaves
 * everything as it was. Bits 128 to 255 of a destination are always written, by the second lane or with 0. SSE
 * instructions without VEX leave them as they are. */
#include "lift/simd.h"

#include "ir/ir.h"

#define B      (l->b)
#define OPD(n) (&l->insn->operand[n])

static bool
is_vector(const struct x86_operand *o)
{
    return o->kind == X86_OPD_REG && (o->reg_class == X86_RC_XMM || o->reg_class == X86_RC_YMM);
}

ir_value
vex_register(struct lift *l, unsigned reg, unsigned half)
{
    return ir_get(B, (half ? X86_S_YMMH0 : X86_S_XMM0) + (reg & 15));
}

void
vex_set(struct lift *l, ir_value low, ir_value high)
{
    unsigned reg = OPD(0)->reg & 15;

    ir_set(B, X86_S_XMM0 + reg, low);
    ir_set(B, X86_S_YMMH0 + reg, high == IR_NO_VALUE ? simd_zero(l) : high);
}

/* The part of a memory operand that begins at its byte `at` and has `size` bytes. */
static struct x86_operand
memory_part(const struct x86_operand *o, unsigned at, unsigned size)
{
    struct x86_operand part = *o;

    part.disp = (int64_t)((uint64_t)o->disp + at);
    part.size = (uint16_t)size;
    return part;
}

ir_value
vex_read(struct lift *l, unsigned operand, unsigned half)
{
    const struct x86_operand *o = OPD(operand);
    struct x86_operand part;

    if (o->kind == X86_OPD_REG)
        return vex_register(l, o->reg, half);
    part = memory_part(o, 16 * half, 16);
    return simd_read(l, &part);
}

/* Does what must come before 32 bytes of memory are accessed by halves. An operand that must be aligned to 32 bytes
 * raises #GP here, because the loads and stores of halves look at 16 at most. A store that need not be aligned begins
 * with its second half, so its first byte is read before: when one of the two pages is not there, nothing is
 * written. */
static void
check_memory(struct lift *l)
{
    const struct x86_operand *o = OPD(0);

    for (unsigned i = 0; i < l->insn->operand_count; i++)
        if (OPD(i)->kind == X86_OPD_MEM && x86_alignment(l->insn) == 32)
            ir_helper(B, IR_HELPER_raise_if, ir_op2(B, IR_AND32, simd_address(l, OPD(i)), ir_const32(B, 31)),
                      simd_pc(l), ir_const32(B, IR_TRAP_GP));
    if (o->kind == X86_OPD_MEM && (o->access & 2) && o->size == 32 && x86_alignment(l->insn) < 32)
        lift_load(l, o, 1);
}

/* Reads the part of a source operand that belongs to a lane. */
static ir_value
lane_source(struct lift *l, unsigned operand, unsigned lane)
{
    const struct x86_operand *o = OPD(operand);
    unsigned size = x86_lane_size(l->insn, operand);
    struct x86_operand part = *o;
    ir_value v;

    if (size && o->kind == X86_OPD_MEM)
        part = memory_part(o, size * lane, size);
    if (size == 0 || o->kind == X86_OPD_MEM)
        return simd_read(l, &part);
    if (o->reg_class == X86_RC_YMM)
        return vex_register(l, o->reg, lane);
    v = lift_xmm(l, o->reg);
    return lane ? simd_window(l, v, simd_zero(l), size * lane) : v;
}

/* The index of the operand that is first in the SSE form: 1 when VEX.vvvv names a source, which stands there in place
 * of the destination, else 0. */
static unsigned
first_operand(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < 2 && i < insn->operand_count; i++)
        if (is_vector(&insn->operand[i]) && x86_operand_field(insn, i) == X86_FIELD_VVVV)
            return 1;
    return 0;
}

static ir_value
run_lane(struct lift *l, lift_fn *core, const struct x86_insn *insn)
{
    const struct x86_insn *whole = l->insn;
    struct lift_lane lane = {.result = IR_NO_VALUE};

    l->insn = insn;
    l->lane = &lane;
    core(l);
    l->lane = NULL;
    l->insn = whole;
    return lane.result;
}

static void
one_lane(struct lift *l, lift_fn *core)
{
    unsigned first = first_operand(l->insn);
    struct x86_insn insn = *l->insn;
    ir_value v;

    insn.operand_count = (uint8_t)(insn.operand_count - first);
    for (unsigned i = 0; i < insn.operand_count; i++)
        insn.operand[i] = *OPD(i + first);
    v = run_lane(l, core, &insn);
    if (v != IR_NO_VALUE)
        vex_set(l, v, IR_NO_VALUE);
}

/* The instruction that the lifter sees for a lane. */
static struct x86_insn
lane_insn(struct lift *l, unsigned lane, unsigned immediate_shift)
{
    unsigned first = first_operand(l->insn);
    struct x86_insn insn = *l->insn;

    insn.operand_count = (uint8_t)(insn.operand_count - first);
    for (unsigned i = 0; i < insn.operand_count; i++) {
        const struct x86_operand *o = OPD(i + first);
        struct x86_operand *to = &insn.operand[i];

        *to = *o;
        if (o->kind == X86_OPD_IMM)
            to->imm = (int64_t)((uint8_t)o->imm >> immediate_shift * lane);
        else if (o->kind == X86_OPD_MEM && i + first == 0)
            *to = memory_part(o, 16 * lane, 16);
        else if (i + first == 0) /* This is the destination and no source: what is read of it does not matter. */
            *to = (struct x86_operand){.kind = LIFT_OPD_VALUE, .imm = vex_register(l, o->reg, lane)};
        else
            *to = (struct x86_operand){.kind = LIFT_OPD_VALUE, .imm = lane_source(l, i + first, lane)};
    }
    return insn;
}

static void
two_lanes(struct lift *l, lift_fn *core, unsigned immediate_shift)
{
    struct x86_insn insn[2];
    ir_value v[2];

    for (unsigned i = 0; i < 2; i++)
        insn[i] = lane_insn(l, i, immediate_shift);
    for (unsigned i = 2; i-- > 0;)
        v[i] = run_lane(l, core, &insn[i]);
    if (v[0] == IR_NO_VALUE)
        return;
    if (OPD(0)->reg_class == X86_RC_YMM)
        vex_set(l, v[0], v[1]);
    else /* The result is narrower than the source: each lane made 64 bits of it. */
        vex_set(l, simd_combine_low(l, v[0], v[1]), IR_NO_VALUE);
}

void
lift_lanes(struct lift *l, lift_fn *core, unsigned immediate_shift)
{
    bool wide = false;

    for (unsigned i = 0; i < l->insn->operand_count; i++)
        wide |= OPD(i)->size == 32;
    check_memory(l);
    if (wide)
        two_lanes(l, core, immediate_shift);
    else
        one_lane(l, core);
}
