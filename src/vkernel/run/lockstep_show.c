/* The lines of which a report consists. */
#include "vkernel/run/lockstep_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/direct.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "vkernel/run/run.h"
#include "x86/x86.h"

enum { EXIT_DIFFERENCE = 125 };

#define R lockstep_region

const char *
lockstep_native(void)
{
    return platform_has_direct() ? "rewritten" : "compiled";
}

void
show_head(void)
{
    const struct process *p = current_process();

    platform_log("ingot: lockstep: %s code and the evaluator differ in %s[%d]\n", lockstep_native(), p->comm, p->pid);
}

void
show_end(void)
{
    exit(EXIT_DIFFERENCE);
}

void
show_instruction(uint64_t address, bool suspect, bool part)
{
    char text[128] = "?", where[256];
    uint64_t image_base;
    struct x86_insn insn;
    size_t left = 0;
    const uint8_t *bytes = run_fetch(NULL, address, &left, &image_base);

    if (bytes && x86_decode(bytes, left < 15 ? left : 15, address, &insn) > 0)
        x86_format(&insn, text, sizeof text);
    mm_place(R.mm, address, where, sizeof where);
    platform_log("  %s %#10" PRIx64 "  %-40s %s\n", suspect ? "=>" : part ? " >" : "  ", address, text, where);
}

static void
state_text(const struct x86_cpu *cpu, unsigned s, char *out, size_t size)
{
    const char *p = (const char *)cpu + ir_state_infos[s].offset;
    uint64_t v[2] = {0};

    memcpy(v, p, ir_state_infos[s].type == IR_V128 ? 16 : ir_state_infos[s].type == IR_I64 ? 8 : 4);
    if (ir_state_infos[s].type == IR_V128)
        snprintf(out, size, "%016" PRIx64 "%016" PRIx64, v[1], v[0]);
    else
        snprintf(out, size, "%#" PRIx64, v[0]);
}

static void
show_x87(const char *who, const struct x86_x87 *f)
{
    platform_log("  x87      %-9s control %x status %x tags %x top %u\n", who, f->control, f->status, f->tag_valid,
                 f->top);
}

void
show_states(const struct x86_cpu *compiled, const struct x86_cpu *evaluated, ir_states which)
{
    char a[40], b[40];

    for (unsigned s = 0; s < X86_S_COUNT; s++) {
        if (!(which & IR_STATE_BIT(s)))
            continue;
        state_text(compiled, s, a, sizeof a);
        state_text(evaluated, s, b, sizeof b);
        platform_log("  %-8s %s %-34s evaluator %s\n", ir_state_infos[s].name, lockstep_native(), a, b);
    }
    if (which & IR_STATE_BIT(STATE_X87)) {
        show_x87(lockstep_native(), &compiled->x87);
        show_x87("evaluator", &evaluated->x87);
    }
    if (which & IR_STATE_BIT(STATE_MXCSR))
        platform_log("  %-8s %s %-#34x evaluator %#x\n", "mxcsr", lockstep_native(), compiled->mxcsr, evaluated->mxcsr);
}

void
show_registers(const struct x86_cpu *cpu)
{
    static const uint8_t order[] = {X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP, X86_RSP,
                                    X86_R8,  X86_R9,  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15};
    char line[512];
    size_t n = 0;

    for (unsigned i = 0; i < sizeof order; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s %" PRIx64,
                              i % 8 ? "  "
                              : i   ? "\n    "
                                    : "",
                              ir_state_infos[X86_S_RAX + order[i]].name, cpu->gpr[order[i]]);
    platform_log("  before it:\n    %s\n", line);
}

void
show_bytes(const char *who, uint64_t address)
{
    char line[64];
    size_t n = 0;

    for (unsigned i = 0; i < 16 && (address + i) / PAGE_SIZE == address / PAGE_SIZE; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, " %02x", R.mm->space.base[address + i]);
    platform_log("  %-9s %#" PRIx64 ":%s\n", who, address, line);
}
