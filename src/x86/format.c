/* Intel syntax, for dumps and messages. */
#include "x86/x86_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct out {
    char *text;
    size_t size, length;
};

static void __attribute__((format(printf, 2, 3)))
put(struct out *o, const char *format, ...)
{
    va_list args;
    if (o->length + 1 >= o->size)
        return;
    va_start(args, format);
    int n = vsnprintf(o->text + o->length, o->size - o->length, format, args);
    va_end(args);
    if (n > 0)
        o->length += (size_t)n;
    if (o->length >= o->size)
        o->length = o->size - 1;
}

static void
put_hex(struct out *o, int64_t value)
{
    if (value < 0)
        put(o, "-0x%" PRIx64, 0 - (uint64_t)value);
    else
        put(o, "0x%" PRIx64, (uint64_t)value);
}

static void
put_gpr(struct out *o, unsigned reg, unsigned size)
{
    static const char low[8][3] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    static const char byte[8][4] = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
    reg &= 15;
    if (reg >= 8)
        put(o, "r%u%s", reg, size == 8 ? "" : size == 4 ? "d" : size == 2 ? "w" : "b");
    else if (size == 1)
        put(o, "%s", byte[reg]);
    else
        put(o, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", low[reg]);
}

static void
put_reg(struct out *o, const struct x86_operand *r)
{
    static const char segs[8][3] = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};
    switch (r->reg_class) {
    case X86_RC_GPR: put_gpr(o, r->reg, r->size); break;
    case X86_RC_GPR_HIGH: put(o, "%ch", "acdb"[r->reg & 3]); break;
    case X86_RC_XMM: put(o, "xmm%u", r->reg); break;
    case X86_RC_YMM: put(o, "ymm%u", r->reg); break;
    case X86_RC_MMX: put(o, "mm%u", r->reg); break;
    case X86_RC_X87: put(o, "st(%u)", r->reg); break;
    case X86_RC_SEG: put(o, "%s", segs[r->reg & 7]); break;
    case X86_RC_CR: put(o, "cr%u", r->reg); break;
    case X86_RC_DR: put(o, "dr%u", r->reg); break;
    default: put(o, "?"); break;
    }
}

static void
put_memory(struct out *o, const struct x86_operand *m, unsigned address_size)
{
    switch (m->size) {
    case 1: put(o, "byte ptr "); break;
    case 2: put(o, "word ptr "); break;
    case 4: put(o, "dword ptr "); break;
    case 8: put(o, "qword ptr "); break;
    case 10: put(o, "tbyte ptr "); break;
    case 16: put(o, "xmmword ptr "); break;
    case 32: put(o, "ymmword ptr "); break;
    default: break;
    }
    if (m->seg == X86_SEG_FS || m->seg == X86_SEG_GS)
        put(o, "%s:", m->seg == X86_SEG_FS ? "fs" : "gs");
    put(o, "[");
    if (m->base == X86_BASE_RIP) {
        /* The address itself: what it is relative to is of no use to the reader. */
        put(o, "rel 0x%" PRIx64 "]", (uint64_t)m->disp);
        return;
    }
    if (m->base != X86_BASE_NONE)
        put_gpr(o, (unsigned)m->base, address_size);
    if (m->index != X86_BASE_NONE) {
        put(o, "%s", m->base != X86_BASE_NONE ? "+" : "");
        if (m->index_size)
            put(o, "%cmm%d", m->index_size == 32 ? 'y' : 'x', m->index);
        else
            put_gpr(o, (unsigned)m->index, address_size);
        put(o, "*%u", m->scale);
    }
    if (m->base == X86_BASE_NONE && m->index == X86_BASE_NONE) {
        put(o, "0x%" PRIx64, address_size == 4 ? (uint32_t)m->disp : (uint64_t)m->disp);
    } else if (m->disp) {
        put(o, "%s", m->disp > 0 ? "+" : "");
        put_hex(o, m->disp);
    }
    put(o, "]");
}

static void
put_name(struct out *o, const struct x86_insn *insn)
{
    static const char cc[16][3] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                   "s", "ns", "p", "np", "l", "ge", "le", "g"};
    const char *condition = cc[insn->cc & 15];
    switch (insn->op) {
    case X86_OP_JCC: put(o, "j%s", condition); return;
    case X86_OP_SETCC: put(o, "set%s", condition); return;
    case X86_OP_CMOVCC: put(o, "cmov%s", condition); return;
    case X86_OP_MOVS:
    case X86_OP_CMPS:
    case X86_OP_STOS:
    case X86_OP_LODS:
    case X86_OP_SCAS:
    case X86_OP_INS:
    case X86_OP_OUTS:
        put(o, "%s%c", x86_op_name(insn->op),
            insn->opsize == 1   ? 'b'
            : insn->opsize == 2 ? 'w'
            : insn->opsize == 4 ? 'd'
                                : 'q');
        return;
    case X86_OP_CBW: put(o, "%s", insn->opsize == 2 ? "cbw" : insn->opsize == 4 ? "cwde" : "cdqe"); return;
    case X86_OP_CWD: put(o, "%s", insn->opsize == 2 ? "cwd" : insn->opsize == 4 ? "cdq" : "cqo"); return;
    case X86_OP_JRCXZ: put(o, "%s", insn->address_size == 4 ? "jecxz" : "jrcxz"); return;
    case X86_OP_MOV_CR:
    case X86_OP_MOV_DR: put(o, "mov"); return;
    default: put(o, "%s", x86_op_name(insn->op)); return;
    }
}

char *
x86_format(const struct x86_insn *insn, char *out, size_t size)
{
    struct out o = {.text = out, .size = size};
    if (!size)
        return out;
    out[0] = 0;
    put(&o, "%s%s%s", insn->lock ? "lock " : "", insn->rep ? "rep " : "", insn->repne ? "repne " : "");
    put_name(&o, insn);
    for (unsigned i = 0; i < insn->operand_count && i < X86_MAX_OPERANDS; i++) {
        const struct x86_operand *p = &insn->operand[i];
        put(&o, "%s", i ? ", " : " ");
        switch (p->kind) {
        case X86_OPD_REG: put_reg(&o, p); break;
        case X86_OPD_MEM: put_memory(&o, p, insn->address_size); break;
        case X86_OPD_IMM: put_hex(&o, p->imm); break;
        case X86_OPD_REL: put(&o, "0x%" PRIx64, (uint64_t)p->imm); break;
        default: put(&o, "?"); break;
        }
    }
    return out;
}
