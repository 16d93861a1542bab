/* From a control flow graph to nested wasm blocks and loops. */
#ifndef WASM_STRUCTURE_H
#define WASM_STRUCTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"

enum flow_kind {
    FLOW_ROOT,     /* where the function starts; branches on the entry selector */
    FLOW_ENTRY,    /* what goes before an entry block when it is entered from outside; index: selector */
    FLOW_BLOCK,    /* index: the IR block */
    FLOW_EXIT,     /* leaves to `address` */
    FLOW_INDIRECT, /* all indirect jumps of the function */
    FLOW_SWITCH,   /* all jumps through one table, or all computed gotos: branches on its index local; index: which */
    FLOW_GUARD,    /* goes on if the indirect target is `address`, else to its second successor */
    FLOW_DISPATCH, /* made for irreducible loops: branches on the label local; index: how many made before */
    FLOW_LABEL,    /* sets the label local to `index`, then goes to a FLOW_DISPATCH; or the index local of a FLOW_SWITCH
                      to one more index */
};

#define FLOW_NONE UINT32_MAX

struct flow_node {
    uint8_t kind;
    bool poll; /* a loop header, or an entry of an irreducible loop */
    uint8_t flags_dead;
    uint32_t index;
    uint64_t address;
    uint32_t first, count; /* successors */
};

struct flow_graph {
    VEC(struct flow_node) nodes; /* [0] is the root */
    VEC(uint32_t) successors;
};

struct flow_scope { /* a wasm block that ends just before position `end` */
    uint32_t end;
    struct flow_scope *next; /* that begins at the same position, further in */
};

/* All arrays are in the arena given. */
struct flow_layout {
    uint32_t *order; /* nodes as they are emitted; unreachable ones are left out */
    uint32_t count;
    uint32_t *position;         /* by node; FLOW_NONE when unreachable */
    struct flow_scope **blocks; /* by position: scopes that begin there, outermost first */
    uint32_t *loop_end;         /* by position: the loop that begins there ends before this position; 0: none */
};

uint32_t flow_add_node(struct flow_graph *g, const struct flow_node *n);
void flow_graph_fini(struct flow_graph *g);

/* Makes g reducible (may add nodes), sets `poll` and finds the layout. */
void flow_structure(struct flow_graph *g, struct flow_layout *layout, struct arena *a);

/* structure_irreducible.c: makes every loop have one entry. */
void flow_make_reducible(struct flow_graph *g, struct arena *a);

#endif
