/* The intermediate representation: what lift makes, what wasm and eval consume.
 *
 * A function is a list of blocks, a block a straight run of operations ended by one terminator.
 * A value is the result of an operation and may be used only in its own block, after it; what lives
 * across blocks lives in CPU state, read by GET and written by SET (x86/state.def). There are no phis.
 *
 * Addresses are *image-relative*: virtual addresses of the ELF file. The loaded address is
 * image base + address; ADDR makes that sum. For ET_EXEC the base is 0.
 *
 * The invariant (DESIGN D6): at every terminator that leaves the function (and at CALL) the guest
 * state is exact in state and memory. Only flags that nobody can read may be stale. */
#ifndef IR_IR_H
#define IR_IR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "x86/cpu.h"

enum ir_type { IR_V, IR_I32, IR_I64, IR_F32, IR_F64, IR_V128 };

enum ir_opcode {
#define OP(name, result, a, b, c, wasm, expression) IR_##name,
#define SIMD(name, result, a, b, c, sub)            IR_##name,
#define HOST(name, result, a, b, c, immediate)      IR_##name,
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
    IR_OP_COUNT
};

enum { IR_HOST_FIRST = IR_CVTTSS2SI32, IR_HOST_COUNT = IR_OP_COUNT - IR_HOST_FIRST }; /* HOST() of ops.def */

enum ir_helper {
#define HELPER(name, result, a, b, c, flags) IR_HELPER_##name,
#include "ir/helpers.def"
#undef HELPER
    IR_HELPER_COUNT
};

enum { /* the letters of helpers.def */
       IR_HELPER_PURE = 1,
       IR_HELPER_CPU = 2,
       IR_HELPER_STATE = 4,
       IR_HELPER_TMP = 8,
       IR_HELPER_MEMORY = 16,
       IR_HELPER_RAISES = 32,
       IR_HELPER_ROUNDING = 64,
};

struct ir_op_info {
    const char *name;        /* "ADD64" */
    uint8_t result, a, b, c; /* enum ir_type */
    uint8_t wasm;            /* one-byte opcode, or 0 */
    int16_t simd;            /* sub-opcode after 0xfd, or -1 */
    uint8_t host_operands;   /* HOST(): parameters of the import, the immediate among them; else 0 */
};
extern const struct ir_op_info ir_op_infos[IR_OP_COUNT];

/* "addsd", for messages and imports; out is returned. */
const char *ir_host_name(enum ir_opcode op, char *out, size_t size);

struct ir_helper_info {
    const char *name;
    uint8_t result, a, b, c;
    uint8_t flags; /* IR_HELPER_* bits */
};
extern const struct ir_helper_info ir_helper_infos[IR_HELPER_COUNT];

struct ir_state_info {
    const char *name;
    uint8_t type;    /* enum ir_type */
    uint16_t offset; /* in struct x86_cpu */
};
extern const struct ir_state_info ir_state_infos[X86_S_COUNT];

/* Index of an operation in its function's `ops`. */
typedef uint32_t ir_value;
#define IR_NO_VALUE ((ir_value)0xffffffff)

struct ir_op {
    uint16_t op;      /* enum ir_opcode */
    uint16_t aux;     /* state, helper, lane, atomic size: see ops.def */
    ir_value a, b, c; /* IR_NO_VALUE where there is none */
    uint64_t imm, imm2;
};

enum ir_terminator_kind {
    IR_T_NONE,
    IR_T_JUMP,          /* to target */
    IR_T_BRANCH,        /* value (i32) != 0 ? target : next */
    IR_T_SWITCH,        /* value (i32) < target_count ? targets[value] : jump indirect to `indirect` (i64, a guest
                         * address; the load that the table jump itself did). next is IR_NO_ADDRESS. */
    IR_T_JUMP_INDIRECT, /* to the guest address in value (i64) */
    IR_T_CALL,          /* to target; the return address is pushed already; returns to next */
    IR_T_CALL_INDIRECT, /* to the guest address in value; returns to next */
    IR_T_RETURN,        /* the popped return address in value (i64) */
    IR_T_SYSCALL,       /* goes on at next */
    IR_T_TRAP,          /* exception `trap` at address `target` (of the instruction); see below */
};

/* IR_T_TRAP: x86 exception vectors (SDM vol. 3, table 6-1), or one of these. */
enum {
    IR_TRAP_DE = 0,
    IR_TRAP_DB = 1,
    IR_TRAP_BP = 3,
    IR_TRAP_OF = 4,
    IR_TRAP_UD = 6,
    IR_TRAP_GP = 13,
    IR_TRAP_UNLIFTED = 256, /* decoded, but no lifter: reported by the build, #UD with a log line at run time */
};

#define IR_NO_ADDRESS UINT64_MAX

/* All addresses image-relative. A target that is no block of the same function leaves it:
 * a tail call when it is another function's entry. */
struct ir_terminator {
    uint8_t kind; /* enum ir_terminator_kind */
    uint16_t trap;
    ir_value value;
    ir_value indirect; /* IR_T_SWITCH only: where to when the index is out of range; always a value */
    uint64_t target, next;
    uint32_t target_count;
    uint64_t *targets;  /* in the function's arena */
    uint8_t flags_dead; /* X86_FLAG_* bits nobody reads after this; found by ir_optimize, 0 is always right */
};

struct ir_block {
    uint64_t address; /* of its first instruction */
    uint32_t size;    /* bytes of x86 text it came from */
    uint32_t insn_count;
    uint32_t first_op, op_count; /* slice of ops */
    uint8_t flags_dead;          /* as in ir_terminator, at the block's start */
    bool entry;                  /* may be entered from the dispatcher: the function's own entry, outermost loop
                           * headers, landing pads, labels */
    bool label;                  /* computed gotos of this function lead here; an entry, too */
    struct ir_terminator end;
};

/* A state that holds a constant when the function is entered, or it is not entered at all. */
struct ir_assumption {
    uint8_t state;   /* of type i64 */
    bool is_address; /* the image base is to be added */
    uint64_t value;
};

struct ir_func {
    struct arena arena;
    uint64_t address; /* its entry, and that of blocks.items[0] */
    VEC(struct ir_op) ops;
    VEC(struct ir_block) blocks; /* [0] is the entry block; the rest by address */
    VEC(struct ir_assumption) assumptions;
};

void ir_func_init(struct ir_func *f, uint64_t address);
void ir_func_fini(struct ir_func *f);
void ir_func_clear(struct ir_func *f, uint64_t address); /* empty again, memory kept */

/* --- building: ir/build.c ---
 * The builder adds operations to the block begun last. It folds constants, forwards SET to GET of the
 * same state within the block and shares equal pure operations, so lifters may be naive. */
struct ir_build {
    struct ir_func *f;
    struct ir_block *block;      /* being built; valid until the next ir_begin_block */
    ir_value state[X86_S_COUNT]; /* the value each state is known to hold in this block, or IR_NO_VALUE */
    struct ir_cse *cse;
};

void ir_build_init(struct ir_build *b, struct ir_func *f);
void ir_build_fini(struct ir_build *b);
struct ir_block *ir_begin_block(struct ir_build *b, uint64_t address);
/* Ends the block begun last; size and insn_count as in struct ir_block. */
void ir_end_block(struct ir_build *b, const struct ir_terminator *end, uint32_t size, uint32_t insn_count);

ir_value ir_const32(struct ir_build *b, uint32_t v);
ir_value ir_const64(struct ir_build *b, uint64_t v);
ir_value ir_constv(struct ir_build *b, uint64_t low, uint64_t high);
ir_value ir_addr(struct ir_build *b, uint64_t address); /* i64: image base + address */
ir_value ir_get(struct ir_build *b, enum x86_state s);
void ir_set(struct ir_build *b, enum x86_state s, ir_value v);
ir_value ir_op1(struct ir_build *b, enum ir_opcode op, ir_value a);
ir_value ir_op2(struct ir_build *b, enum ir_opcode op, ir_value a, ir_value bb);
ir_value ir_op3(struct ir_build *b, enum ir_opcode op, ir_value a, ir_value bb, ir_value c);
/* with aux (lanes, atomic sizes) */
ir_value ir_op_aux(struct ir_build *b, enum ir_opcode op, uint16_t aux, ir_value a, ir_value bb, ir_value c);
ir_value ir_shuffle(struct ir_build *b, ir_value a, ir_value bb, const uint8_t lanes[16]);
ir_value ir_load(struct ir_build *b, enum ir_opcode op, ir_value address, uint32_t offset);
/* 16 bytes; aligned: #GP where the address is not a multiple of 16. */
ir_value ir_load_vector(struct ir_build *b, ir_value address, uint32_t offset, bool aligned);
void ir_store_vector(struct ir_build *b, ir_value address, uint32_t offset, bool aligned, ir_value v);
void ir_store(struct ir_build *b, enum ir_opcode op, ir_value address, uint32_t offset, ir_value v);
ir_value ir_helper(struct ir_build *b, enum ir_helper h, ir_value a, ir_value bb, ir_value c);
/* The operation behind a value, for pattern matching in lifters. */
const struct ir_op *ir_def(const struct ir_build *b, ir_value v);
bool ir_is_const(const struct ir_build *b, ir_value v, uint64_t *out); /* CONST32, CONST64 */

/* Can the operation be removed when nobody uses its result, and shared with an equal one? */
bool ir_op_is_pure(const struct ir_op *op);
/* May it fault for an address: loads, stores, atomics, helpers that touch memory. */
bool ir_op_accesses(const struct ir_op *op);
/* Does it set exception flags of MXCSR, and fault with the exception unmasked: arithmetic, comparisons, conversions. */
bool ir_op_computes_float(const struct ir_op *op);
/* Sets of states, one bit per enum x86_state. */
typedef unsigned __int128 ir_states;
#define IR_STATE_BIT(s) ((ir_states)1 << (s))
static inline unsigned
ir_first_state(ir_states set) /* not of the empty one */
{
    uint64_t low = (uint64_t)set;

    return low ? (unsigned)__builtin_ctzll(low) : 64 + (unsigned)__builtin_ctzll((uint64_t)(set >> 64));
}
#define IR_STATES_ALL (IR_STATE_BIT(X86_S_COUNT) - 1)
/* Shared with helpers and the kernel, no registers of the guest: dead where control leaves, never kept in locals. */
#define IR_STATES_SHARED                                                                                          \
    (IR_STATE_BIT(X86_S_TMP0) | IR_STATE_BIT(X86_S_TMP1) | IR_STATE_BIT(X86_S_TMPV) | IR_STATE_BIT(X86_S_LIMIT) | \
     IR_STATE_BIT(X86_S_RIP) | IR_STATE_BIT(X86_S_STACK))
#define IR_STATES_GENERAL (IR_STATE_BIT(X86_S_R15 + 1) - IR_STATE_BIT(X86_S_RAX))
#define IR_STATES_FLAGS   (IR_STATE_BIT(X86_S_OF + 1) - IR_STATE_BIT(X86_S_CF)) /* without DF */
ir_states ir_helper_reads(enum ir_helper h);
ir_states ir_helper_writes(enum ir_helper h); /* may write */
/* The type of `value` a terminator of this kind has; IR_V when it has none. */
enum ir_type ir_terminator_type(enum ir_terminator_kind kind);

enum ir_type ir_type_of(const struct ir_func *f, ir_value v);

/* --- checking and printing --- */
int ir_verify(const struct ir_func *f, struct err *e); /* types, order, terminators, targets */
void ir_print(const struct ir_func *f, FILE *out);     /* see docs/recompilation.md for the text form */

/* --- passes: ir/pipeline.c holds the one list ---
 * What a call site or a return may rely on about flags (whole-image facts of one ELF). */
struct ir_flag_facts {
    /* does some caller of the function at this address read flags that it returns? NULL: of none */
    bool (*live_at_return)(void *context, uint64_t function);
    /* does the function at this address read flags at entry? NULL: no function does */
    bool (*live_at_entry)(void *context, uint64_t address);
    void *context;
};
/* Which flags (bits X86_FLAG_*) are live at the start of each block, before optimisation; used to
 * compute the facts. out[i] belongs to blocks.items[i]. */
void ir_flags_live_in(const struct ir_func *f, uint8_t *out);

struct ir_pipeline {
    const struct ir_flag_facts *flags;
    const char *dump_pass; /* --dump=PASS: print the IR after it; NULL for none */
    FILE *dump_out;
    bool precise; /* all state but dead flags is kept for what may fault between */
    bool verify;  /* after each pass */
};
int ir_optimize(struct ir_func *f, const struct ir_pipeline *p, struct err *e);

#endif
