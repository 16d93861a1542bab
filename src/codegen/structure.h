/* From a control flow graph to nested wasm blocks and loops. WebAssembly has no jumps: a branch leaves a block, which
 * is to go to its end, or repeats a loop, which is to go to its start. So the nodes of the graph must be put into an
 * order and nested in such a way that each edge is one of the two. */
#ifndef CODEGEN_STRUCTURE_H
#define CODEGEN_STRUCTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"

enum flow_kind {
    FLOW_ROOT,     /* The function starts here; it branches on the entry selector, by which callers choose an entry. */
    FLOW_ENTRY,    /* What comes before an entry block when that is entered from outside. index is its selector. */
    FLOW_BLOCK,    /* The IR block `index`. */
    FLOW_EXIT,     /* It leaves the function for the guest address `address`. */
    FLOW_INDIRECT, /* It leaves the function for all of its indirect jumps. */
    FLOW_SWITCH,   /* All jumps through one table, or all computed gotos: it branches on a local of its own, the index.
                      `index` is its number among the nodes of this kind. */
    FLOW_GUARD,    /* It goes to its first successor if the target of the computed goto is `address`, else to its
                      second. */
    FLOW_DISPATCH, /* It is made for a loop with several entries: it branches on the label local. `index` is its number
                      among the nodes of this kind. */
    FLOW_LABEL,    /* It sets the label local to `index` and goes to a FLOW_DISPATCH; or it sets the index local of a
                      FLOW_SWITCH to `index` and goes there. */
};

#define FLOW_NONE UINT32_MAX

struct flow_node {
    uint8_t kind;
    bool poll; /* It is to poll, if it is a block: it is a loop's header or entry, or follows a switch that is one. */
    uint8_t flags_dead; /* the flags that nobody reads behind it, as in struct ir_terminator */
    uint32_t index;
    uint64_t address;
    uint32_t first, count; /* its successors, a slice of flow_graph.successors */
};

struct flow_graph {
    VEC(struct flow_node) nodes; /* [0] is the root */
    VEC(uint32_t) successors;
};

struct flow_scope { /* a wasm block that ends just before position `end` */
    uint32_t end;
    struct flow_scope *next; /* the next one inside of it that begins at the same position */
};

/* The order and the nesting of the nodes. A position is a place in that order. All arrays are in the arena that was
 * given. */
struct flow_layout {
    uint32_t *order; /* the nodes in the order in which they are written; those that cannot be reached are left out */
    uint32_t count;
    uint32_t *position;         /* for each node its position, FLOW_NONE when it cannot be reached */
    struct flow_scope **blocks; /* for each position the scopes that begin there, outermost first */
    uint32_t *loop_end;         /* for each position where the loop that begins there ends, just before this position; 0
                                   when none begins there */
};

/* Adds a copy of *n and returns its index. */
uint32_t flow_add_node(struct flow_graph *g, const struct flow_node *n);
void flow_graph_fini(struct flow_graph *g);

/* Finds the layout of g. It makes g reducible before, which may add nodes, and sets `poll`. */
void flow_structure(struct flow_graph *g, struct flow_layout *layout, struct arena *a);

/* structure_irreducible.c: makes g reducible, which is to say that every loop has one entry. */
void flow_make_reducible(struct flow_graph *g, struct arena *a);

#endif
