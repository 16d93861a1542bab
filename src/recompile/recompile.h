/* ELF files to code objects and native objects, through the cache. */
#ifndef RECOMPILE_RECOMPILE_H
#define RECOMPILE_RECOMPILE_H

#include "base/arena.h"
#include "base/vec.h"
#include "recompile/cache.h"
#include "recompile/progress.h"
#include "recompile/report.h"
#include "x86/level.h"

/* What the second phase sees of this header must not change with discovery: its key counts all that is included. */
struct disc;
struct elf_image;

/* Which programs and libraries get precise faults. */
enum precise_choice { PRECISE_AUTO, PRECISE_ALL, PRECISE_NONE };

/* Where native code comes from: compiled from WebAssembly, or rewritten (docs/direct.md). */
enum backend { BACKEND_WASM, BACKEND_DIRECT };

struct unit {                /* one distinct ELF of the image */
    const uint64_t *profile; /* further entry points, image-relative, sorted */
    size_t profile_count;
    const char *path;        /* one of its paths, for messages */
    VEC(const char *) paths; /* all of them, the image's */
    const uint8_t *file;
    size_t size;
    struct sha256 sha256; /* of the file */
    enum precise_choice precise_faults;
    struct sha256 key; /* of its code object in the cache */
    struct sha256 native_key;
    struct sha256 symbol_key; /* of its names in the executable: its code and file, not the recompiler's version */
    unsigned parts;
    uint64_t base; /* chosen by layout */
    struct elf_report report;
    bool is_pie;
    uint64_t low, high; /* page-rounded extent, image-relative; these five from the file itself, never from the
                              cache */
    uint64_t exec_low, exec_high; /* extent of executable sections */
    bool unusable;                /* damaged: kept as data; reason says why */
    char *reason;
    char *left_out; /* why it has no native code, although it is a program like others: the evaluator runs it; or
                              NULL */
    uint32_t table_base, entry_count;
    uint64_t native_address;             /* of it, when the executable runs */
    uint64_t native_offset, native_size; /* its native code, in the linked executable's file */
};

struct recompile {
    struct cache cache;
    VEC(struct unit) units; /* sorted by file hash: the order of everything */
    unsigned workers;
    struct progress *progress;
    enum precise_choice precise_faults;
    enum backend backend;
    int opt_level;
    enum x86_level level;
    uint64_t native_bytes_compiled; /* of text, not found in the cache */
};

/* Hash over the sources of the recompiler that decide what code objects are. */
const char *recompiler_version(void);
/* KEY of a unit's symbols (aot.h). */
void unit_symbol_key(const struct unit *u, char out[SHA256_HEX_SIZE]);

/* Code objects of all units, with the direct backend their native objects, too: both need to know where code is. */
int recompile_objects(struct recompile *r, struct err *e);
/* Native objects of the backend wasm. */
int recompile_native(struct recompile *r, struct err *e);
/* Is it linked? */
bool unit_has_native(const struct unit *u);
/* What the direct backend does not link is the evaluator's. */
void unit_leave_out(struct unit *u, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Opens the unit's file and finds its code; both are the caller's to close, unless it fails. */
int unit_discover(const struct unit *u, struct elf_image *image, struct disc *d, struct err *e);
/* The code object and what is said of it. */
int code_object_make(const struct unit *u, const struct elf_image *image, struct disc *d, const char *dump_pass,
                     struct buf *object, struct elf_report *report, struct err *e);

/* The direct backend's part of the cache: the native object of a unit (".0.o") with what its code map is made of
 * (".entries", direct/unit.h), or why there is none (".why"). */
void direct_key(const struct recompile *r, struct unit *u);
bool direct_has(const struct recompile *r, const struct unit *u);
int direct_compile(const struct recompile *r, const struct unit *u, const struct elf_image *image, const struct disc *d,
                   struct err *e);
int direct_note_left_out(const struct recompile *r, struct unit *u, struct err *e);
const char *direct_version(void);
void recompile_fini(struct recompile *r);

/* Fixes the image base of every unit: derived from its hash, moved on conflict, 64 KiB aligned. */
int recompile_layout(struct recompile *r, struct err *e);

/* One ELF, no cache: for tests and --dump. */
int recompile_one(const struct unit *u, const char *dump_pass, struct buf *object, struct elf_report *report,
                  struct err *e);

#endif
