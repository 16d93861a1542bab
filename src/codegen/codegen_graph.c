/* The control flow graph of a function: its blocks, and nodes for entering, leaving and jumping indirectly. */
#include "codegen/codegen_internal.h"

#include <inttypes.h>
#include <string.h>

enum { BR_TABLE_MAX = 65000 }; /* engines take 65520 */

struct exits { /* leaving edges share one node per address */
    struct {
        uint64_t address;
        uint32_t node;
    } *slots; /* node + 1 */
    uint32_t mask, used;
};

static uint32_t
exit_slot(const struct exits *x, uint64_t address)
{
    uint32_t at = (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32) & x->mask;

    while (x->slots[at].node != 0 && x->slots[at].address != address)
        at = (at + 1) & x->mask;
    return at;
}

static void
exits_grow(struct exits *x)
{
    struct exits old = *x;

    x->mask = x->mask * 2 + 1;
    x->slots = mem_zalloc(x->mask + (size_t)1, sizeof *x->slots);
    for (uint32_t i = 0; old.slots != NULL && i <= old.mask; i++) {
        if (old.slots[i].node != 0)
            x->slots[exit_slot(x, old.slots[i].address)] = old.slots[i];
    }
    mem_free(old.slots);
}

/* The node of an address: a block of the function, or an exit. */
static uint32_t
node_at(struct gen *g, struct exits *x, uint64_t address, uint8_t flags_dead)
{
    uint32_t block = ir_block_find(&g->map, address), at, node;

    if (block != IR_NO_BLOCK)
        return g->block_node[block];
    if (x->used * 2 >= x->mask)
        exits_grow(x);
    at = exit_slot(x, address);
    if (x->slots[at].node == 0) {
        struct flow_node n = {.kind = FLOW_EXIT, .address = address, .flags_dead = flags_dead};

        x->slots[at].node = flow_add_node(&g->graph, &n) + 1;
        x->slots[at].address = address;
        x->used++;
    }
    node = x->slots[at].node - 1;
    g->graph.nodes.items[node].flags_dead &= flags_dead;
    return node;
}

static bool
block_exists(const struct gen *g, uint64_t address)
{
    return ir_block_find(&g->map, address) != IR_NO_BLOCK;
}

static bool
jumps_indirectly(const struct ir_terminator *t)
{
    return t->kind == IR_T_JUMP_INDIRECT || (t->kind == IR_T_SWITCH && t->next == IR_NO_ADDRESS);
}

static void
switch_successors(struct gen *g, struct exits *x, const struct ir_terminator *t, uint32_t node)
{
    uint32_t first = (uint32_t)g->graph.successors.count;

    for (uint32_t i = 0; i <= t->target_count; i++) {
        uint32_t to = i < t->target_count        ? node_at(g, x, t->targets[i], t->flags_dead)
                      : t->next != IR_NO_ADDRESS ? node_at(g, x, t->next, t->flags_dead)
                                                 : g->indirect;

        vec_push(&g->graph.successors, to);
    }
    g->graph.nodes.items[node].first = first;
    g->graph.nodes.items[node].count = t->target_count + 1;
    g->graph.nodes.items[node].flags_dead = t->flags_dead;
}

/* --- jumps through one table --- */

/* Targets: smaller tables stay with their jumps; larger ones leave no room for the labels of a loop's entries. */
enum { SHARED_SWITCH = 16, SHARED_SWITCH_MAX = 32768 };

static bool
same_switch(const struct ir_terminator *a, const struct ir_terminator *b)
{
    return a->target_count == b->target_count && a->next == b->next && a->flags_dead == b->flags_dead &&
           memcmp(a->targets, b->targets, a->target_count * sizeof *a->targets) == 0;
}

static bool
shares_switch(const struct ir_terminator *t)
{
    return t->kind == IR_T_SWITCH && t->target_count >= SHARED_SWITCH && t->target_count <= SHARED_SWITCH_MAX;
}

/* An interpreter jumps through its table at the end of each of its hundreds of operations: hundreds of edges each,
 * unless they all go through one node. g->switch_node by block: that node, or FLOW_NONE. */
static void
share_switches(struct gen *g)
{
    VEC(uint32_t) first = {0}, uses = {0};
    uint32_t *group = arena_alloc(&g->arena, (g->f->blocks.count + 1) * sizeof *group);

    for (uint32_t i = 0; i < g->f->blocks.count; i++) {
        const struct ir_terminator *t = &g->f->blocks.items[i].end;
        uint32_t k = 0;

        if (!shares_switch(t))
            continue;
        while (k < first.count && !same_switch(t, &g->f->blocks.items[first.items[k]].end))
            k++;
        if (k == first.count) {
            vec_push(&first, i);
            vec_push(&uses, (uint32_t)0);
        }
        uses.items[k]++;
        group[i] = k;
    }
    memset(g->switch_node, 0xff, (g->f->blocks.count + 1) * sizeof *g->switch_node);
    for (uint32_t k = 0; k < first.count; k++) {
        struct flow_node n = {.kind = FLOW_SWITCH, .index = g->switch_count};

        if (uses.items[k] == 1) {
            uses.items[k] = FLOW_NONE;
            continue;
        }
        uses.items[k] = flow_add_node(&g->graph, &n);
        g->switch_count++;
    }
    for (uint32_t i = 0; i < g->f->blocks.count; i++) {
        if (shares_switch(&g->f->blocks.items[i].end))
            g->switch_node[i] = uses.items[group[i]];
    }
    vec_fini(&first);
    vec_fini(&uses);
}

static void
block_successors(struct gen *g, struct exits *x, const struct ir_block *block, uint32_t node)
{
    const struct ir_terminator *t = &block->end;
    uint32_t first = (uint32_t)g->graph.successors.count;

#define ADD(v)                                \
    do {                                      \
        uint32_t add_ = (v);                  \
        vec_push(&g->graph.successors, add_); \
    } while (0)
    switch (t->kind) {
    case IR_T_JUMP: ADD(node_at(g, x, t->target, t->flags_dead)); break;
    case IR_T_BRANCH:
        ADD(node_at(g, x, t->target, t->flags_dead));
        ADD(node_at(g, x, t->next, t->flags_dead));
        break;
    case IR_T_SWITCH:
        if (g->switch_node[block - g->f->blocks.items] == FLOW_NONE) {
            switch_successors(g, x, t, node);
            return;
        }
        ADD(g->switch_node[block - g->f->blocks.items]);
        break;
    case IR_T_JUMP_INDIRECT: ADD(g->jump_node); break;
    case IR_T_CALL:
    case IR_T_CALL_INDIRECT:
    case IR_T_SYSCALL:
        if (block_exists(g, t->next))
            ADD(node_at(g, x, t->next, t->flags_dead));
        break;
    default: break;
    }
#undef ADD
    g->graph.nodes.items[node].first = first;
    g->graph.nodes.items[node].count = (uint32_t)g->graph.successors.count - first;
    g->graph.nodes.items[node].flags_dead = t->flags_dead;
}

static void
indirect_flags(struct gen *g)
{
    struct flow_node *n = &g->graph.nodes.items[g->indirect];

    n->flags_dead = 0x3f;
    for (size_t i = 0; i < g->f->blocks.count; i++) {
        if (jumps_indirectly(&g->f->blocks.items[i].end))
            n->flags_dead &= g->f->blocks.items[i].end.flags_dead;
    }
}

static int
entry_nodes(struct gen *g, struct err *e)
{
    uint32_t first;

    for (uint32_t k = 0; k < g->fn->entry_count; k++) {
        uint32_t block = ir_block_find(&g->map, g->fn->entries[k]);
        struct flow_node n = {.kind = FLOW_ENTRY, .index = k, .count = 1};

        if (block == IR_NO_BLOCK)
            return err_set(e, "entry %#" PRIx64 " is no block", g->fn->entries[k]);
        n.first = (uint32_t)g->graph.successors.count;
        vec_push(&g->graph.successors, g->block_node[block]);
        flow_add_node(&g->graph, &n);
    }
    first = (uint32_t)g->graph.successors.count;
    for (uint32_t k = 0; k < g->fn->entry_count; k++)
        vec_push(&g->graph.successors, 1 + k);
    g->graph.nodes.items[0].first = first;
    g->graph.nodes.items[0].count = g->fn->entry_count;
    return 0;
}

static bool
calls_or_tail_calls(const struct gen *g, const struct ir_block *block)
{
    const struct ir_terminator *t = &block->end;

    switch (t->kind) {
    case IR_T_CALL:
    case IR_T_CALL_INDIRECT:
    case IR_T_JUMP_INDIRECT: return true;
    case IR_T_JUMP: return !block_exists(g, t->target);
    case IR_T_BRANCH: return !block_exists(g, t->target) || !block_exists(g, t->next);
    default: return false;
    }
}

static int
check_switches(const struct gen *g, struct err *e)
{
    for (size_t i = 0; i < g->f->blocks.count; i++) {
        const struct ir_block *block = &g->f->blocks.items[i];

        if (block->end.kind == IR_T_SWITCH && block->end.target_count > BR_TABLE_MAX)
            return err_set(e, "block %#" PRIx64 ": jump table too large", block->address);
    }
    return 0;
}

int
gen_make_graph(struct gen *g, struct err *e)
{
    struct flow_node root = {.kind = FLOW_ROOT};
    struct exits x = {.mask = 7};
    uint32_t jumps = 0, switches = 0;

    if (check_switches(g, e) < 0)
        return -1;
    x.slots = mem_zalloc(8, sizeof *x.slots);
    flow_add_node(&g->graph, &root);
    g->block_node = arena_alloc(&g->arena, (g->f->blocks.count + 1) * sizeof *g->block_node);
    g->switch_node = arena_alloc(&g->arena, (g->f->blocks.count + 1) * sizeof *g->switch_node);
    for (uint32_t i = 0; i < g->f->blocks.count; i++)
        g->block_node[i] = g->fn->entry_count + 1 + i;
    if (entry_nodes(g, e) < 0) {
        mem_free(x.slots);
        return -1;
    }
    for (uint32_t i = 0; i < g->f->blocks.count; i++) {
        struct flow_node n = {.kind = FLOW_BLOCK, .index = i, .address = g->f->blocks.items[i].address};

        flow_add_node(&g->graph, &n);
        jumps += g->f->blocks.items[i].end.kind == IR_T_JUMP_INDIRECT;
        switches += jumps_indirectly(&g->f->blocks.items[i].end);
        g->polls_at_entry |= calls_or_tail_calls(g, &g->f->blocks.items[i]);
    }
    g->indirect = FLOW_NONE;
    if (switches != 0) {
        struct flow_node n = {.kind = FLOW_INDIRECT};

        g->indirect = flow_add_node(&g->graph, &n);
        g->jump_node = gen_goto_node(g, jumps);
    }
    share_switches(g);
    for (uint32_t i = 0; i < g->f->blocks.count; i++)
        block_successors(g, &x, &g->f->blocks.items[i], g->block_node[i]);
    for (uint32_t i = 0; i < g->f->blocks.count; i++) {
        uint32_t node = g->switch_node[i];

        if (node != FLOW_NONE && g->graph.nodes.items[node].count == 0)
            switch_successors(g, &x, &g->f->blocks.items[i].end, node);
    }
    if (g->indirect != FLOW_NONE)
        indirect_flags(g);
    mem_free(x.slots);
    return 0;
}
