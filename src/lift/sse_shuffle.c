/* The lifters of SSE and MMX instructions that move data between lanes: shuffles, unpack, pack, blends, inserts and
 * extracts, extensions. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)

/* --- unpack --- */
/* Interleaves lanes of `size` bytes of the low halves of the operands, or with `high` of their high halves. The
 * operands of the MMX forms are low halves themselves: when these are interleaved, the low half of that is the result
 * of the low form, and the high half that of the high one. */
static void
unpack(struct lift *l, unsigned size, bool high)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    bool mmx = simd_is_mmx(l);
    uint8_t lanes[16];
    for (unsigned i = 0; i < 16; i++) {
        unsigned lane = i / size, from = (lane / 2) * size + i % size;
        lanes[i] = (uint8_t)(from + (lane % 2 ? 16 : 0) + (high && !mmx ? 8 : 0));
    }
    ir_value v = ir_shuffle(l->b, d, s, lanes);
    if (mmx && high)
        v = simd_shuffle64(l, v, v, 1, 1);
    simd_set(l, v);
}

#define UNPACK(name, size, high) \
    LIFTER(name)                 \
    {                            \
        unpack(l, size, high);   \
    }
UNPACK(punpcklbw, 1, false)
UNPACK(punpcklwd, 2, false)
UNPACK(punpckldq, 4, false)
UNPACK(punpcklqdq, 8, false)
UNPACK(punpckhbw, 1, true)
UNPACK(punpckhwd, 2, true)
UNPACK(punpckhdq, 4, true)
UNPACK(punpckhqdq, 8, true)
UNPACK(unpcklps, 4, false)
UNPACK(unpcklpd, 8, false)
UNPACK(unpckhps, 4, true)
UNPACK(unpckhpd, 8, true)

/* --- pack --- */
static void
pack(struct lift *l, enum ir_opcode op)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    if (simd_is_mmx(l))
        d = s = simd_combine_low(l, d, s);
    simd_set(l, ir_op2(l->b, op, d, s));
}

LIFTER(packsswb)
{
    pack(l, IR_I8X16_NARROW_I16X8_S);
}

LIFTER(packuswb)
{
    pack(l, IR_I8X16_NARROW_I16X8_U);
}

LIFTER(packssdw)
{
    pack(l, IR_I16X8_NARROW_I32X4_S);
}

LIFTER(packusdw)
{
    pack(l, IR_I16X8_NARROW_I32X4_U);
}

/* --- shuffles by immediate --- */
LIFTER(pshufd)
{
    uint8_t n = simd_imm(l);
    ir_value v = simd_src(l);
    simd_set(l, simd_shuffle32(l, v, v, n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6));
}

static void
shuffle_words(struct lift *l, unsigned base)
{
    uint8_t n = simd_imm(l), lanes[8];
    ir_value v = simd_src(l);
    for (unsigned i = 0; i < 8; i++)
        lanes[i] = (uint8_t)i;
    for (unsigned i = 0; i < 4; i++)
        lanes[base + i] = (uint8_t)(base + (n >> (2 * i) & 3));
    simd_set(l, simd_shuffle16(l, v, v, lanes));
}

LIFTER(pshuflw)
{
    shuffle_words(l, 0);
}

LIFTER(pshufhw)
{
    shuffle_words(l, 4);
}

LIFTER(pshufw)
{
    shuffle_words(l, 0);
}

LIFTER(shufps)
{
    uint8_t n = simd_imm(l);
    ir_value s = simd_src(l);
    simd_set(l, simd_shuffle32(l, simd_dst(l), s, n & 3, n >> 2 & 3, 4 + (n >> 4 & 3), 4 + (n >> 6)));
}

LIFTER(shufpd)
{
    uint8_t n = simd_imm(l);
    ir_value s = simd_src(l);
    simd_set(l, simd_shuffle64(l, simd_dst(l), s, n & 1, 2 + (n >> 1 & 1)));
}

LIFTER(pshufb)
{
    ir_value index = ir_op2(l->b, IR_V128_AND, simd_src(l), simd_splat8(l, simd_is_mmx(l) ? 0x87 : 0x8f));
    simd_set(l, ir_op2(l->b, IR_I8X16_SWIZZLE, simd_dst(l), index));
}

LIFTER(palignr)
{
    unsigned n = simd_imm(l);
    ir_value s = simd_src(l), d = simd_dst(l), zero = simd_zero(l);
    if (simd_is_mmx(l)) {
        s = simd_combine_low(l, s, d);
        d = zero;
        simd_set(l, n < 16 ? simd_window(l, s, d, n) : zero);
        return;
    }
    if (n <= 16)
        simd_set(l, simd_window(l, s, d, n));
    else
        simd_set(l, n < 32 ? simd_window(l, d, zero, n - 16) : zero);
}

/* --- blends --- */
static void
blend_immediate(struct lift *l, unsigned size)
{
    uint8_t n = simd_imm(l), lanes[16];
    ir_value s = simd_src(l);
    for (unsigned i = 0; i < 16; i++)
        lanes[i] = (uint8_t)(i + (n >> (i / size) & 1 ? 16 : 0));
    simd_set(l, ir_shuffle(l->b, simd_dst(l), s, lanes));
}

LIFTER(pblendw)
{
    blend_immediate(l, 2);
}

LIFTER(blendps)
{
    blend_immediate(l, 4);
}

LIFTER(blendpd)
{
    blend_immediate(l, 8);
}

/* Chooses elements by the sign bits of XMM0, or with VEX by those of the last operand. */
static void
blend_variable(struct lift *l, enum ir_opcode greater)
{
    ir_value s = simd_src(l);
    ir_value by = l->insn->operand_count == 3 ? simd_read(l, OPD(2)) : lift_xmm(l, 0);
    ir_value mask = ir_op2(l->b, greater, simd_zero(l), by);
    simd_set(l, ir_op3(l->b, IR_V128_BITSELECT, s, simd_dst(l), mask));
}

LIFTER(pblendvb)
{
    blend_variable(l, IR_I8X16_GT_S);
}

LIFTER(blendvps)
{
    blend_variable(l, IR_I32X4_GT_S);
}

LIFTER(blendvpd)
{
    blend_variable(l, IR_I64X2_GT_S);
}

/* --- inserts and extracts --- */
static void
insert(struct lift *l, enum ir_opcode op, unsigned lanes, ir_value v)
{
    simd_set(l, ir_op_aux(l->b, op, simd_imm(l) & (lanes - 1), simd_dst(l), v, IR_NO_VALUE));
}

static ir_value
extract(struct lift *l, enum ir_opcode op, unsigned lanes)
{
    return ir_op_aux(l->b, op, simd_imm(l) & (lanes - 1), simd_src(l), IR_NO_VALUE, IR_NO_VALUE);
}

/* The integer that is inserted: the low part of a general register, or `size` bytes of memory. */
static ir_value
int_source(struct lift *l, unsigned size)
{
    const struct x86_operand *o = OPD(1);
    return o->kind == X86_OPD_MEM ? lift_load(l, o, size) : lift_read_gpr(l, o->reg, size < 4 ? 4 : size);
}

LIFTER(pinsrb)
{
    insert(l, IR_I8X16_REPLACE, 16, int_source(l, 1));
}

LIFTER(pinsrw)
{
    insert(l, IR_I16X8_REPLACE, simd_is_mmx(l) ? 4 : 8, int_source(l, 2));
}

LIFTER(pinsrq)
{
    insert(l, IR_I64X2_REPLACE, 2, int_source(l, 8));
}

LIFTER(pinsrd)
{
    if (OPD(1)->size == 8)
        lift_pinsrq(l);
    else
        insert(l, IR_I32X4_REPLACE, 4, int_source(l, 4));
}

LIFTER(pextrb)
{
    simd_write_int32(l, OPD(0), 1, extract(l, IR_I8X16_EXTRACT_U, 16));
}

LIFTER(pextrw)
{
    simd_write_int32(l, OPD(0), 2, extract(l, IR_I16X8_EXTRACT_U, simd_is_mmx(l) ? 4 : 8));
}

LIFTER(pextrq)
{
    ir_value v = extract(l, IR_I64X2_EXTRACT, 2);
    if (OPD(0)->kind == X86_OPD_MEM)
        lift_store(l, OPD(0), 8, v);
    else
        lift_write_gpr(l, OPD(0)->reg, 8, v);
}

LIFTER(pextrd)
{
    if (OPD(0)->size == 8)
        lift_pextrq(l);
    else
        simd_write_int32(l, OPD(0), 4, extract(l, IR_I32X4_EXTRACT, 4));
}

LIFTER(extractps)
{
    simd_write_int32(l, OPD(0), 4, extract(l, IR_I32X4_EXTRACT, 4));
}

LIFTER(insertps)
{
    uint8_t n = simd_imm(l);
    const struct x86_operand *o = OPD(1);
    ir_value v = simd_src(l); /* A source in memory has 32 bits, so that its only lane is lane 0. */
    unsigned from = o->kind == X86_OPD_MEM ? 0 : n >> 6, to = n >> 4 & 3;
    unsigned lanes[4] = {0, 1, 2, 3};
    lanes[to] = 4 + from;
    v = simd_shuffle32(l, simd_dst(l), v, lanes[0], lanes[1], lanes[2], lanes[3]);
    if (n & 15) {
        for (unsigned i = 0; i < 4; i++)
            lanes[i] = n >> i & 1 ? 4 : i;
        v = simd_shuffle32(l, v, simd_zero(l), lanes[0], lanes[1], lanes[2], lanes[3]);
    }
    simd_set(l, v);
}

/* --- pmovsx, pmovzx --- */
static void
extend(struct lift *l, enum ir_opcode a, enum ir_opcode b, enum ir_opcode c)
{
    ir_value v = ir_op1(l->b, a, simd_src(l));
    if (b != IR_OP_COUNT)
        v = ir_op1(l->b, b, v);
    if (c != IR_OP_COUNT)
        v = ir_op1(l->b, c, v);
    simd_set(l, v);
}

#define EXTEND(sign, S)                                                                                         \
    LIFTER(pmov##sign##bw)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I16X8_EXTEND_LOW_I8X16_##S, IR_OP_COUNT, IR_OP_COUNT);                                     \
    }                                                                                                           \
    LIFTER(pmov##sign##bd)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I16X8_EXTEND_LOW_I8X16_##S, IR_I32X4_EXTEND_LOW_I16X8_##S, IR_OP_COUNT);                   \
    }                                                                                                           \
    LIFTER(pmov##sign##bq)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I16X8_EXTEND_LOW_I8X16_##S, IR_I32X4_EXTEND_LOW_I16X8_##S, IR_I64X2_EXTEND_LOW_I32X4_##S); \
    }                                                                                                           \
    LIFTER(pmov##sign##wd)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I32X4_EXTEND_LOW_I16X8_##S, IR_OP_COUNT, IR_OP_COUNT);                                     \
    }                                                                                                           \
    LIFTER(pmov##sign##wq)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I32X4_EXTEND_LOW_I16X8_##S, IR_I64X2_EXTEND_LOW_I32X4_##S, IR_OP_COUNT);                   \
    }                                                                                                           \
    LIFTER(pmov##sign##dq)                                                                                      \
    {                                                                                                           \
        extend(l, IR_I64X2_EXTEND_LOW_I32X4_##S, IR_OP_COUNT, IR_OP_COUNT);                                     \
    }
EXTEND(sx, S)
EXTEND(zx, U)
