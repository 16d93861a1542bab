/* ELF files: segments, dynamic section, symbols, relocations. Header and program headers decide; what sections
 * say is taken only where it fits inside the segments. Sources: ELF gABI, System V ABI AMD64 supplement. */
#include "elf/elf_image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/page.h"
#include "base/buf.h"
#include "elf/elf_internal.h"

enum { MAX_SEGMENTS = 256, MAX_EXTENT = 0x40000000 /* x86/address_space.h: GUEST_IMAGE_END */ };

/* size bytes at a file offset, or NULL. */
static const void *
file_bytes(const struct elf_image *image, uint64_t offset, uint64_t size)
{
    if (offset > image->file_size || size > image->file_size - offset)
        return NULL;
    return image->file + offset;
}

enum elf_kind
elf_classify(const uint8_t *file, uint64_t size, const char **reason)
{
    Elf64_Ehdr h;
    const char *why = NULL;

    if (size < 20 || memcmp(file, ELFMAG, SELFMAG) != 0)
        return ELF_KIND_NONE;
    if (file[EI_CLASS] != ELFCLASS64) {
        why = file[EI_CLASS] == ELFCLASS32 ? "32-bit ELF" : "ELF of no known class";
    } else if (file[EI_DATA] != ELFDATA2LSB) {
        why = "big-endian ELF";
    } else if (size < sizeof h) {
        why = "truncated ELF header";
    } else {
        memcpy(&h, file, sizeof h);
        if (h.e_machine != EM_X86_64)
            why = "ELF of a foreign architecture";
        else if (h.e_type == ET_REL)
            why = "relocatable object";
        else if (h.e_type == ET_CORE)
            why = "core dump";
        else if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
            why = "ELF of no known type";
        else if (h.e_phnum == 0)
            why = "no program headers";
    }
    if (reason)
        *reason = why;
    return why ? ELF_KIND_OTHER : ELF_KIND_X86_64;
}

const uint8_t *
elf_image_at(const struct elf_image *image, uint64_t address, uint64_t *left)
{
    for (size_t i = 0; i < image->segments.count; i++) {
        const struct elf_segment *s = &image->segments.items[i];

        if (address >= s->address && address - s->address < s->file_size) {
            if (left)
                *left = s->file_size - (address - s->address);
            return s->bytes + (address - s->address);
        }
    }
    if (left)
        *left = 0;
    return NULL;
}

bool
elf_read_at(const struct elf_image *image, uint64_t address, void *out, size_t size)
{
    uint64_t left;
    const uint8_t *p = elf_image_at(image, address, &left);

    if (!p || left < size)
        return false;
    memcpy(out, p, size);
    return true;
}

/* A file may have tens of thousands of sections and functions, so that each function is not looked for in all sections. */
bool
elf_image_is_exec(const struct elf_image *image, uint64_t address)
{
    size_t low = 0, high = image->exec_sections.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->exec_sections.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < image->exec_sections.count && image->exec_sections.items[low].start <= address;
}

const char *
elf_image_import(const struct elf_image *image, uint64_t where)
{
    size_t low = 0, high = image->imports.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->imports.items[middle].where < where)
            low = middle + 1;
        else
            high = middle;
    }
    return low < image->imports.count && image->imports.items[low].where == where ? image->imports.items[low].name
                                                                                  : NULL;
}

bool
elf_image_is_constant(const struct elf_image *image, uint64_t address)
{
    for (size_t i = 0; i < image->relro.count; i++) {
        if (address >= image->relro.items[i].start && address < image->relro.items[i].end)
            return true;
    }
    for (size_t i = 0; i < image->segments.count; i++) {
        const struct elf_segment *s = &image->segments.items[i];

        if (address >= s->address && address - s->address < s->memory_size)
            return !s->write;
    }
    return false;
}

static int
read_segment(struct elf_image *image, const Elf64_Phdr *p, struct err *e)
{
    struct elf_segment s = {
        .address = p->p_vaddr,
        .memory_size = p->p_memsz,
        .file_size = p->p_filesz,
        .file_offset = p->p_offset,
        .read = p->p_flags & PF_R,
        .write = p->p_flags & PF_W,
        .exec = p->p_flags & PF_X,
    };

    if (p->p_memsz == 0)
        return 0;
    if (p->p_filesz > p->p_memsz)
        return err_set(e, "segment at %#lx has more bytes in the file than in memory", p->p_vaddr);
    if (p->p_vaddr > UINT32_MAX || p->p_memsz > UINT32_MAX - p->p_vaddr)
        return err_set(e, "segment at %#lx does not fit a 32-bit address space", p->p_vaddr);
    if ((p->p_vaddr - p->p_offset) % PAGE_SIZE != 0)
        return err_set(e, "segment at %#lx is not page-congruent with its offset", p->p_vaddr);
    s.bytes = file_bytes(image, p->p_offset, p->p_filesz);
    if (!s.bytes)
        return err_set(e, "segment at %#lx reaches beyond the end of the file", p->p_vaddr);
    for (size_t i = 0; i < image->segments.count; i++) {
        const struct elf_segment *t = &image->segments.items[i];

        if (s.address < t->address + t->memory_size && t->address < s.address + s.memory_size)
            return err_set(e, "segments at %#lx and %#lx overlap", t->address, s.address);
    }
    vec_push(&image->segments, s);
    if (s.address / PAGE_SIZE * PAGE_SIZE < image->low)
        image->low = s.address / PAGE_SIZE * PAGE_SIZE;
    if (s.address + s.memory_size > image->high)
        image->high = (s.address + s.memory_size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
    return 0;
}

static void
read_notes(struct elf_image *image, const Elf64_Phdr *p)
{
    static const char go[4] = "Go";
    const uint8_t *note = file_bytes(image, p->p_offset, p->p_filesz);
    struct cursor c = cursor_make(note, note ? p->p_filesz : 0);

    while (cursor_left(&c) >= sizeof(Elf64_Nhdr)) {
        uint32_t name_size = cursor_u32(&c), size = cursor_u32(&c);
        const uint8_t *name;

        cursor_u32(&c);
        name = cursor_bytes(&c, ((uint64_t)name_size + 3) & ~3ull);
        cursor_bytes(&c, ((uint64_t)size + 3) & ~3ull);
        if (c.failed)
            return;
        image->is_go |= name_size == sizeof go && memcmp(name, go, sizeof go) == 0;
    }
}

static int
read_segments(struct elf_image *image, const Elf64_Ehdr *h, struct elf_dynamic *dyn, struct err *e)
{
    const uint8_t *table;

    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum > MAX_SEGMENTS)
        return err_set(e, "unusable program header table (%u entries of %u bytes)", h->e_phnum, h->e_phentsize);
    table = file_bytes(image, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr));
    if (!table)
        return err_set(e, "program headers lie beyond the end of the file");
    image->low = UINT64_MAX;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        const char *s;

        memcpy(&p, table + i * sizeof p, sizeof p);
        switch (p.p_type) {
        case PT_LOAD:
            if (read_segment(image, &p, e) < 0)
                return -1;
            break;
        case PT_NOTE: read_notes(image, &p); break;
        case PT_INTERP:
            s = file_bytes(image, p.p_offset, p.p_filesz);
            if (s && p.p_filesz && memchr(s, 0, p.p_filesz))
                image->interpreter = s;
            break;
        case PT_DYNAMIC:
            dyn->address = p.p_vaddr;
            dyn->size = p.p_memsz;
            break;
        case PT_GNU_EH_FRAME: dyn->eh_frame_hdr = p.p_vaddr; break;
        case PT_GNU_RELRO:
            if (p.p_memsz <= UINT32_MAX && p.p_vaddr <= UINT32_MAX)
                vec_push(&image->relro, ((struct elf_range){p.p_vaddr, p.p_vaddr + p.p_memsz}));
            break;
        }
    }
    if (image->segments.count == 0)
        return err_set(e, "no loadable segment");
    if (image->high - image->low > MAX_EXTENT || (!image->is_pie && image->high > MAX_EXTENT))
        return err_set(e, "segments from %#lx to %#lx do not fit the address space for code", image->low, image->high);
    return 0;
}

static void
read_dynamic(const struct elf_image *image, struct elf_dynamic *dyn)
{
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dyn->size; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn d;
        uint64_t v;

        if (!elf_read_at(image, dyn->address + at, &d, sizeof d) || d.d_tag == DT_NULL)
            return;
        v = d.d_un.d_val;
        switch (d.d_tag) {
        case DT_RELA: dyn->rela = v; break;
        case DT_RELASZ: dyn->rela_size = v; break;
        case DT_JMPREL: dyn->plt_rela = v; break;
        case DT_PLTRELSZ: dyn->plt_rela_size = v; break;
        case DT_RELR: dyn->relr = v; break;
        case DT_RELRSZ: dyn->relr_size = v; break;
        case DT_SYMTAB: dyn->symtab = v; break;
        case DT_STRTAB: dyn->strtab = v; break;
        case DT_STRSZ: dyn->strtab_size = v; break;
        case DT_SONAME: dyn->soname = v; break;
        case DT_GNU_HASH: dyn->gnu_hash = v; break;
        case DT_HASH: dyn->hash = v; break;
        case DT_INIT: dyn->init = v; break;
        case DT_FINI: dyn->fini = v; break;
        case DT_INIT_ARRAY: dyn->arrays[0] = v; break;
        case DT_INIT_ARRAYSZ: dyn->array_sizes[0] = v; break;
        case DT_FINI_ARRAY: dyn->arrays[1] = v; break;
        case DT_FINI_ARRAYSZ: dyn->array_sizes[1] = v; break;
        case DT_PREINIT_ARRAY: dyn->arrays[2] = v; break;
        case DT_PREINIT_ARRAYSZ: dyn->array_sizes[2] = v; break;
        }
    }
}

static struct elf_strings
strings_make(const void *text, uint64_t size)
{
    const char *last = text && size ? memrchr(text, 0, size) : NULL;

    return (struct elf_strings){.text = text, .size = last ? (uint64_t)(last + 1 - (const char *)text) : 0};
}

/* NULL: there is no string at this offset. */
static const char *
string_at(const struct elf_strings *s, uint64_t offset)
{
    return offset < s->size ? s->text + offset : NULL;
}

static void
read_dynamic_strings(const struct elf_image *image, struct elf_dynamic *dyn)
{
    uint64_t left = 0;
    const uint8_t *text = dyn->strtab ? elf_image_at(image, dyn->strtab, &left) : NULL;

    dyn->strings = strings_make(text, dyn->strtab_size < left ? dyn->strtab_size : left);
}

/* How many dynamic symbols there are: DT_HASH says it, DT_GNU_HASH only through its last chain. */
static uint64_t
dynamic_symbol_count(const struct elf_image *image, const struct elf_dynamic *dyn)
{
    uint32_t head[4], last = 0, link;
    uint64_t chains;

    if (dyn->hash && elf_read_at(image, dyn->hash, head, 8))
        return head[1];
    if (!dyn->gnu_hash || !elf_read_at(image, dyn->gnu_hash, head, sizeof head))
        return 0;
    chains = dyn->gnu_hash + 16 + (uint64_t)head[2] * 8 + (uint64_t)head[0] * 4;
    for (uint64_t i = 0; i < head[0]; i++) {
        uint32_t bucket;

        if (!elf_read_at(image, chains - (head[0] - i) * 4, &bucket, 4))
            return 0;
        if (bucket > last)
            last = bucket;
    }
    if (last < head[1])
        return head[1];
    for (;; last++) {
        if (!elf_read_at(image, chains + (uint64_t)(last - head[1]) * 4, &link, 4))
            return last;
        if (link & 1)
            return (uint64_t)last + 1;
    }
}

static void
add_symbol(struct elf_image *image, const Elf64_Sym *s, const struct elf_strings *strings)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);
    struct elf_symbol symbol = {.address = s->st_value, .size = s->st_size, .name = string_at(strings, s->st_name)};

    if (s->st_shndx == SHN_UNDEF || s->st_shndx == SHN_ABS || s->st_value == 0)
        return;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE && type != STT_OBJECT)
        return;
    symbol.function = type == STT_FUNC || type == STT_GNU_IFUNC;
    if (!symbol.name)
        symbol.name = "";
    vec_push(&image->symbols, symbol);
}

static void
read_dynamic_symbols(struct elf_image *image, const struct elf_dynamic *dyn)
{
    uint64_t count = dyn->symtab ? dynamic_symbol_count(image, dyn) : 0;

    for (uint64_t i = 0; i < count; i++) {
        Elf64_Sym s;

        if (!elf_read_at(image, dyn->symtab + i * sizeof s, &s, sizeof s))
            break;
        add_symbol(image, &s, &dyn->strings);
    }
    if (dyn->soname)
        image->soname = string_at(&dyn->strings, dyn->soname);
}

/* A word at `where` that will hold the address `target` once the image is loaded. */
static void
add_reloc(struct elf_image *image, uint64_t where, uint64_t target)
{
    vec_push(&image->relocs, ((struct elf_reloc){.where = where, .target = target}));
}

static void
add_import(struct elf_image *image, const struct elf_dynamic *dyn, uint64_t where, uint32_t offset)
{
    const char *name = string_at(&dyn->strings, offset);

    if (name)
        vec_push(&image->imports, ((struct elf_import){.where = where, .name = name}));
}

static void
read_rela(struct elf_image *image, const struct elf_dynamic *dyn, uint64_t table, uint64_t size)
{
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= size; at += sizeof(Elf64_Rela)) {
        Elf64_Rela r;
        Elf64_Sym s;
        uint64_t word;

        if (!elf_read_at(image, table + at, &r, sizeof r))
            return;
        switch (ELF64_R_TYPE(r.r_info)) {
        case R_X86_64_RELATIVE:
        case R_X86_64_IRELATIVE: add_reloc(image, r.r_offset, (uint64_t)r.r_addend); break;
        case R_X86_64_JUMP_SLOT:
            if (elf_read_at(image, r.r_offset, &word, sizeof word) && word)
                vec_push(&image->lazy_stubs, word);
            /* fall through */
        case R_X86_64_64:
        case R_X86_64_GLOB_DAT:
            if (!dyn->symtab || !elf_read_at(image, dyn->symtab + ELF64_R_SYM(r.r_info) * sizeof s, &s, sizeof s))
                break;
            if (s.st_shndx == SHN_UNDEF)
                add_import(image, dyn, r.r_offset, s.st_name);
            else
                add_reloc(image, r.r_offset,
                          s.st_value + (ELF64_R_TYPE(r.r_info) == R_X86_64_64 ? (uint64_t)r.r_addend : 0));
            break;
        }
    }
}

/* Packed relative relocations (gABI, SHT_RELR). */
static void
read_relr(struct elf_image *image, const struct elf_dynamic *dyn)
{
    uint64_t where = 0;

    for (uint64_t at = 0; at + 8 <= dyn->relr_size; at += 8) {
        uint64_t word, target;

        if (!elf_read_at(image, dyn->relr + at, &word, 8))
            return;
        if (!(word & 1)) {
            where = word;
            if (elf_read_at(image, where, &target, 8))
                add_reloc(image, where, target);
            where += 8;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++) {
            if (word >> bit & 1 && elf_read_at(image, where + (bit - 1) * 8, &target, 8))
                add_reloc(image, where + (bit - 1) * 8, target);
        }
        where += 63 * 8;
    }
}

static void
read_init(struct elf_image *image, const struct elf_dynamic *dyn)
{
    if (dyn->init)
        vec_push(&image->init_functions, dyn->init);
    if (dyn->fini)
        vec_push(&image->init_functions, dyn->fini);
    for (int i = 0; i < 3; i++) {
        for (uint64_t at = 0; at + 8 <= dyn->array_sizes[i]; at += 8) {
            uint64_t f;

            if (!elf_read_at(image, dyn->arrays[i] + at, &f, 8))
                break;
            if (f != 0 && f != UINT64_MAX)
                vec_push(&image->init_functions, f);
        }
    }
}

static void
read_section_symbols(struct elf_image *image, const Elf64_Shdr *s, const uint8_t *table, unsigned count)
{
    const uint8_t *symbols = file_bytes(image, s->sh_offset, s->sh_size);
    struct elf_strings strings;
    Elf64_Shdr link;

    if (!symbols || s->sh_link >= count)
        return;
    memcpy(&link, table + s->sh_link * sizeof link, sizeof link);
    strings = strings_make(file_bytes(image, link.sh_offset, link.sh_size), link.sh_size);
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= s->sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;

        memcpy(&symbol, symbols + at, sizeof symbol);
        add_symbol(image, &symbol, &strings);
    }
}

static bool
section_named(const struct elf_image *image, const Elf64_Ehdr *h, const uint8_t *table, const Elf64_Shdr *s,
              const char *name)
{
    Elf64_Shdr strings;
    const char *text;

    if (h->e_shstrndx >= h->e_shnum)
        return false;
    memcpy(&strings, table + h->e_shstrndx * sizeof strings, sizeof strings);
    text = file_bytes(image, strings.sh_offset, strings.sh_size);
    return text && s->sh_name < strings.sh_size && strings.sh_size - s->sh_name > strlen(name) &&
           strcmp(text + s->sh_name, name) == 0;
}

/* Sections only add: executable ranges, .symtab, and the relocations of static executables. A table that tens of thousands of sections
 * name is read about once: there is one symbol table in a file (gABI), and all relocations together are no larger than it. */
static void
read_sections(struct elf_image *image, const Elf64_Ehdr *h, struct elf_dynamic *dyn)
{
    const uint8_t *table;
    uint64_t relocations_left = image->file_size;
    bool have_symbols = false;

    if (h->e_shentsize != sizeof(Elf64_Shdr))
        return;
    table = file_bytes(image, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
    for (unsigned i = 0; table && i < h->e_shnum; i++) {
        Elf64_Shdr s;
        uint64_t left;

        memcpy(&s, table + i * sizeof s, sizeof s);
        if (s.sh_type == SHT_SYMTAB && !have_symbols) {
            read_section_symbols(image, &s, table, h->e_shnum);
            have_symbols = true;
        }
        if (!(s.sh_flags & SHF_ALLOC) || s.sh_size == 0)
            continue;
        image->is_go |= section_named(image, h, table, &s, ".gopclntab");
        if (!dyn->eh_frame_hdr && section_named(image, h, table, &s, ".eh_frame"))
            dyn->eh_frame = s.sh_addr; /* static programs may have no PT_GNU_EH_FRAME */
        if (s.sh_type == SHT_RELA && !dyn->rela && !dyn->plt_rela && s.sh_size <= relocations_left) {
            read_rela(image, dyn, s.sh_addr, s.sh_size);
            relocations_left -= s.sh_size;
        }
        if ((s.sh_type == SHT_INIT_ARRAY || s.sh_type == SHT_FINI_ARRAY) && !dyn->address) {
            int which = s.sh_type == SHT_INIT_ARRAY ? 0 : 1;

            dyn->arrays[which] = s.sh_addr;
            dyn->array_sizes[which] = s.sh_size;
        }
        if (s.sh_type == SHT_PROGBITS && s.sh_flags & SHF_EXECINSTR && elf_image_at(image, s.sh_addr, &left) &&
            left >= s.sh_size)
            vec_push(&image->exec_sections, ((struct elf_range){s.sh_addr, s.sh_addr + s.sh_size}));
    }
}

static int
compare_ranges(const void *a, const void *b)
{
    const struct elf_range *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Without usable sections every byte of an executable segment may be code. A section outside any
 * executable segment is a lie and goes. */
static void
settle_exec_ranges(struct elf_image *image)
{
    size_t kept = 0;

    for (size_t i = 0; i < image->exec_sections.count; i++) {
        struct elf_range r = image->exec_sections.items[i];

        for (size_t j = 0; j < image->segments.count; j++) {
            const struct elf_segment *s = &image->segments.items[j];

            if (s->exec && r.start >= s->address && r.end <= s->address + s->file_size) {
                image->exec_sections.items[kept++] = r;
                break;
            }
        }
    }
    image->exec_sections.count = kept;
    for (size_t j = 0; j < image->segments.count; j++) {
        const struct elf_segment *s = &image->segments.items[j];
        bool covered = !s->exec || !s->file_size;

        for (size_t i = 0; i < kept && !covered; i++)
            covered = image->exec_sections.items[i].start >= s->address &&
                      image->exec_sections.items[i].start < s->address + s->file_size;
        if (!covered)
            vec_push(&image->exec_sections, ((struct elf_range){s->address, s->address + s->file_size}));
    }
    if (image->exec_sections.count == 0)
        return;
    qsort(image->exec_sections.items, image->exec_sections.count, sizeof(struct elf_range), compare_ranges);
    /* Sections that overlap (a lying table may name one range 65,535 times) count once. */
    kept = 0;
    for (size_t i = 1; i < image->exec_sections.count; i++) {
        struct elf_range *last = &image->exec_sections.items[kept], r = image->exec_sections.items[i];

        if (r.start >= last->end)
            image->exec_sections.items[++kept] = r;
        else if (r.end > last->end)
            last->end = r.end;
    }
    image->exec_sections.count = kept + 1;
}

static int
compare_imports(const void *a, const void *b)
{
    const struct elf_import *x = a, *y = b;

    return x->where < y->where ? -1 : x->where > y->where;
}

static int
compare_relocs(const void *a, const void *b)
{
    const struct elf_reloc *x = a, *y = b;

    return x->where < y->where ? -1 : x->where > y->where;
}

int
elf_image_open(struct elf_image *image, const uint8_t *file, uint64_t size, struct err *e)
{
    struct elf_dynamic dyn = {0};
    Elf64_Ehdr h;
    const char *reason = NULL;

    *image = (struct elf_image){.file = file, .file_size = size};
    if (elf_classify(file, size, &reason) != ELF_KIND_X86_64)
        return err_set(e, "not an x86-64 program or library: %s", reason ? reason : "no ELF magic");
    memcpy(&h, file, sizeof h);
    image->is_pie = h.e_type == ET_DYN;
    image->entry = h.e_entry;
    if (read_segments(image, &h, &dyn, e) < 0) {
        elf_image_close(image);
        return -1;
    }
    read_dynamic(image, &dyn);
    read_dynamic_strings(image, &dyn);
    read_dynamic_symbols(image, &dyn);
    read_rela(image, &dyn, dyn.rela, dyn.rela_size);
    read_rela(image, &dyn, dyn.plt_rela, dyn.plt_rela_size);
    read_relr(image, &dyn);
    read_sections(image, &h, &dyn);
    read_init(image, &dyn);
    settle_exec_ranges(image);
    if (image->imports.count)
        qsort(image->imports.items, image->imports.count, sizeof(struct elf_import), compare_imports);
    if (image->relocs.count)
        qsort(image->relocs.items, image->relocs.count, sizeof(struct elf_reloc), compare_relocs);
    elf_read_unwind(image, &dyn);
    return 0;
}

void
elf_image_close(struct elf_image *image)
{
    vec_fini(&image->segments);
    vec_fini(&image->exec_sections);
    vec_fini(&image->relro);
    vec_fini(&image->symbols);
    vec_fini(&image->fdes);
    vec_fini(&image->landing_pads);
    vec_fini(&image->relocs);
    vec_fini(&image->imports);
    vec_fini(&image->lazy_stubs);
    vec_fini(&image->init_functions);
    arena_fini(&image->arena);
}
