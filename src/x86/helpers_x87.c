/* x87 instructions, executed by the host's own x87 under the guest's control word, so that results, rounding,
 * condition codes and exception flags are the hardware's; those that processors do differently are in
 * helpers_x87_functions.c. Stack and tags are kept here: the host's register stack is empty between helpers, and
 * exceptions are always masked on the host; an unmasked one is found in the flags afterwards and delivered as #MF by
 * the next waiting instruction.
 *
 * An unmasked overflow or underflow leaves the masked response in the register (hardware stores a scaled one).
 *
 * Every inline assembly leaves the host's register stack as it found it. */
#include "x86/x87_internal.h"

#include <string.h>

static const uint16_t host_control = X87_CONTROL_DEFAULT;

/* --- the host's x87 --- */
/* Loads the guest's control word, masked. Flags left on the host that the guest has too do no harm; others, and
 * all if an exception is unmasked and must be told from an older one, are cleared. */
static inline void
host_begin(const struct x86_x87 *f)
{
    uint16_t sw;
    __asm__ volatile("fnstsw %0" : "=a"(sw));
    if ((sw & 0x7f & ~f->status) || (~f->control & X87_SW_EXCEPTIONS))
        __asm__ volatile("fnclex");
    if (f->control != X87_CONTROL_DEFAULT) {
        uint16_t cw = f->control | X87_SW_EXCEPTIONS;
        __asm__ volatile("fldcw %0" : : "m"(cw));
    }
}

/* Takes over the flags sw the instruction left. False: an unmasked exception that is found before the operation
 * (invalid, denormal, zero divide) keeps its result from being stored. */
static inline bool
host_end(struct x86_x87 *f, uint16_t sw, uint16_t conditions)
{
    if (f->control != X87_CONTROL_DEFAULT)
        __asm__ volatile("fldcw %0" : : "m"(host_control));
    uint16_t unmasked = sw & X87_SW_EXCEPTIONS & ~f->control;
    if (__builtin_expect(unmasked & X87_SW_BEFORE, 0)) /* nor does it raise what follows the operation */
        sw &= (uint16_t)~(X87_SW_AFTER | X87_SW_C1);
    f->status = (uint16_t)((f->status & ~conditions) | (sw & (X87_SW_EXCEPTIONS | conditions)));
    if (__builtin_expect(unmasked, 0)) {
        f->status |= X87_SW_ES | X87_SW_B;
        return !(unmasked & X87_SW_BEFORE);
    }
    return true;
}

/* --- loads --- */
#define LOAD(insn, m) __asm__ volatile(insn " %2\n\tfnstsw %0\n\tfstpt %1" : "=&a"(sw), "+m"(v) : "m"(m))

/* 18 digits, each in four bits; what has more than nine is no digit, and undefined for the processor. */
static int64_t
from_decimal(const uint8_t raw[10])
{
    int64_t v = 0;
    for (int i = 8; i >= 0; i--)
        v = v * 100 + (raw[i] >> 4) * 10 + (raw[i] & 15);
    return v;
}

void
helper_x87_load(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = x87_begin_memory(pc, address);
    uint8_t raw[10] = {0};
    static const uint8_t sizes[] = {4, 8, 10, 2, 4, 8, 10};
    unsigned format = code & 0xff;
    struct x86_x87_reg v = {0};
    int64_t decimal;
    uint16_t sw = 0;
    bool fault;
    if (format > X87_BCD)
        return;
    x86_guest_read(raw, address, sizes[format]);
    if (!x87_push_check(f, &fault))
        return;
    if (fault) {
        x87_push(f, &x87_indefinite);
        return;
    }
    if (format == X87_F80) {
        memcpy(&v, raw, 10);
        f->status &= (uint16_t)~X87_SW_C1;
        x87_push(f, &v);
        return;
    }
    host_begin(f);
    switch (format) {
    case X87_F32: LOAD("flds", *(float *)raw); break;
    case X87_F64: LOAD("fldl", *(double *)raw); break;
    case X87_I16: LOAD("filds", *(int16_t *)raw); break;
    case X87_I32: LOAD("fildl", *(int32_t *)raw); break;
    case X87_I64: LOAD("fildq", *(int64_t *)raw); break;
    default:
        decimal = from_decimal(raw);
        LOAD("fildq", decimal);
        v.sign_exponent |= (uint16_t)(raw[9] & 0x80) << 8;
        break;
    }
    host_end(f, sw & (uint16_t)~X87_SW_C1, X87_SW_C1);
    /* A denormal is loaded even when its exception is unmasked. */
    if (!(sw & X87_SW_IE & ~f->control))
        x87_push(f, &v);
}

/* --- stores --- */
#define STORE(insn, size) \
    __asm__ volatile("fldt %2\n\t" insn " %1\n\tfnstsw %0" : "=a"(sw), "=m"(*(uint8_t(*)[size])out) : "m"(*v))

/* Converts into out; size of it. */
static unsigned
convert_out(uint32_t code, const struct x86_x87_reg *v, uint8_t out[10], uint16_t *status)
{
    uint16_t sw = 0;
    unsigned size;
    bool truncate = code & X87_TRUNCATE;
    switch (code & 0xff) {
    case X87_F32:
        STORE("fstps", 4);
        size = 4;
        break;
    case X87_F64:
        STORE("fstpl", 8);
        size = 8;
        break;
    case X87_I16:
        if (truncate)
            STORE("fisttps", 2);
        else
            STORE("fistps", 2);
        size = 2;
        break;
    case X87_I32:
        if (truncate)
            STORE("fisttpl", 4);
        else
            STORE("fistpl", 4);
        size = 4;
        break;
    case X87_I64:
        if (truncate)
            STORE("fisttpq", 8);
        else
            STORE("fistpq", 8);
        size = 8;
        break;
    default:
        STORE("fbstp", 10);
        size = 10;
        break;
    }
    *status = sw;
    return size;
}

/* Ten bytes over two pages fault before anything is written. */
static void
store_ten(uint32_t address, const void *data)
{
    uint8_t *to = x86_guest(address);

    if ((address & 4095) > 4096 - 10) {
        __asm__ volatile("lock orb $0, %0" : "+m"(to[0]));
        __asm__ volatile("lock orb $0, %0" : "+m"(to[9]));
    }
    memcpy(to, data, 10);
}

static void
store(uint32_t address, const void *data, unsigned size)
{
    if (size == 10)
        store_ten(address, data);
    else
        x86_guest_write(address, data, size);
}

void
helper_x87_store(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = x87_begin_memory(pc, address);
    uint8_t out[10];
    uint16_t sw;
    unsigned size;
    if (!x87_valid(f, 0)) {
        if (!(f->control & X87_SW_IE)) {
            x87_stack_fault(f, false);
            return;
        }
        if ((code & 0xff) == X87_F80) {
            store_ten(address, &x87_indefinite);
        } else {
            size = convert_out(code, &x87_indefinite, out, &sw);
            __asm__ volatile("fnclex");
            store(address, out, size);
        }
        x87_stack_fault(f, false);
    } else if ((code & 0xff) == X87_F80) {
        store_ten(address, x87_st(f, 0));
        f->status &= (uint16_t)~X87_SW_C1;
    } else {
        host_begin(f);
        size = convert_out(code, x87_st(f, 0), out, &sw);
        uint16_t unmasked = sw & X87_SW_EXCEPTIONS & ~f->control;
        /* Restores the host's control word before memory that may fault is touched. */
        if (f->control != X87_CONTROL_DEFAULT)
            __asm__ volatile("fldcw %0" : : "m"(host_control));
        /* In memory an unmasked overflow or underflow stores nothing either. */
        if (!(unmasked & 0x1f))
            store(address, out, size);
        if (unmasked & 0x18)
            sw &= (uint16_t)~(0x20 | X87_SW_C1); /* so the precision flag stays clear */
        host_end(f, sw, X87_SW_C1);
        if (unmasked & 0x1f)
            return;
    }
    if (code & X87_POP)
        x87_pop(f);
}

/* --- arithmetic --- */
/* insn computes on %st (the first operand) and %st(1) (the second) into %st. */
#define BINARY(insn)                                                                           \
    __asm__ volatile("fldt %3\n\tfldt %2\n\t" insn "\n\tfnstsw %0\n\tfstpt %1\n\tfstp %%st(0)" \
                     : "=&a"(sw), "+m"(r)                                                      \
                     : "m"(*a), "m"(*b))
#define BINARY_MEMORY(insn, m) \
    __asm__ volatile("fldt %2\n\t" insn " %3\n\tfnstsw %0\n\tfstpt %1" : "=&a"(sw), "+m"(r) : "m"(*a), "m"(m))

void
helper_x87_arith(uint32_t code, uint64_t pc)
{
    struct x86_x87 *f = x87_begin(pc);
    unsigned dst = code >> 16 & 7, src = code >> 20 & 7;
    struct x86_x87_reg r = {0};
    uint16_t sw = 0;
    if (!x87_valid(f, dst) || !x87_valid(f, src)) {
        if (!x87_stack_fault(f, false))
            return;
        x87_set(f, dst, &x87_indefinite);
    } else {
        const struct x86_x87_reg *a = x87_st(f, dst), *b = x87_st(f, src);
        host_begin(f);
        switch (code & 0xff) {
        case X87_ADD: BINARY("fadd %%st(1), %%st"); break;
        case X87_MUL: BINARY("fmul %%st(1), %%st"); break;
        case X87_SUB: BINARY("fsub %%st(1), %%st"); break;
        case X87_SUBR: BINARY("fsubr %%st(1), %%st"); break;
        case X87_DIV: BINARY("fdiv %%st(1), %%st"); break;
        default: BINARY("fdivr %%st(1), %%st"); break;
        }
        if (!host_end(f, sw, X87_SW_C1))
            return;
        x87_set(f, dst, &r);
    }
    if (code & X87_POP)
        x87_pop(f);
}

#define ARITH_MEMORY(suffix, prefix, m)                               \
    switch (code & 0xff) {                                            \
    case X87_ADD: BINARY_MEMORY("f" prefix "add" suffix, m); break;   \
    case X87_MUL: BINARY_MEMORY("f" prefix "mul" suffix, m); break;   \
    case X87_SUB: BINARY_MEMORY("f" prefix "sub" suffix, m); break;   \
    case X87_SUBR: BINARY_MEMORY("f" prefix "subr" suffix, m); break; \
    case X87_DIV: BINARY_MEMORY("f" prefix "div" suffix, m); break;   \
    default: BINARY_MEMORY("f" prefix "divr" suffix, m); break;       \
    }

void
helper_x87_arith_mem(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = x87_begin_memory(pc, address);
    static const uint8_t sizes[] = {4, 8, 0, 2, 4};
    unsigned format = code >> 16 & 0xff;
    union {
        float f32;
        double f64;
        int16_t i16;
        int32_t i32;
    } m;
    struct x86_x87_reg r = {0};
    uint16_t sw = 0;
    if (format > X87_I32 || format == X87_F80)
        return;
    x86_guest_read(&m, address, sizes[format]);
    if (!x87_valid(f, 0)) {
        if (x87_stack_fault(f, false))
            x87_set(f, 0, &x87_indefinite);
        return;
    }
    const struct x86_x87_reg *a = x87_st(f, 0);
    host_begin(f);
    switch (format) {
    case X87_F32: ARITH_MEMORY("s", "", m.f32); break;
    case X87_F64: ARITH_MEMORY("l", "", m.f64); break;
    case X87_I16: ARITH_MEMORY("s", "i", m.i16); break;
    default: ARITH_MEMORY("l", "i", m.i32); break;
    }
    if (host_end(f, sw, X87_SW_C1))
        x87_set(f, 0, &r);
}

/* --- comparisons --- */
#define COMPARE(insn)                                                                              \
    __asm__ volatile("fldt %2\n\tfldt %1\n\t" insn "\n\tfnstsw %0\n\tfstp %%st(0)\n\tfstp %%st(0)" \
                     : "=a"(sw)                                                                    \
                     : "m"(*a), "m"(*b))
#define COMPARE_MEMORY(insn, m) \
    __asm__ volatile("fldt %1\n\t" insn " %2\n\tfnstsw %0\n\tfstp %%st(0)" : "=a"(sw) : "m"(*a), "m"(m))

static void
compare_end(struct x86_x87 *f, uint32_t code, bool done)
{
    if (!done)
        return;
    if (code & X87_POP)
        x87_pop(f);
    if (code & X87_POP2)
        x87_pop(f);
}

static bool
compare_empty(struct x86_x87 *f)
{
    bool masked = x87_stack_fault(f, false);
    f->status |= X87_SW_C0 | X87_SW_C2 | X87_SW_C3;
    return masked;
}

void
helper_x87_compare(uint32_t code, uint64_t pc)
{
    struct x86_x87 *f = x87_begin(pc);
    unsigned src = code >> 20 & 7;
    uint16_t sw;
    if (!x87_valid(f, 0) || !x87_valid(f, src)) {
        compare_end(f, code, compare_empty(f));
        return;
    }
    const struct x86_x87_reg *a = x87_st(f, 0), *b = x87_st(f, src);
    host_begin(f);
    if (code & X87_UNORDERED)
        COMPARE("fucom %%st(1)");
    else
        COMPARE("fcom %%st(1)");
    compare_end(f, code, host_end(f, sw, X87_SW_CC));
}

void
helper_x87_compare_mem(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = x87_begin_memory(pc, address);
    static const uint8_t sizes[] = {4, 8, 0, 2, 4};
    unsigned format = code >> 16 & 0xff;
    union {
        float f32;
        double f64;
        int16_t i16;
        int32_t i32;
    } m;
    uint16_t sw;
    if (format > X87_I32 || format == X87_F80)
        return;
    x86_guest_read(&m, address, sizes[format]);
    if (!x87_valid(f, 0)) {
        compare_end(f, code, compare_empty(f));
        return;
    }
    const struct x86_x87_reg *a = x87_st(f, 0);
    host_begin(f);
    switch (format) {
    case X87_F32: COMPARE_MEMORY("fcoms", m.f32); break;
    case X87_F64: COMPARE_MEMORY("fcoml", m.f64); break;
    case X87_I16: COMPARE_MEMORY("ficoms", m.i16); break;
    default: COMPARE_MEMORY("ficoml", m.i32); break;
    }
    compare_end(f, code, host_end(f, sw, X87_SW_CC));
}

#define COMPARE_FLAGS(insn)                                                                                      \
    __asm__ volatile("fldt %5\n\tfldt %4\n\t" insn " %%st(1), %%st\n\tfnstsw %0\n\tfstp %%st(0)\n\tfstp %%st(0)" \
                     : "=a"(sw), "=@ccc"(cf), "=@ccp"(pf), "=@ccz"(zf)                                           \
                     : "m"(*a), "m"(*b))

uint32_t
helper_x87_comi(uint32_t code, uint64_t pc)
{
    struct x86_x87 *f = x87_begin(pc);
    unsigned src = code >> 20 & 7;
    uint16_t sw;
    bool cf, pf, zf;
    if (!x87_valid(f, 0) || !x87_valid(f, src)) {
        compare_end(f, code, x87_stack_fault(f, false));
        return 7;
    }
    const struct x86_x87_reg *a = x87_st(f, 0), *b = x87_st(f, src);
    host_begin(f);
    if (code & X87_UNORDERED)
        COMPARE_FLAGS("fucomi");
    else
        COMPARE_FLAGS("fcomi");
    compare_end(f, code, host_end(f, sw, 0));
    return cf | (uint32_t)pf << 1 | (uint32_t)zf << 2;
}

/* --- operations on the top --- */
#define CONSTANT(insn) __asm__ volatile(insn "\n\tfstpt %0" : "+m"(r))
#define UNARY(insn)    __asm__ volatile("fldt %2\n\t" insn "\n\tfnstsw %0\n\tfstpt %1" : "=&a"(sw), "+m"(r) : "m"(*a))
/* Two results: r, and r2 on top of it. */
#define UNARY2(insn)                                                            \
    __asm__ volatile("fldt %3\n\t" insn "\n\tfnstsw %0\n\tfstpt %2\n\tfstpt %1" \
                     : "=&a"(sw), "+m"(r), "+m"(r2)                             \
                     : "m"(*a))
/* As UNARY2, but when C2 is set (operand out of range) nothing was pushed. */
#define UNARY2_RANGE(insn)                                                                            \
    __asm__ volatile("fldt %3\n\t" insn "\n\tfnstsw %0\n\tfstpt %2\n\ttestw $0x400, %0\n\tjnz 1f\n\t" \
                     "fstpt %1\n1:"                                                                   \
                     : "=&a"(sw), "+m"(r), "+m"(r2)                                                   \
                     : "m"(*a)                                                                        \
                     : "cc")
/* insn leaves one value on the stack. */
#define BINARY_POP(insn) \
    __asm__ volatile("fldt %3\n\tfldt %2\n\t" insn "\n\tfnstsw %0\n\tfstpt %1" : "=&a"(sw), "+m"(r) : "m"(*a), "m"(*b))

static void
load_constant(struct x86_x87 *f, unsigned op)
{
    struct x86_x87_reg r = {0};
    bool fault;
    if (!x87_push_check(f, &fault))
        return;
    if (fault) {
        x87_push(f, &x87_indefinite);
        return;
    }
    host_begin(f); /* their last bit depends on the rounding */
    switch (op) {
    case X87_LD1: CONSTANT("fld1"); break;
    case X87_LDL2T: CONSTANT("fldl2t"); break;
    case X87_LDL2E: CONSTANT("fldl2e"); break;
    case X87_LDPI: CONSTANT("fldpi"); break;
    case X87_LDLG2: CONSTANT("fldlg2"); break;
    case X87_LDLN2: CONSTANT("fldln2"); break;
    default: CONSTANT("fldz"); break;
    }
    host_end(f, 0, X87_SW_C1);
    x87_push(f, &r);
}

static void
examine(struct x86_x87 *f)
{
    const struct x86_x87_reg *a = x87_st(f, 0);
    struct x86_x87_reg r = {0};
    uint16_t sw;
    if (x87_valid(f, 0)) {
        UNARY("fxam");
        sw &= X87_SW_CC;
    } else {
        sw = X87_SW_C0 | X87_SW_C3 | (a->sign_exponent & 0x8000 ? X87_SW_C1 : 0);
    }
    f->status = (uint16_t)((f->status & ~X87_SW_CC) | sw);
}

/* fptan, fsincos, fxtract: the top becomes one result, the other is pushed. */
static void
two_results(struct x86_x87 *f, unsigned op)
{
    const struct x86_x87_reg *a = x87_st(f, 0);
    struct x86_x87_reg r = {0}, r2 = {0};
    uint16_t sw = 0;
    bool fault, out_of_range = false;
    if (!x87_valid(f, 0)) {
        if (op != X87_XTRACT)
            f->status &= (uint16_t)~X87_SW_C2;
        if (!x87_stack_fault(f, false))
            return;
        x87_set(f, 0, &x87_indefinite);
        x87_push(f, &x87_indefinite); /* a full stack is no second fault */
        return;
    }
    bool room = x87_push_check(f, &fault);
    if (fault && op != X87_XTRACT)
        f->status &= (uint16_t)~X87_SW_C2;
    if (!room)
        return;
    if (fault) {
        x87_set(f, 0, &x87_indefinite);
        x87_push(f, &x87_indefinite);
        return;
    }
    host_begin(f);
    struct x87_result own = {.control = f->control};
    if (x87_function(op, a, NULL, &own)) {
        r = own.first;
        r2 = own.second;
        sw = own.status;
    } else if (op == X87_XTRACT) {
        UNARY2("fxtract");
    } else {
        if (op == X87_PTAN)
            UNARY2_RANGE("fptan");
        else
            UNARY2_RANGE("fsincos");
        out_of_range = sw & X87_SW_C2;
    }
    if (!host_end(f, sw, op == X87_XTRACT ? X87_SW_C1 : X87_SW_C1 | X87_SW_C2) || out_of_range)
        return;
    x87_set(f, 0, &r);
    x87_push(f, &r2);
}

static uint16_t
host_two_operands(unsigned op, const struct x86_x87_reg *a, const struct x86_x87_reg *b, struct x86_x87_reg *out)
{
    struct x86_x87_reg r = {0};
    uint16_t sw = 0;
    switch (op) {
    case X87_YL2X: BINARY_POP("fyl2x"); break;
    case X87_PATAN: BINARY_POP("fpatan"); break;
    case X87_YL2XP1: BINARY_POP("fyl2xp1"); break;
    case X87_PREM: BINARY("fprem"); break;
    case X87_PREM1: BINARY("fprem1"); break;
    default: BINARY("fscale"); break;
    }
    *out = r;
    return sw;
}

/* Operations on ST(0) and ST(1): the result replaces ST(1) and pops, or replaces ST(0). */
static void
two_operands(struct x86_x87 *f, unsigned op)
{
    bool pops = op == X87_YL2X || op == X87_PATAN || op == X87_YL2XP1;
    struct x86_x87_reg r = {0};
    uint16_t sw = 0, conditions = X87_SW_C1;
    if (!x87_valid(f, 0) || !x87_valid(f, 1)) {
        if (op == X87_PREM || op == X87_PREM1)
            f->status &= (uint16_t)~X87_SW_C2;
        if (!x87_stack_fault(f, false))
            return;
        x87_set(f, pops, &x87_indefinite);
        if (pops)
            x87_pop(f);
        return;
    }
    const struct x86_x87_reg *a = x87_st(f, 0), *b = x87_st(f, 1);
    struct x87_result own = {.control = f->control};
    host_begin(f);
    if (op == X87_PREM || op == X87_PREM1)
        conditions = X87_SW_CC;
    if (x87_function(op, a, b, &own)) {
        r = own.first;
        sw = own.status;
    } else {
        sw = host_two_operands(op, a, b, &r);
    }
    /* No quotient bits when the result is a NaN: C0 and C3 stay. */
    if (conditions == X87_SW_CC && (r.sign_exponent & 0x7fff) == 0x7fff)
        conditions = X87_SW_C1 | X87_SW_C2;
    if (!host_end(f, sw & (uint16_t)~(X87_SW_CC & ~conditions), conditions))
        return;
    x87_set(f, pops, &r);
    if (pops)
        x87_pop(f);
}

static void
one_operand(struct x86_x87 *f, unsigned op)
{
    struct x86_x87_reg *a = x87_st(f, 0), r = {0};
    uint16_t sw = 0, conditions = X87_SW_C1;
    if (!x87_valid(f, 0)) {
        if (op == X87_TST) {
            compare_empty(f);
            return;
        }
        if (op == X87_SIN || op == X87_COS)
            f->status &= (uint16_t)~X87_SW_C2;
        if (x87_stack_fault(f, false))
            x87_set(f, 0, &x87_indefinite);
        return;
    }
    if (op == X87_CHS || op == X87_ABS) {
        a->sign_exponent = op == X87_CHS ? a->sign_exponent ^ 0x8000 : a->sign_exponent & 0x7fff;
        f->status &= (uint16_t)~X87_SW_C1;
        return;
    }
    host_begin(f);
    struct x87_result own = {.control = f->control};
    if (op == X87_SIN || op == X87_COS)
        conditions = X87_SW_C1 | X87_SW_C2;
    if (x87_function(op, a, NULL, &own)) {
        if (host_end(f, own.status, conditions))
            x87_set(f, 0, &own.first);
        return;
    }
    switch (op) {
    case X87_TST:
        UNARY("ftst");
        conditions = X87_SW_CC;
        break;
    case X87_2XM1: UNARY("f2xm1"); break;
    case X87_SQRT: UNARY("fsqrt"); break;
    case X87_RNDINT: UNARY("frndint"); break;
    case X87_SIN: UNARY("fsin"); break;
    default: UNARY("fcos"); break;
    }
    if (host_end(f, sw, conditions) && op != X87_TST)
        x87_set(f, 0, &r);
}

void
helper_x87_unary(uint32_t code, uint64_t pc)
{
    struct x86_x87 *f = x87_begin(pc);
    switch (code) {
    case X87_XAM: examine(f); break;
    case X87_LD1:
    case X87_LDL2T:
    case X87_LDL2E:
    case X87_LDPI:
    case X87_LDLG2:
    case X87_LDLN2:
    case X87_LDZ: load_constant(f, code); break;
    case X87_PTAN:
    case X87_XTRACT:
    case X87_SINCOS: two_results(f, code); break;
    case X87_YL2X:
    case X87_PATAN:
    case X87_YL2XP1:
    case X87_PREM:
    case X87_PREM1:
    case X87_SCALE: two_operands(f, code); break;
    default: one_operand(f, code); break;
    }
}
