/* CPUID as the guest gets it: what cpuid.def says of this process's level. */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <stdint.h>

/* rax | rbx << 32; rcx | rdx << 32 is in tmp[0] of the CPU state. */
uint64_t helper_cpuid(uint32_t leaf, uint32_t subleaf);

#endif
