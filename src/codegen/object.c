/* The code object: declarations, the entry table, and the module around the functions' code. */
#include "codegen/object_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_4_GIB = 65536, PARAMETERS = 4 /* that an import has, but for those of fixed types */ };

struct wasm_object *
wasm_object_new(bool base_is_zero, bool precise_faults)
{
    struct wasm_object *o = mem_zalloc(1, sizeof *o);

    o->base_is_zero = base_is_zero;
    o->precise_faults = precise_faults;
    return o;
}

void
wasm_object_free(struct wasm_object *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->functions.count; i++)
        code_fini(&o->functions.items[i].code);
    vec_fini(&o->functions);
    vec_fini(&o->table);
    mem_free(o->lookup);
    code_fini(&o->dispatcher);
    arena_fini(&o->arena);
    mem_free(o);
}

void
wasm_object_declare(struct wasm_object *o, uint64_t address, const uint64_t *entries, size_t entry_count)
{
    struct wasm_function fn = {.address = address, .order = (uint32_t)o->functions.count};

    if (o->sealed) {
        o->late_declaration = true;
        return;
    }
    if (entry_count == 0) {
        entries = &address;
        entry_count = 1;
    }
    fn.entries = arena_copy(&o->arena, entries, entry_count * sizeof *entries);
    fn.entry_count = (uint32_t)entry_count;
    vec_push(&o->functions, fn);
}

static int
compare_functions(const void *a, const void *b)
{
    const struct wasm_function *x = a, *y = b;

    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int
compare_entries(const void *a, const void *b)
{
    const struct wasm_entry *x = a, *y = b;

    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    /* A function's own entry before somebody's inner one. */
    if ((x->selector == 0) != (y->selector == 0))
        return x->selector == 0 ? -1 : 1;
    if (x->function != y->function)
        return x->function < y->function ? -1 : 1;
    return x->selector < y->selector ? -1 : x->selector > y->selector;
}

static void
make_table(struct wasm_object *o)
{
    size_t count = 0;

    for (uint32_t i = 0; i < o->functions.count; i++) {
        const struct wasm_function *fn = &o->functions.items[i];

        for (uint32_t k = 0; k < fn->entry_count; k++) {
            struct wasm_entry entry = {fn->entries[k], i, k};

            vec_push(&o->table, entry);
        }
    }
    if (o->table.count != 0)
        qsort(o->table.items, o->table.count, sizeof *o->table.items, compare_entries);
    for (size_t i = 0; i < o->table.count; i++) {
        if (count == 0 || o->table.items[count - 1].address != o->table.items[i].address)
            o->table.items[count++] = o->table.items[i];
    }
    o->table.count = count;
}

static void
make_lookup(struct wasm_object *o)
{
    size_t size = 16;

    while (size < o->table.count * 2)
        size *= 2;
    o->lookup_mask = (uint32_t)size - 1;
    o->lookup = mem_zalloc(size, sizeof *o->lookup);
    for (uint32_t i = 0; i < o->table.count; i++) {
        uint32_t at = (uint32_t)(o->table.items[i].address * UINT64_C(0x9e3779b97f4a7c15) >> 32);

        for (at &= o->lookup_mask; o->lookup[at] != 0;)
            at = (at + 1) & o->lookup_mask;
        o->lookup[at] = i + 1;
    }
}

/* Fixes the order of functions, the table and all indices. */
static void
seal(struct wasm_object *o)
{
    if (o->sealed)
        return;
    o->sealed = true;
    if (o->functions.count != 0)
        qsort(o->functions.items, o->functions.count, sizeof *o->functions.items, compare_functions);
    make_table(o);
    make_lookup(o);
    for (uint32_t i = 0; i < o->table.count; i++) {
        struct wasm_function *fn = &o->functions.items[o->table.items[i].function];

        if (fn->slot_count++ == 0)
            fn->first_slot = i;
        fn->wrapper_count += o->table.items[i].selector != 0;
    }
    for (uint32_t i = 0; i < o->functions.count; i++) {
        struct wasm_function *fn = &o->functions.items[i];

        fn->index = o->defined_count;
        o->defined_count += 1 + fn->wrapper_count;
    }
    o->dispatch = o->defined_count++;
    code_dispatcher(&o->dispatcher);
}

const struct wasm_entry *
wasm_object_find(const struct wasm_object *o, uint64_t address)
{
    uint32_t at = (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32) & o->lookup_mask;

    for (; o->lookup[at] != 0; at = (at + 1) & o->lookup_mask) {
        const struct wasm_entry *entry = &o->table.items[o->lookup[at] - 1];

        if (entry->address == address)
            return entry;
    }
    return NULL;
}

static struct wasm_function *
find_function(struct wasm_object *o, uint64_t address)
{
    size_t low = 0, high = o->functions.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (o->functions.items[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == o->functions.count || o->functions.items[low].address != address)
        return NULL;
    return &o->functions.items[low];
}

int
wasm_object_add(struct wasm_object *o, const struct ir_func *f, struct err *e)
{
    struct wasm_function *fn;

    seal(o);
    fn = find_function(o, f->address);
    if (fn == NULL)
        return err_set(e, "function %#" PRIx64 " was not declared", f->address);
    if (fn->added)
        return err_set(e, "function %#" PRIx64 " was added twice", f->address);
    if (wasm_codegen(o, fn, f, e) < 0) {
        code_fini(&fn->code);
        return err_prefix(e, "function %#" PRIx64, f->address);
    }
    fn->added = true;
    for (size_t i = 0; i < f->blocks.count; i++) {
        o->text_bytes += f->blocks.items[i].size;
        o->text_insns += f->blocks.items[i].insn_count;
    }
    return 0;
}

/* --- the module --- */

struct module {
    struct wasm_object *o;
    struct buf *out;
    bool import_used[WASM_IMPORT_COUNT];
    bool global_used[WASM_GLOBAL_COUNT];
    uint32_t import_index[WASM_IMPORT_COUNT];
    uint32_t global_index[WASM_GLOBAL_COUNT];
    uint32_t import_type[WASM_IMPORT_COUNT];
    uint32_t import_count, global_count;
    struct buf types; /* past the fixed ones */
    uint32_t type_count;
    struct {
        uint8_t result, parameters[PARAMETERS];
    } signatures[WASM_IMPORT_COUNT];
};

static void
put_section(struct module *m, unsigned id, struct buf *content)
{
    buf_put_u8(m->out, (uint8_t)id);
    buf_put_uleb(m->out, content->size);
    buf_put(m->out, content->data, content->size);
    buf_fini(content);
}

static void
put_name(struct buf *b, const char *name)
{
    size_t size = strlen(name);

    buf_put_uleb(b, size);
    buf_put(b, name, size);
}

static void
collect_code_uses(struct module *m, const struct wasm_code *code)
{
    for (size_t k = 0; k < code->patches.count; k++) {
        const struct wasm_patch *p = &code->patches.items[k];

        if (p->kind == WASM_PATCH_IMPORT)
            m->import_used[p->index] = true;
        else if (p->kind == WASM_PATCH_GLOBAL)
            m->global_used[p->index] = true;
    }
}

static void
collect_uses(struct module *m)
{
    for (size_t i = 0; i < m->o->functions.count; i++)
        collect_code_uses(m, &m->o->functions.items[i].code);
    collect_code_uses(m, &m->o->dispatcher);
    if (m->o->table.count != 0)
        m->global_used[WASM_GLOBAL_TABLE_BASE] = true;
}

static uint32_t
signature(struct module *m, unsigned result, const uint8_t parameters[PARAMETERS])
{
    unsigned count = 0;
    uint32_t i;

    for (i = 0; i < m->type_count; i++) {
        if (m->signatures[i].result == result && !memcmp(m->signatures[i].parameters, parameters, PARAMETERS))
            return W_TYPE_FIXED + i;
    }
    m->signatures[i].result = (uint8_t)result;
    memcpy(m->signatures[i].parameters, parameters, PARAMETERS);
    m->type_count++;
    while (count < PARAMETERS && parameters[count] != IR_V)
        count++;
    buf_put_u8(&m->types, 0x60);
    buf_put_uleb(&m->types, count);
    for (unsigned k = 0; k < count; k++)
        buf_put_u8(&m->types, wasm_value_type(parameters[k]));
    buf_put_uleb(&m->types, result != IR_V);
    if (result != IR_V)
        buf_put_u8(&m->types, wasm_value_type(result));
    return W_TYPE_FIXED + i;
}

static uint32_t
host_signature(struct module *m, const struct ir_op_info *host)
{
    uint8_t parameters[PARAMETERS] = {host->a, host->b, host->c};
    unsigned count = 1 + (host->b != IR_V) + (host->c != IR_V);

    if (host->host_operands > count)
        parameters[count] = IR_I32;
    return signature(m, host->result, parameters);
}

static uint32_t
import_signature(struct module *m, unsigned import)
{
    const struct ir_helper_info *info;
    const struct ir_op_info *host;

    if (import >= WASM_IMPORT_HOST && import < WASM_IMPORT_HELPER) {
        host = &ir_op_infos[IR_HOST_FIRST + import - WASM_IMPORT_HOST];
        return host_signature(m, host);
    }
    switch (import) {
    case WASM_IMPORT_SYSCALL:
    case WASM_IMPORT_ENTER:
    case WASM_IMPORT_UNWIND:
    case WASM_IMPORT_TRAP: return W_TYPE_GUEST;
    case WASM_IMPORT_FAULT_STATE: return W_TYPE_FAULT_STATE;
    case WASM_IMPORT_POLL: return signature(m, IR_V, (uint8_t[PARAMETERS]){IR_I64});
    case WASM_IMPORT_SP: return signature(m, IR_I64, (uint8_t[PARAMETERS]){IR_V});
    case WASM_IMPORT_MULHU:
    case WASM_IMPORT_MULHS: return signature(m, IR_I64, (uint8_t[PARAMETERS]){IR_I64, IR_I64});
    default:
        info = &ir_helper_infos[import - WASM_IMPORT_HELPER];
        return signature(m, info->result, (uint8_t[PARAMETERS]){info->a, info->b, info->c});
    }
}

static void
assign_imports(struct module *m)
{
    for (unsigned i = 0; i < WASM_IMPORT_COUNT; i++) {
        if (!m->import_used[i])
            continue;
        m->import_index[i] = m->import_count++;
        m->import_type[i] = import_signature(m, i);
    }
    for (unsigned i = 0; i < WASM_GLOBAL_COUNT; i++) {
        if (m->global_used[i])
            m->global_index[i] = m->global_count++;
    }
}

static void
put_i64_type(struct buf *b, unsigned parameters, unsigned results)
{
    buf_put_u8(b, 0x60);
    buf_put_uleb(b, parameters);
    for (unsigned i = 0; i < parameters; i++)
        buf_put_u8(b, wasm_value_type(IR_I64));
    buf_put_uleb(b, results);
    for (unsigned i = 0; i < results; i++)
        buf_put_u8(b, wasm_value_type(IR_I64));
}

static void
put_types(struct module *m)
{
    struct buf b = {0};

    buf_put_uleb(&b, W_TYPE_FIXED + m->type_count);
    put_i64_type(&b, PARAMETER_COUNT, PROMOTED_COUNT);
    put_i64_type(&b, FAULT_STATE_PARAMETERS, 0);
    buf_put(&b, m->types.data, m->types.size);
    buf_fini(&m->types);
    put_section(m, 1, &b);
}

static void
put_import_function(struct module *m, struct buf *b, unsigned i)
{
    static const char *const names[] = {"syscall", "enter", "unwind", "trap",       "poll",
                                        "sp",      "mulhu", "mulhs",  "fault_state"};

    if (i >= WASM_IMPORT_HOST && i < WASM_IMPORT_HELPER) {
        char name[16];

        put_name(b, "intrinsic");
        put_name(b, ir_host_name(IR_HOST_FIRST + i - WASM_IMPORT_HOST, name, sizeof name));
    } else if (i >= WASM_IMPORT_HELPER) {
        put_name(b, "helper");
        put_name(b, ir_helper_infos[i - WASM_IMPORT_HELPER].name);
    } else {
        put_name(b, i < WASM_IMPORT_SP ? "kernel" : "intrinsic");
        put_name(b, names[i]);
    }
    buf_put_u8(b, 0x00);
    buf_put_uleb(b, m->import_type[i]);
}

static void
put_import_global(struct buf *b, unsigned i)
{
    if (i < X86_S_COUNT) {
        put_name(b, "cpu");
        put_name(b, ir_state_infos[i].name);
        buf_put_u8(b, 0x03);
        buf_put_u8(b, wasm_value_type(ir_state_infos[i].type));
        buf_put_u8(b, 1);
        return;
    }
    put_name(b, "env");
    put_name(b, i == WASM_GLOBAL_CODE_BASE ? "code_base" : "table_base");
    buf_put_u8(b, 0x03);
    buf_put_u8(b, wasm_value_type(i == WASM_GLOBAL_CODE_BASE ? IR_I64 : IR_I32));
    buf_put_u8(b, 0);
}

static void
put_imports(struct module *m)
{
    struct buf b = {0};

    buf_put_uleb(&b, 2 + m->import_count + m->global_count);
    put_name(&b, "env");
    put_name(&b, "memory");
    buf_put_u8(&b, 0x02);
    buf_put_u8(&b, 1);
    buf_put_uleb(&b, PAGES_4_GIB);
    buf_put_uleb(&b, PAGES_4_GIB);
    put_name(&b, "env");
    put_name(&b, "table");
    buf_put_u8(&b, 0x01);
    buf_put_u8(&b, 0x70);
    buf_put_u8(&b, 0);
    buf_put_uleb(&b, m->o->table.count);
    for (unsigned i = 0; i < WASM_IMPORT_COUNT; i++) {
        if (m->import_used[i])
            put_import_function(m, &b, i);
    }
    for (unsigned i = 0; i < WASM_GLOBAL_COUNT; i++) {
        if (m->global_used[i])
            put_import_global(&b, i);
    }
    put_section(m, 2, &b);
}

static void
put_function_types(struct module *m)
{
    struct buf b = {0};

    buf_put_uleb(&b, m->o->defined_count);
    for (uint32_t i = 0; i < m->o->defined_count; i++)
        buf_put_uleb(&b, W_TYPE_GUEST);
    put_section(m, 3, &b);
}

/* The wrappers of a function come in the order of its table slots. */
static void
put_elements(struct module *m)
{
    struct buf b = {0};
    uint32_t *seen;

    if (m->o->table.count == 0)
        return;
    seen = mem_zalloc(m->o->functions.count, sizeof *seen);
    buf_put_uleb(&b, 1);
    buf_put_uleb(&b, 0); /* active, table 0, function indices */
    buf_put_u8(&b, W_GLOBAL_GET);
    buf_put_uleb(&b, m->global_index[WASM_GLOBAL_TABLE_BASE]);
    buf_put_u8(&b, W_END);
    buf_put_uleb(&b, m->o->table.count);
    for (size_t i = 0; i < m->o->table.count; i++) {
        uint32_t k = m->o->table.items[i].function;
        const struct wasm_function *fn = &m->o->functions.items[k];
        uint32_t index = m->import_count + fn->index;

        if (m->o->table.items[i].selector != 0)
            index += 1 + seen[k]++;
        buf_put_uleb(&b, index);
    }
    mem_free(seen);
    put_section(m, 9, &b);
}

static uint32_t
patch_value(const struct module *m, const struct wasm_patch *p)
{
    switch (p->kind) {
    case WASM_PATCH_FUNCTION: return m->import_count + p->index;
    case WASM_PATCH_IMPORT: return m->import_index[p->index];
    default: return m->global_index[p->index];
    }
}

static size_t
uleb_size(uint64_t v)
{
    size_t size = 1;

    while (v >>= 7)
        size++;
    return size;
}

static void
put_body(struct module *m, struct buf *b, const struct wasm_code *code)
{
    size_t size = code->bytes.size, at = 0;

    for (size_t i = 0; i < code->patches.count; i++)
        size += uleb_size(patch_value(m, &code->patches.items[i]));
    buf_put_uleb(b, size);
    for (size_t i = 0; i < code->patches.count; i++) {
        const struct wasm_patch *p = &code->patches.items[i];

        buf_put(b, code->bytes.data + at, p->offset - at);
        buf_put_uleb(b, patch_value(m, p));
        at = p->offset;
    }
    buf_put(b, code->bytes.data + at, code->bytes.size - at);
}

static void
put_wrapper(struct module *m, struct buf *b, const struct wasm_function *fn, uint32_t selector)
{
    struct wasm_code code = {0};

    buf_put_uleb(&code.bytes, 0);
    for (unsigned i = 0; i < PARAMETER_COUNT; i++)
        code_op_index(&code, W_LOCAL_GET, i);
    code_i64_const(&code, (uint64_t)selector << 32);
    code_op(&code, W_I64_OR);
    code_call(&code, W_RETURN_CALL, fn->index);
    code_op(&code, W_END);
    put_body(m, b, &code);
    code_fini(&code);
}

static void
put_wrappers(struct module *m, struct buf *b, uint32_t function)
{
    const struct wasm_function *fn = &m->o->functions.items[function];
    uint32_t left = fn->wrapper_count;

    for (uint32_t i = fn->first_slot; left != 0; i++) {
        const struct wasm_entry *entry = &m->o->table.items[i];

        if (entry->function != function || entry->selector == 0)
            continue;
        put_wrapper(m, b, fn, entry->selector);
        left--;
    }
}

static void
put_code(struct module *m)
{
    struct buf b = {0};

    buf_put_uleb(&b, m->o->defined_count);
    for (uint32_t i = 0; i < m->o->functions.count; i++) {
        put_body(m, &b, &m->o->functions.items[i].code);
        put_wrappers(m, &b, i);
    }
    put_body(m, &b, &m->o->dispatcher);
    put_section(m, 10, &b);
}

static void
put_custom(struct module *m)
{
    struct buf b = {0};
    uint64_t last = 0;

    put_name(&b, "ingot.entries");
    buf_put_uleb(&b, m->o->table.count);
    for (size_t i = 0; i < m->o->table.count; i++) {
        buf_put_uleb(&b, m->o->table.items[i].address - last);
        last = m->o->table.items[i].address;
    }
    put_section(m, 0, &b);
    put_name(&b, "ingot.text_size");
    buf_put_uleb(&b, m->o->text_bytes);
    buf_put_uleb(&b, m->o->text_insns);
    buf_put_uleb(&b, m->o->functions.count);
    put_section(m, 0, &b);
    if (m->o->precise_faults) {
        put_name(&b, "ingot.precise");
        put_section(m, 0, &b);
    }
}

int
wasm_object_finish(struct wasm_object *o, struct buf *out, struct err *e)
{
    static const uint8_t header[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct module *m;

    seal(o);
    if (o->late_declaration)
        return err_set(e, "a function was declared after the first was added");
    for (size_t i = 0; i < o->functions.count; i++) {
        if (!o->functions.items[i].added)
            return err_set(e, "function %#" PRIx64 " was declared but not added", o->functions.items[i].address);
    }
    m = mem_zalloc(1, sizeof *m);
    m->o = o;
    m->out = out;
    collect_uses(m);
    assign_imports(m);
    buf_put(out, header, sizeof header);
    put_types(m);
    put_imports(m);
    put_function_types(m);
    put_elements(m);
    put_code(m);
    put_custom(m);
    mem_free(m);
    return 0;
}
