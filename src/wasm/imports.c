/* The imports of code objects, from the tables that make them. */
#include "wasm/imports.h"

#include <string.h>

/* Types as letters of operators.def: i I v, and V for none. */
struct function {
    const char *name;
    char result, params[3];
};

#define LETTER_V     'V'
#define LETTER_I32   'i'
#define LETTER_I64   'I'
#define LETTER(type) LETTER_##type

static const struct function helpers[] = {
#define HELPER(name, result, a, b, c, flags) {#name, LETTER(result), {LETTER(a), LETTER(b), LETTER(c)}},
#include "ir/helpers.def"
#undef HELPER
};

#define TYPE_I32  WASM_I32
#define TYPE_I64  WASM_I64
#define TYPE_V128 WASM_V128

static const struct {
    const char *name;
    uint8_t type;
} registers[] = {
#define STATE(id, name, type, member) {name, TYPE_##type},
#include "x86/state.def"
#undef STATE
};

enum {
    GUEST_RESULTS = 0
#define PROMOTED(id) +1
#include "wasm/convention.def"
#undef PROMOTED
};

static bool
is_type(uint8_t type, char letter)
{
    return type == (letter == 'i' ? WASM_I32 : WASM_I64);
}

static bool
is_helper(const struct wasm_import *import, const struct wasm_functype *t)
{
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++) {
        const struct function *h = &helpers[i];
        uint32_t count = 0;

        if (!wasm_bytes_equal(import->name, h->name))
            continue;
        while (count < 3 && h->params[count] != 'V')
            count++;
        if (t->param_count != count || t->result_count != (h->result != 'V') ||
            (t->result_count && !is_type(t->results[0], h->result)))
            return false;
        for (uint32_t k = 0; k < count; k++)
            if (!is_type(t->params[k], h->params[k]))
                return false;
        return true;
    }
    return false;
}

static bool
all_i64(const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (types[i] != WASM_I64)
            return false;
    return true;
}

static bool
is_kernel(const struct wasm_import *import, const struct wasm_functype *t)
{
    static const char *const calls[] = {"syscall", "enter", "unwind", "trap"};

    if (!all_i64(t->params, t->param_count) || !all_i64(t->results, t->result_count))
        return false;
    if (wasm_bytes_equal(import->name, "poll"))
        return t->param_count == 1 && t->result_count == 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (wasm_bytes_equal(import->name, calls[i]))
            return t->param_count == GUEST_RESULTS + 1 && t->result_count == GUEST_RESULTS;
    return false;
}

static bool
is_function(const struct wasm_module *m, const struct wasm_import *import)
{
    const struct wasm_functype *t = wasm_function_type(m, import->index);

    if (wasm_bytes_equal(import->module, "helper"))
        return is_helper(import, t);
    if (wasm_bytes_equal(import->module, "kernel"))
        return is_kernel(import, t);
    return wasm_bytes_equal(import->module, "intrinsic");
}

static bool
is_global(const struct wasm_module *m, const struct wasm_import *import)
{
    const struct wasm_global *g = &m->globals.items[import->index];

    if (wasm_bytes_equal(import->module, "env") && !g->is_mutable)
        return (wasm_bytes_equal(import->name, "code_base") && g->type == WASM_I64) ||
               (wasm_bytes_equal(import->name, "table_base") && g->type == WASM_I32);
    if (!wasm_bytes_equal(import->module, "cpu") || !g->is_mutable)
        return false;
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++)
        if (wasm_bytes_equal(import->name, registers[i].name))
            return (uint8_t)g->type == registers[i].type;
    return false;
}

static bool
is_ours(const struct wasm_module *m, const struct wasm_import *import)
{
    switch (import->kind) {
    case WASM_FUNCTION: return is_function(m, import);
    case WASM_GLOBAL: return is_global(m, import);
    case WASM_MEMORY: return wasm_bytes_equal(import->module, "env") && wasm_bytes_equal(import->name, "memory");
    case WASM_TABLE: return wasm_bytes_equal(import->module, "env") && wasm_bytes_equal(import->name, "table");
    }
    return false;
}

int
wasm_check_imports(const struct wasm_module *m, struct err *e)
{
    for (size_t i = 0; i < m->imports.count; i++) {
        const struct wasm_import *import = &m->imports.items[i];

        if (!is_ours(m, import))
            return err_set(e, "import %.*s.%.*s is none of a code object's, or of another type",
                           (int)import->module.size, import->module.data, (int)import->name.size, import->name.data);
    }
    return 0;
}

int
wasm_check_object_imports(const void *object, size_t size, struct err *e)
{
    struct wasm_module m;
    int rc;

    if (wasm_module_read(&m, object, size, e) < 0)
        return -1;
    rc = wasm_check_imports(&m, e);
    wasm_module_fini(&m);
    return rc;
}
