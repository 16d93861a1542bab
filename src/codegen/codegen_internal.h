/* Code generation of one function: what its files share. */
#ifndef CODEGEN_INTERNAL_H
#define CODEGEN_INTERNAL_H

#include "ir/block_map.h"
#include "codegen/object_internal.h"
#include "codegen/structure.h"

/* How a value gets onto the wasm stack. */
enum value_kind {
    VALUE_UNDEFINED,
    VALUE_CONSTANT, /* written again at each use */
    VALUE_STATE,    /* a GET: read from the state's local at each use */
    VALUE_TREE,     /* used once: written at its use */
    VALUE_LOCAL,    /* in a local of its own */
};

/* Bits of value_info.reads beside the states: what must not change before the value is written. */
#define READS_MEMORY ((ir_states)1 << 127)

enum { PENDING_MAX = 64, TREE_HEIGHT_MAX = 60 };

struct value_info {
    uint8_t kind;
    uint8_t height;
    bool pending;  /* in gen.pending */
    uint32_t uses; /* left */
    uint32_t local;
    ir_states reads;
};

struct node_flow {           /* cached states (not promoted ones) around a node */
    ir_states define, clean; /* dirty_out = (dirty_in & ~clean) | define */
    ir_states expose, kill;  /* need_in = (need_out & ~kill) | expose */
    ir_states dirty_in, need_in, need_out;
    ir_states any, all, forced; /* of what comes in dirty: by some edge, by all, by one whose node cannot write back */
    uint32_t predecessors;
    bool after_switch; /* some predecessor is a FLOW_SWITCH or FLOW_GUARD */
    ir_states reload;  /* read from their globals where the node starts */
};

struct open_scope {
    uint32_t end;  /* position at which it closes */
    uint32_t node; /* the loop's header, or FLOW_NONE for a block */
};

struct gen {
    struct wasm_object *o;
    struct wasm_function *fn;
    const struct ir_func *f;
    struct wasm_code code;
    struct arena arena;
    struct ir_block_map map;
    struct flow_graph graph;
    struct flow_layout layout;
    uint32_t *block_node;     /* by block */
    uint32_t switch_count;    /* FLOW_SWITCH nodes */
    uint32_t *switch_node;    /* by block: the FLOW_SWITCH its jump table is in, or FLOW_NONE */
    uint32_t indirect;        /* the FLOW_INDIRECT node, or FLOW_NONE */
    uint32_t jump_node;       /* where indirect jumps go: that, or the FLOW_SWITCH of computed gotos */
    uint32_t goto_multiplier; /* hash of a computed goto's target, codegen_goto.c */
    unsigned goto_bits;
    bool polls_at_entry;
    struct node_flow *flow; /* by node */
    ir_states used_states;  /* cached states with a local */

    /* locals */
    VEC(uint8_t) local_types; /* IR types of those after the parameters */
    uint32_t state_local[X86_S_COUNT];
    uint32_t pc_local, target_local, label_local; /* 0: not made yet */
    VEC(uint32_t) switch_locals;                  /* by index of FLOW_SWITCH nodes, 0: not made yet */
    VEC(uint32_t) free_locals[IR_V128 + 1];

    /* the block being written */
    struct value_info *values; /* by operation */
    ir_value pending[PENDING_MAX];
    uint32_t pending_count;
    ir_states dirty;
    uint64_t pc; /* with precise faults: of the instruction being written */

    /* open wasm scopes; at the end of [0] the function returns to pc_local */
    VEC(struct open_scope) scopes;
    uint32_t extra_depth;               /* ifs inside a node */
    uint32_t *block_scope, *loop_scope; /* by position: index in scopes */
    uint32_t at;                        /* position being written */
};

/* --- codegen_state.c: cached states --- */
extern const uint8_t gen_promoted[PROMOTED_COUNT]; /* enum x86_state of each parameter */
ir_states gen_cached_states(void);
void gen_analyse_states(struct gen *g);
void gen_flush(struct gen *g, ir_states states);  /* locals -> globals */
void gen_reload(struct gen *g, ir_states states); /* globals -> locals */
ir_states gen_dead_states(uint8_t flags_dead);
/* States the node's terminator or leaving writes back. */
ir_states gen_flush_at_end(const struct gen *g, uint32_t node, ir_states dirty);
/* The cached states a helper needs written back before and read again after. */
ir_states gen_helper_flush(const struct gen *g, unsigned helper, ir_states dirty);
ir_states gen_helper_reload(const struct gen *g, unsigned helper);
/* Does control come back to the node's successor through a call that may change all state? */
bool gen_ends_in_call(const struct gen *g, const struct flow_node *n);

/* --- codegen_precise.c: faults with exact state --- */
/* May the operation fault, in a function whose faults are precise? Which states are written back before it? */
bool gen_shows_state(const struct gen *g, const struct ir_op *op);
ir_states gen_shown_states(const struct ir_op *op);
void gen_show_state(struct gen *g, const struct ir_op *op); /* before it */
void gen_fault_state(struct gen *g);                        /* after an access other than a helper's */

/* --- codegen_ops.c: values --- */
uint32_t gen_new_local(struct gen *g, unsigned ir_type);
uint32_t gen_take_local(struct gen *g, unsigned ir_type);
void gen_free_local(struct gen *g, unsigned ir_type, uint32_t local);
uint32_t gen_state_local(struct gen *g, unsigned state);
void gen_block_ops(struct gen *g, const struct ir_block *block);
void gen_value(struct gen *g, ir_value v);                      /* writes it: one use */
void gen_address(struct gen *g, uint64_t address);              /* image base + address */
void gen_assumed(struct gen *g, const struct ir_assumption *a); /* the value */
/* If the i32 on the stack is not 0, the function is left for the evaluator, which goes on at the address. All states
 * are clean. */
void gen_evaluate_if(struct gen *g, uint64_t address);

/* --- codegen_call.c: leaving and coming back --- */
void gen_push_promoted(struct gen *g);
void gen_branch_depth(struct gen *g, unsigned opcode, uint32_t depth_index);
void gen_selector(struct gen *g);
void gen_leave(struct gen *g, uint64_t address, ir_states flush); /* tail call of what is there */
void gen_return(struct gen *g);
void gen_call(struct gen *g, uint64_t target, uint64_t next);
void gen_call_indirect(struct gen *g, uint64_t next); /* target in cpu.tmp0 */
void gen_jump_indirect(struct gen *g, uint32_t node);
void gen_syscall(struct gen *g, uint64_t next);
void gen_trap(struct gen *g, const struct ir_terminator *t);
void gen_poll(struct gen *g, uint64_t address, ir_states flush);
void gen_begin_if(struct gen *g); /* the condition is on the stack */
void gen_end_if(struct gen *g);
void gen_flush_promoted(struct gen *g);
void gen_reload_promoted(struct gen *g);
uint32_t gen_special_local(struct gen *g, uint32_t *local, unsigned ir_type);

/* --- codegen.c --- */
uint32_t gen_switch_local(struct gen *g, uint32_t node);

/* --- codegen_goto.c --- */
/* Where the function's indirect jumps go: g->indirect, or a node that looks for its own entries first. */
uint32_t gen_goto_node(struct gen *g, uint32_t jumps);
void gen_goto_index(struct gen *g);

/* --- codegen_graph.c --- */
int gen_make_graph(struct gen *g, struct err *e);

#endif
