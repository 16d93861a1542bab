/* getrandom, sysinfo, uname, getcpu, membarrier, arch_prctl, personality, names of the host, and other small calls. */
#include "case.h"

#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

CASE(getrandom_answers)
{
    char a[300], b[300];

    SHOW(getrandom(a, 300, 0));
    SHOW(getrandom(b, 300, GRND_NONBLOCK));
    say("%d", memcmp(a, b, 300) != 0);
    SHOW(getrandom(a, 0, 0));
    SHOW(getrandom(NULL, 5, 0));
    SHOW(getrandom(NULL, 0, 0));
    SHOW(getrandom(a, 5, 8));
    SHOW(getrandom(a, 5, GRND_RANDOM | GRND_INSECURE));
    SHOW(getrandom(a, 5, GRND_INSECURE));
}

CASE(uname_answers)
{
    struct utsname u;

    SHOW(uname(&u));
    say("%s %s %s", u.sysname, u.machine, u.domainname);
    SHOW(syscall(SYS_uname, (void *)-1));
    SHOW(syscall(SYS_uname, NULL));
}

CASE(names_of_the_host)
{
    become(1000);
    SHOW(sethostname("x", 1));
    SHOW(syscall(SYS_setdomainname, "x", 1));
}

CASE(sysinfo_answers)
{
    struct sysinfo s;

    SHOW(sysinfo(&s));
    say("%d %d", s.mem_unit == 1, s.procs > 0);
    SHOW(syscall(SYS_sysinfo, (void *)-1));
}

CASE(getcpu_answers)
{
    unsigned cpu = 99999, node = 99999;

    SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
    say("%d %u", cpu < 4096, node);
    SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
    SHOW(syscall(SYS_getcpu, (void *)-1, NULL, NULL));
}

CASE(membarrier_answers)
{
    SHOW(syscall(SYS_membarrier, 0, 0, 0) > 0);
    SHOW(syscall(SYS_membarrier, 0, 1, 0));
    SHOW(syscall(SYS_membarrier, 1, 0, 0));
    SHOW(syscall(SYS_membarrier, 8, 0, 0));
    SHOW(syscall(SYS_membarrier, 16, 0, 0));
    SHOW(syscall(SYS_membarrier, 8, 0, 0));
    SHOW(syscall(SYS_membarrier, 1 << 20, 0, 0));
}

CASE(arch_prctl_answers)
{
    unsigned long v = 0;

    SHOW(syscall(SYS_arch_prctl, 0x1003, &v));
    say("%d", v != 0);
    SHOW(syscall(SYS_arch_prctl, 0x1004, &v));
    say("%lx", v);
    SHOW(syscall(SYS_arch_prctl, 0x1001, 0x1234));
    SHOW(syscall(SYS_arch_prctl, 0x1004, &v));
    say("%lx", v);
    SHOW(syscall(SYS_arch_prctl, 0x1001, 1ul << 63));
    SHOW(syscall(SYS_arch_prctl, 0x1002, 1ul << 47));
    SHOW(syscall(SYS_arch_prctl, 0x1003, (void *)-1));
    SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
}

CASE(personality_answers)
{
    SHOW(syscall(SYS_personality, 0xffffffff));
    SHOW(syscall(SYS_personality, 0x0040000));
    SHOW(syscall(SYS_personality, 0xffffffff));
    SHOW(syscall(SYS_personality, 0));
}

CASE(robust_lists)
{
    void *head = NULL;
    size_t size = 0;

    SHOW(syscall(SYS_set_robust_list, &head, 24));
    SHOW(syscall(SYS_set_robust_list, &head, 23));
    SHOW(syscall(SYS_get_robust_list, 0, &head, &size));
    say("%ld", (long)size);
    SHOW(syscall(SYS_get_robust_list, 0x3fffffff, &head, &size));
    SHOW(syscall(SYS_get_robust_list, 0, (void *)-1, &size));
    SHOW(syscall(SYS_get_robust_list, 0, &head, (void *)-1));
}

CASE(privileged_calls)
{
    become(1000);
    SHOW(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
    SHOW(syscall(SYS_umount2, "/tmp", 0));
    SHOW(syscall(SYS_pivot_root, "/", "/"));
}
