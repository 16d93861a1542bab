/* C as compilers turn it into machine code: the same source is built by each compiler with each set of options. Prints
 * a line per part; whoever runs it must print the same. */
#include <complex.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))

static uint64_t seed = 88172645463325252u;

static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* --- switches: dense (jump table), sparse (comparisons), over strings, of few results (lookup table) --- */

static NOINLINE int
dense(unsigned op, int a, int b)
{
    switch (op) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return (int)((unsigned)a * (unsigned)b);
    case 3: return b ? a / b : -1;
    case 4: return a & b;
    case 5: return a | b;
    case 6: return a ^ b;
    case 7: return (int)((unsigned)a << (b & 31));
    case 8: return a >> (b & 31);
    case 9: return a < b ? a : b;
    case 10: printf("[ten]"); /* fall through */
    case 11: return ~a;
    case 14: return -(a & 0xffff);
    case 15: return abs(b % 1000);
    default: return 77;
    }
}

static NOINLINE const char *
sparse(int n)
{
    switch (n) {
    case -1000000: return "far below";
    case -1: return "minus one";
    case 3: return "three";
    case 500: return "five hundred";
    case 70000: return "seventy thousand";
    case 1 << 30: return "big";
    case INT_MIN: return "least";
    default: return "other";
    }
}

static NOINLINE int
days(int month, int leap)
{
    switch (month) {
    case 2: return leap ? 29 : 28;
    case 4:
    case 6:
    case 9:
    case 11: return 30;
    default: return month >= 1 && month <= 12 ? 31 : 0;
    }
}

static void
switches(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < 300; i++)
        sum = sum * 31 + (unsigned)dense(i % 18, (int)(next() >> 33), (int)(next() >> 40));
    printf("switches %u %s %s %s %d %d\n", sum, sparse(500), sparse(INT_MIN), sparse(4), days(2, 1), days(11, 0));
}

/* --- calls: structures by value, variable arguments, function pointers, tail calls, recursion --- */

/* clang-format off */
struct pair { double x; long n; };
struct big { int v[20]; };
struct bits { unsigned a : 3, b : 7; int c : 5; unsigned long d : 40; };
/* clang-format on */

static NOINLINE struct pair
swap(struct pair p, struct big b, float f)
{
    return (struct pair){(double)p.n + f, (long)p.x + b.v[7]};
}

static NOINLINE struct big
grow(struct big b, int by)
{
    for (int i = 0; i < 20; i++)
        b.v[i] += by * i;
    return b;
}

static NOINLINE double
sum_of(const char *kinds, ...)
{
    va_list ap;
    double sum = 0;

    va_start(ap, kinds);
    for (; *kinds; kinds++)
        sum += *kinds == 'd' ? va_arg(ap, double) : *kinds == 'L' ? (double)va_arg(ap, long double) : va_arg(ap, int);
    va_end(ap);
    return sum;
}

static NOINLINE int odd(unsigned n);
static NOINLINE int
even(unsigned n)
{
    return n == 0 ? 1 : odd(n - 1);
}
static NOINLINE int
odd(unsigned n)
{
    return n == 0 ? 0 : even(n - 1);
}

static NOINLINE int
ackermann(int m, int n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static int
compare_up(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}
static int
compare_down(const void *a, const void *b)
{
    return compare_up(b, a);
}

static void
calls(void)
{
    struct big b = {{0}};
    struct bits f = {5, 100, -9, 0x123456789aul};
    int numbers[500];
    unsigned h = 0;

    b.v[7] = 70;
    struct pair p = swap((struct pair){2.5, 40}, grow(b, 3), 0.25f);
    f.c = (int)(f.b + 3u) % 16 - 8;
    f.d += f.a;
    for (int i = 0; i < 500; i++)
        numbers[i] = (int)(next() % 100000);
    for (int k = 0; k < 2; k++) {
        qsort(numbers, 500, sizeof numbers[0], k ? compare_up : compare_down);
        for (int i = 0; i < 500; i++)
            h = h * 33 + (unsigned)numbers[i];
    }
    printf("calls %g %ld %g %d %d %d %llx %u\n", p.x, p.n,
           sum_of("didLdddddddi", 1.5, 2, 3.25, 4.0L, 1., 2., 3., 4., 5., 6., 7., 8), even(100001), ackermann(2, 9),
           f.c, (unsigned long long)f.d, h);
}

/* --- integers: widths, carries, 128 bits, builtins --- */

static void
integers(void)
{
    unsigned __int128 w = 1;
    __int128 s = -7;
    int32_t out;
    unsigned overflows = 0, h = 0;

    for (int i = 0; i < 40; i++) {
        w = w * 1000003u + next();
        s = s * -31 + (int64_t)next() % 1000;
        s /= 3;
        int32_t a = (int32_t)next(), c = (int32_t)next();
        overflows += (unsigned)__builtin_add_overflow(a, c, &out) +
                     2u * (unsigned)__builtin_mul_overflow(a % 70000, c % 70000, &out);
        h = h * 31 +
            (unsigned)(__builtin_popcountll(next()) + __builtin_clzll(next() | 1) +
                       __builtin_ctz((unsigned)next() | 256)) +
            __builtin_bswap32((uint32_t)next());
        h ^= (unsigned)((int8_t)next() / 7) + (unsigned)((int16_t)next() % 13) + (uint8_t)(next() >> 3);
        h = (h << (i & 31)) | (h >> (-i & 31));
    }
    printf("integers %llx%016llx %lld %u %u %ld\n", (unsigned long long)(w >> 64), (unsigned long long)w,
           (long long)(s % 1000000007), overflows, h, labs(LONG_MIN / 3 % 1000));
}

/* --- floating point: single, double, extended, complex, conversions --- */

static void
floats(void)
{
    double d = 1, m[8][8], c[8][8];
    float f = 0.1f;
    long double l = 1;
    double complex z = 0.3 + 0.4 * I;

    for (int i = 1; i < 60; i++) {
        d += 1.0 / (i * (double)i);
        f = f * 1.1f + (float)i / 3;
        l = l * 1.01L + 1 / (long double)i;
        z = z * z + (0.1 + 0.2 * I);
    }
    for (int i = 0; i < 64; i++)
        m[i / 8][i % 8] = (double)(next() % 2000) / 16 - 60;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            c[i][j] = 0;
            for (int k = 0; k < 8; k++)
                c[i][j] += m[i][k] * m[k][j];
        }
    printf("floats %.17g %.9g %.21Lg %.15g%+.15gi %.10g\n", d, f, l, creal(z), cimag(z), c[3][5] + c[7][0]);
    printf("floats %.15g %.15g %.15g %.15g %.12Lg %ld %ld\n", sin(d), pow(d, 2.5), exp(-d) + log(d), fmod(1e10, d),
           sqrtl(l), lrint(d * 1000.5), (long)(float)(1 << 25));
    printf("floats %d %d %d %u %llu %d\n", (int)-3.99, (int)nearbyint(2.5), (signed char)(int)-129.0, (unsigned)3e9,
           (unsigned long long)1.8e19, isnan(NAN) + 2 * (isinf(1 / 0.0) != 0));
}

/* --- loops that are vectorised --- */

static NOINLINE void
vector_loops(int n, float *restrict x, const float *restrict y, uint8_t *restrict bytes, int *restrict sums,
             short *restrict shorts)
{
    for (int i = 0; i < n; i++)
        x[i] = x[i] * 1.5f + y[i];
    for (int i = 0; i < n; i++)
        bytes[i] = (uint8_t)(bytes[i] > 100 ? bytes[i] - 50 : bytes[i] * 3);
    for (int i = 0; i < n; i++)
        sums[i] += bytes[i] * (shorts[i] >> 2);
    for (int i = 0; i < n; i++)
        shorts[i] = (short)(sums[i] < shorts[i] ? sums[i] : shorts[n - 1 - i]);
    for (int i = 1; i < n; i++)
        sums[i] += sums[i - 1] / 2;
}

static void
vectors(void)
{
    enum { N = 333 };
    float x[N], y[N];
    uint8_t bytes[N];
    int sums[N];
    short shorts[N];
    unsigned h = 0;
    double total = 0;

    for (int i = 0; i < N; i++) {
        x[i] = (float)(next() % 1000) / 7;
        y[i] = (float)(next() % 1000) / 3;
        bytes[i] = (uint8_t)next();
        sums[i] = (int)(next() % 5000) - 2500;
        shorts[i] = (short)next();
    }
    for (int k = 0; k < 5; k++)
        vector_loops(N - k, x + k % 2, y, bytes, sums, shorts);
    for (int i = 0; i < N; i++) {
        h = h * 31 + (unsigned)sums[i] + (unsigned)shorts[i] + bytes[i];
        total += x[i];
    }
    printf("vectors %u %.9g\n", h, total);
}

/* --- jumps: setjmp, computed goto, variable arrays, alloca --- */

static jmp_buf back;

static NOINLINE void
deep(int n)
{
    volatile char room[64];

    room[n & 63] = 1;
    if (n == 0)
        longjmp(back, 42);
    deep(n - 1);
    room[0]++;
}

static NOINLINE long
interpret(const unsigned char *code, long a)
{
    static const void *const labels[] = {&&add, &&mul, &&neg, &&dup, &&loop, &&end};
    long b = 1, count = 50;

    goto *labels[*code];
add:
    a += b;
    goto *labels[*++code];
mul:
    a = (long)((unsigned long)a * 3u);
    goto *labels[*++code];
neg:
    a = -a;
    goto *labels[*++code];
dup:
    b = a & 0xffff;
    goto *labels[*++code];
loop:
    if (--count > 0) {
        code -= code[1];
        goto *labels[*code];
    }
    code++;
    goto *labels[*++code];
end:
    return a ^ b;
}

static NOINLINE int
variable_array(int n)
{
    int a[n], (*rows)[n] = malloc(sizeof(int[n]) * 3), sum = 0;
    char *p = __builtin_alloca((size_t)n * 3);

    memset(p, n, (size_t)n * 3);
    for (int i = 0; i < n; i++) {
        a[i] = i * i;
        rows[i % 3][i] = a[i] + p[i];
        sum += rows[i % 3][i];
    }
    free(rows);
    return sum;
}

static void
jumps(void)
{
    volatile int rounds = 0;
    int status = setjmp(back);

    if (rounds < 3) {
        rounds++;
        deep(200 * rounds);
    }
    static const unsigned char code[] = {3, 0, 1, 2, 0, 4, 4, 3, 0, 5};
    printf("jumps %d %d %ld %d %d\n", status, rounds, interpret(code, 5), variable_array(17), variable_array(300));
}

/* --- memory: strings, copies of every length, atomics, thread-local data --- */

static _Thread_local int per_thread = 5;
static _Atomic long shared;
static _Atomic unsigned char small;

static void
memory(void)
{
    char a[600], b[600];
    unsigned h = 0;

    for (int n = 0; n < 257; n++) {
        for (int i = 0; i < 600; i++)
            a[i] = (char)(next() >> 24), b[i] = (char)i;
        memcpy(b + n % 17, a + n % 5, (size_t)n);
        memmove(b + 3, b, (size_t)n);
        memset(a + n, n, 9);
        h = h * 31 + (unsigned)(memcmp(a, b, 500) > 0) + (unsigned)(unsigned char)b[n + 2];
        a[n + 300] = 0;
        h += (unsigned)strlen(a + 299 - n % 30) + (unsigned)(strchr(b, n) != 0);
    }
    long expected = 10;
    shared = 3;
    atomic_fetch_add(&shared, 7);
    int swapped = atomic_compare_exchange_strong(&shared, &expected, 99);
    atomic_fetch_or(&small, 0x81);
    atomic_fetch_xor(&small, 0x11);
    per_thread += (int)atomic_exchange(&shared, 12);
    printf("memory %u %d %ld %d %d %s %ld %d\n", h, swapped, (long)shared, small, per_thread,
           strstr("a needle in hay", "needle"), strtol("-0x7fz", 0, 16), (int)strtod("12.75e1x", 0));
}

int
main(int argc, char **argv)
{
    static void (*const parts[])(void) = {switches, calls, integers, floats, vectors, jumps, memory};
    long rounds = argc > 1 ? strtol(argv[1], 0, 10) : 1;

    setvbuf(stdout, 0, _IOFBF, 4096);
    for (long r = 0; r < rounds; r++)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            parts[i]();
    return 0;
}
