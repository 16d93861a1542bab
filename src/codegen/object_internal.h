/* A code object while it is made: what the code generator needs of it. */
#ifndef CODEGEN_OBJECT_INTERNAL_H
#define CODEGEN_OBJECT_INTERNAL_H

#include "codegen/encode.h"
#include "codegen/object.h"

/* The type of guest code (convention.def): parameters are the promoted registers and the link. */
enum { PROMOTED_COUNT = 10, LINK_LOCAL = PROMOTED_COUNT, PARAMETER_COUNT };

/* intrinsic.fault_state: the address, which registers are there, and the registers. */
enum { FAULT_STATE_PARAMETERS = 2 + 16 };

struct wasm_entry { /* one table slot */
    uint64_t address;
    uint32_t function; /* index into functions */
    uint32_t selector;
};

struct wasm_function {
    uint64_t address;
    uint64_t *entries; /* in the object's arena */
    uint32_t entry_count;
    uint32_t order; /* of declaration: the first of equal addresses wins */
    uint32_t index; /* of the body among the defined functions; wrappers follow */
    uint32_t wrapper_count;
    uint32_t first_slot, slot_count; /* of its entries in the table; others' may lie between */
    bool added;
    struct wasm_code code; /* locals and expression */
};

struct wasm_object {
    struct arena arena;
    bool base_is_zero;
    bool precise_faults;
    bool sealed; /* no more declarations: indices are fixed */
    bool late_declaration;
    VEC(struct wasm_function) functions;
    VEC(struct wasm_entry) table; /* by address */
    uint32_t *lookup;             /* hash of table addresses: slot + 1 */
    uint32_t lookup_mask;
    uint32_t defined_count;
    uint32_t dispatch;           /* defined function: dispatch.c */
    struct wasm_code dispatcher; /* its code */
    uint64_t text_bytes, text_insns, poll_count;
};

/* The compiled entry at an image-relative address, or NULL. */
const struct wasm_entry *wasm_object_find(const struct wasm_object *o, uint64_t address);

/* dispatch.c */
void code_dispatcher(struct wasm_code *c);

/* codegen.c: fills fn->code. */
int wasm_codegen(struct wasm_object *o, struct wasm_function *fn, const struct ir_func *f, struct err *e);

#endif
