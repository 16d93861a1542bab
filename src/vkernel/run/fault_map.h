/* The guest's state at a fault of compiled code with precise faults (artifact/fault_map.h). */
#ifndef VKERNEL_RUN_FAULT_MAP_H
#define VKERNEL_RUN_FAULT_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct platform_fault;

/* The functions of the artifact's compiled code, in the order of the code map's ranks. A vkernel without compiled code
 * has no such table, so the symbol is weak. */
extern const void *const ingot_table[] __attribute__((weak));

enum fault_code {
    FAULT_CODE_NONE,  /* no compiled guest code */
    FAULT_CODE_PLAIN, /* registers are where LLVM put them, nobody knows where */
    FAULT_CODE_PRECISE,
};
/* Which code the host address is in. */
enum fault_code fault_code_at(uint64_t host_pc);

/* Puts all general registers and rip of the guest into x86_cpu_tls, as they were before the instruction that faulted.
 * False when the map has no access there. */
bool fault_map_apply(const struct platform_fault *f);

/* Guest address of the entry that the compiled code at a host address belongs to: its function's, or a nearer one; and
 * a path of its file, NULL when unknown. 0: none. */
uint64_t fault_function(uint64_t host_pc, const char **path);

#endif
