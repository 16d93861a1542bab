/* Which blocks may be entered from the dispatcher: the entries discovery was told of, labels of unresolved jump
 * tables, and the headers of outermost loops that call something: a process that was forked or that
 * longjmp'ed into the loop is back in compiled code at its next iteration (DESIGN D6). */
#include <stdlib.h>
#include <string.h>

#include "lift/discover_internal.h"

struct node {
    uint32_t first, count; /* successors */
    uint32_t index, low;   /* Tarjan */
    uint32_t component;
    bool calls, on_stack;
};

struct graph {
    VEC(struct node) nodes;
    VEC(uint32_t) edges;
};

static int32_t
block_at(const struct func *fn, uint64_t address)
{
    size_t low = 0, high = fn->blocks.count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (fn->blocks.items[mid].start == address)
            return (int32_t)mid;
        if (fn->blocks.items[mid].start < address)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

static void
add_edge(struct graph *g, const struct func *fn, uint64_t to)
{
    int32_t b = block_at(fn, to);

    if (b >= 0)
        vec_push(&g->edges, (uint32_t)b);
}

static void
add_node(struct finder *f, struct graph *g, struct func *fn, struct disc_block *b)
{
    struct node node = {.first = (uint32_t)g->edges.count, .index = UINT32_MAX};
    struct text_range *r = finder_range(f, b->start);
    struct x86_insn insn = {0};
    enum x86_flow flow = X86_FLOW_NEXT;
    const struct lift_jump_table *table;

    for (uint64_t at = b->start; at < b->end; at += insn.length) {
        if (x86_decode(r->bytes + (at - r->start), r->end - at, at, &insn) <= 0)
            break;
        flow = x86_flow(&insn);
    }
    switch (flow) {
    case X86_FLOW_JUMP_INDIRECT:
        table = b->table >= 0 ? &f->disc->tables.items[b->table] : NULL;
        for (uint32_t i = 0; table && i < table->count; i++)
            add_edge(g, fn, table->targets[i]);
        break;
    case X86_FLOW_JUMP:
        add_edge(g, fn, (uint64_t)insn.operand[0].imm);
        break;
    case X86_FLOW_BRANCH:
        add_edge(g, fn, (uint64_t)insn.operand[0].imm);
        add_edge(g, fn, b->end);
        break;
    case X86_FLOW_CALL:
    case X86_FLOW_CALL_INDIRECT:
    case X86_FLOW_SYSCALL:
        node.calls = true;
        add_edge(g, fn, b->end);
        break;
    case X86_FLOW_NEXT:
        add_edge(g, fn, b->end);
        break;
    default:
        break;
    }
    node.count = (uint32_t)g->edges.count - node.first;
    vec_push(&g->nodes, node);
}

struct frame {
    uint32_t node, edge;
};

/* Tarjan's strongly connected components, without recursion. */
static void
find_components(struct graph *g)
{
    VEC(struct frame) frames = {0};
    VEC(uint32_t) stack = {0};
    uint32_t counter = 0, components = 0;

    for (uint32_t root = 0; root < g->nodes.count; root++) {
        if (g->nodes.items[root].index != UINT32_MAX)
            continue;
        vec_push(&frames, ((struct frame){root, 0}));
        while (frames.count) {
            struct frame *top = &frames.items[frames.count - 1];
            struct node *n = &g->nodes.items[top->node];

            if (top->edge == 0 && n->index == UINT32_MAX) {
                n->index = n->low = counter++;
                n->on_stack = true;
                vec_push(&stack, top->node);
            }
            if (top->edge < n->count) {
                uint32_t to = g->edges.items[n->first + top->edge++];
                struct node *t = &g->nodes.items[to];

                if (t->index == UINT32_MAX)
                    vec_push(&frames, ((struct frame){to, 0}));
                else if (t->on_stack && t->index < n->low)
                    n->low = t->index;
                continue;
            }
            if (n->low == n->index) {
                uint32_t member;

                do {
                    member = stack.items[--stack.count];
                    g->nodes.items[member].on_stack = false;
                    g->nodes.items[member].component = components;
                } while (member != top->node);
                components++;
            }
            frames.count--;
            if (frames.count) {
                struct node *parent = &g->nodes.items[frames.items[frames.count - 1].node];

                if (n->low < parent->low)
                    parent->low = n->low;
            }
        }
    }
    vec_fini(&frames);
    vec_fini(&stack);
}

/* A jump of which nothing is known may lead to any entry. */
static void
mark_labels(struct func *fn)
{
    bool unknown = false;

    for (size_t i = 0; i < fn->jumps.count; i++)
        unknown |= fn->jumps.items[i].kind >= DISC_JUMP_POINTER;
    for (size_t i = 0; i < fn->blocks.count && unknown; i++)
        fn->blocks.items[i].label = fn->blocks.items[i].entry;
}

void
finder_mark_entries(struct finder *f, struct func *fn)
{
    struct graph g = {0};
    uint8_t *calls, *headed;
    size_t n = fn->blocks.count;

    for (size_t i = 0; i < fn->entries.count + fn->labels.count; i++) {
        int32_t b = block_at(fn, i < fn->entries.count ? fn->entries.items[i]
                                                       : fn->labels.items[i - fn->entries.count]);

        if (b < 0)
            continue;
        fn->blocks.items[b].entry = true;
        fn->blocks.items[b].label |= i >= fn->entries.count;
    }
    for (size_t i = 0; i < n; i++)
        add_node(f, &g, fn, &fn->blocks.items[i]);
    find_components(&g);
    /* calls: 1 the component calls something, 2 it has a cycle */
    calls = mem_zalloc(n, 1);
    headed = mem_zalloc(n, 1);
    for (size_t i = 0; i < n; i++) {
        const struct node *node = &g.nodes.items[i];

        if (node->calls)
            calls[node->component] |= 1;
        for (uint32_t j = 0; j < node->count; j++) {
            if (g.nodes.items[g.edges.items[node->first + j]].component == node->component)
                calls[node->component] |= 2;
        }
    }
    /* The header is the first block that something outside the component leads to. */
    for (size_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < g.nodes.items[i].count; j++) {
            uint32_t to = g.edges.items[g.nodes.items[i].first + j];
            uint32_t c = g.nodes.items[to].component;

            if (c != g.nodes.items[i].component && calls[c] == 3 && !headed[c]) {
                headed[c] = 1;
                fn->blocks.items[to].entry = true;
            }
        }
    }
    mark_labels(fn);
    mem_free(calls);
    mem_free(headed);
    vec_fini(&g.nodes);
    vec_fini(&g.edges);
}
