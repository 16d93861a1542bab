#include "loader.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "aot/aot.h"
#include "base/vec.h"

enum { MAX_SECTIONS = 64 };

struct symbol {
    const char *name;
    uint64_t value;
};

struct object {
    struct buf bytes;
    const Elf64_Shdr *sections;
    const Elf64_Sym *symbols;
    const char *names;
    size_t section_count, symbol_count;
    uint64_t at[MAX_SECTIONS];
};

struct load {
    struct object *objects;
    unsigned parts;
    VEC(struct symbol) defined;
    loader_resolve resolve;
    void *context;
    uint64_t table_at;
    uint32_t table_entries;
    const char *wanted; /* a section, or NULL */
    uint64_t wanted_at;
    struct err *e;
};

static uint64_t end;

int
loader_init(struct err *e)
{
    if (end)
        return 0;
    if (mmap((void *)(uintptr_t)LOADER_AT, LOADER_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)(uintptr_t)LOADER_AT)
        return err_set(e, "no memory for compiled code at %#x", (unsigned)LOADER_AT);
    end = LOADER_AT;
    return 0;
}

void
loader_clear(void)
{
    if (end)
        end = LOADER_AT;
}

uint64_t
loader_end(void)
{
    return end;
}

static int
place_sections(struct load *l, struct object *o)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)o->bytes.data;
    const char *section_names;

    o->sections = (const Elf64_Shdr *)(const void *)(o->bytes.data + eh->e_shoff);
    o->section_count = eh->e_shnum;
    if (o->section_count > MAX_SECTIONS)
        return err_set(l->e, "object has %zu sections", o->section_count);
    section_names = (const char *)o->bytes.data + o->sections[eh->e_shstrndx].sh_offset;
    for (size_t i = 0; i < o->section_count; i++) {
        const Elf64_Shdr *s = &o->sections[i];

        if (s->sh_type == SHT_SYMTAB) {
            o->symbols = (const Elf64_Sym *)(const void *)(o->bytes.data + s->sh_offset);
            o->symbol_count = s->sh_size / sizeof *o->symbols;
            o->names = (const char *)o->bytes.data + o->sections[s->sh_link].sh_offset;
        }
        if (!(s->sh_flags & SHF_ALLOC))
            continue;
        end = (end + s->sh_addralign - 1) & ~(s->sh_addralign - 1);
        if (s->sh_size > LOADER_SIZE || end + s->sh_size > (uint64_t)LOADER_AT + LOADER_SIZE)
            return err_set(l->e, "too much compiled code");
        o->at[i] = end;
        memcpy((void *)(uintptr_t)end, o->bytes.data + s->sh_offset, s->sh_size);
        if (!strcmp(section_names + s->sh_name, "ingot_table")) {
            l->table_at = end;
            l->table_entries = (uint32_t)(s->sh_size / 8);
        }
        if (l->wanted && !strcmp(section_names + s->sh_name, l->wanted))
            l->wanted_at = end;
        end += s->sh_size;
    }
    for (size_t i = 0; i < o->symbol_count; i++) {
        const Elf64_Sym *s = &o->symbols[i];

        if (ELF64_ST_BIND(s->st_info) == STB_GLOBAL && s->st_shndx != SHN_UNDEF && s->st_shndx < SHN_LORESERVE)
            vec_push(&l->defined, ((struct symbol){o->names + s->st_name, o->at[s->st_shndx] + s->st_value}));
    }
    return 0;
}

static int
find_symbol(struct load *l, const char *name, uint64_t *value)
{
    if (!strcmp(name, "__start_ingot_table")) {
        *value = l->table_at;
        return 0;
    }
    for (size_t i = 0; i < l->defined.count; i++) {
        if (!strcmp(name, l->defined.items[i].name)) {
            *value = l->defined.items[i].value;
            return 0;
        }
    }
    return l->resolve(l->context, name, l->table_entries, value) ? 0
                                                                 : err_set(l->e, "compiled code refers to %s", name);
}

static int
relocate(uint64_t at, unsigned type, uint64_t value, struct err *e)
{
    int64_t distance = (int64_t)(value - at);
    uint8_t *place = (uint8_t *)(uintptr_t)at;
    uint32_t word = (uint32_t)value;
    bool fits = true;

    switch (type) {
    case R_X86_64_64: memcpy(place, &value, 8); return 0;
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
        fits = distance == (int32_t)distance;
        word = (uint32_t)distance;
        break;
    case R_X86_64_32: fits = value == word; break;
    case R_X86_64_32S: fits = (int64_t)value == (int32_t)value; break;
    default: fits = false;
    }
    if (!fits)
        return err_set(e, "relocation %u to %#llx", type, (unsigned long long)value);
    memcpy(place, &word, 4);
    return 0;
}

static int
relocate_sections(struct load *l, const struct object *o)
{
    for (size_t i = 0; i < o->section_count; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(o->bytes.data + s->sh_offset);

        if (s->sh_type != SHT_RELA || !(o->sections[s->sh_info].sh_flags & SHF_ALLOC))
            continue;
        for (size_t k = 0; k < s->sh_size / sizeof *r; k++) {
            const Elf64_Sym *y = &o->symbols[ELF64_R_SYM(r[k].r_info)];
            uint64_t value = 0;

            if (y->st_shndx != SHN_UNDEF)
                value = o->at[y->st_shndx] + y->st_value;
            else if (find_symbol(l, o->names + y->st_name, &value) < 0)
                return -1;
            if (relocate(o->at[s->sh_info] + r[k].r_offset, ELF64_R_TYPE(r[k].r_info), value + (uint64_t)r[k].r_addend,
                         l->e) < 0)
                return -1;
        }
    }
    return 0;
}

static int
compile_and_place(struct load *l, const uint8_t *module, size_t size, const struct aot_options *options)
{
    for (unsigned i = 0; i < l->parts; i++) {
        if (aot_compile(module, size, i, options, &l->objects[i].bytes, l->e) < 0 ||
            place_sections(l, &l->objects[i]) < 0)
            return -1;
    }
    for (unsigned i = 0; i < l->parts; i++) {
        if (relocate_sections(l, &l->objects[i]) < 0)
            return -1;
    }
    return 0;
}

int
loader_load(const uint8_t *module, size_t size, const char *key, loader_resolve resolve, void *context,
            struct loaded *out, struct err *e)
{
    struct aot_options options = {.key = key, .opt_level = 2};
    struct load l = {.resolve = resolve, .context = context, .e = e};
    int rc;

    *out = (struct loaded){0};
    if (loader_init(e) < 0 || aot_part_count(module, size, &l.parts, e) < 0)
        return -1;
    l.objects = mem_zalloc(l.parts, sizeof *l.objects);
    rc = compile_and_place(&l, module, size, &options);
    for (unsigned i = 0; i < l.parts; i++)
        buf_fini(&l.objects[i].bytes);
    mem_free(l.objects);
    vec_fini(&l.defined);
    if (rc == 0)
        *out = (struct loaded){(const void *const *)(uintptr_t)l.table_at, l.table_entries};
    return rc;
}

int
loader_place(const struct buf *object, const char *section, loader_resolve resolve, void *context, uint64_t *at,
             struct err *e)
{
    struct object o = {.bytes = *object};
    struct load l = {.objects = &o, .parts = 1, .resolve = resolve, .context = context, .wanted = section, .e = e};
    int rc = loader_init(e) < 0 || place_sections(&l, &o) < 0 || relocate_sections(&l, &o) < 0 ? -1 : 0;

    vec_fini(&l.defined);
    *at = l.wanted_at;
    return rc == 0 && !l.wanted_at ? err_set(e, "object without section %s", section) : rc;
}
