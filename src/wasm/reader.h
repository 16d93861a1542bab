/* Reading WebAssembly modules: structure (reader.c), instructions (reader_code.c), types (validate*.c).
 *
 * A struct wasm_module points into the caller's bytes, which must outlive it. Accepted: the MVP, mutable
 * globals, sign extension, saturating truncation, multi-value, memory.copy and memory.fill, funcref
 * tables, fixed-width SIMD, tail calls. One memory, one table. Whatever else a module uses is an error
 * that names the offset in the module. Input is hostile: every read is bounded, every count is checked
 * against what the bytes can hold. */
#ifndef WASM_READER_H
#define WASM_READER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

/* Limits beyond which a module is refused (those of V8, so that what we take a browser takes too). */
enum {
    WASM_MAX_PARAMS = 1000,
    WASM_MAX_RESULTS = 1000,
    WASM_MAX_LOCALS = 50000,
    WASM_MAX_PAGES = 65536,
    WASM_MAX_TABLE = 0x7fffffff,
};

enum wasm_type {
    WASM_UNKNOWN = 0, /* validator: any type (unreachable code) */
    WASM_I32 = 0x7f,
    WASM_I64 = 0x7e,
    WASM_F32 = 0x7d,
    WASM_F64 = 0x7c,
    WASM_V128 = 0x7b,
    WASM_FUNCREF = 0x70,
};

enum wasm_external { WASM_FUNCTION, WASM_TABLE, WASM_MEMORY, WASM_GLOBAL };

struct wasm_bytes {
    const uint8_t *data;
    size_t size;
};

/* Types are bytes of enum wasm_type. */
struct wasm_functype {
    const uint8_t *params, *results;
    uint32_t param_count, result_count;
};

struct wasm_limits {
    uint32_t min, max; /* max: 0xffffffff when there is none */
};

struct wasm_import {
    struct wasm_bytes module, name;
    enum wasm_external kind;
    uint32_t index; /* in the index space of its kind */
};

struct wasm_function {
    uint32_t type;
    int64_t import;         /* index in imports, or -1 */
    struct wasm_bytes body; /* locals and code; empty for imports */
};

/* A constant expression: one constant or one global.get of an imported immutable global. */
struct wasm_constant {
    enum wasm_type type;
    bool is_global;
    uint32_t global;
    uint64_t bits[2];
};

struct wasm_global {
    enum wasm_type type;
    bool is_mutable;
    int64_t import; /* index in imports, or -1 */
    struct wasm_constant init;
};

struct wasm_export {
    struct wasm_bytes name;
    enum wasm_external kind;
    uint32_t index;
};

/* An active element segment of table 0. */
struct wasm_element {
    struct wasm_constant offset;
    const uint32_t *functions;
    uint32_t count;
};

struct wasm_data {
    struct wasm_constant offset;
    struct wasm_bytes bytes;
};

struct wasm_custom {
    struct wasm_bytes name, content;
};

struct wasm_module {
    struct arena arena;
    struct wasm_bytes bytes;
    VEC(struct wasm_functype) types;
    VEC(struct wasm_import) imports;
    VEC(struct wasm_function) functions; /* imported ones first */
    VEC(struct wasm_global) globals;     /* imported ones first */
    VEC(struct wasm_export) exports;
    VEC(struct wasm_element) elements;
    VEC(struct wasm_data) data;
    VEC(struct wasm_custom) customs;
    uint32_t imported_functions, imported_globals;
    bool has_table, has_memory, has_start;
    int64_t table_import, memory_import; /* index in imports, or -1 */
    struct wasm_limits table, memory;
    uint32_t start;
};

enum wasm_immediate {
    WASM_IMM_NONE,
    WASM_IMM_BLOCK,
    WASM_IMM_LABEL,
    WASM_IMM_LABELS,
    WASM_IMM_FUNCTION,
    WASM_IMM_INDIRECT,
    WASM_IMM_TYPES,
    WASM_IMM_LOCAL,
    WASM_IMM_GLOBAL,
    WASM_IMM_MEMORY,
    WASM_IMM_MEMORY_LANE,
    WASM_IMM_MEMORY_INDEX,
    WASM_IMM_MEMORY_COPY,
    WASM_IMM_I32,
    WASM_IMM_I64,
    WASM_IMM_F32,
    WASM_IMM_F64,
    WASM_IMM_V128,
    WASM_IMM_SHUFFLE,
    WASM_IMM_LANE,
};

enum wasm_op {
    WASM_OP_INVALID,
#define OPERATOR(space, code, id, text, immediate, signature, n) WASM_OP_##id,
#include "wasm/operators.def"
#undef OPERATOR
    WASM_OP_COUNT
};

struct wasm_operator {
    const char *text;
    const char *signature;
    uint8_t prefix; /* 0, 0xfc or 0xfd */
    uint8_t code;
    uint8_t immediate; /* enum wasm_immediate */
    uint8_t n;
};

extern const struct wasm_operator wasm_operators[WASM_OP_COUNT];

struct wasm_instruction {
    enum wasm_op op;
    const uint8_t *at;          /* its first byte, in the module */
    uint32_t index;             /* label, function, local, global; type of an indirect call; lane */
    uint32_t align;             /* memory: log2 */
    uint64_t offset;            /* memory */
    struct wasm_functype block; /* BLOCK: its type; params and results point into the module */
    uint32_t label_count;       /* LABELS: without the default */
    struct cursor labels;       /* LABELS: label_count + 1 LEBs, already checked to decode */
    uint64_t bits[2];           /* constants; SHUFFLE: 16 lane numbers */
};

/* Structure only; bodies are not looked at. On failure the module holds nothing. */
int wasm_module_read(struct wasm_module *m, const void *data, size_t size, struct err *e);
void wasm_module_fini(struct wasm_module *m);
/* Types of function bodies. A module is valid when it was read and all its bodies are. */
int wasm_validate_function(const struct wasm_module *m, uint32_t function, struct err *e);
int wasm_validate(const struct wasm_module *m, struct err *e);

/* One instruction; -1 when it is malformed, not known or has an index that does not exist in the module
 * (labels, locals and lanes are the validator's). */
int wasm_decode(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e);
/* The local declarations at the start of a body: calls each() for every run; returns the total with the
 * parameters, or -1. types: room for the total, or NULL. */
int64_t wasm_read_locals(const struct wasm_module *m, uint32_t function, struct cursor *body, uint8_t *types,
                         size_t room, struct err *e);

bool wasm_functype_equal(const struct wasm_functype *a, const struct wasm_functype *b);
bool wasm_bytes_equal(struct wasm_bytes a, const char *text);
const struct wasm_functype *wasm_function_type(const struct wasm_module *m, uint32_t function);
/* NULL when there is no such section. */
const struct wasm_custom *wasm_custom_find(const struct wasm_module *m, const char *name);

#endif
