/* What helpers_x87.c and helpers_fxstate.c share. */
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
    X87_SW_IE = 0x01, X87_SW_ZE = 0x04, X87_SW_SF = 0x40, X87_SW_ES = 0x80,
    X87_SW_C0 = 0x100, X87_SW_C1 = 0x200, X87_SW_C2 = 0x400, X87_SW_C3 = 0x4000, X87_SW_B = 0x8000,
    X87_SW_CC = X87_SW_C0 | X87_SW_C1 | X87_SW_C2 | X87_SW_C3,
    X87_CONTROL_DEFAULT = 0x37f,
    X87_VECTOR_MF = 16, X87_VECTOR_GP = 13,
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

#endif
