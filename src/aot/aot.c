/* The pipeline: read and validate, choose the part's functions, translate, optimise, generate code. */
#include "aot/aot_internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* Sizes are bytes of wasm code. A part this large keeps one processor busy for seconds and no more. */
enum {
    PART_SIZE = 192 << 10,
    LARGE_FUNCTION = 96 << 10, /* a part of its own, less effort */
    HUGE_FUNCTION = 512 << 10, /* least effort: what grows faster than linearly is left out */
};

/* By effort; chosen by measurement (docs/decisions). */
static const char *const pass_lists[] = {
    [AOT_EFFORT_FULL] = "sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,adce",
    [AOT_EFFORT_LESS] = "sroa,early-cse,simplifycfg,adce",
    [AOT_EFFORT_LEAST] = "sroa,early-cse,adce",
};

#define AOT_VERSION "aot 5, LLVM 19"

static pthread_once_t initialised = PTHREAD_ONCE_INIT;

/* Options of the code generator that only its command line has; they hold for the whole process. The
 * scheduler before register allocation costs an eighth of the time and gains nothing on these processors. */
static const char *const llvm_options[] = {"ingot", "-enable-misched=0"};

const char *aot_further_llvm_options;

enum { FURTHER_OPTIONS = 32 };

static void
parse_options(void)
{
    const char *options[sizeof llvm_options / sizeof *llvm_options + FURTHER_OPTIONS];
    size_t count = sizeof llvm_options / sizeof *llvm_options;
    char *further = mem_strdup(aot_further_llvm_options ? aot_further_llvm_options : ""), *rest = further;

    memcpy(options, llvm_options, sizeof llvm_options);
    for (char *word; count < sizeof options / sizeof *options && (word = strtok_r(rest, " ", &rest));)
        options[count++] = word;
    LLVMParseCommandLineOptions((int)count, options, NULL);
    mem_free(further);
}

static void
initialise(void)
{
    parse_options();
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); /* inline assembly: comisd */
}

static void
plan_part(struct aot_plan *plan, enum aot_effort effort)
{
    plan->effort = mem_realloc(plan->effort, plan->parts + 1, sizeof *plan->effort);
    plan->effort[plan->parts++] = effort;
}

void
aot_plan_make(struct aot_plan *plan, const struct wasm_module *m)
{
    uint32_t current = 0;
    size_t filled = 0;

    *plan = (struct aot_plan){.part_of = mem_zalloc(m->functions.count + 1, sizeof *plan->part_of)};
    plan_part(plan, AOT_EFFORT_FULL);
    for (size_t i = m->imported_functions; i < m->functions.count; i++) {
        size_t size = m->functions.items[i].body.size;

        if (size > LARGE_FUNCTION) {
            plan->part_of[i] = plan->parts;
            plan_part(plan, size > HUGE_FUNCTION ? AOT_EFFORT_LEAST : AOT_EFFORT_LESS);
            continue;
        }
        if (filled && filled + size > PART_SIZE) {
            current = plan->parts;
            plan_part(plan, AOT_EFFORT_FULL);
            filled = 0;
        }
        plan->part_of[i] = current;
        filled += size;
    }
}

void
aot_plan_fini(struct aot_plan *plan)
{
    mem_free(plan->part_of);
    mem_free(plan->effort);
}

static LLVMTargetMachineRef
make_target(const struct aot_options *options, enum aot_effort effort, bool precise_faults, struct err *e)
{
    static const char triple[] = "x86_64-unknown-linux-gnu";
    LLVMCodeGenOptLevel level = options->opt_level <= 0   ? LLVMCodeGenLevelNone
                                : options->opt_level == 1 ? LLVMCodeGenLevelLess
                                : options->opt_level == 2 ? LLVMCodeGenLevelDefault
                                                          : LLVMCodeGenLevelAggressive;
    LLVMTargetRef target;
    LLVMTargetMachineRef machine;
    char *message = NULL;

    /* Level Less takes as long as Default; only None is faster, by three times, for six times the size. */
    if (effort == AOT_EFFORT_LEAST)
        level = LLVMCodeGenLevelNone;
    if (precise_faults && level == LLVMCodeGenLevelNone)
        level = LLVMCodeGenLevelLess; /* its register allocator has not enough of them for stack maps */
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        err_set(e, "LLVM: %s", message ? message : "no target");
        LLVMDisposeMessage(message);
        return NULL;
    }
    machine = LLVMCreateTargetMachine(target, triple, options->cpu ? options->cpu : "x86-64-v2", "", level,
                                      LLVMRelocStatic, LLVMCodeModelSmall);
    if (!machine)
        err_set(e, "LLVM makes no target machine");
    return machine;
}

/* What a compilation owns; compile_begin() fills it, compile_end() releases what there is. */
struct compilation {
    struct wasm_module m;
    struct aot_plan plan;
    struct translator t;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetMachineRef machine;
};

static int
translate_part(struct compilation *c, unsigned part, struct err *e)
{
    for (uint32_t f = c->m.imported_functions; f < c->m.functions.count; f++) {
        if (c->plan.part_of[f] != part)
            continue;
        if (wasm_validate_function(&c->m, f, e) < 0 || aot_translate_function(&c->t, f) < 0)
            return -1;
    }
    return part == 0 ? aot_define_table(&c->t) : 0;
}

/* LLVM reports what it cannot do (a constant out of range, for one) through this; the default ends the
 * process, which is right: such a module is ours to fix, and no object has been written. */
static int
compile_begin(struct compilation *c, const uint8_t *module, size_t size, unsigned part,
              const struct aot_options *options, struct err *e)
{
    LLVMTargetDataRef layout;
    char *text;

    pthread_once(&initialised, initialise);
    *c = (struct compilation){0};
    if (wasm_module_read(&c->m, module, size, e) < 0)
        return -1;
    aot_plan_make(&c->plan, &c->m);
    if (part >= c->plan.parts)
        return err_set(e, "module has %u parts, no part %u", c->plan.parts, part);
    c->machine = make_target(options, c->plan.effort[part], wasm_custom_find(&c->m, AOT_PRECISE_SECTION) != NULL, e);
    if (!c->machine)
        return -1;
    c->context = LLVMContextCreate();
    c->module = LLVMModuleCreateWithNameInContext(options->key, c->context);
    LLVMSetTarget(c->module, "x86_64-unknown-linux-gnu");
    layout = LLVMCreateTargetDataLayout(c->machine);
    text = LLVMCopyStringRepOfTargetData(layout);
    LLVMSetDataLayout(c->module, text);
    LLVMDisposeMessage(text);
    LLVMDisposeTargetData(layout);
    if (aot_translator_init(&c->t, &c->m, options, c->context, c->module, e) < 0)
        return -1;
    return translate_part(c, part, e);
}

static void
compile_end(struct compilation *c)
{
    aot_translator_fini(&c->t);
    if (c->module)
        LLVMDisposeModule(c->module);
    if (c->machine)
        LLVMDisposeTargetMachine(c->machine);
    if (c->context)
        LLVMContextDispose(c->context);
    aot_plan_fini(&c->plan);
    wasm_module_fini(&c->m);
}

static int
verify(struct compilation *c, struct err *e)
{
#ifndef NDEBUG
    char *message = NULL;

    if (LLVMVerifyModule(c->module, LLVMReturnStatusAction, &message)) {
        err_set(e, "LLVM verifier: %s", message);
        LLVMDisposeMessage(message);
        return -1;
    }
    LLVMDisposeMessage(message);
#endif
    return 0;
}

static int
optimise(struct compilation *c, unsigned part, const struct aot_options *options, struct err *e)
{
    const char *passes = options->passes ? options->passes : pass_lists[c->plan.effort[part]];
    LLVMPassBuilderOptionsRef o;
    LLVMErrorRef error;
    char *message;

    if (options->opt_level <= 0 || !*passes)
        return 0;
    o = LLVMCreatePassBuilderOptions();
    error = LLVMRunPasses(c->module, passes, c->machine, o);
    LLVMDisposePassBuilderOptions(o);
    if (!error) {
        aot_limit_phis(c->context, c->module);
        aot_guard_partial_registers(c->context, c->module);
        return 0;
    }
    message = LLVMGetErrorMessage(error);
    err_set(e, "LLVM passes: %s", message);
    LLVMDisposeErrorMessage(message);
    return -1;
}

static int
emit(struct compilation *c, struct buf *out, struct err *e)
{
    LLVMMemoryBufferRef object = NULL;
    char *message = NULL;
    size_t start;

    if (LLVMTargetMachineEmitToMemoryBuffer(c->machine, c->module, LLVMObjectFile, &message, &object)) {
        err_set(e, "LLVM: %s", message ? message : "no object");
        LLVMDisposeMessage(message);
        return -1;
    }
    start = out->size;
    buf_put(out, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
    LLVMDisposeMemoryBuffer(object);
    return aot_rewrite_stack_maps(out, start, e);
}

int
aot_part_count(const uint8_t *module, size_t size, unsigned *parts, struct err *e)
{
    struct wasm_module m;
    struct aot_plan plan;

    if (wasm_module_read(&m, module, size, e) < 0)
        return -1;
    aot_plan_make(&plan, &m);
    *parts = plan.parts;
    aot_plan_fini(&plan);
    wasm_module_fini(&m);
    return 0;
}

int
aot_compile(const uint8_t *module, size_t size, unsigned part, const struct aot_options *options, struct buf *out,
            struct err *e)
{
    struct compilation c;
    int rc = compile_begin(&c, module, size, part, options, e);

    if (rc == 0)
        rc = verify(&c, e);
    if (rc == 0)
        rc = optimise(&c, part, options, e);
    if (rc == 0)
        rc = emit(&c, out, e);
    compile_end(&c);
    return rc;
}

int
aot_print(const uint8_t *module, size_t size, unsigned part, const struct aot_options *options, bool optimised,
          struct buf *out, struct err *e)
{
    struct compilation c;
    int rc = compile_begin(&c, module, size, part, options, e);

    if (rc == 0 && optimised)
        rc = verify(&c, e) < 0 ? -1 : optimise(&c, part, options, e);
    if (rc == 0) {
        char *text = LLVMPrintModuleToString(c.module);

        buf_put(out, text, strlen(text));
        LLVMDisposeMessage(text);
    }
    compile_end(&c);
    return rc;
}

const char *
aot_version(void)
{
    return AOT_VERSION;
}
