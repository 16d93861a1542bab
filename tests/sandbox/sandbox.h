/* Damaged code, compiled from code objects or rewritten: it must not reach anything but its instance (mutate.c and
 * tests/verify/mutate.c have the whole).
 *
 * sandbox.c is the process around it: 8 GiB of addresses as the vkernel reserves them for a guest, some of it mapped,
 * pages with a pattern on either side, and while compiled code runs no other memory of this process that could be
 * written: the heap and the data of LLVM cannot even be read. */
#ifndef TESTS_SANDBOX_SANDBOX_H
#define TESTS_SANDBOX_SANDBOX_H

#include "../aot/loader.h"
#include "base/buf.h"
#include "wasm/reader.h"

/* --- sandbox.c --- */
enum sandbox_end {
    SANDBOX_RETURNED, /* to a dispatcher, through an import or by itself */
    SANDBOX_TRAPPED,  /* as wasm does, or with an exception of the guest's */
    SANDBOX_FAULTED,  /* in the instance */
    SANDBOX_STACK,    /* the host stack's guard */
    SANDBOX_HUNG,
    SANDBOX_ENDS,
    SANDBOX_ESCAPED = SANDBOX_ENDS /* with a reason */
};

enum { SANDBOX_IMAGE_BASE = 0x10000000, /* where relative addresses of the code lie */ SANDBOX_GUARD = 64 << 10 };

/* How an entry is entered, with the state in x86_cpu_tls: platform_enter(), if not set. */
extern void (*sandbox_enter)(const void *code);
/* Code may fault in the SANDBOX_GUARD bytes below the instance. */
extern bool sandbox_goes_below;
/* A value that a quarter of the registers have; 0: none. */
extern uint64_t sandbox_favourite;
/* The instance. What is mapped in it besides the sandbox's own parts is kept. */
uint8_t *sandbox_memory(void);

/* Once a process. */
int sandbox_init(struct err *e);
/* Symbols of compiled code; a loader_resolve. */
bool sandbox_resolve(void *context, const char *name, uint32_t table_entries, uint64_t *value);
/* Runs all entries of what was loaded from `states` random states each, and counts how they ended. reason: of an
 * escape. */
bool sandbox_run(const struct loaded *code, uint64_t seed, unsigned states, unsigned ends[SANDBOX_ENDS],
                 char reason[256]);
/* Calls function on a stack with a guard, on which sandbox_run() may be called. */
void sandbox_thread(void (*function)(void *argument), void *argument);

/* --- objects.c --- */
/* The functions of the C library, which code objects are made of. */
int objects_init(struct err *e);
/* The bytes of one of them, or of random instructions, at most OBJECTS_MOST_SIZE. Returns how many. */
enum { OBJECTS_MOST_SIZE = 500 };
size_t objects_code(uint64_t *random, uint8_t out[OBJECTS_MOST_SIZE]);
/* A code object of one to three functions, or of random instructions, as the recompiler makes it. */
void objects_make(uint64_t *random, struct buf *out);

/* --- change.c --- */
/* Changes a code object at 1 to 4 places; what comes out need not be valid. */
void change_module(const struct wasm_module *m, uint64_t *random, struct buf *out);

static inline uint64_t
random_next(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ull;
}

static inline uint32_t
random_below(uint64_t *state, uint64_t n)
{
    return (uint32_t)((random_next(state) >> 33) % n);
}

#endif
