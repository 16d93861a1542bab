/* The x86-64 decoder. All knowledge of single instructions is in insn.tab; here are only the rules
 * that hold for all of them: prefixes, REX and VEX, operand and address sizes, ModRM and SIB (Intel
 * SDM vol. 2, chapter 2).
 *
 * Segment overrides other than FS and GS mean nothing in 64-bit mode and are skipped. 66 before a near
 * branch is ignored, as Intel's processors do. */
#include "x86/x86_internal.h"

#include <string.h>

#include "x86/cpu.h"

#include "x86_tables.inc"

_Static_assert(X86_ROW_COUNT < 65536, "row numbers are 16 bits wide");

enum { CUT_OFF = -1, INVALID = 0, OK = 1 };

struct decoder {
    const uint8_t *bytes;
    unsigned size; /* at most X86_MAX_LENGTH */
    unsigned at;
    bool truncated; /* size is what the caller had, not the limit of 15 */
    bool cut_off;
    bool opsize66, address67, lock, has_rex;
    uint8_t repeat; /* 0, f2 or f3: the last one of them */
    uint8_t seg;
    uint8_t rex; /* WRXB, of REX or VEX */
    uint8_t vvvv;
    bool vex, vex_l;
    uint8_t prefix_at;
    uint8_t map, opcode, modrm;
    uint8_t opcode_at, modrm_at, immediate_at;
    int8_t base, index;
    uint8_t scale;
    uint8_t vector_index, vector_scale; /* what SIB says, if the index is a vector: 4 is one, too */
    bool rip_relative;
    int64_t disp;
};

const struct x86_row *
x86_row(unsigned row)
{
    return &x86_rows[row < X86_ROW_COUNT ? row : 0];
}

static uint64_t
take(struct decoder *d, unsigned count)
{
    uint64_t value = 0;
    if (count > d->size - d->at) {
        d->cut_off = true;
        d->at = d->size;
        return 0;
    }
    memcpy(&value, d->bytes + d->at, count);
    d->at += count;
    return value;
}

static int64_t
take_signed(struct decoder *d, unsigned count)
{
    uint64_t value = take(d, count);
    unsigned shift = 64 - 8 * count;
    return (int64_t)(value << shift) >> shift;
}

/* Legacy prefixes and REX; leaves the first opcode byte in d->opcode. A REX that is not the last
 * prefix does not count. */
static void
take_prefixes(struct decoder *d)
{
    for (;;) {
        uint8_t byte = (uint8_t)take(d, 1);
        if (d->cut_off)
            return;
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e: break;
        case 0x64: d->seg = X86_SEG_FS; break;
        case 0x65: d->seg = X86_SEG_GS; break;
        case 0x66: d->opsize66 = true; break;
        case 0x67: d->address67 = true; break;
        case 0xf0: d->lock = true; break;
        case 0xf2:
        case 0xf3: d->repeat = byte; break;
        default:
            if ((byte & 0xf0) == 0x40) {
                d->has_rex = true;
                d->rex = byte & 15;
                continue;
            }
            d->opcode = byte;
            d->opcode_at = (uint8_t)(d->at - 1);
            return;
        }
        d->has_rex = false;
        d->rex = 0;
    }
}

/* VEX of two or three bytes (SDM vol. 2, 2.3.5). */
static int
take_vex(struct decoder *d)
{
    if (d->has_rex || d->lock || d->opsize66 || d->repeat)
        return INVALID;
    bool two_bytes = d->opcode == 0xc5;
    uint8_t one = (uint8_t)take(d, 1), two = two_bytes ? one & 0x7f : (uint8_t)take(d, 1);
    if (d->cut_off)
        return CUT_OFF;
    if (two_bytes)
        one = (one & 0x80) | 0x61; /* neither X nor B, map 0F */
    d->vex = true;
    d->prefix_at = d->opcode_at;
    d->rex = (uint8_t)((~one >> 5 & 7) | (two >> 4 & X86_REX_W));
    d->vvvv = ~two >> 3 & 15;
    d->vex_l = two & 4;
    switch (two & 3) {
    case 1: d->opsize66 = true; break;
    case 2: d->repeat = 0xf3; break;
    case 3: d->repeat = 0xf2; break;
    }
    switch (one & 31) {
    case 1: d->map = X86_MAP_VEX_0F; break;
    case 2: d->map = X86_MAP_VEX_0F38; break;
    case 3: d->map = X86_MAP_VEX_0F3A; break;
    default: return INVALID;
    }
    d->opcode_at = (uint8_t)d->at;
    d->opcode = (uint8_t)take(d, 1);
    return d->cut_off ? CUT_OFF : OK;
}

static int
take_opcode(struct decoder *d)
{
    take_prefixes(d);
    if (d->cut_off)
        return CUT_OFF;
    if (d->opcode == 0xc4 || d->opcode == 0xc5)
        return take_vex(d);
    if (d->opcode != 0x0f)
        return OK;
    d->map = X86_MAP_0F;
    d->opcode = (uint8_t)take(d, 1);
    if (d->opcode == 0x38 || d->opcode == 0x3a) {
        d->map = d->opcode == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
        d->opcode = (uint8_t)take(d, 1);
    }
    return d->cut_off ? CUT_OFF : OK;
}

/* The address part of ModRM, SIB and displacement. */
static void
take_address(struct decoder *d)
{
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
    d->base = (int8_t)(rm | (d->rex & X86_REX_B ? 8 : 0));
    d->index = X86_BASE_NONE;
    d->scale = 1;
    if (rm == 4) {
        uint8_t sib = (uint8_t)take(d, 1);
        unsigned index = (sib >> 3 & 7) | (d->rex & X86_REX_X ? 8 : 0);
        d->base = (int8_t)((sib & 7) | (d->rex & X86_REX_B ? 8 : 0));
        if (index != 4) {
            d->index = (int8_t)index;
            d->scale = (uint8_t)(1 << (sib >> 6));
        }
        d->vector_index = (uint8_t)index;
        d->vector_scale = (uint8_t)(1 << (sib >> 6));
        if (mod == 0 && (sib & 7) == 5) {
            d->base = X86_BASE_NONE;
            mod = 2;
        }
    } else if (mod == 0 && rm == 5) {
        d->base = X86_BASE_RIP;
        d->rip_relative = true;
        mod = 2;
    }
    if (mod)
        d->disp = take_signed(d, mod == 1 ? 1 : 4);
}

static unsigned
operand_size(const struct decoder *d, const struct x86_row *row)
{
    if (row->attrs & X86_A_BYTE)
        return 1;
    if (row->attrs & X86_A_F64)
        return 8;
    if (d->rex & X86_REX_W)
        return row->attrs & X86_A_MAX4 ? 4 : 8;
    if (d->opsize66 && !(row->attrs & X86_A_OP66))
        return 2;
    return row->attrs & X86_A_D64 ? 8 : 4;
}

static unsigned
size_bytes(const struct decoder *d, unsigned size, unsigned opsize)
{
    switch (size) {
    case X86_Z_B: return 1;
    case X86_Z_W: return 2;
    case X86_Z_D: return 4;
    case X86_Z_Q: return 8;
    case X86_Z_O: return 16;
    case X86_Z_X: return d->vex_l ? 32 : 16;
    case X86_Z_X2: return d->vex_l ? 16 : 8;
    case X86_Z_X4: return d->vex_l ? 8 : 4;
    case X86_Z_X8: return d->vex_l ? 4 : 2;
    case X86_Z_T: return 10;
    case X86_Z_V: return opsize;
    case X86_Z_Z: return opsize < 4 ? opsize : 4;
    case X86_Z_Y: return d->rex & X86_REX_W ? 8 : 4;
    case X86_Z_ENV: return opsize == 2 ? 14 : 28;
    case X86_Z_STATE: return opsize == 2 ? 94 : 108;
    case X86_Z_FXSAVE: return 512;
    case X86_Z_FAR: return opsize + 2;
    case X86_Z_GDTR: return 10;
    }
    return 0;
}

static void
set_reg(struct x86_operand *o, unsigned reg_class, unsigned reg, unsigned size)
{
    o->kind = X86_OPD_REG;
    o->reg_class = (uint8_t)reg_class;
    o->reg = (uint8_t)reg;
    o->size = (uint16_t)size;
}

/* The whole of it for x, else its low 16 bytes. */
static void
set_vector(struct x86_operand *o, unsigned reg, unsigned size)
{
    set_reg(o, size == 32 ? X86_RC_YMM : X86_RC_XMM, reg, size == 32 ? 32 : 16);
}

/* Byte registers 4..7 are AH CH DH BH without REX, SPL BPL SIL DIL with it. */
static void
set_gpr(const struct decoder *d, struct x86_operand *o, unsigned reg, unsigned size)
{
    if (size == 1 && reg >= 4 && reg < 8 && !d->has_rex)
        set_reg(o, X86_RC_GPR_HIGH, reg - 4, 1);
    else
        set_reg(o, X86_RC_GPR, reg, size);
}

static void
set_memory(const struct decoder *d, struct x86_operand *o, int base, unsigned size, bool segment)
{
    o->kind = X86_OPD_MEM;
    o->size = (uint16_t)size;
    o->base = (int8_t)base;
    o->index = X86_BASE_NONE;
    o->scale = 1;
    o->seg = segment ? d->seg : X86_SEG_DS;
}

static void
set_modrm_memory(const struct decoder *d, struct x86_operand *o, unsigned size)
{
    set_memory(d, o, d->base, size, true);
    o->index = d->index;
    o->scale = d->scale;
    o->disp = d->disp;
}

static void
set_imm(struct x86_operand *o, int64_t value, unsigned size)
{
    o->kind = X86_OPD_IMM;
    o->imm = value;
    o->size = (uint16_t)size;
}

/* Operands named by ModRM. Returns INVALID for registers that do not exist. */
static int
modrm_operand(const struct decoder *d, const struct x86_operand_row *r, unsigned opsize, struct x86_operand *o)
{
    bool memory = d->modrm >> 6 != 3;
    unsigned reg = (d->modrm >> 3 & 7), rm = d->modrm & 7;
    unsigned reg_x = reg | (d->rex & X86_REX_R ? 8 : 0), rm_x = rm | (d->rex & X86_REX_B ? 8 : 0);
    unsigned size = size_bytes(d, r->size, opsize);
    switch (r->encoding) {
    case X86_E_E:
    case X86_E_W:
    case X86_E_Q:
    case X86_E_M:
        if (memory)
            set_modrm_memory(d, o, size_bytes(d, r->memory_size, opsize));
        else if (r->encoding == X86_E_E)
            set_gpr(d, o, rm_x, size);
        else if (r->encoding == X86_E_W)
            set_vector(o, rm_x, size);
        else
            set_reg(o, X86_RC_MMX, rm, 8);
        break;
    case X86_E_A:
        set_modrm_memory(d, o, 0);
        o->seg = X86_SEG_DS;
        break;
    case X86_E_R: set_gpr(d, o, rm_x, size); break;
    case X86_E_G: set_gpr(d, o, reg_x, size); break;
    case X86_E_V: set_vector(o, reg_x, size); break;
    case X86_E_U: set_vector(o, rm_x, size); break;
    case X86_E_P: set_reg(o, X86_RC_MMX, reg, 8); break;
    case X86_E_N: set_reg(o, X86_RC_MMX, rm, 8); break;
    case X86_E_STI: set_reg(o, X86_RC_X87, rm, 10); break;
    case X86_E_VSIB:
        if (!memory || rm != 4)
            return INVALID;
        set_modrm_memory(d, o, size_bytes(d, r->memory_size, opsize));
        o->index = (int8_t)d->vector_index;
        o->scale = d->vector_scale;
        o->index_size = (uint8_t)size;
        break;
    case X86_E_S:
        /* CS cannot be loaded; 6 and 7 do not exist. REX.R is ignored. */
        if (reg > X86_SEG_GS || (reg == X86_SEG_CS && r->access & 2))
            return INVALID;
        set_reg(o, X86_RC_SEG, reg, 2);
        break;
    case X86_E_C:
        if (reg_x > 8 || reg_x == 1 || (reg_x > 4 && reg_x < 8))
            return INVALID;
        set_reg(o, X86_RC_CR, reg_x, 8);
        break;
    case X86_E_D:
        if (reg_x > 7)
            return INVALID;
        set_reg(o, X86_RC_DR, reg_x, 8);
        break;
    default: return INVALID;
    }
    return OK;
}

static int
fill_operand(struct decoder *d, const struct x86_operand_row *r, unsigned opsize, struct x86_operand *o)
{
    unsigned size = size_bytes(d, r->size, opsize);
    o->access = r->access;
    switch (r->encoding) {
    case X86_E_Z: set_gpr(d, o, (d->opcode & 7) | (d->rex & X86_REX_B ? 8 : 0), size); break;
    case X86_E_B: set_reg(o, X86_RC_GPR, d->vvvv, size); break;
    case X86_E_H: set_vector(o, d->vvvv, size); break;
    case X86_E_L: set_vector(o, (unsigned)take(d, 1) >> 4, size); break;
    /* Immediates of operand size are at most 32 bits wide, but for MOV r64, imm64. */
    case X86_E_I:
        if (r->size == X86_Z_Z)
            set_imm(o, take_signed(d, size), opsize);
        else if (r->size == X86_Z_V)
            set_imm(o, take_signed(d, size), size);
        else
            set_imm(o, (int64_t)take(d, size), size);
        break;
    case X86_E_SI: set_imm(o, take_signed(d, 1), opsize); break;
    case X86_E_ONE: set_imm(o, 1, 1); break;
    case X86_E_J:
        o->kind = X86_OPD_REL;
        o->imm = take_signed(d, r->size == X86_Z_B ? 1 : 4);
        o->size = 8;
        break;
    case X86_E_O:
        set_memory(d, o, X86_BASE_NONE, size, true);
        o->disp = (int64_t)take(d, d->address67 ? 4 : 8);
        break;
    case X86_E_XSI: set_memory(d, o, 6, size, true); break;
    case X86_E_YDI: set_memory(d, o, 7, size, false); break;
    case X86_E_DI: set_memory(d, o, 7, size, true); break;
    case X86_E_BX: set_memory(d, o, 3, size, true); break;
    case X86_E_ACC: set_reg(o, X86_RC_GPR, 0, size); break;
    case X86_E_CL: set_reg(o, X86_RC_GPR, 1, 1); break;
    case X86_E_DX: set_reg(o, X86_RC_GPR, 2, 2); break;
    case X86_E_ST0: set_reg(o, X86_RC_X87, 0, 10); break;
    case X86_E_FS: set_reg(o, X86_RC_SEG, X86_SEG_FS, 2); break;
    case X86_E_GS: set_reg(o, X86_RC_SEG, X86_SEG_GS, 2); break;
    default: return modrm_operand(d, r, opsize, o);
    }
    return OK;
}

static int
fill_insn(struct decoder *d, const struct x86_form *form, struct x86_insn *insn)
{
    const struct x86_row *row = &x86_rows[form->row];
    bool lock_ok = row->attrs & X86_A_LOCK && d->modrm >> 6 != 3;
    if (d->lock && !lock_ok)
        return INVALID;
    unsigned opsize = operand_size(d, row);
    insn->op = row->op;
    insn->row = form->row;
    insn->opsize = (uint8_t)opsize;
    insn->address_size = d->address67 ? 4 : 8;
    insn->vector_size = form->cond & X86_IF_V3 ? d->vex_l ? 32 : 16 : 0;
    insn->cc = row->attrs & X86_A_CC_OPCODE ? d->opcode & 15 : 0;
    insn->lock = d->lock;
    insn->rep = (row->attrs & X86_A_REP && d->repeat) || (row->attrs & X86_A_REPZ && d->repeat == 0xf3);
    insn->repne = row->attrs & X86_A_REPZ && d->repeat == 0xf2;
    insn->operand_count = row->operand_count;
    for (unsigned i = 0; i < row->operand_count; i++)
        if (fill_operand(d, &row->operand[i], opsize, &insn->operand[i]) == INVALID)
            return INVALID;
    return OK;
}

/* Displacements from the next instruction become addresses. */
static void
resolve_relative(const struct decoder *d, struct x86_insn *insn)
{
    uint64_t next = insn->address + insn->length;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        struct x86_operand *o = &insn->operand[i];
        if (o->kind == X86_OPD_REL)
            o->imm = (int64_t)((uint64_t)o->imm + next);
        if (o->kind == X86_OPD_MEM && o->base == X86_BASE_RIP) {
            uint64_t address = (uint64_t)o->disp + next;
            o->disp = (int64_t)(d->address67 ? (uint32_t)address : address);
        }
    }
}

bool
x86_operand_size_means(const struct x86_form *f)
{
    const struct x86_row *row = &x86_rows[f->row];

    if (row->attrs & (X86_A_OP66 | X86_A_BYTE | X86_A_F64))
        return (row->attrs & X86_A_OP66) != 0;
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].size == X86_Z_V || row->operand[i].size == X86_Z_Z)
            return true;
    return row->op == X86_OP_CBW || row->op == X86_OP_CWD;
}

static void
note_encoding(const struct decoder *d, const struct x86_form *form, struct x86_parts *out)
{
    *out = (struct x86_parts){
        .operand_size = d->opsize66 && x86_operand_size_means(form),
        .address_size = d->address67,
        .vex = d->vex,
        .prefix_at = d->prefix_at,
        .repeat = x86_repeat_means(form) ? d->repeat : 0,
        .rex = d->has_rex ? 0x40 | d->rex : 0,
        .opcode_at = d->opcode_at,
        .modrm_at = d->modrm_at,
        .immediate_at = d->immediate_at,
    };
}

/* Where it does not, VEX.vvvv must be 1111b. */
static bool
names_vvvv(const struct x86_row *row)
{
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].encoding == X86_E_B || row->operand[i].encoding == X86_E_H)
            return true;
    return false;
}

static bool
is_gather(const struct x86_insn *insn)
{
    return insn->operand_count == 3 && insn->operand[1].kind == X86_OPD_MEM && insn->operand[1].index_size;
}

/* Destination, index and mask must be three registers. */
static bool
gathers_apart(const struct x86_insn *insn)
{
    unsigned to = insn->operand[0].reg, index = (unsigned)insn->operand[1].index, mask = insn->operand[2].reg;

    return to != index && to != mask && index != mask;
}

int
x86_decode_parts(const uint8_t *bytes, size_t size, uint64_t address, struct x86_insn *insn, struct x86_parts *encoding)
{
    struct decoder d = {
        .bytes = bytes,
        .size = size < X86_MAX_LENGTH ? (unsigned)size : X86_MAX_LENGTH,
        .truncated = size < X86_MAX_LENGTH,
        .seg = X86_SEG_DS,
        .modrm = 0,
    };
    struct x86_insn result = {.address = address};
    int cut_off = d.truncated ? CUT_OFF : INVALID;
    int rc = take_opcode(&d);
    if (rc != OK)
        return rc == CUT_OFF ? cut_off : INVALID;
    const struct x86_opcode *o = &x86_opcodes[d.map][d.opcode];
    if (!o->count)
        return INVALID;
    if (o->modrm) {
        d.modrm_at = (uint8_t)d.at;
        d.modrm = (uint8_t)take(&d, 1);
        if (d.cut_off)
            return cut_off;
    }
    const struct x86_form *form = x86_find_form(o, x86_mandatory(d.opsize66, d.repeat), d.modrm,
                                                x86_unmet(d.rex, d.vex ? x86_unmet_vex(d.vex_l) : 0));
    if (!form)
        return INVALID;
    if (o->modrm && x86_rows[form->row].attrs & X86_A_MOD3)
        d.modrm |= 0xc0;
    else if (o->modrm && d.modrm >> 6 != 3)
        take_address(&d);
    d.immediate_at = (uint8_t)d.at;
    rc = fill_insn(&d, form, &result);
    if (rc == INVALID)
        return INVALID;
    if (d.cut_off)
        return cut_off;
    if (d.vex && d.vvvv && !names_vvvv(&x86_rows[form->row]))
        return INVALID;
    if (is_gather(&result) && !gathers_apart(&result))
        return INVALID;
    result.length = (uint8_t)d.at;
    resolve_relative(&d, &result);
    *insn = result;
    if (encoding)
        note_encoding(&d, form, encoding);
    return (int)d.at;
}

int
x86_decode(const uint8_t *bytes, size_t size, uint64_t address, struct x86_insn *insn)
{
    return x86_decode_parts(bytes, size, address, insn, NULL);
}

enum x86_field
x86_operand_field(const struct x86_insn *insn, unsigned operand)
{
    switch (x86_row(insn->row)->operand[operand].encoding) {
    case X86_E_E:
    case X86_E_M:
    case X86_E_R:
    case X86_E_W:
    case X86_E_U:
    case X86_E_Q:
    case X86_E_N:
    case X86_E_A:
    case X86_E_STI:
    case X86_E_VSIB: return X86_FIELD_RM;
    case X86_E_G:
    case X86_E_V:
    case X86_E_P:
    case X86_E_S:
    case X86_E_C:
    case X86_E_D: return X86_FIELD_REG;
    case X86_E_Z: return X86_FIELD_OPCODE;
    case X86_E_B:
    case X86_E_H: return X86_FIELD_VVVV;
    case X86_E_L:
    case X86_E_I:
    case X86_E_SI:
    case X86_E_J: return X86_FIELD_IMMEDIATE;
    case X86_E_O: return X86_FIELD_OFFSET;
    default: return X86_FIELD_NONE;
    }
}

unsigned
x86_operand_bytes(const struct x86_insn *insn, unsigned operand)
{
    const struct decoder d = {.vex_l = insn->vector_size == 32};

    return size_bytes(&d, x86_row(insn->row)->operand[operand].memory_size, insn->opsize);
}

unsigned
x86_lane_size(const struct x86_insn *insn, unsigned operand)
{
    switch (x86_row(insn->row)->operand[operand].memory_size) {
    case X86_Z_X: return 16;
    case X86_Z_X2: return 8;
    case X86_Z_X4: return 4;
    case X86_Z_X8: return 2;
    default: return 0;
    }
}

const char *
x86_op_name(unsigned op)
{
    return op < X86_OP_COUNT ? x86_names[op] : "?";
}

enum {
    CF = 1 << X86_FLAG_CF,
    PF = 1 << X86_FLAG_PF,
    ZF = 1 << X86_FLAG_ZF,
    SF = 1 << X86_FLAG_SF,
    OF = 1 << X86_FLAG_OF
};

/* The count of a shift by an immediate, masked as the processor does; -1 for CL. */
static int
shift_count(const struct x86_insn *insn)
{
    const struct x86_operand *o = &insn->operand[insn->operand_count - 1];
    return o->kind == X86_OPD_IMM ? (int)(o->imm & (insn->opsize == 8 ? 63 : 31)) : -1;
}

static struct x86_flag_effects
shift_flags(const struct x86_insn *insn, struct x86_flag_effects e)
{
    int count = shift_count(insn);
    if (count == 0)
        return (struct x86_flag_effects){0};
    if (count < 0) {
        /* Count 0 keeps all flags, so every one that is written is also read. */
        e.tested |= e.written | e.undefined;
        return e;
    }
    uint8_t lost = count > 1 ? OF : 0;
    bool past_end = (unsigned)count >= 8u * insn->operand[0].size;
    if (past_end && (insn->op == X86_OP_SHL || insn->op == X86_OP_SHR))
        lost |= CF;
    if ((unsigned)count > 8u * insn->operand[0].size && (insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD))
        lost = e.written;
    lost &= e.written;
    e.written &= (uint8_t)~lost;
    e.undefined |= lost;
    return e;
}

/* Flags tested by a condition. */
static uint8_t
condition_flags(unsigned cc)
{
    static const uint8_t tested[8] = {OF, CF, ZF, CF | ZF, SF, PF, SF | OF, SF | OF | ZF};
    return tested[cc >> 1 & 7];
}

struct x86_flag_effects
x86_flag_effects(const struct x86_insn *insn)
{
    const struct x86_row *row = x86_row(insn->row);
    struct x86_flag_effects e = row->flags;
    if (row->attrs & X86_A_CCFLAGS)
        e.tested |= condition_flags(insn->cc);
    if (row->attrs & X86_A_COUNT)
        return shift_flags(insn, e);
    if (row->attrs & X86_A_REPZ && (insn->rep || insn->repne))
        e.tested |= e.written; /* rcx = 0 keeps them */
    return e;
}

unsigned
x86_alignment(const struct x86_insn *insn)
{
    enum { SSE_SIZE = 16, FXSAVE_SIZE = 512 };

    if (insn->op == X86_OP_XSAVE || insn->op == X86_OP_XRSTOR)
        return 64;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_MEM && insn->vector_size)
            return x86_row(insn->row)->attrs & X86_A_ALIGNED ? o->size : 1;
        if (o->kind == X86_OPD_MEM && (o->size == SSE_SIZE || o->size == FXSAVE_SIZE))
            return x86_row(insn->row)->attrs & X86_A_UNALIGNED ? 1 : 16;
    }
    return 1;
}

enum x86_flow
x86_flow(const struct x86_insn *insn)
{
    return (enum x86_flow)x86_row(insn->row)->flow;
}
