/* The megabinary linker: code objects -> one standard wasm module, and the address facts of the link. */
#ifndef WASM_LINK_H
#define WASM_LINK_H

#include "base/buf.h"
#include "base/err.h"

struct wasm_link_input {
    const uint8_t *object; /* code object bytes */
    size_t size;
    uint64_t base;        /* chosen image base: value of env.code_base */
    uint32_t table_base;  /* out: value of env.table_base */
    uint32_t entry_count; /* out */
};

/* Fills table_base of every input (their order is the order of the table), returns the table's size. */
int wasm_link_layout(struct wasm_link_input *inputs, size_t count, uint32_t *table_size, struct err *e);
/* Writes the megabinary: same imports, memory and table now defined and exported, globals cpu.* exported
 * mutable globals; functions of all objects; code_base / table_base defined constant globals. */
int wasm_link(struct wasm_link_input *inputs, size_t count, struct buf *out, struct err *e);

/* The entries of a code object: image-relative addresses in table order; *out is the caller's to mem_free. */
int wasm_object_entries(const uint8_t *object, size_t size, uint64_t **out, size_t *count, struct err *e);

#endif
