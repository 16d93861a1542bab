/* Constant folding and algebraic simplification of one operation as it is built.
 *
 * Rules look at operands and their operands only, so building stays linear. Integer rules are exact for
 * all inputs; floating point is left alone (NaN payloads, rounding by MXCSR). */
#include "ir/fold.h"

#define NO IR_NO_VALUE

static const struct ir_op *
def(const struct ir_build *b, ir_value v)
{
    return &b->f->ops.items[v];
}

static bool
constant(const struct ir_build *b, ir_value v, uint64_t *out)
{
    return v != NO && ir_is_const(b, v, out);
}

static bool
is_value(const struct ir_build *b, ir_value v, uint64_t expected)
{
    uint64_t c;

    return constant(b, v, &c) && c == expected;
}

static ir_value
make_const(struct ir_build *b, bool is64, uint64_t v)
{
    return is64 ? ir_const64(b, v) : ir_const32(b, (uint32_t)v);
}

/* --- constants --- */

#define C_V                        uint32_t
#define C_I32                      uint32_t
#define C_I64                      uint64_t
#define C_F32                      float
#define C_F64                      double
#define C_V128                     uint64_t
#define RESULT_V(x)                0
#define RESULT_I32(x)              ((uint32_t)(x))
#define RESULT_I64(x)              ((uint64_t)(x))
#define RESULT_F32(x)              0
#define RESULT_F64(x)              0
#define RESULT_V128(x)             0
#define IMM                        UINT64_C(0)
#define ORDERED(instruction, a, b) 0 /* floating point is not folded */

static uint64_t
evaluate(unsigned op, uint64_t va, uint64_t vb, uint64_t vc)
{
    switch (op) {
#define OP(name, result, a, b, c, wasm, expression) \
    case IR_##name: {                               \
        C_##a A = (C_##a)va;                        \
        C_##b B = (C_##b)vb;                        \
        C_##c C = (C_##c)vc;                        \
        (void)A, (void)B, (void)C;                  \
        return RESULT_##result(expression);         \
    }
#define SIMD(name, result, a, b, c, sub)
#define HOST(name, result, a, b, c, immediate)
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
    default: return 0;
    }
}

static bool
integer(unsigned type)
{
    return type == IR_I32 || type == IR_I64 || type == IR_V;
}

static bool
foldable(unsigned op)
{
    const struct ir_op_info *info = &ir_op_infos[op];

    return op >= IR_EQZ32 && op <= IR_SELECT64 && info->result != IR_V && integer(info->result) && integer(info->a) &&
           integer(info->b) && integer(info->c);
}

static ir_value
fold_division(struct ir_build *b, unsigned op, uint64_t x, uint64_t y)
{
    if (y == 0 || (x == UINT64_C(1) << 63 && y == UINT64_MAX))
        return NO;
    switch (op) {
    case IR_DIVS64: return ir_const64(b, (uint64_t)((int64_t)x / (int64_t)y));
    case IR_DIVU64: return ir_const64(b, x / y);
    case IR_REMS64: return ir_const64(b, (uint64_t)((int64_t)x % (int64_t)y));
    default: return ir_const64(b, x % y);
    }
}

static ir_value
fold_constants(struct ir_build *b, const struct ir_op *op)
{
    uint64_t x = 0, y = 0, z = 0;

    if (!foldable(op->op))
        return NO;
    if ((op->a != NO && !constant(b, op->a, &x)) || (op->b != NO && !constant(b, op->b, &y)) ||
        (op->c != NO && !constant(b, op->c, &z)))
        return NO;
    if (op->op >= IR_DIVS64 && op->op <= IR_REMU64)
        return fold_division(b, op->op, x, y);
    return make_const(b, ir_op_infos[op->op].result == IR_I64, evaluate(op->op, x, y, z));
}

/* --- which bits may be set --- */

static bool
is_comparison(unsigned op)
{
    return (op >= IR_EQZ32 && op <= IR_GEU32) || (op >= IR_EQZ64 && op <= IR_GEU64) ||
           (op >= IR_EQF32 && op <= IR_GEF64);
}

static uint64_t
smear(uint64_t m)
{
    return m == 0 ? 0 : UINT64_MAX >> __builtin_clzll(m);
}

/* Every bit that may be one in v; of an i32, within 32 bits. */
static uint64_t
possible_bits(const struct ir_build *b, ir_value v, unsigned depth)
{
    const struct ir_op *op = def(b, v);
    uint64_t all = ir_type_of(b->f, v) == IR_I64 ? UINT64_MAX : UINT32_MAX;
    uint64_t c;

    if (is_comparison(op->op))
        return 1;
    switch (op->op) {
        /* clang-format off */
    case IR_CONST32: case IR_CONST64: return op->imm;
    case IR_LOAD8U32: case IR_LOAD8U64: case IR_I8X16_EXTRACT_U: return 0xff;
    case IR_LOAD16U32: case IR_LOAD16U64: case IR_I16X8_EXTRACT_U: case IR_I8X16_BITMASK: return 0xffff;
    case IR_LOAD32U64: return UINT32_MAX;
    case IR_CLZ32: case IR_CTZ32: case IR_POPCNT32: return 0x3f;
    case IR_CLZ64: case IR_CTZ64: case IR_POPCNT64: return 0x7f;
    case IR_I16X8_BITMASK: return 0xff;
    case IR_I32X4_BITMASK: return 0xf;
    case IR_I64X2_BITMASK: return 3;
    case IR_V128_ANY_TRUE: case IR_I8X16_ALL_TRUE: return 1;
    case IR_GET: return op->aux >= X86_S_CF && op->aux <= X86_S_DF ? 1 : all;
    default: break;
        /* clang-format on */
    }
    if (depth == 0)
        return all;
    depth--;
    switch (op->op) {
    case IR_AND32:
    case IR_AND64: return possible_bits(b, op->a, depth) & possible_bits(b, op->b, depth);
    case IR_OR32:
    case IR_OR64:
    case IR_XOR32:
    case IR_XOR64: return possible_bits(b, op->a, depth) | possible_bits(b, op->b, depth);
    case IR_SELECT32:
    case IR_SELECT64: return possible_bits(b, op->a, depth) | possible_bits(b, op->b, depth);
    case IR_EXTU: return possible_bits(b, op->a, depth);
    case IR_WRAP: return possible_bits(b, op->a, depth) & UINT32_MAX;
    case IR_SHRU32:
        return constant(b, op->b, &c) ? possible_bits(b, op->a, depth) >> (c & 31)
                                      : smear(possible_bits(b, op->a, depth));
    case IR_SHRU64:
        return constant(b, op->b, &c) ? possible_bits(b, op->a, depth) >> (c & 63)
                                      : smear(possible_bits(b, op->a, depth));
    case IR_SHL32: return constant(b, op->b, &c) ? possible_bits(b, op->a, depth) << (c & 31) & UINT32_MAX : all;
    case IR_SHL64: return constant(b, op->b, &c) ? possible_bits(b, op->a, depth) << (c & 63) : all;
    default: return all;
    }
}

enum { DEPTH = 3 };

static bool
is_bool(const struct ir_build *b, ir_value v)
{
    return (possible_bits(b, v, DEPTH) & ~UINT64_C(1)) == 0;
}

/* --- rules ---
 *
 * Operands are looked at in copies: making an op moves the array they are in. */

static bool
commutes(unsigned op)
{
    switch (op) {
        /* clang-format off */
    case IR_EQ32: case IR_NE32: case IR_ADD32: case IR_MUL32: case IR_AND32: case IR_OR32: case IR_XOR32:
    case IR_EQ64: case IR_NE64: case IR_ADD64: case IR_MUL64: case IR_AND64: case IR_OR64: case IR_XOR64:
    case IR_MULHU64: case IR_MULHS64:
        /* clang-format on */
        return true;
    default: return false;
    }
}

static ir_value
fold_add(struct ir_build *b, struct ir_op *op, bool is64)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    unsigned add = is64 ? IR_ADD64 : IR_ADD32;
    uint64_t c, inner;

    if (!constant(b, op->b, &c))
        return NO;
    if (c == 0)
        return op->a;
    if (a->op == add && constant(b, a->b, &inner))
        return ir_op2(b, add, a->a, make_const(b, is64, inner + c));
    if (is64 && a->op == IR_ADDR)
        return ir_addr(b, a->imm + c);
    return NO;
}

static ir_value
fold_sub(struct ir_build *b, struct ir_op *op, bool is64)
{
    uint64_t c;

    if (op->a == op->b)
        return make_const(b, is64, 0);
    if (constant(b, op->b, &c))
        return ir_op2(b, is64 ? IR_ADD64 : IR_ADD32, op->a, make_const(b, is64, -c));
    return NO;
}

/* Does masking with m do nothing beyond what op's operand already lost? Then its operand will do. */
static ir_value
look_through_mask(const struct ir_build *b, ir_value v, uint64_t m)
{
    const struct ir_op *op = def(b, v);
    uint64_t c;

    switch (op->op) {
    case IR_AND32:
    case IR_AND64: return constant(b, op->b, &c) && (m & ~c) == 0 ? op->a : v;
    case IR_EXT8S32:
    case IR_EXT8S64: return (m & ~UINT64_C(0xff)) == 0 ? op->a : v;
    case IR_EXT16S32:
    case IR_EXT16S64: return (m & ~UINT64_C(0xffff)) == 0 ? op->a : v;
    case IR_EXT32S64: return (m & ~UINT64_C(0xffffffff)) == 0 ? op->a : v;
    default: return v;
    }
}

static ir_value
fold_and(struct ir_build *b, struct ir_op *op, bool is64)
{
    unsigned and_op = is64 ? IR_AND64 : IR_AND32;
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    uint64_t c, inner;
    ir_value through;

    if (op->a == op->b)
        return op->a;
    if (!constant(b, op->b, &c))
        return NO;
    if (c == 0)
        return op->b;
    if ((possible_bits(b, op->a, DEPTH) & ~c) == 0)
        return op->a;
    if (a->op == and_op && constant(b, a->b, &inner))
        return ir_op2(b, and_op, a->a, make_const(b, is64, inner & c));
    through = look_through_mask(b, op->a, c);
    if (through != op->a)
        return ir_op2(b, and_op, through, op->b);
    /* The upper half of an i64 masked off: the lifter's zero extension of a 32-bit result. */
    if (is64 && a->op == IR_EXTS && c <= UINT32_MAX)
        return ir_op2(b, and_op, ir_op1(b, IR_EXTU, a->a), op->b);
    return NO;
}

static ir_value
fold_or_xor(struct ir_build *b, struct ir_op *op, bool is64, bool is_xor)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    uint64_t c, inner;

    if (op->a == op->b)
        return is_xor ? make_const(b, is64, 0) : op->a;
    if (!constant(b, op->b, &c))
        return NO;
    if (c == 0)
        return op->a;
    if (!is_xor && c == (is64 ? UINT64_MAX : UINT32_MAX))
        return op->b;
    if (a->op == op->op && constant(b, a->b, &inner))
        return ir_op2(b, op->op, a->a, make_const(b, is64, is_xor ? inner ^ c : inner | c));
    if (is_xor && !is64 && c == 1 && is_bool(b, op->a))
        return ir_op1(b, IR_EQZ32, op->a);
    return NO;
}

static ir_value
fold_shift(struct ir_build *b, struct ir_op *op, bool is64)
{
    uint64_t c;

    if (constant(b, op->b, &c)) {
        if ((c & (is64 ? 63 : 31)) == 0)
            return op->a;
        return NO;
    }
    return is_value(b, op->a, 0) ? op->a : NO;
}

static ir_value
fold_multiply(struct ir_build *b, struct ir_op *op, bool is64)
{
    uint64_t c;

    if (!constant(b, op->b, &c))
        return NO;
    if (c == 0)
        return op->b;
    if (c == 1)
        return op->a;
    if ((c & (c - 1)) == 0)
        return ir_op2(b, is64 ? IR_SHL64 : IR_SHL32, op->a, make_const(b, is64, (uint64_t)__builtin_ctzll(c)));
    return NO;
}

/* The opposite of an integer comparison. */
static unsigned
inverse(unsigned op)
{
    static const struct {
        uint16_t op, inverse;
    } pairs[] = {
        {IR_EQ32, IR_NE32},   {IR_LTS32, IR_GES32}, {IR_LTU32, IR_GEU32}, {IR_GTS32, IR_LES32},
        {IR_GTU32, IR_LEU32}, {IR_EQ64, IR_NE64},   {IR_LTS64, IR_GES64}, {IR_LTU64, IR_GEU64},
        {IR_GTS64, IR_LES64}, {IR_GTU64, IR_LEU64}, {IR_EQF32, IR_NEF32}, {IR_EQF64, IR_NEF64},
    };

    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].op == op)
            return pairs[i].inverse;
        if (pairs[i].inverse == op)
            return pairs[i].op;
    }
    return IR_OP_COUNT;
}

static ir_value
fold_eqz32(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    unsigned opposite = inverse(a->op);

    if (opposite != IR_OP_COUNT)
        return ir_op2(b, opposite, a->a, a->b);
    if (a->op == IR_EQZ32 && is_bool(b, a->a))
        return a->a;
    if (a->op == IR_WRAP && (possible_bits(b, a->a, DEPTH) >> 32) == 0)
        return ir_op1(b, IR_EQZ64, a->a);
    return NO;
}

static ir_value
fold_eqz64(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;

    if (a->op == IR_EXTU || a->op == IR_EXTS)
        return ir_op1(b, IR_EQZ32, a->a);
    return NO;
}

static ir_value
fold_equality(struct ir_build *b, struct ir_op *op, bool is64, bool equal)
{
    const struct ir_op x_op = *def(b, op->a), y_op = *def(b, op->b), *x = &x_op, *y = &y_op;
    uint64_t c;

    if (op->a == op->b)
        return ir_const32(b, equal);
    if (is64 && x->op == IR_EXTU && y->op == IR_EXTU)
        return ir_op2(b, equal ? IR_EQ32 : IR_NE32, x->a, y->a);
    if (!constant(b, op->b, &c))
        return NO;
    if ((c & ~possible_bits(b, op->a, DEPTH)) != 0)
        return ir_const32(b, !equal);
    if (c == 0 && equal)
        return ir_op1(b, is64 ? IR_EQZ64 : IR_EQZ32, op->a);
    if (!is64 && is_bool(b, op->a)) {
        if (c == (equal ? 1 : 0))
            return op->a;
        return ir_op1(b, IR_EQZ32, op->a);
    }
    return NO;
}

static ir_value
fold_order(struct ir_build *b, struct ir_op *op)
{
    switch (op->op) {
    case IR_LTU32:
    case IR_LTU64:
        if (op->a == op->b || is_value(b, op->b, 0))
            return ir_const32(b, 0);
        break;
    case IR_GEU32:
    case IR_GEU64:
        if (op->a == op->b || is_value(b, op->b, 0))
            return ir_const32(b, 1);
        break;
    case IR_LTS32:
    case IR_LTS64:
    case IR_GTS32:
    case IR_GTS64:
    case IR_GTU32:
    case IR_GTU64:
        if (op->a == op->b)
            return ir_const32(b, 0);
        break;
    case IR_LES32:
    case IR_LES64:
    case IR_GES32:
    case IR_GES64:
    case IR_LEU32:
    case IR_LEU64:
        if (op->a == op->b)
            return ir_const32(b, 1);
        break;
    default: break;
    }
    return NO;
}

static ir_value
fold_wrap(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    ir_value through;

    switch (a->op) {
    case IR_EXTU:
    case IR_EXTS: return a->a;
    case IR_EXT8S64: return ir_op1(b, IR_EXT8S32, ir_op1(b, IR_WRAP, a->a));
    case IR_EXT16S64: return ir_op1(b, IR_EXT16S32, ir_op1(b, IR_WRAP, a->a));
    case IR_SELECT64:
        /* Narrow a choice whose arms narrow for free. */
        if ((def(b, a->a)->op == IR_EXTU || def(b, a->a)->op == IR_CONST64) &&
            (def(b, a->b)->op == IR_EXTU || def(b, a->b)->op == IR_CONST64)) {
            ir_value c = a->c, x = a->a, y = a->b;

            x = ir_op1(b, IR_WRAP, x);
            y = ir_op1(b, IR_WRAP, y);
            return ir_op3(b, IR_SELECT32, x, y, c);
        }
        return NO;
    default:
        through = look_through_mask(b, op->a, UINT32_MAX);
        return through != op->a ? ir_op1(b, IR_WRAP, through) : NO;
    }
}

static ir_value
fold_extend(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;
    ir_value through;
    uint64_t mask;

    switch (op->op) {
    case IR_EXTU:
        if (a->op == IR_WRAP && possible_bits(b, a->a, DEPTH) <= UINT32_MAX)
            return a->a;
        return NO;
    case IR_EXTS:
        if (possible_bits(b, op->a, DEPTH) <= INT32_MAX)
            return ir_op1(b, IR_EXTU, op->a);
        return NO;
    case IR_EXT8S32:
    case IR_EXT8S64: mask = 0xff; break;
    case IR_EXT16S32:
    case IR_EXT16S64: mask = 0xffff; break;
    default: mask = UINT32_MAX; break;
    }
    if (possible_bits(b, op->a, DEPTH) <= mask >> 1)
        return op->a;
    if (a->op == op->op)
        return op->a;
    through = look_through_mask(b, op->a, mask);
    if (through != op->a)
        return ir_op1(b, op->op, through);
    if (op->op == IR_EXT32S64 && a->op == IR_EXTU)
        return ir_op1(b, IR_EXTS, a->a);
    return NO;
}

static ir_value
fold_select(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op c_op = *def(b, op->c), *c = &c_op;
    uint64_t v;

    if (op->a == op->b)
        return op->a;
    if (constant(b, op->c, &v))
        return v ? op->a : op->b;
    if (c->op == IR_EQZ32)
        return ir_op3(b, op->op, op->b, op->a, c->a);
    if (op->op == IR_SELECT32 && is_value(b, op->b, 0) && is_value(b, op->a, 1) && is_bool(b, op->c))
        return op->c;
    if (op->op == IR_SELECT32 && is_value(b, op->a, 0) && is_value(b, op->b, 1))
        return ir_op1(b, IR_EQZ32, op->c);
    return NO;
}

/* A lane taken from a vector whose lane was just put in: scalar SSE code is chains of these. */
static ir_value
fold_extract(struct ir_build *b, struct ir_op *op, unsigned replace, unsigned splat)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;

    if (a->op == splat)
        return a->a;
    if (a->op != replace)
        return NO;
    if (a->aux == op->aux)
        return a->b;
    return ir_op_aux(b, op->op, op->aux, a->a, NO, NO);
}

static ir_value
fold_vector(struct ir_build *b, struct ir_op *op)
{
    const struct ir_op *a;

    switch (op->op) {
    case IR_V128_XOR: return op->a == op->b ? ir_constv(b, 0, 0) : NO;
    case IR_V128_AND:
    case IR_V128_OR: return op->a == op->b ? op->a : NO;
    case IR_V128_ANDNOT: return op->a == op->b ? ir_constv(b, 0, 0) : NO;
    case IR_I32X4_EXTRACT: return fold_extract(b, op, IR_I32X4_REPLACE, IR_I32X4_SPLAT);
    case IR_I64X2_EXTRACT:
        a = def(b, op->a);
        if (a->op == IR_CONSTV)
            return ir_const64(b, op->aux ? a->imm2 : a->imm);
        return fold_extract(b, op, IR_I64X2_REPLACE, IR_I64X2_SPLAT);
    case IR_F32X4_EXTRACT: return fold_extract(b, op, IR_F32X4_REPLACE, IR_F32X4_SPLAT);
    case IR_F64X2_EXTRACT: return fold_extract(b, op, IR_F64X2_REPLACE, IR_F64X2_SPLAT);
    case IR_F32X4_REPLACE:
    case IR_F64X2_REPLACE:
    case IR_I32X4_REPLACE:
    case IR_I64X2_REPLACE:
        /* The earlier value of the same lane is lost. */
        a = def(b, op->a);
        if (a->op == op->op && a->aux == op->aux)
            return ir_op_aux(b, op->op, op->aux, a->a, op->b, NO);
        return NO;
    default: return NO;
    }
}

static ir_value
fold_reinterpret(struct ir_build *b, struct ir_op *op, unsigned back)
{
    const struct ir_op a_op = *def(b, op->a), *a = &a_op;

    return a->op == back ? a->a : NO;
}

ir_value
ir_fold(struct ir_build *b, struct ir_op *op)
{
    ir_value v;

    if (op->op >= IR_V128_LOAD)
        return fold_vector(b, op);
    if (op->op < IR_EQZ32 || op->op > IR_SELECTV)
        return NO;
    v = fold_constants(b, op);
    if (v != NO)
        return v;
    if (commutes(op->op)) {
        uint64_t c;

        if (constant(b, op->a, &c)) {
            ir_value t = op->a;

            op->a = op->b;
            op->b = t;
        }
    }
    switch (op->op) {
        /* clang-format off */
    case IR_ADD32: case IR_ADD64: return fold_add(b, op, op->op == IR_ADD64);
    case IR_SUB32: case IR_SUB64: return fold_sub(b, op, op->op == IR_SUB64);
    case IR_AND32: case IR_AND64: return fold_and(b, op, op->op == IR_AND64);
    case IR_OR32: case IR_OR64: return fold_or_xor(b, op, op->op == IR_OR64, false);
    case IR_XOR32: case IR_XOR64: return fold_or_xor(b, op, op->op == IR_XOR64, true);
    case IR_MUL32: case IR_MUL64: return fold_multiply(b, op, op->op == IR_MUL64);
    case IR_SHL32: case IR_SHRS32: case IR_SHRU32: case IR_ROTL32: case IR_ROTR32:
        /* clang-format on */
        return fold_shift(b, op, false);
    case IR_SHL64:
    case IR_SHRS64:
    case IR_SHRU64:
    case IR_ROTL64:
    case IR_ROTR64:
        return fold_shift(b, op, true);
        /* clang-format off */
    case IR_EQZ32: return fold_eqz32(b, op);
    case IR_EQZ64: return fold_eqz64(b, op);
    case IR_EQ32: case IR_NE32: return fold_equality(b, op, false, op->op == IR_EQ32);
    case IR_EQ64: case IR_NE64: return fold_equality(b, op, true, op->op == IR_EQ64);
    case IR_WRAP: return fold_wrap(b, op);
    case IR_EXTU: case IR_EXTS: case IR_EXT8S32: case IR_EXT16S32: case IR_EXT8S64: case IR_EXT16S64:
    /* clang-format on */
    case IR_EXT32S64: return fold_extend(b, op);
    case IR_SELECT32:
    case IR_SELECT64:
    case IR_SELECTV: return fold_select(b, op);
    case IR_REINTERPRET_I32_F32: return fold_reinterpret(b, op, IR_REINTERPRET_F32_I32);
    case IR_REINTERPRET_F32_I32: return fold_reinterpret(b, op, IR_REINTERPRET_I32_F32);
    case IR_REINTERPRET_I64_F64: return fold_reinterpret(b, op, IR_REINTERPRET_F64_I64);
    case IR_REINTERPRET_F64_I64: return fold_reinterpret(b, op, IR_REINTERPRET_I64_F64);
    default: return fold_order(b, op);
    }
}
