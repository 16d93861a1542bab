/* The helper functions' side of ir/helpers.def, and what they need from whoever runs the guest. */
#ifndef X86_HELPERS_H
#define X86_HELPERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/single_access.h"
#include "x86/cpu.h"

struct x86_insn;

/* The CPU state of the guest thread whose fiber runs. Defined in platform/ (artifact) or by
 * a test. It is the last object of the TLS block: see cpu.h. Local-exec, said outright: where the linker makes that of
 * initial-exec it puts lea for add, and gcc's UBSan has used the flags of the add. */
#define X86_TLS __thread __attribute__((visibility("hidden"), tls_model("local-exec")))
extern X86_TLS struct x86_cpu x86_cpu_tls;
static inline struct x86_cpu *
x86_this_cpu(void)
{
    return &x86_cpu_tls;
}

/* Guest memory of the current process: host address of guest address 0. Set by the vkernel at each process
 * switch. Accesses beyond mapped pages fault; the host's SIGSEGV handler turns that into the guest's. */
extern X86_TLS uint8_t *x86_memory_tls;
static inline void *
x86_guest(uint32_t address)
{
    return x86_memory_tls + address;
}

/* Single accesses of 1, 2, 4 or 8 bytes. */
static inline uint64_t
x86_guest_load(uint32_t address, size_t size)
{
    const void *at = x86_guest(address);

    switch (size) {
    case 1: return SINGLE_ACCESS(uint8_t, at);
    case 2: return SINGLE_ACCESS(uint16_t, at);
    case 4: return SINGLE_ACCESS(uint32_t, at);
    default: return SINGLE_ACCESS(uint64_t, at);
    }
}

static inline void
x86_guest_store(uint32_t address, size_t size, uint64_t v)
{
    void *at = x86_guest(address);

    switch (size) {
    case 1: SINGLE_ACCESS(uint8_t, at) = (uint8_t)v; break;
    case 2: SINGLE_ACCESS(uint16_t, at) = (uint16_t)v; break;
    case 4: SINGLE_ACCESS(uint32_t, at) = (uint32_t)v; break;
    default: SINGLE_ACCESS(uint64_t, at) = v; break;
    }
}

static inline bool
x86_is_word(size_t size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

/* A copy of its own: what is checked there is what is used, although others may write to the memory meanwhile. The
 * compiler, which could read the memory a second time instead of the copy, is told that it may not. Sizes of a word are
 * one access. */
static inline void
x86_guest_read(void *to, uint32_t address, size_t size)
{
    if (x86_is_word(size)) {
        uint64_t v = x86_guest_load(address, size);

        memcpy(to, &v, size);
    } else {
        memcpy(to, x86_guest(address), size);
    }
    __asm__ volatile("" ::"r"(to) : "memory");
}

static inline void
x86_guest_write(uint32_t address, const void *from, size_t size)
{
    if (x86_is_word(size)) {
        uint64_t v = 0;

        memcpy(&v, from, size);
        x86_guest_store(address, size, v);
    } else {
        memcpy(x86_guest(address), from, size);
    }
}

/* Raises an exception (IR_TRAP_* vector) of the instruction at the loaded guest address pc. Provided by the vkernel
 * or a test; never returns. */
_Noreturn void x86_raise(unsigned vector, uint64_t pc);

/* While guest code runs, the host's MXCSR is the guest's and gathers its exception flags. The helper of the instruction
 * at pc that changed x86_cpu's calls x86_mxcsr_loaded() last, which loads it and need not return: the guest's state is
 * then that behind the instruction. Collect adds the flags to x86_cpu's. */
void x86_mxcsr_loaded(uint64_t pc);
void x86_collect_mxcsr(void);

/* A fault within a string instruction whose helper was running: x86_this_cpu() has the state before the instruction and
 * gets what the processor leaves: RCX, RSI, RDI and RAX of LODS after the elements that were done; flags as before (SDM
 * vol. 2, REP). Does nothing for instructions without rep. */
void x86_string_faulted(const struct x86_insn *insn);

/* Where somebody defines it, it is called within a string instruction with rep, between two elements, when a check is
 * due (x86_cpu.limit). It returns, or has x86_string_faulted() make the state that of an instruction which was
 * interrupted there, and leaves. */
void x86_string_pause(void) __attribute__((weak));

/* 64 random bits, for rdrand and rdseed. */
uint64_t x86_random(void);
/* Where somebody defines it, it decides what rdtsc and rdrand say: an execution that repeats another must see what that
 * saw. */
uint64_t x86_filter_input(uint64_t value) __attribute__((weak));
/* The guest's number of the processor on which it runs, and how many it has, at most 64. Where nobody defines them, the
 * guest runs on the first and only one. */
uint32_t x86_processor(void) __attribute__((weak));
uint32_t x86_processors(void) __attribute__((weak));

#endif
