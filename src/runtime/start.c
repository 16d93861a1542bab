/* The start of an artifact's process, in place of the C library's: from the kernel's first instruction to main.
 *
 * The C library's own start asks the processor some forty times what it is (CPUID), to choose among variants of memcpy
 * and to size caches. In a virtual machine each of these instructions goes to the hypervisor: 5 µs each, together a
 * quarter of what a start of a native program takes. It also reads the environment for options of its own
 * (GLIBC_TUNABLES) and looks up the folders that shared libraries would come from. Here all of that is left out: the
 * variants are those for every x86-64 processor, and whoever sets the environment reaches nothing of the C library.
 *
 * The names with underscores are the C library's (glibc's csu/libc-start.c tells what its start calls, in which order).
 * They are not part of its interface, so src/runtime/meson.build links and runs a program with this file and takes the
 * C library's start when that fails.
 *
 * Nothing here may use a canary or a function of the C library that an IRELATIVE relocation chooses, before start() has
 * made them usable. */
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "start.h"

/* What memcpy and memset take from the processor's caches: the C library's own values for when it knows nothing (its
 * cacheinfo.h), bytes. */
long __x86_shared_cache_size_half = 1 << 19, __x86_shared_non_temporal_threshold = 3 << 18,
     __x86_rep_movsb_threshold = 2048, __x86_rep_movsb_stop_threshold = 3 << 18, __x86_rep_stosb_threshold = 2048;
int __x86_string_control = 0;

__asm__(".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xorl %ebp, %ebp\n"
        "    movq %rsp, %rdi\n"
        "    andq $-16, %rsp\n"
        "    call start\n"
        "    hlt\n");

void
_dl_relocate_static_pie(void)
{
}

static uint64_t
auxiliary_value(const Elf64_auxv_t *a, uint64_t type)
{
    for (; a->a_type != AT_NULL; a++)
        if (a->a_type == type)
            return a->a_un.a_val;
    return 0;
}

static bool
same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* A function of the vDSO, the kernel's own shared object in each process (vdso(7)); NULL: clocks are read by system
 * calls. */
static void *
vdso_function(const Elf64_Ehdr *eh, const char *name)
{
    const Elf64_Phdr *ph;
    const Elf64_Dyn *dynamic = NULL;
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    const uint32_t *hash = NULL;
    uintptr_t bias = 0;

    if (!eh)
        return NULL;
    ph = (const Elf64_Phdr *)((uintptr_t)eh + eh->e_phoff);
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD && !bias)
            bias = (uintptr_t)eh + ph[i].p_offset - ph[i].p_vaddr;
        if (ph[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)((uintptr_t)eh + ph[i].p_offset);
    }
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *p = (const void *)(bias + dynamic->d_un.d_ptr);

        if (dynamic->d_tag == DT_SYMTAB)
            symbols = p;
        else if (dynamic->d_tag == DT_STRTAB)
            strings = p;
        else if (dynamic->d_tag == DT_HASH)
            hash = p;
    }
    if (!symbols || !strings || !hash)
        return NULL;
    for (uint32_t i = 1; i < hash[1]; i++) /* the number of symbols (System V ABI, "Hash Table") */
        if (symbols[i].st_shndx != SHN_UNDEF && same(strings + symbols[i].st_name, name))
            return (void *)(bias + symbols[i].st_value);
    return NULL;
}

/* As the C library's start does for a static program: the addresses that the linker left to functions. */
static void
relocate(void)
{
    for (const Elf64_Rela *r = __rela_iplt_start; r < __rela_iplt_end; r++)
        *(uintptr_t *)r->r_offset = ((uintptr_t (*)(void))r->r_addend)();
}

static long
host_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* Canaries end with a zero byte, so that no string runs over them; the C library's own pointers in jump buffers are
 * mixed with the other value. */
static void
set_guards(const uint64_t *random)
{
    __asm__ volatile("movq %0, %%fs:0x28" ::"r"(random[0] & ~UINT64_C(0xff)));
    __asm__ volatile("movq %0, %%fs:0x30" ::"r"(random[1]));
}

/* What relocation has filled is constant from here on. */
static void
protect_relocated(const Elf64_Phdr *ph, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uintptr_t from = ph[i].p_vaddr & ~(uintptr_t)4095, to = (ph[i].p_vaddr + ph[i].p_memsz) & ~(uintptr_t)4095;

        if (ph[i].p_type == PT_GNU_RELRO && from < to &&
            host_call(SYS_mprotect, (long)from, (long)(to - from), PROT_READ) < 0)
            __builtin_trap();
    }
}

void
start(uintptr_t *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1), **environment = argv + argc + 1, **end = environment;
    Elf64_auxv_t *auxiliary;

    while (*end)
        end++;
    auxiliary = (Elf64_auxv_t *)(end + 1);
    __environ = environment;
    __libc_stack_end = stack;
    _dl_aux_init(auxiliary);
    relocate();
    __libc_setup_tls();
    set_guards((const uint64_t *)auxiliary_value(auxiliary, AT_RANDOM));
    _dl_vdso_clock_gettime64 =
        vdso_function((const Elf64_Ehdr *)auxiliary_value(auxiliary, AT_SYSINFO_EHDR), "__vdso_clock_gettime");
    protect_relocated((const Elf64_Phdr *)auxiliary_value(auxiliary, AT_PHDR), auxiliary_value(auxiliary, AT_PHNUM));
    __ctype_init();
    __libc_single_threaded = 1;
    for (initialiser *const *i = __preinit_array_start; i < __preinit_array_end; i++)
        (*i)(argc, argv, environment);
    _init();
    for (initialiser *const *i = __init_array_start; i < __init_array_end; i++)
        (*i)(argc, argv, environment);
    exit(main(argc, argv, environment));
}
