/* Finds which flags are alive where, which means: which of them somebody may still read. Comparisons that the rewriter
 * inserts must not change those. A callee is taken to leave every flag to its own return point, where it is the return
 * point that matters.
 *
 * The nodes of a graph are the instructions and, behind them, the tables of labels. Each node asks others what is alive
 * there. When a flag becomes alive at a node, it is handed to the nodes that ask, and each of the few flags only once:
 * the time is linear, however often code jumps backwards. */
#include "direct/rewrite.h"

enum { ALL_FLAGS = (1 << X86_FLAG_COUNT) - 1 };

struct asks { /* the node `from` needs to know what is alive at the node `at` */
    uint32_t from, at;
};

struct liveness {
    struct rewriter *w;
    /* of each node: the flags that are alive; of an instruction, those that it overwrites for certain */
    uint8_t *live, *killed;
    VEC(struct asks) asks;
    /* instructions that go on where this unit has no instruction: the evaluator goes on there, and may read any flag */
    VEC(uint32_t) unknown;
    uint32_t *first, *askers; /* askers[first[n]] to askers[first[n + 1] - 1] are the nodes that ask node n */
    /* Nodes with something new to hand on, each once. Their order is all one, so that this is a stack: ir/worklist.h
     * takes the lowest first, and would search for it. */
    VEC(uint32_t) work;
    bool *waits; /* is the node in work? */
};

struct effects { /* the flags that an instruction reads, and those that it overwrites for certain */
    uint8_t tested, killed;
};

/* May this instruction leave all flags as they were, because its count may be 0? Such an instruction neither needs nor
 * kills them. */
static bool
may_keep_flags(const struct x86_insn *insn)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_SHL: case X86_OP_SHR: case X86_OP_SAR: case X86_OP_ROL: case X86_OP_ROR: case X86_OP_RCL: case X86_OP_RCR:
    case X86_OP_SHLD: case X86_OP_SHRD:
        /* clang-format on */
        return insn->operand[insn->operand_count - 1].kind == X86_OPD_REG;
    default: return insn->rep || insn->repne;
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

static void
add_live(struct liveness *v, uint32_t node, uint8_t flags)
{
    if ((v->live[node] | flags) == v->live[node])
        return;
    v->live[node] |= flags;
    if (!v->waits[node])
        vec_push(&v->work, node);
    v->waits[node] = true;
}

/* Notes that instruction i goes on at this address. */
static void
ask(struct liveness *v, uint32_t i, uint64_t address)
{
    size_t at = rewriter_find(v->w, address);

    if (at == SIZE_MAX)
        vec_push(&v->unknown, i);
    else
        vec_push(&v->asks, ((struct asks){i, (uint32_t)at}));
}

static void
ask_behind(struct liveness *v, uint32_t i, const struct x86_insn *insn)
{
    uint64_t next = insn->address + insn->length;
    uint32_t labels = v->w->insns.items[i].labels;

    switch (x86_flow(insn)) {
    case X86_FLOW_BRANCH:
        ask(v, i, next);
        ask(v, i, (uint64_t)insn->operand[0].imm);
        break;
    case X86_FLOW_JUMP:
    case X86_FLOW_CALL: ask(v, i, (uint64_t)insn->operand[0].imm); break;
    case X86_FLOW_JUMP_INDIRECT:
        if (labels)
            vec_push(&v->asks, ((struct asks){i, (uint32_t)v->w->insns.count + labels - 1}));
        break;
    case X86_FLOW_CALL_INDIRECT:
    case X86_FLOW_RETURN:
    case X86_FLOW_TRAP: break;
    default: ask(v, i, next); break;
    }
}

static void
make_nodes(struct liveness *v)
{
    const struct rewriter *w = v->w;

    for (uint32_t i = 0; i < w->insns.count; i++) {
        uint64_t left;
        const uint8_t *bytes = rewriter_bytes(w, w->insns.items[i].address, &left);
        struct effects effects;
        struct x86_insn insn;

        x86_decode(bytes, left, w->insns.items[i].address, &insn);
        effects = effects_of(&insn);
        v->killed[i] = effects.killed;
        add_live(v, i, effects.tested);
        if (effects.killed != ALL_FLAGS)
            ask_behind(v, i, &insn);
    }
    for (uint32_t t = 0; t < w->label_tables.count; t++) {
        const struct label_table *table = &w->label_tables.items[t];

        for (uint32_t k = 0; k < table->entry_count; k++)
            vec_push(&v->asks, ((struct asks){(uint32_t)w->insns.count + t,
                                              w->table_entries.items[table->first_entry + k].position / 2}));
    }
}

/* Sorts what was asked by the node that is asked. */
static void
sort_askers(struct liveness *v, size_t nodes)
{
    v->first = mem_zalloc(nodes + 2, sizeof *v->first);
    v->askers = mem_zalloc(v->asks.count, sizeof *v->askers);
    for (size_t i = 0; i < v->asks.count; i++)
        v->first[v->asks.items[i].at + 2]++;
    for (size_t n = 2; n < nodes + 2; n++)
        v->first[n] += v->first[n - 1];
    for (size_t i = 0; i < v->asks.count; i++)
        v->askers[v->first[v->asks.items[i].at + 1]++] = v->asks.items[i].from;
}

/* Hands on what is alive at a node. A flag that is alive behind an instruction is alive before it, unless the
 * instruction kills it. For a table of labels, one flag that is alive at one label counts as all flags; but DF does
 * not, which no comparison changes. */
static void
hand_on(struct liveness *v, uint32_t node)
{
    uint8_t live = v->live[node];

    for (uint32_t k = v->first[node]; k < v->first[node + 1]; k++) {
        uint32_t from = v->askers[k];

        if (from < v->w->insns.count)
            add_live(v, from, live & (uint8_t)~v->killed[from]);
        else if (live & STATUS_FLAGS)
            add_live(v, from, ALL_FLAGS);
    }
}

static void
solve(struct liveness *v)
{
    while (v->work.count) {
        uint32_t node = v->work.items[--v->work.count];

        v->waits[node] = false;
        hand_on(v, node);
    }
}

static void
note_readers(const struct liveness *v)
{
    struct rewriter *w = v->w;

    for (size_t i = 0; i < w->insns.count; i++) {
        struct insn_place *p = &w->insns.items[i];

        p->reads = v->live[i] & STATUS_FLAGS;
        w->flags_cross |= (p->function || p->label) && p->reads;
    }
}

/* Flags that cross an indirect jump are kept only where code that reads them is seen in this unit. For code that is not
 * here, in another unit or run by the evaluator, they would be kept in vain nearly always. */
void
find_live_flags(struct rewriter *w)
{
    size_t nodes = w->insns.count + w->label_tables.count;
    struct liveness v = {.w = w,
                         .live = mem_zalloc(nodes, 1),
                         .killed = mem_zalloc(nodes, 1),
                         .waits = mem_zalloc(nodes, 1)};

    make_nodes(&v);
    sort_askers(&v, nodes);
    solve(&v);
    note_readers(&v);
    for (size_t i = 0; i < v.unknown.count; i++)
        add_live(&v, v.unknown.items[i], (uint8_t)~v.killed[v.unknown.items[i]] & ALL_FLAGS);
    solve(&v);
    for (size_t i = 0; i < w->insns.count; i++)
        w->insns.items[i].live = v.live[i];
    for (size_t t = 0; t < w->label_tables.count; t++)
        w->label_tables.items[t].flags_alive = v.live[w->insns.count + t] != 0;
    mem_free(v.live);
    mem_free(v.killed);
    mem_free(v.waits);
    mem_free(v.first);
    mem_free(v.askers);
    vec_fini(&v.asks);
    vec_fini(&v.unknown);
    vec_fini(&v.work);
}
