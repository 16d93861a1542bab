/* A guest that jumps everywhere: to each byte of its own text, into the C library, data, stack, heap, unmapped and
 * forbidden addresses, by jump, call, return and rt_sigreturn, with stack pointers, registers and frames of all kinds,
 * and after it tried to change the code there. Each jump is made by a child of its own, which may do whatever it finds
 * there; the parent, process 1, must live and be able to count. Never to be run outside of a container. usage: hostile
 * JUMPS SEED */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char edata[];

enum { CHILD_MS = 100 };

static uint64_t state, text, text_end, stride;
static uint8_t *heap, *shared;

/* The segment that is executed, and a step that comes to each of its bytes. */
static int
find_text(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_flags & PF_X) {
            text = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            text_end = text + info->dlpi_phdr[i].p_memsz;
        }
    stride = (text_end - text) % 100003 ? 100003 : 100019; /* primes */
    return 1;
}

static uint64_t
random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Addresses at the edges of what the vkernel keeps for itself (x86/address_space.h) and of the address space. */
static uint64_t
edge(void)
{
    /* clang-format off */
    static const uint64_t edges[] = {0, 8, 0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x5ffffff8, 0x60000000, 0xefffffff, 0xfff00000,
                                     0xfffffff8, 0xffffffff, 0x100000000, 0x1fffffff8, 0x200000000, 0x7fffffffffff, 0x800000000000,
                                     0xffff800000000000, 0xffffffffff600000, UINT64_MAX - 7, UINT64_MAX};
    /* clang-format on */

    return edges[random64() % (sizeof edges / sizeof *edges)] + (random64() % 3 == 0 ? random64() % 4096 : 0);
}

static uint64_t
place(unsigned long number)
{
    uint64_t size = text_end - text;

    switch (number % 8) {
    case 0:
    case 1:
    case 2: return text + (number / 8 * 3 + number % 8) * stride % size; /* each byte once, far apart */
    case 3: return text + random64() % size;
    case 4: return (uint64_t)(uintptr_t)edata - random64() % 4096;
    case 5: return (uint64_t)(uintptr_t)(random64() & 1 ? heap : shared) + random64() % 8192;
    case 6: return edge();
    default: return random64() & 1 ? random64() : (uint32_t)random64();
    }
}

static uint64_t
stack_pointer(uint64_t here)
{
    switch (random64() % 16) {
    case 0: return edge();
    case 1: return text + random64() % 65536;
    case 2: return (uint64_t)(uintptr_t)shared + 4096 + random64() % 64;
    case 3: return here - random64() % 64;
    default: return here & ~15ull;
    }
}

/* rt_sigreturn to the place, with a frame of which every field may be anything. */
static void
return_from_nothing(uint64_t to, uint64_t here, const uint64_t *registers)
{
    uint64_t frame[55], *fp = (uint64_t *)(void *)(uintptr_t)((here - 8192) & ~63ull);

    for (unsigned i = 0; i < 55; i++)
        frame[i] = random64() % 4 ? registers[random64() % 6] : random64();
    for (unsigned i = 0; i < 64; i++)
        fp[i] = random64() % 3 ? 0 : random64();
    fp[0] = random64() % 3 ? 0x37f : random64();
    fp[3] = random64() % 3 ? 0x1f80 : random64();
    frame[2] = random64() % 2 ? 0 : edge(); /* the alternate stack: address, flags, size */
    frame[3] = random64() % 4;
    frame[20] = stack_pointer(here);
    frame[21] = to;
    frame[22] = random64() % 2 ? 0x202 : random64();
    frame[23] = random64() % 8 ? 0x002b000000000033 : random64();
    frame[28] = random64() % 4 ? (uint64_t)(uintptr_t)fp : edge();
    frame[37] = random64() % 2 ? 0 : random64(); /* the mask */
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" ::"r"(random64() % 8 ? (uint64_t)(uintptr_t)frame
                                                                                       : stack_pointer(here)),
                     "m"(frame), "m"(*(char(*)[512])fp)
                     : "memory");
}

/* Tries to have other code at the place. */
static void
modify(uint64_t at)
{
    void *page = (void *)(uintptr_t)(at & ~4095ull);
    volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)at;
    static const int prots[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ, PROT_NONE,
                                PROT_WRITE};
    int fd = open(random64() & 1 ? "/proc/self/exe" : "/hostile", random64() & 1 ? O_RDWR : O_RDONLY),
        copy = memfd_create("code", 0);
    uint8_t bytes[64];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random64();
    for (int steps = 1 + (int)(random64() % 4); steps; steps--) {
        bool writable = false;

        switch (random64() % 8) {
        case 0:
        case 1: writable = mprotect(page, 4096, prots[random64() % 5]) == 0; break;
        case 2:
            writable = mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page;
            break;
        case 3:
            if (pwrite(copy, bytes, sizeof bytes, 0) == sizeof bytes)
                mmap(page, 4096, PROT_READ | PROT_EXEC, MAP_FIXED | (random64() & 1 ? MAP_SHARED : MAP_PRIVATE), copy,
                     0);
            break;
        case 4:
            mremap(random64() & 1 ? (void *)shared : page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
                   random64() & 1 ? page : (void *)(heap + 4096));
            break;
        case 5:
            if (pwrite(fd, bytes, sizeof bytes, (off_t)(random64() % 65536)) == sizeof bytes)
                ftruncate(fd, (off_t)(random64() % 65536));
            break;
        case 6:
            mmap(page, 4096, PROT_READ | PROT_EXEC, MAP_FIXED | MAP_PRIVATE, fd, (off_t)(random64() % 16 * 4096));
            break;
        default: madvise(page, 4096, random64() & 1 ? MADV_DONTNEED : MADV_REMOVE);
        }
        if (writable && random64() % 2)
            *byte = bytes[0];
        mprotect(page, 4096, PROT_READ | PROT_EXEC);
    }
}

static void
jump(uint64_t to, unsigned how)
{
    uint64_t registers[6], here = (uint64_t)(uintptr_t)__builtin_frame_address(0) - 65536, rsp = stack_pointer(here);

    for (int i = 0; i < 6; i++)
        registers[i] = random64() % 3 == 0 ? edge() : random64() % 2 ? here : random64() % 512;
    if (how % 5 == 3) {
        return_from_nothing(to, here, registers);
        return;
    }
    if (how % 5 == 4)
        modify(to);
    if (how % 3 == 0)
        __asm__ volatile("mov %1, %%rsp\n\tjmp *%0" ::"a"(to), "r"(rsp), "D"(registers[0]), "S"(registers[1]),
                         "d"(registers[2]), "b"(registers[3])
                         : "memory");
    else if (how % 3 == 1)
        __asm__ volatile("mov %1, %%rsp\n\tcall *%0" ::"a"(to), "r"(rsp), "D"(registers[0]), "S"(registers[1]),
                         "d"(registers[2]), "b"(registers[3])
                         : "memory");
    else
        __asm__ volatile("mov %1, %%rsp\n\tpush %0\n\tret" ::"a"(to), "r"(here & ~15ull), "D"(registers[0]),
                         "S"(registers[1]), "d"(registers[2]), "b"(registers[3])
                         : "memory");
}

static void
child(unsigned long number)
{
    struct rlimit small = {64 << 20, 64 << 20};
    uint64_t to = place(number);
    int null = open("/dev/null", O_RDWR);

    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    setrlimit(RLIMIT_FSIZE, &small);
    jump(to, (unsigned)random64());
    _exit(0);
}

int
main(int argc, char **argv)
{
    unsigned long jumps = argc > 1 ? strtoul(argv[1], NULL, 0) : 0, ended = 0, by_signal[65] = {0};

    if (getpid() != 1 || argc < 3)
        return 2; /* what a child does elsewhere could be anything */
    state = strtoul(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u + 1;
    dl_iterate_phdr(find_text, NULL);
    heap = malloc(8192 + 4096);
    shared = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!heap || shared == MAP_FAILED)
        return 3;
    for (int i = 0; i < 8192; i++)
        shared[i] = heap[i] = (uint8_t)random64();
    for (unsigned long n = 0; n < jumps; n++) {
        struct pollfd p = {.events = POLLIN};
        int pid, status;

        random64();
        pid = fork();
        if (pid == 0)
            child(n);
        if (pid < 0) {
            perror("fork");
            return 4;
        }
        p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (p.fd < 0 || poll(&p, 1, CHILD_MS) == 0)
            kill(pid, SIGKILL);
        close(p.fd);
        if (waitpid(pid, &status, 0) == pid) {
            ended++;
            by_signal[WIFSIGNALED(status) ? WTERMSIG(status) & 63 : 64]++;
        }
        while (waitpid(-1, &status, WNOHANG | __WALL) > 0) /* what it left behind */
            ;
        if (n % 64 == 0)
            kill(-1, SIGKILL);
    }
    printf("%lu jumps, %lu children ended\n", jumps, ended);
    for (int sig = 1; sig <= 64; sig++)
        if (by_signal[sig])
            fprintf(stderr, "%s %lu\n",
                    sig == 64           ? "exit"
                    : sigabbrev_np(sig) ? sigabbrev_np(sig)
                                        : "signal",
                    by_signal[sig]);
    return 0;
}
