/* What the portable helpers (src/x86) need when they are WebAssembly themselves, beside guest code in V8: CPU state and
 * guest memory in one linear memory, exceptions thrown by JavaScript, and what the compiler
 * calls for copies and 128-bit numbers. */
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "x86/helpers.h"

__thread struct x86_cpu x86_cpu_tls;
__thread uint8_t *x86_memory_tls; /* guest address 0 is address 0 */

__attribute__((import_module("env"), import_name("raise"))) _Noreturn void js_raise(uint32_t vector, uint64_t pc);

void *
cpu_address(void)
{
    return &x86_cpu_tls;
}

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    js_raise(vector, pc);
}

/* WebAssembly has neither rounding modes nor exception flags. */
void
x86_mxcsr_loaded(uint64_t pc)
{
}

void
x86_collect_mxcsr(void)
{
}

uint64_t
x86_random(void)
{
    return 0x123456789abcdef0;
}

int
clock_gettime(int clock, struct timespec *t)
{
    t->tv_sec = 0;
    t->tv_nsec = 0;
    return 0;
}

/* Loops, where the helpers' own copies are single instructions (-mbulk-memory) or small. */
void *
memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *
memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to <= (uintptr_t)from)
        return memcpy(to, from, size);
    for (size_t i = size; i-- > 0;)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *
memset(void *to, int v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile uint8_t *)to)[i] = (uint8_t)v;
    return to;
}

union wide {
    unsigned __int128 whole;
    uint64_t half[2];
};

unsigned __int128 __ashlti3(unsigned __int128 v, int n);
unsigned __int128 __lshrti3(unsigned __int128 v, int n);
unsigned __int128 __udivti3(unsigned __int128 n, unsigned __int128 d);
unsigned __int128 __umodti3(unsigned __int128 n, unsigned __int128 d);

unsigned __int128
__ashlti3(unsigned __int128 v, int n)
{
    union wide w = {.whole = v};

    if (n >= 64) {
        w.half[1] = w.half[0] << (n - 64);
        w.half[0] = 0;
    } else if (n > 0) {
        w.half[1] = w.half[1] << n | w.half[0] >> (64 - n);
        w.half[0] <<= n;
    }
    return w.whole;
}

unsigned __int128
__lshrti3(unsigned __int128 v, int n)
{
    union wide w = {.whole = v};

    if (n >= 64) {
        w.half[0] = w.half[1] >> (n - 64);
        w.half[1] = 0;
    } else if (n > 0) {
        w.half[0] = w.half[0] >> n | w.half[1] << (64 - n);
        w.half[1] >>= n;
    }
    return w.whole;
}

unsigned __int128 __multi3(unsigned __int128 a, unsigned __int128 b);

unsigned __int128
__multi3(unsigned __int128 a, unsigned __int128 b)
{
    union wide x = {.whole = a}, y = {.whole = b}, r;
    uint64_t a0 = (uint32_t)x.half[0], a1 = x.half[0] >> 32, b0 = (uint32_t)y.half[0], b1 = y.half[0] >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;

    r.half[0] = other << 32 | (uint32_t)(a0 * b0);
    r.half[1] = a1 * b1 + (middle >> 32) + (other >> 32) + x.half[0] * y.half[1] + x.half[1] * y.half[0];
    return r.whole;
}

static unsigned __int128
divide(unsigned __int128 n, unsigned __int128 d, unsigned __int128 *remainder)
{
    unsigned __int128 q = 0, r = 0;

    for (int i = 127; i >= 0; i--) {
        r = r << 1 | (n >> i & 1);
        if (r >= d) {
            r -= d;
            q |= (unsigned __int128)1 << i;
        }
    }
    *remainder = r;
    return q;
}

unsigned __int128
__udivti3(unsigned __int128 n, unsigned __int128 d)
{
    unsigned __int128 r;

    return divide(n, d, &r);
}

unsigned __int128
__umodti3(unsigned __int128 n, unsigned __int128 d)
{
    unsigned __int128 r;

    divide(n, d, &r);
    return r;
}
