/* What a wasm module is to LLVM before its functions' bodies: what aot takes, types, symbols, metadata, the table. */
#include "aot/emit.h"

#include <string.h>

LLVMTypeRef
aot_type(struct translator *t, uint8_t type)
{
    switch ((enum wasm_type)type) {
    case WASM_I32: return t->i32;
    case WASM_I64: return t->i64;
    case WASM_F32: return t->f32;
    case WASM_F64: return t->f64;
    default: return t->vec[AOT_I64X2];
    }
}

static bool
all_i64(const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (types[i] != WASM_I64)
            return false;
    return true;
}

/* The type of compiled code (wasm/convention.def), of all that is in the table, and of the kernel's imports that take
 * part in calls: the ten registers and the link in, the registers out. All in registers, and equal
 * prototypes, as musttail wants them. */
bool
aot_is_guest_type(const struct wasm_functype *type)
{
    return type->param_count == AOT_REGCALL_REGISTERS && type->result_count == AOT_REGCALL_REGISTERS - 1 &&
           all_i64(type->params, type->param_count) && all_i64(type->results, type->result_count);
}

/* kernel.poll: it is nearly never called and keeps every register, so that its callers need not save any. */
bool
aot_is_poll_type(const struct wasm_functype *type)
{
    return type->param_count == 1 && type->result_count == 0 && all_i64(type->params, 1);
}

LLVMTypeRef
aot_function_type(struct translator *t, uint32_t index)
{
    const struct wasm_functype *type = &t->m->types.items[index];
    LLVMTypeRef *params, *results, result = t->void_type;

    if (t->types[index])
        return t->types[index];
    params = mem_zalloc(type->param_count + 1, sizeof(LLVMTypeRef));
    results = mem_zalloc(type->result_count + 1, sizeof(LLVMTypeRef));
    for (uint32_t i = 0; i < type->param_count; i++)
        params[i] = aot_type(t, type->params[i]);
    for (uint32_t i = 0; i < type->result_count; i++)
        results[i] = aot_type(t, type->results[i]);
    if (type->result_count == 1)
        result = results[0];
    else if (type->result_count)
        result = LLVMStructTypeInContext(t->context, results, type->result_count, 0);
    t->types[index] = LLVMFunctionType(result, params, type->param_count, 0);
    mem_free(params);
    mem_free(results);
    return t->types[index];
}

static void
add_attribute(struct translator *t, LLVMValueRef function, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

    LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(t->context, kind, 0));
}

void
aot_add_text_attribute(struct translator *t, LLVMValueRef function, const char *name, const char *value)
{
    LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(t->context, name, (unsigned)strlen(name), value,
                                                      (unsigned)strlen(value)));
}

/* Compiled code preserves no register: the guest's are all in parameters, so that saving RBX, RBP or XMM8 to 15
 * would mostly be for nothing. platform/enter.S saves what C wants kept. */
const char aot_no_saved_registers[] = "no_callee_saved_registers";

static void
set_regcall(struct translator *t, LLVMValueRef function)
{
    LLVMSetFunctionCallConv(function, AOT_REGCALL);
    aot_add_text_attribute(t, function, aot_no_saved_registers, "");
}

/* Hidden makes it dso_local: no GOT, no PLT. */
static LLVMValueRef
declare(struct translator *t, const char *name, LLVMTypeRef type)
{
    LLVMValueRef f = LLVMAddFunction(t->module, name, type);

    LLVMSetVisibility(f, LLVMHiddenVisibility);
    add_attribute(t, f, "nounwind");
    return f;
}

/* The same may be imported twice (with one type: check_imports()). */
static LLVMValueRef
declare_import(struct translator *t, uint32_t function)
{
    static const char *const rare[] = {"poll", "unwind", "trap"}; /* a hint only */
    const struct wasm_import *import = &t->m->imports.items[t->m->functions.items[function].import];
    char *name = mem_printf("%.*s_%.*s", (int)import->module.size, (const char *)import->module.data,
                            (int)import->name.size, (const char *)import->name.data);
    LLVMValueRef f = LLVMGetNamedFunction(t->module, name);

    if (f) {
        mem_free(name);
        return f;
    }
    f = declare(t, name, aot_function_type(t, t->m->functions.items[function].type));
    if (wasm_bytes_equal(import->module, "kernel")) {
        if (aot_is_poll_type(wasm_function_type(t->m, function)))
            LLVMSetFunctionCallConv(f, AOT_PRESERVE_ALL);
        else
            set_regcall(t, f);
        for (size_t k = 0; k < sizeof rare / sizeof *rare; k++)
            if (wasm_bytes_equal(import->name, rare[k]))
                add_attribute(t, f, "cold");
    }
    mem_free(name);
    return f;
}

LLVMValueRef
aot_function(struct translator *t, uint32_t function)
{
    LLVMValueRef f = t->functions[function];
    char *name;

    if (f)
        return f;
    if (t->m->functions.items[function].import >= 0) {
        f = declare_import(t, function);
    } else {
        name = mem_printf("%s.%u", t->options->key, function);
        f = declare(t, name, aot_function_type(t, t->m->functions.items[function].type));
        set_regcall(t, f);
        mem_free(name);
    }
    t->functions[function] = f;
    return f;
}

/* Tells which values the linker may give a symbol: from..to. */
static void
set_absolute(struct translator *t, LLVMValueRef symbol, uint64_t from, uint64_t to)
{
    LLVMValueRef range[2] = {aot_i64(t, from), aot_i64(t, to)};

    LLVMGlobalSetMetadata(symbol, t->kind_absolute, LLVMValueAsMetadata(LLVMMDNodeInContext(t->context, range, 2)));
}

static LLVMValueRef
absolute_symbol(struct translator *t, const char *name)
{
    LLVMValueRef g = LLVMAddGlobal(t->module, t->i8, name);

    LLVMSetVisibility(g, LLVMHiddenVisibility);
    set_absolute(t, g, 0, 1ull << 31);
    return g;
}

LLVMValueRef
aot_global_symbol(struct translator *t, uint32_t index)
{
    const struct wasm_global *g = &t->m->globals.items[index];
    const struct wasm_import *import = &t->m->imports.items[g->import];
    int module_size = (int)import->module.size, name_size = (int)import->name.size;
    char *name;

    if (t->globals[index])
        return t->globals[index];
    if (g->is_mutable) {
        name = mem_printf("%.*s.%.*s", module_size, import->module.data, name_size, import->name.data);
        t->globals[index] = LLVMGetNamedGlobal(t->module, name); /* imported before, of whatever type */
        if (!t->globals[index])
            t->globals[index] =
                LLVMAddGlobalInAddressSpace(t->module, aot_type(t, (uint8_t)g->type), name, AOT_SPACE_FS);
        LLVMSetVisibility(t->globals[index], LLVMHiddenVisibility);
        /* A negative offset from FS: its address is no 32-bit immediate. */
        set_absolute(t, t->globals[index], 0 - (1ull << 31), 0);
    } else {
        name =
            mem_printf("%.*s.%.*s.%s", module_size, import->module.data, name_size, import->name.data, t->options->key);
        t->globals[index] = LLVMGetNamedGlobal(t->module, name);
        if (!t->globals[index])
            t->globals[index] = absolute_symbol(t, name);
    }
    mem_free(name);
    return t->globals[index];
}

/* What the validator accepts and the rules of aot.h have no place for. */
static int
check_module(const struct wasm_module *m, struct err *e)
{
    if (m->has_start || m->data.count)
        return err_set(e, "aot takes code objects: no start function, no data");
    if (m->has_memory && (m->memory_import < 0 || m->memory.min != WASM_MAX_PAGES))
        return err_set(e, "memory must be imported and of 65536 pages: accesses are not checked");
    if (m->has_table && m->table_import < 0)
        return err_set(e, "table must be imported");
    for (size_t i = m->imported_globals; i < m->globals.count; i++)
        if (m->globals.items[i].is_mutable || m->globals.items[i].init.is_global)
            return err_set(e, "global %zu: own globals must be constants", i);
    /* Two kinds of symbols, which must not have each other's names. */
    for (size_t i = 0; i < m->imported_globals; i++)
        if (m->globals.items[i].is_mutable ==
            wasm_bytes_equal(m->imports.items[m->globals.items[i].import].module, "env"))
            return err_set(e, "global %zu: immutable globals are imported from env, mutable ones are not", i);
    for (size_t i = 0; i < m->imported_globals; i++)
        if (!m->globals.items[i].is_mutable && m->globals.items[i].type != WASM_I32 &&
            m->globals.items[i].type != WASM_I64)
            return err_set(e, "global %zu: imported immutable globals must be integers", i);
    for (size_t i = 0; i < m->elements.count; i++)
        for (uint32_t k = 0; k < m->elements.items[i].count; k++)
            if (!aot_is_guest_type(wasm_function_type(m, m->elements.items[i].functions[k])))
                return err_set(e, "element %u has a type other than the table's", k);
    return 0;
}

static bool
bytes_same(struct wasm_bytes a, struct wasm_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* A symbol has one type, though a module may import it with several. */
static int
check_imported_twice(const struct wasm_module *m, struct err *e)
{
    enum { MOST = 4096 }; /* there are some hundred */

    if (m->imported_functions > MOST || m->imported_globals > MOST)
        return err_set(e, "more imports than there are");
    for (uint32_t i = 0; i < m->imported_functions; i++) {
        const struct wasm_import *import = &m->imports.items[m->functions.items[i].import];

        for (uint32_t k = 0; k < i; k++) {
            const struct wasm_import *other = &m->imports.items[m->functions.items[k].import];

            if (bytes_same(import->name, other->name) && bytes_same(import->module, other->module) &&
                !wasm_functype_equal(wasm_function_type(m, i), wasm_function_type(m, k)))
                return err_set(e, "import %.*s.%.*s has two types", (int)import->module.size, import->module.data,
                               (int)import->name.size, import->name.data);
        }
    }
    return 0;
}

static int
check_imports(const struct wasm_module *m, struct err *e)
{
    static const struct {
        const char *name;
        unsigned params;
        unsigned results;
    } intrinsics[] = {{"sp", 0, 1}, {"mulhu", 2, 1}, {"mulhs", 2, 1}, {"fault_state", AOT_FAULT_STATE_PARAMETERS, 0}};

    for (uint32_t i = 0; i < m->imported_functions; i++) {
        const struct wasm_import *import = &m->imports.items[m->functions.items[i].import];
        const struct wasm_functype *type = wasm_function_type(m, i);
        bool known = wasm_bytes_equal(import->module, "kernel") || wasm_bytes_equal(import->module, "helper");

        known |= wasm_bytes_equal(import->module, "intrinsic") && aot_is_host_import(import->name, type);
        for (size_t k = 0; k < sizeof intrinsics / sizeof *intrinsics; k++)
            known |= wasm_bytes_equal(import->module, "intrinsic") &&
                     wasm_bytes_equal(import->name, intrinsics[k].name) && type->param_count == intrinsics[k].params &&
                     type->result_count == intrinsics[k].results && all_i64(type->params, type->param_count) &&
                     all_i64(type->results, type->result_count);
        if (wasm_bytes_equal(import->module, "kernel") &&
            ((!aot_is_guest_type(type) && !aot_is_poll_type(type)) || wasm_bytes_equal(import->name, "wasm_trap")))
            known = false;
        /* A name becomes a symbol: no NUL, no surprise. */
        if (memchr(import->name.data, 0, import->name.size) || !known)
            return err_set(e, "import %.*s.%.*s is unknown or of the wrong type", (int)import->module.size,
                           import->module.data, (int)import->name.size, import->name.data);
    }
    return check_imported_twice(m, e);
}

static LLVMValueRef
tbaa_tag(struct translator *t, LLVMValueRef root, const char *name)
{
    LLVMValueRef type[3] = {LLVMMDStringInContext(t->context, name, (unsigned)strlen(name)), root, aot_i64(t, 0)};
    LLVMValueRef node = LLVMMDNodeInContext(t->context, type, 3);
    LLVMValueRef tag[3] = {node, node, aot_i64(t, 0)};

    return LLVMMDNodeInContext(t->context, tag, 3);
}

static unsigned
metadata_kind(struct translator *t, const char *name)
{
    return LLVMGetMDKindIDInContext(t->context, name, (unsigned)strlen(name));
}

static void
make_metadata(struct translator *t)
{
    LLVMValueRef root = LLVMMDStringInContext(t->context, "wasm", 4);
    LLVMValueRef register_name = LLVMMDStringInContext(t->context, "rsp", 3);

    root = LLVMMDNodeInContext(t->context, &root, 1);
    t->kind_tbaa = metadata_kind(t, "tbaa");
    t->kind_invariant = metadata_kind(t, "invariant.load");
    t->kind_absolute = metadata_kind(t, "absolute_symbol");
    t->tbaa_memory = tbaa_tag(t, root, "memory");
    t->tbaa_cpu = tbaa_tag(t, root, "globals");
    t->empty_node = LLVMMDNodeInContext(t->context, NULL, 0);
    t->stack_pointer_name = LLVMMDNodeInContext(t->context, &register_name, 1);
}

static void
make_types(struct translator *t)
{
    LLVMContextRef c = t->context;

    t->i1 = LLVMInt1TypeInContext(c);
    t->i8 = LLVMInt8TypeInContext(c);
    t->i16 = LLVMInt16TypeInContext(c);
    t->i32 = LLVMInt32TypeInContext(c);
    t->i64 = LLVMInt64TypeInContext(c);
    t->i128 = LLVMInt128TypeInContext(c);
    t->f32 = LLVMFloatTypeInContext(c);
    t->f64 = LLVMDoubleTypeInContext(c);
    t->void_type = LLVMVoidTypeInContext(c);
    t->pointer = LLVMPointerTypeInContext(c, 0);
    t->guest_pointer = LLVMPointerTypeInContext(c, AOT_SPACE_GS);
    t->vec[AOT_I8X16] = LLVMVectorType(t->i8, 16);
    t->vec[AOT_I16X8] = LLVMVectorType(t->i16, 8);
    t->vec[AOT_I32X4] = LLVMVectorType(t->i32, 4);
    t->vec[AOT_I64X2] = LLVMVectorType(t->i64, 2);
    t->vec[AOT_F32X4] = LLVMVectorType(t->f32, 4);
    t->vec[AOT_F64X2] = LLVMVectorType(t->f64, 2);
    t->table_type = LLVMArrayType2(t->pointer, 0);
    t->trap_type = LLVMFunctionType(t->void_type, &t->i32, 1, 0);
}

int
aot_translator_init(struct translator *t, const struct wasm_module *m, const struct aot_options *options,
                    LLVMContextRef context, LLVMModuleRef module, struct err *e)
{
    *t = (struct translator){.m = m, .options = options, .e = e, .context = context, .module = module};
    if (check_module(m, e) < 0 || check_imports(m, e) < 0)
        return -1;
    t->b = LLVMCreateBuilderInContext(context);
    t->precise_faults = wasm_custom_find(m, AOT_PRECISE_SECTION) != NULL;
    make_types(t);
    make_metadata(t);
    t->functions = mem_zalloc(m->functions.count + 1, sizeof(LLVMValueRef));
    t->globals = mem_zalloc(m->globals.count + 1, sizeof(LLVMValueRef));
    t->types = mem_zalloc(m->types.count + 1, sizeof(LLVMTypeRef));
    /* Not by the name of the section itself: in an object that has such a section LLVM would make it the section's own
     * symbol, and the table would begin at this object's piece. The linker defines __start_SECTION. */
    t->table = LLVMAddGlobal(module, t->table_type, "__start_ingot_table");
    LLVMSetVisibility(t->table, LLVMHiddenVisibility);
    t->table_size = absolute_symbol(t, "ingot_table_size");
    t->trap_function = declare(t, "kernel_wasm_trap", t->trap_type);
    /* It never returns, so nothing need be saved around the call; its argument is passed as in C. */
    LLVMSetFunctionCallConv(t->trap_function, AOT_PRESERVE_ALL);
    add_attribute(t, t->trap_function, "noreturn");
    add_attribute(t, t->trap_function, "cold");
    return 0;
}

void
aot_translator_fini(struct translator *t)
{
    if (t->b)
        LLVMDisposeBuilder(t->b);
    mem_free(t->functions);
    mem_free(t->globals);
    mem_free(t->types);
    mem_free(t->local_types);
    mem_free(t->locals);
    mem_free(t->local_values);
    mem_free(t->local_epochs);
    vec_fini(&t->stack);
    vec_fini(&t->frames);
    vec_fini(&t->phis);
    vec_fini(&t->params);
}

/* The linker concatenates the pieces of section "ingot_table" in the order of the objects. */
int
aot_define_table(struct translator *t)
{
    const struct wasm_module *m = t->m;
    VEC(LLVMValueRef) entries = {0};
    LLVMValueRef piece;

    for (size_t i = 0; i < m->elements.count; i++)
        for (uint32_t k = 0; k < m->elements.items[i].count; k++)
            vec_push(&entries, aot_function(t, m->elements.items[i].functions[k]));
    if (entries.count) {
        LLVMTypeRef type = LLVMArrayType2(t->pointer, entries.count);
        char *name = mem_printf("%s.table", t->options->key);

        piece = LLVMAddGlobal(t->module, type, name);
        LLVMSetInitializer(piece, LLVMConstArray2(t->pointer, entries.items, entries.count));
        LLVMSetGlobalConstant(piece, 1);
        LLVMSetSection(piece, "ingot_table");
        LLVMSetVisibility(piece, LLVMHiddenVisibility);
        LLVMSetAlignment(piece, 8);
        mem_free(name);
    }
    vec_fini(&entries);
    return 0;
}
