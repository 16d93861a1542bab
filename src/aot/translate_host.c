/* intrinsic.NAME for the processor's own instructions (HOST() of ir/ops.def): one each, by LLVM's name for it. Their
 * exceptions and rounding are MXCSR's, which LLVM does not touch: it neither folds nor repeats these. */
#include "aot/emit.h"

#include <stdio.h>
#include <string.h>

#include "base/fma.h"

enum form {
    TO_INT,     /* scalar -> integer */
    UNARY,      /* vector -> vector */
    BINARY,     /* two vectors */
    PREDICATE,  /* two vectors and an i8 constant */
    ROUND,      /* vector and an i32 constant */
    ROUND_ONE,  /* scalar and an i32 constant */
    EXCEPTIONS, /* two scalars, no result */
    /* of level v3, in assembly: LLVM has no intrinsics of them, or none without the processor's features */
    VEX_COMPARE, /* two vectors and an immediate */
    VEX_FMA,     /* three vectors; the immediate is which (base/fma.h) */
    VEX_WIDEN,   /* a vector */
    VEX_NARROW   /* a vector and an immediate */
};

static const struct host {
    const char *name, *llvm; /* EXCEPTIONS and the last four: assembly; VEX_FMA: its type */
    uint8_t form, shape;     /* enum aot_shape of the operands; a scalar is lane 0 */
    uint8_t result;          /* TO_INT: WASM_I32, WASM_I64 */
} hosts[] = {
    {"cvttss2si32", "llvm.x86.sse.cvttss2si", TO_INT, AOT_F32X4, WASM_I32},
    {"cvttss2si64", "llvm.x86.sse.cvttss2si64", TO_INT, AOT_F32X4, WASM_I64},
    {"cvttsd2si32", "llvm.x86.sse2.cvttsd2si", TO_INT, AOT_F64X2, WASM_I32},
    {"cvttsd2si64", "llvm.x86.sse2.cvttsd2si64", TO_INT, AOT_F64X2, WASM_I64},
    {"cvtss2si32", "llvm.x86.sse.cvtss2si", TO_INT, AOT_F32X4, WASM_I32},
    {"cvtss2si64", "llvm.x86.sse.cvtss2si64", TO_INT, AOT_F32X4, WASM_I64},
    {"cvtsd2si32", "llvm.x86.sse2.cvtsd2si", TO_INT, AOT_F64X2, WASM_I32},
    {"cvtsd2si64", "llvm.x86.sse2.cvtsd2si64", TO_INT, AOT_F64X2, WASM_I64},
    {"cvttps2dq", "llvm.x86.sse2.cvttps2dq", UNARY, AOT_F32X4, 0},
    {"cvttpd2dq", "llvm.x86.sse2.cvttpd2dq", UNARY, AOT_F64X2, 0},
    {"cvtps2dq", "llvm.x86.sse2.cvtps2dq", UNARY, AOT_F32X4, 0},
    {"cvtpd2dq", "llvm.x86.sse2.cvtpd2dq", UNARY, AOT_F64X2, 0},
    {"roundss", "llvm.x86.sse41.round.ss", ROUND_ONE, AOT_F32X4, WASM_F32},
    {"roundsd", "llvm.x86.sse41.round.sd", ROUND_ONE, AOT_F64X2, WASM_F64},
    {"roundps", "llvm.x86.sse41.round.ps", ROUND, AOT_F32X4, 0},
    {"roundpd", "llvm.x86.sse41.round.pd", ROUND, AOT_F64X2, 0},
    {"cmpss", "llvm.x86.sse.cmp.ss", PREDICATE, AOT_F32X4, 0},
    {"cmpsd", "llvm.x86.sse2.cmp.sd", PREDICATE, AOT_F64X2, 0},
    {"cmpps", "llvm.x86.sse.cmp.ps", PREDICATE, AOT_F32X4, 0},
    {"cmppd", "llvm.x86.sse2.cmp.pd", PREDICATE, AOT_F64X2, 0},
    {"comiss", "comiss $1, $0", EXCEPTIONS, AOT_F32X4, WASM_F32},
    {"comisd", "comisd $1, $0", EXCEPTIONS, AOT_F64X2, WASM_F64},
    {"minss", "llvm.x86.sse.min.ss", BINARY, AOT_F32X4, 0},
    {"minsd", "llvm.x86.sse2.min.sd", BINARY, AOT_F64X2, 0},
    {"minps", "llvm.x86.sse.min.ps", BINARY, AOT_F32X4, 0},
    {"minpd", "llvm.x86.sse2.min.pd", BINARY, AOT_F64X2, 0},
    {"maxss", "llvm.x86.sse.max.ss", BINARY, AOT_F32X4, 0},
    {"maxsd", "llvm.x86.sse2.max.sd", BINARY, AOT_F64X2, 0},
    {"maxps", "llvm.x86.sse.max.ps", BINARY, AOT_F32X4, 0},
    {"maxpd", "llvm.x86.sse2.max.pd", BINARY, AOT_F64X2, 0},
    {"addsubps", "llvm.x86.sse3.addsub.ps", BINARY, AOT_F32X4, 0},
    {"addsubpd", "llvm.x86.sse3.addsub.pd", BINARY, AOT_F64X2, 0},
    {"dpps", "llvm.x86.sse41.dpps", PREDICATE, AOT_F32X4, 0},
    {"dppd", "llvm.x86.sse41.dppd", PREDICATE, AOT_F64X2, 0},
    {"vcmpss", "vcmpss", VEX_COMPARE, AOT_F32X4, 0},
    {"vcmpsd", "vcmpsd", VEX_COMPARE, AOT_F64X2, 0},
    {"vcmpps", "vcmpps", VEX_COMPARE, AOT_F32X4, 0},
    {"vcmppd", "vcmppd", VEX_COMPARE, AOT_F64X2, 0},
    {"vfmass", "ss", VEX_FMA, AOT_F32X4, 0},
    {"vfmasd", "sd", VEX_FMA, AOT_F64X2, 0},
    {"vfmaps", "ps", VEX_FMA, AOT_F32X4, 0},
    {"vfmapd", "pd", VEX_FMA, AOT_F64X2, 0},
    {"vcvtph2ps", "vcvtph2ps", VEX_WIDEN, AOT_F32X4, 0},
    {"vcvtps2ph", "vcvtps2ph", VEX_NARROW, AOT_F32X4, 0},
};

static const struct host *
find(struct wasm_bytes name)
{
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (wasm_bytes_equal(name, hosts[i].name))
            return &hosts[i];
    }
    return NULL;
}

/* Parameter types into p, result (0: none); returns how many. */
static unsigned
parameters(const struct host *h, uint8_t p[4], uint8_t *result)
{
    uint8_t scalar = h->shape == AOT_F32X4 ? WASM_F32 : WASM_F64;

    p[0] = p[1] = WASM_V128;
    p[2] = WASM_I32;
    *result = h->result ? h->result : WASM_V128;
    switch ((enum form)h->form) {
    case TO_INT: p[0] = scalar; return 1;
    case UNARY:
    case VEX_WIDEN: return 1;
    case BINARY: return 2;
    case PREDICATE:
    case VEX_COMPARE: return 3;
    case VEX_FMA:
        p[2] = WASM_V128;
        p[3] = WASM_I32;
        return 4;
    case ROUND:
    case VEX_NARROW: p[1] = WASM_I32; return 2;
    case ROUND_ONE:
        p[0] = scalar;
        p[1] = WASM_I32;
        return 2;
    default:
        p[0] = p[1] = scalar;
        *result = 0;
        return 2;
    }
}

bool
aot_is_host_import(struct wasm_bytes name, const struct wasm_functype *type)
{
    const struct host *h = find(name);
    uint8_t p[4], result;
    unsigned count;

    if (!h)
        return false;
    count = parameters(h, p, &result);
    if (type->param_count != count || type->result_count != (result != 0) || (result && type->results[0] != result))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (type->params[i] != p[i])
            return false;
    }
    return true;
}

static LLVMValueRef
in_vector(struct translator *t, const struct host *h, LLVMValueRef scalar)
{
    return LLVMBuildInsertElement(t->b, LLVMGetPoison(t->vec[h->shape]), scalar, aot_i32(t, 0), "");
}

static LLVMValueRef
pop_scalar(struct translator *t, const struct host *h)
{
    return aot_cast(t, aot_pop(t), h->shape == AOT_F32X4 ? t->f32 : t->f64);
}

static void
signal_exceptions(struct translator *t, const struct host *h)
{
    LLVMValueRef args[2];
    LLVMTypeRef types[2], type;

    args[1] = pop_scalar(t, h);
    args[0] = pop_scalar(t, h);
    types[0] = types[1] = LLVMTypeOf(args[0]);
    type = LLVMFunctionType(LLVMVoidTypeInContext(t->context), types, 2, 0);
    LLVMBuildCall2(t->b, type,
                   LLVMGetInlineAsm(type, h->llvm, strlen(h->llvm), "x,x,~{flags}", strlen("x,x,~{flags}"), 1, 0,
                                    LLVMInlineAsmDialectATT, 0),
                   args, 2, "");
}

/* The first operand of a * b + c is the destination, too. */
static const char *
vex_assembly(const struct host *h, unsigned imm, char *text, size_t size)
{
    static const char *const kinds[] =
        {[FMA_ADD] = "vfmadd",          [FMA_SUB] = "vfmsub",       [FMA_NEGATED_ADD] = "vfnmadd",
         [FMA_NEGATED_SUB] = "vfnmsub", [FMA_ADDSUB] = "vfmaddsub", [FMA_SUBADD] = "vfmsubadd"};
    static const char *const orders[] = {[FMA_132] = "132", [FMA_213] = "213", [FMA_231] = "231"};

    switch ((enum form)h->form) {
    case VEX_FMA:
        if ((imm & 15) > (h->llvm[0] == 's' ? FMA_NEGATED_SUB : FMA_SUBADD) || imm >> 4 > FMA_231)
            return NULL;
        snprintf(text, size, "%s%s%s $3, $2, $0", kinds[imm & 15], orders[imm >> 4], h->llvm);
        return "=x,0,x,x";
    case VEX_COMPARE: snprintf(text, size, "%s $$%u, $2, $1, $0", h->llvm, imm & 31); return "=x,x,x";
    case VEX_NARROW: snprintf(text, size, "%s $$%u, $1, $0", h->llvm, imm & 7); return "=x,x";
    default: snprintf(text, size, "%s $1, $0", h->llvm); return "=x,x";
    }
}

/* Assembly, which LLVM neither folds nor moves across what reads or writes MXCSR. */
static int
translate_vex(struct translator *t, const struct host *h, unsigned imm)
{
    unsigned count = h->form == VEX_FMA ? 3 : h->form == VEX_COMPARE ? 2 : 1;
    LLVMTypeRef vector = t->vec[h->shape], types[3] = {vector, vector, vector};
    LLVMTypeRef type = LLVMFunctionType(vector, types, count, 0);
    LLVMValueRef args[3];
    char text[64];
    const char *constraints = vex_assembly(h, imm, text, sizeof text);

    if (!constraints)
        return err_set(t->e, "intrinsic.%s has no variant %u", h->name, imm);
    for (unsigned i = count; i-- > 0;)
        args[i] = aot_pop_vec(t, h->shape);
    aot_push(t, LLVMBuildCall2(t->b, type,
                               LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), 1, 0,
                                                LLVMInlineAsmDialectATT, 0),
                               args, count, ""));
    return 0;
}

int
aot_translate_host(struct translator *t, struct wasm_bytes name)
{
    const struct host *h = find(name);
    bool immediate = h->form == PREDICATE || h->form == ROUND || h->form == ROUND_ONE || h->form == VEX_COMPARE ||
                     h->form == VEX_FMA || h->form == VEX_NARROW;
    LLVMValueRef args[3], imm = NULL, v;
    unsigned count = 0;

    if (h->form == EXCEPTIONS) {
        signal_exceptions(t, h);
        return 0;
    }
    if (immediate) {
        imm = aot_pop(t);
        if (!LLVMIsAConstantInt(imm) || LLVMConstIntGetZExtValue(imm) > UINT8_MAX)
            return err_set(t->e, "intrinsic.%s takes an immediate of one byte", h->name);
    }
    if (h->form >= VEX_COMPARE)
        return translate_vex(t, h, imm ? (unsigned)LLVMConstIntGetZExtValue(imm) : 0);
    if (immediate)
        imm = LLVMConstInt(h->form == PREDICATE ? t->i8 : t->i32, LLVMConstIntGetZExtValue(imm), 0);
    if (h->form == BINARY || h->form == PREDICATE)
        args[1] = aot_pop_vec(t, h->shape);
    args[0] = h->form == TO_INT || h->form == ROUND_ONE ? in_vector(t, h, pop_scalar(t, h)) : aot_pop_vec(t, h->shape);
    count = h->form == BINARY || h->form == PREDICATE ? 2 : 1;
    if (h->form == ROUND_ONE)
        args[count++] = args[0]; /* the rest comes from the first, what is rounded from the second */
    if (immediate)
        args[count++] = imm;
    v = aot_intrinsic(t, h->llvm, NULL, 0, args, count);
    aot_push(t, h->form == ROUND_ONE ? LLVMBuildExtractElement(t->b, v, aot_i32(t, 0), "") : v);
    return 0;
}
