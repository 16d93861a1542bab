/* Putting the nodes of a control flow graph into an order and nesting them (structure.h).
 *
 * A node dominates another one when every path from the root to the other goes through it. In the dominator tree each
 * node stands below the nearest one that dominates it. A preorder walk of that tree gives the order: every node comes
 * before those that it dominates, so in a reducible graph a loop's header comes before the rest of the loop. Nodes with
 * the same parent follow the direction of the edges between them, and otherwise those with small subtrees come first.
 * This keeps nesting shallow: in a chain of conditional exits each exit follows its test at once.
 *
 * Then each forward branch that does not just fall through gets a wasm block that ends before its target, and each loop
 * gets a wasm loop from its header to its last back edge.
 *
 * Nothing here is recursive, because functions of tens of thousands of blocks are normal. */
#include "codegen/structure.h"

#include <string.h>

struct walk {
    const struct flow_graph *g;
    struct arena *a;
    uint32_t n;
    uint32_t *order, count; /* the nodes that are reached, in reverse postorder of a depth-first search */
    uint32_t *number;       /* for each node its place in order, or FLOW_NONE */
    uint32_t *dominator;    /* for each node its parent in the dominator tree */
    uint32_t *size;         /* for each node the size of its subtree of that; NULL in the first walk */
    uint32_t *pre, *post;   /* A node's subtree has the places from pre up to, without it, post in the preorder. */
    uint32_t *pred_first, *preds; /* node i has preds[pred_first[i]] up to, without it, preds[pred_first[i + 1]] */
};

static void *
array(struct arena *a, size_t count, size_t size)
{
    return arena_alloc(a, (count + 1) * size);
}

uint32_t
flow_add_node(struct flow_graph *g, const struct flow_node *n)
{
    vec_push(&g->nodes, *n);
    return (uint32_t)g->nodes.count - 1;
}

void
flow_graph_fini(struct flow_graph *g)
{
    vec_fini(&g->nodes);
    vec_fini(&g->successors);
}

static uint32_t
successor(const struct flow_graph *g, uint32_t node, uint32_t k)
{
    return g->successors.items[g->nodes.items[node].first + k];
}

/* The successor that is the k-th to be visited. What is visited first ends up last in reverse postorder, so of two
 * successors the one with the larger subtree is visited first. */
static uint32_t
visit_order(const struct walk *w, uint32_t node, uint32_t k)
{
    if (w->size != NULL && w->g->nodes.items[node].count == 2) {
        uint32_t x = successor(w->g, node, 0), y = successor(w->g, node, 1);

        if (w->size[y] > w->size[x])
            return k == 0 ? y : x;
    }
    return successor(w->g, node, k);
}

static void
depth_first(struct walk *w)
{
    uint32_t *stack = array(w->a, w->n, sizeof *stack), *next = array(w->a, w->n, sizeof *next);
    uint32_t depth = 1, at = w->n;
    uint8_t *seen = array(w->a, w->n, 1);
    uint32_t *post = array(w->a, w->n, sizeof *post);

    stack[0] = 0;
    seen[0] = 1;
    while (depth != 0) {
        uint32_t node = stack[depth - 1];

        if (next[node] < w->g->nodes.items[node].count) {
            uint32_t s = visit_order(w, node, next[node]++);

            if (!seen[s]) {
                seen[s] = 1;
                stack[depth++] = s;
            }
            continue;
        }
        post[--at] = node;
        depth--;
    }
    w->count = w->n - at;
    memcpy(w->order, post + at, w->count * sizeof *post);
    memset(w->number, 0xff, w->n * sizeof *w->number);
    for (uint32_t i = 0; i < w->count; i++)
        w->number[w->order[i]] = i;
}

static void
predecessors(struct walk *w)
{
    uint32_t total = 0;

    w->pred_first = array(w->a, w->n + 1, sizeof *w->pred_first);
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t node = w->order[i];

        for (uint32_t k = 0; k < w->g->nodes.items[node].count; k++)
            w->pred_first[successor(w->g, node, k) + 1]++, total++;
    }
    for (uint32_t i = 0; i < w->n; i++)
        w->pred_first[i + 1] += w->pred_first[i];
    w->preds = array(w->a, total, sizeof *w->preds);
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t node = w->order[i];

        for (uint32_t k = 0; k < w->g->nodes.items[node].count; k++)
            w->preds[w->pred_first[successor(w->g, node, k)]++] = node;
    }
    for (uint32_t i = w->n; i > 0; i--)
        w->pred_first[i] = w->pred_first[i - 1];
    w->pred_first[0] = 0;
}

/* The nearest node that dominates both x and y. */
static uint32_t
intersect(const struct walk *w, uint32_t x, uint32_t y)
{
    while (x != y) {
        while (w->number[x] > w->number[y])
            x = w->dominator[x];
        while (w->number[y] > w->number[x])
            y = w->dominator[y];
    }
    return x;
}

/* Finds the dominator tree with the algorithm of Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm". */
static void
dominators(struct walk *w)
{
    bool changed = true;

    memset(w->dominator, 0xff, w->n * sizeof *w->dominator);
    w->dominator[0] = 0;
    while (changed) {
        changed = false;
        for (uint32_t i = 1; i < w->count; i++) {
            uint32_t node = w->order[i], found = FLOW_NONE;

            for (uint32_t k = w->pred_first[node]; k < w->pred_first[node + 1]; k++) {
                uint32_t p = w->preds[k];

                if (w->dominator[p] == FLOW_NONE)
                    continue;
                found = found == FLOW_NONE ? p : intersect(w, p, found);
            }
            if (w->dominator[node] != found) {
                w->dominator[node] = found;
                changed = true;
            }
        }
    }
}

/* Walks the dominator tree in preorder, the children of each node in the order of w->order. Writes the nodes to `out`,
 * and each subtree's places to pre and post. */
static void
tree_walk(struct walk *w, uint32_t *out)
{
    uint32_t *child = array(w->a, w->n, sizeof *child), *sibling = array(w->a, w->n, sizeof *sibling);
    uint32_t *stack = array(w->a, w->n, sizeof *stack);
    uint32_t depth = 1, count = 0;

    memset(child, 0xff, w->n * sizeof *child);
    memset(sibling, 0xff, w->n * sizeof *sibling);
    for (uint32_t i = w->count; i-- > 1;) {
        uint32_t node = w->order[i];

        sibling[node] = child[w->dominator[node]];
        child[w->dominator[node]] = node;
    }
    stack[0] = 0;
    w->pre[0] = count;
    out[count++] = 0;
    while (depth != 0) {
        uint32_t node = stack[depth - 1], c = child[node];

        if (c == FLOW_NONE) {
            w->post[node] = count;
            depth--;
            continue;
        }
        child[node] = sibling[c];
        w->pre[c] = count;
        out[count++] = c;
        stack[depth++] = c;
    }
}

static bool
dominates(const struct walk *w, uint32_t x, uint32_t y)
{
    return w->pre[x] <= w->pre[y] && w->pre[y] < w->post[x];
}

static void
walk_init(struct walk *w, const struct flow_graph *g, struct arena *a)
{
    memset(w, 0, sizeof *w);
    w->g = g;
    w->a = a;
    w->n = (uint32_t)g->nodes.count;
    w->order = array(a, w->n, sizeof *w->order);
    w->number = array(a, w->n, sizeof *w->number);
    w->dominator = array(a, w->n, sizeof *w->dominator);
    w->pre = array(a, w->n, sizeof *w->pre);
    w->post = array(a, w->n, sizeof *w->post);
    depth_first(w);
    predecessors(w);
    dominators(w);
}

/* Is the graph reducible? It is when each edge that leads back leads to a node which dominates the one it comes
 * from. */
static bool
reducible(const struct walk *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t node = w->order[i];

        for (uint32_t k = 0; k < w->g->nodes.items[node].count; k++) {
            uint32_t s = successor(w->g, node, k);

            if (w->number[s] <= i && !dominates(w, s, node))
                return false;
        }
    }
    return true;
}

/* --- scopes --- */

struct interval {
    uint32_t begin, end;
};

struct intervals { /* a stack of intervals that do not overlap */
    struct interval *items;
    uint32_t count;
};

static void
find_loops(struct flow_graph *g, struct flow_layout *l, struct arena *a)
{
    struct intervals open = {array(a, l->count, sizeof(struct interval)), 0};

    for (uint32_t i = 0; i < l->count; i++) {
        const struct flow_node *node = &g->nodes.items[l->order[i]];

        for (uint32_t k = 0; k < node->count; k++) {
            uint32_t s = l->position[g->successors.items[node->first + k]];

            if (s <= i && l->loop_end[s] < i + 1)
                l->loop_end[s] = i + 1;
        }
    }
    /* The last back edge of an inner loop may come after that of the loop around it. Wasm loops must be nested, so the
     * outer one is made to end where the inner one does. */
    for (uint32_t i = l->count; i-- > 0;) {
        uint32_t end = l->loop_end[i];

        if (end == 0)
            continue;
        if (g->nodes.items[l->order[i]].kind != FLOW_DISPATCH)
            g->nodes.items[l->order[i]].poll = true;
        while (open.count != 0 && open.items[open.count - 1].begin < end) {
            if (open.items[open.count - 1].end > end)
                end = open.items[open.count - 1].end;
            open.count--;
        }
        l->loop_end[i] = end;
        open.items[open.count++] = (struct interval){i, end};
    }
}

/* A poll must know at which address the guest is, and a switch is at none. So where a switch is the header of a loop,
 * the blocks that it leads to poll instead. */
static void
move_polls(struct flow_graph *g)
{
    for (uint32_t i = 0; i < g->nodes.count; i++) {
        struct flow_node *n = &g->nodes.items[i];

        if (n->kind != FLOW_SWITCH || !n->poll)
            continue;
        for (uint32_t k = 0; k < n->count; k++)
            g->nodes.items[g->successors.items[n->first + k]].poll = true;
    }
}

static void
add_scope(struct flow_layout *l, uint32_t begin, uint32_t end, struct arena *a)
{
    struct flow_scope *s = arena_alloc(a, sizeof *s);

    s->end = end;
    s->next = l->blocks[begin];
    l->blocks[begin] = s;
}

/* Does the branch from one position to another need the label of a block, because it cannot just fall through?
 * Branches of nodes that use a br_table, and those of guards, always do. */
static bool
needs_label(const struct flow_node *node, uint32_t from, uint32_t to)
{
    if (to != from + 1)
        return true;
    return node->kind == FLOW_ROOT || node->kind == FLOW_INDIRECT || node->kind == FLOW_DISPATCH ||
           node->kind == FLOW_SWITCH || node->kind == FLOW_GUARD || (node->kind == FLOW_BLOCK && node->count > 2);
}

/* For each position, the first one before it that has a branch to it which needs a label, or FLOW_NONE. */
static uint32_t *
first_branches(const struct flow_graph *g, const struct flow_layout *l, struct arena *a)
{
    uint32_t *first = array(a, l->count, sizeof *first);

    memset(first, 0xff, l->count * sizeof *first);
    for (uint32_t i = 0; i < l->count; i++) {
        const struct flow_node *node = &g->nodes.items[l->order[i]];

        for (uint32_t k = 0; k < node->count; k++) {
            uint32_t s = l->position[g->successors.items[node->first + k]];

            if (s > i && first[s] == FLOW_NONE && needs_label(node, i, s))
                first[s] = i;
        }
    }
    return first;
}

/* Notes that a scope was closed which reaches from *begin to end. Scopes that were closed before and that it would cut
 * in two must lie inside of it: then *begin is moved to where they begin. */
static void
absorb(struct intervals *v, uint32_t *begin, uint32_t end)
{
    while (v->count != 0 && v->items[v->count - 1].end > *begin) {
        if (v->items[v->count - 1].begin < *begin)
            *begin = v->items[v->count - 1].begin;
        v->count--;
    }
    v->items[v->count++] = (struct interval){*begin, end};
}

/* Gives each position that needs a label a block that ends there. It begins at the first branch to it, or before that
 * if it would cut another block or a loop in two. */
static void
find_blocks(const struct flow_graph *g, struct flow_layout *l, struct arena *a)
{
    struct intervals closed = {array(a, 2 * (size_t)l->count, sizeof(struct interval)), 0};
    uint32_t *first = first_branches(g, l, a);
    uint32_t *loops = array(a, l->count, sizeof *loops), depth = 0;

    for (uint32_t i = 0; i < l->count; i++) {
        while (depth != 0 && l->loop_end[loops[depth - 1]] <= i) {
            uint32_t begin = loops[--depth];

            absorb(&closed, &begin, l->loop_end[begin]);
        }
        if (first[i] != FLOW_NONE) {
            uint32_t begin = first[i];

            absorb(&closed, &begin, i);
            add_scope(l, begin, i, a);
        }
        if (l->loop_end[i] != 0)
            loops[depth++] = i;
    }
}

void
flow_structure(struct flow_graph *g, struct flow_layout *layout, struct arena *a)
{
    struct walk first, second;
    uint32_t *size;

    walk_init(&first, g, a);
    tree_walk(&first, array(a, first.n, sizeof(uint32_t)));
    if (!reducible(&first)) {
        flow_make_reducible(g, a);
        walk_init(&first, g, a);
        tree_walk(&first, array(a, first.n, sizeof(uint32_t)));
    }
    size = array(a, first.n, sizeof *size);
    for (uint32_t i = 0; i < first.count; i++)
        size[first.order[i]] = first.post[first.order[i]] - first.pre[first.order[i]];

    second = first;
    second.size = size;
    second.order = array(a, second.n, sizeof *second.order);
    second.number = array(a, second.n, sizeof *second.number);
    depth_first(&second);

    layout->count = second.count;
    layout->order = array(a, second.count, sizeof *layout->order);
    layout->position = array(a, second.n, sizeof *layout->position);
    layout->blocks = array(a, second.count, sizeof *layout->blocks);
    layout->loop_end = array(a, second.count, sizeof *layout->loop_end);
    tree_walk(&second, layout->order);
    memset(layout->position, 0xff, second.n * sizeof *layout->position);
    for (uint32_t i = 0; i < layout->count; i++)
        layout->position[layout->order[i]] = i;
    find_loops(g, layout, a);
    move_polls(g);
    find_blocks(g, layout, a);
}
