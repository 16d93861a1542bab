/* The vsyscall page (arch/x86/entry/vsyscall): three functions at fixed addresses at the end of the address space, which
 * programs of before 2012 call. Nothing is mapped there; a jump to one of them is carried out as the system call that it
 * stands for, as a kernel with vsyscall=xonly does. An error is its result, where Linux sends SIGSEGV for a pointer that
 * cannot be written. */
#include <signal.h>

#include "base/page.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/run/run.h"
#include "vkernel/usercopy/usercopy.h"
#include "x86/helpers.h"
#include "x86/x86.h"

#define VSYSCALL_PAGE 0xffffffffff600000ull

enum { VSYSCALL_DISTANCE = 1024 };

bool
vsyscall_run(void)
{
    static const int calls[] = {NR_gettimeofday, NR_time, NR_getcpu};
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t at = cpu->rip - VSYSCALL_PAGE, back;

    if (at >= PAGE_SIZE)
        return false;
    if (at % VSYSCALL_DISTANCE || at / VSYSCALL_DISTANCE >= sizeof calls / sizeof calls[0] ||
        copy_from_guest(&back, cpu->gpr[X86_RSP], sizeof back) < 0) {
        signal_force(SIGSEGV, SI_KERNEL, 0, 0);
        return true;
    }
    cpu->rip = back;
    cpu->gpr[X86_RSP] += sizeof back;
    cpu->gpr[X86_RAX] = (uint64_t)calls[at / VSYSCALL_DISTANCE];
    syscall_edge();
    return true;
}
