/* What the rule CONFINED takes for granted of gathers: that 67 cuts the address of each element to 32 bits, whatever
 * base, index, scale and displacement are, so that GS leads no element out of the 4 GiB (docs/direct.md). All four
 * forms that the processor has of them, from random registers: the address's low half is one in memory, all else is
 * random. Around the memory there is none. */
#include <asm/prctl.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 200000, WINDOW = 1 << 16, WINDOWS = 4, SKIPPED = 77 /* meson's status for it */ };

static const uint32_t windows[WINDOWS] = {0, 0x7fff0000, 0x80000000, 0xfffe0000};
static uint8_t *memory;
static uint64_t state = 1;

static uint64_t
next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
}

struct gather {
    uint64_t base;
    uint32_t address[8]; /* of the elements */
    union {
        int32_t d[8];
        int64_t q[4];
    } index;
    uint8_t out[32], mask[32];
};

#define DISPLACEMENT -0x12345678
#define GATHER(name, times, to, from)                                                                            \
    __asm__ volatile("vmovdqu %[in], %%ymm1\n\tvmovdqu %[mask], %%ymm2\n\tvpxor %%ymm0, %%ymm0, %%ymm0\n\t" name \
                     " %%" to "mm2, %%gs:-0x12345678(%k[base],%%" from "mm1," times "), %%" to "mm0\n\t"         \
                     "vmovdqu %%ymm0, %[out]\n\tvzeroupper"                                                      \
                     : [out] "=m"(g->out)                                                                        \
                     : [in] "m"(g->index), [mask] "m"(g->mask), [base] "r"(g->base)                              \
                     : "xmm0", "xmm1", "xmm2", "memory")

static void
run(struct gather *g, bool long_index, bool long_element, bool by_8)
{
    if (!long_index && !long_element && by_8)
        GATHER("vpgatherdd", "8", "y", "y");
    else if (!long_index && !long_element)
        GATHER("vpgatherdd", "1", "y", "y");
    else if (!long_index && by_8)
        GATHER("vpgatherdq", "8", "y", "x");
    else if (!long_index)
        GATHER("vpgatherdq", "1", "y", "x");
    else if (!long_element && by_8)
        GATHER("vpgatherqd", "8", "x", "y");
    else if (!long_element)
        GATHER("vpgatherqd", "1", "x", "y");
    else if (by_8)
        GATHER("vpgatherqq", "8", "y", "y");
    else
        GATHER("vpgatherqq", "1", "y", "y");
}

static bool
round_of(unsigned form)
{
    bool long_index = form & 1, long_element = form & 2, by_8 = form & 4;
    unsigned scale = by_8 ? 8 : 1, size = long_element ? 8 : 4, count = long_index || long_element ? 4 : 8;
    struct gather g = {.base = next()};

    memset(g.mask, 0xff, sizeof g.mask);
    if (by_8) /* so that some index leads to each address */
        g.base = (g.base & ~7ull) + (uint32_t)(0x12345678 & 7);
    for (unsigned i = 0; i < count; i++) {
        uint32_t address = windows[next() % WINDOWS] + (uint32_t)(next() % (WINDOW - 8)), distance;

        if (by_8)
            address &= ~7u;
        distance = address - (uint32_t)g.base - (uint32_t)DISPLACEMENT;
        g.address[i] = address;
        if (long_index) /* times 8: the upper bits are lost */
            g.index.q[i] = (int64_t)((next() << (by_8 ? 29 : 32)) | distance / scale);
        else
            g.index.d[i] = (int32_t)(distance / scale | (by_8 ? (uint32_t)next() << 29 : 0));
    }
    run(&g, long_index, long_element, by_8);
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(g.out + i * size, memory + g.address[i], size) == 0)
            continue;
        printf("form %u, base %#llx: element %u is not that of address %#x\n", form, (unsigned long long)g.base, i,
               g.address[i]);
        return false;
    }
    return true;
}

int
main(void)
{
    static const uint64_t around = 4ull << 30;
    uint8_t *all = mmap(NULL, 3 * around, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (!__builtin_cpu_supports("avx2"))
        return SKIPPED;
    if (all == MAP_FAILED)
        return 1;
    memory = all + around;
    for (unsigned i = 0; i < WINDOWS; i++) {
        mprotect(memory + windows[i], WINDOW, PROT_READ | PROT_WRITE);
        for (unsigned k = 0; k < WINDOW; k++)
            memory[windows[i] + k] = (uint8_t)next();
    }
    syscall(SYS_arch_prctl, ARCH_SET_GS, memory);
    for (unsigned i = 0; i < ROUNDS; i++)
        if (!round_of(i % 8))
            return 1;
    printf("%u gathers went where 32 bits lead\n", (unsigned)ROUNDS);
    return 0;
}
