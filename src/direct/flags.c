/* Which flags are alive where: inserted comparisons must not change those. Backwards over all instructions until nothing changes. A
 * callee is taken to leave every flag to its own return point, where it is the return point that matters. */
#include "direct/rewrite.h"

enum { ALL_FLAGS = (1 << X86_FLAG_COUNT) - 1 };

static uint8_t
alive_at(const struct rewriter *w, uint64_t address)
{
    size_t i = rewriter_find(w, address);

    return i == SIZE_MAX ? w->unknown_reads : w->insns.items[i].live;
}

static uint8_t
alive_behind(const struct rewriter *w, const struct insn_place *p, const struct x86_insn *insn)
{
    uint64_t next = insn->address + insn->length;

    switch (x86_flow(insn)) {
    case X86_FLOW_JUMP: case X86_FLOW_CALL:
        return alive_at(w, (uint64_t)insn->operand[0].imm);
    case X86_FLOW_BRANCH:
        return alive_at(w, (uint64_t)insn->operand[0].imm) | alive_at(w, next);
    case X86_FLOW_JUMP_INDIRECT:
        return p->labels && w->label_tables.items[p->labels - 1].flags_alive ? ALL_FLAGS : 0;
    case X86_FLOW_CALL_INDIRECT: case X86_FLOW_RETURN: case X86_FLOW_TRAP:
        return 0;
    default:
        return alive_at(w, next);
    }
}

struct effects { /* of an instruction, decoded once */
    uint8_t tested, killed;
};

static bool
update(struct rewriter *w, size_t index, const struct effects *effects)
{
    struct insn_place *p = &w->insns.items[index];
    struct x86_insn insn;
    uint8_t live;

    if (effects->killed == ALL_FLAGS) {
        live = effects->tested;
    } else {
        uint64_t left;
        const uint8_t *bytes = rewriter_bytes(w, p->address, &left);

        x86_decode(bytes, left, p->address, &insn);
        live = effects->tested | (alive_behind(w, p, &insn) & (uint8_t)~effects->killed);
    }
    if (live == p->live)
        return false;
    p->live = live;
    return true;
}

static bool
labels_changed(struct rewriter *w)
{
    bool changed = false;

    for (size_t t = 0; t < w->label_tables.count; t++) {
        struct label_table *table = &w->label_tables.items[t];
        const struct table_entry *entries = w->table_entries.items + table->first_entry;

        for (uint32_t i = 0; i < table->entry_count && !table->flags_alive; i++)
            if (w->insns.items[entries[i].position / 2].live & STATUS_FLAGS)
                table->flags_alive = changed = true;
    }
    return changed;
}

/* Instructions that may leave all flags as they were, by a count of 0: they neither need nor kill them. */
static bool
may_keep_flags(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_OP_SHL: case X86_OP_SHR: case X86_OP_SAR: case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR:
    case X86_OP_SHLD: case X86_OP_SHRD:
        return insn->operand[insn->operand_count - 1].kind == X86_OPD_REG;
    default:
        return insn->rep || insn->repne;
    }
}

static struct effects
effects_of(const struct x86_insn *insn)
{
    struct x86_flag_effects e = x86_flag_effects(insn);
    bool through_carry = insn->op == X86_OP_RCL || insn->op == X86_OP_RCR;

    if (!may_keep_flags(insn))
        return (struct effects){e.tested, e.written};
    return (struct effects){(uint8_t)((e.tested & 1 << X86_FLAG_DF) | (through_carry ? 1 << X86_FLAG_CF : 0)), 0};
}

/* Until nothing changes. */
static void
find_live(struct rewriter *w, const struct effects *effects)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = w->insns.count; i-- > 0;)
            changed |= update(w, i, &effects[i]);
        changed |= labels_changed(w);
    }
}

static void
note_readers(struct rewriter *w)
{
    for (size_t i = 0; i < w->insns.count; i++) {
        struct insn_place *p = &w->insns.items[i];

        p->reads = p->live & STATUS_FLAGS;
        w->flags_cross |= (p->function || p->label) && p->reads;
    }
}

/* What is nowhere here is the evaluator's: who knows. Only flags that cross indirect jumps are kept for nobody but those that are seen to read them: most
 * functions that lead to such code have instructions that this backend has not. */
void
find_live_flags(struct rewriter *w)
{
    struct effects *effects = mem_zalloc(w->insns.count + 1, sizeof *effects);

    for (size_t i = 0; i < w->insns.count; i++) {
        uint64_t left;
        const uint8_t *bytes = rewriter_bytes(w, w->insns.items[i].address, &left);
        struct x86_insn insn;

        x86_decode(bytes, left, w->insns.items[i].address, &insn);
        effects[i] = effects_of(&insn);
    }
    find_live(w, effects);
    note_readers(w);
    w->unknown_reads = ALL_FLAGS;
    find_live(w, effects);
    mem_free(effects);
}
