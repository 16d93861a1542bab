/* ELF files made by tests: a sound library of fixed layout, of which a test changes what it is about.
 *
 * Addresses equal offsets in the file. The file is handed to the reader in memory of exactly its size, so that AddressSanitizer sees a read
 * behind its end. */
#ifndef TESTS_ELF_MAKER_H
#define TESTS_ELF_MAKER_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/elf_image.h"

enum {                      /* places in the file */
       AT_SEGMENTS = 0x40,  /* program headers, 8 of them; MADE_SEGMENTS are used */
       AT_READ = 0x0,       /* segment 0: read only */
       AT_SECTIONS = 0x400, /* section headers, none of them used at first */
       AT_TEXT = 0x1000,    /* segment 1: read, execute */
       AT_FRAMES = 0x2000,  /* segment 2: read only; .eh_frame_hdr at its beginning when a test says so */
       AT_DATA = 0x3000,    /* segment 3: read, write; 0x1000 bytes of the file, 0x2000 of memory */
       AT_DYNAMIC = 0x3000,
       AT_SYMBOLS = 0x3200,
       AT_STRINGS = 0x3400,
       AT_TABLE = 0x3600, /* room for relocations */
       AT_WORDS = 0x3c00, /* room for words of data */
       MADE_SIZE = 0x4000,
       MADE_SEGMENTS = 6 /* the four above, PT_DYNAMIC and one of type PT_NULL */
};

struct made {
    uint8_t *bytes;
    size_t size;
    Elf64_Ehdr *header;
    Elf64_Phdr *segments;
    Elf64_Dyn *dynamic;
    Elf64_Shdr *sections;
    Elf64_Sym *symbols;
    unsigned dynamic_count;
};

/* To be freed by made_fini(); more bytes of zeros follow the usual ones. */
void made_init(struct made *m, size_t more);
void made_fini(struct made *m);
void made_dynamic(struct made *m, int64_t tag, uint64_t value);
void made_word(struct made *m, uint64_t at, uint64_t value);

/* Opens a copy of the file. The image is closed with made_close(). */
bool made_open(const struct made *m, struct elf_image *image, struct err *e);
void made_close(struct elf_image *image);
/* Opens it, and fails the test when that does not succeed. */
void made_open_sound(const struct made *m, struct elf_image *image);

/* What every image that was opened keeps to, whatever its file says. */
void made_check(const struct elf_image *image);

#endif
