/* What start.c and the C library need of each other, for which that has no header, and what the linker says where the
 * program's initialisers are. */
#ifndef RUNTIME_START_H
#define RUNTIME_START_H

#include <elf.h>
#include <link.h>
#include <stdint.h>

int main(int argc, char **argv, char **environment);
void start(uintptr_t *stack);
/* The C library's start has an empty one for programs that are linked at a fixed place. */
void _dl_relocate_static_pie(void);

extern char **__environ;
extern void *__libc_stack_end;
extern char __libc_single_threaded;
extern const Elf64_Rela __rela_iplt_start[] __attribute__((weak)), __rela_iplt_end[] __attribute__((weak));
typedef void initialiser(int argc, char **argv, char **environment);
extern initialiser *const __preinit_array_start[] __attribute__((weak)), *const __preinit_array_end[]
    __attribute__((weak));
extern initialiser *const __init_array_start[] __attribute__((weak)), *const __init_array_end[] __attribute__((weak));
extern void *_dl_vdso_clock_gettime64;

void _dl_aux_init(Elf64_auxv_t *auxiliary);
void __libc_setup_tls(void);
void __ctype_init(void);
void _init(void);

#endif
