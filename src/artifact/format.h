/* The artifact file: what `ingot build` appends to the native executable and the vkernel reads back.
 *
 *   [ELF executable][padding to 64 KiB][payload][struct artifact_signature, any number][struct artifact_footer]
 *
 * The payload starts with struct artifact_header, alone in its chunk. All offsets but those said to be in the file are
 * from the payload's start; all numbers are little-endian. Sections are page aligned. Written by image/, read by
 * vkernel/trust; docs/formats.md. */
#ifndef ARTIFACT_FORMAT_H
#define ARTIFACT_FORMAT_H

#include <stdint.h>

#define ARTIFACT_MAGIC   0x315450414d474e49ull /* "INGMAPT1" */
#define ARTIFACT_VERSION 5u
#define ARTIFACT_NONE    0xffffffffu

enum artifact_section_id {
    ARTIFACT_CONFIG,   /* image config: JSON text (docs/formats.md) */
    ARTIFACT_INODES,   /* struct artifact_inode[]; [0] is the root directory */
    ARTIFACT_DIRENTS,  /* struct artifact_dirent[]; each directory's run sorted by name (strcmp) */
    ARTIFACT_STRINGS,  /* names and symlink targets, each with a terminating NUL */
    ARTIFACT_LEDGER,   /* struct artifact_ledger[], sorted by sha256 */
    ARTIFACT_CODE_MAP, /* pages of entries, see enum artifact_backend */
    ARTIFACT_DATA,     /* file contents, each page aligned, identical contents once */
    ARTIFACT_CHUNKS,   /* SHA-256 of each ARTIFACT_CHUNK_SIZE bytes of the file, from its start to this section, which
                          is aligned to that; zero for the header's own chunk. The last section. */
    ARTIFACT_SECTION_COUNT
};

/* What is checked at once when a part of the file is used for the first time. */
enum { ARTIFACT_CHUNK_SIZE = 65536 };

/* Where the programs' native code comes from, and so what the code map's entries are: struct code_map_entry
 * (x86/address_space.h), or direct_code_map_entry (artifact/direct_map.h). */
enum artifact_backend { ARTIFACT_BACKEND_WASM, ARTIFACT_BACKEND_DIRECT };

struct artifact_section {
    uint64_t offset, size;
    uint8_t sha256[32]; /* of the section; for DATA all zero: each inode has its own */
};

struct artifact_header {
    uint64_t magic;
    uint32_t version;
    uint32_t section_count;
    uint64_t payload_size; /* header to end of last section */
    uint64_t elf_size;     /* bytes of the executable before the padding */
    uint8_t elf_sha256[32];
    uint8_t megabinary_sha256[32];
    uint32_t table_size;  /* of the function table */
    uint16_t backend;     /* enum artifact_backend */
    uint16_t level;       /* enum x86_level (x86/level.h): what the programs may use, and the host must have */
    uint64_t loaded_size; /* bytes of the executable that the host loads; symbols and the like lie behind */
    uint64_t code_offset, code_size; /* where in it the programs' native code lies; the ledger has each one's part */
    struct artifact_section sections[ARTIFACT_SECTION_COUNT];
};

struct artifact_inode {
    uint32_t mode; /* st_mode with type */
    uint32_t uid, gid;
    uint32_t nlink;
    uint64_t size;
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t rdev_major, rdev_minor;
    uint32_t ledger;                     /* index in LEDGER, or ARTIFACT_NONE */
    uint64_t data;                       /* regular: offset in DATA section; symlink: offset in STRINGS */
    uint32_t first_dirent, dirent_count; /* directories */
    uint8_t sha256[32];                  /* of a regular file's content */
};
_Static_assert(sizeof(struct artifact_inode) == 96, "artifact_inode layout");

struct artifact_dirent {
    uint32_t name; /* offset in STRINGS */
    uint32_t inode;
};

struct artifact_ledger {
    uint8_t sha256[32]; /* of the whole original file */
    uint64_t file_size;
    uint64_t base;          /* fixed image base; 0 for ET_EXEC */
    uint64_t low, high;     /* page-rounded extent of its segments, image-relative */
    uint64_t text_bytes;    /* of executable sections */
    uint64_t code_map;      /* offset in CODE_MAP of the pages below */
    uint64_t code_map_from; /* guest address of the first byte they cover, a multiple of what a page of them covers */
    uint64_t code_map_size; /* bytes of map pages, multiple of 4096 */
    uint32_t table_base, entry_count; /* slice of the function table */
    uint32_t function_count;
    uint32_t path;                       /* offset in STRINGS: one path of the file in the image, for messages */
    uint8_t code_sha256[32];             /* of the wasm code object */
    uint8_t code_key[32];                /* its key in the cache: symbol names in the executable carry it */
    uint64_t native_offset, native_size; /* its native code, in the file; 0, 0: it has none */
};
_Static_assert(sizeof(struct artifact_ledger) == 192, "artifact_ledger layout");

/* Ed25519 (RFC 8032) over ARTIFACT_SIGNED, without its NUL, and the 32 bytes of the header's hash: the root digest,
 * from which every byte of the file but signatures and footer follows. */
#define ARTIFACT_SIGNED "ingot artifact signature 1\n"
struct artifact_signature {
    uint8_t public_key[32];
    uint8_t signature[64];
};
_Static_assert(sizeof(struct artifact_signature) == 96, "artifact_signature layout");

enum { ARTIFACT_MAX_SIGNATURES = 64 };

struct artifact_footer {
    uint64_t magic;
    uint64_t payload_offset; /* in the file */
    uint8_t header_sha256[32];
    uint64_t file_size;
    uint64_t signature_count; /* they lie directly before the footer */
};
_Static_assert(sizeof(struct artifact_footer) == 64, "artifact_footer layout");

#endif
