/* Deciding where a function keeps CPU state. The home of each state (a guest register, a flag) is a wasm global. Some
 * registers are promoted: they are the parameters of all functions (convention.def). The other states that a function
 * uses are cached: it keeps each in a local, reads that from the global where a path needs it (at function entries and
 * behind calls), and writes it back before somebody else may look at the global. Only what belongs to helpers and the
 * kernel (IR_STATES_SHARED) is never kept in a local.
 *
 * Two data flows over the graph of the function find out where. Forward: a state is dirty when some path has set it
 * since it was last written back; only then must it be written back. Backward: a state is needed when some path reads
 * its local before that is set or read from the global again; only then must it be read. To write a state back is to
 * read its local.
 *
 * A join is a node that several paths lead to. Vectors and flags that are dirty on some of the paths into a join, and
 * not on all, are written back at the ends of these paths. Otherwise they would be dirty behind the join, and the other
 * paths would need their locals, too. The header of a loop is treated otherwise: what is dirty on some path into it
 * stays dirty, so that it is written back when the loop is over and not each time around.
 *
 * A header with many predecessors is the dispatch of an interpreter, though, and is treated like any join. And such a
 * dispatch, like all blocks behind a switch, reads the vectors and flags that are needed from the globals again,
 * because a single operation of the interpreter that needs them would otherwise make all the others carry them. */
#include "codegen/codegen_internal.h"

#include <string.h>

const uint8_t gen_promoted[] = {
#define PROMOTED(id) X86_S_##id,
#include "wasm/convention.def"
#undef PROMOTED
};
_Static_assert(sizeof gen_promoted == PROMOTED_COUNT, "parameters are the promoted registers and the link");

ir_states
gen_cached_states(void)
{
    ir_states set = IR_STATES_ALL;

    for (unsigned i = 0; i < PROMOTED_COUNT; i++)
        set &= ~IR_STATE_BIT(gen_promoted[i]);
    return set & ~IR_STATES_SHARED;
}

ir_states
gen_dead_states(uint8_t flags_dead)
{
    return (ir_states)flags_dead << X86_S_CF & IR_STATES_FLAGS;
}

void
gen_flush(struct gen *g, ir_states states)
{
    for (; states != 0; states &= states - 1) {
        unsigned s = ir_first_state(states);

        code_op_index(&g->code, W_LOCAL_GET, gen_state_local(g, s));
        code_global(&g->code, W_GLOBAL_SET, s);
    }
}

void
gen_reload(struct gen *g, ir_states states)
{
    for (; states != 0; states &= states - 1) {
        unsigned s = ir_first_state(states);

        code_global(&g->code, W_GLOBAL_GET, s);
        code_op_index(&g->code, W_LOCAL_SET, gen_state_local(g, s));
    }
}

enum { WIDE_JOIN = 8 }; /* A node with more predecessors is taken for the dispatch of an interpreter. */

/* Can the node write states back at its end, for the joins that it leads to? The other kinds of nodes are only
 * branches. */
static bool
can_flush(const struct flow_node *n)
{
    return n->kind == FLOW_BLOCK || n->kind == FLOW_LABEL;
}

/* The dirty states that the node writes back at its end because some successor takes them for clean. */
static ir_states
flush_into_joins(const struct gen *g, const struct flow_node *n, ir_states dirty)
{
    ir_states flush = 0;

    for (uint32_t k = 0; can_flush(n) && k < n->count; k++)
        flush |= dirty & ~g->flow[g->graph.successors.items[n->first + k]].dirty_in;
    return flush;
}

ir_states
gen_helper_flush(const struct gen *g, unsigned helper, ir_states dirty)
{
    return dirty & (ir_helper_reads(helper) | ir_helper_writes(helper));
}

ir_states
gen_helper_reload(const struct gen *g, unsigned helper)
{
    return g->used_states & ir_helper_writes(helper);
}

bool
gen_ends_in_call(const struct gen *g, const struct flow_node *n)
{
    unsigned kind;

    if (n->kind != FLOW_BLOCK)
        return false;
    kind = g->f->blocks.items[n->index].end.kind;
    return kind == IR_T_CALL || kind == IR_T_CALL_INDIRECT || kind == IR_T_SYSCALL;
}

ir_states
gen_flush_at_end(const struct gen *g, uint32_t node, ir_states dirty)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    unsigned kind;

    if (n->kind == FLOW_EXIT || n->kind == FLOW_INDIRECT)
        return dirty & ~gen_dead_states(n->flags_dead);
    if (n->kind == FLOW_LABEL)
        return flush_into_joins(g, n, dirty);
    if (n->kind != FLOW_BLOCK)
        return 0;
    kind = g->f->blocks.items[n->index].end.kind;
    if (kind == IR_T_RETURN || kind == IR_T_TRAP || kind == IR_T_NONE || gen_ends_in_call(g, n))
        return dirty & ~gen_dead_states(n->flags_dead);
    return flush_into_joins(g, n, dirty) & ~gen_dead_states(n->flags_dead);
}

static void
collect_used(struct gen *g)
{
    ir_states used = 0;

    for (size_t i = 0; i < g->f->blocks.count; i++) {
        const struct ir_block *block = &g->f->blocks.items[i];

        for (uint32_t v = block->first_op; v < block->first_op + block->op_count; v++) {
            const struct ir_op *op = &g->f->ops.items[v];

            if (op->op == IR_GET || op->op == IR_SET)
                used |= IR_STATE_BIT(op->aux);
        }
    }
    g->used_states = used & gen_cached_states();
}

/* Finds out what the operations of a block do to dirty states: which ones they leave clean, by writing them back, and
 * which ones dirty, by setting them last. raise_if is no such operation: it writes everything back only on the way to
 * the exception, and where control goes on all is as it was. */
static void
summarise_dirty(struct gen *g, struct node_flow *flow, const struct ir_block *block)
{
    for (uint32_t v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = &g->f->ops.items[v];
        ir_states clean;

        if (gen_shows_state(g, op)) {
            flow->clean |= gen_shown_states(op);
            flow->define &= ~gen_shown_states(op);
        }
        if (op->op == IR_SET) {
            flow->define |= IR_STATE_BIT(op->aux) & g->used_states;
        } else if (op->op == IR_HELPER && op->aux != IR_HELPER_raise_if) {
            clean = ir_helper_reads(op->aux) | ir_helper_writes(op->aux);
            flow->clean |= clean;
            flow->define &= ~clean;
        }
    }
}

/* Finds out which locals the operations of a block need at its start (expose), and which ones they set or read from the
 * globals (kill). It depends on flow->dirty_in, which must be known: to write back what is dirty is to need it. */
static void
summarise_need(struct gen *g, struct node_flow *flow, const struct ir_block *block)
{
    ir_states dirty = flow->dirty_in, uses;

    for (uint32_t v = block->first_op; v < block->first_op + block->op_count; v++) {
        const struct ir_op *op = &g->f->ops.items[v];
        ir_states bit = IR_STATE_BIT(op->aux & 127) & g->used_states;

        if (gen_shows_state(g, op) || (op->op == IR_HELPER && op->aux == IR_HELPER_raise_if))
            flow->expose |= dirty & ~flow->kill;
        if (gen_shows_state(g, op))
            dirty &= ~gen_shown_states(op);
        if (op->op == IR_SET) {
            flow->kill |= bit;
            dirty |= bit;
        } else if (op->op == IR_GET) {
            flow->expose |= bit & ~flow->kill;
        } else if (op->op == IR_HELPER && op->aux != IR_HELPER_raise_if) {
            uses = gen_helper_flush(g, op->aux, dirty);
            flow->expose |= uses & ~flow->kill;
            flow->kill |= gen_helper_reload(g, op->aux);
            dirty &= ~(ir_helper_reads(op->aux) | ir_helper_writes(op->aux));
        }
    }
}

static ir_states
dirty_at_end(const struct node_flow *flow)
{
    return (flow->dirty_in & ~flow->clean) | flow->define;
}

/* What is dirty for a successor of the node: all that may be so at the node's end, or with `flushed` what is left when
 * the node has written back what its successors take for clean. A call leaves nothing dirty. */
static ir_states
dirty_out(struct gen *g, uint32_t node, bool flushed)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    ir_states dirty = dirty_at_end(&g->flow[node]);

    if (gen_ends_in_call(g, n))
        return 0;
    return flushed ? dirty & ~flush_into_joins(g, n, dirty) : dirty;
}

/* Finds what may be dirty at the start of each node when no node writes anything back for a join: the union over all
 * paths. This is the largest that dirty_in can become. */
static void
solve_may_be_dirty(struct gen *g)
{
    bool changed;

    do {
        changed = false;
        for (uint32_t i = 0; i < g->layout.count; i++) {
            uint32_t node = g->layout.order[i];
            const struct flow_node *n = &g->graph.nodes.items[node];
            ir_states out = dirty_out(g, node, false);

            for (uint32_t k = 0; k < n->count; k++) {
                struct node_flow *s = &g->flow[g->graph.successors.items[n->first + k]];

                changed |= (out & ~s->dirty_in) != 0;
                s->dirty_in |= out;
            }
        }
    } while (changed);
}

static void
forget_gathered(struct gen *g)
{
    for (uint32_t i = 0; i < g->layout.count; i++) {
        struct node_flow *flow = &g->flow[g->layout.order[i]];

        flow->any = flow->forced = 0;
        flow->all = IR_STATES_ALL;
    }
}

/* Adds to each successor's any, all and forced what the node leaves dirty when it writes back what some successor takes
 * for clean now. */
static void
hand_on_dirty(struct gen *g, uint32_t node)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    ir_states out = dirty_out(g, node, true);

    for (uint32_t k = 0; k < n->count; k++) {
        struct node_flow *s = &g->flow[g->graph.successors.items[n->first + k]];

        s->any |= out;
        s->all &= out;
        s->forced |= can_flush(n) ? 0 : out;
    }
}

/* What the node takes for dirty, of what its predecessors handed on. General registers are dirty when they are so on
 * some path. Vectors and flags must be so on all paths, or come from a node that cannot write back, except at the
 * header of a loop that is no dispatch. */
static ir_states
taken_for_dirty(const struct gen *g, uint32_t place)
{
    const struct node_flow *flow = &g->flow[g->layout.order[place]];
    bool keeps = g->layout.loop_end[place] != 0 && flow->predecessors <= WIDE_JOIN;

    return keeps ? flow->any : (flow->any & IR_STATES_GENERAL) | (flow->any & flow->all) | flow->forced;
}

/* Makes dirty_in smaller by one step, and says whether that changed anything. All nodes hand on before the first one
 * takes, so that they all look at the same dirty_in. */
static bool
narrow_dirty(struct gen *g)
{
    bool changed = false;

    forget_gathered(g);
    for (uint32_t i = 0; i < g->layout.count; i++)
        hand_on_dirty(g, g->layout.order[i]);
    for (uint32_t i = 0; i < g->layout.count; i++) {
        struct node_flow *flow = &g->flow[g->layout.order[i]];
        ir_states in = taken_for_dirty(g, i);

        changed |= in != flow->dirty_in;
        flow->dirty_in = in;
    }
    return changed;
}

static ir_states
need_at_start(struct gen *g, uint32_t node)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    struct node_flow *flow = &g->flow[node];
    ir_states need = 0;

    if (!gen_ends_in_call(g, n)) {
        for (uint32_t k = 0; k < n->count; k++)
            need |= g->flow[g->graph.successors.items[n->first + k]].need_in;
    }
    need |= gen_flush_at_end(g, node, dirty_at_end(flow));
    flow->need_out = need;
    need = (need & ~flow->kill) | flow->expose;
    flow->reload = 0;
    if (n->kind == FLOW_BLOCK && (flow->after_switch || flow->predecessors > WIDE_JOIN)) {
        flow->reload = need & ~IR_STATES_GENERAL & ~flow->dirty_in;
        need &= ~flow->reload;
    }
    if (n->kind == FLOW_ENTRY || n->kind == FLOW_ROOT)
        return 0; /* These nodes read from the globals whatever their successors need. */
    if (n->poll && n->kind == FLOW_BLOCK)
        need |= flow->dirty_in & ~gen_dead_states(g->f->blocks.items[n->index].flags_dead);
    return need;
}

static void
solve_need(struct gen *g)
{
    bool changed;

    do {
        changed = false;
        for (uint32_t i = g->layout.count; i-- > 0;) {
            uint32_t node = g->layout.order[i];
            ir_states need = need_at_start(g, node);

            if (need == g->flow[node].need_in)
                continue;
            g->flow[node].need_in = need;
            changed = true;
        }
    } while (changed);
}

void
gen_analyse_states(struct gen *g)
{
    collect_used(g);
    g->flow = arena_alloc(&g->arena, (g->graph.nodes.count + 1) * sizeof *g->flow);
    for (uint32_t i = 0; i < g->layout.count; i++) {
        const struct flow_node *n = &g->graph.nodes.items[g->layout.order[i]];

        for (uint32_t k = 0; k < n->count; k++) {
            struct node_flow *s = &g->flow[g->graph.successors.items[n->first + k]];

            s->predecessors++;
            s->after_switch |= n->kind == FLOW_SWITCH || n->kind == FLOW_GUARD;
        }
        if (n->kind == FLOW_BLOCK)
            summarise_dirty(g, &g->flow[g->layout.order[i]], &g->f->blocks.items[n->index]);
    }
    solve_may_be_dirty(g);
    while (narrow_dirty(g))
        ;
    for (uint32_t i = 0; i < g->layout.count; i++) {
        const struct flow_node *n = &g->graph.nodes.items[g->layout.order[i]];

        if (n->kind == FLOW_BLOCK)
            summarise_need(g, &g->flow[g->layout.order[i]], &g->f->blocks.items[n->index]);
    }
    solve_need(g);
}
