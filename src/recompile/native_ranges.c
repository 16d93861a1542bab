/* Where each unit's native code came to lie in the linked executable: from its symbols, "KEY.N" (aot/aot.h), which
 * cover all of it. */
#include "recompile/link.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DIGITS = 16 };

struct range {
    char key[KEY_DIGITS + 1];
    struct unit *unit;
    uint64_t low, high; /* in the file */
    uint64_t address;   /* of the lowest */
};

static int
compare_ranges(const void *a, const void *b)
{
    return strcmp(((const struct range *)a)->key, ((const struct range *)b)->key);
}

/* The symbols of a file of the linker's. */
struct symbols {
    const Elf64_Shdr *sections;
    unsigned section_count;
    const Elf64_Sym *symbols;
    size_t count;
    const char *names;
    size_t names_size;
};

static const void *
inside(const struct mapped *m, uint64_t offset, uint64_t size)
{
    return offset <= m->size && size <= m->size - offset ? m->data + offset : NULL;
}

static int
find_symbols(const struct mapped *m, struct symbols *s, struct err *e)
{
    const Elf64_Ehdr *eh = inside(m, 0, sizeof *eh);

    *s = (struct symbols){0};
    if (eh) {
        s->section_count = eh->e_shnum;
        s->sections = inside(m, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *s->sections);
    }
    for (unsigned i = 0; s->sections && i < s->section_count; i++) {
        const Elf64_Shdr *h = &s->sections[i], *names;

        if (h->sh_type != SHT_SYMTAB || h->sh_link >= s->section_count)
            continue;
        names = &s->sections[h->sh_link];
        s->symbols = inside(m, h->sh_offset, h->sh_size);
        s->count = h->sh_size / sizeof *s->symbols;
        s->names = inside(m, names->sh_offset, names->sh_size);
        s->names_size = names->sh_size;
    }
    if (!s->symbols || !s->names || !s->names_size || s->names[s->names_size - 1] != '\0')
        return err_set(e, "the linked executable has no symbols");
    return 0;
}

static void
add_symbol(const struct symbols *s, const Elf64_Sym *symbol, struct range *ranges, size_t count)
{
    const char *name = symbol->st_name < s->names_size ? s->names + symbol->st_name : "";
    const Elf64_Shdr *section;
    struct range *found, key;
    uint64_t at;

    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
        symbol->st_shndx >= s->section_count || strnlen(name, KEY_DIGITS + 1) <= KEY_DIGITS || name[KEY_DIGITS] != '.')
        return;
    memcpy(key.key, name, KEY_DIGITS);
    key.key[KEY_DIGITS] = '\0';
    found = bsearch(&key, ranges, count, sizeof *ranges, compare_ranges);
    if (!found)
        return;
    section = &s->sections[symbol->st_shndx];
    at = symbol->st_value - section->sh_addr + section->sh_offset;
    if (at < found->low) {
        found->low = at;
        found->address = symbol->st_value;
    }
    found->high = at + symbol->st_size > found->high ? at + symbol->st_size : found->high;
}

static int
compare_places(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

/* One unit's code lies in one piece: the linker keeps the order of its inputs. */
static int
keep_ranges(struct range *ranges, size_t count, struct err *e)
{
    uint64_t end = 0;

    qsort(ranges, count, sizeof *ranges, compare_places);
    for (size_t i = 0; i < count; i++) {
        struct unit *u = ranges[i].unit;

        if (ranges[i].low > ranges[i].high)
            continue; /* without a function */
        if (ranges[i].low < end)
            return err_set(e, "%s: its native code is not in one piece", u->path);
        end = ranges[i].high;
        u->native_offset = ranges[i].low;
        u->native_address = ranges[i].address;
        u->native_size = ranges[i].high - ranges[i].low;
    }
    return 0;
}

int
link_native_ranges(struct recompile *r, const char *executable, struct err *e)
{
    struct range *ranges = mem_zalloc(r->units.count, sizeof *ranges);
    struct symbols symbols;
    struct mapped m;
    size_t count = 0;
    int result = file_map(executable, &m, e);

    if (result < 0) {
        mem_free(ranges);
        return -1;
    }
    for (size_t i = 0; i < r->units.count; i++) {
        char hex[SHA256_HEX_SIZE];

        if (!unit_has_native(&r->units.items[i]))
            continue;
        unit_symbol_key(&r->units.items[i], hex);
        ranges[count] = (struct range){.unit = &r->units.items[i], .low = UINT64_MAX};
        memcpy(ranges[count++].key, hex, KEY_DIGITS + 1);
    }
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    result = find_symbols(&m, &symbols, e);
    for (size_t i = 0; result == 0 && i < symbols.count; i++)
        add_symbol(&symbols, &symbols.symbols[i], ranges, count);
    if (result == 0)
        result = keep_ranges(ranges, count, e);
    file_unmap(&m);
    mem_free(ranges);
    return result;
}
