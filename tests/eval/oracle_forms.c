/* The forms: every encoding the decoder knows, found by trying opcodes, prefixes and ModRM bytes, one for
 * each (table row, operand size, register or memory, lock and rep). From a form, random encodings. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct form *forms;
size_t form_count;
bool form_faults, form_misaligns, form_prefixes;
uint8_t form_base, form_index;
static size_t form_capacity;

static bool
is_memory(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operand[i].kind == X86_OPD_MEM)
            return true;
    }
    return false;
}

static uint64_t
key_of(const struct x86_insn *insn)
{
    return insn->row | (uint64_t)insn->opsize << 16 | (uint64_t)is_memory(insn) << 24 | (uint64_t)insn->lock << 25 |
           (uint64_t)insn->rep << 26 | (uint64_t)insn->repne << 27 | (uint64_t)(insn->vector_size == 32) << 28;
}

/* Bytes of prefixes and opcode, up to the ModRM byte. */
static size_t
put_opcode(const struct form *f, uint8_t opcode, uint8_t rex, uint8_t vvvv, uint8_t *out)
{
    size_t n = 0;

    for (const uint8_t *p = f->prefix; p < f->prefix + 3 && *p; p++)
        out[n++] = *p;
    if (f->vex && f->map == 1 && !f->w && !(rex & 3) && random_below(2)) {
        out[n++] = 0xc5;
        out[n++] = (uint8_t)((rex & 4 ? 0 : 0x80) | (~vvvv & 15) << 3 | (f->l ? 4 : 0) | f->pp);
    } else if (f->vex) {
        out[n++] = 0xc4;
        out[n++] = (uint8_t)(((rex & 7) ^ 7) << 5 | f->map);
        out[n++] = (uint8_t)((f->w ? 0x80 : 0) | (~vvvv & 15) << 3 | (f->l ? 4 : 0) | f->pp);
    } else {
        if (rex)
            out[n++] = rex;
        if (f->map)
            out[n++] = 0x0f;
        if (f->map == 2)
            out[n++] = 0x38;
        if (f->map == 3)
            out[n++] = 0x3a;
    }
    out[n++] = opcode;
    return n;
}

static void
try_form(struct form *f)
{
    uint8_t bytes[32] = {0};
    struct x86_insn insn;
    size_t n = put_opcode(f, f->opcode, f->w && !f->vex ? 0x48 : 0, 0, bytes);

    bytes[n] = f->modrm;
    bytes[n + 1] = 0x08; /* as SIB: an index that is neither register 0, which VEX.vvvv names, nor the destination */
    if (x86_decode(bytes, sizeof bytes, CODE_AT, &insn) <= 0)
        return;
    for (size_t i = 0; i < form_count; i++) {
        if (key_of(&forms[i].sample) == key_of(&insn))
            return;
    }
    if (form_count == form_capacity) {
        form_capacity = form_capacity ? form_capacity * 2 : 1024;
        forms = realloc(forms, form_capacity * sizeof *forms);
        if (!forms)
            abort();
    }
    f->row = insn.row;
    f->op = insn.op;
    f->opsize = insn.opsize;
    f->memory = is_memory(&insn);
    f->sample = insn;
    forms[form_count++] = *f;
}

static void
try_modrms(struct form *f)
{
    /* The /digit rows with a register and with [rbx]; whole-byte rows of the x87 and 0f01 groups. */
    bool whole = (f->map == 0 && f->opcode >= 0xd8 && f->opcode <= 0xdf) ||
                 (f->map == 1 && (f->opcode == 0x01 || f->opcode == 0xae));

    for (unsigned reg = 0; reg < 8; reg++) {
        f->modrm = (uint8_t)(0x03 | reg << 3);
        try_form(f);
        f->modrm = (uint8_t)(0xc1 | reg << 3);
        try_form(f);
        f->modrm = (uint8_t)(0x04 | reg << 3); /* gathers have a SIB byte */
        try_form(f);
    }
    for (unsigned modrm = 0xc0; whole && modrm < 0x100; modrm++) {
        f->modrm = (uint8_t)modrm;
        try_form(f);
    }
}

/* Prefixes, and the first bytes of longer opcodes. */
static bool
leads_elsewhere(unsigned map, unsigned opcode)
{
    if (map == 1)
        return opcode == 0x38 || opcode == 0x3a;
    return map == 0 &&
           (opcode == 0x0f || (opcode & 0xf0) == 0x40 || (opcode & 0xe7) == 0x26 || (opcode & 0xfc) == 0x64 ||
            opcode == 0xc4 || opcode == 0xc5 || opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3);
}

void
forms_find(void)
{
    static const uint8_t prefixes[][3] = {{0},    {0x66},       {0xf3},       {0xf2},
                                          {0xf0}, {0xf0, 0x66}, {0x66, 0xf3}, {0x66, 0xf2}};

    for (unsigned map = 0; map < 4; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            if (leads_elsewhere(map, opcode))
                continue;
            for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
                for (unsigned w = 0; w < 2; w++) {
                    struct form f = {.map = (uint8_t)map, .opcode = (uint8_t)opcode, .w = w};
                    memcpy(f.prefix, prefixes[p], 3);
                    try_modrms(&f);
                }
            }
            for (unsigned i = 0; map && i < 16; i++) {
                struct form f = {.map = (uint8_t)map,
                                 .opcode = (uint8_t)opcode,
                                 .vex = true,
                                 .w = i >> 2 & 1,
                                 .l = i >> 3,
                                 .pp = i & 3};
                try_modrms(&f);
            }
        }
    }
}

/* Far transfers and segment loads go through with some selectors, the 32-bit entries into a kernel. */
static bool
moves_segments(unsigned op)
{
    return op == X86_OP_CALLF || op == X86_OP_JMPF || op == X86_OP_RETF || op == X86_OP_LSS || op == X86_OP_LFS ||
           op == X86_OP_LGS || op == X86_OP_SYSENTER;
}

bool
form_runs(const struct form *f)
{
    enum x86_flow flow = x86_flow(&f->sample);

    if (flow == X86_FLOW_SYSCALL)
        return false;
    if (flow == X86_FLOW_TRAP && moves_segments(f->op))
        return false;
    for (unsigned i = 0; i < f->sample.operand_count; i++) {
        if (f->sample.operand[i].kind == X86_OPD_REG && f->sample.operand[i].reg_class >= X86_RC_SEG)
            return false;
    }
    switch (f->op) {
        /* clang-format off */
    case X86_OP_IRET: case X86_OP_CPUID: case X86_OP_RDTSC: case X86_OP_RDTSCP: case X86_OP_XGETBV:
    case X86_OP_RDRAND: case X86_OP_RDSEED: case X86_OP_RDPID: case X86_OP_RDFSBASE:
    case X86_OP_WRFSBASE: case X86_OP_WRGSBASE: case X86_OP_LAR: case X86_OP_LSL:
    case X86_OP_SGDT: case X86_OP_SIDT: case X86_OP_SLDT: case X86_OP_STR: case X86_OP_SMSW:
    case X86_OP_VERR: case X86_OP_VERW: case X86_OP_MONITOR: case X86_OP_MWAIT: case X86_OP_XSAVE:
    case X86_OP_XRSTOR: case X86_OP_XSAVEOPT: case X86_OP_XSAVEC: case X86_OP_FWAIT:
        /* clang-format on */
        return false;
    default: return true;
    }
}

struct shape { /* of one emitted encoding */
    uint8_t bytes[32];
    size_t size;
    int disp_at; /* of a 4-byte displacement, 8-byte for moffs; -1 */
};

static uint8_t
pick_rex(const struct form *f, bool sequence, bool *any)
{
    uint8_t rex = f->w && !f->vex ? 0x48 : 0;

    *any = !sequence && random_below(4) == 0;
    if (random_below(2))
        rex |= (uint8_t)(0x40 | random_below(8));
    return rex;
}

static void
put32(struct shape *s, uint32_t v)
{
    memcpy(s->bytes + s->size, &v, 4);
    s->size += 4;
}

static bool
is_gather(const struct form *f)
{
    return f->sample.operand_count == 3 && f->sample.operand[1].kind == X86_OPD_MEM && f->sample.operand[1].index_size;
}

/* A memory ModRM; reg is the /reg field. */
static void
put_memory(struct shape *s, unsigned reg, bool sequence, bool gathers, uint8_t *rex)
{
    unsigned kind = random_below(6), base = random_below(8), index = random_below(8);
    unsigned scale = random_below(4), mod;

    s->disp_at = -1;
    if (sequence) {
        static const uint8_t kinds[] = {3, 3, 3, 4, 5};
        kind = kinds[random_below(5)];
        base = form_base & 7;
        index = form_index & 7;
        *rex &= (uint8_t)~3;
        if (kind == 3)
            *rex |= (uint8_t)(form_base >> 3 | form_index >> 3 << 1 | (form_base >= 8 || form_index >= 8 ? 0x40 : 0));
        scale = random_below(4);
    }
    if (gathers)
        kind = 3;
    switch (kind) {
    case 4: /* rip + disp32 */
        s->bytes[s->size++] = (uint8_t)(reg << 3 | 5);
        s->disp_at = (int)s->size;
        put32(s, 0);
        return;
    case 5: /* disp32 */
        s->bytes[s->size++] = (uint8_t)(reg << 3 | 4);
        s->bytes[s->size++] = 0x25;
        s->disp_at = (int)s->size;
        if (*rex)
            *rex &= (uint8_t)~2;
        put32(s, 0);
        return;
    case 3:
        mod = random_below(3);
        s->bytes[s->size++] = (uint8_t)(mod << 6 | reg << 3 | 4);
        s->bytes[s->size++] = (uint8_t)(scale << 6 | index << 3 | base);
        if (base == 5 && mod == 0) {
            s->disp_at = (int)s->size;
            put32(s, 0);
        }
        break;
    default:
        mod = kind;
        s->bytes[s->size++] = (uint8_t)(mod << 6 | reg << 3 | base);
        if (base == 4)
            s->bytes[s->size++] = (uint8_t)(scale << 6 | index << 3 | random_below(8));
        if (base == 5 && mod == 0) {
            s->disp_at = (int)s->size;
            put32(s, 0);
        }
    }
    if (mod == 1)
        s->bytes[s->size++] = (uint8_t)(sequence ? random_below(128) : random64());
    else if (mod == 2)
        put32(s, sequence ? random_below(2048) : random_below(3) ? (uint32_t)random64() : random_below(0x20000));
}

/* Those that change nothing, or not what it is: whoever asked sees that the form is the same. */
static void
put_prefixes(struct shape *s)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x48, 0x65, 0x66, 0x67, 0xf2, 0xf3};

    for (unsigned n = 1 + random_below(3); n; n--)
        s->bytes[s->size++] = prefixes[random_below(sizeof prefixes)];
}

static void
emit(const struct form *f, bool sequence, struct shape *s)
{
    uint8_t head[16], rex, modrm = f->modrm, opcode = f->opcode;
    struct shape tail = {.disp_at = -1};
    bool any, memory = f->memory && f->modrm < 0xc0; /* not that of maskmov, which is implied */

    if (random_below(3) == 0)
        opcode ^= (uint8_t)random_below(8);
    rex = pick_rex(f, sequence, &any);
    if (random_below(8))
        modrm = (uint8_t)((modrm & 0xc0) | (random64() & 0x3f));
    else
        modrm = (uint8_t)((modrm & 0xf8) | random_below(8));
    if (memory && !random_below(2))
        modrm = (uint8_t)((modrm & 0xc7) | (f->modrm & 0x38)); /* keep /digit */
    if (memory)
        put_memory(&tail, modrm >> 3 & 7, sequence, is_gather(f), &rex);
    else
        tail.bytes[tail.size++] = modrm;
    s->size = 0;
    s->disp_at = -1;
    if (form_prefixes && random_below(4) == 0)
        put_prefixes(s);
    if (f->memory && !sequence && random_below(12) == 0)
        s->bytes[s->size++] = 0x67;
    if (f->memory && !sequence && random_below(16) == 0)
        s->bytes[s->size++] = 0x65;
    size_t n = put_opcode(f, opcode, rex, (uint8_t)random_below(16), head);
    memcpy(s->bytes + s->size, head, n);
    s->size += n;
    if (!f->vex && f->map == 0 && (opcode & 0xfc) == 0xa0)
        s->disp_at = (int)s->size; /* moffs */
    else if (tail.disp_at >= 0)
        s->disp_at = (int)s->size + tail.disp_at;
    memcpy(s->bytes + s->size, tail.bytes, tail.size);
    s->size += tail.size;
    for (int i = 0; i < 8; i++)
        s->bytes[s->size++] = (uint8_t)(random_below(3) ? random64() : (uint64_t[]){0, 1, 0xff, 0x80}[random_below(4)]);
}

/* Across an edge of the window: all of it beyond, or a part. */
static uint64_t
faulting_address(const struct x86_insn *insn, const struct x86_operand *o)
{
    unsigned size = o->size ? o->size : 1, part = x86_alignment(insn) > 1 ? 0 : random_below(size);

    if (o->index_size) /* where some of the addresses are beyond */
        return (random_below(2) ? WINDOW : WINDOW + WINDOW_SIZE) + random_below(0x100);

    if (insn->rep || insn->repne)
        part += size * random_below(17);
    return random_below(2) ? WINDOW + WINDOW_SIZE - part : WINDOW - size + part;
}

static uint64_t
pick_address(const struct x86_insn *insn, const struct x86_operand *o)
{
    uint64_t at = WINDOW_MIDDLE - 0x800 + random_below(0x1000);

    if (form_faults)
        return faulting_address(insn, o);
    if (x86_alignment(insn) > 1)
        return form_misaligns ? at : at & ~(uint64_t)(x86_alignment(insn) - 1);
    if (o->size > 1 && !insn->lock && random_below(8) == 0)
        return WINDOW_MIDDLE - 1 - random_below(o->size - 1u); /* in two pages */
    return random_below(2) || insn->lock ? at & ~(uint64_t)15 : at;
}

/* Registers and displacement such that operand o is at an address in the window. */
static bool
steer(struct x86_operand *o, struct shape *s, const struct x86_insn *insn, struct state *state, bool sequence)
{
    uint64_t at = pick_address(insn, o);
    uint64_t offset = o->seg == X86_SEG_GS ? at - GS_BASE : at;
    bool moffs = s->disp_at >= 0 && insn->operand[0].size <= 8 && o->base == X86_BASE_NONE &&
                 o->index == X86_BASE_NONE && insn->length - s->disp_at == 8;

    /* The sum of 32 bits and the base would be above 4 GiB, where guests have nothing. */
    if (o->seg == X86_SEG_GS && insn->address_size == 4 && at < GS_BASE)
        return false;
    if (o->seg == X86_SEG_FS || (o->size == 0 && insn->op != X86_OP_LEA && sequence))
        return false;
    if (o->base == X86_BASE_RIP) {
        uint32_t disp = (uint32_t)(offset - (insn->address + insn->length));
        if (s->disp_at < 0)
            return false;
        memcpy(s->bytes + s->disp_at, &disp, 4);
        return true;
    }
    if (sequence && o->size >= 16 && (o->disp & 15))
        return false;
    if (sequence && x86_alignment(insn) == 32 && ((o->disp & 31) || o->index >= 0))
        return false;
    uint64_t index = 0;
    if (o->index >= 0 && !sequence && !o->index_size) {
        if (o->index == o->base)
            return false;
        if (o->base >= 0 && random_below(2))
            state->gpr[o->index] = random_below(256);
        else if (o->base < 0)
            state->gpr[o->index] = random_below(256);
        index = state->gpr[o->index] * o->scale;
    } else if (o->index >= 0 && !o->index_size) {
        index = state->gpr[o->index] * o->scale;
    }
    if (o->base == X86_BASE_NONE) {
        uint64_t disp = offset - index;
        if (s->disp_at < 0)
            return false;
        if (sequence && o->index >= 0)
            return false;
        memcpy(s->bytes + s->disp_at, &disp, moffs ? 8 : 4);
        return true;
    }
    if (sequence)
        return o->base == form_base && o->index != X86_RSP;
    state->gpr[o->base] = offset - (uint64_t)o->disp - index;
    if (insn->address_size == 4)
        state->gpr[o->base] = (uint32_t)state->gpr[o->base] | (random64() & 0xffffffff00000000);
    return true;
}

static bool
fits_sequence(const struct x86_insn *insn)
{
    if (x86_flow(insn) != X86_FLOW_NEXT || insn->rep || insn->repne)
        return false;
    if (insn->operand_count == 3 && insn->operand[1].kind == X86_OPD_MEM && insn->operand[1].index_size)
        return false; /* a vector of addresses */
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_MOVS: case X86_OP_CMPS: case X86_OP_STOS: case X86_OP_LODS: case X86_OP_SCAS:
    case X86_OP_XLAT: case X86_OP_MASKMOVDQU: case X86_OP_MASKMOVQ: case X86_OP_LEAVE: case X86_OP_ENTER:
    case X86_OP_POPF: case X86_OP_PUSHF: case X86_OP_LDMXCSR: case X86_OP_STMXCSR: case X86_OP_FLDCW: case X86_OP_FLDENV:
    case X86_OP_FRSTOR: case X86_OP_FXRSTOR: case X86_OP_FXSAVE: case X86_OP_FNSAVE: case X86_OP_FNSTENV:
    case X86_OP_VMASKMOVDQU: case X86_OP_VLDMXCSR: case X86_OP_VSTMXCSR:
    case X86_OP_FBLD: case X86_OP_STD: case X86_OP_CLFLUSH: case X86_OP_CLFLUSHOPT: case X86_OP_CLWB:
        /* clang-format on */
        return false;
    case X86_OP_PUSH:
    case X86_OP_POP: /* what is aligned must stay so */
        if (form_base == X86_RSP)
            return false;
        break;
    default: break;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR && (o->access & 2) &&
            (o->reg == X86_RSP || o->reg == form_base || o->reg == form_index))
            return false;
    }
    if ((insn->op >= X86_OP_BT && insn->op <= X86_OP_BTS) && insn->operand[0].kind == X86_OPD_MEM &&
        insn->operand[1].kind == X86_OPD_REG)
        return false;
    return true;
}

/* What the instruction wants of registers that no operand names. */
void
form_prepare_registers(const struct x86_insn *insn, struct state *s)
{
    const struct x86_operand *o = insn->operand;

    if (insn->rep || insn->repne)
        s->gpr[X86_RCX] =
            insn->address_size == 4 ? random_below(17) | (random64() & 0xffffffff00000000) : random_below(17);
    switch (insn->op) {
    case X86_OP_DIV:
    case X86_OP_IDIV:
        if (random_below(4))
            s->gpr[X86_RDX] = random_below(3) ? 0 : random_below(2) ? UINT64_MAX : random_below(16);
        if (insn->opsize == 1)
            s->gpr[X86_RAX] = random_below(2) ? random_below(256) : random64() & 0x3fff;
        break;
    case X86_OP_LEAVE:
    case X86_OP_ENTER: s->gpr[X86_RBP] = form_faults ? s->gpr[X86_RSP] : WINDOW_MIDDLE + random_below(64) * 8; break;
    case X86_OP_JRCXZ:
        if (random_below(2))
            s->gpr[X86_RCX] = insn->address_size == 4 ? 0xabcd00000000 : 0;
        break;
    case X86_OP_BT:
    case X86_OP_BTC:
    case X86_OP_BTR:
    case X86_OP_BTS:
        if (o[0].kind == X86_OPD_MEM && o[1].kind == X86_OPD_REG)
            s->gpr[o[1].reg] = (uint64_t)((int64_t)random_below(4096) - 2048);
        break;
    case X86_OP_MASKMOVDQU:
    case X86_OP_MASKMOVQ: break;
    case X86_OP_CMPXCHG:
        if (o[0].kind == X86_OPD_REG && o[0].reg_class == X86_RC_GPR && random_below(2))
            s->gpr[X86_RAX] = s->gpr[o[0].reg];
        break;
    default: break;
    }
}

static bool
patch_branch(const struct x86_insn *insn, struct shape *s)
{
    if (insn->operand_count == 0 || insn->operand[0].kind != X86_OPD_REL)
        return true;
    uint8_t opcode = s->bytes[insn->length - 2];
    bool narrow = (opcode & 0xf0) == 0x70 || (opcode >= 0xe0 && opcode <= 0xe3) || opcode == 0xeb;
    uint32_t rel = TARGET_DISTANCE;

    if (narrow && insn->length <= 4) {
        s->bytes[insn->length - 1] = (uint8_t)rel;
        return true;
    }
    memcpy(s->bytes + insn->length - 4, &rel, 4);
    return true;
}

/* In the window, or where form_faults is to lead just about it. */
static bool
stack_fits(uint64_t rsp)
{
    int margin = form_faults ? -0x200 : 0x800;

    return rsp >= (uint64_t)(WINDOW + margin) && rsp <= (uint64_t)(WINDOW + WINDOW_SIZE - margin);
}

bool
form_make(const struct form *f, uint64_t address, bool sequence, struct state *state, struct made *out)
{
    for (int attempt = 0; attempt < 200; attempt++) {
        struct shape s;
        struct x86_insn insn;
        uint64_t rsp = state->gpr[X86_RSP];

        emit(f, sequence, &s);
        if (x86_decode(s.bytes, s.size, address, &insn) <= 0 || key_of(&insn) != key_of(&f->sample))
            continue;
        if (sequence && !fits_sequence(&insn))
            continue;
        if ((x86_flow(&insn) == X86_FLOW_CALL_INDIRECT || x86_flow(&insn) == X86_FLOW_JUMP_INDIRECT) &&
            insn.operand[0].kind == X86_OPD_REG && insn.operand[0].reg == X86_RSP)
            continue; /* the target would be the stack */
        if (insn.op == X86_OP_INT && ((insn.operand[0].imm & 0xff) == 3 || (insn.operand[0].imm & 0xff) == 4 ||
                                      (insn.operand[0].imm & 0xff) == 0x80))
            continue; /* gates that user mode may use */
        if (insn.op == X86_OP_ENTER && (insn.operand[0].imm & 0xffff) > 0x400)
            continue;
        if (!sequence)
            form_prepare_registers(&insn, state);
        bool ok = patch_branch(&insn, &s);
        for (unsigned i = 0; i < insn.operand_count && ok; i++) {
            struct x86_operand *o = &insn.operand[i];
            if (o->kind != X86_OPD_MEM)
                continue;
            ok = steer(o, &s, &insn, state, sequence);
            /* A bit offset or count that is also the address would lead elsewhere. */
            for (unsigned j = 0; j < insn.operand_count && !sequence; j++) {
                if ((insn.op >= X86_OP_BT && insn.op <= X86_OP_BTS) && insn.operand[j].kind == X86_OPD_REG &&
                    (insn.operand[j].reg == o->base || insn.operand[j].reg == o->index))
                    ok = false;
            }
            if (insn.op == X86_OP_XLAT)
                state->gpr[X86_RBX] += 0;
            /* The stack pointer as base moves with push and pop: keep it inside. */
        }
        if (!ok) {
            state->gpr[X86_RSP] = rsp;
            continue;
        }
        if (!sequence && !stack_fits(state->gpr[X86_RSP])) {
            bool stack = insn.op == X86_OP_PUSH || insn.op == X86_OP_POP || x86_flow(&insn) != X86_FLOW_NEXT ||
                         insn.op == X86_OP_PUSHF || insn.op == X86_OP_POPF || insn.op == X86_OP_ENTER;
            if (stack) {
                state->gpr[X86_RSP] = rsp;
                continue;
            }
        }
        out->length = insn.length;
        memcpy(out->bytes, s.bytes, insn.length);
        if (x86_decode(out->bytes, out->length, address, &out->insn) != insn.length)
            continue;
        return true;
    }
    return false;
}
