/* The structures that tools/gen_x86.py fills from insn.tab, shared by the decoder, the scanner and the formatter. */
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
    X86_A_BYTE = 1 << 7,    /* operates on bytes */
    X86_A_OP66 = 1 << 8,    /* 66 is part of the opcode, not an operand size */
    X86_A_CCFLAGS = 1 << 9, /* tests the flags of its condition */
    X86_A_REG_OPCODE = 1 << 10,
    X86_A_CC_OPCODE = 1 << 11,
    X86_A_MAX4 = 1 << 12,
    X86_A_UNALIGNED = 1 << 13,
    X86_A_ALIGNED = 1 << 14,
};

/* Operand encodings: the letters of insn.tab. */
/* clang-format off */
enum x86_encoding {
    X86_E_E, X86_E_G, X86_E_M, X86_E_R, X86_E_Z, X86_E_B, X86_E_V, X86_E_W, X86_E_U, X86_E_P, X86_E_Q, X86_E_N,
    X86_E_S, X86_E_C, X86_E_D, X86_E_I, X86_E_SI, X86_E_J, X86_E_O, X86_E_XSI, X86_E_YDI, X86_E_DI, X86_E_BX,
    X86_E_ACC, X86_E_CL, X86_E_DX, X86_E_ST0, X86_E_STI, X86_E_FS, X86_E_GS, X86_E_ONE,
    X86_E_A, X86_E_H, X86_E_L, X86_E_VSIB,
};

enum x86_size {
    X86_Z_NONE, X86_Z_B, X86_Z_W, X86_Z_D, X86_Z_Q, X86_Z_X, X86_Z_T, X86_Z_V, X86_Z_Z, X86_Z_Y, X86_Z_ENV,
    X86_Z_STATE, X86_Z_FXSAVE, X86_Z_FAR, X86_Z_GDTR, X86_Z_O, X86_Z_X2, X86_Z_X4, X86_Z_X8,
};
/* clang-format on */

struct x86_operand_row {
    uint8_t encoding, size, memory_size, access;
};

/* What a row's operands are, taken together: for x86_scan(). */
enum x86_shape {
    X86_SHAPE_RM = 1 << 0,      /* ModRM.rm, where it is no memory, is a general register */
    X86_SHAPE_RM_BYTE = 1 << 1, /* of one byte */
    X86_SHAPE_REG = 1 << 2,     /* and ModRM.reg */
    X86_SHAPE_REG_BYTE = 1 << 3,
    X86_SHAPE_OPCODE = 1 << 4, /* and the opcode's low bits */
    X86_SHAPE_OPCODE_BYTE = 1 << 5,
    X86_SHAPE_MEMORY = 1 << 6,  /* what ModRM names is accessed */
    X86_SHAPE_OFFSET = 1 << 7,  /* and what an absolute offset names */
    X86_SHAPE_UNNAMED = 1 << 8, /* and what RSI, RDI or RBX point to */
    X86_SHAPE_SYSTEM = 1 << 9,  /* a segment, control or debug register is an operand */
    X86_SHAPE_VVVV = 1 << 10,   /* VEX.vvvv is a general register */
    X86_SHAPE_VVVV_VECTOR = 1 << 12,
    X86_SHAPE_VSIB = 1 << 11, /* the address has a vector for an index */
};

/* By the sizes of insn.tab. B_W: of ENTER. */
/* clang-format off */
enum x86_immediate { X86_IMMEDIATE_NONE, X86_IMMEDIATE_B, X86_IMMEDIATE_W, X86_IMMEDIATE_D, X86_IMMEDIATE_Z, X86_IMMEDIATE_V,
                     X86_IMMEDIATE_B_W, X86_IMMEDIATE_COUNT };
/* clang-format on */

struct x86_row {
    uint16_t op;
    uint16_t attrs;
    uint8_t flow;
    uint8_t operand_count;
    uint16_t shape;    /* enum x86_shape */
    uint8_t immediate; /* enum x86_immediate */
    struct x86_flag_effects flags;
    struct x86_operand_row operand[X86_MAX_OPERANDS];
};

enum { X86_MOD_MEM = 1, X86_MOD_REG = 2 };

/* What an encoding must have, besides prefix, opcode and ModRM. */
enum x86_condition {
    X86_IF_W0 = 1 << 0,
    X86_IF_W1 = 1 << 1, /* of REX or VEX */
    X86_IF_B0 = 1 << 2,
    X86_IF_L0 = 1 << 3,
    X86_IF_L1 = 1 << 4, /* of VEX */
    X86_IF_V3 = 1 << 5, /* level v3 */
};

/* What an encoding must look like to be the row: prefix, ModRM and REX constraints. */
struct x86_form {
    uint16_t row;
    uint8_t prefixes, mods, regs, rms;
    uint8_t cond; /* enum x86_condition */
};

struct x86_opcode {
    uint16_t first; /* in x86_forms */
    uint8_t count;
    uint8_t modrm; /* a ModRM byte follows */
};

/* Opcode maps as the tables count them. */
enum x86_map {
    X86_MAP_LEGACY,
    X86_MAP_0F,
    X86_MAP_0F38,
    X86_MAP_0F3A,
    X86_MAP_VEX_0F,
    X86_MAP_VEX_0F38,
    X86_MAP_VEX_0F3A,
    X86_MAP_COUNT
};

extern const struct x86_row x86_rows[];
extern const struct x86_form x86_forms[];
extern const struct x86_opcode x86_opcodes[X86_MAP_COUNT][256];

const struct x86_row *x86_row(unsigned row);

enum { X86_REX_B = 1, X86_REX_X = 2, X86_REX_R = 4, X86_REX_W = 8 };

/* The conditions that an encoding does not meet. vex: enum x86_condition, of VEX.L and the level. */
static inline unsigned
x86_unmet(unsigned rex, unsigned vex)
{
    return (rex & X86_REX_W ? X86_IF_W0 : X86_IF_W1) | (rex & X86_REX_B ? X86_IF_B0 : 0) | vex;
}

static inline unsigned
x86_unmet_vex(bool l)
{
    return (l ? X86_IF_L0 : X86_IF_L1) | (x86_level() < X86_LEVEL_V3 ? X86_IF_V3 : 0);
}

/* The first form of an opcode that these are an encoding of. prefix: one of X86_P_*; refused: as of x86_unmet(). */
static inline const struct x86_form *
x86_find_form(const struct x86_opcode *o, unsigned prefix, unsigned modrm, unsigned refused)
{
    unsigned mod = modrm >> 6 == 3 ? X86_MOD_REG : X86_MOD_MEM;
    unsigned reg = 1u << (modrm >> 3 & 7), rm = 1u << (modrm & 7);

    for (unsigned i = 0; i < o->count; i++) {
        const struct x86_form *f = &x86_forms[o->first + i];

        if ((f->prefixes & prefix) && !(f->cond & refused) &&
            (!o->modrm || ((f->mods & mod) && (f->regs & reg) && (f->rms & rm))))
            return f;
    }
    return NULL;
}

/* Which of several mandatory prefixes counts. */
static inline unsigned
x86_mandatory(bool operand_size, uint8_t repeat)
{
    return repeat == 0xf3 ? X86_P_F3 : repeat == 0xf2 ? X86_P_F2 : operand_size ? X86_P_66 : X86_P_NONE;
}

/* Do F2 and F3, and does 66, mean something before an instruction of this form? Where not, the processor ignores them,
 * or is not promised to (SDM vol. 2, 2.1.1). */
static inline bool
x86_repeat_means(const struct x86_form *f)
{
    return !(f->prefixes & X86_P_NONE) || x86_rows[f->row].attrs & (X86_A_REP | X86_A_REPZ);
}

bool x86_operand_size_means(const struct x86_form *f);

#endif
