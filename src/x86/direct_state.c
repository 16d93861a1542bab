#include "x86/direct_state.h"

#include <stddef.h>

#include "x86/x86.h"

/* The offset in x86_cpu_tls, which ends where the host's FS base is, of a memory operand; -1: it is not there. */
static int64_t
offset_in_cpu(const struct x86_operand *o)
{
    if (o->kind != X86_OPD_MEM || o->seg != X86_SEG_FS || o->base != X86_BASE_NONE || o->index != X86_BASE_NONE)
        return -1;
    return (int64_t)(int32_t)o->disp + (int64_t)sizeof(struct x86_cpu);
}

/* Which of the borrowed words a memory operand is; -1: none. */
static int
borrowed_word(const struct x86_operand *o)
{
    int64_t word = offset_in_cpu(o) - (int64_t)offsetof(struct x86_cpu, borrowed);

    return word == 0 ? 0 : word == 8 ? 1 : -1;
}

/* At a string instruction RSI and RDI, as far as it uses them, are host addresses: it stands in its sequence only
 * (direct/strings.c; the verifier's STRING), nothing else of which can fault. Other instructions of the sequence say
 * nothing: what looks like them may be the guest's. */
static void
return_string_registers(struct x86_cpu *cpu, uint64_t pc)
{
    struct x86_insn insn;

    if (x86_decode((const uint8_t *)(uintptr_t)pc, X86_MAX_LENGTH, pc, &insn) <= 0)
        return;
    switch (insn.op) {
    case X86_OP_MOVS:
    case X86_OP_CMPS:
        cpu->gpr[X86_RSI] -= cpu->memory;
        cpu->gpr[X86_RDI] -= cpu->memory;
        break;
    case X86_OP_STOS:
    case X86_OP_SCAS: cpu->gpr[X86_RDI] -= cpu->memory; break;
    case X86_OP_LODS: cpu->gpr[X86_RSI] -= cpu->memory; break;
    default: break;
    }
}

void
direct_return_registers(struct x86_cpu *cpu, uint64_t at, uint64_t pc)
{
    int holder[2] = {-1, -1};

    while (at < pc) {
        struct x86_insn insn;
        int length = x86_decode((const uint8_t *)(uintptr_t)at, X86_MAX_LENGTH, at, &insn), word;

        if (length <= 0)
            return;
        at += (unsigned)length;
        if (insn.op != X86_OP_MOV || insn.operand_count != 2)
            continue;
        if ((word = borrowed_word(&insn.operand[0])) >= 0 && insn.operand[1].kind == X86_OPD_REG)
            holder[word] = insn.operand[1].reg;
        if ((word = borrowed_word(&insn.operand[1])) >= 0)
            holder[word] = -1;
    }
    return_string_registers(cpu, pc);
    for (unsigned i = 0; i < 2; i++)
        if (holder[i] >= 0)
            cpu->gpr[holder[i] == X86_R11 ? X86_RSP : holder[i]] = cpu->borrowed[i];
}

void
direct_finish_run(struct x86_cpu *cpu, direct_fetch fetch, void *context, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t image_base;
        size_t left = 0;
        const uint8_t *bytes = fetch(context, from, &left, &image_base);
        struct x86_insn insn;
        int length = bytes ? x86_decode(bytes, left, from, &insn) : 0;

        if (length <= 0)
            return;
        if (insn.op == X86_OP_PUSH)
            cpu->gpr[X86_RSP] -= insn.opsize;
        else if (insn.op == X86_OP_POP)
            cpu->gpr[X86_RSP] += insn.opsize;
        from += (unsigned)length;
    }
}
