/* One program or library, rewritten: what the files of direct/ share. The forms are docs/direct.md's. */
#ifndef DIRECT_REWRITE_H
#define DIRECT_REWRITE_H

#include "artifact/direct_map.h"
#include "direct/encode.h"
#include "direct/layout.h"
#include "x86/x86.h"

enum {
    HOST_GUEST_RSP = X86_R11,
    HOST_SCRATCH = X86_R10,
    STATUS_FLAGS = 0x3f /* all of enum X86_FLAG but DF, which no comparison touches */
};

/* Displacement of a member of x86_cpu_tls from the host's FS base (x86/cpu.h). */
#define CPU_SLOT(member)     ((int32_t)offsetof(struct x86_cpu, member) - (int32_t)sizeof(struct x86_cpu))
#define CPU_GPR_SLOT(reg)    (CPU_SLOT(gpr) + 8 * (int32_t)(reg))
#define CPU_BORROWED_SLOT(i) (CPU_SLOT(borrowed) + 8 * (int32_t)(i))

struct insn_place {
    uint32_t address; /* image-relative */
    uint8_t length;
    bool leader;     /* something may lead here other than the instruction before */
    bool function;   /* a function begins here */
    bool label;      /* an address of the function's that it takes */
    bool run;        /* in a run of pushes or pops, or what relies on `kept` since the one before: nobody enters it */
    bool reads;      /* status flags are read here, or from here on, before they are written */
    uint8_t live;    /* X86_FLAG_* bits that are alive before it */
    uint32_t labels; /* 1 + index of the label table that an indirect jump here looks in; 0: none */
    uint8_t index;   /* 1 + the host register that is the index of an indirect jump: of this one, or of one soon
                         behind, and then this instruction loads the address; 0: none */
};

struct label_table {
    uint32_t offset; /* in the tables */
    uint32_t multiplier;
    uint8_t bits;          /* of the index */
    bool indexed;          /* by the guest's own index, in its order; else by a hash of the label, and the labels are
                            sorted */
    bool flags_alive;      /* at one of the labels */
    uint32_t first, count; /* its labels, in rewriter.labels */
    uint32_t first_entry, entry_count; /* of rewriter.table_entries */
};

struct table_entry { /* 8 bytes in the tables: guest and host address of a label */
    uint32_t at, guest, position;
};

/* Code that stands behind the function: what an indirect call or jump does without a hit. */
struct slow_path {
    uint32_t position, back; /* where it begins; for calls, where the return point is */
    uint8_t reg;             /* the host's that holds the target, or HOST_SCRATCH: it is in tmp[0] */
    bool call, pop_flags;    /* pop_flags: they lie on the host stack */
};

/* Guest code: an executable section, or a piece. */
struct code_range {
    uint64_t start, end;  /* image-relative */
    const uint8_t *bytes; /* of the caller */
    uint8_t *marks;       /* unit.c's, one for each byte */
};

struct rewriter {
    VEC(struct code_range) code; /* by address */
    struct layout layout;
    bool flags_cross;             /* a function or label begins with code that reads status flags: lookups keep them */
    bool too_long;                /* an instruction that emit() wrote is longer than the processor takes */
    int8_t kept;                  /* the guest's r10 or r11 whose value the host's r10 still has; -1: neither */
    size_t kept_since;            /* behind which instruction */
    bool loaded_kept, used_kept;  /* the present instruction put it there, or took it from there in place of a load */
    uint8_t wanted;               /* which of r10 (bit 0) and r11 (bit 1) the next instruction could take from there */
    VEC(struct insn_place) insns; /* by address; positions 2i and 2i + 1 are begin and end of insns[i] */
    uint32_t entry_position;      /* of the first jump to the run time; DIRECT_ENTRY_COUNT in a row */
    VEC(struct label_table) label_tables;
    VEC(uint32_t) labels; /* of all tables */
    struct buf tables;    /* pairs of guest and host addresses, with fixes below */
    VEC(struct table_entry) table_entries;
    VEC(struct slow_path) slow;
};

static inline uint32_t
position_begin(size_t insn)
{
    return 2 * (uint32_t)insn;
}

static inline uint32_t
position_end(size_t insn)
{
    return 2 * (uint32_t)insn + 1;
}

/* The bytes at an image-relative address of the code, and how many follow; NULL elsewhere. */
const uint8_t *rewriter_bytes(const struct rewriter *w, uint64_t address, uint64_t *left);
/* Index of the first instruction at or behind an image-relative address; insns.count when there is none. */
size_t rewriter_first_from(const struct rewriter *w, uint64_t address);
/* Index of the instruction at that address, or SIZE_MAX. */
size_t rewriter_find(const struct rewriter *w, uint64_t address);

/* plain.c */
void emit(struct rewriter *w, const struct encoding *e);
void emit_load(struct rewriter *w, unsigned reg, unsigned segment, int base, int32_t disp);
void emit_store(struct rewriter *w, unsigned reg, unsigned segment, int base, int32_t disp);
void emit_lea(struct rewriter *w, unsigned reg, int base, int index, int32_t disp);
void emit_move(struct rewriter *w, unsigned to, unsigned from);
void emit_bytes(struct rewriter *w, const void *bytes, size_t size);
/* mov reg, image base + address: reg's low half, the rest is zero. */
void emit_address(struct rewriter *w, unsigned reg, uint64_t address);
/* One instruction that neither jumps nor moves the stack pointer by itself. False: there is no form for it. */
bool rewrite_plain(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at);
/* The operand of an indirect call or jump, or of a push, into the host's r10. */
bool rewrite_load_operand(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn,
                          const struct x86_parts *at);
/* The host's name of a guest register; HOST_SCRATCH for those that are kept in memory. */
unsigned host_register(unsigned guest);
static inline bool
is_displaced(int guest)
{
    return guest == X86_R10 || guest == X86_R11;
}

/* stack.c: from the first of a run on; returns how many instructions it did, 0: none, it has no form. */
size_t rewrite_stack(struct rewriter *w, size_t first);
bool is_stack_insn(const struct x86_insn *insn);
/* strings.c */
bool rewrite_string(struct rewriter *w, const uint8_t *bytes, const struct x86_insn *insn, const struct x86_parts *at);
/* control.c */
bool rewrite_control(struct rewriter *w, size_t index, const uint8_t *bytes, const struct x86_insn *insn,
                     const struct x86_parts *at);
void rewrite_entries(struct rewriter *w);
void rewrite_slow_paths(struct rewriter *w);
/* The evaluator does the instruction at this address and goes on. */
void rewrite_leave(struct rewriter *w, uint64_t address);

/* labels.c: makes the tables of a function's indirect jumps. */
struct disc;
struct disc_func;
void find_labels(struct rewriter *w, const struct disc *d, const struct disc_func *f);

/* flags.c: fills insns[].live and reads, and flags_cross. */
void find_live_flags(struct rewriter *w);

#endif
