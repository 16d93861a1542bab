/* The third execution: compiled by aot, loaded into this process at low addresses, run as the artifact runs it. The
 * loader knows the sections and relocations that LLVM's small code model makes. */
#include "oracle.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "aot/aot.h"
#include "ir/ir.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

enum { LOAD_AT = 0x20000000, LOAD_SIZE = 64 << 20, MAX_SECTIONS = 64 };

struct symbol {
    const char *name;
    uint64_t value;
};

struct object {
    const uint8_t *bytes;
    const Elf64_Shdr *sections;
    const Elf64_Sym *symbols;
    const char *names;
    size_t section_count, symbol_count;
    uint64_t at[MAX_SECTIONS];
};

static uint64_t load_end, table_at, table_size;
static VEC(struct symbol) defined;

/* --- what code refers to --- */
void kernel_enter(void);
void kernel_unwind(void);
void kernel_trap(void);
void kernel_syscall(void);
void kernel_poll(void);
void kernel_wasm_trap(int kind);
#define HELPER(name, r, a, b, c, flags) void helper_##name(void);
#include "ir/helpers.def"
#undef HELPER

static const struct {
    const char *name;
    void (*function)(void);
} functions[] = {
    {"kernel_enter", kernel_enter},     {"kernel_unwind", kernel_unwind}, {"kernel_trap", kernel_trap},
    {"kernel_syscall", kernel_syscall}, {"kernel_poll", kernel_poll},
    {"kernel_wasm_trap", (void (*)(void))kernel_wasm_trap},
    {"memcpy", (void (*)(void))memcpy}, {"memset", (void (*)(void))memset}, {"memmove", (void (*)(void))memmove},
#define HELPER(name, r, a, b, c, flags) {"helper_" #name, helper_##name},
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
find_number(const char *name, uint64_t *out)
{
    if (!strcmp(name, "env.code_base.K"))
        *out = CODE_PAGE;
    else if (!strcmp(name, "env.table_base.K"))
        *out = 0;
    else if (!strcmp(name, "ingot_table_size"))
        *out = table_size;
    else if (!strcmp(name, "__start_ingot_table"))
        *out = table_at;
    else
        return false;
    return true;
}

static uint64_t
find_symbol(const char *name)
{
    uint64_t v;

    if (find_number(name, &v))
        return v;
    for (unsigned i = 0; i < X86_S_COUNT && !strncmp(name, "cpu.", 4); i++) {
        if (!strcmp(name + 4, ir_state_infos[i].name))
            return (uint64_t)(uintptr_t)&x86_cpu_tls - thread_base() + ir_state_infos[i].offset;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!strcmp(name, functions[i].name))
            return (uint64_t)(uintptr_t)functions[i].function;
    }
    for (size_t i = 0; i < defined.count; i++) {
        if (!strcmp(name, defined.items[i].name))
            return defined.items[i].value;
    }
    printf("oracle: compiled code refers to %s\n", name);
    exit(1);
}

/* --- loading --- */
static void
place_sections(struct object *o)
{
    const char *section_names;
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)o->bytes;

    o->sections = (const Elf64_Shdr *)(const void *)(o->bytes + eh->e_shoff);
    o->section_count = eh->e_shnum;
    section_names = (const char *)o->bytes + o->sections[eh->e_shstrndx].sh_offset;
    for (size_t i = 0; i < o->section_count && i < MAX_SECTIONS; i++) {
        const Elf64_Shdr *s = &o->sections[i];

        if (s->sh_type == SHT_SYMTAB) {
            o->symbols = (const Elf64_Sym *)(const void *)(o->bytes + s->sh_offset);
            o->symbol_count = s->sh_size / sizeof *o->symbols;
            o->names = (const char *)o->bytes + o->sections[s->sh_link].sh_offset;
        }
        if (!(s->sh_flags & SHF_ALLOC))
            continue;
        load_end = (load_end + s->sh_addralign - 1) & ~(s->sh_addralign - 1);
        if (load_end + s->sh_size > LOAD_AT + LOAD_SIZE) {
            printf("oracle: too much code\n");
            exit(1);
        }
        o->at[i] = load_end;
        memcpy((void *)(uintptr_t)load_end, o->bytes + s->sh_offset, s->sh_size);
        if (!strcmp(section_names + s->sh_name, "ingot_table")) {
            table_at = load_end;
            table_size = s->sh_size / 8;
        }
        load_end += s->sh_size;
    }
}

static void
define_symbols(const struct object *o)
{
    for (size_t i = 0; i < o->symbol_count; i++) {
        const Elf64_Sym *s = &o->symbols[i];

        if (ELF64_ST_BIND(s->st_info) == STB_GLOBAL && s->st_shndx != SHN_UNDEF && s->st_shndx < SHN_LORESERVE)
            vec_push(&defined, ((struct symbol){o->names + s->st_name, o->at[s->st_shndx] + s->st_value}));
    }
}

static void
relocate(uint64_t at, unsigned type, uint64_t value)
{
    int64_t distance = (int64_t)(value - at);
    uint8_t *place = (uint8_t *)(uintptr_t)at;
    uint32_t word = (uint32_t)value;
    bool fits = true;

    switch (type) {
    case R_X86_64_64:
        memcpy(place, &value, 8);
        return;
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
        fits = distance == (int32_t)distance;
        word = (uint32_t)distance;
        break;
    case R_X86_64_32:
        fits = value == word;
        break;
    case R_X86_64_32S:
        fits = (int64_t)value == (int32_t)value;
        break;
    default:
        fits = false;
    }
    if (!fits) {
        printf("oracle: relocation %u to %lx\n", type, value);
        exit(1);
    }
    memcpy(place, &word, 4);
}

static void
relocate_sections(const struct object *o)
{
    for (size_t i = 0; i < o->section_count; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(o->bytes + s->sh_offset);

        if (s->sh_type != SHT_RELA || !(o->sections[s->sh_info].sh_flags & SHF_ALLOC))
            continue;
        for (size_t k = 0; k < s->sh_size / sizeof *r; k++) {
            const Elf64_Sym *y = &o->symbols[ELF64_R_SYM(r[k].r_info)];
            uint64_t value = y->st_shndx == SHN_UNDEF ? find_symbol(o->names + y->st_name)
                                                      : o->at[y->st_shndx] + y->st_value;

            relocate(o->at[s->sh_info] + r[k].r_offset, ELF64_R_TYPE(r[k].r_info), value + (uint64_t)r[k].r_addend);
        }
    }
}

static void
aot_load(const struct program *programs, size_t count, const struct buf *module)
{
    static struct aot_options options = {.key = "K", .opt_level = 2};
    struct err e = {0};
    unsigned parts;

    if (!load_end && mmap((void *)(uintptr_t)LOAD_AT, LOAD_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)(uintptr_t)LOAD_AT) {
        perror("oracle: memory for compiled code");
        exit(2);
    }
    load_end = LOAD_AT;
    defined.count = 0;
    if (aot_part_count(module->data, module->size, &parts, &e) < 0) {
        printf("oracle: %s\n", e.text);
        exit(1);
    }
    struct buf *native = mem_zalloc(parts, sizeof *native);
    struct object *objects = mem_zalloc(parts, sizeof *objects);
    for (unsigned i = 0; i < parts; i++) {
        if (aot_compile(module->data, module->size, i, &options, &native[i], &e) < 0) {
            printf("oracle: %s\n", e.text);
            exit(1);
        }
        objects[i].bytes = native[i].data;
        place_sections(&objects[i]);
        define_symbols(&objects[i]);
    }
    for (unsigned i = 0; i < parts; i++)
        relocate_sections(&objects[i]);
    for (unsigned i = 0; i < parts; i++)
        buf_fini(&native[i]);
    mem_free(native);
    mem_free(objects);
    if (table_size != count) {
        printf("oracle: %lu entries of %zu programs\n", table_size, count);
        exit(1);
    }
}

static void
aot_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    compiled_run(p, ((const void *const *)(uintptr_t)table_at)[index], in, out);
}

const struct execution execution_aot = {
    .name = "aot", .load = aot_load, .run = aot_run, .window = evaluator_window, .compiled = true,
};
