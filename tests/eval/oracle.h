/* The hardware oracle: runs instructions on the processor and in each execution of ours (evaluator, native code, wasm
 * in V8, rewritten code) from the same state, and compares what they leave (DESIGN D7).
 *
 * A *program* is an instruction or a straight run of them, at an address of its own; a *case* is a program with a state
 * and memory to start from. Guest memory is one window, mapped in this process at the same numeric address as in the
 * executions' guest memory, so that addresses mean the same on all sides. The processor runs a program in place; exit
 * stubs after it store their own address and jump back. */
#ifndef TESTS_EVAL_ORACLE_H
#define TESTS_EVAL_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "x86/cpu.h"
#include "x86/x86.h"

enum {
    CODE_PAGE = 0x08000000, /* image base of all programs */
    CODE_SIZE = 0x00400000,
    CODE_AT = CODE_PAGE + 0x800, /* where the first program begins */
    CODE_STRIDE = 0x400,
    NATIVE_PAGE = 0x0a000000, /* state in and out of the processor's run */
    WINDOW = 0x10000000,
    WINDOW_SIZE = 0x4000,
    WINDOW_MIDDLE = WINDOW + WINDOW_SIZE / 2,
    GS_BASE = WINDOW + 0x340,
    STUB_SIZE = 19,
    TARGET_DISTANCE = 0x40,
    MAX_SEQUENCE = 40,
    MAX_CODE = 640,
    MAX_BATCH = (CODE_SIZE - 0x800) / CODE_STRIDE - 1,
};

/* What is compared. fx: the FXSAVE image (x87, MXCSR, xmm); high: bits 128 to 255 of the ymm registers, 0 on level
 * v2. */
struct state {
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t rip;
    uint8_t fx[512] __attribute__((aligned(16)));
    uint8_t high[256];
};

enum { STATUS_FLAGS = 0x8d5, FLAGS_MASK = 0xcd5 }; /* CF PF AF ZF SF OF; and DF */

enum {
    NO_TRAP = -1,
    TRAP_UNCOVERED = -2 /* the execution cannot run this program */,
    TRAP_PROTECTION = 13,
    TRAP_PAGE = 14
};

struct outcome {
    struct state state;
    int trap; /* NO_TRAP, an exception vector, or TRAP_UNCOVERED */
    uint64_t trap_rip;
    bool evaluated; /* an exact execution left some of it to the evaluator */
};

struct made {
    uint8_t bytes[X86_MAX_LENGTH];
    uint8_t length;
    struct x86_insn insn; /* as decoded at its final address */
};

struct tolerance {
    uint32_t undefined;     /* RFLAGS bits */
    uint32_t lost;          /* those that rewritten code does not keep... */
    uint32_t lost_at_traps; /* ...where nobody but a signal handler would see them */
    bool nan;               /* of two NaNs, one is chosen */
    bool inexact_nans;      /* and either will do */
    struct {                /* of the window, not compared */
        size_t from, to;
    } left_out[2];
    unsigned left_out_count;
    bool sequence;
    bool quiet;           /* exception flags of MXCSR are not compared: compiled dead operations of sequences do not set
                            them */
    bool inexact_traps;   /* registers at a trap are not compared */
    bool exact_traps;     /* flags, vectors and x87 are, too */
    bool last_bits;       /* of x87 results: those of each processor */
    bool approximate;     /* singles, to 1.5 * 2^-12 on either side */
    uint16_t high_halves; /* by register: its upper half is the processor's choice */
};

struct program {
    uint64_t address;
    size_t size;
    uint8_t code[MAX_CODE];
    struct made part[MAX_SEQUENCE];
    unsigned count;
    uint64_t kept; /* bit i: without part i it would not end */
    bool sequence;
    bool host_only;          /* what it leaves is this processor's: undefined flags are used, exceptions unmasked */
    const struct form *form; /* of a single instruction */
    struct state anchor;     /* a state with which its memory operands are where they should be */
    uint16_t anchored;       /* the registers of it that decide that */
};

/* --- oracle_native.c: the processor, the evaluator, and entering compiled code --- */
void native_init(void);
uint64_t stub_next(const struct program *p);
uint64_t stub_target(const struct program *p);
uint8_t *native_window(void);
uint8_t *evaluator_window(void);
/* Runs compiled guest code from a state. */
void compiled_run(const struct program *p, const void *code, const struct state *in, struct outcome *out);

struct execution {
    const char *name;
    bool compiled; /* from a code object */
    bool exact;    /* by the processor's own instructions: agrees in everything, and shares the host's deviations */
    bool flat;     /* WebAssembly as it is: all of guest memory can be read and written, no rounding modes, no MXCSR
                      flags */
    /* NULL, or: takes all programs of a batch. module: their code object, where `compiled`. */
    void (*load)(const struct program *programs, size_t count, const struct buf *module);
    /* Runs one from the state and the window's content. index: in the loaded batch. */
    void (*run)(const struct program *p, size_t index, const struct state *in, struct outcome *out);
    uint8_t *(*window)(void);
};
extern const struct execution execution_processor, execution_evaluator, execution_aot, execution_v8, execution_direct;

/* Of one execution alone: what others have loaded is gone. */
void execution_load(const struct execution *x, const struct program *programs, size_t count);

extern char *oracle_v8_command[4]; /* of execution_v8: node, script, the helpers' module, NULL */

/* --- oracle_host.c: the processor, and where it does other than what the guest is promised --- */
void host_print(void);
/* Names the deviations that were met. */
void host_print_deviations(void);
/* Does the host run it otherwise from any state? Sequences, whose operands are aligned, leave it out. */
bool host_deviates(const struct made *m);
/* Makes what the processor did what the guest is promised, where deviations.def says so: found and its window. before,
 * memory: what it ran from. HOST_SAYS_NOTHING: the promise is not known from this run. */
enum host_result { HOST_AS_PROMISED, HOST_CORRECTED, HOST_SAYS_NOTHING };
enum host_result host_result(const struct program *p, const struct state *before, const uint8_t *memory,
                             struct outcome *found);

/* What a program should leave. */
struct expectation {
    enum host_result result;
    struct outcome promised, host; /* by the promise, and what the processor did */
    uint8_t promised_window[WINDOW_SIZE], host_window[WINDOW_SIZE];
};
/* Runs it on the processor. */
void expectation_of(const struct program *p, const struct state *before, const uint8_t *memory,
                    struct expectation *out);

/* --- oracle_object.c --- */
void object_make(const struct program *programs, size_t count, struct buf *module);

/* --- oracle_forms.c --- */
struct form {
    uint8_t prefix[3]; /* zero-terminated: lock, rep, operand size */
    uint8_t map;       /* 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a */
    uint8_t opcode, modrm;
    bool vex, w, l, memory;
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

extern bool form_faults;    /* form_make() points memory operands across the window's edges, those of REP before them */
extern bool form_misaligns; /* ...and gives those that must be aligned any address */
extern bool form_prefixes;  /* ...and puts some before it that need not be there */
extern uint8_t form_base, form_index; /* through which sequences address memory, and rip */
/* Random encoding of a form at address; sequence: no writes to form_base, form_index and rsp. Returns false when none
 * was found. Sets the registers of the state that its memory operands need. */
bool form_make(const struct form *f, uint64_t address, bool sequence, struct state *state, struct made *out);
/* What the instruction wants of registers that no operand names. */
void form_prepare_registers(const struct x86_insn *insn, struct state *s);

/* --- oracle_program.c --- */
/* One instruction of the form, or a random run; false: none was made. */
bool program_of_form(struct program *p, const struct form *f, uint64_t address);
bool program_of_sequence(struct program *p, uint64_t address);
bool program_of_call(struct program *p, uint64_t address); /* host_only */
extern unsigned program_host_only; /* of sequences, one in so many is host_only; 0: no execution is exact */
extern bool program_portable;      /* sequences of what every execution covers alone */
/* Bytes as they are, decoded as a run. False where they are no instructions. */
bool program_of_bytes(struct program *p, uint64_t address, const uint8_t *bytes, size_t size);
/* A fresh state and memory for it. */
void program_state(const struct program *p, struct state *s, uint8_t *window);
/* Is what it leaves defined at all from this state? */
bool program_defined(const struct program *p, const struct state *s);
/* Can the execution do what the processor did? WebAssembly has neither page faults nor alignment. */
bool program_covered(const struct program *p, const struct execution *x, const struct outcome *expected);
struct tolerance program_tolerance(const struct program *p, const struct state *s);
/* Part i replaced by nops, so that the others stay where they are; false when it is or cannot be. */
bool program_drop(const struct program *p, unsigned i, struct program *out);
void program_print(const struct program *p);

/* --- oracle_state.c --- */
uint64_t random64(void);
void random_seed(uint64_t seed);
uint32_t random_below(uint32_t n);
void state_random(struct state *s);
/* Of MXCSR and the x87 control word; what is unmasked may be pending. */
void state_unmask(struct state *s);
void memory_random(uint8_t *window);
/* Makes state and memory fit what the instruction needs (counts, control words, targets). */
void state_prepare(const struct program *p, struct state *s, uint8_t *window);
/* The window offset of a memory operand of a prepared state; false when outside. */
bool operand_offset(const struct x86_insn *insn, const struct x86_operand *o, const struct state *s, size_t *offset);
void cpu_from_state(struct x86_cpu *cpu, const struct state *s);
void state_from_cpu(struct state *s, const struct x86_cpu *cpu);

/* --- oracle_compare.c --- */
/* s: before the instruction, or NULL in a sequence. */
struct tolerance tolerance_of(const struct x86_insn *insn, const struct state *s);
/* The same for what an execution found. */
struct tolerance tolerance_in(struct tolerance t, const struct execution *x, const struct outcome *found);
struct seen { /* what an execution left */
    const struct outcome *outcome;
    const uint8_t *window;
    const char *name;
};
/* Prints differences to `text` (size bytes); returns how many. */
unsigned state_compare(struct seen expected, struct seen found, const struct tolerance *t, char *text, size_t size);
/* The same of what an execution found, with what is to be expected of it; t: the program's. */
unsigned expectation_compare(const struct expectation *e, const struct execution *x, const struct outcome *found,
                             const struct tolerance *t, char *text, size_t size);

extern bool strict_nan, strict_mxcsr;

/* --- oracle_shrink.c --- */
/* Makes a difference of an execution small: fewer instructions, fewer things in the state. */
void difference_shrink(const struct execution *x, struct program *p, struct state *s, uint8_t *memory);
/* One line that stands for a case: code, state before, what the processor leaves. */
void regression_print(const struct program *p, const struct state *before, const uint8_t *window);
/* Prints a line with what the processor leaves; 1 when it is none. */
int regression_record(const char *line);
/* Replays the lines of a file in the executions; returns how many fail. */
unsigned regressions_run(const char *path, const struct execution *const *executions);

#endif
