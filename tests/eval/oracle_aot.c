/* The third execution: compiled by aot, loaded into this process at low addresses, run as the artifact runs it. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../aot/loader.h"
#include "ir/helper_functions.h"
#include "ir/ir.h"
#include "platform/kernel_imports.h"
#include "x86/helpers.h"

static struct loaded loaded;

/* --- what code refers to --- */

static const struct {
    const char *name;
    void (*function)(void);
} functions[] = {
    {"kernel_enter", kernel_enter},       {"kernel_unwind", kernel_unwind},
    {"kernel_trap", kernel_trap},         {"kernel_syscall", kernel_syscall},
    {"kernel_poll", kernel_poll},         {"kernel_wasm_trap", (void (*)(void))kernel_wasm_trap},
    {"memcpy", (void (*)(void))memcpy},   {"memset", (void (*)(void))memset},
    {"memmove", (void (*)(void))memmove},
#define HELPER(name, r, a, b, c, flags) {"helper_" #name, (void (*)(void))helper_##name},
#include "ir/helpers.def"
#undef HELPER
};

static uint64_t
thread_base(void)
{
    uint64_t base;

    __asm__("movq %%fs:0, %0" : "=r"(base));
    return base;
}

static bool
find_number(const char *name, uint32_t table_entries, uint64_t *out)
{
    if (!strcmp(name, "env.code_base.K"))
        *out = CODE_PAGE;
    else if (!strcmp(name, "env.table_base.K"))
        *out = 0;
    else if (!strcmp(name, "ingot_table_size"))
        *out = table_entries;
    else
        return false;
    return true;
}

static bool
find_symbol(void *context, const char *name, uint32_t table_entries, uint64_t *value)
{
    if (find_number(name, table_entries, value))
        return true;
    for (unsigned i = 0; i < X86_S_COUNT && !strncmp(name, "cpu.", 4); i++) {
        if (!strcmp(name + 4, ir_state_infos[i].name)) {
            *value = (uint64_t)(uintptr_t)&x86_cpu_tls - thread_base() + ir_state_infos[i].offset;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!strcmp(name, functions[i].name)) {
            *value = (uint64_t)(uintptr_t)functions[i].function;
            return true;
        }
    }
    return false;
}

static void
aot_load(const struct program *programs, size_t count, const struct buf *module)
{
    struct err e = {0};

    if (loader_init(&e) < 0 || loader_load(module->data, module->size, "K", find_symbol, NULL, &loaded, &e) < 0) {
        printf("oracle: %s\n", e.text);
        exit(1);
    }
    if (loaded.table_entries != count) {
        printf("oracle: %u entries of %zu programs\n", loaded.table_entries, count);
        exit(1);
    }
}

static void
aot_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    compiled_run(p, loaded.table[index], in, out);
}

const struct execution execution_aot = {
    .name = "aot",
    .load = aot_load,
    .run = aot_run,
    .window = evaluator_window,
    .compiled = true,
};
