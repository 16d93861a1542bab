/* What an artifact's code needs of the host's processor: x86/cpuid.def says it, by level and backend. */
#ifndef PLATFORM_PROCESSOR_H
#define PLATFORM_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/level.h"

/* Does this processor execute the code of such an artifact? Found by trying an instruction of each feature: CPUID traps
 * in virtual machines, and would be the longest part of a start. direct: the code is rewritten. */
bool platform_executes(enum x86_level level, bool direct);

/* How the processor is asked; tests ask another one. */
struct processor_probe {
    void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* EAX, EBX, ECX, EDX */
    uint64_t (*xcr0)(void);                                          /* asked of processors with OSXSAVE alone */
};
extern const struct processor_probe platform_processor;

/* The names, separated by spaces, of what a processor lacks for that by its own word; "" if nothing. Returns out. */
char *platform_missing_features(const struct processor_probe *probe, enum x86_level level, bool direct, char *out,
                                size_t size);

#endif
