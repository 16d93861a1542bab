/* The CPU state as a whole: reset, and RFLAGS between its packed form and one word per flag. */
#include "x86/cpu.h"

#include <string.h>

/* RFLAGS bits (SDM vol. 1, 3.4.3). */
enum {
    RFLAGS_FIXED = 1 << 1,
    RFLAGS_IF = 1 << 9,
    /* What POPF changes in ring 3 besides the flags of their own: TF, NT, AC, ID. TF is left out: nothing
     * here single-steps, and a TF that reads back as set would promise it. */
    RFLAGS_CARRIED = 1 << 14 | 1 << 18 | 1 << 21,
};

static const uint8_t rflags_bit[X86_FLAG_COUNT + 1] = {
    [X86_FLAG_CF] = 0, [X86_FLAG_PF] = 2,  [X86_FLAG_AF] = 4,  [X86_FLAG_ZF] = 6,
    [X86_FLAG_SF] = 7, [X86_FLAG_OF] = 11, [X86_FLAG_DF] = 10, [X86_FLAG_COUNT] = 31 /* always 0 */,
};

const char *
x86_gpr_name(unsigned number)
{
    static const char *const names[X86_S_COUNT] = {
#define STATE(id, name, type, member) name,
#include "x86/state.def"
#undef STATE
    };

    return names[X86_S_RAX + number % 16];
}

uint64_t
x86_cpu_rflags(const struct x86_cpu *cpu)
{
    uint64_t rflags = RFLAGS_FIXED | RFLAGS_IF | (cpu->id_flag & RFLAGS_CARRIED);
#pragma GCC unroll 8 /* each system call puts them into R11 */
    for (unsigned i = 0; i < X86_FLAG_COUNT; i++)
        rflags |= (uint64_t)(cpu->flag[i] & 1) << rflags_bit[i];
    return rflags;
}

/* Each system call comes here, so it does four flags at a time. */
void
x86_cpu_set_rflags(struct x86_cpu *cpu, uint64_t rflags)
{
    typedef uint32_t lanes __attribute__((vector_size(16)));
    const lanes all = (lanes){0} + (uint32_t)rflags;

#pragma GCC unroll 2
    for (unsigned k = 0; k < 8; k += 4) {
        const uint8_t *number = &rflags_bit[k];
        const lanes bit = {1u << number[0], 1u << number[1], 1u << number[2], 1u << number[3]};
        const lanes set = (lanes)((all & bit) == bit) & 1;

        memcpy(&cpu->flag[k], &set, sizeof set);
    }
    cpu->id_flag = (uint32_t)rflags & RFLAGS_CARRIED;
}

void
x86_cpu_reset(struct x86_cpu *cpu)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->x87.control = 0x037f;
    cpu->mxcsr = 0x1f80;
}
