/* What the code of one ELF file may rely on about flags at calls and returns (ir_flag_facts). It is found by lifting
 * all of the file once. A flag that nobody reads need not be computed. */
#ifndef DISCOVER_FLAG_FACTS_H
#define DISCOVER_FLAG_FACTS_H

#include "ir/ir.h"
#include "discover/discover.h"

struct flag_facts {
    VEC(uint64_t) readers;   /* the addresses of blocks that read flags before they write them, sorted */
    VEC(uint64_t) returners; /* the addresses of functions whose flags are read when they have returned, sorted */
    bool all_return;         /* Flags are read behind an indirect call, so those of any function may be. */
};

/* f and its builder b are memory to work in; what they have is lost. */
void flag_facts_collect(struct flag_facts *facts, const struct disc *d, const struct elf_image *image,
                        struct ir_func *f, struct ir_build *b);
void flag_facts_fini(struct flag_facts *facts);
/* The same for the passes over IR. It points to facts, which must outlive it. */
struct ir_flag_facts flag_facts_view(struct flag_facts *facts);

#endif
