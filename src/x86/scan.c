/* The shape of an instruction, for whoever looks at very many: several times as fast as x86_decode(), because no
 * operand is described. What operands would say is in struct x86_row, made by tools/gen_x86.py; branches that a
 * processor cannot foresee are avoided. */
#include "x86/x86_internal.h"

#include "x86/cpu.h"

/* The order that a canonical instruction has its prefixes in; 0: no prefix. */
enum { NO_PREFIX, SEGMENT, ADDRESS_SIZE, LOCK, OPERAND_SIZE, REPEAT, REX, NEVER };
static const uint8_t prefix_rank[256] = {
    [0x64] = SEGMENT,      [0x65] = SEGMENT, [0x67] = ADDRESS_SIZE, [0xf0] = LOCK,
    [0x66] = OPERAND_SIZE, [0xf2] = REPEAT,  [0xf3] = REPEAT,       [0x40 ... 0x4f] = REX,
    [0x26] = NEVER,        [0x2e] = NEVER,   [0x36] = NEVER,        [0x3e] = NEVER,
};

/* Bytes of an immediate: without 66 and REX.W, with 66, with REX.W. */
static const uint8_t immediate_size[X86_IMMEDIATE_COUNT][3] = {
    [X86_IMMEDIATE_NONE] = {0, 0, 0}, [X86_IMMEDIATE_B] = {1, 1, 1}, [X86_IMMEDIATE_W] = {2, 2, 2},
    [X86_IMMEDIATE_D] = {4, 4, 4},    [X86_IMMEDIATE_Z] = {4, 2, 4}, [X86_IMMEDIATE_V] = {4, 2, 8},
    [X86_IMMEDIATE_B_W] = {3, 3, 3},
};
/* Of a displacement, by ModRM.mod, when its base is no exception. */
static const uint8_t displacement_size[4] = {0, 1, 4, 0};

struct prefixes {
    uint8_t last[8]; /* by rank */
    unsigned seen;   /* ranks, by bit */
    bool canonical;
};

/* Returns where the opcode is. */
static inline unsigned
take_prefixes(const uint8_t *bytes, unsigned size, struct prefixes *p)
{
    unsigned at = 0, rank, last = NO_PREFIX;

    for (; at < size && (rank = prefix_rank[bytes[at]]) != NO_PREFIX; at++) {
        p->canonical &= rank > last && rank != NEVER;
        p->seen |= 1u << rank;
        p->last[rank] = bytes[at];
        last = rank;
    }
    if (last != REX) /* only the last prefix can be one */
        p->last[REX] = 0;
    return at;
}

/* ModRM is at modrm_at, and names an address. Returns where that ends; behind size: it is not all there. */
static inline unsigned
take_address(const uint8_t *bytes, unsigned size, struct x86_scan *out)
{
    unsigned at = out->modrm_at, mod = bytes[at] >> 6, rm = bytes[at] & 7, more = displacement_size[mod];

    at++;
    out->base = (int8_t)(rm | (out->rex & X86_REX_B ? 8 : 0));
    if (rm == 4) {
        unsigned sib, index;

        if (at >= size)
            return size + 1;
        sib = bytes[at++];
        index = (sib >> 3 & 7) | (out->rex & X86_REX_X ? 8 : 0);
        out->base = (int8_t)((sib & 7) | (out->rex & X86_REX_B ? 8 : 0));
        out->index = index == 4 ? X86_BASE_NONE : (int8_t)index;
        if (mod == 0 && (sib & 7) == 5) {
            out->base = X86_BASE_NONE;
            more = 4;
        }
    } else if (mod == 0 && rm == 5) {
        out->base = X86_BASE_RIP;
        more = 4;
    }
    return at + more;
}

/* AH, CH, DH and BH, of one byte and without REX, are parts of registers 0 to 3. */
static inline unsigned
register_bit(unsigned shape, unsigned is, unsigned is_byte, unsigned reg, bool has_rex)
{
    unsigned high = (shape & is_byte) && !has_rex ? 3 : 15;

    return shape & (is | is_byte) ? 1u << (reg & high) : 0;
}

/* Each prefix means something, to this instruction. */
static bool
prefixes_mean(const struct x86_scan *s, const struct x86_form *f)
{
    const struct x86_row *row = &x86_rows[f->row];
    bool memory = s->memory || s->unnamed_memory;

    if (s->vex)
        return (!s->segment && !s->address_size) || memory;
    return (!s->repeat || x86_repeat_means(f)) && (!s->operand_size || x86_operand_size_means(f)) &&
           (!s->segment || memory) &&
           (!s->address_size || memory || row->op == X86_OP_LEA || row->flow == X86_FLOW_BRANCH) &&
           (!s->lock || (row->attrs & X86_A_LOCK && s->memory));
}

/* At c4 or c5. The prefix's fields become out's, and the opcode is at *at. X86_MAP_COUNT: there is no such
 * instruction. */
static unsigned
take_vex(const uint8_t *bytes, unsigned size, unsigned *at, struct x86_scan *out, unsigned *unmet, unsigned *vvvv)
{
    static const uint8_t maps[4] = {X86_MAP_COUNT, X86_MAP_VEX_0F, X86_MAP_VEX_0F38, X86_MAP_VEX_0F3A};
    static const uint8_t repeats[4] = {0, 0, 0xf3, 0xf2};
    bool two_bytes = bytes[*at] == 0xc5;
    unsigned length = two_bytes ? 2 : 3, first, last;

    if (x86_level() < X86_LEVEL_V3 || *at + length >= size || out->rex || out->lock || out->operand_size || out->repeat)
        return X86_MAP_COUNT;
    first = bytes[*at + 1];
    last = two_bytes ? first & 0x7f : bytes[*at + 2];
    first = two_bytes ? (first & 0x80) | 0x61 : first;
    out->vex = true;
    out->rex = (uint8_t)(0x40 | (~first >> 5 & 7) | (last >> 4 & X86_REX_W));
    out->operand_size = (last & 3) == 1;
    out->repeat = repeats[last & 3];
    *unmet = x86_unmet_vex(last & 4);
    *vvvv = ~last >> 3 & 15;
    *at += length;
    out->opcode_at = (uint8_t)*at;
    return (first & 31) < 4 ? maps[first & 31] : X86_MAP_COUNT;
}

/* From the prefixes to ModRM, which stays where at ends. NULL: there is no such instruction in so many bytes. */
static inline const struct x86_form *
take_opcode(const uint8_t *bytes, unsigned size, unsigned *at, struct x86_scan *out, unsigned *vvvv)
{
    unsigned map = X86_MAP_LEGACY, modrm = 0, unmet = 0;
    const struct x86_opcode *o;

    if (*at < size && (bytes[*at] & 0xfe) == 0xc4) {
        map = take_vex(bytes, size, at, out, &unmet, vvvv);
        if (map == X86_MAP_COUNT)
            return NULL;
    } else if (*at < size && bytes[*at] == 0x0f) {
        map = X86_MAP_0F;
        if (++*at < size && (bytes[*at] == 0x38 || bytes[*at] == 0x3a)) {
            map = bytes[*at] == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
            ++*at;
        }
    }
    if (*at >= size)
        return NULL;
    o = &x86_opcodes[map][bytes[(*at)++]];
    if (o->modrm) {
        if (*at >= size)
            return NULL;
        out->modrm_at = (uint8_t)*at;
        modrm = bytes[*at];
    }
    return x86_find_form(o, x86_mandatory(out->operand_size, out->repeat), modrm, x86_unmet(out->rex, unmet));
}

/* What the row says of memory and registers. opcode and modrm: the bytes. */
static inline void
take_shape(const struct x86_row *row, unsigned opcode, unsigned modrm, bool address, struct x86_scan *out)
{
    unsigned shape = row->shape, rex = out->rex, b = rex & X86_REX_B ? 8 : 0, r = rex & X86_REX_R ? 8 : 0, registers;

    out->op = row->op;
    out->flow = row->flow;
    out->memory = (address && shape & X86_SHAPE_MEMORY) || shape & X86_SHAPE_OFFSET;
    out->general = address && shape & (X86_SHAPE_RM | X86_SHAPE_RM_BYTE);
    out->unnamed_memory = shape & X86_SHAPE_UNNAMED;
    out->system_register = shape & X86_SHAPE_SYSTEM;
    registers = register_bit(shape, X86_SHAPE_REG, X86_SHAPE_REG_BYTE, (modrm >> 3 & 7) | r, rex) |
                register_bit(shape, X86_SHAPE_OPCODE, X86_SHAPE_OPCODE_BYTE, (opcode & 7) | b, rex);
    if (!address)
        registers |= register_bit(shape, X86_SHAPE_RM, X86_SHAPE_RM_BYTE, (modrm & 7) | b, rex);
    out->registers = (uint16_t)registers;
}

/* VEX.vvvv is 1111b where it names nothing; a gather's index, of its SIB byte, is a vector, and another than its
 * destination and mask. */
static bool
take_vector_parts(const uint8_t *bytes, unsigned size, unsigned shape, unsigned vvvv, struct x86_scan *out)
{
    unsigned to, index;

    if (shape & X86_SHAPE_VVVV)
        out->registers |= (uint16_t)(1u << vvvv);
    else if (vvvv && !(shape & X86_SHAPE_VVVV_VECTOR))
        return false;
    if (!(shape & X86_SHAPE_VSIB))
        return true;
    if ((bytes[out->modrm_at] & 7) != 4 || out->modrm_at + 1u >= size)
        return false;
    to = (bytes[out->modrm_at] >> 3 & 7) | (out->rex & X86_REX_R ? 8 : 0);
    index = (bytes[out->modrm_at + 1] >> 3 & 7) | (out->rex & X86_REX_X ? 8 : 0);
    out->index = (int8_t)index;
    out->vector_index = true;
    return to != index && to != vvvv && index != vvvv;
}

int
x86_scan(const uint8_t *bytes, size_t available, struct x86_scan *out)
{
    unsigned size = available < X86_MAX_LENGTH ? (unsigned)available : X86_MAX_LENGTH, at, modrm, vvvv = 0;
    struct prefixes p = {.canonical = true};
    const struct x86_form *form;
    const struct x86_row *row;
    bool address;

    at = take_prefixes(bytes, size, &p);
    *out = (struct x86_scan){
        .canonical = p.canonical,
        .segment = p.last[SEGMENT],
        .address_size = p.seen >> ADDRESS_SIZE & 1,
        .lock = p.seen >> LOCK & 1,
        .operand_size = p.seen >> OPERAND_SIZE & 1,
        .repeat = p.last[REPEAT],
        .rex = p.last[REX],
        .opcode_at = (uint8_t)at,
        .base = X86_BASE_NONE,
        .index = X86_BASE_NONE,
    };
    form = take_opcode(bytes, size, &at, out, &vvvv);
    if (!form)
        return 0;
    row = &x86_rows[form->row];
    modrm = out->modrm_at ? bytes[at] : 0;
    if (row->attrs & X86_A_MOD3)
        modrm |= 0xc0;
    address = out->modrm_at && modrm >> 6 != 3;
    take_shape(row, bytes[at - 1], modrm, address, out);
    at = address ? take_address(bytes, size, out) : at + (out->modrm_at != 0);
    if (out->vex && !take_vector_parts(bytes, size, row->shape, vvvv, out))
        return 0;
    out->immediate_at = (uint8_t)at;
    at += immediate_size[row->immediate][out->rex & X86_REX_W ? 2 : out->operand_size ? 1 : 0];
    if (row->shape & X86_SHAPE_OFFSET)
        at += out->address_size ? 4 : 8;
    if (at > size)
        return 0;
    if (p.seen & ~(1u << REX))
        out->canonical &= prefixes_mean(out, form);
    out->length = (uint8_t)at;
    return (int)at;
}
