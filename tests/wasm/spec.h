/* The specification's tests: what the reader and the validator say of each module, and what its functions do when aot
 * has compiled them.
 *
 * aot takes code objects only (aot.h), so a module is made one first (spec_object.c): its memory and mutable globals
 * become imports, a wrapper of the guest type in the table calls each function that the outside may call, arguments and
 * results in imported globals (cells). Bodies stay as they are but for indices, memory.size and memory.grow (which ask
 * the test, since a code object's memory never grows), and indirect calls: they go through the table's wrappers, whose
 * first parameter names the type. An access beyond the module's memory faults in the instance, as a guest's does. */
#ifndef TESTS_WASM_SPEC_H
#define TESTS_WASM_SPEC_H

#include "../aot/loader.h"
#include "wasm/reader.h"

union spec_value {
    uint8_t bytes[16];
    uint32_t u32[4];
    uint64_t u64[2];
};

enum {
    SPEC_ARGUMENTS = 128,
    SPEC_RESULT_CELLS = SPEC_ARGUMENTS,
    SPEC_FREE_CELLS = 2 * SPEC_ARGUMENTS,
    SPEC_CELLS = 4096
};
/* Arguments, results, then what modules have. */
extern __thread union spec_value spec_cells[SPEC_CELLS];

enum { SPEC_NO_CELL = UINT32_MAX };

struct spec_object {
    struct buf bytes;
    uint32_t table_size;  /* slots that the module sees; wrappers of its exports are behind them */
    uint32_t *wrapper_of; /* by function: table entry, or 0 */
    uint32_t *cell_of;    /* by global: its cell, or SPEC_NO_CELL of constants */
};

/* slots: the module's table, each a function or UINT32_MAX. first_cell: for its globals. precise: as the code of files
 * with precise faults is compiled, in which no access is left out. */
int spec_object_make(const struct wasm_module *m, const uint32_t *slots, uint32_t slot_count, uint32_t first_cell,
                     bool precise, struct spec_object *out, struct err *e);
void spec_object_fini(struct spec_object *o);
/* What a wrapper wants as its first parameter. */
uint64_t spec_type_id(const struct wasm_module *m, const struct wasm_functype *type);

/* --- spec_native.c --- */
enum spec_end {
    SPEC_RETURNED,
    SPEC_EXHAUSTED, /* the host stack */
    SPEC_BEYOND,    /* a fault in the instance, behind the module's memory */
    SPEC_TRAPPED    /* + enum aot_trap */
};

struct spec_instance {
    struct buf file;
    struct wasm_module m;
    struct spec_object object;
    struct loaded code;
    uint8_t *memory;
    uint64_t pages, most_pages;
    uint32_t *slots, slot_count;
    char key[16];
    bool forgotten; /* others changed it in ways that are not followed */
};

/* Runs on a stack with a guard. */
void spec_native_run(void (*function)(void *argument), void *argument);
/* Forgets all instances' code and cells. */
void spec_native_reset(void);
/* Of a module that was read and validated. *trapped: instantiation ended in a trap. Negative: not in our subset. */
int spec_instantiate(struct spec_instance *i, bool precise, bool *trapped, struct err *e);
void spec_instance_fini(struct spec_instance *i);
/* Arguments and results are in the cells. */
int spec_call(struct spec_instance *i, uint32_t function);
const struct wasm_export *spec_export(const struct spec_instance *i, const char *name, size_t size,
                                      enum wasm_external kind);
union spec_value spec_global(const struct spec_instance *i, uint32_t global);

#endif
