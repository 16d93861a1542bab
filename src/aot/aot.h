/* wasm to native objects, through LLVM: the only place that sees LLVM, and it knows nothing of x86 guests.
 *
 * Reads only the validated module (wasm/reader). Rules by import module:
 *   env.memory     guest memory: host GS base + zero-extended i32 address + offset (address space 256)
 *   env.table      symbol "__start_ingot_table", array of function pointers; "ingot_table_size" (absolute symbol)
 *   immutable imported globals   absolute symbols "MODULE.NAME.KEY", resolved when linking
 *   mutable imported globals     host FS base + absolute symbol "MODULE.NAME" (address space 257)
 *   helper.*       C ABI functions "helper_NAME"
 *   kernel.*       functions "kernel_NAME", x86_regcallcc; preserve_allcc for those of type (i64) -> ()
 *   intrinsic.*    lowered to instructions
 * Defined functions are hidden symbols "KEY.N" (N: function index in the object), x86_regcallcc, in section
 * "ingot_text", or "ingot_precise" when the module has a custom section "ingot.precise": then all accesses and
 * global.set happen in the module's order, so that globals are exact when an access faults. Table entries go to section
 * "ingot_table" of part 0, in order. Traps call "kernel_wasm_trap" (C ABI, noreturn, one int: enum aot_trap). */
#ifndef AOT_AOT_H
#define AOT_AOT_H

#include "base/buf.h"
#include "base/err.h"

enum aot_trap {
    AOT_TRAP_UNREACHABLE,
    AOT_TRAP_DIVIDE,
    AOT_TRAP_OVERFLOW,
    AOT_TRAP_TABLE,
    AOT_TRAP_CONVERSION,
    AOT_TRAP_MEMORY, /* an access that cannot be inside the 4 GiB, or memory.copy and fill beyond them */
    AOT_TRAP_COUNT
};

struct aot_options {
    const char *key;    /* hex key of the code object, made part of symbol names */
    const char *cpu;    /* LLVM target CPU, default "x86-64-v2" */
    int opt_level;      /* 0..3, default 2 */
    const char *passes; /* LLVM pass pipeline; NULL: the chosen default */
};

/* How many parts the module splits into: fixed by its content alone, so builds are reproducible. */
int aot_part_count(const uint8_t *module, size_t size, unsigned *parts, struct err *e);
/* Compiles one part to an ELF relocatable object, appended to out. Thread-safe for different calls. */
int aot_compile(const uint8_t *module, size_t size, unsigned part, const struct aot_options *options, struct buf *out,
                struct err *e);
/* A text that names compiler version and everything that changes the output: part of the cache key. NULL in an ingot
 * that was built without LLVM, in which the other functions fail. */
const char *aot_version(void);

#endif
