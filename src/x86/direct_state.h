/* The guest's registers from the host's, where a fault interrupted rewritten code (docs/direct.md, "Faults"). */
#ifndef X86_DIRECT_STATE_H
#define X86_DIRECT_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "x86/cpu.h"

/* cpu has the host's registers by the guest's names. Puts back those that the instruction's code, which begins at host
 * address `at`, has kept in `borrowed`, or made host addresses, before it came to pc. */
void direct_return_registers(struct x86_cpu *cpu, uint64_t at, uint64_t pc);

/* Guest code as of struct eval_host; NULL: there is none. */
typedef const uint8_t *(*direct_fetch)(void *context, uint64_t address, size_t *left, uint64_t *image_base);
/* In a run of pushes or pops r11 changes at the end: makes rsp what those at guest addresses [from, to) leave. */
void direct_finish_run(struct x86_cpu *cpu, direct_fetch fetch, void *context, uint64_t from, uint64_t to);

#endif
