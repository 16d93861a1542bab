/* A unit's object before the link. Everything of it but the content of four sections and the two lists of their
 * relocations is decided by their sizes and the key: it is made here once more and compared. So there is nothing in
 * such a file that the linker could take for something else: no further section (code outside of the units,
 * initialisers, notes), no further symbol or another's definition, no relocation that asks for more than an address of
 * 32 bits. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "verify/verify_internal.h"

enum section {
    NONE,
    TEXT,
    TABLES,
    MAP,
    INDEX,
    UNITS,
    SYMBOLS,
    STRINGS,
    NAMES,
    TEXT_RELA,
    TABLES_RELA,
    UNITS_RELA,
    SECTION_COUNT
};
/* The first four stand for sections; behind BASE come the run time's entries. */
enum symbol { NO_SYMBOL, TEXT_SYMBOL, TABLES_SYMBOL, MAP_SYMBOL, INDEX_SYMBOL, CODE_SYMBOL, BASE_SYMBOL, ENTRY_SYMBOL };

/* In the order of the file. */
static const struct form {
    enum section section;
    const char *name;
    uint32_t type;
    uint64_t flags, alignment;
    uint32_t link, info;
    uint64_t entry_size;
} forms[] = {
    {TEXT, DIRECT_TEXT_SECTION, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 64, 0, 0, 0},
    {TABLES, DIRECT_TABLES_SECTION, SHT_PROGBITS, SHF_ALLOC, 64, 0, 0, 0},
    {MAP, "ingot_direct_map", SHT_PROGBITS, SHF_ALLOC, 1, 0, 0, 0},
    {INDEX, "ingot_direct_index", SHT_PROGBITS, SHF_ALLOC, 4, 0, 0, 0},
    {UNITS, DIRECT_UNITS_SECTION, SHT_PROGBITS, SHF_ALLOC, 8, 0, 0, 0},
    {SYMBOLS, ".symtab", SHT_SYMTAB, 0, 8, STRINGS, CODE_SYMBOL, sizeof(Elf64_Sym)},
    {STRINGS, ".strtab", SHT_STRTAB, 0, 1, 0, 0, 0},
    {TEXT_RELA, ".rela" DIRECT_TEXT_SECTION, SHT_RELA, SHF_INFO_LINK, 8, SYMBOLS, TEXT, sizeof(Elf64_Rela)},
    {TABLES_RELA, ".rela" DIRECT_TABLES_SECTION, SHT_RELA, SHF_INFO_LINK, 8, SYMBOLS, TABLES, sizeof(Elf64_Rela)},
    {UNITS_RELA, ".rela" DIRECT_UNITS_SECTION, SHT_RELA, SHF_INFO_LINK, 8, SYMBOLS, UNITS, sizeof(Elf64_Rela)},
    {NAMES, ".shstrtab", SHT_STRTAB, 0, 1, 0, 0, 0},
};
_Static_assert(sizeof forms / sizeof *forms == SECTION_COUNT - 1, "a form for each section");

struct object {
    const uint8_t *file;
    size_t size;
    struct buf made[SECTION_COUNT];    /* what a section must hold; empty: anything */
    Elf64_Shdr headers[SECTION_COUNT]; /* as they must be */
};

static uint32_t
put_string(struct buf *b, const char *s)
{
    uint32_t at = (uint32_t)b->size;

    buf_put(b, s, strlen(s) + 1);
    return at;
}

static void
put_symbol(struct object *o, const char *name, unsigned info, unsigned section, uint64_t size)
{
    Elf64_Sym s = {.st_name = *name ? put_string(&o->made[STRINGS], name) : 0,
                   .st_info = (unsigned char)info,
                   .st_shndx = (Elf64_Half)section,
                   .st_size = size};

    buf_put(&o->made[SYMBOLS], &s, sizeof s);
}

static void
make_symbols(struct object *o, const char *key)
{
    char name[128];

    buf_put_u8(&o->made[STRINGS], 0);
    put_symbol(o, "", 0, SHN_UNDEF, 0);
    for (unsigned s = TEXT; s <= INDEX; s++)
        put_symbol(o, "", ELF64_ST_INFO(STB_LOCAL, STT_SECTION), s, 0);
    snprintf(name, sizeof name, "%.64s.0", key);
    put_symbol(o, name, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), TEXT, o->headers[TEXT].sh_size);
    snprintf(name, sizeof name, "env.code_base.%.64s", key);
    put_symbol(o, name, ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE), SHN_UNDEF, 0);
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        put_symbol(o, verify_entry_names[i], ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE), SHN_UNDEF, 0);
}

static void
make_unit(struct object *o)
{
    static const struct {
        uint64_t offset;
        enum symbol symbol;
    } addresses[] = {{offsetof(struct direct_unit, text), TEXT_SYMBOL},
                     {offsetof(struct direct_unit, guest_base), BASE_SYMBOL},
                     {offsetof(struct direct_unit, index), INDEX_SYMBOL},
                     {offsetof(struct direct_unit, map), MAP_SYMBOL}};
    struct direct_unit u = {.text_size = (uint32_t)o->headers[TEXT].sh_size,
                            .map_size = (uint32_t)o->headers[MAP].sh_size,
                            .index_count = (uint32_t)(o->headers[INDEX].sh_size / sizeof(struct direct_place))};

    buf_put(&o->made[UNITS], &u, sizeof u);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        Elf64_Rela r = {.r_offset = addresses[i].offset, .r_info = ELF64_R_INFO(addresses[i].symbol, R_X86_64_64)};

        buf_put(&o->made[UNITS_RELA], &r, sizeof r);
    }
}

/* The sizes that the file itself says: of what may be anything. */
static int
read_sizes(struct object *o, struct err *e)
{
    static const enum section any[] = {TEXT, TABLES, MAP, INDEX, TEXT_RELA, TABLES_RELA};
    size_t headers = SECTION_COUNT * sizeof(Elf64_Shdr);

    if (o->size < sizeof(Elf64_Ehdr) + headers || o->size % 8 != 0 || o->size > INT32_MAX)
        return err_set(e, "it has no sensible size");
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        Elf64_Shdr h;

        memcpy(&h, o->file + o->size - headers + any[i] * sizeof h, sizeof h);
        if (h.sh_size > o->size)
            return err_set(e, "a section is larger than the file");
        o->headers[any[i]].sh_size = h.sh_size;
    }
    if (o->headers[INDEX].sh_size % sizeof(struct direct_place) != 0)
        return err_set(e, "its index is not whole");
    return 0;
}

static uint64_t
align(uint64_t at, uint64_t to)
{
    return (at + to - 1) / to * to;
}

static bool
is_zero(const struct object *o, uint64_t from, uint64_t to)
{
    while (from < to && o->file[from] == 0)
        from++;
    return from == to;
}

/* Lays the sections out and compares all that must be one way. */
static int
compare(struct object *o, struct err *e)
{
    uint64_t at = sizeof(Elf64_Ehdr), shoff = o->size - SECTION_COUNT * sizeof(Elf64_Shdr);
    Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                     .e_type = ET_REL,
                     .e_machine = EM_X86_64,
                     .e_version = EV_CURRENT,
                     .e_shoff = shoff,
                     .e_ehsize = sizeof eh,
                     .e_shentsize = sizeof(Elf64_Shdr),
                     .e_shnum = SECTION_COUNT,
                     .e_shstrndx = NAMES};
    struct buf *names = &o->made[NAMES];

    buf_put_u8(names, 0);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        o->headers[forms[i].section].sh_name = put_string(names, forms[i].name);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *f = &forms[i];
        const struct buf *made = &o->made[f->section];
        Elf64_Shdr *h = &o->headers[f->section];
        uint64_t start = align(at, f->alignment), size = made->size ? made->size : h->sh_size;

        *h = (Elf64_Shdr){.sh_name = h->sh_name,
                          .sh_type = f->type,
                          .sh_flags = f->flags,
                          .sh_offset = start,
                          .sh_size = size,
                          .sh_link = f->link,
                          .sh_info = f->info,
                          .sh_addralign = f->alignment,
                          .sh_entsize = f->entry_size};
        if (start > shoff || size > shoff - start || !is_zero(o, at, start) ||
            (made->size && memcmp(o->file + start, made->data, size) != 0))
            return err_set(e, "section %s is not where it belongs, or not what it must be", f->name);
        at = start + size;
    }
    if (align(at, 8) != shoff || !is_zero(o, at, shoff) || memcmp(o->file, &eh, sizeof eh) != 0 ||
        memcmp(o->file + shoff, o->headers, sizeof o->headers) != 0)
        return err_set(e, "its headers are not those of a unit");
    return 0;
}

/* What it adds to the symbol fits wherever the linker puts that: bases lie below 1 GiB. Else the whole link would
 * fail. */
static bool
fits(const Elf64_Rela *r, const struct object *o)
{
    int64_t low = 0, high = (int64_t)1 << 31;

    switch (ELF64_R_SYM(r->r_info)) {
    case BASE_SYMBOL:
        if (ELF64_R_TYPE(r->r_info) == R_X86_64_32S) {
            low = -high;
            high /= 2;
        }
        break;
    case TABLES_SYMBOL: high = (int64_t)o->headers[TABLES].sh_size; break;
    default: high = (int64_t)o->headers[TEXT].sh_size; break;
    }
    return r->r_addend >= low && r->r_addend <= high;
}

static bool
text_relocation(const Elf64_Rela *r, const struct object *o)
{
    uint32_t symbol = ELF64_R_SYM(r->r_info), type = ELF64_R_TYPE(r->r_info);

    if (type == R_X86_64_PC32)
        return symbol >= ENTRY_SYMBOL && symbol < ENTRY_SYMBOL + DIRECT_ENTRY_COUNT && r->r_addend == -4;
    return ((symbol == BASE_SYMBOL && (type == R_X86_64_32S || type == R_X86_64_32)) ||
            (symbol == TABLES_SYMBOL && type == R_X86_64_32S)) &&
           fits(r, o);
}

static bool
table_relocation(const Elf64_Rela *r, const struct object *o)
{
    uint32_t symbol = ELF64_R_SYM(r->r_info);

    return (symbol == BASE_SYMBOL || symbol == TEXT_SYMBOL) && ELF64_R_TYPE(r->r_info) == R_X86_64_32 && fits(r, o);
}

/* Each lies in its section, and is of a kind that belongs there. */
static int
check_relocations(const struct object *o, enum section list, enum section of,
                  bool (*allowed)(const Elf64_Rela *, const struct object *), struct err *e)
{
    const Elf64_Shdr *h = &o->headers[list];
    uint64_t room = o->headers[of].sh_size;
    Elf64_Rela r;

    if (h->sh_size % sizeof r != 0)
        return err_set(e, "its relocations are not whole");
    for (uint64_t at = 0; at < h->sh_size; at += sizeof r) {
        memcpy(&r, o->file + h->sh_offset + at, sizeof r);
        if (room < 4 || r.r_offset > room - 4 || !allowed(&r, o))
            return err_set(e, "relocation %llu of its %s is none that a unit has", (unsigned long long)(at / sizeof r),
                           of == TEXT ? "text" : "tables");
    }
    return 0;
}

int
verify_object(const uint8_t *file, size_t size, const char *key, struct err *e)
{
    struct object o = {.file = file, .size = size};
    int result = read_sizes(&o, e);

    if (result == 0) {
        make_symbols(&o, key);
        make_unit(&o);
        result = compare(&o, e);
    }
    if (result == 0)
        result = check_relocations(&o, TEXT_RELA, TEXT, text_relocation, e);
    if (result == 0)
        result = check_relocations(&o, TABLES_RELA, TABLES, table_relocation, e);
    for (int i = 0; i < SECTION_COUNT; i++)
        buf_fini(&o.made[i]);
    return result;
}
