/* The CPU state of one guest thread, as compiled code, the evaluator, helpers and the vkernel share it.
 *
 * A guest thread's state lives in the thread-local `x86_cpu_tls` of its fiber (platform/), the
 * last object of the fiber's thread block, so that compiled code reaches every member at a link-time constant
 * offset from the host's FS base. Registers named in wasm/convention.def are in wasm parameters
 * and results while compiled code runs, and exact here whenever the vkernel runs. */
#ifndef X86_CPU_H
#define X86_CPU_H

#include <stdint.h>

/* GPR numbers as encoded (SDM vol. 2, table 2-4 order). */
/* clang-format off */
enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI,
       X86_R8, X86_R9, X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15 };
/* clang-format on */

enum { X86_FLAG_CF, X86_FLAG_PF, X86_FLAG_AF, X86_FLAG_ZF, X86_FLAG_SF, X86_FLAG_OF, X86_FLAG_DF, X86_FLAG_COUNT };

union x86_xmm {
    uint8_t u8[16];
    uint16_t u16[8];
    uint32_t u32[4];
    uint64_t u64[2];
    float f32[4];
    double f64[2];
} __attribute__((aligned(16)));

/* One physical x87 register R0..R7: an 80-bit extended value in its memory format, padded to 16. */
struct x86_x87_reg {
    uint64_t mantissa;
    uint16_t sign_exponent;
    uint16_t pad[3];
};

struct x86_x87 {
    struct x86_x87_reg r[8]; /* physical; ST(i) is r[(top + i) & 7] */
    uint16_t control;        /* FCW, reset value 0x037f */
    uint16_t status;         /* FSW without TOP (bits 11-13 kept zero) */
    uint16_t tag_valid;      /* bit i: physical register i is not empty */
    uint16_t top;            /* 0..7 */
    uint16_t last_opcode;
    uint16_t pad[3];
    uint64_t last_ip, last_dp;
};

struct x86_cpu {
    uint64_t gpr[16];
    uint64_t rip;   /* exact whenever the vkernel runs */
    uint64_t limit; /* see state.def */
    uint64_t fs_base, gs_base;
    uint64_t tmp[2];
    uint32_t flag[8]; /* X86_FLAG_*; [7] unused */
    uint32_t mxcsr;   /* reset value 0x1f80 */
    uint32_t id_flag; /* RFLAGS.ID and other bits that only popf/pushf carry */
    union x86_xmm xmm[16];
    union x86_xmm ymm_high[16]; /* bits 128 to 255 of the YMM registers; 0 on level v2 */
    union x86_xmm tmp_vector;   /* see state.def */
    struct x86_x87 x87;
    uint64_t stack;       /* where compiled code has its stack, see state.def */
    uint64_t borrowed[2]; /* registers that rewritten code uses for itself meanwhile (docs/direct.md) */
    uint64_t memory;      /* host address of guest address 0, while rewritten code runs */
    uint64_t reserved[2];
} __attribute__((aligned(64)));

enum { X86_STACK_LAG = 256 }; /* bytes that a block may put on the stack before it says so */

/* TLS placement needs a multiple of the alignment. */
_Static_assert(sizeof(struct x86_cpu) % 64 == 0, "struct x86_cpu is a multiple of 64 bytes");

enum x86_state {
#define STATE(id, name, type, member) X86_S_##id,
#include "x86/state.def"
#undef STATE
    X86_S_COUNT
};

/* "rax", for messages; number: 0 to 15, as instructions encode it. */
const char *x86_gpr_name(unsigned number);
/* All of RFLAGS as pushfq stores it, from the separate flags (bit 1 and IF set), and back. */
uint64_t x86_cpu_rflags(const struct x86_cpu *cpu);
void x86_cpu_set_rflags(struct x86_cpu *cpu, uint64_t rflags);
/* Power-on user state: everything zero but FCW and MXCSR. */
void x86_cpu_reset(struct x86_cpu *cpu);

#endif
