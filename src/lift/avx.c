/* The lifters of those AVX and AVX2 instructions that are not an SSE instruction run once for each 128 bits
 * (lift/vex.c): what crosses lanes, chooses by a register, or tests all lanes. */
#include "lift/simd.h"

#define B            (l->b)
#define OPD(n)       (&l->insn->operand[n])
#define LIFTER(name) void lift_##name(struct lift *l)

/* Instructions whose immediate has bits for the second lane, behind those for the first. */
#define LANES(name, core, bits)           \
    LIFTER(name)                          \
    {                                     \
        lift_lanes(l, lift_##core, bits); \
    }
LANES(vblendps, blendps, 4)
LANES(vblendpd, blendpd, 2)
LANES(vshufpd, shufpd, 2)
LANES(vmpsadbw, mpsadbw, 3)

static bool
is_wide(const struct lift *l)
{
    return l->insn->vector_size == 32;
}

/* --- bits 128 to 255 --- */
LIFTER(vzeroupper)
{
    for (unsigned i = 0; i < 16; i++)
        ir_set(B, X86_S_YMMH0 + i, simd_zero(l));
}

LIFTER(vzeroall)
{
    for (unsigned i = 0; i < 16; i++)
        ir_set(B, X86_S_XMM0 + i, simd_zero(l));
    lift_vzeroupper(l);
}

/* The result is in XMM0, which no operand names, so that lift_lanes() cannot clear what is above it. */
static void
string_mask(struct lift *l, lift_fn *core)
{
    core(l);
    ir_set(B, X86_S_YMMH0, simd_zero(l));
}

LIFTER(vpcmpestrm)
{
    string_mask(l, lift_pcmpestrm);
}

LIFTER(vpcmpistrm)
{
    string_mask(l, lift_pcmpistrm);
}

/* --- masks made of one bit of each element --- */
static void
mask_bits(struct lift *l, enum ir_opcode op, unsigned lanes)
{
    ir_value low = ir_op1(B, op, vex_read(l, 1, 0)), high;

    if (is_wide(l)) {
        high = ir_op2(B, IR_SHL32, ir_op1(B, op, vex_read(l, 1, 1)), ir_const32(B, lanes));
        low = ir_op2(B, IR_OR32, low, high);
    }
    lift_write_gpr(l, OPD(0)->reg, 4, low);
}

LIFTER(vmovmskps)
{
    mask_bits(l, IR_I32X4_BITMASK, 4);
}

LIFTER(vmovmskpd)
{
    mask_bits(l, IR_I64X2_BITMASK, 2);
}

LIFTER(vpmovmskb)
{
    mask_bits(l, IR_I8X16_BITMASK, 16);
}

/* --- permutations --- */
/* Each number of an element of `size` bytes is replaced by the numbers of that element's bytes, as SWIZZLE takes
 * them. */
static ir_value
element_bytes(struct lift *l, ir_value numbers, unsigned size)
{
    if (size == 4)
        return ir_op2(B, IR_I32X4_ADD, ir_op2(B, IR_I32X4_MUL, numbers, simd_splat32(l, 0x04040404)),
                      simd_splat32(l, 0x03020100));
    return ir_op2(B, IR_I64X2_ADD,
                  ir_op2(B, IR_I64X2_MUL, numbers, ir_constv(B, 0x0808080808080808, 0x0808080808080808)),
                  ir_constv(B, 0x0706050403020100, 0x0706050403020100));
}

static void
permute_singles(struct lift *l)
{
    ir_value numbers = ir_op2(B, IR_V128_AND, simd_src(l), simd_splat32(l, 3));

    simd_set(l, ir_op2(B, IR_I8X16_SWIZZLE, simd_dst(l), element_bytes(l, numbers, 4)));
}

/* Bit 1 of each control says which of the two doubles is meant. */
static void
permute_doubles(struct lift *l)
{
    ir_value numbers =
        ir_op2(B, IR_V128_AND, ir_op2(B, IR_I64X2_SHR_U, simd_src(l), ir_const32(B, 1)), ir_constv(B, 1, 1));

    simd_set(l, ir_op2(B, IR_I8X16_SWIZZLE, simd_dst(l), element_bytes(l, numbers, 8)));
}

static void
permute_doubles_immediate(struct lift *l)
{
    ir_value v = simd_src(l);

    simd_set(l, simd_shuffle64(l, v, v, simd_imm(l) & 1, simd_imm(l) >> 1 & 1));
}

LIFTER(vpermilps)
{
    lift_lanes(l, OPD(2)->kind == X86_OPD_IMM ? lift_pshufd : permute_singles, 0);
}

LIFTER(vpermilpd)
{
    if (OPD(2)->kind == X86_OPD_IMM)
        lift_lanes(l, permute_doubles_immediate, 2);
    else
        lift_lanes(l, permute_doubles, 0);
}

/* Selects doublewords of the last operand by the numbers in the second. SWIZZLE gives 0 for numbers of bytes that are
 * not below 16. So it is run on the low half with the numbers as they are, and on the high half with 16 subtracted: one
 * of the two gives the byte and the other one 0. */
LIFTER(vpermd)
{
    ir_value low = vex_read(l, 2, 0), high = vex_read(l, 2, 1), r[2];

    for (unsigned half = 0; half < 2; half++) {
        ir_value bytes = element_bytes(l, ir_op2(B, IR_V128_AND, vex_read(l, 1, half), simd_splat32(l, 7)), 4);
        ir_value beyond = ir_op2(B, IR_I8X16_SUB, bytes, simd_splat8(l, 16));

        r[half] =
            ir_op2(B, IR_V128_OR, ir_op2(B, IR_I8X16_SWIZZLE, low, bytes), ir_op2(B, IR_I8X16_SWIZZLE, high, beyond));
    }
    vex_set(l, r[0], r[1]);
}

LIFTER(vpermq)
{
    ir_value low = vex_read(l, 1, 0), high = vex_read(l, 1, 1);
    unsigned n = simd_imm(l);

    vex_set(l, simd_shuffle64(l, low, high, n & 3, n >> 2 & 3), simd_shuffle64(l, low, high, n >> 4 & 3, n >> 6));
}

/* Each half of the result is one of the four halves of the sources, or 0. */
LIFTER(vperm2)
{
    ir_value halves[4] = {vex_read(l, 1, 0), vex_read(l, 1, 1), vex_read(l, 2, 0), vex_read(l, 2, 1)}, r[2];

    for (unsigned i = 0; i < 2; i++) {
        unsigned n = simd_imm(l) >> 4 * i;

        r[i] = n & 8 ? simd_zero(l) : halves[n & 3];
    }
    vex_set(l, r[0], r[1]);
}

LIFTER(vinsert)
{
    ir_value v = simd_read(l, OPD(2));
    bool high = simd_imm(l) & 1;

    vex_set(l, high ? vex_read(l, 1, 0) : v, high ? v : vex_read(l, 1, 1));
}

LIFTER(vextract)
{
    ir_value v = vex_read(l, 1, simd_imm(l) & 1);

    if (OPD(0)->kind == X86_OPD_MEM)
        simd_write(l, OPD(0), v);
    else
        vex_set(l, v, IR_NO_VALUE);
}

/* --- broadcasts --- */
LIFTER(vbroadcast)
{
    unsigned size = x86_operand_bytes(l->insn, 1), n = size < 16 ? size : 16;
    ir_value v = simd_read(l, OPD(1));
    uint8_t lanes[16];

    for (unsigned i = 0; i < 16; i++)
        lanes[i] = (uint8_t)(i % n);
    v = ir_shuffle(B, v, v, lanes);
    vex_set(l, v, is_wide(l) ? v : IR_NO_VALUE);
}

/* --- shifts, each element by its own count --- */
static void
shift_each32(struct lift *l, enum ir_opcode op)
{
    ir_value v = simd_dst(l), counts = simd_src(l), r = simd_zero(l);

    for (uint16_t i = 0; i < 4; i++) {
        ir_value x = ir_op_aux(B, IR_I32X4_EXTRACT, i, v, IR_NO_VALUE, IR_NO_VALUE);
        ir_value n = ir_op_aux(B, IR_I32X4_EXTRACT, i, counts, IR_NO_VALUE, IR_NO_VALUE);
        ir_value fits = ir_op2(B, IR_LTU32, n, ir_const32(B, 32));

        if (op == IR_SHRS32)
            x = ir_op2(B, op, x, ir_op3(B, IR_SELECT32, n, ir_const32(B, 31), fits));
        else
            x = ir_op3(B, IR_SELECT32, ir_op2(B, op, x, n), ir_const32(B, 0), fits);
        r = ir_op_aux(B, IR_I32X4_REPLACE, i, r, x, IR_NO_VALUE);
    }
    simd_set(l, r);
}

static void
shift_each64(struct lift *l, enum ir_opcode op)
{
    ir_value v = simd_dst(l), counts = simd_src(l), r = simd_zero(l);

    for (uint16_t i = 0; i < 2; i++) {
        ir_value x = ir_op_aux(B, IR_I64X2_EXTRACT, i, v, IR_NO_VALUE, IR_NO_VALUE);
        ir_value n = ir_op_aux(B, IR_I64X2_EXTRACT, i, counts, IR_NO_VALUE, IR_NO_VALUE);

        x = ir_op3(B, IR_SELECT64, ir_op2(B, op, x, n), ir_const64(B, 0), ir_op2(B, IR_LTU64, n, ir_const64(B, 64)));
        r = ir_op_aux(B, IR_I64X2_REPLACE, i, r, x, IR_NO_VALUE);
    }
    simd_set(l, r);
}

#define SHIFT(name, size, op)               \
    static void each_##name(struct lift *l) \
    {                                       \
        shift_each##size(l, IR_##op##size); \
    }                                       \
    LIFTER(name)                            \
    {                                       \
        lift_lanes(l, each_##name, 0);      \
    }
SHIFT(vpsllvd, 32, SHL)
SHIFT(vpsllvq, 64, SHL)
SHIFT(vpsrlvd, 32, SHRU)
SHIFT(vpsrlvq, 64, SHRU)
SHIFT(vpsravd, 32, SHRS)

/* --- memory that is accessed element by element --- */
static void
mask_move(struct lift *l, unsigned size)
{
    bool store = OPD(0)->kind == X86_OPD_MEM;
    unsigned data = store ? OPD(2)->reg : OPD(0)->reg;
    uint32_t code = data | (uint32_t)OPD(1)->reg << 4 | (size == 8 ? VECTOR_MASK_64 : 0) |
                    (is_wide(l) ? VECTOR_MASK_WIDE : 0) | (store ? VECTOR_MASK_STORE : 0);

    ir_helper(B, IR_HELPER_vector_mask_move, ir_const32(B, code), simd_address(l, OPD(store ? 0 : 2)), IR_NO_VALUE);
}

LIFTER(vmaskmovd)
{
    mask_move(l, 4);
}

LIFTER(vmaskmovq)
{
    mask_move(l, 8);
}

static void
gather(struct lift *l, unsigned index_size)
{
    struct x86_operand base = *OPD(1); /* The index is taken out of it below. */
    unsigned size = base.size;
    unsigned count = l->insn->vector_size / (size > index_size ? size : index_size);
    uint32_t code = OPD(0)->reg | (uint32_t)OPD(2)->reg << 4 | (uint32_t)base.index << 8 |
                    (uint32_t)__builtin_ctz(base.scale) << 12 | (size == 8 ? VECTOR_GATHER_64 : 0) |
                    (index_size == 8 ? VECTOR_GATHER_INDEX_64 : 0) | count << 16;

    base.index = X86_BASE_NONE;
    base.index_size = 0;
    ir_helper(B, IR_HELPER_vector_gather, ir_const32(B, code), simd_address(l, &base), IR_NO_VALUE);
}

LIFTER(vgatherd)
{
    gather(l, 4);
}

LIFTER(vgatherq)
{
    gather(l, 8);
}
