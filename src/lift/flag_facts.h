/* What code of one ELF may rely on about flags across calls (ir_flag_facts): found by lifting all of it once. */
#ifndef LIFT_FLAG_FACTS_H
#define LIFT_FLAG_FACTS_H

#include "ir/ir.h"
#include "lift/discover.h"

struct flag_facts {
    VEC(uint64_t) readers;   /* sorted: addresses of blocks that read flags before they write them */
    VEC(uint64_t) returners; /* sorted: functions whose flags some caller reads */
    bool all_return;         /* an indirect call site reads flags, so anybody's may be read */
};

/* f and b are scratch. */
void flag_facts_collect(struct flag_facts *facts, const struct disc *d, const struct elf_image *image,
                        struct ir_func *f, struct ir_build *b);
void flag_facts_fini(struct flag_facts *facts);
/* Refers to facts. */
struct ir_flag_facts flag_facts_view(struct flag_facts *facts);

#endif
