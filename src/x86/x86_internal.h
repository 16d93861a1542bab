/* The structures that tools/gen_x86.py fills from insn.tab, shared by the decoder and the formatter. */
#ifndef X86_X86_INTERNAL_H
#define X86_X86_INTERNAL_H

#include "x86/x86.h"

/* Prefix masks of a form: which mandatory prefix it takes. */
enum { X86_P_NONE = 1, X86_P_66 = 2, X86_P_F3 = 4, X86_P_F2 = 8 };

enum x86_attr {
    X86_A_LOCK = 1 << 0,
    X86_A_REP = 1 << 1,
    X86_A_REPZ = 1 << 2,
    X86_A_D64 = 1 << 3,
    X86_A_F64 = 1 << 4,
    X86_A_MOD3 = 1 << 5,
    X86_A_COUNT = 1 << 6,
    X86_A_BYTE = 1 << 7,       /* operates on bytes */
    X86_A_OP66 = 1 << 8,       /* 66 is part of the opcode, not an operand size */
    X86_A_CCFLAGS = 1 << 9,    /* tests the flags of its condition */
    X86_A_REG_OPCODE = 1 << 10,
    X86_A_CC_OPCODE = 1 << 11,
    X86_A_MAX4 = 1 << 12,
    X86_A_UNALIGNED = 1 << 13,
};

/* Operand encodings: the letters of insn.tab. */
enum x86_encoding {
    X86_E_E, X86_E_G, X86_E_M, X86_E_R, X86_E_Z, X86_E_B, X86_E_V, X86_E_W, X86_E_U, X86_E_P, X86_E_Q, X86_E_N,
    X86_E_S, X86_E_C, X86_E_D, X86_E_I, X86_E_SI, X86_E_J, X86_E_O, X86_E_XSI, X86_E_YDI, X86_E_DI, X86_E_BX,
    X86_E_ACC, X86_E_CL, X86_E_DX, X86_E_ST0, X86_E_STI, X86_E_FS, X86_E_GS, X86_E_ONE,
    X86_E_A,
};

enum x86_size {
    X86_Z_NONE, X86_Z_B, X86_Z_W, X86_Z_D, X86_Z_Q, X86_Z_X, X86_Z_T, X86_Z_V, X86_Z_Z, X86_Z_Y, X86_Z_ENV,
    X86_Z_STATE, X86_Z_FXSAVE, X86_Z_FAR, X86_Z_GDTR,
};

struct x86_operand_row {
    uint8_t encoding, size, memory_size, access;
};

struct x86_row {
    uint16_t op;
    uint16_t attrs;
    uint8_t flow;
    uint8_t operand_count;
    struct x86_flag_effects flags;
    struct x86_operand_row operand[3];
};

enum { X86_MOD_MEM = 1, X86_MOD_REG = 2 };

/* What an encoding must look like to be the row: prefix, ModRM and REX constraints. */
struct x86_form {
    uint16_t row;
    uint8_t prefixes, mods, regs, rms;
    uint8_t cond; /* 1: REX.W clear, 2: REX.W set, 4: REX.B clear */
};

struct x86_opcode {
    uint16_t first; /* in x86_forms */
    uint8_t count;
    uint8_t modrm; /* a ModRM byte follows */
};

const struct x86_row *x86_row(unsigned row);

#endif
