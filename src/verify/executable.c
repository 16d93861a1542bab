/* The units of a linked executable, as its file says where they will lie when it runs, and the code maps of the
 * artifact that it is in. Any bytes may be handed in. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "artifact/check.h"
#include "artifact/format.h"
#include "verify/verify_internal.h"

struct executable {
    const uint8_t *file;
    uint64_t size;
    const Elf64_Phdr *segments;
    unsigned segment_count;
    const Elf64_Shdr *sections;
    unsigned section_count;
    struct verify_range names; /* of sections; no address */
    uint64_t entries[DIRECT_ENTRY_COUNT];
    uint64_t cpu; /* of x86_cpu_tls, from the start of the thread's block */
};

struct check {
    struct executable exe;
    const uint8_t *payload; /* NULL: there are no code maps */
    const struct artifact_header *header;
    VEC(struct verify_places) units; /* that were accepted, by address */
    verify_report *report;
    void *context;
    unsigned bad;
};

static void
complain(struct check *c, const struct artifact_ledger *row, const char *what, const char *why)
{
    char text[640];

    snprintf(text, sizeof text, "%.100s: %s", what, why);
    c->report(c->context, row ? row->sha256 : NULL, text);
    c->bad++;
}

/* --- ELF --- */

static const void *
inside(const struct executable *x, uint64_t offset, uint64_t size)
{
    return offset <= x->size && size <= x->size - offset ? x->file + offset : NULL;
}

/* Names end within their section, or are empty. */
static const char *
name_at(const struct verify_range *names, uint64_t at)
{
    return at < names->size && memchr(names->bytes + at, 0, names->size - at) ? (const char *)names->bytes + at : "";
}

static struct verify_range
section_range(const struct executable *x, const Elf64_Shdr *s)
{
    struct verify_range r = {.bytes = inside(x, s->sh_offset, s->sh_size), .address = s->sh_addr, .size = s->sh_size};

    return r.bytes && s->sh_type != SHT_NOBITS ? r : (struct verify_range){0};
}

static struct verify_range
find_section(const struct executable *x, const char *name)
{
    for (unsigned i = 0; i < x->section_count; i++)
        if (strcmp(name_at(&x->names, x->sections[i].sh_name), name) == 0)
            return section_range(x, &x->sections[i]);
    return (struct verify_range){0};
}

static void
find_symbols(struct executable *x, const Elf64_Shdr *symbols, const struct verify_range *names)
{
    struct verify_range r = section_range(x, symbols);
    Elf64_Sym s;

    for (uint64_t at = 0; at + sizeof s <= r.size; at += sizeof s) {
        memcpy(&s, r.bytes + at, sizeof s);
        for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
            if (s.st_shndx != SHN_UNDEF && strcmp(name_at(names, s.st_name), verify_entry_names[i]) == 0)
                x->entries[i] = s.st_value;
        if (s.st_shndx != SHN_UNDEF && strcmp(name_at(names, s.st_name), "x86_cpu_tls") == 0)
            x->cpu = s.st_value;
    }
}

static const char *
open_executable(struct executable *x, const uint8_t *file, uint64_t size)
{
    const Elf64_Ehdr *eh;

    *x = (struct executable){.file = file, .size = size};
    eh = inside(x, 0, sizeof *eh);
    if (!eh || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_phoff % 8 != 0 || eh->e_shoff % 8 != 0)
        return "it is no ELF file";
    x->segments = inside(x, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof *x->segments);
    x->sections = inside(x, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *x->sections);
    if (!x->segments || !x->sections || eh->e_shstrndx >= eh->e_shnum)
        return "it has no sections";
    x->segment_count = eh->e_phnum;
    x->section_count = eh->e_shnum;
    x->names = section_range(x, &x->sections[eh->e_shstrndx]);
    for (unsigned i = 0; i < x->section_count; i++) {
        const Elf64_Shdr *s = &x->sections[i];
        struct verify_range names;

        if (s->sh_type != SHT_SYMTAB || s->sh_link >= x->section_count)
            continue;
        names = section_range(x, &x->sections[s->sh_link]);
        find_symbols(x, s, &names);
    }
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        if (!x->entries[i])
            return "it has no symbols of the run time's entries";
    return NULL;
}

/* What is loaded at an address, by a segment with exactly this right besides that to read. No bytes: there is no
 * such. */
static struct verify_range
loaded(const struct executable *x, uint64_t address, uint64_t size, bool execute)
{
    for (unsigned i = 0; i < x->segment_count; i++) {
        const Elf64_Phdr *p = &x->segments[i];
        uint64_t offset = address - p->p_vaddr;

        if (p->p_type != PT_LOAD || address < p->p_vaddr || offset > p->p_filesz || size > p->p_filesz - offset)
            continue;
        if (p->p_flags & PF_W || !(p->p_flags & PF_R) || (execute && !(p->p_flags & PF_X)) ||
            offset + p->p_offset < offset)
            break;
        return (struct verify_range){inside(x, p->p_offset + offset, size), address, size};
    }
    return (struct verify_range){0};
}

/* Two segments may not be at one place: the later one would be what runs. */
static bool
segments_overlap(const struct executable *x)
{
    for (unsigned i = 0; i < x->segment_count; i++)
        for (unsigned k = 0; k < i; k++) {
            const Elf64_Phdr *a = &x->segments[i], *b = &x->segments[k];
            uint64_t page = 4096, a_start = a->p_vaddr & -page, b_start = b->p_vaddr & -page;

            if (a->p_type != PT_LOAD || b->p_type != PT_LOAD || a->p_memsz == 0 || b->p_memsz == 0)
                continue;
            if (a->p_vaddr + a->p_memsz > b_start && b->p_vaddr + b->p_memsz > a_start)
                return true;
        }
    return false;
}

/* FS displacements are from the end of the thread's block. */
static bool
ends_with_cpu(const struct executable *x)
{
    for (unsigned i = 0; i < x->segment_count; i++) {
        const Elf64_Phdr *p = &x->segments[i];

        if (p->p_type == PT_TLS)
            return p->p_memsz == x->cpu + sizeof(struct x86_cpu) && p->p_align && p->p_memsz % p->p_align == 0;
    }
    return false;
}

/* --- units --- */

/* The ledger's row of the unit whose text begins at this offset of the file, or NULL. */
static const struct artifact_ledger *
row_of(const struct check *c, uint64_t offset)
{
    const struct artifact_section *s = c->payload ? &c->header->sections[ARTIFACT_LEDGER] : NULL;
    const struct artifact_ledger *rows = s ? (const void *)(c->payload + s->offset) : NULL;

    for (size_t i = 0; s && i < s->size / sizeof *rows; i++)
        if (rows[i].native_size && rows[i].native_offset == offset)
            return &rows[i];
    return NULL;
}

static const char *
path_of(const struct check *c, const struct artifact_ledger *row)
{
    const struct artifact_section *s = &c->header->sections[ARTIFACT_STRINGS];
    struct verify_range strings = {.bytes = c->payload + s->offset, .size = s->size};

    return name_at(&strings, row->path);
}

static int
find_parts(const struct check *c, const struct direct_unit *d, const struct verify_range *section, uint64_t end,
           struct verify_unit *out, struct err *e)
{
    uint64_t index_size = (uint64_t)d->index_count * sizeof(struct direct_place);

    *out = (struct verify_unit){.text = loaded(&c->exe, d->text, d->text_size, true),
                                .map = loaded(&c->exe, d->map, d->map_size, false),
                                .index = loaded(&c->exe, d->index, index_size, false),
                                .tables = find_section(&c->exe, DIRECT_TABLES_SECTION)};
    memcpy(out->entries, c->exe.entries, sizeof out->entries);
    if (out->tables.size)
        out->tables = loaded(&c->exe, out->tables.address, out->tables.size, false);
    if (!out->text.bytes || !out->map.bytes || !out->index.bytes)
        return err_set(e, "its text, map or index is not loaded, or may be written");
    if (d->text < section->address || d->text - section->address > section->size ||
        d->text_size > section->size - (d->text - section->address) || d->text < end)
        return err_set(e, "its text is not where the texts are, or not in their order");
    return 0;
}

static void
check_unit(struct check *c, const struct direct_unit *d, const struct verify_range *section, uint64_t *end)
{
    struct verify_places places = {0};
    const struct artifact_ledger *row = NULL;
    struct verify_unit u;
    struct err e = {0};
    char name[32];
    int result = find_parts(c, d, section, *end, &u, &e);

    snprintf(name, sizeof name, "unit at %#llx", (unsigned long long)d->text);
    if (result == 0) {
        *end = d->text + d->text_size;
        row = row_of(c, (uint64_t)(u.text.bytes - c->exe.file));
        result = verify_unit(&u, &places, &e);
    }
    if (result == 0) {
        vec_push(&c->units, places);
        return;
    }
    complain(c, row, row ? path_of(c, row) : name, e.text);
    verify_places_fini(&places);
}

/* --- the code map --- */

static bool
is_place(const struct check *c, uint64_t address)
{
    size_t low = 0, high = c->units.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->units.items[middle].address + c->units.items[middle].size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->units.count && verify_leads_to_place(&c->units.items[low], address);
}

/* Whose part of the code map this offset is, or NULL. */
static const struct artifact_ledger *
owner(const struct check *c, uint64_t offset)
{
    const struct artifact_section *s = &c->header->sections[ARTIFACT_LEDGER];
    const struct artifact_ledger *rows = (const void *)(c->payload + s->offset);

    for (size_t i = 0; i < s->size / sizeof *rows; i++)
        if (offset - rows[i].code_map < rows[i].code_map_size)
            return &rows[i];
    return NULL;
}

static void
check_code_map(struct check *c)
{
    const struct artifact_section *s = &c->header->sections[ARTIFACT_CODE_MAP];
    direct_code_map_entry entry;

    for (uint64_t at = 0; at < s->size; at += sizeof entry) {
        const struct artifact_ledger *row;
        char why[200];

        if (s->size - at >= sizeof entry) {
            memcpy(&entry, c->payload + s->offset + at, sizeof entry);
            if (!entry || is_place(c, entry))
                continue;
        }
        snprintf(why, sizeof why, "code map, offset %#llx: %s (rule %s)", (unsigned long long)at,
                 verify_rule_texts[VERIFY_CODE_MAP], verify_rule_names[VERIFY_CODE_MAP]);
        row = owner(c, at);
        complain(c, row, row ? path_of(c, row) : "no program", why);
        return;
    }
}

static unsigned
check_units(struct check *c)
{
    struct verify_range text = find_section(&c->exe, DIRECT_TEXT_SECTION),
                        units = find_section(&c->exe, DIRECT_UNITS_SECTION);
    struct verify_range section = units;
    unsigned count = 0;
    uint64_t end = 0;

    units = loaded(&c->exe, section.address, section.size, false); /* not what a section's header says is there */
    if (segments_overlap(&c->exe) || (section.size && !units.bytes)) {
        complain(c, NULL, "executable", "its segments overlap, or its units may be written");
        return 0;
    }
    for (uint64_t at = 0; at + sizeof(struct direct_unit) <= section.size; at += sizeof(struct direct_unit)) {
        struct direct_unit d;

        memcpy(&d, units.bytes + at, sizeof d);
        check_unit(c, &d, &text, &end);
        count++;
    }
    if (count && !ends_with_cpu(&c->exe))
        complain(c, NULL, "executable", "x86_cpu_tls is not the end of the thread's block");
    return count;
}

static unsigned
check_executable(struct check *c, const uint8_t *file, size_t size)
{
    const char *wrong = open_executable(&c->exe, file, size);

    unsigned count = 0;

    if (wrong)
        complain(c, NULL, "executable", wrong);
    else
        count = check_units(c);
    if (!c->bad && c->payload)
        check_code_map(c);
    for (size_t i = 0; i < c->units.count; i++)
        verify_places_fini(&c->units.items[i]);
    vec_fini(&c->units);
    return count;
}

unsigned
verify_executable(const uint8_t *file, size_t size, verify_report *report, void *context, unsigned *units)
{
    struct check c = {.report = report, .context = context};
    unsigned count = check_executable(&c, file, size);

    if (units)
        *units = count;
    return c.bad;
}

unsigned
verify_artifact(const uint8_t *file, size_t size, verify_report *report, void *context, unsigned *units)
{
    struct check c = {.report = report, .context = context};
    struct artifact_footer footer;
    const char *wrong = artifact_check_frame(file, size, &footer, &c.header);
    unsigned count = 0;

    if (!wrong && (c.header->level < X86_LEVEL_V2 || c.header->level >= X86_LEVEL_END))
        wrong = "its header names no level of processors";
    if (wrong) {
        complain(&c, NULL, "artifact", wrong);
    } else {
        x86_set_level((enum x86_level)c.header->level);
        c.payload = file + footer.payload_offset;
        count = check_executable(&c, file, c.header->elf_size);
    }
    if (units)
        *units = count;
    return c.bad;
}
