/* What helpers_x87.c, helpers_x87_functions.c, helpers_x87_stack.c and helpers_fxstate.c share. */
#ifndef X86_X87_INTERNAL_H
#define X86_X87_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/helper_codes.h"
#include "x86/helpers.h"

enum { /* status word */
       X87_SW_EXCEPTIONS = 0x3f,
       X87_SW_BEFORE = 0x07, /* found before the operation: IE DE ZE */
       X87_SW_AFTER = 0x38,  /* OE UE PE */
       X87_SW_IE = 0x01,
       X87_SW_ZE = 0x04,
       X87_SW_SF = 0x40,
       X87_SW_ES = 0x80,
       X87_SW_C0 = 0x100,
       X87_SW_C1 = 0x200,
       X87_SW_C2 = 0x400,
       X87_SW_C3 = 0x4000,
       X87_SW_B = 0x8000,
       X87_SW_CC = X87_SW_C0 | X87_SW_C1 | X87_SW_C2 | X87_SW_C3,
       X87_CONTROL_DEFAULT = 0x37f,
       X87_VECTOR_MF = 16,
       X87_VECTOR_GP = 13,
};

/* A waiting instruction: #MF when an unmasked exception is pending. */
static inline void
x87_wait(struct x86_x87 *f, uint64_t pc)
{
    if (__builtin_expect(f->status & X87_SW_ES, 0))
        x86_raise(X87_VECTOR_MF, pc);
}

/* ES and B follow the exception flags and masks. */
static inline void
x87_update_summary(struct x86_x87 *f)
{
    if (f->status & X87_SW_EXCEPTIONS & ~f->control)
        f->status |= X87_SW_ES | X87_SW_B;
    else
        f->status &= (uint16_t)~(X87_SW_ES | X87_SW_B);
}

static inline void
x87_set_control(struct x86_x87 *f, uint16_t v)
{
    f->control = (v & 0x1f7f) | 0x40;
    x87_update_summary(f);
}

static inline void
x87_set_status(struct x86_x87 *f, uint16_t v)
{
    f->top = v >> 11 & 7;
    f->status = v & (uint16_t)~(7 << 11);
    x87_update_summary(f);
}

static inline uint16_t
x87_get_status(const struct x86_x87 *f)
{
    return (uint16_t)(f->status | (f->top & 7) << 11);
}

static inline void
x87_init(struct x86_x87 *f)
{
    f->control = X87_CONTROL_DEFAULT;
    f->status = 0;
    f->tag_valid = 0;
    f->top = 0;
    f->last_opcode = 0;
    f->last_ip = f->last_dp = 0;
}

static const struct x86_x87_reg x87_indefinite = {.mantissa = UINT64_C(0xc000000000000000), .sign_exponent = 0xffff};

/* --- the guest's stack --- */
static inline struct x86_x87_reg *
x87_st(struct x86_x87 *f, unsigned i)
{
    return &f->r[(f->top + i) & 7];
}

static inline bool
x87_valid(const struct x86_x87 *f, unsigned i)
{
    return f->tag_valid >> ((f->top + i) & 7) & 1;
}

static inline void
x87_set(struct x86_x87 *f, unsigned i, const struct x86_x87_reg *v)
{
    *x87_st(f, i) = *v;
    f->tag_valid |= (uint16_t)(1u << ((f->top + i) & 7));
}

static inline void
x87_pop(struct x86_x87 *f)
{
    f->tag_valid &= (uint16_t)~(1u << (f->top & 7));
    f->top = (f->top + 1) & 7;
}

/* Stack fault; true when it is masked, and the instruction goes on with the indefinite. */
static inline bool
x87_stack_fault(struct x86_x87 *f, bool overflow)
{
    f->status = (uint16_t)((f->status & ~X87_SW_C1) | X87_SW_IE | X87_SW_SF | (overflow ? X87_SW_C1 : 0));
    if (f->control & X87_SW_IE)
        return true;
    f->status |= X87_SW_ES | X87_SW_B;
    return false;
}

/* Makes room for a push; false: unmasked overflow. *fault: the value must be the indefinite. */
static inline bool
x87_push_check(struct x86_x87 *f, bool *fault)
{
    *fault = f->tag_valid >> ((f->top + 7) & 7) & 1;
    return !*fault || x87_stack_fault(f, true);
}

static inline void
x87_push(struct x86_x87 *f, const struct x86_x87_reg *v)
{
    f->top = (f->top + 7) & 7;
    x87_set(f, 0, v);
}

/* --- helpers_x87_functions.c --- */
struct x87_result {
    uint16_t control;                 /* in: the guest's, for rounding */
    uint16_t status;                  /* exceptions, C1 and what the instruction has of C0, C2, C3 */
    struct x86_x87_reg first, second; /* second: what fsincos and fptan push */
};
/* op: enum x87_unary; st1 NULL where the instruction has one operand. False: not to be computed, the tables of the SDM
 * say. */
bool x87_function(unsigned op, const struct x86_x87_reg *st0, const struct x86_x87_reg *st1, struct x87_result *out);

/* --- beginning an instruction --- */
static inline struct x86_x87 *
x87_begin(uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    x87_wait(f, pc);
    f->last_ip = pc;
    f->last_dp = 0;
    return f;
}

static inline struct x86_x87 *
x87_begin_memory(uint64_t pc, uint32_t address)
{
    struct x86_x87 *f = x87_begin(pc);
    f->last_dp = address;
    return f;
}

#endif
