/* The hardware oracle: runs instructions on the processor and in the evaluator from the same state and
 * compares what they leave (DESIGN D7).
 *
 * Guest memory is one window, mapped in this process at the same numeric address as in the evaluator's
 * guest memory, so that addresses mean the same on both sides. Code runs from a page of this
 * process; exit stubs after it store their own address and jump back. */
#ifndef TESTS_EVAL_ORACLE_H
#define TESTS_EVAL_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/cpu.h"
#include "x86/x86.h"

enum {
    CODE_PAGE = 0x08000000,
    CODE_AT = CODE_PAGE + 0x800, /* where test code begins */
    NATIVE_PAGE = 0x0a000000,    /* state in and out of the native run */
    WINDOW = 0x10000000,
    WINDOW_SIZE = 0x4000,
    WINDOW_MIDDLE = WINDOW + WINDOW_SIZE / 2,
    GS_BASE = WINDOW + 0x340,
    STUB_SIZE = 19,
    TARGET_DISTANCE = 0x40,
    MAX_SEQUENCE = 40,
};

/* What is compared. fx: the FXSAVE image (x87, MXCSR, xmm). */
struct state {
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t rip;
    uint8_t fx[512] __attribute__((aligned(16)));
};

enum { FLAGS_MASK = 0xcd5 }; /* CF PF AF ZF SF DF OF */

struct outcome {
    struct state state;
    int trap;          /* -1: none; else an exception vector, 14 for any memory fault */
    uint64_t trap_rip; /* of the evaluator */
};

/* --- oracle_native.c --- */
void native_init(void);
/* Puts code and exit stubs at CODE_AT: one after the code, one TARGET_DISTANCE further. */
void native_load(const uint8_t *code, size_t size);
uint64_t stub_next(size_t size);
uint64_t stub_target(size_t size);
void native_run(const struct state *in, struct outcome *out);
void evaluator_run(const struct state *in, const uint8_t *code, size_t size, struct outcome *out);
uint8_t *native_window(void);
uint8_t *evaluator_window(void);

/* --- oracle_forms.c --- */
struct form {
    uint8_t prefix[3]; /* zero-terminated: lock, rep, operand size */
    uint8_t map;       /* 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a */
    uint8_t opcode, modrm;
    bool vex, w, memory;
    uint8_t pp;
    uint16_t row, op;
    uint8_t opsize;
    struct x86_insn sample;
};
extern struct form *forms;
extern size_t form_count;
void forms_find(void);
/* Can an instruction of this form be run at all here? */
bool form_runs(const struct form *f);

extern bool form_faults; /* form_make() points memory operands past the window's end */
struct made {
    uint8_t bytes[X86_MAX_LENGTH];
    uint8_t length;
    struct x86_insn insn; /* as decoded at its final address */
};
/* Random encoding of a form at address; sequence: memory only through r14, r15 and rip, no writes to them
 * or rsp. Returns false when none was found. With state: sets the registers its memory operands need. */
bool form_make(const struct form *f, uint64_t address, bool sequence, struct state *state,
               struct made *out);

/* --- oracle_state.c --- */
uint64_t random64(void);
void random_seed(uint64_t seed);
uint32_t random_below(uint32_t n);
void state_random(struct state *s);
void memory_random(uint8_t *window);
/* Makes state and memory fit what the instruction needs (counts, control words, targets). */
void state_prepare(const struct x86_insn *insn, size_t size, struct state *s, uint8_t *window);
struct tolerance {
    uint32_t undefined; /* RFLAGS bits */
    bool nan;           /* NaN payloads may differ */
    bool estimate;      /* rcpps, rsqrtps */
    bool transcendental;
    bool x87_codes;     /* compare C0-C3 */
    bool fxsave, fnsave; /* environment written to memory */
    bool sequence;
    uint16_t high_halves; /* by register: its upper half is the processor's choice */
};
/* s: before the instruction, or NULL in a sequence. */
struct tolerance tolerance_of(const struct x86_insn *insn, const struct state *s);
/* Prints differences to `text` (size bytes); returns how many. */
unsigned state_compare(const struct outcome *native, const struct outcome *evaluated,
                       const struct tolerance *t, uint64_t trap_rip, char *text, size_t size);
void state_print(const struct state *s);
void cpu_from_state(struct x86_cpu *cpu, const struct state *s);
void state_from_cpu(struct state *s, const struct x86_cpu *cpu);

extern bool strict_nan, strict_x87;

#endif
