/* Decides where compiled code may be entered besides at the starts of functions, so that a process that was forked,
 * that longjmp'ed, or whose frames were lost otherwise is back in compiled code soon (DESIGN D6).
 *
 * Entries in the function itself are the addresses that the rest of discovery found to be reached from outside (landing
 * pads, places behind fork, the profile, jumps of other functions), its labels, and the headers of outermost loops that
 * call something. The header of any other loop should not be entered from elsewhere. If it were, the compiler could no
 * longer use in the loop what it knows before it, and a nest of loops that is entered in the middle is not a nest for
 * it. Such a loop is made a function of its own instead: a copy that begins at the header and is left where the loop
 * ends, beside the loop in its place, which stays as it is.
 *
 * These functions add 8 % to the text. Large inner loops that call something would add 18 % more, and have none: the
 * evaluator runs them, and is left for compiled code at each call. */
#include <stdlib.h>
#include <string.h>

#include "discover/discover_internal.h"

struct node {
    uint32_t first, count; /* its successors, a slice of graph.edges */
    uint32_t index, low;   /* as in Tarjan's algorithm, see find_components() */
    uint32_t component;    /* the number of its component */
    bool calls, on_stack;  /* calls: its block ends in a call or a system call */
};

struct graph {
    VEC(struct node) nodes;
    VEC(uint32_t) edges;
    VEC(uint32_t) blocks; /* has the index of each node's block in func.blocks */
};

enum {
    MAX_CALLING_LOOP = 256, /* how many bytes an inner loop that calls something may have, to become a function */
    MAX_DEPTH = 16          /* how deep in a nest loops are looked for */
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
    struct x86_insn insn = {0};
    const struct lift_jump_table *table;

    switch (finder_last_insn(f, b, &insn)) {
    case X86_FLOW_JUMP_INDIRECT:
        table = b->table >= 0 ? &f->disc->tables.items[b->table] : NULL;
        for (uint32_t i = 0; table && i < table->count; i++)
            add_edge(g, fn, table->targets[i]);
        break;
    case X86_FLOW_JUMP: add_edge(g, fn, (uint64_t)insn.operand[0].imm); break;
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
    case X86_FLOW_NEXT: add_edge(g, fn, b->end); break;
    default: break;
    }
    node.count = (uint32_t)g->edges.count - node.first;
    vec_push(&g->nodes, node);
}

struct frame {
    uint32_t node, edge;
};

/* Finds the strongly connected components of the graph with Tarjan's algorithm: the largest sets of nodes in which each
 * node can be reached from each other one. A list of frames stands in for the algorithm's recursion, because a guest
 * decides how deep that goes. */
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

/* In a function with a jump of which nothing is known all entries become labels, since it may lead to each of them. */
static void
mark_labels(struct func *fn)
{
    bool unknown = false;

    for (size_t i = 0; i < fn->jumps.count; i++)
        unknown |= fn->jumps.items[i].kind >= DISC_JUMP_POINTER;
    for (size_t i = 0; i < fn->blocks.count && unknown; i++)
        fn->blocks.items[i].label = fn->blocks.items[i].entry;
}

/* --- the nest --- */

struct nest {
    struct finder *f;
    struct func *fn;
    struct graph whole;
    /* The blocks that lead to block i are before[first_before[i]] up to, without it, before[first_before[i + 1]]. */
    uint32_t *first_before, *before;
    /* For each block, 1 + its node in the part of the graph that is being looked at, and 0 when it is not in it. */
    uint32_t *place;
};

static void
graph_fini(struct graph *g)
{
    vec_fini(&g->nodes);
    vec_fini(&g->edges);
    vec_fini(&g->blocks);
}

/* Makes the part of the function's graph that consists of these blocks and of the edges between them. */
static void
take_part(struct nest *n, const uint32_t *blocks, size_t count, struct graph *part)
{
    for (size_t i = 0; i < count; i++)
        n->place[blocks[i]] = (uint32_t)i + 1;
    for (size_t i = 0; i < count; i++) {
        const struct node *from = &n->whole.nodes.items[blocks[i]];
        struct node node = {.first = (uint32_t)part->edges.count, .index = UINT32_MAX, .calls = from->calls};

        for (uint32_t j = 0; j < from->count; j++) {
            uint32_t to = n->place[n->whole.edges.items[from->first + j]];

            if (to)
                vec_push(&part->edges, to - 1);
        }
        node.count = (uint32_t)part->edges.count - node.first;
        vec_push(&part->nodes, node);
        vec_push(&part->blocks, blocks[i]);
    }
    for (size_t i = 0; i < count; i++)
        n->place[blocks[i]] = 0;
}

static bool
has_edge(const struct graph *g, uint32_t from, uint32_t to)
{
    const struct node *n = &g->nodes.items[from];

    for (uint32_t i = 0; i < n->count; i++) {
        if (g->edges.items[n->first + i] == to)
            return true;
    }
    return false;
}

static int
compare_blocks(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

struct loop {
    VEC(uint32_t) blocks; /* the header first, then the others, sorted */
    uint64_t bytes;
    bool calls;
};

/* Chooses the block at which the loop is to be entered, and moves it to the front: one that is an entry already, or
 * else the first that a block outside of the loop leads to. */
static void
choose_header(struct nest *n, struct loop *loop)
{
    uint32_t header = UINT32_MAX, entry = UINT32_MAX;

    for (size_t i = 0; i < loop->blocks.count; i++) {
        n->place[loop->blocks.items[i]] = 1;
        if (entry == UINT32_MAX && n->fn->blocks.items[loop->blocks.items[i]].entry)
            entry = loop->blocks.items[i];
    }
    for (size_t i = 0; i < loop->blocks.count && header == UINT32_MAX; i++) {
        uint32_t to = loop->blocks.items[i];

        for (uint32_t j = n->first_before[to]; j < n->first_before[to + 1]; j++) {
            if (!n->place[n->before[j]])
                header = to;
        }
    }
    for (size_t i = 0; i < loop->blocks.count; i++)
        n->place[loop->blocks.items[i]] = 0;
    if (entry != UINT32_MAX)
        header = entry;
    else if (header == UINT32_MAX)
        header = loop->blocks.items[0]; /* Nothing leads here from outside: the function begins with this loop. */
    for (size_t i = 0; i < loop->blocks.count; i++) {
        if (loop->blocks.items[i] == header) {
            memmove(loop->blocks.items + 1, loop->blocks.items, i * sizeof(uint32_t));
            loop->blocks.items[0] = header;
        }
    }
}

/* Puts a function of the loop's blocks into the result. */
static void
put_loop(struct nest *n, const struct loop *loop)
{
    struct disc *d = n->f->disc;
    uint64_t address = n->fn->blocks.items[loop->blocks.items[0]].start;
    struct disc_func out = {.address = address,
                            .end = address,
                            .loop = true,
                            .owner = n->fn->address,
                            .first_block = (uint32_t)d->blocks.count};
    struct text_range *r = finder_range(n->f, address);

    if (r->func[address - r->start])
        return; /* A function starts here already, or another one that shares this code has put the same loop. */
    r->func[address - r->start] = UINT32_MAX;
    for (size_t i = 0; i < loop->blocks.count; i++) {
        struct disc_block b = n->fn->blocks.items[loop->blocks.items[i]];

        b.entry = i == 0;
        b.label = false;
        if (b.end > out.end)
            out.end = b.end;
        vec_push(&d->blocks, b);
    }
    out.block_count = (uint32_t)loop->blocks.count;
    vec_push(&d->funcs, out);
}

static void find_loops(struct nest *n, const uint32_t *blocks, size_t count, unsigned depth);

static void
take_loop(struct nest *n, struct loop *loop, unsigned depth)
{
    struct disc_block *header;

    choose_header(n, loop);
    header = &n->fn->blocks.items[loop->blocks.items[0]];
    if (depth == 0 && loop->calls)
        header->entry = true;
    else if (!header->entry && header->start != n->fn->address && (!loop->calls || loop->bytes <= MAX_CALLING_LOOP))
        put_loop(n, loop);
    if (loop->blocks.count > 1 && depth < MAX_DEPTH)
        find_loops(n, loop->blocks.items + 1, loop->blocks.count - 1, depth + 1);
}

/* Finds the loops in a part of the function: the strongly connected components that have an edge inside of them. When
 * the header of a loop is taken away, what is left falls apart into the loops inside of it, so take_loop() comes back
 * here with that. MAX_DEPTH bounds this recursion. */
static void
find_loops(struct nest *n, const uint32_t *blocks, size_t count, unsigned depth)
{
    struct graph part = {0};
    struct loop *loops;
    uint32_t components = 0;

    take_part(n, blocks, count, &part);
    find_components(&part);
    for (uint32_t i = 0; i < count; i++) {
        if (part.nodes.items[i].component >= components)
            components = part.nodes.items[i].component + 1;
    }
    loops = mem_zalloc(components + 1, sizeof *loops);
    for (uint32_t i = 0; i < count; i++) {
        struct loop *loop = &loops[part.nodes.items[i].component];
        const struct disc_block *b = &n->fn->blocks.items[blocks[i]];

        vec_push(&loop->blocks, blocks[i]);
        loop->bytes += b->end - b->start;
        loop->calls |= part.nodes.items[i].calls;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct loop *loop = &loops[part.nodes.items[i].component];

        if (loop->blocks.count && (loop->blocks.count > 1 || has_edge(&part, i, i))) {
            qsort(loop->blocks.items, loop->blocks.count, sizeof(uint32_t), compare_blocks);
            take_loop(n, loop, depth);
        }
        vec_fini(&loop->blocks);
    }
    mem_free(loops);
    graph_fini(&part);
}

static void
turn_edges(struct nest *n)
{
    size_t count = n->whole.nodes.count;

    n->first_before = mem_zalloc(count + 2, sizeof *n->first_before);
    n->before = mem_zalloc(n->whole.edges.count + 1, sizeof *n->before);
    for (size_t i = 0; i < n->whole.edges.count; i++)
        n->first_before[n->whole.edges.items[i] + 2]++;
    for (size_t i = 2; i <= count; i++)
        n->first_before[i] += n->first_before[i - 1];
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = &n->whole.nodes.items[i];

        for (uint32_t j = 0; j < node->count; j++)
            n->before[n->first_before[n->whole.edges.items[node->first + j] + 1]++] = i;
    }
}

void
finder_find_loops(struct finder *f, struct func *fn)
{
    struct nest n = {.f = f, .fn = fn, .place = mem_zalloc(fn->blocks.count + 1, sizeof *n.place)};

    for (size_t i = 0; i < fn->entries.count + fn->labels.count; i++) {
        int32_t b =
            block_at(fn, i < fn->entries.count ? fn->entries.items[i] : fn->labels.items[i - fn->entries.count]);

        if (b < 0)
            continue;
        fn->blocks.items[b].entry = true;
        fn->blocks.items[b].label |= i >= fn->entries.count;
    }
    for (uint32_t i = 0; i < fn->blocks.count; i++) {
        add_node(f, &n.whole, fn, &fn->blocks.items[i]);
        vec_push(&n.whole.blocks, i);
    }
    turn_edges(&n);
    find_loops(&n, n.whole.blocks.items, n.whole.blocks.count, 0);
    mark_labels(fn);
    mem_free(n.place);
    mem_free(n.first_before);
    mem_free(n.before);
    graph_fini(&n.whole);
}
