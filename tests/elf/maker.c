/* ELF files made by tests (maker.h). */
#include "maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void
add_segment(struct made *m, uint32_t type, uint32_t flags, uint64_t at, uint64_t size)
{
    m->segments[m->header->e_phnum++] = (Elf64_Phdr){.p_type = type,
                                                     .p_flags = flags,
                                                     .p_offset = at,
                                                     .p_vaddr = at,
                                                     .p_filesz = size,
                                                     .p_memsz = size,
                                                     .p_align = 0x1000};
}

void
made_init(struct made *m, size_t more)
{
    *m = (struct made){.bytes = mem_zalloc(1, MADE_SIZE + more), .size = MADE_SIZE + more};
    m->header = (Elf64_Ehdr *)m->bytes;
    m->segments = (Elf64_Phdr *)(m->bytes + AT_SEGMENTS);
    m->sections = (Elf64_Shdr *)(m->bytes + AT_SECTIONS);
    m->dynamic = (Elf64_Dyn *)(m->bytes + AT_DYNAMIC);
    m->symbols = (Elf64_Sym *)(m->bytes + AT_SYMBOLS);
    *m->header = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = AT_TEXT,
        .e_phoff = AT_SEGMENTS,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_shoff = AT_SECTIONS,
        .e_shentsize = sizeof(Elf64_Shdr),
    };
    add_segment(m, PT_LOAD, PF_R, AT_READ, 0x1000);
    add_segment(m, PT_LOAD, PF_R | PF_X, AT_TEXT, 0x1000);
    add_segment(m, PT_LOAD, PF_R, AT_FRAMES, 0x1000);
    add_segment(m, PT_LOAD, PF_R | PF_W, AT_DATA, 0x1000);
    m->segments[3].p_memsz = 0x2000;
    add_segment(m, PT_DYNAMIC, PF_R | PF_W, AT_DYNAMIC, 0x200);
    add_segment(m, PT_NULL, 0, 0, 0);
}

void
made_fini(struct made *m)
{
    mem_free(m->bytes);
    *m = (struct made){0};
}

void
made_dynamic(struct made *m, int64_t tag, uint64_t value)
{
    m->dynamic[m->dynamic_count++] = (Elf64_Dyn){.d_tag = tag, .d_un.d_val = value};
}

void
made_word(struct made *m, uint64_t at, uint64_t value)
{
    memcpy(m->bytes + at, &value, sizeof value);
}

bool
made_open(const struct made *m, struct elf_image *image, struct err *e)
{
    uint8_t *copy = mem_alloc(m->size);

    memcpy(copy, m->bytes, m->size);
    if (elf_image_open(image, copy, m->size, e) == 0)
        return true;
    mem_free(copy);
    return false;
}

void
made_close(struct elf_image *image)
{
    void *copy = (void *)image->file;

    elf_image_close(image);
    mem_free(copy);
}

void
made_open_sound(const struct made *m, struct elf_image *image)
{
    struct err e = {0};

    if (!made_open(m, image, &e))
        fail_msg("%s", e.text);
    made_check(image);
}

static void
check_segments(const struct elf_image *image)
{
    assert_true(image->segments.count > 0);
    assert_int_equal(image->low % 4096 + image->high % 4096, 0);
    for (size_t i = 0; i < image->segments.count; i++) {
        const struct elf_segment *s = &image->segments.items[i];

        assert_true(s->bytes >= image->file && s->file_size <= image->file_size);
        assert_true((uint64_t)(s->bytes - image->file) <= image->file_size - s->file_size);
        assert_true(s->file_size <= s->memory_size && s->memory_size > 0);
        assert_true(s->address >= image->low && s->address + s->memory_size <= image->high);
        for (size_t j = 0; j < i; j++) {
            const struct elf_segment *t = &image->segments.items[j];

            assert_true(s->address + s->memory_size <= t->address || t->address + t->memory_size <= s->address);
        }
    }
}

static bool
lies_in_executable_segment(const struct elf_image *image, const struct elf_range *r)
{
    for (size_t i = 0; i < image->segments.count; i++) {
        const struct elf_segment *s = &image->segments.items[i];

        if (s->exec && r->start >= s->address && r->end <= s->address + s->file_size)
            return true;
    }
    return false;
}

static void
check_text(const struct elf_image *image)
{
    for (size_t i = 0; i < image->exec_sections.count; i++) {
        const struct elf_range *r = &image->exec_sections.items[i];

        assert_true(r->start < r->end && lies_in_executable_segment(image, r));
        assert_true(i == 0 || image->exec_sections.items[i - 1].end <= r->start);
    }
    for (size_t i = 0; i < image->fdes.count; i++) {
        const struct elf_fde *f = &image->fdes.items[i];

        assert_true(f->start < f->end && elf_image_is_exec(image, f->start) && elf_image_is_exec(image, f->end - 1));
        assert_true(i == 0 || image->fdes.items[i - 1].start <= f->start);
    }
}

static void
check_name(const struct elf_image *image, const char *name)
{
    const uint8_t *p = (const uint8_t *)name;

    if (name && *name) {
        assert_true(p >= image->file && p < image->file + image->file_size);
        assert_non_null(memchr(p, 0, image->file_size - (size_t)(p - image->file)));
    }
}

void
made_check(const struct elf_image *image)
{
    check_segments(image);
    check_text(image);
    check_name(image, image->interpreter);
    check_name(image, image->soname);
    for (size_t i = 0; i < image->symbols.count; i++) {
        assert_non_null(image->symbols.items[i].name);
        check_name(image, image->symbols.items[i].name);
    }
    for (size_t i = 0; i < image->imports.count; i++) {
        check_name(image, image->imports.items[i].name);
        assert_true(i == 0 || image->imports.items[i - 1].where <= image->imports.items[i].where);
    }
    for (size_t i = 1; i < image->relocs.count; i++)
        assert_true(image->relocs.items[i - 1].where <= image->relocs.items[i].where);
    /* Facts are bounded by the file that states them, so that no table counts twice. */
    assert_true(image->symbols.count <= image->file_size / sizeof(Elf64_Sym) * 2);
    assert_true(image->relocs.count + image->imports.count <= image->file_size * 8);
    assert_true(image->landing_pads.count <= image->file_size / 4);
}
