/* The length of instructions that the table has not, by the shape of their encoding alone: VEX (SDM vol. 2, 2.3),
 * EVEX (2.7), AMD's XOP and 3DNow! (APM vol. 3, 1.2.2 and D), and what is left of the legacy maps. */
#include "x86/x86.h"

#include <string.h>

struct scan {
    const uint8_t *bytes;
    unsigned size, at;
    unsigned displacement; /* where the one of a rip-relative operand is; 0: none */
    bool address32, operand16, f2, wide;
};

static int
next(struct scan *s)
{
    return s->at < s->size ? s->bytes[s->at++] : -1;
}

/* ModRM, SIB, displacement, then so many bytes of immediate. Returns the length, or 0. */
static int
finish(struct scan *s, unsigned immediate)
{
    int modrm = next(s);

    if (modrm < 0)
        return 0;
    if (modrm >> 6 != 3) {
        int mod = modrm >> 6, base = modrm & 7;

        if (base == 5 && mod == 0 && !s->address32)
            s->displacement = s->at;
        if (base == 4) {
            int sib = next(s);

            if (sib < 0)
                return 0;
            base = sib & 7;
        }
        s->at += mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    }
    s->at += immediate;
    return s->at <= s->size ? (int)s->at : 0;
}

/* Immediate bytes of map 0F in VEX and EVEX. */
static unsigned
immediate_0f(int opcode)
{
    return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

static int
after_vex(struct scan *s, unsigned map)
{
    int opcode = next(s);

    if (opcode < 0)
        return 0;
    if (map == 1 && opcode == 0x77) /* vzeroupper */
        return (int)s->at;
    switch (map) {
    case 1: return finish(s, immediate_0f(opcode));
    case 2:
    case 5:
    case 6: return finish(s, 0); /* 5, 6: half precision, EVEX only */
    case 3: return finish(s, 1);
    default: return 0;
    }
}

static int
after_xop(struct scan *s, unsigned map)
{
    if (next(s) < 0)
        return 0;
    return map == 8 ? finish(s, 1) : map == 9 ? finish(s, 0) : map == 10 ? finish(s, 4) : 0;
}

static int
after_0f(struct scan *s)
{
    int opcode = next(s);

    switch (opcode) {
    case 0x38: return next(s) < 0 ? 0 : finish(s, 0);
    case 0x3a: return next(s) < 0 ? 0 : finish(s, 1);
    case 0x0f: return finish(s, 1);                             /* 3DNow!: the opcode is the immediate */
    case 0x78: return finish(s, s->operand16 || s->f2 ? 2 : 0); /* extrq, insertq; or vmread */
    case 0x01:
    case 0xae:
    case 0xc7:
    case 0x1e:
    case 0x79: return finish(s, 0);
    default: return 0;
    }
}

static bool
is_prefix(int byte)
{
    return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || (byte >= 0x64 && byte <= 0x67) ||
           byte == 0xf0 || byte == 0xf2 || byte == 0xf3;
}

static int
scan_insn(struct scan *s)
{
    int byte = next(s), second;

    while (is_prefix(byte) || (byte & ~0xf) == 0x40) { /* a REX that is not the last of them does not count */
        s->address32 |= byte == 0x67;
        s->operand16 |= byte == 0x66;
        s->f2 |= byte == 0xf2;
        s->wide = (byte & 0xf8) == 0x48;
        byte = next(s);
    }
    switch (byte) {
    case 0x0f: return after_0f(s);
    case 0xc4: second = next(s); return second < 0 || next(s) < 0 ? 0 : after_vex(s, second & 0x1f);
    case 0xc5: return next(s) < 0 ? 0 : after_vex(s, 1);
    case 0x62: second = next(s); return second < 0 || next(s) < 0 || next(s) < 0 ? 0 : after_vex(s, second & 7);
    case 0x8f: /* pop has 0 in these bits */
        second = next(s);
        return second < 0 || (second & 0x1f) < 8 || next(s) < 0 ? 0 : after_xop(s, second & 0x1f);
    case 0xc7: /* xbegin */
        if (next(s) != 0xf8)
            return 0;
        s->at += s->operand16 && !s->wide ? 2 : 4;
        return s->at <= s->size ? (int)s->at : 0;
    case 0xc6: /* xabort */ return next(s) == 0xf8 && next(s) >= 0 ? (int)s->at : 0;
    default: return 0;
    }
}

int
x86_foreign_length(const uint8_t *bytes, size_t size, uint64_t address, uint64_t *data)
{
    struct scan s = {.bytes = bytes, .size = size < X86_MAX_LENGTH ? (unsigned)size : X86_MAX_LENGTH};
    int length = scan_insn(&s);
    int32_t displacement;

    if (data)
        *data = 0;
    if (data && length > 0 && s.displacement) {
        memcpy(&displacement, bytes + s.displacement, sizeof displacement);
        *data = address + (unsigned)length + (uint64_t)(int64_t)displacement;
    }
    return length;
}
