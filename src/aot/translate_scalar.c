/* Integer, floating-point and memory operators. */
#include "aot/emit.h"

static void
compare(struct translator *t, LLVMIntPredicate predicate)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);

    aot_push_condition(t, LLVMBuildICmp(t->b, predicate, a, b, ""));
}

static void
compare_float(struct translator *t, LLVMRealPredicate predicate)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);

    aot_push_condition(t, LLVMBuildFCmp(t->b, predicate, a, b, ""));
}

static void
equal_zero(struct translator *t)
{
    LLVMValueRef a = aot_pop(t);

    if (LLVMIsAZExtInst(a) && LLVMTypeOf(LLVMGetOperand(a, 0)) == t->i1)
        aot_push_condition(t, LLVMBuildNot(t->b, LLVMGetOperand(a, 0), ""));
    else
        aot_push_condition(t, LLVMBuildICmp(t->b, LLVMIntEQ, a, LLVMConstNull(LLVMTypeOf(a)), ""));
}

static void
binary(struct translator *t, LLVMOpcode opcode)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);

    aot_push(t, LLVMBuildBinOp(t->b, opcode, a, b, ""));
}

/* wasm masks the count; LLVM's shifts are poison beyond the width. */
static void
shift(struct translator *t, LLVMOpcode opcode)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);
    LLVMTypeRef type = LLVMTypeOf(a);

    b = LLVMBuildAnd(t->b, b, LLVMConstInt(type, LLVMGetIntTypeWidth(type) - 1, 0), "");
    aot_push(t, LLVMBuildBinOp(t->b, opcode, a, b, ""));
}

static void
rotate(struct translator *t, const char *funnel)
{
    LLVMValueRef args[3];
    LLVMTypeRef type;

    args[2] = aot_pop(t);
    args[0] = args[1] = aot_pop(t);
    type = LLVMTypeOf(args[0]);
    aot_push(t, aot_intrinsic(t, funnel, &type, 1, args, 3));
}

static void
count_zeros(struct translator *t, const char *name)
{
    LLVMValueRef args[2] = {aot_pop(t), LLVMConstInt(t->i1, 0, 0)};
    LLVMTypeRef type = LLVMTypeOf(args[0]);

    aot_push(t, aot_intrinsic(t, name, &type, 1, args, 2));
}

static void
divide(struct translator *t, LLVMOpcode opcode)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef zero = LLVMConstNull(type), minus = LLVMConstAllOnes(type), least, overflow;

    aot_trap_if(t, LLVMBuildICmp(t->b, LLVMIntEQ, b, zero, ""), AOT_TRAP_DIVIDE);
    if (opcode == LLVMSDiv) {
        least = LLVMConstInt(type, 1ull << (LLVMGetIntTypeWidth(type) - 1), 0);
        overflow = LLVMBuildAnd(t->b, LLVMBuildICmp(t->b, LLVMIntEQ, a, least, ""),
                                LLVMBuildICmp(t->b, LLVMIntEQ, b, minus, ""), "");
        aot_trap_if(t, overflow, AOT_TRAP_OVERFLOW);
    }
    /* The least integer modulo -1 is 0 in wasm and undefined in LLVM; so is everything modulo 1. */
    if (opcode == LLVMSRem)
        b = LLVMBuildSelect(t->b, LLVMBuildICmp(t->b, LLVMIntEQ, b, minus, ""), LLVMConstInt(type, 1, 0), b, "");
    aot_push(t, LLVMBuildBinOp(t->b, opcode, a, b, ""));
}

static void
unary(struct translator *t, const char *intrinsic)
{
    aot_push(t, aot_intrinsic1(t, intrinsic, aot_pop(t)));
}

static void
binary_intrinsic(struct translator *t, const char *intrinsic)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);

    aot_push(t, aot_intrinsic2(t, intrinsic, a, b));
}

static void
convert(struct translator *t, LLVMOpcode opcode, LLVMTypeRef type)
{
    aot_push(t, LLVMBuildCast(t->b, opcode, aot_pop(t), type, ""));
}

static void
rounded_binary(struct translator *t, const char *name)
{
    LLVMValueRef operands[2];

    operands[1] = aot_pop(t);
    operands[0] = aot_pop(t);
    aot_push(t, aot_rounded(t, name, LLVMTypeOf(operands[0]), operands, 2));
}

static void
rounded_unary(struct translator *t, const char *name, const struct wasm_instruction *i)
{
    LLVMValueRef a = aot_pop(t);

    aot_push(t, aot_rounded(t, name, wasm_operators[i->op].signature[2] == 'f' ? t->f32 : t->f64, &a, 1));
}

static void
extremum(struct translator *t, const char *name)
{
    LLVMValueRef b = aot_pop(t), a = aot_pop(t);

    aot_push(t, aot_quiet_extremum(t, name, a, b));
}

static void
sign_extend(struct translator *t, LLVMTypeRef narrow)
{
    LLVMValueRef a = aot_pop(t);

    aot_push(t, LLVMBuildSExt(t->b, LLVMBuildTrunc(t->b, a, narrow, ""), LLVMTypeOf(a), ""));
}

static void
truncate_saturating(struct translator *t, bool is_signed, LLVMTypeRef type)
{
    LLVMValueRef a = aot_pop(t);
    LLVMTypeRef overloads[2] = {type, LLVMTypeOf(a)};

    aot_push(t, aot_intrinsic(t, is_signed ? "llvm.fptosi.sat" : "llvm.fptoui.sat", overloads, 2, &a, 1));
}

/* Traps on NaN and on what does not fit. low: the greatest float below the range when `open`, else the
 * least inside it; high: the least above. All are exact in the operand's type. */
static void
truncate_checked(struct translator *t, bool is_signed, LLVMTypeRef type)
{
    LLVMValueRef a = aot_pop(t), above, below;
    unsigned bits = LLVMGetIntTypeWidth(type);
    bool open = !is_signed || (bits == 32 && LLVMTypeOf(a) == t->f64);
    double high = is_signed ? (bits == 32 ? 0x1p31 : 0x1p63) : (bits == 32 ? 0x1p32 : 0x1p64);
    double low = is_signed ? -high - (open ? 1 : 0) : -1;

    above = LLVMBuildFCmp(t->b, open ? LLVMRealULE : LLVMRealULT, a, LLVMConstReal(LLVMTypeOf(a), low), "");
    below = LLVMBuildFCmp(t->b, LLVMRealUGE, a, LLVMConstReal(LLVMTypeOf(a), high), "");
    aot_trap_if(t, LLVMBuildOr(t->b, above, below, ""), AOT_TRAP_CONVERSION);
    aot_push(t, is_signed ? LLVMBuildFPToSI(t->b, a, type, "") : LLVMBuildFPToUI(t->b, a, type, ""));
}

static void
load(struct translator *t, const struct wasm_instruction *i, LLVMTypeRef memory, LLVMTypeRef type, bool is_signed)
{
    LLVMValueRef p = aot_address(t, aot_pop(t), i->offset, 1u << wasm_operators[i->op].n);
    LLVMValueRef v = aot_load(t, memory, p, 1);

    if (memory != type)
        v = is_signed ? LLVMBuildSExt(t->b, v, type, "") : LLVMBuildZExt(t->b, v, type, "");
    aot_push(t, v);
}

static void
store(struct translator *t, const struct wasm_instruction *i, LLVMTypeRef memory)
{
    LLVMValueRef v = aot_pop(t);
    LLVMValueRef p = aot_address(t, aot_pop(t), i->offset, 1u << wasm_operators[i->op].n);

    aot_store(t, memory == LLVMTypeOf(v) ? v : LLVMBuildTrunc(t->b, v, memory, ""), p, 1);
}

/* A loop over bytes, inline: LLVM lowers memmove in address space 0 only, and nothing on the hot path
 * uses these two. backward: from the last byte to the first. */
static void
byte_loop(struct translator *t, LLVMValueRef to, LLVMValueRef from, LLVMValueRef value, LLVMValueRef count,
          bool backward, LLVMBasicBlockRef done)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(t->b), head = aot_new_block(t), body = aot_new_block(t);
    LLVMValueRef n, next, at, one = aot_i64(t, 1);

    LLVMBuildBr(t->b, head);
    LLVMPositionBuilderAtEnd(t->b, head);
    n = LLVMBuildPhi(t->b, t->i64, "");
    LLVMBuildCondBr(t->b, LLVMBuildICmp(t->b, LLVMIntULT, n, count, ""), body, done);
    LLVMPositionBuilderAtEnd(t->b, body);
    next = LLVMBuildAdd(t->b, n, one, "");
    at = backward ? LLVMBuildSub(t->b, count, next, "") : n;
    if (from)
        value = aot_load(t, t->i8, LLVMBuildIntToPtr(t->b, LLVMBuildAdd(t->b, from, at, ""), t->guest_pointer, ""), 1);
    aot_store(t, value, LLVMBuildIntToPtr(t->b, LLVMBuildAdd(t->b, to, at, ""), t->guest_pointer, ""), 1);
    LLVMBuildBr(t->b, head);
    LLVMAddIncoming(n, (LLVMValueRef[]){aot_i64(t, 0), next}, (LLVMBasicBlockRef[]){before, body}, 2);
}

static void
check_range(struct translator *t, LLVMValueRef start, LLVMValueRef count)
{
    LLVMValueRef end = LLVMBuildAdd(t->b, start, count, "");

    aot_trap_if(t, LLVMBuildICmp(t->b, LLVMIntUGT, end, aot_i64(t, AOT_MEMORY_SIZE), ""), AOT_TRAP_MEMORY);
}

static void
bulk(struct translator *t, bool copy)
{
    LLVMValueRef count = LLVMBuildZExt(t->b, aot_pop(t), t->i64, "");
    LLVMValueRef source = aot_pop(t), to = LLVMBuildZExt(t->b, aot_pop(t), t->i64, "");
    LLVMBasicBlockRef done = aot_new_block(t), down, up;

    check_range(t, to, count);
    if (copy) {
        source = LLVMBuildZExt(t->b, source, t->i64, "");
        check_range(t, source, count);
        down = aot_new_block(t);
        up = aot_new_block(t);
        LLVMBuildCondBr(t->b, LLVMBuildICmp(t->b, LLVMIntUGT, to, source, ""), down, up);
        LLVMPositionBuilderAtEnd(t->b, down);
        byte_loop(t, to, source, NULL, count, true, done);
        LLVMPositionBuilderAtEnd(t->b, up);
        byte_loop(t, to, source, NULL, count, false, done);
    } else {
        byte_loop(t, to, NULL, LLVMBuildTrunc(t->b, source, t->i8, ""), count, false, done);
    }
    aot_enter_block(t, done);
}

/* The memory has its maximum size: growing by nothing succeeds, by anything fails. */
static void
grow(struct translator *t)
{
    LLVMValueRef same = LLVMBuildICmp(t->b, LLVMIntEQ, aot_pop(t), aot_i32(t, 0), "");

    aot_push(t, LLVMBuildSelect(t->b, same, aot_i32(t, WASM_MAX_PAGES), aot_i32(t, ~0u), ""));
}

static bool
translate_memory(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
#define LOAD(id, memory, type, is_signed) \
    case WASM_OP_##id: load(t, i, t->memory, t->type, is_signed); return true;
#define STORE(id, memory) \
    case WASM_OP_##id: store(t, i, t->memory); return true;
        LOAD(I32_LOAD, i32, i32, false)
        LOAD(I64_LOAD, i64, i64, false)
        LOAD(F32_LOAD, f32, f32, false)
        LOAD(F64_LOAD, f64, f64, false)
        LOAD(I32_LOAD8_S, i8, i32, true)
        LOAD(I32_LOAD8_U, i8, i32, false)
        LOAD(I32_LOAD16_S, i16, i32, true)
        LOAD(I32_LOAD16_U, i16, i32, false)
        LOAD(I64_LOAD8_S, i8, i64, true)
        LOAD(I64_LOAD8_U, i8, i64, false)
        LOAD(I64_LOAD16_S, i16, i64, true)
        LOAD(I64_LOAD16_U, i16, i64, false)
        LOAD(I64_LOAD32_S, i32, i64, true)
        LOAD(I64_LOAD32_U, i32, i64, false)
        STORE(I32_STORE, i32)
        STORE(I64_STORE, i64)
        STORE(F32_STORE, f32)
        STORE(F64_STORE, f64)
        STORE(I32_STORE8, i8)
        STORE(I32_STORE16, i16)
        STORE(I64_STORE8, i8)
        STORE(I64_STORE16, i16)
        STORE(I64_STORE32, i32)
#undef LOAD
#undef STORE
    case WASM_OP_MEMORY_SIZE: aot_push(t, aot_i32(t, WASM_MAX_PAGES)); return true;
    case WASM_OP_MEMORY_GROW: grow(t); return true;
    case WASM_OP_MEMORY_COPY: bulk(t, true); return true;
    case WASM_OP_MEMORY_FILL: bulk(t, false); return true;
    case WASM_OP_I32_CONST: aot_push(t, aot_i32(t, (uint32_t)i->bits[0])); return true;
    case WASM_OP_I64_CONST: aot_push(t, aot_i64(t, i->bits[0])); return true;
    case WASM_OP_F32_CONST: aot_push(t, LLVMConstBitCast(aot_i32(t, (uint32_t)i->bits[0]), t->f32)); return true;
    case WASM_OP_F64_CONST: aot_push(t, LLVMConstBitCast(aot_i64(t, i->bits[0]), t->f64)); return true;
    default: return false;
    }
}

/* Both widths of an operator in one line. */
#define BOTH(type_a, type_b, name, action) \
    case WASM_OP_##type_a##_##name:        \
    case WASM_OP_##type_b##_##name: action; return true;
#define INTEGER(name, action) BOTH(I32, I64, name, action)
#define FLOAT(name, action)   BOTH(F32, F64, name, action)
#define ONE(id, action) \
    case WASM_OP_##id: action; return true;

static bool
translate_integer(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        INTEGER(EQZ, equal_zero(t))
        INTEGER(EQ, compare(t, LLVMIntEQ))
        INTEGER(NE, compare(t, LLVMIntNE))
        INTEGER(LT_S, compare(t, LLVMIntSLT))
        INTEGER(LT_U, compare(t, LLVMIntULT))
        INTEGER(GT_S, compare(t, LLVMIntSGT))
        INTEGER(GT_U, compare(t, LLVMIntUGT))
        INTEGER(LE_S, compare(t, LLVMIntSLE))
        INTEGER(LE_U, compare(t, LLVMIntULE))
        INTEGER(GE_S, compare(t, LLVMIntSGE))
        INTEGER(GE_U, compare(t, LLVMIntUGE))
        INTEGER(CLZ, count_zeros(t, "llvm.ctlz"))
        INTEGER(CTZ, count_zeros(t, "llvm.cttz"))
        INTEGER(POPCNT, unary(t, "llvm.ctpop"))
        INTEGER(ADD, binary(t, LLVMAdd))
        INTEGER(SUB, binary(t, LLVMSub))
        INTEGER(MUL, binary(t, LLVMMul))
        INTEGER(DIV_S, divide(t, LLVMSDiv))
        INTEGER(DIV_U, divide(t, LLVMUDiv))
        INTEGER(REM_S, divide(t, LLVMSRem))
        INTEGER(REM_U, divide(t, LLVMURem))
        INTEGER(AND, binary(t, LLVMAnd))
        INTEGER(OR, binary(t, LLVMOr))
        INTEGER(XOR, binary(t, LLVMXor))
        INTEGER(SHL, shift(t, LLVMShl))
        INTEGER(SHR_S, shift(t, LLVMAShr))
        INTEGER(SHR_U, shift(t, LLVMLShr))
        INTEGER(ROTL, rotate(t, "llvm.fshl"))
        INTEGER(ROTR, rotate(t, "llvm.fshr"))
        INTEGER(EXTEND8_S, sign_extend(t, t->i8))
        INTEGER(EXTEND16_S, sign_extend(t, t->i16))
        ONE(I64_EXTEND32_S, sign_extend(t, t->i32))
        ONE(I32_WRAP_I64, convert(t, LLVMTrunc, t->i32))
        ONE(I64_EXTEND_I32_S, convert(t, LLVMSExt, t->i64))
        ONE(I64_EXTEND_I32_U, convert(t, LLVMZExt, t->i64))
    default: return false;
    }
}

static bool
translate_float(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
        FLOAT(EQ, compare_float(t, LLVMRealOEQ))
        FLOAT(NE, compare_float(t, LLVMRealUNE))
        FLOAT(LT, compare_float(t, LLVMRealOLT))
        FLOAT(GT, compare_float(t, LLVMRealOGT))
        FLOAT(LE, compare_float(t, LLVMRealOLE))
        FLOAT(GE, compare_float(t, LLVMRealOGE))
        FLOAT(ABS, unary(t, "llvm.fabs"))
        FLOAT(NEG, aot_push(t, LLVMBuildFNeg(t->b, aot_pop(t), "")))
        FLOAT(CEIL, unary(t, "llvm.ceil"))
        FLOAT(FLOOR, unary(t, "llvm.floor"))
        FLOAT(TRUNC, unary(t, "llvm.trunc"))
        FLOAT(NEAREST, unary(t, "llvm.rint"))
        FLOAT(SQRT, rounded_unary(t, "sqrt", i))
        FLOAT(ADD, rounded_binary(t, "fadd"))
        FLOAT(SUB, rounded_binary(t, "fsub"))
        FLOAT(MUL, rounded_binary(t, "fmul"))
        FLOAT(DIV, rounded_binary(t, "fdiv"))
        FLOAT(MIN, extremum(t, "llvm.minimum"))
        FLOAT(MAX, extremum(t, "llvm.maximum"))
        FLOAT(COPYSIGN, binary_intrinsic(t, "llvm.copysign"))
        ONE(F32_DEMOTE_F64, rounded_unary(t, "fptrunc", i))
        ONE(F64_PROMOTE_F32, convert(t, LLVMFPExt, t->f64))
        FLOAT(CONVERT_I32_S, rounded_unary(t, "sitofp", i))
        FLOAT(CONVERT_I64_S, rounded_unary(t, "sitofp", i))
        FLOAT(CONVERT_I32_U, rounded_unary(t, "uitofp", i))
        FLOAT(CONVERT_I64_U, rounded_unary(t, "uitofp", i))
        ONE(I32_REINTERPRET_F32, convert(t, LLVMBitCast, t->i32))
        ONE(I64_REINTERPRET_F64, convert(t, LLVMBitCast, t->i64))
        ONE(F32_REINTERPRET_I32, convert(t, LLVMBitCast, t->f32))
        ONE(F64_REINTERPRET_I64, convert(t, LLVMBitCast, t->f64))
    default: return false;
    }
}

static bool
translate_truncation(struct translator *t, const struct wasm_instruction *i)
{
    const char *signature = wasm_operators[i->op].signature;
    LLVMTypeRef type = signature[2] == 'i' ? t->i32 : t->i64;

    switch (i->op) {
    case WASM_OP_I32_TRUNC_F32_S:
    case WASM_OP_I32_TRUNC_F64_S:
    case WASM_OP_I64_TRUNC_F32_S:
    case WASM_OP_I64_TRUNC_F64_S: truncate_checked(t, true, type); return true;
    case WASM_OP_I32_TRUNC_F32_U:
    case WASM_OP_I32_TRUNC_F64_U:
    case WASM_OP_I64_TRUNC_F32_U:
    case WASM_OP_I64_TRUNC_F64_U: truncate_checked(t, false, type); return true;
    case WASM_OP_I32_TRUNC_SAT_F32_S:
    case WASM_OP_I32_TRUNC_SAT_F64_S:
    case WASM_OP_I64_TRUNC_SAT_F32_S:
    case WASM_OP_I64_TRUNC_SAT_F64_S: truncate_saturating(t, true, type); return true;
    case WASM_OP_I32_TRUNC_SAT_F32_U:
    case WASM_OP_I32_TRUNC_SAT_F64_U:
    case WASM_OP_I64_TRUNC_SAT_F32_U:
    case WASM_OP_I64_TRUNC_SAT_F64_U: truncate_saturating(t, false, type); return true;
    default: return false;
    }
}

bool
aot_translate_scalar(struct translator *t, const struct wasm_instruction *i)
{
    return translate_memory(t, i) || translate_integer(t, i) || translate_float(t, i) || translate_truncation(t, i);
}
