/* A module as a code object (spec.h). */
#include "spec.h"

#include <string.h>

struct cell { /* an imported mutable global */
    uint32_t number;
    uint8_t type;
};

struct maker {
    const struct wasm_module *m;
    struct spec_object *o;
    VEC(struct cell) cells;
    uint32_t *globals; /* by the module's index: ours */
    uint32_t *thunks;  /* by type: function that calls indirectly, or 0 */
    uint32_t types;    /* ours behind the module's: guest, () -> i32, (i32) -> i32, thunks */
    uint32_t helpers;  /* functions imported besides the module's own: memory.size and grow, or none */
    uint32_t thunk_count, first_thunk, first_wrapper, null_function, function_count;
    VEC(uint32_t) entries, wrapped;
    struct err *e;
};

enum { TYPE_GUEST, TYPE_SIZE, TYPE_GROW, TYPE_THUNKS };
enum { GLOBAL_TABLE_BASE, GLOBAL_CELLS };

uint64_t
spec_type_id(const struct wasm_module *m, const struct wasm_functype *type)
{
    uint32_t i = 0;

    while (i < m->types.count && !wasm_functype_equal(&m->types.items[i], type))
        i++;
    return i + 1;
}

static uint32_t
function_index(const struct maker *k, uint32_t f)
{
    return f < k->m->imported_functions ? f : f + k->helpers;
}

/* --- cells --- */
static uint32_t
cell_index(struct maker *k, uint32_t number, uint8_t type)
{
    size_t i = 0;

    while (i < k->cells.count && (k->cells.items[i].number != number || k->cells.items[i].type != type))
        i++;
    if (i == k->cells.count)
        vec_push(&k->cells, ((struct cell){number, type}));
    return GLOBAL_CELLS + (uint32_t)i;
}

/* Whatever a type's arguments and results need, before any code: the constants come behind them. */
static int
reserve_cells(struct maker *k)
{
    for (size_t t = 0; t < k->m->types.count; t++) {
        const struct wasm_functype *type = &k->m->types.items[t];

        if (type->param_count > SPEC_ARGUMENTS || type->result_count > SPEC_ARGUMENTS)
            return err_set(k->e, "test: more than %d arguments are not supported", SPEC_ARGUMENTS);
        for (uint32_t i = 0; i < type->param_count; i++)
            cell_index(k, i, type->params[i]);
        for (uint32_t i = 0; i < type->result_count; i++)
            cell_index(k, SPEC_RESULT_CELLS + i, type->results[i]);
    }
    return 0;
}

static int
place_globals(struct maker *k, uint32_t first_cell)
{
    uint32_t constants = 0;

    k->globals = mem_zalloc(k->m->globals.count + 1, sizeof *k->globals);
    k->o->cell_of = mem_zalloc(k->m->globals.count + 1, sizeof *k->o->cell_of);
    for (size_t i = 0; i < k->m->globals.count; i++) {
        const struct wasm_global *g = &k->m->globals.items[i];

        k->o->cell_of[i] = SPEC_NO_CELL;
        if (g->import < 0 && !g->is_mutable && !g->init.is_global)
            continue;
        if (first_cell == SPEC_CELLS)
            return err_set(k->e, "test: so many globals are not supported");
        k->o->cell_of[i] = first_cell++;
        k->globals[i] = cell_index(k, k->o->cell_of[i], (uint8_t)g->type);
    }
    for (size_t i = 0; i < k->m->globals.count; i++)
        if (k->o->cell_of[i] == SPEC_NO_CELL)
            k->globals[i] = GLOBAL_CELLS + (uint32_t)k->cells.count + constants++;
    return 0;
}

/* --- sections --- */
static void
put_section(struct buf *out, uint8_t id, struct buf *content)
{
    buf_put_u8(out, id);
    buf_put_uleb(out, content->size);
    buf_put(out, content->data, content->size);
    buf_fini(content);
}

static void
put_name(struct buf *out, const char *name, size_t size)
{
    buf_put_uleb(out, size);
    buf_put(out, name, size);
}

static void
put_import(struct buf *out, const char *module, const char *name, uint8_t kind)
{
    put_name(out, module, strlen(module));
    put_name(out, name, strlen(name));
    buf_put_u8(out, kind);
}

static void
put_same(struct buf *out, unsigned count, uint8_t type)
{
    buf_put_uleb(out, count);
    while (count--)
        buf_put_u8(out, type);
}

static void
put_type(struct buf *out, const struct wasm_functype *t, bool and_i32)
{
    buf_put_u8(out, 0x60);
    buf_put_uleb(out, t->param_count + and_i32);
    buf_put(out, t->params, t->param_count);
    if (and_i32)
        buf_put_u8(out, WASM_I32);
    buf_put_uleb(out, t->result_count);
    buf_put(out, t->results, t->result_count);
}

static void
put_types(const struct maker *k, struct buf *out)
{
    struct buf s = {0};

    buf_put_uleb(&s, k->types + TYPE_THUNKS + k->thunk_count);
    for (size_t i = 0; i < k->m->types.count; i++)
        put_type(&s, &k->m->types.items[i], false);
    buf_put_u8(&s, 0x60);
    put_same(&s, 11, WASM_I64);
    put_same(&s, 10, WASM_I64);
    buf_put(&s, (uint8_t[]){0x60, 0, 1, WASM_I32, 0x60, 1, WASM_I32, 1, WASM_I32}, 9);
    for (uint32_t i = 0; i < k->thunk_count; i++)
        for (size_t t = 0; t < k->m->types.count; t++)
            if (k->thunks[t] == k->first_thunk + i)
                put_type(&s, &k->m->types.items[t], true);
    put_section(out, 1, &s);
}

static void
put_imports(const struct maker *k, struct buf *out)
{
    struct buf s = {0};

    buf_put_uleb(&s, k->m->imported_functions + k->helpers + k->m->has_memory + 2 + k->cells.count);
    for (uint32_t i = 0; i < k->m->imported_functions; i++) {
        const struct wasm_function *f = &k->m->functions.items[i];
        struct wasm_bytes name = k->m->imports.items[f->import].name;

        put_name(&s, "helper", 6);
        put_name(&s, (const char *)name.data, name.size);
        buf_put_u8(&s, WASM_FUNCTION);
        buf_put_uleb(&s, f->type);
    }
    for (uint32_t i = 0; i < k->helpers; i++) {
        put_import(&s, "helper", i ? "memory_grow" : "memory_size", WASM_FUNCTION);
        buf_put_uleb(&s, k->types + (i ? TYPE_GROW : TYPE_SIZE));
    }
    if (k->m->has_memory) {
        put_import(&s, "env", "memory", WASM_MEMORY);
        buf_put_u8(&s, 1);
        buf_put_uleb(&s, WASM_MAX_PAGES);
        buf_put_uleb(&s, WASM_MAX_PAGES);
    }
    put_import(&s, "env", "table", WASM_TABLE);
    buf_put(&s, (uint8_t[]){WASM_FUNCREF, 0, 0}, 3);
    put_import(&s, "env", "table_base", WASM_GLOBAL);
    buf_put(&s, (uint8_t[]){WASM_I32, 0}, 2);
    for (size_t i = 0; i < k->cells.count; i++) {
        char *name = mem_printf("%u.%x", k->cells.items[i].number, k->cells.items[i].type);

        put_import(&s, "cell", name, WASM_GLOBAL);
        buf_put(&s, (uint8_t[]){k->cells.items[i].type, 1}, 2);
        mem_free(name);
    }
    put_section(out, 2, &s);
}

static void
put_functions(const struct maker *k, struct buf *out)
{
    struct buf s = {0};
    uint32_t own = (uint32_t)k->m->functions.count - k->m->imported_functions;

    buf_put_uleb(&s, own + k->thunk_count + 1 + k->wrapped.count);
    for (uint32_t i = 0; i < own; i++)
        buf_put_uleb(&s, k->m->functions.items[k->m->imported_functions + i].type);
    for (uint32_t i = 0; i < k->thunk_count; i++)
        buf_put_uleb(&s, k->types + TYPE_THUNKS + i);
    for (size_t i = 0; i <= k->wrapped.count; i++) /* and the one of empty slots */
        buf_put_uleb(&s, k->types + TYPE_GUEST);
    put_section(out, 3, &s);
}

static void
put_constant(struct buf *s, const struct wasm_constant *c)
{
    switch (c->type) {
    case WASM_I32:
        buf_put_u8(s, 0x41);
        buf_put_sleb(s, (int32_t)c->bits[0]);
        break;
    case WASM_I64:
        buf_put_u8(s, 0x42);
        buf_put_sleb(s, (int64_t)c->bits[0]);
        break;
    case WASM_F32:
        buf_put_u8(s, 0x43);
        buf_put_u32(s, (uint32_t)c->bits[0]);
        break;
    case WASM_F64:
        buf_put_u8(s, 0x44);
        buf_put_u64(s, c->bits[0]);
        break;
    default:
        buf_put(s, (uint8_t[]){0xfd, 12}, 2);
        buf_put_u64(s, c->bits[0]);
        buf_put_u64(s, c->bits[1]);
    }
    buf_put_u8(s, 0x0b);
}

static void
put_constants(const struct maker *k, struct buf *out)
{
    struct buf s = {0}, items = {0};
    uint32_t count = 0;

    for (size_t i = 0; i < k->m->globals.count; i++) {
        if (k->o->cell_of[i] != SPEC_NO_CELL)
            continue;
        buf_put_u8(&items, (uint8_t)k->m->globals.items[i].type);
        buf_put_u8(&items, 0);
        put_constant(&items, &k->m->globals.items[i].init);
        count++;
    }
    buf_put_uleb(&s, count);
    buf_put(&s, items.data, items.size);
    buf_fini(&items);
    put_section(out, 6, &s);
}

static void
put_elements(const struct maker *k, struct buf *out)
{
    struct buf s = {0};

    buf_put(&s, (uint8_t[]){1, 0, 0x23, GLOBAL_TABLE_BASE, 0x0b}, 5);
    buf_put_uleb(&s, k->entries.count);
    for (size_t i = 0; i < k->entries.count; i++)
        buf_put_uleb(&s, k->entries.items[i]);
    put_section(out, 9, &s);
}

/* --- code --- */
static void
put_op(struct buf *b, uint8_t op, uint32_t index)
{
    buf_put_u8(b, op);
    buf_put_uleb(b, index);
}

static void
put_body(struct buf *out, struct buf *body)
{
    buf_put_uleb(out, body->size);
    buf_put(out, body->data, body->size);
    buf_fini(body);
}

static uint32_t
cell_of(const struct maker *k, uint32_t number, uint8_t type)
{
    return cell_index((struct maker *)k, number, type); /* reserved before: nothing is added */
}

static void
put_wrapper(const struct maker *k, uint32_t f, struct buf *out)
{
    const struct wasm_functype *t = wasm_function_type(k->m, f);
    struct buf b = {0};

    buf_put_u8(&b, 0);
    put_op(&b, 0x20, 0);
    buf_put_u8(&b, 0x42);
    buf_put_sleb(&b, (int64_t)spec_type_id(k->m, t));
    buf_put(&b, (uint8_t[]){0x52, 0x04, 0x40, 0x00, 0x0b}, 5); /* i64.ne if unreachable end */
    for (uint32_t i = 0; i < t->param_count; i++)
        put_op(&b, 0x23, cell_of(k, i, t->params[i]));
    put_op(&b, 0x10, function_index(k, f));
    for (uint32_t i = t->result_count; i-- > 0;)
        put_op(&b, 0x24, cell_of(k, SPEC_RESULT_CELLS + i, t->results[i]));
    for (uint32_t i = 0; i < 10; i++)
        put_op(&b, 0x20, i);
    buf_put_u8(&b, 0x0b);
    put_body(out, &b);
}

static void
put_thunk(const struct maker *k, const struct wasm_functype *t, struct buf *out)
{
    struct buf b = {0};

    buf_put_u8(&b, 0);
    for (uint32_t i = 0; i < t->param_count; i++) {
        put_op(&b, 0x20, i);
        put_op(&b, 0x24, cell_of(k, i, t->params[i]));
    }
    buf_put_u8(&b, 0x42);
    buf_put_sleb(&b, (int64_t)spec_type_id(k->m, t));
    for (unsigned i = 0; i < 10; i++)
        buf_put(&b, (uint8_t[]){0x42, 0}, 2);
    put_op(&b, 0x20, t->param_count);
    put_op(&b, 0x11, k->types + TYPE_GUEST);
    buf_put_u8(&b, 0);
    for (unsigned i = 0; i < 10; i++)
        buf_put_u8(&b, 0x1a);
    for (uint32_t i = 0; i < t->result_count; i++)
        put_op(&b, 0x23, cell_of(k, SPEC_RESULT_CELLS + i, t->results[i]));
    buf_put_u8(&b, 0x0b);
    put_body(out, &b);
}

static void
put_instruction(const struct maker *k, const struct wasm_instruction *i, const uint8_t *end, struct buf *b)
{
    switch (i->op) {
    case WASM_OP_CALL:
    case WASM_OP_RETURN_CALL: put_op(b, *i->at, function_index(k, i->index)); break;
    case WASM_OP_CALL_INDIRECT: put_op(b, 0x10, k->thunks[i->index]); break;
    case WASM_OP_RETURN_CALL_INDIRECT: put_op(b, 0x12, k->thunks[i->index]); break;
    case WASM_OP_GLOBAL_GET:
    case WASM_OP_GLOBAL_SET: put_op(b, *i->at, k->globals[i->index]); break;
    case WASM_OP_MEMORY_SIZE:
    case WASM_OP_MEMORY_GROW: put_op(b, 0x10, k->m->imported_functions + (i->op == WASM_OP_MEMORY_GROW)); break;
    default: buf_put(b, i->at, (size_t)(end - i->at));
    }
}

static int
put_function(const struct maker *k, uint32_t f, struct buf *out)
{
    struct wasm_bytes body = k->m->functions.items[f].body;
    struct cursor c = cursor_make(body.data, body.size);
    struct wasm_instruction i = {0};
    struct buf b = {0};

    if (wasm_read_locals(k->m, f, &c, NULL, 0, k->e) < 0)
        return -1;
    buf_put(&b, body.data, (size_t)(c.at - body.data));
    while (cursor_left(&c)) {
        if (wasm_decode(k->m, &c, &i, k->e) < 0)
            return -1;
        put_instruction(k, &i, c.at, &b);
    }
    put_body(out, &b);
    return 0;
}

static int
put_code(const struct maker *k, struct buf *out)
{
    struct buf s = {0};
    uint32_t own = (uint32_t)k->m->functions.count - k->m->imported_functions;

    buf_put_uleb(&s, own + k->thunk_count + 1 + k->wrapped.count);
    for (uint32_t f = k->m->imported_functions; f < k->m->functions.count; f++)
        if (put_function(k, f, &s) < 0)
            return -1;
    for (uint32_t i = 0; i < k->thunk_count; i++)
        for (size_t t = 0; t < k->m->types.count; t++)
            if (k->thunks[t] == k->first_thunk + i)
                put_thunk(k, &k->m->types.items[t], &s);
    buf_put(&s, (uint8_t[]){3, 0, 0, 0x0b}, 4); /* of empty slots: unreachable */
    for (size_t i = 0; i < k->wrapped.count; i++)
        put_wrapper(k, k->wrapped.items[i], &s);
    put_section(out, 10, &s);
    return 0;
}

/* --- the table --- */
static int
find_thunks(struct maker *k)
{
    struct wasm_instruction i = {0};

    k->thunks = mem_zalloc(k->m->types.count + 1, sizeof *k->thunks);
    k->first_thunk = (uint32_t)k->m->functions.count + k->helpers;
    for (uint32_t f = k->m->imported_functions; f < k->m->functions.count; f++) {
        struct wasm_bytes body = k->m->functions.items[f].body;
        struct cursor c = cursor_make(body.data, body.size);

        if (wasm_read_locals(k->m, f, &c, NULL, 0, k->e) < 0)
            return -1;
        while (cursor_left(&c)) {
            if (wasm_decode(k->m, &c, &i, k->e) < 0)
                return -1;
            if ((i.op == WASM_OP_CALL_INDIRECT || i.op == WASM_OP_RETURN_CALL_INDIRECT) && !k->thunks[i.index])
                k->thunks[i.index] = k->first_thunk + k->thunk_count++;
        }
    }
    k->null_function = k->first_thunk + k->thunk_count;
    k->first_wrapper = k->null_function + 1;
    return 0;
}

static uint32_t
wrapper(struct maker *k, uint32_t f)
{
    size_t i = 0;

    while (i < k->wrapped.count && k->wrapped.items[i] != f)
        i++;
    if (i == k->wrapped.count)
        vec_push(&k->wrapped, f);
    return k->first_wrapper + (uint32_t)i;
}

static void
fill_table(struct maker *k, const uint32_t *slots, uint32_t slot_count)
{
    k->o->table_size = slot_count;
    k->o->wrapper_of = mem_zalloc(k->m->functions.count + 1, sizeof *k->o->wrapper_of);
    for (uint32_t i = 0; i < slot_count; i++)
        vec_push(&k->entries, slots[i] == UINT32_MAX ? k->null_function : wrapper(k, slots[i]));
    vec_push(&k->entries, k->null_function); /* so that no function's entry is 0 */
    for (size_t i = 0; i <= k->m->exports.count; i++) {
        bool start = i == k->m->exports.count;
        uint32_t f;

        if (start ? !k->m->has_start : k->m->exports.items[i].kind != WASM_FUNCTION)
            continue;
        f = start ? k->m->start : k->m->exports.items[i].index;
        k->o->wrapper_of[f] = (uint32_t)k->entries.count;
        vec_push(&k->entries, wrapper(k, f));
    }
}

int
spec_object_make(const struct wasm_module *m, const uint32_t *slots, uint32_t slot_count, uint32_t first_cell,
                 bool precise, struct spec_object *out, struct err *e)
{
    struct maker k = {.m = m, .o = out, .types = (uint32_t)m->types.count, .helpers = m->has_memory ? 2 : 0, .e = e};
    int rc;

    *out = (struct spec_object){0};
    buf_put(&out->bytes, "\0asm\1\0\0\0", 8);
    rc = find_thunks(&k) < 0 || reserve_cells(&k) < 0 || place_globals(&k, first_cell) < 0 ? -1 : 0;
    if (rc == 0) {
        fill_table(&k, slots, slot_count);
        put_types(&k, &out->bytes);
        put_imports(&k, &out->bytes);
        put_functions(&k, &out->bytes);
        put_constants(&k, &out->bytes);
        put_elements(&k, &out->bytes);
        rc = put_code(&k, &out->bytes);
    }
    if (precise) {
        struct buf s = {0};

        put_name(&s, "ingot.precise", strlen("ingot.precise"));
        put_section(&out->bytes, 0, &s);
    }
    vec_fini(&k.cells);
    vec_fini(&k.entries);
    vec_fini(&k.wrapped);
    mem_free(k.globals);
    mem_free(k.thunks);
    return rc;
}

void
spec_object_fini(struct spec_object *o)
{
    buf_fini(&o->bytes);
    mem_free(o->wrapper_of);
    mem_free(o->cell_of);
    *o = (struct spec_object){0};
}
