/* Making a control flow graph reducible: a loop with several entries, of which WebAssembly has none, gets a single one.
 * Every edge to one of its entries leads to a dispatch node instead, by way of a label node that says in a local which
 * entry is meant. The loop of an interpreter has a switch already, which then does the work of the dispatch node.
 *
 * Loops are the strongly connected components of the graph, the largest sets of nodes in which each node can be reached
 * from each other one. They are found from the outside in: once the edges to its header are taken away (the header is
 * cut), a loop falls apart into the loops inside of it. */
#include <string.h>

#include "codegen/structure.h"

struct part { /* a part of the graph: `count` of reducer.nodes, from `first` on */
    uint32_t first, count;
};

struct edge {
    uint32_t from, to;
};

struct reducer {
    struct flow_graph *g;
    struct arena *a;
    uint32_t n;                   /* how many nodes there were at the start; those that were added are not looked at */
    bool *reached;                /* for each node: the root reaches it; other nodes take no part */
    uint32_t *pred_first, *preds; /* the predecessors that each node had at the start, as in structure.c */
    VEC(struct edge) added;       /* the edges that enter_through_switch() added */
    uint32_t *member;             /* for each node the number of the part that it was in last */
    uint32_t *component;          /* for each node the number of its component */
    uint32_t component_count;
    bool *cut;             /* for each node: edges to it no longer count */
    uint32_t dispatches;   /* how many dispatch nodes were made */
    VEC(struct part) work; /* the parts that are still to be split into components */
    VEC(uint32_t) nodes;   /* of all parts, each of which has a slice */
    /* The state of Tarjan's algorithm, see connect(): */
    uint32_t *index, *low, *stack, *calls, *next;
    uint32_t counter, depth;
};

static void *
array(struct arena *a, size_t count, size_t size)
{
    return arena_alloc(a, (count + 1) * size);
}

static void
reach(struct reducer *r)
{
    uint32_t *stack = array(r->a, r->n, sizeof *stack), depth = 1;

    stack[0] = 0;
    r->reached[0] = true;
    while (depth != 0) {
        const struct flow_node *n = &r->g->nodes.items[stack[--depth]];

        for (uint32_t k = 0; k < n->count; k++) {
            uint32_t s = r->g->successors.items[n->first + k];

            if (r->reached[s])
                continue;
            r->reached[s] = true;
            stack[depth++] = s;
        }
    }
}

static void
predecessors(struct reducer *r)
{
    const struct flow_graph *g = r->g;

    r->pred_first = array(r->a, r->n + 1, sizeof *r->pred_first);
    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; r->reached[i] && k < g->nodes.items[i].count; k++)
            r->pred_first[g->successors.items[g->nodes.items[i].first + k] + 1]++;
    }
    for (uint32_t i = 0; i < r->n; i++)
        r->pred_first[i + 1] += r->pred_first[i];
    r->preds = array(r->a, r->pred_first[r->n], sizeof *r->preds);
    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; r->reached[i] && k < g->nodes.items[i].count; k++)
            r->preds[r->pred_first[g->successors.items[g->nodes.items[i].first + k]]++] = i;
    }
    for (uint32_t i = r->n; i > 0; i--)
        r->pred_first[i] = r->pred_first[i - 1];
    r->pred_first[0] = 0;
}

/* Sends the edges from p to `entry` to the label node *made, which leads to `dispatch`. It is made when it is needed
 * for the first time. */
static void
redirect_from(struct reducer *r, uint32_t p, uint32_t entry, uint32_t label, uint32_t dispatch, uint32_t *made)
{
    uint32_t first = r->g->nodes.items[p].first, count = r->g->nodes.items[p].count;

    for (uint32_t k = 0; k < count; k++) {
        if (r->g->successors.items[first + k] != entry)
            continue;
        if (*made == FLOW_NONE) {
            struct flow_node n = {.kind = FLOW_LABEL,
                                  .index = label,
                                  .count = 1,
                                  .first = (uint32_t)r->g->successors.count};

            vec_push(&r->g->successors, dispatch);
            *made = flow_add_node(r->g, &n);
        }
        r->g->successors.items[first + k] = *made;
    }
}

/* Sends the edges to `entry` that come from inside of the component, or else those from outside, to a label node of
 * their own. */
static void
redirect(struct reducer *r, uint32_t component, uint32_t entry, uint32_t label, uint32_t dispatch, bool inside)
{
    uint32_t made = FLOW_NONE;

    for (uint32_t i = r->pred_first[entry]; i < r->pred_first[entry + 1]; i++) {
        if ((r->component[r->preds[i]] == component) == inside)
            redirect_from(r, r->preds[i], entry, label, dispatch, &made);
    }
    for (size_t i = 0; i < r->added.count; i++) {
        const struct edge *e = &r->added.items[i];

        if (e->to == entry && (r->component[e->from] == component) == inside)
            redirect_from(r, e->from, entry, label, dispatch, &made);
    }
}

static bool
entered_from_outside(const struct reducer *r, uint32_t node)
{
    for (uint32_t i = r->pred_first[node]; i < r->pred_first[node + 1]; i++) {
        if (r->component[r->preds[i]] != r->component[node])
            return true;
    }
    return false;
}

/* The switch with most successors among these nodes, or FLOW_NONE when none is a switch. */
static uint32_t
find_switch(const struct reducer *r, const uint32_t *nodes, uint32_t count)
{
    uint32_t best = FLOW_NONE;

    for (uint32_t i = 0; i < count; i++) {
        const struct flow_node *n = &r->g->nodes.items[nodes[i]];

        if (n->kind == FLOW_SWITCH && (best == FLOW_NONE || n->count > r->g->nodes.items[best].count))
            best = nodes[i];
    }
    return best;
}

/* Makes the switch of an interpreter's loop the header of the loop. Edges from outside to the other entries lead to the
 * switch instead, which gets one more index for each of them, before its default. Edges from inside stay as they are,
 * so that no operation of the interpreter pays for a second dispatch. */
static void
enter_through_switch(struct reducer *r, uint32_t node, const uint32_t *entries, uint32_t count)
{
    struct flow_node *n = &r->g->nodes.items[node];
    uint32_t first = (uint32_t)r->g->successors.count, old = n->first, old_count = n->count, label = old_count - 1;

    for (uint32_t k = 0; k < old_count - 1; k++)
        vec_push(&r->g->successors, r->g->successors.items[old + k]);
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i] == node)
            continue;
        vec_push(&r->g->successors, entries[i]);
        vec_push(&r->added, ((struct edge){node, entries[i]}));
    }
    vec_push(&r->g->successors, r->g->successors.items[old + old_count - 1]);
    n->first = first;
    n->count = (uint32_t)r->g->successors.count - first;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i] != node)
            redirect(r, r->component[node], entries[i], label++, node, false);
    }
    r->cut[node] = true;
}

/* Gives one component a single entry, cuts that, and puts the component on `work` as a part to be split. Of a dispatch
 * node, which is not looked at again, it cuts the successors. The component has more than one node: `count` of r->nodes
 * from `first` on. */
static void
component_done(struct reducer *r, uint32_t first, uint32_t count)
{
    uint32_t *nodes = r->nodes.items + first;
    uint32_t entry_count = 0, only = FLOW_NONE, component = r->component[nodes[0]];
    struct part inner = {first, count};

    for (uint32_t i = 0; i < count; i++) {
        if (!entered_from_outside(r, nodes[i]))
            continue;
        /* Entries are moved to the front: their place there is their label. */
        only = nodes[i];
        nodes[i] = nodes[entry_count];
        nodes[entry_count++] = only;
    }
    if (entry_count == 0) {
        r->cut[nodes[0]] = true; /* No edge leads here from outside: the root reaches no such component. */
    } else if (entry_count == 1) {
        r->cut[only] = true;
    } else if (find_switch(r, nodes, count) != FLOW_NONE) {
        enter_through_switch(r, find_switch(r, nodes, count), nodes, entry_count);
    } else {
        struct flow_node n = {.kind = FLOW_DISPATCH,
                              .index = r->dispatches++,
                              .first = (uint32_t)r->g->successors.count,
                              .count = entry_count};
        uint32_t dispatch;

        for (uint32_t i = 0; i < entry_count; i++)
            vec_push(&r->g->successors, nodes[i]);
        dispatch = flow_add_node(r->g, &n);
        for (uint32_t i = 0; i < entry_count; i++) {
            redirect(r, component, nodes[i], i, dispatch, true);
            redirect(r, component, nodes[i], i, dispatch, false);
            r->g->nodes.items[nodes[i]].poll = true;
            r->cut[nodes[i]] = true;
        }
    }
    if (entry_count != 0) /* It never is 0, see above. Splitting ends because each time some node was cut. */
        vec_push(&r->work, inner);
}

static bool
counts(const struct reducer *r, uint32_t part, uint32_t node)
{
    return node < r->n && r->member[node] == part && !r->cut[node];
}

static void
take_component(struct reducer *r, uint32_t header)
{
    uint32_t first = (uint32_t)r->nodes.count, node;

    r->component_count++;
    do {
        node = r->stack[--r->depth];
        r->component[node] = r->component_count;
        vec_push(&r->nodes, node);
    } while (node != header);
    if (r->nodes.count - first == 1)
        r->nodes.count = first; /* This is no loop, or a loop of one node, which has one entry. */
    else
        vec_push(&r->work, ((struct part){first, (uint32_t)r->nodes.count - first}));
}

/* Runs Tarjan's algorithm, which finds strongly connected components, from one node. The list `calls` stands in for its
 * recursion. Complete components are put on `work`. */
static void
connect(struct reducer *r, uint32_t start, uint32_t part)
{
    uint32_t calls = 0;

    r->calls[calls++] = start;
    r->index[start] = r->low[start] = ++r->counter;
    r->stack[r->depth++] = start;
    r->next[start] = 0;
    while (calls != 0) {
        uint32_t node = r->calls[calls - 1];
        const struct flow_node *n = &r->g->nodes.items[node];

        if (r->next[node] < n->count) {
            uint32_t s = r->g->successors.items[n->first + r->next[node]++];

            if (!counts(r, part, s))
                continue;
            if (r->index[s] == 0) {
                r->index[s] = r->low[s] = ++r->counter;
                r->stack[r->depth++] = s;
                r->next[s] = 0;
                r->calls[calls++] = s;
            } else if (r->component[s] == 0 && r->index[s] < r->low[node]) {
                r->low[node] = r->index[s];
            }
            continue;
        }
        calls--;
        if (calls != 0 && r->low[node] < r->low[r->calls[calls - 1]])
            r->low[r->calls[calls - 1]] = r->low[node];
        if (r->low[node] == r->index[node])
            take_component(r, node);
    }
}

/* Splits a part into its components. Those that are found lie on `work` from `before` on; they are taken off, and
 * component_done() puts each there again, as a part to be split further. */
static void
split_part(struct reducer *r, struct part p, uint32_t number)
{
    uint32_t *nodes = array(r->a, p.count, sizeof *nodes);
    uint32_t before = (uint32_t)r->work.count, after;
    struct part *found;

    memcpy(nodes, r->nodes.items + p.first, p.count * sizeof *nodes);
    for (uint32_t i = 0; i < p.count; i++) {
        r->member[nodes[i]] = number;
        r->index[nodes[i]] = 0;
        r->component[nodes[i]] = 0;
    }
    for (uint32_t i = 0; i < p.count; i++) {
        if (r->index[nodes[i]] == 0 && counts(r, number, nodes[i]))
            connect(r, nodes[i], number);
    }
    /* A node that was cut is in no component of this part, and counts as one of its own. */
    for (uint32_t i = 0; i < p.count; i++) {
        if (r->component[nodes[i]] == 0)
            r->component[nodes[i]] = ++r->component_count;
    }
    after = (uint32_t)r->work.count;
    found = array(r->a, after - before, sizeof *found);
    memcpy(found, r->work.items + before, (after - before) * sizeof *found);
    r->work.count = before;
    for (uint32_t i = 0; i < after - before; i++)
        component_done(r, found[i].first, found[i].count);
}

void
flow_make_reducible(struct flow_graph *g, struct arena *a)
{
    struct reducer r = {.g = g, .a = a, .n = (uint32_t)g->nodes.count};
    uint32_t number = 0;

    r.reached = array(a, r.n, sizeof *r.reached);
    reach(&r);
    predecessors(&r);
    r.member = array(a, r.n, sizeof *r.member);
    r.component = array(a, r.n, sizeof *r.component);
    r.cut = array(a, r.n, sizeof *r.cut);
    r.index = array(a, r.n, sizeof *r.index);
    r.low = array(a, r.n, sizeof *r.low);
    r.stack = array(a, r.n, sizeof *r.stack);
    r.calls = array(a, r.n, sizeof *r.calls);
    r.next = array(a, r.n, sizeof *r.next);
    for (uint32_t i = 0; i < r.n; i++) {
        if (r.reached[i])
            vec_push(&r.nodes, i);
    }
    vec_push(&r.work, ((struct part){0, (uint32_t)r.nodes.count}));
    while (r.work.count != 0)
        split_part(&r, r.work.items[--r.work.count], ++number);
    vec_fini(&r.work);
    vec_fini(&r.nodes);
    vec_fini(&r.added);
}
