/* What the files of verify/ share. */
#ifndef VERIFY_VERIFY_INTERNAL_H
#define VERIFY_VERIFY_INTERNAL_H

#include "base/vec.h"
#include "verify/verify.h"
#include "x86/cpu.h"
#include "x86/x86.h"

enum verify_rule {
#define RULE(name, text) VERIFY_##name,
#include "verify/rules.def"
#undef RULE
    VERIFY_RULE_COUNT
};

/* Displacement of a member of x86_cpu_tls from the host's FS base (x86/cpu.h). */
#define VERIFY_SLOT(member) ((int32_t)offsetof(struct x86_cpu, member) - (int32_t)sizeof(struct x86_cpu))

enum {
    VERIFY_ENTRY_SIZE = 5 /* of a jump at the text's start */,
    VERIFY_ENTRIES_SIZE = DIRECT_ENTRY_COUNT * VERIFY_ENTRY_SIZE
};

struct verify_branch { /* offsets in the text */
    uint32_t from, to;
    bool flags; /* flags lie on the stack */
};

struct verify_lookup { /* in a table of labels */
    uint32_t from;
    uint32_t table, multiplier;
    uint8_t bits;
    bool indexed; /* any entry may be found */
};

struct verifier {
    const struct verify_unit *unit;
    const uint8_t *text;
    uint32_t size;
    uint64_t off;            /* rules that are not applied, by bit: for tests, which show that each is needed */
    enum verify_rule broken; /* the rule of the error */
    struct verify_places *places;
    uint64_t *takes_flags; /* as places: POPFQ where a path begins */
    bool falls;            /* the instruction before the present one goes on to it */
    VEC(struct verify_branch) branches;
    VEC(struct verify_lookup) lookups;
    struct err *e;
};

/* Symbols of the run time's entries. */
extern const char *const verify_entry_names[DIRECT_ENTRY_COUNT];

extern const char *const verify_rule_texts[VERIFY_RULE_COUNT], *const verify_rule_names[VERIFY_RULE_COUNT];

/* Rule `rule` is broken by the text at this offset: true, and the message is set. False: the rule is not applied. */
bool verify_breaks(struct verifier *v, enum verify_rule rule, uint32_t at);

static inline bool
verify_bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

static inline void
verify_set_bit(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= 1ull << at % 64;
}

static inline bool
verify_is_place(const struct verifier *v, uint64_t at)
{
    return at < v->size && verify_bit(v->places->bits, (uint32_t)at);
}

/* text.c: the pass over the text. */
bool verify_is_allowed(unsigned op);
bool verify_is_string(unsigned op);
int verify_text(struct verifier *v);
/* A branch from an instruction to an offset, which is checked when all places are known, or to an entry, which is
 * checked at once. */
int verify_branch_to(struct verifier *v, uint32_t from, int64_t to, enum x86_flow flow, bool flags);

/* sequences.c: each returns the length of the sequence that begins at this offset, or 0: there is none. What it leads
 * to is noted in the verifier. */
uint32_t verify_code_map_lookup(struct verifier *v, uint32_t at, int *result);
uint32_t verify_label_lookup(struct verifier *v, uint32_t at, int *result);
uint32_t verify_string(struct verifier *v, uint32_t at);
uint32_t verify_flags_to_scratch(struct verifier *v, uint32_t at);
uint32_t verify_return_point_with_flags(struct verifier *v, uint32_t at);
/* Does a return point begin here, of either kind? */
bool verify_is_return_point(struct verifier *v, int64_t at);
/* tables.c: what leads into the text from outside of it. */
int verify_labels(struct verifier *v);
int verify_map(struct verifier *v);

/* verify_unit() without some rules; *broken is the rule of the error. */
int verify_unit_without(const struct verify_unit *u, uint64_t off, struct verify_places *places,
                        enum verify_rule *broken, struct err *e);

#endif
