/* Writes the ELF object that a unit becomes: its code, tables, map and index as sections, with relocations for what
 * only the linker knows, which are the file's base and the run time's entries. */
#include "direct/object.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

enum section {
    NONE,
    TEXT,
    TABLES,
    MAP,
    INDEX,
    UNITS,
    SYMBOLS,
    STRINGS,
    SECTION_NAMES,
    TEXT_RELA,
    TABLES_RELA,
    UNITS_RELA,
    SECTION_COUNT
};
/* The symbols of the object; the first four after NO_SYMBOL stand for sections. */
enum symbol { NO_SYMBOL, TEXT_SYMBOL, TABLES_SYMBOL, MAP_SYMBOL, INDEX_SYMBOL, CODE_SYMBOL, BASE_SYMBOL, ENTRY_SYMBOL };

static const char *const entry_names[] = {
    [DIRECT_SYSCALL] = "direct_syscall",
    [DIRECT_UNWIND] = "direct_unwind",
    [DIRECT_JUMP] = "direct_jump",
    [DIRECT_EVALUATE] = "direct_evaluate",
};

struct object {
    Elf64_Shdr headers[SECTION_COUNT];
    struct buf names, strings, symbols, text_rela, tables_rela, units, units_rela;
};

static uint32_t
put_name(struct buf *b, const char *name)
{
    uint32_t at = (uint32_t)b->size;

    buf_put(b, name, strlen(name) + 1);
    return at;
}

static void
put_symbol(struct object *o, const char *name, unsigned bind, unsigned type, unsigned section, uint64_t size)
{
    Elf64_Sym s = {.st_name = *name ? put_name(&o->strings, name) : 0,
                   .st_info = ELF64_ST_INFO(bind, type),
                   .st_shndx = (Elf64_Half)section,
                   .st_size = size};

    buf_put(&o->symbols, &s, sizeof s);
}

static void
put_rela(struct buf *b, uint64_t at, unsigned symbol, unsigned type, int64_t addend)
{
    Elf64_Rela r = {.r_offset = at, .r_info = ELF64_R_INFO(symbol, type), .r_addend = addend};

    buf_put(b, &r, sizeof r);
}

static void
put_symbols(struct object *o, const struct object_input *in)
{
    char name[128];

    buf_put_u8(&o->strings, 0);
    put_symbol(o, "", STB_LOCAL, STT_NOTYPE, 0, 0);
    for (unsigned s = TEXT; s <= INDEX; s++)
        put_symbol(o, "", STB_LOCAL, STT_SECTION, s, 0);
    snprintf(name, sizeof name, "%s.0", in->key);
    put_symbol(o, name, STB_GLOBAL, STT_FUNC, TEXT, in->text->size);
    snprintf(name, sizeof name, "env.code_base.%s", in->key);
    put_symbol(o, name, STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0);
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        put_symbol(o, entry_names[i], STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0);
}

static void
put_text_fixes(struct object *o, const struct rewriter *w)
{
    for (size_t i = 0; i < w->layout.fixes.count; i++) {
        const struct fix *f = &w->layout.fixes.items[i];
        uint32_t at = layout_fix_offset(&w->layout, f);

        switch (f->kind) {
        case FIX_IMAGE32S: put_rela(&o->text_rela, at, BASE_SYMBOL, R_X86_64_32S, f->addend); break;
        case FIX_IMAGE32: put_rela(&o->text_rela, at, BASE_SYMBOL, R_X86_64_32, f->addend); break;
        case FIX_TABLE32S: put_rela(&o->text_rela, at, TABLES_SYMBOL, R_X86_64_32S, f->addend); break;
        case FIX_ENTRY: put_rela(&o->text_rela, at, ENTRY_SYMBOL + (unsigned)f->addend, R_X86_64_PC32, -4); break;
        }
    }
}

static void
put_table_fixes(struct object *o, const struct rewriter *w)
{
    for (size_t i = 0; i < w->table_entries.count; i++) {
        put_rela(&o->tables_rela, w->table_entries.items[i].at, BASE_SYMBOL, R_X86_64_32,
                 w->table_entries.items[i].guest);
        put_rela(&o->tables_rela, w->table_entries.items[i].at + 4, TEXT_SYMBOL, R_X86_64_32,
                 layout_offset(&w->layout, w->table_entries.items[i].position));
    }
}

static void
put_unit(struct object *o, const struct object_input *in)
{
    struct direct_unit u = {.text_size = (uint32_t)in->text->size,
                            .map_size = (uint32_t)in->map->size,
                            .index_count = (uint32_t)(in->index->size / sizeof(struct direct_place))};

    buf_put(&o->units, &u, sizeof u);
    put_rela(&o->units_rela, offsetof(struct direct_unit, text), TEXT_SYMBOL, R_X86_64_64, 0);
    put_rela(&o->units_rela, offsetof(struct direct_unit, guest_base), BASE_SYMBOL, R_X86_64_64, 0);
    put_rela(&o->units_rela, offsetof(struct direct_unit, index), INDEX_SYMBOL, R_X86_64_64, 0);
    put_rela(&o->units_rela, offsetof(struct direct_unit, map), MAP_SYMBOL, R_X86_64_64, 0);
}

static void
put_section(struct object *o, struct buf *out, enum section id, const char *name, unsigned type, uint64_t flags,
            const struct buf *data, unsigned alignment)
{
    Elf64_Shdr *h = &o->headers[id];

    buf_align(out, alignment);
    *h = (Elf64_Shdr){.sh_name = put_name(&o->names, name),
                      .sh_type = type,
                      .sh_flags = flags,
                      .sh_offset = out->size,
                      .sh_size = data->size,
                      .sh_addralign = alignment};
    buf_put(out, data->data, data->size);
}

static void
put_relocations(struct object *o, struct buf *out, enum section id, const char *name, enum section of,
                const struct buf *data)
{
    put_section(o, out, id, name, SHT_RELA, SHF_INFO_LINK, data, 8);
    o->headers[id].sh_link = SYMBOLS;
    o->headers[id].sh_info = of;
    o->headers[id].sh_entsize = sizeof(Elf64_Rela);
}

static void
put_sections(struct object *o, const struct object_input *in, struct buf *out)
{
    put_section(o, out, TEXT, DIRECT_TEXT_SECTION, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, in->text, 64);
    put_section(o, out, TABLES, DIRECT_TABLES_SECTION, SHT_PROGBITS, SHF_ALLOC, in->tables, 64);
    put_section(o, out, MAP, "ingot_direct_map", SHT_PROGBITS, SHF_ALLOC, in->map, 1);
    put_section(o, out, INDEX, "ingot_direct_index", SHT_PROGBITS, SHF_ALLOC, in->index, 4);
    put_section(o, out, UNITS, DIRECT_UNITS_SECTION, SHT_PROGBITS, SHF_ALLOC, &o->units, 8);
    put_section(o, out, SYMBOLS, ".symtab", SHT_SYMTAB, 0, &o->symbols, 8);
    o->headers[SYMBOLS].sh_link = STRINGS;
    o->headers[SYMBOLS].sh_info = CODE_SYMBOL; /* the first symbol that is not local */
    o->headers[SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
    put_section(o, out, STRINGS, ".strtab", SHT_STRTAB, 0, &o->strings, 1);
    put_relocations(o, out, TEXT_RELA, ".rela" DIRECT_TEXT_SECTION, TEXT, &o->text_rela);
    put_relocations(o, out, TABLES_RELA, ".rela" DIRECT_TABLES_SECTION, TABLES, &o->tables_rela);
    put_relocations(o, out, UNITS_RELA, ".rela" DIRECT_UNITS_SECTION, UNITS, &o->units_rela);
    {
        struct buf empty = {0};
        Elf64_Shdr *h = &o->headers[SECTION_NAMES];

        put_section(o, out, SECTION_NAMES, ".shstrtab", SHT_STRTAB, 0, &empty, 1);
        h->sh_size = o->names.size;
        buf_put(out, o->names.data, o->names.size);
    }
}

int
object_write(const struct rewriter *w, const struct object_input *in, struct buf *out, struct err *e)
{
    struct object o = {0};
    Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                     .e_type = ET_REL,
                     .e_machine = EM_X86_64,
                     .e_version = EV_CURRENT,
                     .e_ehsize = sizeof eh,
                     .e_shentsize = sizeof(Elf64_Shdr),
                     .e_shnum = SECTION_COUNT,
                     .e_shstrndx = SECTION_NAMES};

    if (in->text->size > INT32_MAX || in->map->size > INT32_MAX)
        return err_set(e, "its rewritten code is larger than 2 GiB");
    buf_put_u8(&o.names, 0);
    put_symbols(&o, in);
    put_text_fixes(&o, w);
    put_table_fixes(&o, w);
    put_unit(&o, in);
    buf_put(out, &eh, sizeof eh);
    put_sections(&o, in, out);
    buf_align(out, 8);
    eh.e_shoff = out->size;
    buf_put(out, o.headers, sizeof o.headers);
    memcpy(out->data, &eh, sizeof eh);
    buf_fini(&o.names);
    buf_fini(&o.strings);
    buf_fini(&o.symbols);
    buf_fini(&o.text_rela);
    buf_fini(&o.tables_rela);
    buf_fini(&o.units);
    buf_fini(&o.units_rela);
    return 0;
}
