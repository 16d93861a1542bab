/* Modules compiled, instantiated and called in this process (spec.h). */
#include "spec.h"

#include <asm/prctl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aot/aot.h"
#include "platform/kernel_imports.h"
#include "x86/cpu.h"

#define RESERVATION (8ull << 30)
enum { STACK_SIZE = 8 << 20, STACK_GUARD = 64 << 10, PAGE = 65536, MOST_SLOTS = 100000, TABLE_OF_SPECTEST = 10 };

__thread union spec_value spec_cells[SPEC_CELLS];
/* platform/enter.S. */
extern __thread struct x86_cpu x86_cpu_tls __attribute__((visibility("hidden"), tls_model("local-exec")));
__thread uint64_t platform_frame_tls __attribute__((visibility("hidden")));
void platform_enter(const void *code);

static uint8_t *stack;
static uint32_t next_cell = SPEC_FREE_CELLS;
static unsigned next_key;
static struct spec_instance *running;
static sigjmp_buf escape;
static volatile bool inside;

/* --- what code refers to --- */
void
kernel_wasm_trap(int kind)
{
    siglongjmp(escape, SPEC_TRAPPED + kind);
}

static _Noreturn void
no_import(uint64_t where)
{
    abort();
}

void
kernel_enter_c(uint64_t link)
{
    no_import(link);
}

void
kernel_trap_c(uint64_t pc)
{
    no_import(pc);
}

void
kernel_syscall_c(uint64_t next)
{
    no_import(next);
}

void
kernel_poll_c(uint64_t pc)
{
    no_import(pc);
}

static void
print_nothing(void)
{
}

static uint32_t
memory_size(void)
{
    return (uint32_t)running->pages;
}

static uint32_t
memory_grow(uint32_t by)
{
    struct spec_instance *i = running;
    uint32_t before = (uint32_t)i->pages;

    if (by > i->most_pages - i->pages)
        return UINT32_MAX;
    if (by && mprotect(i->memory + i->pages * PAGE, (size_t)by * PAGE, PROT_READ | PROT_WRITE) < 0)
        return UINT32_MAX;
    i->pages += by;
    return before;
}

static const struct {
    const char *name;
    void (*function)(void);
    const char *params; /* of the spectest module's; NULL: ours */
} functions[] = {
    {"print", print_nothing, ""},
    {"print_i32", print_nothing, "\x7f"},
    {"print_i64", print_nothing, "\x7e"},
    {"print_f32", print_nothing, "\x7d"},
    {"print_f64", print_nothing, "\x7c"},
    {"print_i32_f32", print_nothing, "\x7f\x7d"},
    {"print_f64_f64", print_nothing, "\x7c\x7c"},
    {"memory_size", (void (*)(void))memory_size, NULL},
    {"memory_grow", (void (*)(void))memory_grow, NULL},
    {"kernel_wasm_trap", (void (*)(void))kernel_wasm_trap, NULL},
};

static uint64_t
thread_base(void)
{
    uint64_t base;

    __asm__("movq %%fs:0, %0" : "=r"(base));
    return base;
}

static bool
resolve(void *context, const char *name, uint32_t table_entries, uint64_t *value)
{
    const struct spec_instance *i = context;

    if (!strncmp(name, "cell.", 5)) {
        *value = (uint64_t)(uintptr_t)&spec_cells[strtoul(name + 5, NULL, 10)] - thread_base();
        return true;
    }
    if (!strncmp(name, "env.table_base.", 15)) {
        *value = 0;
        return true;
    }
    if (!strcmp(name, "ingot_table_size")) {
        *value = i->object.table_size;
        return true;
    }
    if (!strncmp(name, "helper_", 7))
        name += 7;
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        if (!strcmp(name, functions[k].name)) {
            *value = (uint64_t)(uintptr_t)functions[k].function;
            return true;
        }
    }
    return false;
}

/* --- faults --- */
static void
on_fault(int number, siginfo_t *info, void *context)
{
    uint8_t *at = info->si_addr;

    if (inside && number == SIGSEGV && info->si_code != SI_KERNEL) {
        if (at >= stack && at < stack + STACK_GUARD)
            siglongjmp(escape, SPEC_EXHAUSTED);
        if (running->memory && at >= running->memory && at < running->memory + RESERVATION)
            siglongjmp(escape, SPEC_BEYOND);
    }
    signal(number, SIG_DFL);
}

struct run {
    void (*function)(void *argument);
    void *argument;
};

static void *
run_on_thread(void *argument)
{
    static uint8_t signal_stack[65536];
    const struct run *r = argument;
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};

    sigaltstack(&ss, NULL);
    r->function(r->argument);
    return NULL;
}

void
spec_native_run(void (*function)(void *argument), void *argument)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct run r = {function, argument};
    pthread_attr_t attributes;
    pthread_t thread;

    stack = mmap(NULL, STACK_SIZE + STACK_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack + STACK_GUARD, STACK_SIZE, PROT_READ | PROT_WRITE) < 0) {
        perror("spec-run: stack");
        exit(2);
    }
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack + STACK_GUARD, STACK_SIZE);
    if (pthread_create(&thread, &attributes, run_on_thread, &r) != 0) {
        perror("spec-run: thread");
        exit(2);
    }
    pthread_join(thread, NULL);
}

void
spec_native_reset(void)
{
    loader_clear();
    next_cell = SPEC_FREE_CELLS;
}

/* --- instances --- */
static bool
is_of_spectest(const struct wasm_import *import, const char *name)
{
    return wasm_bytes_equal(import->module, "spectest") && (!name || wasm_bytes_equal(import->name, name));
}

static int
check_imports(const struct wasm_module *m, struct err *e)
{
    for (size_t i = 0; i < m->imports.count; i++) {
        const struct wasm_import *import = &m->imports.items[i];
        bool known = is_of_spectest(import, NULL);

        if (import->kind == WASM_FUNCTION) {
            const struct wasm_functype *t = wasm_function_type(m, import->index);
            bool same = false;

            for (size_t k = 0; k < sizeof functions / sizeof *functions; k++)
                same |= functions[k].params && wasm_bytes_equal(import->name, functions[k].name) && !t->result_count &&
                        t->param_count == strlen(functions[k].params) &&
                        memcmp(t->params ? t->params : (const uint8_t *)"", functions[k].params, t->param_count) == 0;
            known &= same;
        }
        if (!known)
            return err_set(e, "test: import %.*s.%.*s is not supported", (int)import->module.size, import->module.data,
                           (int)import->name.size, import->name.data);
    }
    return 0;
}

static union spec_value
of_spectest(const struct wasm_global *g)
{
    union spec_value v = {0};
    float f = 666.6f;
    double d = 666.6;

    if (g->type == WASM_F32)
        memcpy(&v, &f, 4);
    else if (g->type == WASM_F64)
        memcpy(&v, &d, 8);
    else
        v.u64[0] = 666;
    return v;
}

/* Also before the cells are filled: of imported globals and constants. */
static union spec_value
evaluate(const struct wasm_module *m, const struct wasm_constant *c)
{
    if (c->is_global)
        return of_spectest(&m->globals.items[c->global]);
    return (union spec_value){.u64 = {c->bits[0], c->bits[1]}};
}

union spec_value
spec_global(const struct spec_instance *i, uint32_t global)
{
    uint32_t cell = i->object.cell_of[global];

    return cell == SPEC_NO_CELL ? evaluate(&i->m, &i->m.globals.items[global].init) : spec_cells[cell];
}

static void
fill_cells(struct spec_instance *i)
{
    for (uint32_t k = 0; k < i->m.globals.count; k++) {
        const struct wasm_global *g = &i->m.globals.items[k];

        if (i->object.cell_of[k] == SPEC_NO_CELL)
            continue;
        spec_cells[i->object.cell_of[k]] = g->import >= 0 ? of_spectest(g) : evaluate(&i->m, &g->init);
        next_cell++;
    }
}

static int
make_memory(struct spec_instance *i, struct err *e)
{
    if (!i->m.has_memory)
        return 0;
    i->memory = mmap(NULL, RESERVATION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (i->memory == MAP_FAILED) {
        i->memory = NULL;
        return err_set(e, "no 8 GiB of addresses");
    }
    i->pages = i->m.memory_import >= 0 ? 1 : i->m.memory.min;
    i->most_pages = i->m.memory_import >= 0 ? 2 : i->m.memory.max < WASM_MAX_PAGES ? i->m.memory.max : WASM_MAX_PAGES;
    if (i->pages && mprotect(i->memory, i->pages * PAGE, PROT_READ | PROT_WRITE) < 0)
        return err_set(e, "no memory");
    return 0;
}

/* False: a segment lies outside. */
static bool
fill_slots(struct spec_instance *i)
{
    const struct wasm_module *m = &i->m;
    bool fits = true;

    i->slots = mem_zalloc(i->slot_count + 1, sizeof *i->slots);
    memset(i->slots, 0xff, i->slot_count * sizeof *i->slots);
    for (size_t k = 0; k < m->elements.count && fits; k++) {
        uint64_t at = evaluate(m, &m->elements.items[k].offset).u32[0];
        uint32_t count = m->elements.items[k].count;

        fits = at + count <= i->slot_count;
        for (uint32_t n = 0; fits && n < count; n++)
            i->slots[at + n] = m->elements.items[k].functions[n];
    }
    return fits;
}

static bool
fill_memory(struct spec_instance *i)
{
    for (size_t k = 0; k < i->m.data.count; k++) {
        const struct wasm_data *d = &i->m.data.items[k];
        uint64_t at = evaluate(&i->m, &d->offset).u32[0];

        if (at + d->bytes.size > i->pages * PAGE)
            return false;
        memcpy(i->memory + at, d->bytes.data, d->bytes.size);
    }
    return true;
}

int
spec_instantiate(struct spec_instance *i, bool precise, bool *trapped, struct err *e)
{
    struct wasm_module made;
    bool fits;

    *trapped = false;
    i->slot_count = !i->m.has_table ? 0 : i->m.table_import >= 0 ? TABLE_OF_SPECTEST : i->m.table.min;
    if (i->slot_count > MOST_SLOTS)
        return err_set(e, "test: a table of %u slots is not supported", i->slot_count);
    if (check_imports(&i->m, e) < 0 || make_memory(i, e) < 0)
        return -1;
    fits = fill_slots(i);
    if (spec_object_make(&i->m, i->slots, i->slot_count, next_cell, precise, &i->object, e) < 0)
        return -1;
    snprintf(i->key, sizeof i->key, "k%u", next_key++);
    /* What the test itself made must be right. */
    if (wasm_module_read(&made, i->object.bytes.data, i->object.bytes.size, e) < 0)
        return err_prefix(e, "code object");
    if (wasm_validate(&made, e) < 0)
        return err_prefix(e, "code object");
    wasm_module_fini(&made);
    if (loader_load(i->object.bytes.data, i->object.bytes.size, i->key, resolve, i, &i->code, e) < 0)
        return -1;
    fill_cells(i);
    *trapped = !fits || !fill_memory(i);
    if (!*trapped && i->m.has_start)
        *trapped = spec_call(i, i->m.start) != SPEC_RETURNED;
    return 0;
}

void
spec_instance_fini(struct spec_instance *i)
{
    if (i->memory)
        munmap(i->memory, RESERVATION);
    mem_free(i->slots);
    spec_object_fini(&i->object);
    wasm_module_fini(&i->m);
    buf_fini(&i->file);
}

int
spec_call(struct spec_instance *i, uint32_t function)
{
    int end;

    running = i;
    syscall(SYS_arch_prctl, ARCH_SET_GS, i->memory);
    memset(&x86_cpu_tls, 0, sizeof x86_cpu_tls);
    x86_cpu_tls.gpr[X86_RAX] = spec_type_id(&i->m, wasm_function_type(&i->m, function));
    end = sigsetjmp(escape, 0);
    if (end == 0) {
        inside = true;
        platform_enter(i->code.table[i->object.wrapper_of[function]]);
    }
    inside = false;
    return end;
}

const struct wasm_export *
spec_export(const struct spec_instance *i, const char *name, size_t size, enum wasm_external kind)
{
    for (size_t k = 0; k < i->m.exports.count; k++) {
        const struct wasm_export *x = &i->m.exports.items[k];

        if (x->kind == kind && x->name.size == size && memcmp(x->name.data, name, size) == 0)
            return x;
    }
    return NULL;
}
