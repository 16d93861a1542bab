/* What the files of `ingot build` share. */
#ifndef CLI_BUILD_H
#define CLI_BUILD_H

#include "cli/cli.h"
#include "image/source.h"
#include "recompile/profile.h"
#include "recompile/recompile.h"

struct options {
    const char *source, *out, *cache, *report, *dump;
    VEC(const char *) profiles;
    bool wasm, quiet, strict;
    enum precise_choice precise_faults;
    enum backend backend;
    bool backend_given;
    const char *wasm_only; /* an option that was given and means nothing to the direct backend, or NULL */
    enum x86_level level;
    unsigned jobs;
    int optimize;
};

struct skipped { /* an ELF kept as data */
    char *path;
    const char *reason;
};

struct build {
    struct options options;
    struct image image;
    struct recompile r;
    struct profile profile;
    VEC(uint64_t) profile_addresses; /* of all units, one after the other */
    struct progress progress;
    VEC(struct skipped) skipped;
    unsigned elf_files; /* names that lead to an ELF we recompile, before merging equal ones */
    uint32_t table_size;
    uint64_t start_ns;
};

/* --- build_options.c --- */
/* 0, or the status to exit with, after a message. */
int build_options_parse(int argc, char **argv, struct options *o);

/* --- build_write.c --- */
/* --strict: fails when a unit is left out. */
int build_check_strict(const struct build *b, struct err *e);
/* Links and writes the artifact; with the direct backend only what the verifier accepts. */
int build_write_artifact(struct build *b, const struct buf *megabinary, struct err *e);

/* --- build_report.c --- */
void build_print_report(const struct build *b);
void build_warn_left_out(const struct build *b);
/* Writes the file of --report. */
int build_write_report(const struct build *b, struct err *e);

#endif
