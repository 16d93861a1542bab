/* Rewriting calls, returns, jumps and system calls. Code cannot jump to addresses that the guest computes, so that each
 * indirect jump is looked up, and each return is compared with where its call came from. docs/direct.md has the forms;
 * the verifier accepts no others. */
#include "direct/rewrite.h"

#include <stddef.h>

#include "x86/address_space.h"

enum { SLOT = 8, TABLE_ENTRY = 8 };

static const uint8_t push_flags[] = {0x9c}, pop_flags[] = {0x9d},
                     forget_flags[] = {0x48, 0x8d, 0x64, 0x24, 0x08} /* lea rsp, [rsp + 8] */,
                     jump_scratch[] = {0x41, 0xff, 0xe2}, call_scratch[] = {0x41, 0xff, 0xd2}, host_return[] = {0xc3};

/* --- the run time's entries --- */

void
rewrite_entries(struct rewriter *w)
{
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        uint32_t p = layout_position(&w->layout);

        if (i == 0)
            w->entry_position = p;
        layout_place(&w->layout, p);
        buf_put_u8(&w->layout.code, 0xe9);
        buf_put_u32(&w->layout.code, 0);
        layout_fix(&w->layout, w->layout.code.size - 4, FIX_ENTRY, i);
    }
}

static uint32_t
entry(const struct rewriter *w, enum direct_entry which)
{
    return w->entry_position + which;
}

/* Puts the guest address into r10 and jumps to an entry of the run time. */
static void
leave_to(struct rewriter *w, enum direct_entry which, uint64_t address)
{
    emit_address(w, HOST_SCRATCH, address);
    layout_branch(&w->layout, BRANCH_JUMP, 0, entry(w, which));
}

void
rewrite_leave(struct rewriter *w, uint64_t address)
{
    leave_to(w, DIRECT_EVALUATE, address);
}

/* --- calls --- */

static void
push_return_address(struct rewriter *w, uint64_t next)
{
    struct encoding e = encode_store(0, SEGMENT_GS, HOST_GUEST_RSP, -SLOT);

    e.opcode[0] = 0xc7; /* mov qword gs:[r11d - 8], imm32 */
    e.immediate_size = 4;
    emit(w, &e);
    layout_fix(&w->layout, w->layout.code.size - 4, FIX_IMAGE32S, (int64_t)next);
    emit_lea(w, HOST_GUEST_RSP, HOST_GUEST_RSP, X86_BASE_NONE, -SLOT);
}

/* The return point, directly behind a host call: it compares whether the guest is back where this call came from. The
 * comparison must not change flags that somebody reads behind the call. */
static void
put_return_point(struct rewriter *w, size_t index, uint64_t next)
{
    static const uint8_t compare[] = {0x49, 0x81, 0xfa, 0, 0, 0, 0}; /* cmp r10, imm32 */
    bool alive = index + 1 < w->insns.count && w->insns.items[index + 1].address == next &&
                 (w->insns.items[index + 1].live & STATUS_FLAGS);

    if (alive)
        emit_bytes(w, push_flags, sizeof push_flags);
    emit_bytes(w, compare, sizeof compare);
    layout_fix(&w->layout, w->layout.code.size - 4, FIX_IMAGE32S, (int64_t)next);
    if (!alive) {
        layout_branch(&w->layout, BRANCH_CONDITION, X86_CC_NE, entry(w, DIRECT_UNWIND));
        return;
    }
    {
        uint32_t same = layout_position(&w->layout);

        layout_branch(&w->layout, BRANCH_CONDITION, X86_CC_E, same);
        emit_bytes(w, pop_flags, sizeof pop_flags);
        layout_branch(&w->layout, BRANCH_JUMP, 0, entry(w, DIRECT_UNWIND));
        layout_place(&w->layout, same);
        emit_bytes(w, pop_flags, sizeof pop_flags);
    }
}

static void
put_return(struct rewriter *w, const struct x86_insn *insn)
{
    int32_t more = insn->operand_count ? (int32_t)(insn->operand[0].imm & 0xffff) : 0;

    emit_load(w, HOST_SCRATCH, SEGMENT_GS, HOST_GUEST_RSP, 0);
    emit_lea(w, HOST_GUEST_RSP, HOST_GUEST_RSP, X86_BASE_NONE, SLOT + more);
    emit_bytes(w, host_return, sizeof host_return);
}

/* --- indirect jumps and calls --- */

static void
emit_scratch_op(struct rewriter *w, uint8_t opcode, unsigned extension, bool wide, unsigned rm, unsigned immediate_size,
                uint32_t immediate)
{
    struct encoding e = {.wide = wide,
                         .opcode = {opcode},
                         .opcode_size = 1,
                         .modrm = true,
                         .reg = (uint8_t)extension,
                         .rm = (uint8_t)rm,
                         .immediate_size = (uint8_t)immediate_size};

    for (unsigned i = 0; i < immediate_size; i++)
        e.immediate[i] = (uint8_t)(immediate >> 8 * i);
    emit(w, &e);
}

/* clang-format off */
enum { OP_SHIFT = 0xc1, OP_TEST_IMMEDIATE = 0xf7, OP_IMUL_IMMEDIATE = 0x69, OP_MOV = 0x8b, OP_CMP = 0x3b, OP_TEST = 0x85, SHIFT_RIGHT = 5, OP_IMMEDIATE = 0x81,
       AND = 4 };
/* clang-format on */

/* Looks up the target in the code map. r10 gets the host address of its rewritten code; where there is none, the code
 * goes on at `slow`. */
static void
put_code_map_lookup(struct rewriter *w, unsigned target, uint32_t slow)
{
    struct encoding load = encode_load(HOST_SCRATCH, SEGMENT_GS, X86_BASE_NONE, GUEST_CODE_MAP);

    emit_scratch_op(w, OP_TEST_IMMEDIATE, 0, true, target, 4, (uint32_t)DIRECT_LOOKUP_MASK);
    layout_branch(&w->layout, BRANCH_CONDITION, X86_CC_NE, slow);
    if (target != HOST_SCRATCH)
        emit_scratch_op(w, OP_MOV, HOST_SCRATCH, false, target, 0, 0);
    emit_scratch_op(w, OP_SHIFT, SHIFT_RIGHT, false, HOST_SCRATCH, 1, 4);
    load.wide = false;
    load.index = HOST_SCRATCH;
    load.scale = 4;
    emit(w, &load);
    emit_scratch_op(w, OP_TEST, HOST_SCRATCH, false, HOST_SCRATCH, 0, 0);
    layout_branch(&w->layout, BRANCH_CONDITION, X86_CC_E, slow);
}

static void
emit_in_table(struct rewriter *w, const struct encoding *e, uint32_t offset)
{
    encoding_put(&w->layout.code, e);
    layout_fix(&w->layout, w->layout.code.size - 4, FIX_TABLE32S, offset);
}

/* Looks up the target in a table of labels. r10 gets the label's host address; if the target is none of the table's
 * labels, the code goes on at `slow`. For a table in the order of the guest's, r10 has the guest's index. */
static void
put_label_lookup(struct rewriter *w, const struct label_table *t, unsigned target, uint32_t slow)
{
    bool kept = target == HOST_SCRATCH; /* the target is in tmp[0] */
    struct encoding load = encode_load(HOST_SCRATCH, 0, X86_BASE_NONE, INT32_MAX), compare = load;

    load.index = compare.index = HOST_SCRATCH;
    load.scale = compare.scale = TABLE_ENTRY;
    if (t->indexed) {
        emit_scratch_op(w, OP_IMMEDIATE, AND, false, HOST_SCRATCH, 4, (1u << t->bits) - 1);
    } else {
        emit_scratch_op(w, OP_IMUL_IMMEDIATE, HOST_SCRATCH, false, target, 4, t->multiplier);
        emit_scratch_op(w, OP_SHIFT, SHIFT_RIGHT, false, HOST_SCRATCH, 1, 32u - t->bits);
    }
    if (kept)
        compare = encode_load(HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_SLOT(tmp));
    compare.opcode[0] = OP_CMP;
    compare.reg = (uint8_t)target;
    compare.wide = false;
    load.wide = kept;
    if (kept)
        emit_in_table(w, &load, t->offset);
    if (kept)
        emit(w, &compare);
    else
        emit_in_table(w, &compare, t->offset);
    layout_branch(&w->layout, BRANCH_CONDITION, X86_CC_NE, slow);
    if (kept)
        emit_scratch_op(w, OP_SHIFT, SHIFT_RIGHT, true, HOST_SCRATCH, 1, 32);
    else
        emit_in_table(w, &load, t->offset + TABLE_ENTRY / 2);
}

/* Jumps to or calls the target in `reg`; if that is the scratch register, the target is in tmp[0], too. The flags are
 * kept for the slow path where another target might read them. Of the targets that are found here, only the labels of a
 * table whose flags are alive do. */
static void
put_target(struct rewriter *w, size_t index, uint64_t next, unsigned reg, bool call, const struct label_table *labels)
{
    struct slow_path slow = {.call = call,
                             .reg = (uint8_t)reg,
                             .pop_flags = w->flags_cross || (labels && labels->flags_alive)};
    bool read = labels && labels->flags_alive;

    if (call)
        push_return_address(w, next);
    slow.position = layout_position(&w->layout);
    slow.back = layout_position(&w->layout);
    if (slow.pop_flags)
        emit_bytes(w, push_flags, sizeof push_flags);
    if (labels)
        put_label_lookup(w, labels, reg, slow.position);
    else
        put_code_map_lookup(w, reg, slow.position);
    if (read)
        emit_bytes(w, pop_flags, sizeof pop_flags);
    else if (slow.pop_flags)
        emit_bytes(w, forget_flags, sizeof forget_flags);
    vec_push(&w->slow, slow);
    if (!call) {
        emit_bytes(w, jump_scratch, sizeof jump_scratch);
        return;
    }
    emit_bytes(w, call_scratch, sizeof call_scratch);
    layout_place(&w->layout, slow.back);
    put_return_point(w, index, next);
}

static bool
put_indirect(struct rewriter *w, size_t index, const uint8_t *bytes, const struct x86_insn *insn,
             const struct x86_parts *at)
{
    const struct x86_operand *o = &insn->operand[0];
    const struct insn_place *place = &w->insns.items[index];
    const struct label_table *labels = place->labels ? &w->label_tables.items[place->labels - 1] : NULL;
    bool named = o->kind == X86_OPD_REG && o->reg != X86_RSP && host_register(o->reg) != HOST_SCRATCH;

    if (insn->opsize != SLOT)
        return false;
    if (!named) {
        if (!rewrite_load_operand(w, bytes, insn, at))
            return false;
        emit_store(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_SLOT(tmp));
        if (labels && labels->indexed && place->index)
            emit_move(w, HOST_SCRATCH, place->index - 1u);
    }
    put_target(w, index, insn->address + insn->length, named ? host_register(o->reg) : HOST_SCRATCH,
               insn->op == X86_OP_CALL, labels);
    return true;
}

/* --- direct calls and jumps --- */

static void
put_call(struct rewriter *w, size_t index, const struct x86_insn *insn)
{
    uint64_t next = insn->address + insn->length, target = (uint64_t)insn->operand[0].imm;
    size_t to = rewriter_find(w, target);

    push_return_address(w, next);
    if (to != SIZE_MAX) {
        layout_branch(&w->layout, BRANCH_CALL, 0, position_begin(to));
    } else {
        emit_address(w, HOST_SCRATCH, target);
        layout_branch(&w->layout, BRANCH_CALL, 0, entry(w, DIRECT_JUMP));
    }
    put_return_point(w, index, next);
}

static void
put_jump(struct rewriter *w, uint64_t target)
{
    size_t to = rewriter_find(w, target);

    if (to != SIZE_MAX)
        layout_branch(&w->layout, BRANCH_JUMP, 0, position_begin(to));
    else
        leave_to(w, DIRECT_JUMP, target);
}

static void
put_branch(struct rewriter *w, const struct x86_insn *insn, const struct x86_parts *at, uint8_t opcode)
{
    uint64_t target = (uint64_t)insn->operand[0].imm;
    size_t to = rewriter_find(w, target);
    uint32_t taken, over;

    if (insn->op == X86_OP_JCC && to != SIZE_MAX) {
        layout_branch(&w->layout, BRANCH_CONDITION, insn->cc, position_begin(to));
        return;
    }
    over = layout_position(&w->layout);
    if (insn->op == X86_OP_JCC) {
        layout_branch(&w->layout, BRANCH_CONDITION, insn->cc ^ 1u, over);
    } else {
        taken = layout_position(&w->layout);
        if (at->address_size)
            buf_put_u8(&w->layout.code, 0x67);
        layout_branch(&w->layout, BRANCH_SHORT_ONLY, opcode, taken);
        layout_branch(&w->layout, BRANCH_JUMP, 0, over);
        layout_place(&w->layout, taken);
    }
    put_jump(w, target);
    layout_place(&w->layout, over);
}

void
rewrite_slow_paths(struct rewriter *w)
{
    for (size_t i = 0; i < w->slow.count; i++) {
        const struct slow_path *s = &w->slow.items[i];

        layout_place(&w->layout, s->position);
        if (s->pop_flags)
            emit_bytes(w, pop_flags, sizeof pop_flags);
        if (s->reg == HOST_SCRATCH)
            emit_load(w, HOST_SCRATCH, SEGMENT_FS, X86_BASE_NONE, CPU_SLOT(tmp));
        else
            emit_move(w, HOST_SCRATCH, s->reg);
        layout_branch(&w->layout, s->call ? BRANCH_CALL : BRANCH_JUMP, 0, entry(w, DIRECT_JUMP));
        if (s->call)
            layout_branch(&w->layout, BRANCH_JUMP, 0, s->back);
    }
    w->slow.count = 0;
}

/* --- all --- */

/* Is this a direct branch to where no code can be? Such a branch is in what is no code, or does not run. Its target
 * might not fit where it would be put. */
static bool
leads_nowhere(const struct x86_insn *insn)
{
    return insn->operand[0].kind == X86_OPD_REL && (uint64_t)insn->operand[0].imm >= GUEST_IMAGE_END;
}

bool
rewrite_control(struct rewriter *w, size_t index, const uint8_t *bytes, const struct x86_insn *insn,
                const struct x86_parts *at)
{
    if (leads_nowhere(insn))
        return false;
    switch (x86_flow(insn)) {
    case X86_FLOW_JUMP: put_jump(w, (uint64_t)insn->operand[0].imm); return true;
    case X86_FLOW_BRANCH: put_branch(w, insn, at, bytes[at->opcode_at]); return true;
    case X86_FLOW_CALL: put_call(w, index, insn); return true;
    case X86_FLOW_RETURN:
        if (insn->op != X86_OP_RET)
            return false;
        put_return(w, insn);
        return true;
    case X86_FLOW_CALL_INDIRECT:
    case X86_FLOW_JUMP_INDIRECT: return put_indirect(w, index, bytes, insn, at);
    case X86_FLOW_SYSCALL:
        emit_address(w, HOST_SCRATCH, insn->address + insn->length);
        layout_branch(&w->layout, BRANCH_CALL, 0, entry(w, DIRECT_SYSCALL));
        return true;
    default: return false;
    }
}
