/* x86-64 instructions: the decoder and the formatter, both generated from insn.tab.
 *
 * Names are the Intel SDM's. Instructions that differ only in condition are one op with `cc`
 * (JCC, SETCC, CMOVCC); string instructions are one op with `opsize` (MOVS, CMPS, STOS, LODS, SCAS,
 * INS, OUTS), so that MOVSD and CMPSD always mean the SSE2 instructions. Every row of insn.tab names
 * its lifter: lift_<name> (src/lift), by default the op's name in lower case. */
#ifndef X86_X86_H
#define X86_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/level.h"
#include "x86/x86_ops.h" /* generated: enum x86_op { X86_OP_INVALID, X86_OP_ADD, ... , X86_OP_COUNT } */

enum { X86_MAX_LENGTH = 15, X86_MAX_OPERANDS = 4 };

enum x86_operand_kind {
    X86_OPD_NONE,
    X86_OPD_REG,
    X86_OPD_MEM,
    X86_OPD_IMM, /* imm: sign-extended to 64 bits as the instruction defines it */
    X86_OPD_REL, /* imm: the branch target, address of the next instruction added */
};

enum x86_reg_class {
    X86_RC_GPR,      /* reg 0..15 */
    X86_RC_GPR_HIGH, /* AH, CH, DH, BH: reg 0..3 names the register whose bits 8..15 are meant */
    X86_RC_XMM,
    X86_RC_YMM,
    X86_RC_MMX,
    X86_RC_X87, /* ST(reg) */
    X86_RC_SEG, /* ES CS SS DS FS GS */
    X86_RC_CR,
    X86_RC_DR,
};

enum { X86_SEG_ES, X86_SEG_CS, X86_SEG_SS, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };

enum { X86_BASE_NONE = -1, X86_BASE_RIP = 16 };

/* clang-format off */
enum x86_cc { X86_CC_O, X86_CC_NO, X86_CC_B, X86_CC_AE, X86_CC_E, X86_CC_NE, X86_CC_BE, X86_CC_A,
              X86_CC_S, X86_CC_NS, X86_CC_P, X86_CC_NP, X86_CC_L, X86_CC_GE, X86_CC_LE, X86_CC_G };
/* clang-format on */

struct x86_operand {
    uint8_t kind; /* enum x86_operand_kind */
    uint8_t reg_class;
    uint8_t reg;
    uint8_t access; /* 1 read, 2 written, 3 both */
    uint16_t size;  /* bytes: 1 2 4 8 10 16 32, 28 94 108 512 for x87/fxsave areas; 0 for lea and the like */
    /* X86_OPD_MEM: segment base + base + index * scale + disp; with X86_BASE_RIP, disp is already
     * the absolute address (next instruction + displacement) and there is no index. */
    int8_t base;        /* GPR 0..15, X86_BASE_NONE, X86_BASE_RIP */
    int8_t index;       /* GPR, or X86_BASE_NONE */
    uint8_t scale;      /* 1 2 4 8 */
    uint8_t seg;        /* X86_SEG_FS or X86_SEG_GS when the base of one applies, else X86_SEG_DS */
    uint8_t index_size; /* VSIB: bytes of the vector register that index is, 16 or 32, with one address for each of its
                           elements; size is that of one element. 0: index is a general register */
    union {
        int64_t disp;
        int64_t imm;
    };
};

struct x86_insn {
    uint64_t address;
    uint16_t op;  /* enum x86_op */
    uint16_t row; /* row of insn.tab */
    uint8_t length;
    uint8_t opsize;        /* effective operand size in bytes: 1 2 4 8 (also for string ops) */
    uint8_t address_size;  /* 8 or 4 (address-size prefix: the effective address wraps at 32 bits) */
    uint8_t cc;            /* enum x86_cc, for JCC, SETCC, CMOVCC */
    uint8_t vector_size;   /* of an instruction of level v3: 16 or 32, as VEX.L says; else 0 */
    bool lock, rep, repne; /* prefixes that mean something here (rep also for repe) */
    uint8_t operand_count; /* explicit operands, as Intel syntax writes them, destination first */
    struct x86_operand operand[X86_MAX_OPERANDS];
};

/* Decodes one instruction at address from at most size bytes. Returns its length (1..15), 0 when the
 * bytes are no valid instruction of the level (#UD; also longer than 15 bytes), and -1 when size ended
 * inside it. *insn is filled only when the length is positive. Any bytes are allowed. */
int x86_decode(const uint8_t *bytes, size_t size, uint64_t address, struct x86_insn *insn);

/* Where the parts of an instruction's encoding are (SDM vol. 2, 2.1), for who writes it anew. */
struct x86_parts {
    bool operand_size;    /* prefix 66, if it means something */
    bool address_size;    /* prefix 67 */
    bool vex;             /* 66, f2, f3 and REX are then in it */
    uint8_t repeat;       /* prefix f2 or f3, if it means something, or 0 */
    uint8_t rex;          /* with its 0x40; 0: there is none */
    uint8_t prefix_at;    /* of VEX: c4 or c5, behind the legacy prefixes */
    uint8_t opcode_at;    /* behind all prefixes; up to modrm_at, or immediate_at where that is 0 */
    uint8_t modrm_at;     /* 0: there is none */
    uint8_t immediate_at; /* behind ModRM, SIB and displacement */
};
int x86_decode_parts(const uint8_t *bytes, size_t size, uint64_t address, struct x86_insn *insn,
                     struct x86_parts *encoding);

/* What x86_scan() tells of an instruction. */
struct x86_scan {
    uint16_t op; /* enum x86_op */
    uint8_t length;
    uint8_t flow;   /* enum x86_flow */
    bool canonical; /* prefixes are in the order: segment (64, 65), 67, f0, 66, f2 or f3, REX; each once, others
                             not at all, and none but REX that means nothing */
    bool operand_size, address_size, lock; /* prefixes 66, 67 and f0 */
    uint8_t segment, repeat;               /* 64, 65 or 0; f2, f3 or 0 */
    uint8_t rex;                           /* with its 0x40; 0: there is none */
    bool vex;          /* repeat, operand_size and rex are then those of the prefix, which is two or three bytes
                             before opcode_at */
    bool vector_index; /* index is a vector register */
    uint8_t opcode_at, modrm_at, immediate_at; /* as in struct x86_parts */
    bool memory;                               /* accesses what ModRM, or an absolute offset, names */
    bool general;         /* and a general register could be in its place: it has at most 8 bytes */
    bool unnamed_memory;  /* accesses what RSI, RDI or RBX point to */
    bool system_register; /* segment, control and debug registers */
    int8_t base, index;   /* of the address, also where none is accessed (LEA): as in struct x86_operand */
    uint16_t registers;   /* general registers that are named operands, by bit; not those of the address */
};

/* An instruction's shape by the same table; VEX on level v3 alone. Returns its length (1 to 15), or 0: there is no such
 * instruction in so many bytes. Any bytes are allowed. */
int x86_scan(const uint8_t *bytes, size_t size, struct x86_scan *out);

/* Which part of the encoding names an explicit operand. */
enum x86_field {
    X86_FIELD_NONE,
    X86_FIELD_REG,
    X86_FIELD_RM,
    X86_FIELD_OPCODE,
    X86_FIELD_VVVV,
    X86_FIELD_IMMEDIATE,
    X86_FIELD_OFFSET
};
enum x86_field x86_operand_field(const struct x86_insn *insn, unsigned operand);

/* Of an instruction of level v3: the bytes that it uses of a vector operand, and those of them that belong to each 128
 * bits of its longest operand. 0: they belong to all of them (counts of shifts, scalars). */
unsigned x86_operand_bytes(const struct x86_insn *insn, unsigned operand);
unsigned x86_lane_size(const struct x86_insn *insn, unsigned operand);

/* The length of an instruction that x86_decode refuses because no processor of the level has it (AVX-512, XOP, TSX, on
 * v2 AVX ...), by the shape of its encoding; 0 when it has none. All of them raise #UD here. For telling code from data
 * only. *data (may be NULL): the address that its rip-relative operand names, with the instruction at `address`; 0 when
 * it has none. */
int x86_foreign_length(const uint8_t *bytes, size_t size, uint64_t address, uint64_t *data);

/* Intel syntax, e.g. "add rax, qword ptr [rbx+rcx*8+0x10]"; always terminated. Returns out. */
char *x86_format(const struct x86_insn *insn, char *out, size_t size);

const char *x86_op_name(unsigned op); /* "add"; "?" out of range */

/* Flags of a row, bit i = enum X86_FLAG_i: tested, written (defined), left undefined. */
struct x86_flag_effects {
    uint8_t tested, written, undefined;
};
struct x86_flag_effects x86_flag_effects(const struct x86_insn *insn);

/* What the address of its memory operand must be a multiple of, or #GP comes: 16 for the 16 bytes of SSE instructions
 * (but MOVUPS and the like), CMPXCHG16B and the FXSAVE area, 64 for the XSAVE area, its size for those with VEX that
 * say so (VMOVAPS and the like, VMOVNTPS), else 1. */
unsigned x86_alignment(const struct x86_insn *insn);

/* What follows the instruction in the flow of control. */
enum x86_flow {
    X86_FLOW_NEXT,
    X86_FLOW_JUMP,          /* jmp rel */
    X86_FLOW_JUMP_INDIRECT, /* jmp r/m */
    X86_FLOW_BRANCH,        /* jcc, loopcc, jrcxz */
    X86_FLOW_CALL,
    X86_FLOW_CALL_INDIRECT,
    X86_FLOW_RETURN,
    X86_FLOW_SYSCALL,
    X86_FLOW_TRAP, /* ud2, int3, int n, hlt and what only ring 0 may do: does not go on by itself */
};
enum x86_flow x86_flow(const struct x86_insn *insn);

#endif
