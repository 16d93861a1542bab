/* Instructions taken apart into fields and put together again (encode.h). The rewriter changes fields, such as a
 * register's number or the segment, and never bytes. */
#include "direct/encode.h"

#include <string.h>

#include "x86/address_space.h"

enum { REX = 0x40, REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1, REGISTERS_LOW = 8 };

/* --- apart --- */

/* Only MOV with AL or rAX has an absolute 64-bit offset. It becomes the same instruction with ModRM, where the address
 * fits. */
static bool
offset_form(const struct x86_insn *insn, struct encoding *e)
{
    const struct x86_operand *memory = insn->operand[0].kind == X86_OPD_MEM ? &insn->operand[0] : &insn->operand[1];
    uint64_t address = (uint64_t)memory->disp;

    if (address > INT32_MAX)
        return false;
    e->opcode[0] = (uint8_t)((e->opcode[0] & 1) | (insn->operand[0].kind == X86_OPD_MEM ? 0x88 : 0x8a));
    e->modrm = true;
    e->memory = true;
    e->disp = (int32_t)address;
    return true;
}

static bool
take_memory(const struct x86_operand *o, struct encoding *e)
{
    e->memory = true;
    e->base = o->base;
    e->index = o->index;
    e->scale = o->scale;
    e->vector_index = o->index_size != 0;
    if (o->base == X86_BASE_RIP) {
        /* The address must fit whatever base the file gets. */
        if (o->disp <= -(int64_t)GUEST_IMAGE_END || o->disp >= (int64_t)GUEST_IMAGE_END)
            return false;
        e->base = X86_BASE_NONE;
        e->disp_relative = DIRECT_IMAGE;
    }
    e->disp = (int32_t)o->disp;
    return true;
}

/* Takes a VEX prefix apart (SDM vol. 2, 2.3.5), and returns the bits of the REX prefix that it stands for. In VEX they
 * are inverted. */
static unsigned
take_vex(const uint8_t *bytes, const struct x86_parts *at, struct encoding *e)
{
    const uint8_t *vex = bytes + at->prefix_at;
    bool two = vex[0] == 0xc5;
    uint8_t first = vex[1], last = two ? vex[1] & 0x7f : vex[2];

    e->vex = true;
    e->vex_map = two ? 1 : first & 31;
    e->vex_prefix = last & 3;
    e->vex_long = last & 4;
    e->vvvv = (uint8_t)(~last >> 3 & 15);
    e->wide = last & 0x80;
    return (unsigned)(~first >> 5 & (two ? REX_R : REX_R | REX_X | REX_B));
}

bool
encoding_of(const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at, struct encoding *out)
{
    unsigned opcode_end = at->modrm_at ? at->modrm_at : at->immediate_at, opcode_size = opcode_end - at->opcode_at,
             rex = at->rex;
    struct encoding e = {.lock = insn->lock,
                         .address32 = at->address_size,
                         .base = X86_BASE_NONE,
                         .index = X86_BASE_NONE,
                         .scale = 1};

    if (at->vex) {
        rex = take_vex(bytes, at, &e);
    } else {
        e.operand_size = at->operand_size;
        e.wide = rex & REX_W;
        e.repeat = at->repeat;
    }
    if (opcode_size == 0 || opcode_size > sizeof e.opcode || insn->length - at->immediate_at > (int)sizeof e.immediate)
        return false;
    memcpy(e.opcode, bytes + at->opcode_at, opcode_size);
    e.opcode_size = (uint8_t)opcode_size;
    e.modrm = at->modrm_at != 0;
    if (e.modrm) {
        uint8_t modrm = bytes[at->modrm_at];

        e.reg = (uint8_t)((modrm >> 3 & 7) | (rex & REX_R ? 8 : 0));
        e.rm = (uint8_t)((modrm & 7) | (rex & REX_B ? 8 : 0));
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];
        enum x86_field field = x86_operand_field(insn, i);

        if (field == X86_FIELD_OFFSET) {
            if (!offset_form(insn, &e))
                return false;
            *out = e;
            return true;
        }
        if (field == X86_FIELD_OPCODE) {
            e.register_in_opcode = true;
            e.reg = o->reg_class == X86_RC_GPR_HIGH ? (uint8_t)(o->reg + 4) : o->reg;
        }
        if (field == X86_FIELD_RM && o->kind == X86_OPD_MEM && !take_memory(o, &e))
            return false;
        if (field != X86_FIELD_NONE && o->kind == X86_OPD_REG && o->size == 1) {
            e.high_byte |= o->reg_class == X86_RC_GPR_HIGH;
            e.byte_rex |= o->reg_class == X86_RC_GPR && o->reg >= 4 && o->reg < 8;
        }
    }
    e.address32 &= e.memory; /* without memory the prefix means nothing */
    e.immediate_size = (uint8_t)(insn->length - at->immediate_at);
    memcpy(e.immediate, bytes + at->immediate_at, e.immediate_size);
    *out = e;
    return true;
}

/* --- together --- */

static uint8_t
rex_bits(const struct encoding *e)
{
    uint8_t rex = e->wide ? REX_W : 0;

    if (e->register_in_opcode)
        return (uint8_t)(rex | (e->reg >= REGISTERS_LOW ? REX_B : 0));
    if (!e->modrm)
        return rex;
    rex |= e->reg >= REGISTERS_LOW ? REX_R : 0;
    if (!e->memory)
        return (uint8_t)(rex | (e->rm >= REGISTERS_LOW ? REX_B : 0));
    rex |= e->base >= REGISTERS_LOW ? REX_B : 0;
    return (uint8_t)(rex | (e->index >= REGISTERS_LOW ? REX_X : 0));
}

bool
encoding_needs_rex(const struct encoding *e)
{
    return rex_bits(e) != 0 || e->byte_rex;
}

static size_t
put_disp(struct buf *out, const struct encoding *e, unsigned size)
{
    size_t at = out->size;

    if (size == 1)
        buf_put_u8(out, (uint8_t)e->disp);
    else if (size == 4)
        buf_put_u32(out, (uint32_t)e->disp);
    return e->disp_relative == DIRECT_IMAGE ? at : 0;
}

static size_t
put_memory(struct buf *out, const struct encoding *e)
{
    unsigned scale = e->scale == 8 ? 3 : e->scale == 4 ? 2 : e->scale == 2 ? 1 : 0;
    unsigned reg = (e->reg & 7u) << 3, base = e->base & 7u, mod, disp_size;

    if (e->base == X86_BASE_NONE) { /* a SIB byte without a base always has 4 bytes of displacement */
        buf_put_u8(out, (uint8_t)(reg | 4));
        buf_put_u8(out, (uint8_t)(scale << 6 | (e->index == X86_BASE_NONE ? 4 : e->index & 7u) << 3 | 5));
        return put_disp(out, e, 4);
    }
    disp_size = e->disp == 0 && base != 5 ? 0 : e->disp >= INT8_MIN && e->disp <= INT8_MAX ? 1 : 4;
    mod = disp_size == 0 ? 0 : disp_size == 1 ? 1 : 2;
    if (e->index == X86_BASE_NONE && base != 4) {
        buf_put_u8(out, (uint8_t)(mod << 6 | reg | base));
    } else {
        buf_put_u8(out, (uint8_t)(mod << 6 | reg | 4));
        buf_put_u8(out, (uint8_t)(scale << 6 | (e->index == X86_BASE_NONE ? 4 : e->index & 7u) << 3 | base));
    }
    return put_disp(out, e, disp_size);
}

/* Writes a VEX prefix, in its short form where that can say the same. */
static void
put_vex(struct buf *out, const struct encoding *e, uint8_t rex)
{
    unsigned last = (~e->vvvv & 15u) << 3 | (e->vex_long ? 4 : 0) | e->vex_prefix, inverted = ~(unsigned)rex;

    if (e->vex_map == 1 && !(rex & (REX_W | REX_X | REX_B))) {
        buf_put_u8(out, 0xc5);
        buf_put_u8(out, (uint8_t)((inverted & REX_R) << 5 | last));
        return;
    }
    buf_put_u8(out, 0xc4);
    buf_put_u8(out, (uint8_t)((inverted & (REX_R | REX_X | REX_B)) << 5 | e->vex_map));
    buf_put_u8(out, (uint8_t)((rex & REX_W) << 4 | last));
}

size_t
encoding_put(struct buf *out, const struct encoding *e)
{
    uint8_t rex = rex_bits(e);
    size_t relative = 0;

    if (e->segment)
        buf_put_u8(out, e->segment);
    if (e->address32)
        buf_put_u8(out, 0x67);
    if (e->lock)
        buf_put_u8(out, 0xf0);
    if (e->operand_size)
        buf_put_u8(out, 0x66);
    if (e->repeat)
        buf_put_u8(out, e->repeat);
    if (e->vex)
        put_vex(out, e, rex);
    else if (rex || e->byte_rex)
        buf_put_u8(out, REX | rex);
    buf_put(out, e->opcode, e->opcode_size - 1u);
    buf_put_u8(out, (uint8_t)(e->register_in_opcode ? (e->opcode[e->opcode_size - 1] & ~7) | (e->reg & 7)
                                                    : e->opcode[e->opcode_size - 1]));
    if (e->modrm && e->memory)
        relative = put_memory(out, e);
    else if (e->modrm)
        buf_put_u8(out, (uint8_t)(0xc0 | (e->reg & 7) << 3 | (e->rm & 7)));
    buf_put(out, e->immediate, e->immediate_size);
    return relative;
}

/* --- ready-made --- */

static struct encoding
encode_memory(uint8_t opcode, unsigned reg, unsigned segment, int base, int32_t disp)
{
    return (struct encoding){.wide = true,
                             .segment = (uint8_t)segment,
                             .address32 = segment == SEGMENT_GS,
                             .opcode = {opcode},
                             .opcode_size = 1,
                             .modrm = true,
                             .reg = (uint8_t)reg,
                             .memory = true,
                             .base = (int8_t)base,
                             .index = X86_BASE_NONE,
                             .scale = 1,
                             .disp = disp};
}

struct encoding
encode_load(unsigned reg, unsigned segment, int base, int32_t disp)
{
    return encode_memory(0x8b, reg, segment, base, disp);
}

struct encoding
encode_store(unsigned reg, unsigned segment, int base, int32_t disp)
{
    return encode_memory(0x89, reg, segment, base, disp);
}

struct encoding
encode_move(unsigned to, unsigned from)
{
    return (struct encoding){.wide = true,
                             .opcode = {0x8b},
                             .opcode_size = 1,
                             .modrm = true,
                             .reg = (uint8_t)to,
                             .rm = (uint8_t)from};
}

struct encoding
encode_lea(unsigned reg, int base, int index, int32_t disp)
{
    struct encoding e = encode_memory(0x8d, reg, 0, base, disp);

    e.index = (int8_t)index;
    return e;
}
