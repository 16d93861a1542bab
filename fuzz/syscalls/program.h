/* A program of system calls: what the driver makes, the executor in the guest runs, and both and the server share.
 *
 * A program is a list of operations in up to four lanes. Lane 0 is run by a process of its own; a call that makes a
 * thread or a process has its child run another lane. Results go to slots, which later operations read. */
#ifndef FUZZ_SYSCALLS_PROGRAM_H
#define FUZZ_SYSCALLS_PROGRAM_H

#include <stdint.h>

enum {
    PROGRAM_OPS = 600,
    PROGRAM_SLOTS = 64,
    PROGRAM_LANES = 4,
    LANE_STEPS = 6000, /* operations that one run of a lane may take, loops included */
};

/* The guest's memory, at fixed addresses: the program, bytes that calls point to, room for mappings, stacks of the
 * lanes. */
#define PROGRAM_START 0x78000000u
#define DATA_START    0x80000000u
#define DATA_SIZE     0x00010000u /* nothing is mapped behind it */
#define ARENA_START   0x90000000u
#define ARENA_PAGES   64u
#define STACKS_START  0x88000000u
#define STACK_SIZE    0x00010000u

enum { PROGRAM_EVAL_UNKNOWN = 1 /* unknown programs run, as with --eval-unknown */ };

enum op_kind {
    OP_CALL,      /* slot = number(args) */
    OP_POKE,      /* size bytes at address number = args[0] */
    OP_BYTES,     /* size bytes (at most 64) at address number = args */
    OP_FILL,      /* args[0] bytes at address number = size */
    OP_PICK,      /* slot = size bytes at address number */
    OP_TOUCH,     /* reads (size 0) or writes a byte at args[0] */
    OP_LOOP,      /* the last `size` operations of this lane, `number` more times */
    OP_SIGRETURN, /* rt_sigreturn with the stack pointer at `number` */
    OP_STATE,     /* instruction `size` of enum state_kind, on the memory at `number`; args[0]: mask of XRSTOR and
                     XSAVE */
    OP_KINDS,
};

/* clang-format off */
enum state_kind { STATE_FXRSTOR, STATE_XRSTOR, STATE_FXSAVE, STATE_XSAVE, STATE_FLDENV, STATE_FRSTOR, STATE_FNSAVE, STATE_FNSTENV, STATE_FLDCW,
                  STATE_LDMXCSR, STATE_UD2, STATE_INT3, STATE_INT80, STATE_HLT, STATE_DIV, STATE_KINDS };
/* clang-format on */

enum arg_kind {
    ARG_CONST,
    ARG_SLOT, /* the slot's content + value */
    ARG_HANDLER,
    ARG_RESTORER,
};

struct program_arg {
    uint64_t value;
    uint8_t kind, slot, unused[6];
};

struct program_op {
    uint8_t kind, lane, target, slot;      /* target: the lane of the child that a call makes; slot: PROGRAM_SLOTS for
                                             none */
    uint8_t size, letter, resource, fixed; /* what the slot then holds: letter and kind of abi/syscalls.def */
    uint32_t group;                        /* operations that belong to one call */
    uint32_t number;
    struct program_arg args[6];
};

struct program {
    uint32_t count, data_used;
    uint64_t seed;                   /* of preemption */
    uint32_t fail_after, fail_every; /* injected failures: the first, and then each; 0: none */
    uint32_t groups, flags;          /* flags: PROGRAM_EVAL_UNKNOWN */
    struct program_op ops[PROGRAM_OPS];
};

/* --- shared by driver and server --- */
enum { COVERAGE_SIZE = 1 << 16, SERVER_CALL = 511, CONTROL_FD = 198, STATUS_FD = 199, SHARED_FD = 200 };
/* Guest memory that one system call read twice: who read it (innermost caller first), and how often. */
enum { FETCH_PLACES = 3, FETCHES = 1024 };
struct fetch {
    int64_t number;
    uint64_t first[FETCH_PLACES], second[FETCH_PLACES];
    uint64_t count;
};
#define PLACE_ENTRY (1ull << 63)
struct fuzz_shared {
    uint64_t calls;    /* that returned in this run */
    uint64_t injected; /* failures */
    uint64_t fallible; /* allocations and host calls that could have failed */
    uint32_t deadlock; /* nothing could ever run again */
    uint32_t check_leaks;
    uint32_t plain;  /* time as it is, no preemption */
    uint32_t guards; /* places whose running is counted; 0: none, in a build without coverage */
    struct {
        uint32_t good, bad;
    } results[SERVER_CALL + 1]; /* by number of call, of all runs */
    struct fetch fetches[FETCHES];
    struct program program;
    uint8_t coverage[COVERAGE_SIZE];
    uint64_t places[COVERAGE_SIZE]; /* addresses of the guards, with PLACE_ENTRY at the entry of a function */
};
/* What the server answers on STATUS_FD: first the child's pid, then its wait status. */

#endif
