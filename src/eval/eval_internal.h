/* What the evaluator's files share: the threaded form of a block and the block table.
 *
 * A lifted block is translated once into an array of struct eval_op, each with the address of its
 * handler in eval_interpret(). Operands are byte offsets from the thread's CPU state: of a state member,
 * or of a slot in eval_slots, which is thread-local as x86_cpu_tls is, so that the distance
 * between the two is the same in every thread of the executable. */
#ifndef EVAL_EVAL_INTERNAL_H
#define EVAL_EVAL_INTERNAL_H

#include "base/vec.h"
#include "eval/eval.h"
#include "ir/ir.h"
#include "x86/helpers.h"

struct eval_op;
typedef void eval_fn(const struct eval_op *op, char *base);

struct eval_op {
    const void *code;   /* handler label in eval_interpret() */
    int32_t d, a, b, c; /* operands: byte offsets from the CPU state */
    uint64_t imm;
    union {
        uint64_t imm2;
        eval_fn *fn;
    };
};

/* Handlers that are not one per IR operation. */
enum eval_extra {
    EVAL_X_MOVE32 = IR_OP_COUNT,
    EVAL_X_MOVE64,
    EVAL_X_MOVE128,
    EVAL_X_CONST32, /* imm */
    EVAL_X_CONST64,
    EVAL_X_CONST128,
    EVAL_X_LOAD_ALIGNED, /* 16 bytes, or #GP */
    EVAL_X_STORE_ALIGNED,
    EVAL_X_CALL, /* fn: vector operations and helpers */
    /* terminators; imm, imm2: guest addresses */
    EVAL_X_JUMP,
    EVAL_X_BRANCH,   /* a != 0 ? imm : imm2 */
    EVAL_X_INDIRECT, /* to the address in a */
    EVAL_X_SYSCALL,  /* imm: next */
    EVAL_X_TRAP,     /* imm: address; a: vector */
    EVAL_X_COUNT
};

struct eval_labels {
    const void *plain[EVAL_X_COUNT];
    const void *immediate[IR_OP_COUNT]; /* the second operand is imm */
};

/* Where an instruction's operations begin, for the exact rip of a fault. */
struct eval_mark {
    uint32_t op, address; /* address relative to the block's */
};

/* A translation. Nothing of it changes but the count, so that a run which has found it may use it to the end of the
 * block, whatever becomes of the block meanwhile. */
struct eval_code {
    uint64_t end;  /* of the guest's text that it came from */
    uint64_t runs; /* several threads may count at once, and then some runs are not counted */
    uint32_t insn_count, op_count, mark_count;
    struct eval_op *ops;
    struct eval_mark *marks;
    struct eval_code *next_dropped;
};

struct eval_block {
    uint64_t address; /* guest */
    uint64_t entered;
    uint64_t insns;         /* executed in translations since dropped */
    struct eval_code *code; /* NULL: not translated (any more) */
    /* The blocks that followed last, by branch direction; blocks are never freed before the evaluator, so a
     * stale one is found out by its address and code. */
    struct eval_block *next[2];
};

union eval_slot {
    uint32_t i32;
    uint64_t i64;
    float f32;
    double f64;
    uint8_t v128[16];
} __attribute__((aligned(16)));

enum { EVAL_SLOTS = 1024, EVAL_MAX_INSNS = 64, EVAL_MAX_BYTES = EVAL_MAX_INSNS * 15 };
enum { EVAL_LOOK_AHEAD = 24 }; /* instructions decoded to find out which flags are read after a block */

extern __thread union eval_slot eval_slots[EVAL_SLOTS];

struct eval {
    struct eval_block **table; /* open addressing, by address; NULL: empty */
    size_t table_size, block_count;
    uint64_t changes; /* how often translations were dropped; runs that began before end at their next block */
    /* Runs that are under way, and what was dropped, by the phase in which that began. A translation is freed when all
     * runs have ended that may have found it before it was dropped: those of its phase and of the one before. */
    unsigned phase; /* 0 or 1 */
    unsigned runs[2];
    struct eval_code *dropped[2];
    bool dead; /* it is freed with its last run */
    /* scratch of the translator */
    struct ir_func func;
    struct ir_build build;
    VEC(struct eval_op) ops;
    VEC(uint32_t) last_use;
    VEC(int32_t) place;
};

/* Where the running fiber is. */
struct eval_place {
    struct eval *ev; /* NULL: in no run */
    unsigned phase;
    uint64_t changes; /* of ev, when the run began */
    uint64_t paused;  /* where the last run stopped for a system call or a check: going on there is not entering */
    /* The block, its translation and the operation: set before anything that may fault. */
    const struct eval_block *block;
    const struct eval_code *code;
    const struct eval_op *current;
};
extern __thread struct eval_place eval_place;

extern struct eval_labels eval_labels;

/* Vector operations by opcode; NULL where eval_interpret() has a handler of its own. */
extern eval_fn *const eval_simd[IR_OP_COUNT]; /* SIMD() and HOST() of ir/ops.def */
#define OP(name, result, a, b, c, wasm, expression)
#define SIMD(name, result, a, b, c, sub)
#define HOST(name, result, a, b, c, immediate) eval_fn eval_host_##name;
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
extern eval_fn *const eval_helpers[IR_HELPER_COUNT];

/* The translated block at a guest address, or NULL when it is not executable. */
struct eval_block *eval_block_at(struct eval *ev, const struct eval_host *host, uint64_t address);
/* The same for one already there: NULL when it is not. */
struct eval_block *eval_block_find(const struct eval *ev, uint64_t address);

/* Translates the code at the address; returns 0, -1 when it needs too many slots, or 1 when the bytes end inside
 * the first instruction. */
int eval_translate(struct eval *ev, const struct eval_host *host, uint64_t address, const uint8_t *bytes, size_t size,
                   uint64_t image_base, uint32_t max_insns, struct eval_code **out);

/* The flags (bits X86_FLAG_*) that code at a guest address may read before it writes them, as far as
 * a short look ahead (*budget instructions) within the page of `near` tells; DF is always among them. */
unsigned eval_flags_live(const struct eval_host *host, uint64_t address, uint64_t near, unsigned *budget);

/* Runs from cpu->rip. With ev NULL, fills eval_labels. */
enum eval_stop eval_interpret(struct eval *ev, const struct eval_host *host, unsigned *trap);

#endif
