/* The code object of one ELF: a valid wasm module of its own, made function by function.
 *
 * Imports (all of them; docs/formats.md has the table):
 *   env.memory       memory 65536 65536 (4 GiB): the guest's address space
 *   env.table        funcref table of the megabinary
 *   env.code_base    (global i64 const) base address of the ELF image
 *   env.table_base   (global i32 const) index of this object's first table entry
 *   cpu.NAME         mutable globals: x86/state.def
 *   kernel.syscall, enter, unwind, trap   the type of all functions (convention.def); last parameter:
 *                    syscall: the next pc, where it returns to; enter: the link of the target cpu.tmp0, which has no
 *                    compiled entry: returns when that has returned to the link; unwind: the pc at which a
 *                    dispatcher is to go on; trap: pc of the trapping instruction, with cpu.tmp0 = IR_TRAP_*. unwind
 *                    and trap do not return, and the others only if the guest goes on at the pc they were given: they
 *                    throw away the frames of compiled code, up to the innermost dispatcher.
 *   kernel.poll      (i64) -> (): the pc of a check; all state is in the globals and, when it returns, unchanged
 *   helper.NAME      ir/helpers.def, C ABI
 *   intrinsic.sp     () -> i64 host stack pointer; intrinsic.mulhu, mulhs (i64, i64) -> i64
 *   intrinsic.fault_state   (i64 x 18) -> (): no effect. After an access to memory: had it faulted, the guest would
 *                           have been at this image-relative address (constant) with these registers; bit I of the
 *                           second (constant) says whether the register I, x86/state.def, is given or in its global.
 *
 * Functions: one per guest function, and for each further entry of it a wrapper that sets the selector. The element
 * segment puts every entry into env.table from table_base on, ordered by guest address; custom section "ingot.entries"
 * lists their image-relative addresses in that order (uleb count, then uleb deltas). "ingot.text_size"
 * holds what the report needs. */
#ifndef CODEGEN_OBJECT_H
#define CODEGEN_OBJECT_H

#include "base/buf.h"
#include "ir/ir.h"

struct wasm_object; /* being built */

/* base_is_zero: an ET_EXEC file; ADDR becomes a plain constant. precise_faults: before anything that may fault all
 * registers are in their globals (IR lifted and optimised with `precise`); said in custom section "ingot.precise". */
struct wasm_object *wasm_object_new(bool base_is_zero, bool precise_faults);
/* Declares that a function of this address exists, so that direct calls to it can be emitted before it
 * is added. entries: image-relative addresses of its entry blocks, entries[0] its own. */
void wasm_object_declare(struct wasm_object *o, uint64_t address, const uint64_t *entries, size_t entry_count);
/* Emits a declared function (optimised IR). Any order; every declared function exactly once. */
int wasm_object_add(struct wasm_object *o, const struct ir_func *f, struct err *e);
/* The module's bytes, appended to out. */
int wasm_object_finish(struct wasm_object *o, struct buf *out, struct err *e);
void wasm_object_free(struct wasm_object *o);

#endif
