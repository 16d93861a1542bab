/* The pass over all bytes of a text: each belongs to one instruction, to one sequence, or to padding, and each of these
 * is looked at by itself. Where branches lead is checked at the end, when it is known where instructions begin. */
#include "verify/verify_internal.h"

#include <string.h>

enum { PADDING = 0xcc, PUSHF = 0x9c, POPF = 0x9d };

/* From which level on; 0: at none. */
static const uint8_t allowed[X86_OP_COUNT] = {
#define ALLOWED(op)    [X86_OP_##op] = X86_LEVEL_V2,
#define ALLOWED_V3(op) [X86_OP_##op] = X86_LEVEL_V3,
#include "verify/allowed.def"
#undef ALLOWED
#undef ALLOWED_V3
};

bool
verify_is_allowed(unsigned op)
{
    return op < X86_OP_COUNT && allowed[op] && allowed[op] <= x86_level();
}

bool
verify_is_string(unsigned op)
{
    return op == X86_OP_MOVS || op == X86_OP_CMPS || op == X86_OP_STOS || op == X86_OP_LODS || op == X86_OP_SCAS;
}

/* --- branches --- */

/* How the entries may be reached. SYSCALL returns to where it was called; the others may do without. */
static const struct {
    bool jump, call;
} entry_ways[DIRECT_ENTRY_COUNT] = {
    [DIRECT_SYSCALL] = {.call = true},
    [DIRECT_UNWIND] = {.jump = true},
    [DIRECT_JUMP] = {.jump = true, .call = true},
    [DIRECT_EVALUATE] = {.jump = true},
};

int
verify_branch_to(struct verifier *v, uint32_t from, int64_t to, enum x86_flow flow, bool flags)
{
    if (to >= 0 && to < VERIFY_ENTRIES_SIZE && to % VERIFY_ENTRY_SIZE == 0) {
        bool call = flow == X86_FLOW_CALL,
             may = call ? entry_ways[to / VERIFY_ENTRY_SIZE].call : entry_ways[to / VERIFY_ENTRY_SIZE].jump;

        return (!may || flags) && verify_breaks(v, VERIFY_ENTRY, from) ? -1 : 0;
    }
    if (to < VERIFY_ENTRIES_SIZE || to >= v->size)
        return verify_breaks(v, VERIFY_TARGET, from) ? -1 : 0;
    vec_push(&v->branches, ((struct verify_branch){from, (uint32_t)to, flags}));
    return 0;
}

static int
check_branches(struct verifier *v)
{
    for (size_t i = 0; i < v->branches.count; i++) {
        const struct verify_branch *b = &v->branches.items[i];

        if (b->flags && !verify_bit(v->takes_flags, b->to) && verify_breaks(v, VERIFY_FLAGS, b->from))
            return -1;
        if (!b->flags && !verify_is_place(v, b->to) && verify_breaks(v, VERIFY_TARGET, b->from))
            return -1;
    }
    return 0;
}

/* The jumps at the start, one for each entry: nothing else leads out of the text. */
static int
check_entries(struct verifier *v)
{
    for (uint32_t i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        uint32_t at = i * VERIFY_ENTRY_SIZE;
        int32_t distance;

        memcpy(&distance, v->text + at + 1, sizeof distance);
        if ((v->text[at] != 0xe9 ||
             v->unit->text.address + at + VERIFY_ENTRY_SIZE + (uint64_t)(int64_t)distance != v->unit->entries[i]) &&
            verify_breaks(v, VERIFY_ENTRIES, at))
            return -1;
    }
    return 0;
}

/* --- single instructions --- */

/* An absolute address without 67, at one of the words of x86_cpu_tls: r10 and r11 of the guest, by any instruction that
 * reads or writes at most 8 bytes, and others by MOV of all of them. */
static int
check_fs(struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    static const struct {
        int32_t slot;
        bool write, wide;
    } words[] = {
        {VERIFY_SLOT(tmp), true, true},         {VERIFY_SLOT(borrowed[0]), true, true},
        {VERIFY_SLOT(borrowed[1]), true, true}, {VERIFY_SLOT(fs_base), false, true},
        {VERIFY_SLOT(gs_base), false, true},    {VERIFY_SLOT(id_flag), false, false},
    };
    bool absolute = s->general && !s->vex && !s->address_size && s->base == X86_BASE_NONE && s->index == X86_BASE_NONE;
    bool wide = s->rex & 8, move = s->op == X86_OP_MOV && !s->operand_size;
    bool load = move && v->text[at + s->opcode_at] == 0x8b, store = move && v->text[at + s->opcode_at] == 0x89;
    int32_t slot;

    if (absolute) {
        memcpy(&slot, v->text + at + s->immediate_at - sizeof slot, sizeof slot);
        if (slot == VERIFY_SLOT(gpr[X86_R10]) || slot == VERIFY_SLOT(gpr[X86_R11]))
            return 0;
        if (slot == VERIFY_SLOT(memory) && load && wide)
            return verify_breaks(v, VERIFY_BASE, at) ? -1 : 0;
        for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
            if (slot == words[i].slot && wide == words[i].wide && (load || (store && words[i].write)))
                return 0;
    }
    return verify_breaks(v, VERIFY_FS, at) ? -1 : 0;
}

static int
check_memory(struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    bool bit_offset = s->op == X86_OP_BT || s->op == X86_OP_BTS || s->op == X86_OP_BTR || s->op == X86_OP_BTC;

    if (bit_offset && s->registers && verify_breaks(v, VERIFY_BITS, at))
        return -1;
    if (s->segment == 0x64)
        return check_fs(v, at, s);
    return (s->segment != 0x65 || !s->address_size) && verify_breaks(v, VERIFY_CONFINED, at) ? -1 : 0;
}

/* The register named so, or the base of an address; it cannot be an index. */
static bool
names_rsp(const struct x86_scan *s)
{
    return s->registers >> X86_RSP & 1 || s->base == X86_RSP;
}

static int
check_plain(struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    v->falls = true;
    if (verify_is_string(s->op))
        return verify_breaks(v, VERIFY_STRING, at) ? -1 : 0;
    if ((!verify_is_allowed(s->op) || s->system_register) && verify_breaks(v, VERIFY_ALLOWED, at))
        return -1;
    if (names_rsp(s) && verify_breaks(v, VERIFY_RSP, at))
        return -1;
    if (s->base == X86_BASE_RIP && verify_breaks(v, VERIFY_RIP, at))
        return -1;
    return s->memory || s->unnamed_memory ? check_memory(v, at, s) : 0;
}

/* Where a direct branch leads. */
static int64_t
target_of(const struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    int32_t distance;

    if (s->length - s->immediate_at == 1)
        return (int64_t)at + s->length + (int8_t)v->text[at + s->immediate_at];
    memcpy(&distance, v->text + at + s->immediate_at, sizeof distance);
    return (int64_t)at + s->length + distance;
}

/* Behind the call at this offset, is there a return point, or a jump to one? */
static bool
is_returned_to(struct verifier *v, uint32_t at)
{
    struct x86_scan s;

    if (verify_is_return_point(v, at))
        return true;
    return at < v->size && x86_scan(v->text + at, v->size - at, &s) && s.flow == X86_FLOW_JUMP &&
           verify_is_return_point(v, target_of(v, at, &s));
}

static int
check_call(struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    int64_t to = target_of(v, at, s);

    v->falls = true;
    if (to != DIRECT_SYSCALL * VERIFY_ENTRY_SIZE && !is_returned_to(v, at + s->length) &&
        verify_breaks(v, VERIFY_RETURN, at))
        return -1;
    return verify_branch_to(v, at, to, X86_FLOW_CALL, false);
}

static int
check_insn(struct verifier *v, uint32_t at, const struct x86_scan *s)
{
    if (!s->canonical && verify_breaks(v, VERIFY_PREFIX, at))
        return -1;
    switch (s->flow) {
    case X86_FLOW_NEXT:
        if (s->op == X86_OP_PUSHF || s->op == X86_OP_POPF) {
            v->falls = true;
            return verify_breaks(v, VERIFY_STACK, at) ? -1 : 0;
        }
        return check_plain(v, at, s);
    case X86_FLOW_JUMP:
    case X86_FLOW_BRANCH:
        v->falls = s->flow == X86_FLOW_BRANCH;
        return verify_branch_to(v, at, target_of(v, at, s), (enum x86_flow)s->flow, false);
    case X86_FLOW_CALL: return check_call(v, at, s);
    case X86_FLOW_RETURN:
        v->falls = false;
        if (s->op == X86_OP_RET)
            return s->immediate_at < s->length && verify_breaks(v, VERIFY_STACK, at) ? -1 : 0;
        break;
    case X86_FLOW_JUMP_INDIRECT:
    case X86_FLOW_CALL_INDIRECT:
        v->falls = s->flow == X86_FLOW_CALL_INDIRECT;
        return verify_breaks(v, VERIFY_INDIRECT, at) ? -1 : 0;
    default: v->falls = true; break;
    }
    return verify_breaks(v, VERIFY_ALLOWED, at) ? -1 : 0;
}

/* --- the pass --- */

/* Is it the first instruction of a lookup in the code map, and of one in a table of labels? */
static bool
may_begin_code_map_lookup(const uint8_t *b, const struct x86_scan *s)
{
    return s->op == X86_OP_TEST && s->length == 7 && b[1] == 0xf7;
}

static bool
may_begin_label_lookup(const uint8_t *b, const struct x86_scan *s)
{
    return s->length == 7 &&
           ((s->op == X86_OP_IMUL && b[1] == 0x69) || (s->op == X86_OP_AND && b[1] == 0x81 && b[2] == 0xe2));
}

/* What begins at this offset. Returns its length; 0 on error. */
static uint32_t
step(struct verifier *v, uint32_t at)
{
    uint32_t length = 0;
    struct x86_scan s;
    int result = 0;

    if (v->text[at] == PADDING) {
        if (v->falls && verify_breaks(v, VERIFY_FALL, at))
            return 0;
        return 1;
    }
    if (v->text[at] == POPF) {
        verify_set_bit(v->takes_flags, at);
        if (v->falls && verify_breaks(v, VERIFY_FLAGS, at))
            return 0;
        v->falls = true;
        return 1;
    }
    verify_set_bit(v->places->bits, at);
    if (v->text[at] == PUSHF) {
        length = verify_flags_to_scratch(v, at);
        if (!length)
            length = verify_return_point_with_flags(v, at);
        if (!length)
            length = verify_label_lookup(v, at, &result);
        if (!length && result == 0)
            length = verify_code_map_lookup(v, at, &result);
    } else if (v->text[at] == 0x64) {
        length = verify_string(v, at);
        if (!length)
            length = verify_label_lookup(v, at, &result);
    }
    if (length || result < 0)
        return length;
    if (!x86_scan(v->text + at, v->size - at, &s)) {
        if (verify_breaks(v, VERIFY_DECODE, at))
            return 0;
        v->falls = true;
        return 1;
    }
    if (may_begin_code_map_lookup(v->text + at, &s))
        length = verify_code_map_lookup(v, at, &result);
    else if (may_begin_label_lookup(v->text + at, &s))
        length = verify_label_lookup(v, at, &result);
    if (length || result < 0)
        return length;
    return check_insn(v, at, &s) < 0 ? 0 : s.length;
}

int
verify_text(struct verifier *v)
{
    if (check_entries(v) < 0)
        return -1;
    v->falls = false;
    for (uint32_t at = VERIFY_ENTRIES_SIZE; at < v->size;) {
        uint32_t length = step(v, at);

        if (!length)
            return -1;
        at += length;
    }
    if (v->falls && verify_breaks(v, VERIFY_FALL, v->size - 1))
        return -1;
    return check_branches(v);
}
