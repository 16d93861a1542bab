/* The megabinary linker. Output order: types and imports deduplicated over all inputs, then the inputs'
 * functions in their order; globals: cpu.* first, then each input's own with code_base and table_base
 * as constants. Bodies are copied instruction by instruction with their indices renumbered. */
#include "wasm/link.h"

#include "wasm/reader.h"

#include <string.h>

/* Where the things of one input went. */
struct object {
    struct wasm_module m;
    uint32_t *types, *functions, *globals;
    uint32_t code_base, table_base; /* index of the import's global in the input, or UINT32_MAX */
};

struct named {
    struct wasm_bytes module, name;
    uint32_t type; /* output type of a function; value type of a global */
    bool is_mutable;
};

struct global {
    enum wasm_type type;
    bool is_mutable;
    uint64_t bits[2];
};

struct linker {
    struct wasm_link_input *inputs;
    struct object *objects;
    size_t count;
    VEC(struct wasm_functype) types;
    uint32_t *type_slots; /* open hash of types: index + 1 */
    size_t type_slot_count;
    VEC(struct named) imports;     /* functions */
    VEC(struct named) cpu_globals; /* exported as MODULE.NAME */
    VEC(struct global) globals;    /* of all inputs, after cpu_globals */
    VEC(uint32_t) function_types;  /* defined functions */
    struct err *e;
};

static uint64_t
type_hash(const struct wasm_functype *t)
{
    uint64_t h = 0xcbf29ce484222325ull ^ t->param_count;

    for (uint32_t i = 0; i < t->param_count; i++)
        h = (h ^ t->params[i]) * 0x100000001b3ull;
    h = (h ^ 0x40) * 0x100000001b3ull;
    for (uint32_t i = 0; i < t->result_count; i++)
        h = (h ^ t->results[i]) * 0x100000001b3ull;
    return h ^ h >> 29;
}

static void
type_slot_put(struct linker *l, uint32_t type)
{
    size_t at = type_hash(&l->types.items[type]) & (l->type_slot_count - 1);

    while (l->type_slots[at])
        at = (at + 1) & (l->type_slot_count - 1);
    l->type_slots[at] = type + 1;
}

static void
type_slots_grow(struct linker *l)
{
    mem_free(l->type_slots);
    l->type_slot_count = l->type_slot_count ? l->type_slot_count * 2 : 256;
    l->type_slots = mem_zalloc(l->type_slot_count, sizeof *l->type_slots);
    for (uint32_t i = 0; i < l->types.count; i++)
        type_slot_put(l, i);
}

static uint32_t
add_type(struct linker *l, const struct wasm_functype *t)
{
    size_t at;

    if ((l->types.count + 1) * 2 > l->type_slot_count)
        type_slots_grow(l);
    for (at = type_hash(t) & (l->type_slot_count - 1); l->type_slots[at]; at = (at + 1) & (l->type_slot_count - 1))
        if (wasm_functype_equal(&l->types.items[l->type_slots[at] - 1], t))
            return l->type_slots[at] - 1;
    vec_push(&l->types, *t);
    type_slot_put(l, (uint32_t)l->types.count - 1);
    return (uint32_t)l->types.count - 1;
}

static bool
bytes_same(struct wasm_bytes a, struct wasm_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Imports are few (tens): a linear search is enough. */
static int64_t
find_named(const struct named *items, size_t count, const struct wasm_import *import)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_same(items[i].name, import->name) && bytes_same(items[i].module, import->module))
            return (int64_t)i;
    return -1;
}

static int
merge_function(struct linker *l, struct object *o, const struct wasm_import *import)
{
    uint32_t type = o->types[o->m.functions.items[import->index].type];
    int64_t at = find_named(l->imports.items, l->imports.count, import);

    if (at < 0) {
        struct named n = {import->module, import->name, type, false};

        at = (int64_t)l->imports.count;
        vec_push(&l->imports, n);
    } else if (l->imports.items[at].type != type) {
        return err_set(l->e, "import %.*s.%.*s has two types", (int)import->module.size, import->module.data,
                       (int)import->name.size, import->name.data);
    }
    o->functions[import->index] = (uint32_t)at;
    return 0;
}

static int
merge_global(struct linker *l, struct object *o, const struct wasm_import *import)
{
    const struct wasm_global *g = &o->m.globals.items[import->index];
    int64_t at;

    if (wasm_bytes_equal(import->module, "env") && !g->is_mutable) {
        if (wasm_bytes_equal(import->name, "code_base") && g->type == WASM_I64) {
            o->code_base = import->index;
            return 0;
        }
        if (wasm_bytes_equal(import->name, "table_base") && g->type == WASM_I32) {
            o->table_base = import->index;
            return 0;
        }
    }
    if (!wasm_bytes_equal(import->module, "cpu") || !g->is_mutable)
        return err_set(l->e, "global %.*s.%.*s is none that a code object imports", (int)import->module.size,
                       import->module.data, (int)import->name.size, import->name.data);
    at = find_named(l->cpu_globals.items, l->cpu_globals.count, import);
    if (at < 0) {
        struct named n = {import->module, import->name, (uint32_t)g->type, true};

        at = (int64_t)l->cpu_globals.count;
        vec_push(&l->cpu_globals, n);
    } else if (l->cpu_globals.items[at].type != (uint32_t)g->type) {
        return err_set(l->e, "global cpu.%.*s has two types", (int)import->name.size, import->name.data);
    }
    o->globals[import->index] = (uint32_t)at;
    return 0;
}

static int
check_object(struct linker *l, const struct object *o)
{
    if (o->m.has_start || o->m.data.count)
        return err_set(l->e, "a code object has no start function and no data");
    if ((o->m.has_memory && o->m.memory_import < 0) || (o->m.has_table && o->m.table_import < 0))
        return err_set(l->e, "a code object imports its memory and table");
    return 0;
}

static int
merge_imports(struct linker *l, struct object *o)
{
    const struct wasm_module *m = &o->m;

    o->types = mem_zalloc(m->types.count + 1, sizeof *o->types);
    o->functions = mem_zalloc(m->functions.count + 1, sizeof *o->functions);
    o->globals = mem_zalloc(m->globals.count + 1, sizeof *o->globals);
    o->code_base = o->table_base = UINT32_MAX;
    if (check_object(l, o) < 0)
        return -1;
    for (size_t i = 0; i < m->types.count; i++)
        o->types[i] = add_type(l, &m->types.items[i]);
    for (size_t i = 0; i < m->imports.count; i++) {
        const struct wasm_import *import = &m->imports.items[i];

        if (import->kind == WASM_FUNCTION && merge_function(l, o, import) < 0)
            return -1;
        if (import->kind == WASM_GLOBAL && merge_global(l, o, import) < 0)
            return -1;
    }
    return 0;
}

static uint32_t
add_global(struct linker *l, const struct global *g)
{
    vec_push(&l->globals, *g);
    return (uint32_t)(l->cpu_globals.count + l->globals.count - 1);
}

/* Once all imports are known, index spaces are fixed. */
static int
merge_defined(struct linker *l, struct object *o, const struct wasm_link_input *input)
{
    const struct wasm_module *m = &o->m;
    struct global code_base = {.type = WASM_I64, .bits = {input->base}};
    struct global table_base = {.type = WASM_I32, .bits = {input->table_base}};

    if (o->code_base != UINT32_MAX)
        o->globals[o->code_base] = add_global(l, &code_base);
    if (o->table_base != UINT32_MAX)
        o->globals[o->table_base] = add_global(l, &table_base);
    for (size_t i = m->imported_globals; i < m->globals.count; i++) {
        const struct wasm_global *g = &m->globals.items[i];
        struct global own = {g->type, g->is_mutable, {g->init.bits[0], g->init.bits[1]}};

        if (g->init.is_global)
            return err_set(l->e, "a code object's own globals start as constants");
        o->globals[i] = add_global(l, &own);
    }
    for (size_t i = m->imported_functions; i < m->functions.count; i++) {
        o->functions[i] = (uint32_t)(l->imports.count + l->function_types.count);
        vec_push(&l->function_types, o->types[m->functions.items[i].type]);
    }
    return 0;
}

static void
put_bytes(struct buf *out, struct wasm_bytes b)
{
    buf_put_uleb(out, b.size);
    buf_put(out, b.data, b.size);
}

static void
put_text(struct buf *out, const char *text)
{
    put_bytes(out, (struct wasm_bytes){(const uint8_t *)text, strlen(text)});
}

/* A section's size is written afterwards, in five bytes (a LEB may be padded). */
static size_t
section_begin(struct buf *out, uint8_t id)
{
    buf_put_u8(out, id);
    buf_put_zero(out, 5);
    return out->size;
}

static int
section_end(struct linker *l, struct buf *out, size_t start)
{
    size_t size = out->size - start;

    if (size > UINT32_MAX)
        return err_set(l->e, "section larger than 4 GiB");
    for (unsigned i = 0; i < 5; i++)
        out->data[start - 5 + i] = (uint8_t)((size >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
    return 0;
}

static int
put_types(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 1);

    buf_put_uleb(out, l->types.count);
    for (size_t i = 0; i < l->types.count; i++) {
        const struct wasm_functype *t = &l->types.items[i];

        buf_put_u8(out, 0x60);
        put_bytes(out, (struct wasm_bytes){t->params, t->param_count});
        put_bytes(out, (struct wasm_bytes){t->results, t->result_count});
    }
    return section_end(l, out, start);
}

static int
put_imports(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 2);

    buf_put_uleb(out, l->imports.count);
    for (size_t i = 0; i < l->imports.count; i++) {
        const struct named *n = &l->imports.items[i];

        put_bytes(out, n->module);
        put_bytes(out, n->name);
        buf_put_u8(out, WASM_FUNCTION);
        buf_put_uleb(out, n->type);
    }
    return section_end(l, out, start);
}

static int
put_functions(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 3);

    buf_put_uleb(out, l->function_types.count);
    for (size_t i = 0; i < l->function_types.count; i++)
        buf_put_uleb(out, l->function_types.items[i]);
    return section_end(l, out, start);
}

static int
put_table_and_memory(struct linker *l, struct buf *out, uint32_t table_size)
{
    size_t start = section_begin(out, 4);

    buf_put_uleb(out, 1);
    buf_put_u8(out, WASM_FUNCREF);
    buf_put_u8(out, 1);
    buf_put_uleb(out, table_size);
    buf_put_uleb(out, table_size);
    if (section_end(l, out, start) < 0)
        return -1;
    start = section_begin(out, 5);
    buf_put_uleb(out, 1);
    buf_put_u8(out, 1);
    buf_put_uleb(out, WASM_MAX_PAGES);
    buf_put_uleb(out, WASM_MAX_PAGES);
    return section_end(l, out, start);
}

static void
put_global(struct buf *out, const struct global *g)
{
    buf_put_u8(out, (uint8_t)g->type);
    buf_put_u8(out, g->is_mutable);
    switch (g->type) {
    case WASM_I32:
        buf_put_u8(out, 0x41);
        buf_put_sleb(out, (int32_t)g->bits[0]);
        break;
    case WASM_I64:
        buf_put_u8(out, 0x42);
        buf_put_sleb(out, (int64_t)g->bits[0]);
        break;
    case WASM_F32:
        buf_put_u8(out, 0x43);
        buf_put_u32(out, (uint32_t)g->bits[0]);
        break;
    case WASM_F64:
        buf_put_u8(out, 0x44);
        buf_put_u64(out, g->bits[0]);
        break;
    default:
        buf_put_u8(out, 0xfd);
        buf_put_uleb(out, 12);
        buf_put_u64(out, g->bits[0]);
        buf_put_u64(out, g->bits[1]);
    }
    buf_put_u8(out, 0x0b);
}

static int
put_globals(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 6);

    buf_put_uleb(out, l->cpu_globals.count + l->globals.count);
    for (size_t i = 0; i < l->cpu_globals.count; i++) {
        struct global g = {.type = (enum wasm_type)l->cpu_globals.items[i].type, .is_mutable = true};

        put_global(out, &g);
    }
    for (size_t i = 0; i < l->globals.count; i++)
        put_global(out, &l->globals.items[i]);
    return section_end(l, out, start);
}

static int
put_exports(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 7);

    buf_put_uleb(out, 2 + l->cpu_globals.count);
    put_text(out, "memory");
    buf_put_u8(out, WASM_MEMORY);
    buf_put_uleb(out, 0);
    put_text(out, "table");
    buf_put_u8(out, WASM_TABLE);
    buf_put_uleb(out, 0);
    for (size_t i = 0; i < l->cpu_globals.count; i++) {
        const struct named *n = &l->cpu_globals.items[i];

        buf_put_uleb(out, 4 + n->name.size);
        buf_put(out, "cpu.", 4);
        buf_put(out, n->name.data, n->name.size);
        buf_put_u8(out, WASM_GLOBAL);
        buf_put_uleb(out, i);
    }
    return section_end(l, out, start);
}

/* Offsets must be constants here: global.get in a constant expression reaches imports only. */
static int
put_elements(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 9), count = 0;

    for (size_t i = 0; i < l->count; i++)
        count += l->objects[i].m.elements.count;
    buf_put_uleb(out, count);
    for (size_t i = 0; i < l->count; i++) {
        const struct object *o = &l->objects[i];
        uint32_t at = l->inputs[i].table_base;

        for (size_t k = 0; k < o->m.elements.count; k++) {
            const struct wasm_element *s = &o->m.elements.items[k];

            buf_put_u8(out, 0);
            buf_put_u8(out, 0x41);
            buf_put_sleb(out, (int32_t)at);
            buf_put_u8(out, 0x0b);
            buf_put_uleb(out, s->count);
            for (uint32_t n = 0; n < s->count; n++)
                buf_put_uleb(out, o->functions[s->functions[n]]);
        }
    }
    return section_end(l, out, start);
}

/* The instruction with its indices in the output's spaces; false: it has none, copy it. */
static bool
put_renumbered(struct linker *l, const struct object *o, const struct wasm_instruction *i, struct buf *out)
{
    switch ((enum wasm_immediate)wasm_operators[i->op].immediate) {
    case WASM_IMM_BLOCK:
        if (*(i->at + 1) & 0x40 && !(*(i->at + 1) & 0x80)) /* negative: no index */
            return false;
        buf_put_u8(out, *i->at);
        buf_put_sleb(out, add_type(l, &i->block));
        return true;
    case WASM_IMM_FUNCTION:
        buf_put_u8(out, *i->at);
        buf_put_uleb(out, o->functions[i->index]);
        return true;
    case WASM_IMM_GLOBAL:
        buf_put_u8(out, *i->at);
        buf_put_uleb(out, o->globals[i->index]);
        return true;
    case WASM_IMM_INDIRECT:
        buf_put_u8(out, *i->at);
        buf_put_uleb(out, o->types[i->index]);
        buf_put_u8(out, 0);
        return true;
    default: return false;
    }
}

static int
put_body(struct linker *l, const struct object *o, uint32_t function, struct buf *scratch, struct buf *out)
{
    struct wasm_bytes body = o->m.functions.items[function].body;
    struct cursor c = cursor_make(body.data, body.size);
    const uint8_t *copied = c.at;
    struct wasm_instruction i = {0};

    scratch->size = 0;
    if (wasm_read_locals(&o->m, function, &c, NULL, 0, l->e) < 0)
        return -1;
    while (cursor_left(&c)) {
        if (wasm_decode(&o->m, &c, &i, l->e) < 0)
            return -1;
        if (wasm_operators[i.op].prefix || wasm_operators[i.op].immediate == WASM_IMM_NONE)
            continue;
        /* What precedes goes out first: put_renumbered() appends. */
        switch ((enum wasm_immediate)wasm_operators[i.op].immediate) {
        case WASM_IMM_BLOCK:
        case WASM_IMM_FUNCTION:
        case WASM_IMM_GLOBAL:
        case WASM_IMM_INDIRECT:
            buf_put(scratch, copied, (size_t)(i.at - copied));
            copied = put_renumbered(l, o, &i, scratch) ? c.at : i.at;
            break;
        default: break;
        }
    }
    buf_put(scratch, copied, (size_t)(c.at - copied));
    buf_put_uleb(out, scratch->size);
    buf_put(out, scratch->data, scratch->size);
    return 0;
}

static int
put_code(struct linker *l, struct buf *out)
{
    size_t start = section_begin(out, 10);
    struct buf scratch = {0};
    int rc = 0;

    buf_put_uleb(out, l->function_types.count);
    for (size_t i = 0; i < l->count && rc == 0; i++) {
        const struct object *o = &l->objects[i];

        for (size_t f = o->m.imported_functions; f < o->m.functions.count && rc == 0; f++)
            rc = put_body(l, o, (uint32_t)f, &scratch, out);
        if (rc < 0)
            err_prefix(l->e, "object %zu", i);
    }
    buf_fini(&scratch);
    return rc < 0 ? rc : section_end(l, out, start);
}

static int
read_objects(struct linker *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (wasm_module_read(&l->objects[i].m, l->inputs[i].object, l->inputs[i].size, l->e) < 0 ||
            merge_imports(l, &l->objects[i]) < 0)
            return err_prefix(l->e, "object %zu", i);
    for (size_t i = 0; i < l->count; i++)
        if (merge_defined(l, &l->objects[i], &l->inputs[i]) < 0)
            return err_prefix(l->e, "object %zu", i);
    return 0;
}

static void
linker_fini(struct linker *l)
{
    for (size_t i = 0; i < l->count; i++) {
        wasm_module_fini(&l->objects[i].m);
        mem_free(l->objects[i].types);
        mem_free(l->objects[i].functions);
        mem_free(l->objects[i].globals);
    }
    mem_free(l->objects);
    mem_free(l->type_slots);
    vec_fini(&l->types);
    vec_fini(&l->imports);
    vec_fini(&l->cpu_globals);
    vec_fini(&l->globals);
    vec_fini(&l->function_types);
}

/* One segment, at env.table_base: what the table order of the whole rests on. */
static int
element_count(const struct wasm_module *m, uint32_t *count, struct err *e)
{
    *count = 0;
    if (m->elements.count == 0)
        return 0;
    if (m->elements.count > 1 || !m->elements.items[0].offset.is_global)
        return err_set(e, "a code object has one element segment, at env.table_base");
    *count = m->elements.items[0].count;
    return 0;
}

static int
read_entries(const struct wasm_module *m, uint64_t *entries, size_t *count, struct err *e)
{
    const struct wasm_custom *s = wasm_custom_find(m, "ingot.entries");
    struct cursor c;
    uint64_t address = 0;
    uint32_t elements;

    if (element_count(m, &elements, e) < 0)
        return -1;
    if (!s && elements == 0)
        return *count = 0;
    if (!s)
        return err_set(e, "no section ingot.entries");
    c = cursor_make(s->content.data, s->content.size);
    *count = cursor_uleb(&c, 64);
    if (c.failed || *count != elements)
        return err_set(e, "section ingot.entries does not agree with the element segment");
    for (size_t i = 0; i < *count; i++) {
        uint64_t delta = cursor_uleb(&c, 64);

        if (c.failed || __builtin_add_overflow(address, delta, &address) || (i && !delta))
            return err_set(e, "section ingot.entries is malformed");
        if (entries)
            entries[i] = address;
    }
    return cursor_left(&c) ? err_set(e, "section ingot.entries is longer than its count") : 0;
}

int
wasm_object_entries(const uint8_t *object, size_t size, uint64_t **out, size_t *count, struct err *e)
{
    struct wasm_module m;
    uint64_t *entries = NULL;
    int rc;

    *out = NULL;
    *count = 0;
    if (wasm_module_read(&m, object, size, e) < 0)
        return -1;
    rc = read_entries(&m, NULL, count, e);
    if (rc == 0) {
        entries = mem_zalloc(*count + 1, sizeof *entries);
        rc = read_entries(&m, entries, count, e);
    }
    if (rc == 0)
        *out = entries;
    else
        mem_free(entries);
    wasm_module_fini(&m);
    return rc;
}

int
wasm_link_layout(struct wasm_link_input *inputs, size_t count, uint32_t *table_size, struct err *e)
{
    uint32_t total = 0;

    for (size_t i = 0; i < count; i++) {
        struct wasm_module m;
        size_t entries = 0;
        int rc;

        if (wasm_module_read(&m, inputs[i].object, inputs[i].size, e) < 0)
            return err_prefix(e, "object %zu", i);
        rc = read_entries(&m, NULL, &entries, e);
        wasm_module_fini(&m);
        if (rc < 0)
            return err_prefix(e, "object %zu", i);
        if (entries > WASM_MAX_TABLE - total)
            return err_set(e, "object %zu: function table is full", i);
        inputs[i].table_base = total;
        inputs[i].entry_count = (uint32_t)entries;
        total += (uint32_t)entries;
    }
    *table_size = total;
    return 0;
}

int
wasm_link(struct wasm_link_input *inputs, size_t count, struct buf *out, struct err *e)
{
    static const uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct linker l = {.inputs = inputs, .count = count, .e = e};
    uint32_t table_size;
    int rc;

    if (wasm_link_layout(inputs, count, &table_size, e) < 0)
        return -1;
    l.objects = mem_zalloc(count + 1, sizeof *l.objects);
    rc = read_objects(&l);
    if (rc == 0) {
        buf_put(out, magic, sizeof magic);
        rc = put_types(&l, out) < 0 || put_imports(&l, out) < 0 || put_functions(&l, out) < 0 ||
                     put_table_and_memory(&l, out, table_size) < 0 || put_globals(&l, out) < 0 ||
                     put_exports(&l, out) < 0 || put_elements(&l, out) < 0 || put_code(&l, out) < 0
                 ? -1
                 : 0;
    }
    linker_fini(&l);
    return rc;
}
