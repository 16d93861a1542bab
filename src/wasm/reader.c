/* The structure of a module: sections, in the order and within the bounds that the core specification
 * (5.5) fixes. */
#include "wasm/reader.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct wasm_module *m;
    struct cursor c;   /* the section being read */
    uint32_t declared; /* entries of the function section */
    struct err *e;
};

static int
fail(struct reader *r, const char *what)
{
    return err_set(r->e, "wasm offset 0x%zx: %s", (size_t)(r->c.at - r->m->bytes.data), what);
}

static uint32_t
u32(struct reader *r)
{
    return (uint32_t)cursor_uleb(&r->c, 32);
}

/* Every item takes at least one byte: a larger count cannot be true. */
static int
read_count(struct reader *r, uint32_t *count)
{
    *count = u32(r);
    if (r->c.failed || *count > cursor_left(&r->c))
        return fail(r, "count larger than its section");
    return 0;
}

static bool
utf8_valid(const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size;

    while (p < end) {
        uint32_t code = *p++, low;
        unsigned more;

        if (code < 0x80)
            continue;
        if (code >= 0xc2 && code < 0xe0) {
            more = 1, low = 0x80, code &= 0x1f;
        } else if (code >= 0xe0 && code < 0xf0) {
            more = 2, low = 0x800, code &= 0xf;
        } else if (code >= 0xf0 && code < 0xf5) {
            more = 3, low = 0x10000, code &= 7;
        } else {
            return false;
        }
        for (; more; more--) {
            if (p == end || (*p & 0xc0) != 0x80)
                return false;
            code = code << 6 | (*p++ & 0x3f);
        }
        if (code < low || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
    }
    return true;
}

static int
read_name(struct reader *r, struct wasm_bytes *name)
{
    uint32_t size = u32(r);

    name->data = cursor_bytes(&r->c, size);
    name->size = size;
    if (r->c.failed)
        return fail(r, "name runs past its section");
    if (!utf8_valid(name->data, size))
        return fail(r, "name is not UTF-8");
    return 0;
}

static bool
is_value_type(uint8_t t)
{
    return t >= WASM_V128 && t <= WASM_I32;
}

static int
read_value_type(struct reader *r, enum wasm_type *type)
{
    uint8_t t = cursor_u8(&r->c);

    if (r->c.failed || !is_value_type(t))
        return fail(r, "value type does not exist or is not supported");
    *type = t;
    return 0;
}

static int
read_types_of(struct reader *r, const uint8_t **types, uint32_t *count, uint32_t limit)
{
    if (read_count(r, count) < 0)
        return -1;
    if (*count > limit)
        return fail(r, "too many parameters or results");
    *types = cursor_bytes(&r->c, *count);
    for (uint32_t i = 0; i < *count; i++)
        if (!is_value_type((*types)[i]))
            return fail(r, "value type does not exist or is not supported");
    return 0;
}

static int
read_type_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_functype t = {0};

        if (cursor_u8(&r->c) != 0x60)
            return fail(r, "type does not exist or is not supported: not a function type");
        if (read_types_of(r, &t.params, &t.param_count, WASM_MAX_PARAMS) < 0 ||
            read_types_of(r, &t.results, &t.result_count, WASM_MAX_RESULTS) < 0)
            return -1;
        vec_push(&r->m->types, t);
    }
    return 0;
}

static int
read_limits(struct reader *r, uint32_t most, struct wasm_limits *limits)
{
    uint8_t flags = cursor_u8(&r->c);

    if (r->c.failed || flags > 1)
        return fail(r, "limits other than minimum and maximum (shared, 64-bit) are not supported");
    limits->min = u32(r);
    limits->max = flags ? u32(r) : 0xffffffff;
    if (r->c.failed || limits->min > most || (flags && limits->max > most) || limits->min > limits->max)
        return fail(r, "bad limits");
    return 0;
}

static int
read_table(struct reader *r, int64_t import)
{
    if (r->m->has_table)
        return fail(r, "more than one table is not supported");
    if (cursor_u8(&r->c) != WASM_FUNCREF)
        return fail(r, "tables other than of funcref are not supported");
    r->m->has_table = true;
    r->m->table_import = import;
    return read_limits(r, WASM_MAX_TABLE, &r->m->table);
}

static int
read_memory(struct reader *r, int64_t import)
{
    if (r->m->has_memory)
        return fail(r, "more than one memory is not supported");
    r->m->has_memory = true;
    r->m->memory_import = import;
    return read_limits(r, WASM_MAX_PAGES, &r->m->memory);
}

static int
read_global_type(struct reader *r, struct wasm_global *g)
{
    uint8_t mutable;

    if (read_value_type(r, &g->type) < 0)
        return -1;
    mutable = cursor_u8(&r->c);
    if (r->c.failed || mutable > 1)
        return fail(r, "bad mutability");
    g->is_mutable = mutable;
    return 0;
}

static int
read_import(struct reader *r, struct wasm_import *import)
{
    struct wasm_module *m = r->m;
    int64_t index = (int64_t)m->imports.count;
    uint8_t kind;

    if (read_name(r, &import->module) < 0 || read_name(r, &import->name) < 0)
        return -1;
    kind = cursor_u8(&r->c);
    if (r->c.failed || kind > WASM_GLOBAL)
        return fail(r, "import of a kind that does not exist or is not supported");
    import->kind = kind;
    if (kind == WASM_FUNCTION) {
        struct wasm_function f = {.type = u32(r), .import = index};

        if (r->c.failed || f.type >= m->types.count)
            return fail(r, "no such type");
        import->index = (uint32_t)m->functions.count;
        vec_push(&m->functions, f);
    } else if (kind == WASM_GLOBAL) {
        struct wasm_global g = {.import = index};

        if (read_global_type(r, &g) < 0)
            return -1;
        import->index = (uint32_t)m->globals.count;
        vec_push(&m->globals, g);
    } else {
        return kind == WASM_TABLE ? read_table(r, index) : read_memory(r, index);
    }
    return 0;
}

static int
read_import_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_import import = {0};

        if (read_import(r, &import) < 0)
            return -1;
        vec_push(&r->m->imports, import);
    }
    r->m->imported_functions = (uint32_t)r->m->functions.count;
    r->m->imported_globals = (uint32_t)r->m->globals.count;
    return 0;
}

static int
read_function_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_function f = {.type = u32(r), .import = -1};

        if (r->c.failed || f.type >= r->m->types.count)
            return fail(r, "no such type");
        vec_push(&r->m->functions, f);
    }
    r->declared = count;
    return 0;
}

/* Table and memory sections: at most one item, since more would be more than one table or memory. */
static int
read_table_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (read_table(r, -1) < 0)
            return -1;
    return 0;
}

static int
read_memory_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (read_memory(r, -1) < 0)
            return -1;
    return 0;
}

static int
read_constant_operator(struct reader *r, struct wasm_constant *k)
{
    switch (cursor_u8(&r->c)) {
    case 0x41:
        k->type = WASM_I32;
        k->bits[0] = (uint32_t)cursor_sleb(&r->c, 32);
        return 0;
    case 0x42:
        k->type = WASM_I64;
        k->bits[0] = (uint64_t)cursor_sleb(&r->c, 64);
        return 0;
    case 0x43:
        k->type = WASM_F32;
        k->bits[0] = cursor_u32(&r->c);
        return 0;
    case 0x44:
        k->type = WASM_F64;
        k->bits[0] = cursor_u64(&r->c);
        return 0;
    case 0xfd:
        if (cursor_uleb(&r->c, 32) != 12)
            return fail(r, "not a constant operator");
        k->type = WASM_V128;
        k->bits[0] = cursor_u64(&r->c);
        k->bits[1] = cursor_u64(&r->c);
        return 0;
    case 0x23:
        k->is_global = true;
        k->global = u32(r);
        if (r->c.failed || k->global >= r->m->imported_globals || r->m->globals.items[k->global].is_mutable)
            return fail(r, "constant expression of other than an imported immutable global: wrong or not supported");
        k->type = r->m->globals.items[k->global].type;
        return 0;
    default: return fail(r, "constant expression of a form that is wrong or not supported");
    }
}

static int
read_constant(struct reader *r, enum wasm_type type, struct wasm_constant *k)
{
    *k = (struct wasm_constant){0};
    if (read_constant_operator(r, k) < 0)
        return -1;
    if (cursor_u8(&r->c) != 0x0b || r->c.failed)
        return fail(r, "constant expression of more than one operator is not supported");
    if (k->type != type)
        return fail(r, "constant expression of the wrong type");
    return 0;
}

static int
read_global_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_global g = {.import = -1};

        if (read_global_type(r, &g) < 0 || read_constant(r, g.type, &g.init) < 0)
            return -1;
        vec_push(&r->m->globals, g);
    }
    return 0;
}

static bool
external_exists(const struct wasm_module *m, enum wasm_external kind, uint32_t index)
{
    switch (kind) {
    case WASM_FUNCTION: return index < m->functions.count;
    case WASM_TABLE: return m->has_table && index == 0;
    case WASM_MEMORY: return m->has_memory && index == 0;
    case WASM_GLOBAL: return index < m->globals.count;
    }
    return false;
}

static int
export_compare(const void *va, const void *vb)
{
    const struct wasm_export *const *a = va, *const *b = vb;
    size_t na = (*a)->name.size, nb = (*b)->name.size;
    int order = memcmp((*a)->name.data, (*b)->name.data, na < nb ? na : nb);

    return order ? order : (na > nb) - (na < nb);
}

static int
check_export_names(struct reader *r)
{
    size_t count = r->m->exports.count;
    const struct wasm_export **sorted = mem_zalloc(count + 1, sizeof *sorted);
    bool twice = false;

    for (size_t i = 0; i < count; i++)
        sorted[i] = &r->m->exports.items[i];
    qsort(sorted, count, sizeof *sorted, export_compare);
    for (size_t i = 1; i < count; i++)
        twice |= export_compare(&sorted[i - 1], &sorted[i]) == 0;
    mem_free(sorted);
    return twice ? fail(r, "two exports of one name") : 0;
}

static int
read_export_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_export x = {0};
        uint8_t kind;

        if (read_name(r, &x.name) < 0)
            return -1;
        kind = cursor_u8(&r->c);
        x.index = u32(r);
        if (r->c.failed || kind > WASM_GLOBAL || !external_exists(r->m, kind, x.index))
            return fail(r, "export of what does not exist");
        x.kind = kind;
        vec_push(&r->m->exports, x);
    }
    return check_export_names(r);
}

static int
read_start_section(struct reader *r)
{
    const struct wasm_functype *t;

    r->m->start = u32(r);
    if (r->c.failed || r->m->start >= r->m->functions.count)
        return fail(r, "start function does not exist");
    t = wasm_function_type(r->m, r->m->start);
    if (t->param_count || t->result_count)
        return fail(r, "start function has parameters or results");
    r->m->has_start = true;
    return 0;
}

/* Kinds 0 and 2: active, function indices (element kind 0). The others need passive segments or
 * reference expressions, which nothing here makes. */
static int
read_element_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_element s = {0};
        uint32_t kind = u32(r), *functions;

        if (r->c.failed || (kind != 0 && kind != 2))
            return fail(r, "element segment of a kind that does not exist or is not supported");
        if ((kind == 2 && u32(r) != 0) || !r->m->has_table)
            return fail(r, "element segment of a table that does not exist");
        if (read_constant(r, WASM_I32, &s.offset) < 0)
            return -1;
        if (kind == 2 && cursor_u8(&r->c) != 0)
            return fail(r, "element segment of a kind that does not exist or is not supported");
        if (read_count(r, &s.count) < 0)
            return -1;
        functions = arena_alloc(&r->m->arena, s.count * sizeof *functions + 1);
        for (uint32_t k = 0; k < s.count; k++) {
            functions[k] = u32(r);
            if (r->c.failed || functions[k] >= r->m->functions.count)
                return fail(r, "element is no function");
        }
        s.functions = functions;
        vec_push(&r->m->elements, s);
    }
    return 0;
}

static int
read_code_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    if (count != r->declared)
        return fail(r, "function and code sections differ in length");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = u32(r);
        struct wasm_function *f = &r->m->functions.items[r->m->imported_functions + i];

        f->body.data = cursor_bytes(&r->c, size);
        f->body.size = size;
        if (r->c.failed)
            return fail(r, "body runs past its section");
    }
    r->declared = 0;
    return 0;
}

static int
read_data_section(struct reader *r)
{
    uint32_t count;

    if (read_count(r, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct wasm_data d = {0};
        uint32_t kind = u32(r), size;

        if (r->c.failed || (kind != 0 && kind != 2))
            return fail(r, "data segment of a kind that does not exist or is not supported");
        if ((kind == 2 && u32(r) != 0) || !r->m->has_memory)
            return fail(r, "data segment of a memory that does not exist");
        if (read_constant(r, WASM_I32, &d.offset) < 0)
            return -1;
        size = u32(r);
        d.bytes.data = cursor_bytes(&r->c, size);
        d.bytes.size = size;
        if (r->c.failed)
            return fail(r, "data runs past its section");
        vec_push(&r->m->data, d);
    }
    return 0;
}

static int
read_custom_section(struct reader *r)
{
    struct wasm_custom s = {0};

    if (read_name(r, &s.name) < 0)
        return -1;
    s.content.size = cursor_left(&r->c);
    s.content.data = cursor_bytes(&r->c, s.content.size);
    vec_push(&r->m->customs, s);
    return 0;
}

static int (*const section_readers[])(struct reader *) = {
    read_custom_section, read_type_section,    read_import_section, read_function_section,
    read_table_section,  read_memory_section,  read_global_section, read_export_section,
    read_start_section,  read_element_section, read_code_section,   read_data_section,
};

static int
read_sections(struct reader *r, struct cursor *all)
{
    uint8_t last = 0;

    while (cursor_left(all)) {
        uint8_t id = cursor_u8(all);
        uint32_t size = (uint32_t)cursor_uleb(all, 32);

        r->c = *all;
        if (all->failed || size > cursor_left(all))
            return fail(r, "section runs past the module");
        r->c = cursor_sub(all, size);
        if (id >= sizeof section_readers / sizeof *section_readers)
            return fail(r, "section does not exist or is not supported");
        if (id && id <= last)
            return fail(r, "sections out of order");
        last = id ? id : last;
        if (section_readers[id](r) < 0)
            return -1;
        if (r->c.failed || cursor_left(&r->c))
            return fail(r, "section is not as long as it says");
    }
    return 0;
}

int
wasm_module_read(struct wasm_module *m, const void *data, size_t size, struct err *e)
{
    static const uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct cursor all = cursor_make(data, size);
    struct reader r = {.m = m, .c = all, .e = e};
    const uint8_t *head;
    int rc;

    *m = (struct wasm_module){.bytes = {data, size}, .table_import = -1, .memory_import = -1};
    head = cursor_bytes(&all, sizeof magic);
    if (!head || memcmp(head, magic, sizeof magic))
        return err_set(e, "not a WebAssembly module of version 1");
    rc = read_sections(&r, &all);
    if (rc == 0 && r.declared)
        rc = err_set(e, "function section without code section");
    if (rc < 0)
        wasm_module_fini(m);
    return rc;
}

void
wasm_module_fini(struct wasm_module *m)
{
    vec_fini(&m->types);
    vec_fini(&m->imports);
    vec_fini(&m->functions);
    vec_fini(&m->globals);
    vec_fini(&m->exports);
    vec_fini(&m->elements);
    vec_fini(&m->data);
    vec_fini(&m->customs);
    arena_fini(&m->arena);
    *m = (struct wasm_module){0};
}

static bool
types_equal(const uint8_t *a, const uint8_t *b, uint32_t count)
{
    return count == 0 || memcmp(a, b, count) == 0;
}

bool
wasm_functype_equal(const struct wasm_functype *a, const struct wasm_functype *b)
{
    return a->param_count == b->param_count && a->result_count == b->result_count &&
           types_equal(a->params, b->params, a->param_count) && types_equal(a->results, b->results, a->result_count);
}

bool
wasm_bytes_equal(struct wasm_bytes a, const char *text)
{
    return a.size == strlen(text) && memcmp(a.data, text, a.size) == 0;
}

const struct wasm_functype *
wasm_function_type(const struct wasm_module *m, uint32_t function)
{
    return &m->types.items[m->functions.items[function].type];
}

const struct wasm_custom *
wasm_custom_find(const struct wasm_module *m, const char *name)
{
    for (size_t i = 0; i < m->customs.count; i++)
        if (wasm_bytes_equal(m->customs.items[i].name, name))
            return &m->customs.items[i];
    return NULL;
}
