/* The lifters of x87, and of the areas that fxsave and xsave write. Each x87 instruction is a call of a helper, with
 * its operands packed as x86/helper_codes.h says. The last argument is the address of the instruction. Waiting
 * instructions need it to raise #MF, the exception for an x87 error that is pending. */
#include "lift/simd.h"
#include "x86/fxsave.h"

#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)

static const struct x86_operand *
memory(const struct lift *l)
{
    for (unsigned i = 0; i < l->insn->operand_count; i++)
        if (l->insn->operand[i].kind == X86_OPD_MEM)
            return &l->insn->operand[i];
    return NULL;
}

/* The number of the last ST operand in the assembler's order, which is the source of fcom, fld and fxch. It is 1 when
 * the instruction has no operand. */
static unsigned
last_st(const struct lift *l)
{
    unsigned n = l->insn->operand_count;
    return n ? l->insn->operand[n - 1].reg & 7 : 1;
}

static uint32_t
float_format(const struct x86_operand *o)
{
    return o->size == 4 ? X87_F32 : o->size == 8 ? X87_F64 : X87_F80;
}

static uint32_t
int_format(const struct x86_operand *o)
{
    return o->size == 2 ? X87_I16 : o->size == 4 ? X87_I32 : X87_I64;
}

static void
call_memory(struct lift *l, enum ir_helper h, uint32_t code, const struct x86_operand *o)
{
    ir_helper(l->b, h, ir_const32(l->b, code), simd_address(l, o), simd_pc(l));
}

static void
call(struct lift *l, enum ir_helper h, uint32_t code)
{
    ir_helper(l->b, h, ir_const32(l->b, code), simd_pc(l), IR_NO_VALUE);
}

static void
stack(struct lift *l, enum x87_stack op, unsigned i)
{
    ir_helper(l->b, IR_HELPER_x87_stack, ir_const32(l->b, op), ir_const32(l->b, i), simd_pc(l));
}

/* --- loads and stores --- */
LIFTER(fld)
{
    const struct x86_operand *o = memory(l);
    if (o)
        call_memory(l, IR_HELPER_x87_load, float_format(o), o);
    else
        stack(l, X87_FLD, last_st(l));
}

LIFTER(fild)
{
    call_memory(l, IR_HELPER_x87_load, int_format(OPD(0)), OPD(0));
}

LIFTER(fbld)
{
    call_memory(l, IR_HELPER_x87_load, X87_BCD, OPD(0));
}

LIFTER(fst)
{
    const struct x86_operand *o = memory(l);
    if (o)
        call_memory(l, IR_HELPER_x87_store, float_format(o), o);
    else
        stack(l, X87_FST, OPD(0)->reg & 7);
}

/* Is it the undocumented D9 D8+i, a fstp that does not look for a stack fault? */
static bool
is_unchecked(const struct lift *l)
{
    uint64_t at = l->insn->address - l->request->address + l->insn->length - 2;
    return at < l->request->size && l->request->bytes[at] == 0xd9;
}

LIFTER(fstp)
{
    const struct x86_operand *o = memory(l);
    if (o)
        call_memory(l, IR_HELPER_x87_store, float_format(o) | X87_POP, o);
    else
        stack(l, is_unchecked(l) ? X87_FSTPNCE : X87_FSTP, OPD(0)->reg & 7);
}

LIFTER(fist)
{
    call_memory(l, IR_HELPER_x87_store, int_format(OPD(0)), OPD(0));
}

LIFTER(fistp)
{
    call_memory(l, IR_HELPER_x87_store, int_format(OPD(0)) | X87_POP, OPD(0));
}

LIFTER(fisttp)
{
    call_memory(l, IR_HELPER_x87_store, int_format(OPD(0)) | X87_POP | X87_TRUNCATE, OPD(0));
}

LIFTER(fbstp)
{
    call_memory(l, IR_HELPER_x87_store, X87_BCD | X87_POP, OPD(0));
}

/* --- arithmetic --- */
static void
arith(struct lift *l, enum x87_arith op, uint32_t pop, bool integer)
{
    const struct x86_operand *o = memory(l);
    if (o) {
        uint32_t format = integer ? int_format(o) : float_format(o);
        call_memory(l, IR_HELPER_x87_arith_mem, op | X87_FORMAT(format), o);
        return;
    }
    unsigned dst = 1, src = 0; /* These are the operands of faddp when it is written without any. */
    if (l->insn->operand_count > 1) {
        dst = OPD(0)->reg & 7;
        src = OPD(1)->reg & 7;
    }
    call(l, IR_HELPER_x87_arith, op | X87_DST(dst) | X87_SRC(src) | pop);
}

#define ARITH(name, op)               \
    LIFTER(f##name)                   \
    {                                 \
        arith(l, op, 0, false);       \
    }                                 \
    LIFTER(f##name##p)                \
    {                                 \
        arith(l, op, X87_POP, false); \
    }                                 \
    LIFTER(fi##name)                  \
    {                                 \
        arith(l, op, 0, true);        \
    }
ARITH(add, X87_ADD)
ARITH(mul, X87_MUL)
ARITH(sub, X87_SUB)
ARITH(subr, X87_SUBR)
ARITH(div, X87_DIV)
ARITH(divr, X87_DIVR)

/* --- comparisons --- */
static void
compare(struct lift *l, uint32_t bits, bool integer)
{
    const struct x86_operand *o = memory(l);
    if (o)
        call_memory(l, IR_HELPER_x87_compare_mem, bits | X87_FORMAT(integer ? int_format(o) : float_format(o)), o);
    else
        call(l, IR_HELPER_x87_compare, bits | X87_SRC(last_st(l)));
}

#define COMPARE(name, bits, integer) \
    LIFTER(name)                     \
    {                                \
        compare(l, bits, integer);   \
    }
COMPARE(fcom, 0, false)
COMPARE(fcomp, X87_POP, false)
COMPARE(fcompp, X87_POP | X87_POP2, false)
COMPARE(fucom, X87_UNORDERED, false)
COMPARE(fucomp, X87_UNORDERED | X87_POP, false)
COMPARE(fucompp, X87_UNORDERED | X87_POP | X87_POP2, false)
COMPARE(ficom, 0, true)
COMPARE(ficomp, X87_POP, true)

static void
compare_flags(struct lift *l, uint32_t bits)
{
    ir_value one = ir_const32(l->b, 1), zero = ir_const32(l->b, 0);
    ir_value r =
        ir_helper(l->b, IR_HELPER_x87_comi, ir_const32(l->b, bits | X87_SRC(last_st(l))), simd_pc(l), IR_NO_VALUE);
    lift_set_flag(l, X86_FLAG_CF, ir_op2(l->b, IR_AND32, r, one));
    lift_set_flag(l, X86_FLAG_PF, ir_op2(l->b, IR_AND32, ir_op2(l->b, IR_SHRU32, r, one), one));
    lift_set_flag(l, X86_FLAG_ZF, ir_op2(l->b, IR_SHRU32, r, ir_const32(l->b, 2)));
    lift_set_flag(l, X86_FLAG_OF, zero);
    lift_set_flag(l, X86_FLAG_SF, zero);
    lift_set_flag(l, X86_FLAG_AF, zero);
}

#define COMPARE_FLAGS(name, bits) \
    LIFTER(name)                  \
    {                             \
        compare_flags(l, bits);   \
    }
COMPARE_FLAGS(fcomi, 0)
COMPARE_FLAGS(fcomip, X87_POP)
COMPARE_FLAGS(fucomi, X87_UNORDERED)
COMPARE_FLAGS(fucomip, X87_UNORDERED | X87_POP)

/* --- on the top of the stack --- */
#define UNARY(name, op)                   \
    LIFTER(name)                          \
    {                                     \
        call(l, IR_HELPER_x87_unary, op); \
    }
UNARY(fchs, X87_CHS)
UNARY(fabs, X87_ABS)
UNARY(ftst, X87_TST)
UNARY(fxam, X87_XAM)
UNARY(fld1, X87_LD1)
UNARY(fldl2t, X87_LDL2T)
UNARY(fldl2e, X87_LDL2E)
UNARY(fldpi, X87_LDPI)
UNARY(fldlg2, X87_LDLG2)
UNARY(fldln2, X87_LDLN2)
UNARY(fldz, X87_LDZ)
UNARY(f2xm1, X87_2XM1)
UNARY(fyl2x, X87_YL2X)
UNARY(fptan, X87_PTAN)
UNARY(fpatan, X87_PATAN)
UNARY(fxtract, X87_XTRACT)
UNARY(fprem1, X87_PREM1)
UNARY(fprem, X87_PREM)
UNARY(fyl2xp1, X87_YL2XP1)
UNARY(fsqrt, X87_SQRT)
UNARY(fsincos, X87_SINCOS)
UNARY(frndint, X87_RNDINT)
UNARY(fscale, X87_SCALE)
UNARY(fsin, X87_SIN)
UNARY(fcos, X87_COS)

static void
conditional_move(struct lift *l, enum x86_cc cc)
{
    ir_value condition = lift_condition(l, cc);
    ir_helper(l->b, IR_HELPER_x87_cmov, ir_const32(l->b, last_st(l)), condition, simd_pc(l));
}

#define CMOV(name, cc)           \
    LIFTER(fcmov##name)          \
    {                            \
        conditional_move(l, cc); \
    }
CMOV(b, X86_CC_B)
CMOV(e, X86_CC_E)
CMOV(be, X86_CC_BE)
CMOV(u, X86_CC_P)
CMOV(nb, X86_CC_AE)
CMOV(ne, X86_CC_NE)
CMOV(nbe, X86_CC_A)
CMOV(nu, X86_CC_NP)

/* --- the stack and control --- */
#define STACK(name, op, i) \
    LIFTER(name)           \
    {                      \
        stack(l, op, i);   \
    }
STACK(fxch, X87_FXCH, last_st(l))
STACK(ffree, X87_FFREE, last_st(l))
STACK(ffreep, X87_FFREEP, last_st(l))
STACK(fincstp, X87_FINCSTP, 0)
STACK(fdecstp, X87_FDECSTP, 0)
STACK(fwait, X87_FWAIT, 0)
STACK(fnop, X87_FWAIT, 0)
STACK(fnclex, X87_FNCLEX, 0)
STACK(fninit, X87_FNINIT, 0)

/* Instructions of the 8087 and the 80287 that do nothing any more. */
#define NOTHING(name) \
    LIFTER(name)      \
    {                 \
        (void)l;      \
    }
NOTHING(fneni)
NOTHING(fndisi)
NOTHING(fnsetpm)

LIFTER(fldcw)
{
    call_memory(l, IR_HELPER_x87_control, X87_LDCW, OPD(0));
}

LIFTER(fnstcw)
{
    call_memory(l, IR_HELPER_x87_control, X87_STCW, OPD(0));
}

LIFTER(fnstsw)
{
    if (OPD(0)->kind == X86_OPD_MEM)
        call_memory(l, IR_HELPER_x87_control, X87_STSW, OPD(0));
    else
        lift_write_gpr(l, X86_RAX, 2, ir_helper(l->b, IR_HELPER_x87_status, IR_NO_VALUE, IR_NO_VALUE, IR_NO_VALUE));
}

LIFTER(fldenv)
{
    call_memory(l, IR_HELPER_x87_control, l->insn->opsize == 2 ? X87_LDENV16 : X87_LDENV, OPD(0));
}

LIFTER(fnstenv)
{
    call_memory(l, IR_HELPER_x87_control, l->insn->opsize == 2 ? X87_STENV16 : X87_STENV, OPD(0));
}

LIFTER(fnsave)
{
    call_memory(l, IR_HELPER_x87_state, l->insn->opsize == 2 ? X87_SAVE16 : X87_SAVE, OPD(0));
}

LIFTER(frstor)
{
    call_memory(l, IR_HELPER_x87_state, l->insn->opsize == 2 ? X87_RSTOR16 : X87_RSTOR, OPD(0));
}

/* --- fxsave and xsave areas --- */
LIFTER(fxsave)
{
    call_memory(l, IR_HELPER_fxsave, l->insn->opsize == 8, OPD(0));
}

LIFTER(fxrstor)
{
    call_memory(l, IR_HELPER_fxrstor, l->insn->opsize == 8, OPD(0));
}

/* Calls a helper with the components that EDX:EAX asks for and with REX.W in bit 8. EAX is enough, because all the
 * components that exist here (XCR0) are in it. */
static void
extended(struct lift *l, enum ir_helper h)
{
    uint32_t components = X86_XSAVE_X87 | X86_XSAVE_SSE | (x86_level() >= X86_LEVEL_V3 ? X86_XSAVE_AVX : 0);
    ir_value mask = ir_op2(l->b, IR_AND32, lift_read_gpr(l, X86_RAX, 4), ir_const32(l->b, components));

    if (l->insn->opsize == 8)
        mask = ir_op2(l->b, IR_OR32, mask, ir_const32(l->b, 0x100));
    ir_helper(l->b, h, mask, simd_address(l, OPD(0)), simd_pc(l));
}

LIFTER(xsave)
{
    extended(l, IR_HELPER_xsave);
}

LIFTER(xrstor)
{
    extended(l, IR_HELPER_xrstor);
}
