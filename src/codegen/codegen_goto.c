/* Computed gotos: jumps to any of the function's labels, as interpreters make at the end of each operation. The target
 * is hashed to an index; the switch over it leads to a guard, which compares the target with the one address (of few
 * that share the slot) it stands for. What is no label goes to the FLOW_INDIRECT node. */
#include "codegen/codegen_internal.h"

#include <string.h>

enum {
    GOTO_BITS_MAX = 15,     /* of the index: engines take tables of 65520 */
    GOTO_MULTIPLIERS = 512, /* tried, for the fewest shared slots */
};

struct labels {
    uint32_t *blocks, count;
};

static uint32_t
hash(uint64_t address, uint32_t multiplier, unsigned bits)
{
    return (uint32_t)address * multiplier >> (32 - bits);
}

static uint32_t
shared_slots(const struct gen *g, const struct labels *l, uint32_t multiplier, unsigned bits, uint8_t *taken)
{
    uint32_t shared = 0;

    memset(taken, 0, (size_t)1 << bits);
    for (uint32_t i = 0; i < l->count; i++) {
        uint8_t *slot = &taken[hash(g->f->blocks.items[l->blocks[i]].address, multiplier, bits)];

        shared += *slot;
        *slot = 1;
    }
    return shared;
}

/* Slots for four to eight times the labels: few are shared, and the table is still dense. */
static void
choose_hash(struct gen *g, const struct labels *l)
{
    uint32_t state = 0x9e3779b9, best = UINT32_MAX;
    uint8_t *taken;

    g->goto_bits = 2;
    while ((uint32_t)1 << g->goto_bits < 4 * l->count)
        g->goto_bits++;
    taken = arena_alloc(&g->arena, (size_t)1 << g->goto_bits);
    for (unsigned i = 0; i < GOTO_MULTIPLIERS && best != 0; i++) {
        uint32_t shared = shared_slots(g, l, state | 1, g->goto_bits, taken);

        if (shared < best) {
            best = shared;
            g->goto_multiplier = state | 1;
        }
        state = state * 1664525 + 1013904223;
    }
}

static struct labels
find_labels(struct gen *g)
{
    struct labels l = {.blocks = arena_alloc(&g->arena, g->f->blocks.count * sizeof *l.blocks)};

    for (uint32_t i = 0; i < g->f->blocks.count; i++) {
        if (g->f->blocks.items[i].label)
            l.blocks[l.count++] = i;
    }
    return l;
}

/* A guard before what the slot held so far. */
static void
add_guard(struct gen *g, uint64_t address, uint32_t *slot)
{
    struct flow_node n = {.kind = FLOW_GUARD,
                          .address = address,
                          .count = 2,
                          .first = (uint32_t)g->graph.successors.count};

    vec_push(&g->graph.successors, g->block_node[ir_block_find(&g->map, address)]);
    vec_push(&g->graph.successors, *slot);
    *slot = flow_add_node(&g->graph, &n);
}

uint32_t
gen_goto_node(struct gen *g, uint32_t jumps)
{
    struct flow_node n = {.kind = FLOW_SWITCH, .index = g->switch_count};
    struct labels l = find_labels(g);
    uint32_t *slots, count;

    if (jumps == 0 || l.count == 0 || l.count > 1u << (GOTO_BITS_MAX - 2))
        return g->indirect;
    g->switch_count++;
    choose_hash(g, &l);
    count = (uint32_t)1 << g->goto_bits;
    slots = arena_alloc(&g->arena, count * sizeof *slots);
    for (uint32_t i = 0; i < count; i++)
        slots[i] = g->indirect;
    for (uint32_t i = 0; i < l.count; i++) {
        uint64_t address = g->f->blocks.items[l.blocks[i]].address;

        add_guard(g, address, &slots[hash(address, g->goto_multiplier, g->goto_bits)]);
    }
    n.first = (uint32_t)g->graph.successors.count;
    n.count = count + 1;
    for (uint32_t i = 0; i < count; i++)
        vec_push(&g->graph.successors, slots[i]);
    vec_push(&g->graph.successors, g->indirect);
    return flow_add_node(&g->graph, &n);
}

/* The index of target_local. */
void
gen_goto_index(struct gen *g)
{
    code_op_index(&g->code, W_LOCAL_GET, gen_special_local(g, &g->target_local, IR_I64));
    code_op(&g->code, W_I32_WRAP);
    if (!g->o->base_is_zero) {
        code_global(&g->code, W_GLOBAL_GET, WASM_GLOBAL_CODE_BASE);
        code_op(&g->code, W_I32_WRAP);
        code_op(&g->code, W_I32_SUB);
    }
    code_i32_const(&g->code, g->goto_multiplier);
    code_op(&g->code, W_I32_MUL);
    code_i32_const(&g->code, 32 - g->goto_bits);
    code_op(&g->code, W_I32_SHR_U);
    code_op_index(&g->code, W_LOCAL_SET, gen_switch_local(g, g->jump_node));
}
