/* Vector operators, in the forms that the x86 back end selects one instruction for. */
#include "aot/emit.h"

static const unsigned shape_lanes[AOT_SHAPE_COUNT] = {16, 8, 4, 2, 4, 2};

static LLVMTypeRef
lane_type(struct translator *t, enum aot_shape shape)
{
    return LLVMGetElementType(t->vec[shape]);
}

static LLVMValueRef
splat(struct translator *t, LLVMValueRef scalar, unsigned lanes)
{
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), lanes);
    LLVMValueRef v = LLVMBuildInsertElement(t->b, LLVMGetPoison(type), scalar, aot_i32(t, 0), "");

    return LLVMBuildShuffleVector(t->b, v, LLVMGetPoison(type), LLVMConstNull(LLVMVectorType(t->i32, lanes)), "");
}

/* Lanes first, first + step, ... of a and b joined. */
static LLVMValueRef
pick(struct translator *t, LLVMValueRef a, LLVMValueRef b, unsigned first, unsigned step, unsigned count)
{
    LLVMValueRef mask[16];

    for (unsigned i = 0; i < count; i++)
        mask[i] = aot_i32(t, first + i * step);
    return LLVMBuildShuffleVector(t->b, a, b, LLVMConstVector(mask, count), "");
}

static LLVMValueRef
half(struct translator *t, LLVMValueRef v, bool high)
{
    unsigned lanes = LLVMGetVectorSize(LLVMTypeOf(v)) / 2;

    return pick(t, v, LLVMGetPoison(LLVMTypeOf(v)), high ? lanes : 0, 1, lanes);
}

static LLVMValueRef
widen(struct translator *t, LLVMValueRef v, enum aot_shape to, bool is_signed)
{
    return is_signed ? LLVMBuildSExt(t->b, v, t->vec[to], "") : LLVMBuildZExt(t->b, v, t->vec[to], "");
}

/* Two lanes, and zeroes above. */
static LLVMValueRef
zero_upper(struct translator *t, LLVMValueRef v)
{
    return pick(t, v, LLVMConstNull(LLVMTypeOf(v)), 0, 1, 4);
}

static void
binary(struct translator *t, enum aot_shape s, LLVMOpcode opcode)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);

    aot_push(t, LLVMBuildBinOp(t->b, opcode, a, b, ""));
}

static void
rounded_binary(struct translator *t, enum aot_shape s, const char *name)
{
    LLVMValueRef operands[2];

    operands[1] = aot_pop_vec(t, s);
    operands[0] = aot_pop_vec(t, s);
    aot_push(t, aot_rounded(t, name, t->vec[s], operands, 2));
}

static void
rounded_unary(struct translator *t, const char *name, enum aot_shape from, enum aot_shape to)
{
    LLVMValueRef v = aot_pop_vec(t, from);

    aot_push(t, aot_rounded(t, name, t->vec[to], &v, 1));
}

static void
unary_intrinsic(struct translator *t, enum aot_shape s, const char *name)
{
    aot_push(t, aot_intrinsic1(t, name, aot_pop_vec(t, s)));
}

static void
binary_intrinsic(struct translator *t, enum aot_shape s, const char *name)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);

    aot_push(t, aot_intrinsic2(t, name, a, b));
}

static void
extremum(struct translator *t, enum aot_shape s, const char *name)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);

    aot_push(t, aot_quiet_extremum(t, name, a, b));
}

/* An instruction of the host, by its (not overloaded) intrinsic. */
static LLVMValueRef
host2(struct translator *t, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef args[2] = {a, b};

    return aot_intrinsic(t, name, NULL, 0, args, 2);
}

static void
compare(struct translator *t, enum aot_shape s, LLVMIntPredicate predicate)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);

    aot_push(t, LLVMBuildSExt(t->b, LLVMBuildICmp(t->b, predicate, a, b, ""), t->vec[s], ""));
}

static void
compare_float(struct translator *t, enum aot_shape s, LLVMRealPredicate predicate)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);
    enum aot_shape integer = s == AOT_F32X4 ? AOT_I32X4 : AOT_I64X2;

    aot_push(t, LLVMBuildSExt(t->b, LLVMBuildFCmp(t->b, predicate, a, b, ""), t->vec[integer], ""));
}

static void
shift(struct translator *t, enum aot_shape s, LLVMOpcode opcode)
{
    LLVMValueRef count = aot_pop(t), v = aot_pop_vec(t, s);
    LLVMTypeRef type = lane_type(t, s);
    unsigned bits = LLVMGetIntTypeWidth(type);

    count = LLVMBuildAnd(t->b, count, aot_i32(t, bits - 1), "");
    if (bits < 32)
        count = LLVMBuildTrunc(t->b, count, type, "");
    else if (bits > 32)
        count = LLVMBuildZExt(t->b, count, type, "");
    aot_push(t, LLVMBuildBinOp(t->b, opcode, v, splat(t, count, shape_lanes[s]), ""));
}

static void
negate(struct translator *t, enum aot_shape s)
{
    aot_push(t, LLVMBuildNeg(t->b, aot_pop_vec(t, s), ""));
}

static void
absolute(struct translator *t, enum aot_shape s)
{
    LLVMValueRef args[2] = {aot_pop_vec(t, s), LLVMConstInt(t->i1, 0, 0)};

    aot_push(t, aot_intrinsic(t, "llvm.abs", &t->vec[s], 1, args, 2));
}

static LLVMValueRef
mask_bits(struct translator *t, LLVMValueRef flags, unsigned lanes)
{
    return LLVMBuildBitCast(t->b, flags, LLVMIntTypeInContext(t->context, lanes), "");
}

static void
bitmask(struct translator *t, enum aot_shape s)
{
    LLVMValueRef v = aot_pop_vec(t, s);
    LLVMValueRef flags = LLVMBuildICmp(t->b, LLVMIntSLT, v, LLVMConstNull(t->vec[s]), "");

    aot_push(t, LLVMBuildZExt(t->b, mask_bits(t, flags, shape_lanes[s]), t->i32, ""));
}

static void
all_true(struct translator *t, enum aot_shape s)
{
    LLVMValueRef v = aot_pop_vec(t, s);
    LLVMValueRef zeroes = LLVMBuildICmp(t->b, LLVMIntEQ, v, LLVMConstNull(t->vec[s]), "");
    LLVMValueRef bits = mask_bits(t, zeroes, shape_lanes[s]);

    aot_push_condition(t, LLVMBuildICmp(t->b, LLVMIntEQ, bits, LLVMConstNull(LLVMTypeOf(bits)), ""));
}

static void
any_true(struct translator *t)
{
    LLVMValueRef v = aot_cast(t, aot_pop(t), t->i128);

    aot_push_condition(t, LLVMBuildICmp(t->b, LLVMIntNE, v, LLVMConstNull(t->i128), ""));
}

static void
extend(struct translator *t, enum aot_shape from, enum aot_shape to, bool high, bool is_signed)
{
    aot_push(t, widen(t, half(t, aot_pop_vec(t, from), high), to, is_signed));
}

static void
extend_multiply(struct translator *t, enum aot_shape from, enum aot_shape to, bool high, bool is_signed)
{
    LLVMValueRef b = widen(t, half(t, aot_pop_vec(t, from), high), to, is_signed);
    LLVMValueRef a = widen(t, half(t, aot_pop_vec(t, from), high), to, is_signed);

    aot_push(t, LLVMBuildMul(t->b, a, b, ""));
}

static void
extend_pairwise(struct translator *t, enum aot_shape from, enum aot_shape to, bool is_signed)
{
    LLVMValueRef v = aot_pop_vec(t, from), none = LLVMGetPoison(t->vec[from]);
    LLVMValueRef even = widen(t, pick(t, v, none, 0, 2, shape_lanes[to]), to, is_signed);
    LLVMValueRef odd = widen(t, pick(t, v, none, 1, 2, shape_lanes[to]), to, is_signed);

    aot_push(t, LLVMBuildAdd(t->b, even, odd, ""));
}

static void
narrow(struct translator *t, enum aot_shape from, const char *name)
{
    LLVMValueRef b = aot_pop_vec(t, from), a = aot_pop_vec(t, from);

    aot_push(t, host2(t, name, a, b));
}

/* Rounding average: the pattern that becomes pavgb and pavgw. */
static void
average(struct translator *t, enum aot_shape s)
{
    unsigned lanes = shape_lanes[s];
    LLVMTypeRef wide = LLVMVectorType(s == AOT_I8X16 ? t->i16 : t->i32, lanes);
    LLVMValueRef b = LLVMBuildZExt(t->b, aot_pop_vec(t, s), wide, "");
    LLVMValueRef a = LLVMBuildZExt(t->b, aot_pop_vec(t, s), wide, "");
    LLVMValueRef one = LLVMConstInt(LLVMGetElementType(wide), 1, 0), ones[16], sum;

    for (unsigned i = 0; i < lanes; i++)
        ones[i] = one;
    one = LLVMConstVector(ones, lanes);
    sum = LLVMBuildAdd(t->b, LLVMBuildAdd(t->b, a, b, ""), one, "");
    aot_push(t, LLVMBuildTrunc(t->b, LLVMBuildLShr(t->b, sum, one, ""), t->vec[s], ""));
}

/* pmulhrsw gives 0x8000 for 0x8000 squared, where wasm saturates to 0x7fff. */
static void
q15_multiply(struct translator *t)
{
    LLVMValueRef b = aot_pop_vec(t, AOT_I16X8), a = aot_pop_vec(t, AOT_I16X8), lanes[8], wrong, r;

    r = host2(t, "llvm.x86.ssse3.pmul.hr.sw.128", a, b);
    for (unsigned i = 0; i < 8; i++)
        lanes[i] = LLVMConstInt(t->i16, 0x8000, 0);
    wrong = LLVMBuildICmp(t->b, LLVMIntEQ, r, LLVMConstVector(lanes, 8), "");
    aot_push(t, LLVMBuildXor(t->b, r, LLVMBuildSExt(t->b, wrong, t->vec[AOT_I16X8], ""), ""));
}

/* pshufb clears lanes whose index has bit 7 set: adding 0x70 with saturation sets it for all above 15. */
static void
swizzle(struct translator *t)
{
    LLVMValueRef index = aot_pop_vec(t, AOT_I8X16), v = aot_pop_vec(t, AOT_I8X16), lanes[16];

    for (unsigned i = 0; i < 16; i++)
        lanes[i] = LLVMConstInt(t->i8, 0x70, 0);
    index = aot_intrinsic2(t, "llvm.uadd.sat", index, LLVMConstVector(lanes, 16));
    aot_push(t, host2(t, "llvm.x86.ssse3.pshuf.b.128", v, index));
}

static void
shuffle(struct translator *t, const struct wasm_instruction *i)
{
    LLVMValueRef b = aot_pop_vec(t, AOT_I8X16), a = aot_pop_vec(t, AOT_I8X16), mask[16];

    for (unsigned k = 0; k < 16; k++)
        mask[k] = aot_i32(t, (uint32_t)(i->bits[k / 8] >> (k % 8 * 8)) & 0xff);
    aot_push(t, LLVMBuildShuffleVector(t->b, a, b, LLVMConstVector(mask, 16), ""));
}

static void
bit_select(struct translator *t)
{
    LLVMValueRef c = aot_pop_vec(t, AOT_I64X2), b = aot_pop_vec(t, AOT_I64X2), a = aot_pop_vec(t, AOT_I64X2);

    aot_push(t,
             LLVMBuildOr(t->b, LLVMBuildAnd(t->b, a, c, ""), LLVMBuildAnd(t->b, b, LLVMBuildNot(t->b, c, ""), ""), ""));
}

/* wasm: pmin is b < a ? b : a, which is minps with its operands exchanged. */
static void
pseudo_extreme(struct translator *t, enum aot_shape s, LLVMRealPredicate b_to_a)
{
    LLVMValueRef b = aot_pop_vec(t, s), a = aot_pop_vec(t, s);

    aot_push(t, LLVMBuildSelect(t->b, LLVMBuildFCmp(t->b, b_to_a, b, a, ""), b, a, ""));
}

static void
splat_lane(struct translator *t, enum aot_shape s)
{
    LLVMValueRef v = aot_pop(t);

    if (s < AOT_I32X4)
        v = LLVMBuildTrunc(t->b, v, lane_type(t, s), "");
    aot_push(t, splat(t, v, shape_lanes[s]));
}

static void
extract(struct translator *t, enum aot_shape s, uint32_t lane, bool is_signed)
{
    LLVMValueRef v = LLVMBuildExtractElement(t->b, aot_pop_vec(t, s), aot_i32(t, lane), "");

    if (s < AOT_I32X4)
        v = is_signed ? LLVMBuildSExt(t->b, v, t->i32, "") : LLVMBuildZExt(t->b, v, t->i32, "");
    aot_push(t, v);
}

static void
replace(struct translator *t, enum aot_shape s, uint32_t lane)
{
    LLVMValueRef scalar = aot_pop(t), v = aot_pop_vec(t, s);

    if (s < AOT_I32X4)
        scalar = LLVMBuildTrunc(t->b, scalar, lane_type(t, s), "");
    aot_push(t, LLVMBuildInsertElement(t->b, v, scalar, aot_i32(t, lane), ""));
}

static LLVMTypeRef
access_type(struct translator *t, unsigned log2_size)
{
    return (LLVMTypeRef[]){t->i8, t->i16, t->i32, t->i64, t->vec[AOT_I64X2]}[log2_size];
}

static LLVMValueRef
access_address(struct translator *t, const struct wasm_instruction *i)
{
    return aot_address(t, aot_pop(t), i->offset, 1u << wasm_operators[i->op].n);
}

/* Of what code objects say of 16 bytes at once: there it is a condition, not a hint. */
static unsigned
alignment(const struct wasm_instruction *i)
{
    return (i->op == WASM_OP_V128_LOAD || i->op == WASM_OP_V128_STORE) && i->align == 4 ? 16 : 1;
}

static LLVMValueRef
load(struct translator *t, const struct wasm_instruction *i)
{
    return aot_load(t, access_type(t, wasm_operators[i->op].n), access_address(t, i), alignment(i));
}

static void
load_extend(struct translator *t, const struct wasm_instruction *i, enum aot_shape to, bool is_signed)
{
    LLVMTypeRef narrow_lane = (LLVMTypeRef[]){NULL, t->i8, t->i16, t->i32}[to];
    LLVMValueRef v = aot_load(t, LLVMVectorType(narrow_lane, shape_lanes[to]), access_address(t, i), alignment(i));

    aot_push(t, widen(t, v, to, is_signed));
}

static void
load_zero(struct translator *t, const struct wasm_instruction *i, enum aot_shape s)
{
    aot_push(t, LLVMBuildInsertElement(t->b, LLVMConstNull(t->vec[s]), load(t, i), aot_i32(t, 0), ""));
}

static void
load_lane(struct translator *t, const struct wasm_instruction *i, enum aot_shape s)
{
    LLVMValueRef v = aot_pop_vec(t, s);

    aot_push(t, LLVMBuildInsertElement(t->b, v, load(t, i), aot_i32(t, i->index), ""));
}

static void
store_lane(struct translator *t, const struct wasm_instruction *i, enum aot_shape s)
{
    LLVMValueRef v = aot_pop_vec(t, s);
    LLVMValueRef lane = LLVMBuildExtractElement(t->b, v, aot_i32(t, i->index), "");

    aot_store(t, lane, access_address(t, i), alignment(i));
}

static void
store_vector(struct translator *t, const struct wasm_instruction *i)
{
    LLVMValueRef v = aot_pop(t);

    aot_store(t, v, access_address(t, i), alignment(i));
}

static void
truncate_saturating(struct translator *t, enum aot_shape from, const char *name)
{
    LLVMValueRef v = aot_pop_vec(t, from);
    LLVMTypeRef overloads[2] = {LLVMVectorType(t->i32, shape_lanes[from]), t->vec[from]};

    v = aot_intrinsic(t, name, overloads, 2, &v, 1);
    aot_push(t, from == AOT_F64X2 ? zero_upper(t, v) : v);
}

static void
demote(struct translator *t)
{
    LLVMValueRef v = aot_pop_vec(t, AOT_F64X2);

    aot_push(t, zero_upper(t, aot_rounded(t, "fptrunc", LLVMVectorType(t->f32, 2), &v, 1)));
}

static void
convert_low(struct translator *t, enum aot_shape from, LLVMOpcode opcode)
{
    LLVMValueRef v = half(t, aot_pop_vec(t, from), false);

    aot_push(t, LLVMBuildCast(t->b, opcode, v, t->vec[AOT_F64X2], ""));
}

#define ONE(id, action) \
    case WASM_OP_##id: action; return true;
#define SHAPE(s, name, action)            \
    case WASM_OP_##s##_##name: {          \
        const enum aot_shape S = AOT_##s; \
        action;                           \
        return true;                      \
    }
#define I8_16(name, action)    SHAPE(I8X16, name, action) SHAPE(I16X8, name, action)
#define I8_16_32(name, action) I8_16(name, action) SHAPE(I32X4, name, action)
#define INTEGERS(name, action) I8_16_32(name, action) SHAPE(I64X2, name, action)
#define FLOATS(name, action)   SHAPE(F32X4, name, action) SHAPE(F64X2, name, action)

static bool
translate_access(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        ONE(V128_LOAD, aot_push(t, load(t, i)))
        ONE(V128_LOAD8X8_S, load_extend(t, i, AOT_I16X8, true))
        ONE(V128_LOAD8X8_U, load_extend(t, i, AOT_I16X8, false))
        ONE(V128_LOAD16X4_S, load_extend(t, i, AOT_I32X4, true))
        ONE(V128_LOAD16X4_U, load_extend(t, i, AOT_I32X4, false))
        ONE(V128_LOAD32X2_S, load_extend(t, i, AOT_I64X2, true))
        ONE(V128_LOAD32X2_U, load_extend(t, i, AOT_I64X2, false))
        ONE(V128_LOAD8_SPLAT, aot_push(t, splat(t, load(t, i), 16)))
        ONE(V128_LOAD16_SPLAT, aot_push(t, splat(t, load(t, i), 8)))
        ONE(V128_LOAD32_SPLAT, aot_push(t, splat(t, load(t, i), 4)))
        ONE(V128_LOAD64_SPLAT, aot_push(t, splat(t, load(t, i), 2)))
        ONE(V128_STORE, store_vector(t, i))
        ONE(V128_LOAD8_LANE, load_lane(t, i, AOT_I8X16))
        ONE(V128_LOAD16_LANE, load_lane(t, i, AOT_I16X8))
        ONE(V128_LOAD32_LANE, load_lane(t, i, AOT_I32X4))
        ONE(V128_LOAD64_LANE, load_lane(t, i, AOT_I64X2))
        ONE(V128_STORE8_LANE, store_lane(t, i, AOT_I8X16))
        ONE(V128_STORE16_LANE, store_lane(t, i, AOT_I16X8))
        ONE(V128_STORE32_LANE, store_lane(t, i, AOT_I32X4))
        ONE(V128_STORE64_LANE, store_lane(t, i, AOT_I64X2))
        ONE(V128_LOAD32_ZERO, load_zero(t, i, AOT_I32X4))
        ONE(V128_LOAD64_ZERO, load_zero(t, i, AOT_I64X2))
        SHAPE(I8X16, EXTRACT_LANE_S, extract(t, S, i->index, true))
        SHAPE(I8X16, EXTRACT_LANE_U, extract(t, S, i->index, false))
        SHAPE(I16X8, EXTRACT_LANE_S, extract(t, S, i->index, true))
        SHAPE(I16X8, EXTRACT_LANE_U, extract(t, S, i->index, false))
        SHAPE(I32X4, EXTRACT_LANE, extract(t, S, i->index, false))
        SHAPE(I64X2, EXTRACT_LANE, extract(t, S, i->index, false))
        FLOATS(EXTRACT_LANE, extract(t, S, i->index, false))
        INTEGERS(REPLACE_LANE, replace(t, S, i->index))
        FLOATS(REPLACE_LANE, replace(t, S, i->index))
        INTEGERS(SPLAT, splat_lane(t, S))
        FLOATS(SPLAT, splat_lane(t, S))
        ONE(I8X16_SHUFFLE, shuffle(t, i))
        ONE(I8X16_SWIZZLE, swizzle(t))
    case WASM_OP_V128_CONST: {
        LLVMValueRef halves[2] = {aot_i64(t, i->bits[0]), aot_i64(t, i->bits[1])};

        aot_push(t, LLVMConstVector(halves, 2));
        return true;
    }
    default: return false;
    }
}

static bool
translate_integer(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        INTEGERS(EQ, compare(t, S, LLVMIntEQ))
        INTEGERS(NE, compare(t, S, LLVMIntNE))
        INTEGERS(LT_S, compare(t, S, LLVMIntSLT))
        INTEGERS(GT_S, compare(t, S, LLVMIntSGT))
        INTEGERS(LE_S, compare(t, S, LLVMIntSLE))
        INTEGERS(GE_S, compare(t, S, LLVMIntSGE))
        I8_16_32(LT_U, compare(t, S, LLVMIntULT))
        I8_16_32(GT_U, compare(t, S, LLVMIntUGT))
        I8_16_32(LE_U, compare(t, S, LLVMIntULE))
        I8_16_32(GE_U, compare(t, S, LLVMIntUGE))
        INTEGERS(ABS, absolute(t, S))
        INTEGERS(NEG, negate(t, S))
        INTEGERS(ALL_TRUE, all_true(t, S))
        INTEGERS(BITMASK, bitmask(t, S))
        INTEGERS(SHL, shift(t, S, LLVMShl))
        INTEGERS(SHR_S, shift(t, S, LLVMAShr))
        INTEGERS(SHR_U, shift(t, S, LLVMLShr))
        INTEGERS(ADD, binary(t, S, LLVMAdd))
        INTEGERS(SUB, binary(t, S, LLVMSub))
        I8_16(ADD_SAT_S, binary_intrinsic(t, S, "llvm.sadd.sat"))
        I8_16(ADD_SAT_U, binary_intrinsic(t, S, "llvm.uadd.sat"))
        I8_16(SUB_SAT_S, binary_intrinsic(t, S, "llvm.ssub.sat"))
        I8_16(SUB_SAT_U, binary_intrinsic(t, S, "llvm.usub.sat"))
        I8_16_32(MIN_S, binary_intrinsic(t, S, "llvm.smin"))
        I8_16_32(MIN_U, binary_intrinsic(t, S, "llvm.umin"))
        I8_16_32(MAX_S, binary_intrinsic(t, S, "llvm.smax"))
        I8_16_32(MAX_U, binary_intrinsic(t, S, "llvm.umax"))
        I8_16(AVGR_U, average(t, S))
        SHAPE(I16X8, MUL, binary(t, S, LLVMMul))
        SHAPE(I32X4, MUL, binary(t, S, LLVMMul))
        SHAPE(I64X2, MUL, binary(t, S, LLVMMul))
        SHAPE(I8X16, POPCNT, unary_intrinsic(t, S, "llvm.ctpop"))
        ONE(V128_NOT, aot_push(t, LLVMBuildNot(t->b, aot_pop_vec(t, AOT_I64X2), "")))
        ONE(V128_AND, binary(t, AOT_I64X2, LLVMAnd))
        ONE(V128_OR, binary(t, AOT_I64X2, LLVMOr))
        ONE(V128_XOR, binary(t, AOT_I64X2, LLVMXor))
        ONE(V128_BITSELECT, bit_select(t))
        ONE(V128_ANY_TRUE, any_true(t))
    case WASM_OP_V128_ANDNOT: {
        LLVMValueRef b = aot_pop_vec(t, AOT_I64X2), a = aot_pop_vec(t, AOT_I64X2);

        aot_push(t, LLVMBuildAnd(t->b, a, LLVMBuildNot(t->b, b, ""), ""));
        return true;
    }
    default: return false;
    }
}

#define WIDENING(to, from, name, low_high)                                             \
    ONE(to##_##name##_LOW_##from##_S, low_high(t, AOT_##from, AOT_##to, false, true))  \
    ONE(to##_##name##_HIGH_##from##_S, low_high(t, AOT_##from, AOT_##to, true, true))  \
    ONE(to##_##name##_LOW_##from##_U, low_high(t, AOT_##from, AOT_##to, false, false)) \
    ONE(to##_##name##_HIGH_##from##_U, low_high(t, AOT_##from, AOT_##to, true, false))

static bool
translate_width(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        WIDENING(I16X8, I8X16, EXTEND, extend)
        WIDENING(I32X4, I16X8, EXTEND, extend)
        WIDENING(I64X2, I32X4, EXTEND, extend)
        WIDENING(I16X8, I8X16, EXTMUL, extend_multiply)
        WIDENING(I32X4, I16X8, EXTMUL, extend_multiply)
        WIDENING(I64X2, I32X4, EXTMUL, extend_multiply)
        ONE(I16X8_EXTADD_PAIRWISE_I8X16_S, extend_pairwise(t, AOT_I8X16, AOT_I16X8, true))
        ONE(I16X8_EXTADD_PAIRWISE_I8X16_U, extend_pairwise(t, AOT_I8X16, AOT_I16X8, false))
        ONE(I32X4_EXTADD_PAIRWISE_I16X8_S, extend_pairwise(t, AOT_I16X8, AOT_I32X4, true))
        ONE(I32X4_EXTADD_PAIRWISE_I16X8_U, extend_pairwise(t, AOT_I16X8, AOT_I32X4, false))
        ONE(I8X16_NARROW_I16X8_S, narrow(t, AOT_I16X8, "llvm.x86.sse2.packsswb.128"))
        ONE(I8X16_NARROW_I16X8_U, narrow(t, AOT_I16X8, "llvm.x86.sse2.packuswb.128"))
        ONE(I16X8_NARROW_I32X4_S, narrow(t, AOT_I32X4, "llvm.x86.sse2.packssdw.128"))
        ONE(I16X8_NARROW_I32X4_U, narrow(t, AOT_I32X4, "llvm.x86.sse41.packusdw"))
        ONE(I32X4_DOT_I16X8_S, narrow(t, AOT_I16X8, "llvm.x86.sse2.pmadd.wd"))
        ONE(I16X8_Q15MULR_SAT_S, q15_multiply(t))
    default: return false;
    }
}

static bool
translate_float(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        FLOATS(EQ, compare_float(t, S, LLVMRealOEQ))
        FLOATS(NE, compare_float(t, S, LLVMRealUNE))
        FLOATS(LT, compare_float(t, S, LLVMRealOLT))
        FLOATS(GT, compare_float(t, S, LLVMRealOGT))
        FLOATS(LE, compare_float(t, S, LLVMRealOLE))
        FLOATS(GE, compare_float(t, S, LLVMRealOGE))
        FLOATS(ABS, unary_intrinsic(t, S, "llvm.fabs"))
        FLOATS(NEG, aot_push(t, LLVMBuildFNeg(t->b, aot_pop_vec(t, S), "")))
        FLOATS(SQRT, rounded_unary(t, "sqrt", S, S))
        FLOATS(CEIL, unary_intrinsic(t, S, "llvm.ceil"))
        FLOATS(FLOOR, unary_intrinsic(t, S, "llvm.floor"))
        FLOATS(TRUNC, unary_intrinsic(t, S, "llvm.trunc"))
        FLOATS(NEAREST, unary_intrinsic(t, S, "llvm.rint"))
        FLOATS(ADD, rounded_binary(t, S, "fadd"))
        FLOATS(SUB, rounded_binary(t, S, "fsub"))
        FLOATS(MUL, rounded_binary(t, S, "fmul"))
        FLOATS(DIV, rounded_binary(t, S, "fdiv"))
        FLOATS(MIN, extremum(t, S, "llvm.minimum"))
        FLOATS(MAX, extremum(t, S, "llvm.maximum"))
        FLOATS(PMIN, pseudo_extreme(t, S, LLVMRealOLT))
        FLOATS(PMAX, pseudo_extreme(t, S, LLVMRealOGT))
        ONE(I32X4_TRUNC_SAT_F32X4_S, truncate_saturating(t, AOT_F32X4, "llvm.fptosi.sat"))
        ONE(I32X4_TRUNC_SAT_F32X4_U, truncate_saturating(t, AOT_F32X4, "llvm.fptoui.sat"))
        ONE(I32X4_TRUNC_SAT_F64X2_S_ZERO, truncate_saturating(t, AOT_F64X2, "llvm.fptosi.sat"))
        ONE(I32X4_TRUNC_SAT_F64X2_U_ZERO, truncate_saturating(t, AOT_F64X2, "llvm.fptoui.sat"))
        ONE(F32X4_CONVERT_I32X4_S, rounded_unary(t, "sitofp", AOT_I32X4, AOT_F32X4))
        ONE(F32X4_CONVERT_I32X4_U, rounded_unary(t, "uitofp", AOT_I32X4, AOT_F32X4))
        ONE(F64X2_CONVERT_LOW_I32X4_S, convert_low(t, AOT_I32X4, LLVMSIToFP))
        ONE(F64X2_CONVERT_LOW_I32X4_U, convert_low(t, AOT_I32X4, LLVMUIToFP))
        ONE(F64X2_PROMOTE_LOW_F32X4, convert_low(t, AOT_F32X4, LLVMFPExt))
        ONE(F32X4_DEMOTE_F64X2_ZERO, demote(t))
    default: return false;
    }
}

bool
aot_translate_simd(struct translator *t, const struct wasm_instruction *i)
{
    return translate_access(t, i) || translate_integer(t, i) || translate_width(t, i) || translate_float(t, i);
}
