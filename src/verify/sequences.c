/* The sequences that are checked as a whole: in each, a register holds what may be trusted between its first
 * instruction and its last, or flags lie on the host's stack. Nothing may lead to any but the first. They are compared
 * byte by byte: there is one way to write each. */
#include "verify/verify_internal.h"

#include <string.h>

#include "x86/address_space.h"

enum {
    REX = 0x40,
    REX_R = 4,
    REX_X = 2,
    REX_B = 1,
    REX_W = 8,
    LABEL_HOST = 4 /* behind the guest's address in a table */
};

/* A sequence, as far as it is compared. */
struct match {
    const struct verifier *v;
    uint32_t at;
    bool failed;
};

static void
expect(struct match *m, const uint8_t *bytes, uint32_t size)
{
    if (m->failed || size > m->v->size - m->at || memcmp(m->v->text + m->at, bytes, size) != 0)
        m->failed = true;
    else
        m->at += size;
}

#define EXPECT(m, ...) expect(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint8_t
take(struct match *m)
{
    if (m->failed || m->at >= m->v->size) {
        m->failed = true;
        return 0;
    }
    return m->v->text[m->at++];
}

static int32_t
take_word(struct match *m)
{
    int32_t word;

    if (m->failed || m->v->size - m->at < sizeof word) {
        m->failed = true;
        return 0;
    }
    memcpy(&word, m->v->text + m->at, sizeof word);
    m->at += (uint32_t)sizeof word;
    return word;
}

static void
expect_word(struct match *m, int32_t word)
{
    if (take_word(m) != word)
        m->failed = true;
}

static bool
next_is(const struct match *m, uint8_t byte)
{
    return !m->failed && m->at < m->v->size && m->v->text[m->at] == byte;
}

/* A conditional or (condition: negative) unconditional jump, short or long. Returns where to. */
static int64_t
take_jump(struct match *m, int condition)
{
    uint8_t first = take(m);
    int64_t distance;

    if (first == (condition < 0 ? 0xeb : 0x70 | condition)) {
        distance = (int8_t)take(m);
    } else {
        if (condition >= 0 && first == 0x0f)
            first = take(m);
        if (first != (condition < 0 ? 0xe9 : 0x80 | condition))
            m->failed = true;
        distance = take_word(m);
    }
    return m->at + distance;
}

/* --- where an indirect jump or call goes --- */

/* The register that an instruction with REX and ModRM c0 or d0 names: not the stack pointer. */
static unsigned
take_register(struct match *m, uint8_t rex, uint8_t modrm)
{
    unsigned reg = (unsigned)(modrm & 7) | (rex & REX_B ? 8 : 0);

    if (reg == X86_RSP)
        m->failed = true;
    return reg;
}

static bool
note_branch(struct verifier *v, uint32_t from, int64_t to, bool flags, int *result)
{
    *result = verify_branch_to(v, from, to, X86_FLOW_BRANCH, flags);
    return *result == 0;
}

/* Flags that nobody needs once the target is found: lea rsp, [rsp + 8]. */
static void
expect_flags_forgotten(struct match *m)
{
    EXPECT(m, 0x48, 0x8d, 0x64, 0x24, 0x08);
}

/* [pushfq;] test T, 0xc000000f; jne slow; mov r10d, T; shr r10d, 4; mov r10d, gs:[r10d*4 + map]; test r10d, r10d; je
 * slow; [lea rsp, [rsp + 8];] jmp or call r10. T is in [0, 1 GiB) and a multiple of 16, so that what is loaded lies in
 * the code map. */
uint32_t
verify_code_map_lookup(struct verifier *v, uint32_t at, int *result)
{
    struct match m = {v, at, false};
    bool flags = next_is(&m, 0x9c);
    uint8_t rex, end;
    unsigned reg;
    int64_t slow[2];
    uint8_t modrm;

    m.at += flags;
    rex = take(&m);
    EXPECT(&m, 0xf7);
    modrm = take(&m);
    if ((rex & ~REX_B) != (REX | REX_W) || modrm >> 3 != 0xc0 >> 3)
        return 0;
    reg = take_register(&m, rex, modrm);
    expect_word(&m, DIRECT_LOOKUP_MASK);
    slow[0] = take_jump(&m, X86_CC_NE);
    if (reg != X86_R10)
        EXPECT(&m, (uint8_t)(REX | REX_R | (reg >= 8 ? REX_B : 0)), 0x8b, (uint8_t)(0xd0 | (reg & 7)));
    EXPECT(&m, 0x41, 0xc1, 0xea, 0x04);
    EXPECT(&m, 0x65, 0x67, 0x46, 0x8b, 0x14, 0x95);
    expect_word(&m, GUEST_CODE_MAP);
    EXPECT(&m, 0x45, 0x85, 0xd2);
    slow[1] = take_jump(&m, X86_CC_E);
    if (flags)
        expect_flags_forgotten(&m);
    EXPECT(&m, 0x41, 0xff);
    end = take(&m);
    if (m.failed || (end != 0xe2 && end != 0xd2))
        return 0;
    if (!note_branch(v, at, slow[0], flags, result) || !note_branch(v, at, slow[1], flags, result))
        return 0;
    v->falls = end == 0xd2;
    if (v->falls && !verify_is_return_point(v, m.at) && verify_breaks(v, VERIFY_RETURN, m.at - 3)) {
        *result = -1;
        return 0;
    }
    return m.at - at;
}

/* imul r10d, T, multiplier; shr r10d, 32 - bits. Or, whatever r10 is: and r10d, (1 << bits) - 1; then T is what is
 * compared. */
static bool
match_index(struct match *m, struct verify_lookup *l, unsigned *reg)
{
    uint8_t rex = take(m), opcode = take(m), modrm = take(m);

    if (rex == (REX | REX_B) && opcode == 0x81 && modrm == 0xe2) {
        uint32_t mask = (uint32_t)take_word(m);
        uint8_t next_rex = m->at + 2 < m->v->size ? m->v->text[m->at] : 0,
                compared = m->at + 2 < m->v->size ? m->v->text[m->at + 2] : 0;

        l->indexed = true;
        l->bits = (uint8_t)__builtin_popcount(mask);
        *reg = next_is(m, REX | REX_W | REX_R | REX_X) ? X86_R10 : (compared >> 3 & 7u) | (next_rex & REX_R ? 8 : 0);
        return !m->failed && (mask & (mask + 1)) == 0 && l->bits >= 1 && l->bits <= 31 && *reg != X86_RSP;
    }
    if ((rex & ~REX_B) != (REX | REX_R) || opcode != 0x69 || modrm >> 3 != 0xd0 >> 3)
        return false;
    *reg = take_register(m, rex, modrm);
    l->multiplier = (uint32_t)take_word(m);
    EXPECT(m, 0x41, 0xc1, 0xea);
    l->bits = (uint8_t)(32 - take(m));
    return !m->failed && l->bits >= 1 && l->bits <= 31;
}

/* The entry at r10 of a table, whose host address comes into r10; away if it is not T's. Of r10, which is in tmp[0]
 * too: mov r10, [r10*8 + table]; cmp r10d, tmp[0]; jne slow; shr r10, 32. Of another register: cmp T, [r10*8 + table];
 * jne slow; mov r10d, [r10*8 + table + 4]. */
static void
match_entry(struct match *m, unsigned reg, struct verify_lookup *l, int64_t *slow)
{
    if (reg == X86_R10) {
        EXPECT(m, 0x4e, 0x8b, 0x14, 0xd5);
        l->table = (uint32_t)take_word(m);
        EXPECT(m, 0x64, 0x44, 0x3b, 0x14, 0x25);
        expect_word(m, VERIFY_SLOT(tmp));
        *slow = take_jump(m, X86_CC_NE);
        EXPECT(m, 0x49, 0xc1, 0xea, 0x20);
        return;
    }
    EXPECT(m, (uint8_t)(REX | REX_X | (reg >= 8 ? REX_R : 0)), 0x3b, (uint8_t)(0x04 | (reg & 7) << 3), 0xd5);
    l->table = (uint32_t)take_word(m);
    *slow = take_jump(m, X86_CC_NE);
    EXPECT(m, 0x46, 0x8b, 0x14, 0xd5);
    expect_word(m, (int32_t)(l->table + LABEL_HOST));
}

/* [mov tmp[0], r10;] [pushfq;] the index; the entry; [popfq; or lea rsp, [rsp + 8];] jmp r10. The offset in the table
 * is less than 8 << bits. The store belongs to it where r10 is hashed: of entries that are not found by hash nothing is
 * expected (tables.c), so that what is compared must be what was hashed. */
uint32_t
verify_label_lookup(struct verifier *v, uint32_t at, int *result)
{
    struct match m = {v, at, false};
    struct verify_lookup l = {.from = at};
    bool stored = next_is(&m, 0x64), flags;
    unsigned reg;
    int64_t slow;

    if (stored) {
        EXPECT(&m, 0x64, 0x4c, 0x89, 0x14, 0x25);
        expect_word(&m, VERIFY_SLOT(tmp));
    }
    flags = next_is(&m, 0x9c);
    m.at += flags;
    if (!match_index(&m, &l, &reg) || stored != (reg == X86_R10 && !l.indexed))
        return 0;
    match_entry(&m, reg, &l, &slow);
    if (flags && next_is(&m, 0x9d))
        EXPECT(&m, 0x9d);
    else if (flags)
        expect_flags_forgotten(&m);
    EXPECT(&m, 0x41, 0xff, 0xe2);
    if (m.failed || l.table > INT32_MAX || !note_branch(v, at, slow, flags, result))
        return 0;
    vec_push(&v->lookups, l);
    v->falls = false;
    return m.at - at;
}

/* --- strings --- */

/* mov r10, fs:memory */
static void
expect_base(struct match *m)
{
    EXPECT(m, 0x64, 0x4c, 0x8b, 0x14, 0x25);
    expect_word(m, VERIFY_SLOT(memory));
}

/* The instruction, with the registers that were made host addresses. */
static void
match_string(struct match *m, bool source, bool destination)
{
    struct x86_scan s;
    bool has_source, has_destination;

    if (m->failed || !x86_scan(m->v->text + m->at, m->v->size - m->at, &s) || !verify_is_string(s.op)) {
        m->failed = true;
        return;
    }
    has_source = s.op != X86_OP_STOS && s.op != X86_OP_SCAS;
    has_destination = s.op != X86_OP_LODS;
    m->failed = !s.canonical || s.segment || s.address_size || has_source != source || has_destination != destination;
    m->at += s.length;
}

/* mov r10, memory; mov esi, esi; lea rsi, [rsi + r10]; the same of rdi; the instruction; not r10; lea rsi, [rsi + r10 +
 * 1]; the same of rdi; movzx r10d, r10b. LODS has no rdi, STOS and SCAS have no rsi. It goes through memory one element
 * after the other, and meets a guard before it leaves; what is left of the memory's address in r10 is ff, as its end is
 * 00. */
uint32_t
verify_string(struct verifier *v, uint32_t at)
{
    struct match m = {v, at, false};
    bool source, destination;

    expect_base(&m);
    source = next_is(&m, 0x89) && m.at + 1 < v->size && v->text[m.at + 1] == 0xf6;
    if (source)
        EXPECT(&m, 0x89, 0xf6, 0x4a, 0x8d, 0x34, 0x16);
    destination = next_is(&m, 0x89);
    if (destination)
        EXPECT(&m, 0x89, 0xff, 0x4a, 0x8d, 0x3c, 0x17);
    match_string(&m, source, destination);
    EXPECT(&m, 0x49, 0xf7, 0xd2);
    if (source)
        EXPECT(&m, 0x4a, 0x8d, 0x74, 0x16, 0x01);
    if (destination)
        EXPECT(&m, 0x4a, 0x8d, 0x7c, 0x17, 0x01);
    EXPECT(&m, 0x45, 0x0f, 0xb6, 0xd2);
    v->falls = true;
    return m.failed ? 0 : m.at - at;
}

/* --- flags on the stack --- */

uint32_t
verify_flags_to_scratch(struct verifier *v, uint32_t at)
{
    struct match m = {v, at, false};

    EXPECT(&m, 0x9c, 0x41, 0x5a); /* pushfq; pop r10 */
    v->falls = true;
    return m.failed ? 0 : m.at - at;
}

static bool
is_unwind(int64_t to)
{
    return to == DIRECT_UNWIND * VERIFY_ENTRY_SIZE;
}

/* pushfq; cmp r10, constant; je same; popfq; jmp unwind; same: popfq */
uint32_t
verify_return_point_with_flags(struct verifier *v, uint32_t at)
{
    struct match m = {v, at, false};
    int64_t same;

    EXPECT(&m, 0x9c, 0x49, 0x81, 0xfa);
    take_word(&m);
    EXPECT(&m, 0x74);
    same = (int8_t)take(&m);
    same += m.at;
    EXPECT(&m, 0x9d);
    if (!is_unwind(take_jump(&m, -1)) || same != m.at)
        return 0;
    EXPECT(&m, 0x9d);
    v->falls = true;
    return m.failed ? 0 : m.at - at;
}

bool
verify_is_return_point(struct verifier *v, int64_t at)
{
    struct match m = {v, (uint32_t)at, false};
    bool falls = v->falls, is;

    if (at < VERIFY_ENTRIES_SIZE || at >= v->size)
        return false;
    is = verify_return_point_with_flags(v, (uint32_t)at) != 0;
    v->falls = falls;
    if (is)
        return true;
    EXPECT(&m, 0x49, 0x81, 0xfa); /* cmp r10, constant; jne unwind */
    take_word(&m);
    return is_unwind(take_jump(&m, X86_CC_NE)) && !m.failed;
}
