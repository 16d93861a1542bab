#include "x86/fxsave.h"

#include <string.h>

enum { STATUS_TOP = 0x3800, STATUS_TOP_SHIFT = 11, CONTROL_BITS = 0x1f7f, CONTROL_FIXED = 0x40, REGISTER_SIZE = 10 };

void
x86_fxsave_put_x87(struct x86_fxsave *a, const struct x86_x87 *f)
{
    a->control = f->control;
    a->status = (uint16_t)((f->status & ~STATUS_TOP) | (unsigned)(f->top & 7) << STATUS_TOP_SHIFT);
    a->tags = (uint8_t)f->tag_valid;
    a->pad = 0;
    a->opcode = f->last_opcode;
    a->ip = f->last_ip;
    a->dp = f->last_dp;
    memset(a->st, 0, sizeof a->st);
    for (unsigned i = 0; i < 8; i++)
        memcpy(a->st[i], &f->r[(f->top + i) & 7], REGISTER_SIZE);
}

void
x86_fxsave_get_x87(const struct x86_fxsave *a, struct x86_x87 *f)
{
    f->control = (uint16_t)((a->control & CONTROL_BITS) | CONTROL_FIXED);
    f->top = a->status >> STATUS_TOP_SHIFT & 7;
    f->status = a->status & (uint16_t)~STATUS_TOP;
    f->tag_valid = a->tags;
    f->last_opcode = a->opcode;
    f->last_ip = a->ip;
    f->last_dp = a->dp;
    for (unsigned i = 0; i < 8; i++) {
        struct x86_x87_reg *r = &f->r[(f->top + i) & 7];

        memset(r, 0, sizeof *r);
        memcpy(r, a->st[i], REGISTER_SIZE);
    }
}
