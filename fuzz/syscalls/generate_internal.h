/* What the files of the generator share: the operations of one call, before they are put into the program. */
#ifndef FUZZ_SYSCALLS_GENERATE_INTERNAL_H
#define FUZZ_SYSCALLS_GENERATE_INTERNAL_H

#include "fuzz/syscalls/generate.h"
#include "fuzz/syscalls/table.h"

enum { MAX_CHAIN = 200 };

struct chain {
    struct program *program;
    struct program_op ops[MAX_CHAIN];
    unsigned count, lane, depth;
    bool careful; /* arguments that the call is likely to take */
    uint32_t group;
    uint64_t length, elements; /* of the last buffer, for n and k */
    struct {
        uint64_t offset;
        struct word word;
    } picks[4]; /* results in memory */
    unsigned pick_count;
};

/* The next operation, to be filled in. */
struct program_op *append(struct chain *c, enum op_kind kind);
/* Where in the data size bytes are. */
uint32_t allocate(struct chain *c, uint64_t size);
uint64_t bad_pointer(void);
/* The value of an argument or field; operations that make what it points to come before. */
void make_value(struct chain *c, const struct word *w, struct program_arg *a);
void make_fields(struct chain *c, const struct type *t, uint32_t at);
uint64_t make_structure(struct chain *c, const struct word *w, bool content);
unsigned new_slot(struct chain *c);
/* False: there is no room. */
bool put_in(struct program *p, unsigned at, const struct chain *c);

/* Files to execute, and images of processor state (images.c). */
void generate_image(struct program *p, unsigned lane);
void generate_state(struct program *p, unsigned lane);

#endif
