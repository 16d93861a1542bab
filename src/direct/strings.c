/* Rewriting MOVS, CMPS, STOS, LODS and SCAS. No prefix confines the destination of a string instruction, so that RSI
 * and RDI become host addresses for as long as the instruction runs. It goes through memory in one direction from an
 * address in the guest's 4 GiB, and so it meets the guard before it meets anything else. */
#include "direct/rewrite.h"

#include <stddef.h>

static void
to_host(struct rewriter *w, unsigned reg)
{
    struct encoding e = {.opcode = {0x89}, .opcode_size = 1, .modrm = true, .reg = (uint8_t)reg, .rm = (uint8_t)reg};

    emit(w, &e); /* mov esi, esi */
    emit_lea(w, reg, (int)reg, HOST_SCRATCH, 0);
}

bool
rewrite_string(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at)
{
    static const uint8_t complement[] = {0x49, 0xf7, 0xd2}; /* not r10 */
    /* movzx r10d, r10b: leaves nothing of the host address of the guest's memory in r10 */
    static const uint8_t forget[] = {0x45, 0x0f, 0xb6, 0xd2};
    bool source = insn->op == X86_OP_MOVS || insn->op == X86_OP_CMPS || insn->op == X86_OP_LODS;
    bool destination = insn->op != X86_OP_LODS;
    struct encoding e;

    if (at->address_size || !encoding_of(bytes, insn, at, &e))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == X86_OPD_MEM && insn->operand[i].seg != X86_SEG_DS)
            return false;
    emit_load(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_SLOT(memory));
    if (source)
        to_host(w, X86_RSI);
    if (destination)
        to_host(w, X86_RDI);
    emit(w, &e);
    emit_bytes(w, complement, sizeof complement);
    if (source)
        emit_lea(w, X86_RSI, X86_RSI, HOST_SCRATCH, 1);
    if (destination)
        emit_lea(w, X86_RDI, X86_RDI, HOST_SCRATCH, 1);
    emit_bytes(w, forget, sizeof forget);
    return true;
}
