/* x87 instructions that only move values within the stack, its tags and status, and the switch to MMX: plain C, while
 * helpers_x87.c needs the host's x87. */
#include "x86/x87_internal.h"

void
helper_x87_cmov(uint32_t i, uint32_t condition, uint64_t pc)
{
    struct x86_x87 *f = x87_begin(pc);
    i &= 7;
    if (!x87_valid(f, 0) || !x87_valid(f, i)) {
        if (x87_stack_fault(f, false)) /* whatever the condition */
            x87_set(f, 0, &x87_indefinite);
        return;
    }
    if (condition)
        *x87_st(f, 0) = *x87_st(f, i);
}

static void
copy_to_top(struct x86_x87 *f, unsigned i)
{
    bool fault;
    struct x86_x87_reg v = x87_indefinite;
    if (!x87_valid(f, i)) {
        if (!x87_stack_fault(f, false))
            return;
    } else {
        if (!x87_push_check(f, &fault))
            return;
        if (!fault) {
            v = *x87_st(f, i);
            f->status &= (uint16_t)~X87_SW_C1;
        }
    }
    x87_push(f, &v);
}

static void
copy_from_top(struct x86_x87 *f, unsigned i, bool pops)
{
    if (!x87_valid(f, 0)) {
        if (!x87_stack_fault(f, false))
            return;
        x87_set(f, i, &x87_indefinite);
    } else {
        struct x86_x87_reg v = *x87_st(f, 0);
        f->status &= (uint16_t)~X87_SW_C1;
        x87_set(f, i, &v);
    }
    if (pops)
        x87_pop(f);
}

static void
exchange(struct x86_x87 *f, unsigned i)
{
    if (!x87_valid(f, 0) || !x87_valid(f, i)) {
        if (!x87_stack_fault(f, false))
            return;
        if (!x87_valid(f, 0))
            x87_set(f, 0, &x87_indefinite);
        if (!x87_valid(f, i))
            x87_set(f, i, &x87_indefinite);
    } else {
        f->status &= (uint16_t)~X87_SW_C1;
    }
    struct x86_x87_reg v = *x87_st(f, 0);
    *x87_st(f, 0) = *x87_st(f, i);
    *x87_st(f, i) = v;
}

void
helper_x87_stack(uint32_t op, uint32_t i, uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    i &= 7;
    if (op == X87_FNCLEX) {
        f->status &= (uint16_t)~(X87_SW_EXCEPTIONS | X87_SW_SF | X87_SW_ES | X87_SW_B);
        return;
    }
    if (op == X87_FNINIT) {
        x87_init(f);
        return;
    }
    x87_wait(f, pc);
    if (op == X87_FWAIT)
        return;
    f->last_ip = pc;
    switch (op) {
    case X87_FLD: copy_to_top(f, i); break;
    case X87_FST:
    case X87_FSTP: copy_from_top(f, i, op == X87_FSTP); break;
    case X87_FSTPNCE:
        if (x87_valid(f, 0)) {
            copy_from_top(f, i, true);
        } else {
            f->status &= (uint16_t)~X87_SW_C1;
            x87_pop(f);
        }
        break;
    case X87_FXCH: exchange(f, i); break;
    case X87_FFREE:
    case X87_FFREEP:
        f->tag_valid &= (uint16_t)~(1u << ((f->top + i) & 7));
        f->status &= (uint16_t)~X87_SW_C1;
        if (op == X87_FFREEP)
            x87_pop(f);
        break;
    default: /* fincstp, fdecstp: tags stay */
        f->top = (f->top + (op == X87_FINCSTP ? 1 : 7)) & 7;
        f->status &= (uint16_t)~X87_SW_C1;
        break;
    }
}

uint32_t
helper_x87_status(void)
{
    return x87_get_status(&x86_this_cpu()->x87);
}

/* --- MMX mode (SDM vol. 1, 9.5) --- */
void
helper_mmx_enter(uint32_t mask, uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    x87_wait(f, pc);
    f->top = 0;
    f->tag_valid = 0xff;
    for (unsigned i = 0; mask; mask >>= 1, i++)
        if (mask & 1)
            f->r[i & 7].sign_exponent = 0xffff;
}

void
helper_emms(uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    x87_wait(f, pc);
    f->top = 0;
    f->tag_valid = 0;
}
