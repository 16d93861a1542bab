/* What the assembler files of platform/ define for its C files. */
#ifndef PLATFORM_ASSEMBLY_INTERNAL_H
#define PLATFORM_ASSEMBLY_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct platform_jump;

/* --- copy.S --- */

/* Instructions that may fault, and where they go on then. */
struct platform_fixup {
    uint64_t from, to, resume, any;
};
extern const struct platform_fixup platform_fixups[], platform_fixups_end[];
/* What it calls once, of faults.c, before the first large copy. */
void platform_copy_ask(void);
/* One instruction of each feature that cpuid.def says artifacts of level v2, rewritten ones, and those of level v3 use:
 * does the processor have them? */
bool platform_try_v2(void), platform_try_direct(void), platform_try_v3(void);

/* --- direct.S --- */

extern const uint8_t platform_direct_stubs[], platform_direct_stubs_end[];
void direct_poll(void);

/* --- enter.S --- */

void platform_switch_stack(uint64_t *save_rsp, uint64_t load_rsp);
/* The new thread goes on as behind platform_switch_stack(). Its number, or -errno. */
long platform_clone_thread(unsigned long flags, uint64_t load_rsp, void *thread_block);
_Noreturn void platform_jump_registers(struct platform_jump *j, int value);
void platform_fiber_start(void);
_Noreturn void platform_sigreturn(void *saved); /* rt_sigreturn from there */

/* --- sanitizer.c, in a sanitized vkernel only --- */

void sanitizer_restore(void); /* what a signal handler returns to */

#endif
