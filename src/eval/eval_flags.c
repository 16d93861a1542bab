/* Which flags does the code after a block read? Most blocks end with six flags set that the next
 * instructions overwrite; computing them would be more than half of all work. */
#include "eval/eval_internal.h"

#include <string.h>

#include "base/page.h"
#include "x86/x86.h"

enum { ALL = 0x7f, DIRECTION = 1u << X86_FLAG_DF };

/* Does the instruction write its flags whatever its operands: not with a count of zero. */
static bool
always_writes(const struct x86_insn *insn)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR: case X86_OP_SHL: case X86_OP_SHR:
    case X86_OP_SAR: case X86_OP_SHLD: case X86_OP_SHRD:
        /* clang-format on */
        return false;
    default: return !insn->rep && !insn->repne;
    }
}

/* Decodes one instruction for the look ahead; false where it ends. Other pages may not be there (the end of a
 * file): reading them could fault. */
static bool
decode_near(const struct eval_host *host, uint64_t address, uint64_t near, struct x86_insn *insn)
{
    uint64_t image_base;
    size_t left = 0, page_left = PAGE_SIZE - (address & (PAGE_SIZE - 1));
    const uint8_t *text;

    if ((address & ~(uint64_t)(PAGE_SIZE - 1)) != (near & ~(uint64_t)(PAGE_SIZE - 1)))
        return false;
    text = host->fetch(host->context, address, &left, &image_base);
    return text && x86_decode(text, left < page_left ? left : page_left, address, insn) > 0;
}

static unsigned
live_from(const struct eval_host *host, uint64_t address, uint64_t near, unsigned pending, unsigned *budget)
{
    unsigned live = 0;

    while (pending && *budget) {
        struct x86_insn insn;

        (*budget)--;
        if (!decode_near(host, address, near, &insn))
            break;
        struct x86_flag_effects effects = x86_flag_effects(&insn);
        enum x86_flow flow = x86_flow(&insn);
        live |= effects.tested & pending;
        pending &= ~(unsigned)effects.tested;
        if (always_writes(&insn))
            pending &= ~(unsigned)effects.written;
        if (flow == X86_FLOW_NEXT) {
            address += insn.length;
        } else if ((flow == X86_FLOW_JUMP || flow == X86_FLOW_CALL) && insn.operand[0].kind == X86_OPD_REL) {
            address = (uint64_t)insn.operand[0].imm;
        } else if (flow == X86_FLOW_BRANCH && insn.operand[0].kind == X86_OPD_REL) {
            live |= live_from(host, (uint64_t)insn.operand[0].imm, near, pending, budget);
            pending &= ~live;
            address += insn.length;
        } else {
            break;
        }
    }
    return live | pending;
}

unsigned
eval_flags_live(const struct eval_host *host, uint64_t address, uint64_t near, unsigned *budget)
{
    return DIRECTION | live_from(host, address, near, ALL & ~DIRECTION, budget);
}
