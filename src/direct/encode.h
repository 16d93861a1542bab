/* Writing x86-64 instructions: an encoding taken apart, so that registers and memory operands can be replaced, and put
 * together again (Intel SDM vol. 2, chapter 2). */
#ifndef DIRECT_ENCODE_H
#define DIRECT_ENCODE_H

#include "base/buf.h"
#include "x86/cpu.h"
#include "x86/x86.h"

/* What a displacement or immediate of 4 bytes counts from. */
enum direct_relative { DIRECT_ABSOLUTE, DIRECT_IMAGE /* the image base is added at the link */ };

struct encoding {
    bool lock, operand_size, wide; /* wide: REX.W */
    bool address32;                /* prefix 67 */
    bool byte_rex;                 /* byte registers 4 to 7 are SPL BPL SIL DIL: a REX must be there */
    bool high_byte;                /* an operand is AH, CH, DH or BH: no REX may be there */
    uint8_t repeat;                /* f2, f3 or 0 */
    uint8_t segment;               /* 64, 65 or 0 */
    bool vex; /* in place of 66, f2, f3 and REX, which are in it, and of 0f and what follows that */
    uint8_t vex_map, vex_prefix, vvvv; /* its fields mmmmm and pp; vvvv as a number of a register */
    bool vex_long;                     /* its L */
    uint8_t opcode[3], opcode_size;
    bool register_in_opcode, modrm;
    uint8_t reg; /* 0 to 15: ModRM.reg, or the opcode's register */
    bool memory;
    uint8_t rm;         /* when not memory: 0 to 15 */
    int8_t base, index; /* X86_BASE_NONE or 0 to 15 */
    bool vector_index;  /* index is a vector register (VSIB) */
    uint8_t scale;
    int32_t disp;
    enum direct_relative disp_relative; /* DIRECT_IMAGE: without base and index only */
    uint8_t immediate[8], immediate_size;
};

/* Takes an instruction apart, all operands as they are. False: it has a form that encoding_put() does not write (64-bit
 * offsets, addresses that no displacement reaches). */
bool encoding_of(const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at, struct encoding *out);

/* Does it need a REX prefix? One with high_byte that does cannot be written. */
bool encoding_needs_rex(const struct encoding *e);

/* Where encoding_put() put a displacement that is relative to the image: offset in the buffer, or 0 when there is
 * none. */
size_t encoding_put(struct buf *out, const struct encoding *e);

/* Some that inserted code is made of; sizes are 8 bytes. */
/* mov reg, segment:[base + disp] */
struct encoding encode_load(unsigned reg, unsigned segment, int base, int32_t disp);
/* mov segment:[base + disp], reg */
struct encoding encode_store(unsigned reg, unsigned segment, int base, int32_t disp);
struct encoding encode_move(unsigned to, unsigned from);
struct encoding encode_lea(unsigned reg, int base, int index, int32_t disp);

enum { SEGMENT_FS = 0x64, SEGMENT_GS = 0x65 };

#endif
