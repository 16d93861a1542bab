/* An x86-64 ELF file as the recompiler sees it: segments, symbols, unwind info, relocations.
 * Everything is checked; a hostile file gives an error or fewer facts, never a bad access.
 * Header and program headers decide (as for the kernel and ld.so); section headers and symbols are
 * hints. Read through libelf and libdw. */
#ifndef ELF_ELF_IMAGE_H
#define ELF_ELF_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

struct elf_segment {  /* PT_LOAD */
    uint64_t address; /* p_vaddr */
    uint64_t memory_size, file_size, file_offset;
    bool read, write, exec;
    const uint8_t *bytes; /* file_size bytes, in the caller's file data */
};

struct elf_range {
    uint64_t start, end;
};

struct elf_symbol {
    uint64_t address, size;
    const char *name;
    bool function;
};

struct elf_fde { /* one frame description entry of .eh_frame */
    uint64_t start, end;
    uint64_t lsda; /* 0: none */
};

struct elf_reloc { /* a pointer-sized word that the dynamic linker (or the file itself) fills with an address */
    uint64_t where;
    uint64_t target; /* image-relative */
};

struct elf_import { /* a word that the dynamic linker fills with a symbol of another file */
    uint64_t where;
    const char *name;
};

struct elf_image {
    struct arena arena;
    const uint8_t *file;
    uint64_t file_size;
    bool is_pie; /* ET_DYN: base is chosen; ET_EXEC: 0 */
    uint64_t entry;
    const char *interpreter; /* PT_INTERP, or NULL */
    const char *soname;
    uint64_t low, high; /* page-rounded extent of the segments */
    VEC(struct elf_segment) segments;
    VEC(struct elf_range) exec_sections; /* executable sections, or whole segments when there are none */
    VEC(struct elf_range) relro;
    VEC(struct elf_symbol) symbols; /* dynamic and static ones */
    VEC(struct elf_fde) fdes;       /* by start */
    VEC(uint64_t) landing_pads;     /* from the LSDAs */
    VEC(struct elf_reloc)
    relocs;                         /* R_X86_64_RELATIVE, IRELATIVE, and defined 64-bit symbol
                                     * relocations; by `where` */
    VEC(uint64_t) lazy_stubs;       /* of the PLT: where its slots point until they are bound */
    VEC(struct elf_import) imports; /* by `where` */
    bool is_go;                     /* the Go linker's: its build ID note or function table */
    VEC(uint64_t) init_functions;   /* init, fini, init_array, fini_array, preinit_array */
};

enum elf_kind { ELF_KIND_NONE, ELF_KIND_X86_64, ELF_KIND_OTHER }; /* OTHER: 32-bit, foreign, relocatable, core */

/* What the bytes are, by header alone; reason (may be NULL) gets a short text for OTHER. */
enum elf_kind elf_classify(const uint8_t *file, uint64_t size, const char **reason);

/* file stays the caller's and must outlive the image. */
int elf_image_open(struct elf_image *image, const uint8_t *file, uint64_t size, struct err *e);
void elf_image_close(struct elf_image *image);

/* The file bytes at a virtual address inside a segment, and how many follow (0 and NULL outside). */
const uint8_t *elf_image_at(const struct elf_image *image, uint64_t address, uint64_t *left);
bool elf_image_is_exec(const struct elf_image *image, uint64_t address);
/* In a segment never written after relocation: read-only, or RELRO. */
bool elf_image_is_constant(const struct elf_image *image, uint64_t address);
/* The symbol that the dynamic linker puts into the word at `where`, if it is another file's; or NULL. */
const char *elf_image_import(const struct elf_image *image, uint64_t where);

#endif
