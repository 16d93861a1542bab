/* Which flags does the code after a block read? Most blocks end with six flags set that the next
 * instructions overwrite; computing them would be more than half of all work. */
#include "eval/eval_internal.h"

#include <string.h>

#include "x86/x86.h"

enum { PAGE = 4096, LOOK_AHEAD = 8, ALL = 0x7f, DIRECTION = 1u << X86_FLAG_DF };

/* Does the instruction write its flags whatever its operands: not with a count of zero. */
static bool
always_writes(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR: case X86_OP_SHL: case X86_OP_SHR:
    case X86_OP_SAR: case X86_OP_SHLD: case X86_OP_SHRD:
        return false;
    default:
        return !insn->rep && !insn->repne;
    }
}

unsigned
eval_flags_live(const struct eval_host *host, uint64_t address, uint64_t near)
{
    unsigned live = DIRECTION, pending = ALL & ~DIRECTION;

    for (unsigned i = 0; i < LOOK_AHEAD && pending; i++) {
        struct x86_insn insn;
        uint64_t image_base;
        size_t left = 0, page_left = PAGE - (address & (PAGE - 1));
        const uint8_t *text;

        /* Other pages may not be there (the end of a file): reading them could fault. */
        if ((address & ~(uint64_t)(PAGE - 1)) != (near & ~(uint64_t)(PAGE - 1)))
            break;
        text = host->fetch(host->context, address, &left, &image_base);
        if (!text || x86_decode(text, left < page_left ? left : page_left, address, &insn) <= 0)
            break;
        struct x86_flag_effects effects = x86_flag_effects(&insn);
        live |= effects.tested & pending;
        if (always_writes(&insn))
            pending &= ~(unsigned)effects.written;
        if (x86_flow(&insn) == X86_FLOW_JUMP && insn.operand[0].kind == X86_OPD_REL)
            address = (uint64_t)insn.operand[0].imm;
        else if (x86_flow(&insn) == X86_FLOW_NEXT)
            address += insn.length;
        else
            break;
    }
    return live | pending;
}
