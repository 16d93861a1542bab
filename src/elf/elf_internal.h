/* What the files of elf/ share. */
#ifndef ELF_ELF_INTERNAL_H
#define ELF_ELF_INTERNAL_H

#include "elf/elf_image.h"

/* A string table up to its last terminator: every offset below size begins a string that ends in the table, and nobody has to look for
 * the end of each, which a table of megabytes without one would make long. */
struct elf_strings {
    const char *text;
    uint64_t size;
};

struct elf_dynamic { /* of PT_DYNAMIC and friends; 0: absent */
    uint64_t address, size, eh_frame_hdr, eh_frame;
    uint64_t rela, rela_size, plt_rela, plt_rela_size, relr, relr_size;
    uint64_t symtab, strtab, strtab_size, soname, gnu_hash, hash;
    uint64_t init, fini, arrays[3], array_sizes[3];
    struct elf_strings strings;
};

/* size bytes at a virtual address, all inside one segment's file part. */
bool elf_read_at(const struct elf_image *image, uint64_t address, void *out, size_t size);

/* Fills fdes and landing_pads from .eh_frame (elf/unwind.c). */
void elf_read_unwind(struct elf_image *image, const struct elf_dynamic *dyn);

#endif
