/* Switches and computed gotos of the shapes that compilers turn into jump tables in different ways: the bound
 * checked in another block, the table's address kept in a register over a loop or on the stack, narrow and masked
 * indexes, memory operands. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))

volatile int sink;

/* Something that no table of values can replace. */
static NOINLINE void
act(int n)
{
    sink += n;
    __asm__ volatile("" ::: "memory");
}

#define CASE(n) \
    case n: act(n * 7 + 1); break;
#define CASES_8(n) CASE(n) CASE(n + 1) CASE(n + 2) CASE(n + 3) CASE(n + 4) CASE(n + 5) CASE(n + 6) CASE(n + 7)

static NOINLINE void
plain(int v)
{
    switch (v) {
        CASES_8(0) CASES_8(8) default : act(-1);
    }
}

static NOINLINE void
offset(long v)
{
    switch (v) {
        CASES_8('a') CASES_8('i') CASE('z')
    }
}

/* The address of the table is loop invariant. */
static NOINLINE int
loop(const unsigned char *p, const unsigned char *end)
{
    int state = 0;

    while (p != end) {
        switch (*p++) {
            /* clang-format off */
        case 1: act(state); break;
        case 2: state++; break;
        case 3: state += sink; act(3); break;
        case 4: act(state * 2); continue;
        case 5: return state;
        case 6: if (state > 100) exit(3); break;
        case 7: p += *p & 1 ? 0 : 0; act(9); break;
        case 9: state ^= 5; act(state); break;
        case 10: abort();
            /* clang-format on */
        }
        act(state);
    }
    return state;
}

static NOINLINE void
masked(unsigned v)
{
    switch (v & 15) {
        CASES_8(0) CASES_8(8)
    }
}

static NOINLINE void
narrow(uint8_t a, uint16_t b)
{
    switch (a) {
        CASES_8(0) CASES_8(8)
    }
    switch (b) {
        CASES_8(100) CASES_8(108) default : act(2);
    }
}

struct node {
    int kind;
    struct node *left, *right;
    long value;
};

/* The index is in memory, and compared there. */
static NOINLINE long
walk(struct node *n)
{
    switch (n->kind) {
    case 0: return n->value;
    case 1: return walk(n->left) + walk(n->right);
    case 2: return walk(n->left) - walk(n->right);
    case 3: return walk(n->left) * walk(n->right);
    case 4: act(4); return walk(n->right);
    case 5: return -walk(n->left);
    case 6: return walk(n->left) & walk(n->right);
    case 7: n->kind = 0; return walk(n);
    default: abort();
    }
}

/* More values live than there are registers. */
static NOINLINE long
pressure(const long *v, const int *codes, int n)
{
    long a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6], h = v[7], i = v[8], j = v[9];
    long k = v[10], l = v[11], m = v[12], o = v[13];

    for (int x = 0; x < n; x++) {
        switch (codes[x]) {
            /* clang-format off */
        case 0: a += b; act((int)a); break;
        case 1: b ^= c; act((int)b); break;
        case 2: c += d * e; break;
        case 3: d -= f; act((int)d); break;
        case 4: e += g; break;
        case 5: f *= h; act((int)f); break;
        case 6: g ^= i; break;
        case 7: h += j; act((int)h); break;
        case 8: i -= k; break;
        case 9: j += l; break;
        case 10: k ^= m; act((int)k); break;
        case 11: l += o; break;
        case 12: m -= a; break;
        case 13: o += b; break;
            /* clang-format on */
        }
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ m ^ o;
}

static NOINLINE int
nested(int a, int b)
{
    switch (a) {
    case 0: act(1); return 1;
    case 1:
        switch (b) {
            CASES_8(0)
        default: act(3); return 5;
        }
        return 2;
    case 2: act(b); break;
    case 3:
        switch (b + a) {
            CASES_8(20)
        }
        break;
    case 4: act(7); break;
    case 5: return nested(b, 2);
    case 6: act(6); return b;
    }
    return 0;
}

/* An interpreter with one jump at the end of each operation. */
static NOINLINE long
threaded(const unsigned char *code)
{
    static const void *const labels[] = {&&halt, &&inc, &&dec, &&twice, &&call, &&square};
    long acc = 1;

#define NEXT goto *labels[*code++]
    NEXT;
inc:
    acc++;
    NEXT;
dec:
    acc--;
    NEXT;
twice:
    acc *= 2;
    NEXT;
call:
    act((int)acc);
    NEXT;
square:
    acc *= acc;
    NEXT;
halt:
    return acc;
}

/* Labels in records, found through a pointer. */
static NOINLINE long
records(const char *names)
{
    static const struct {
        const char *name;
        const void *label;
        int weight;
    } table[] = {{"a", &&a, 1}, {"b", &&b, 2}, {"c", &&c, 3}, {"d", &&d, 4}};
    long sum = 0;
    const void *to;
    unsigned at;

next:
    if (!*names)
        return sum;
    at = (unsigned)(*names++ - 'a') & 3;
    sum += table[at].weight;
    to = table[at].label;
    if (*table[at].name != names[-1])
        return -1;
    goto *to;
a:
    act(1);
    goto next;
b:
    act(2);
    sum++;
    goto next;
c:
    sum *= 2;
    goto next;
d:
    act((int)sum);
    goto next;
}

typedef long operation(long, long);

#define OPERATION(name, expression)           \
    static NOINLINE long name(long x, long y) \
    {                                         \
        act(1);                               \
        return expression;                    \
    }
OPERATION(op_add, x + y)
OPERATION(op_sub, x - y)
OPERATION(op_mul, x *y)
OPERATION(op_and, x &y)

static NOINLINE long
tail(unsigned which, long x, long y)
{
    static operation *const operations[] = {op_add, op_sub, op_mul, op_and};

    return operations[which & 3](x, y);
}

static NOINLINE long
through_pointer(operation *const *vector, unsigned i, long x)
{
    return vector[i](x, x);
}

int
main(int argc, char **argv)
{
    static const unsigned char bytes[] = {1, 2, 3, 4, 7, 9, 2, 5}, code[] = {1, 3, 4, 5, 2, 0};
    static const int codes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    static const long values[14] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7};
    static operation *const vector[] = {op_mul, op_add};
    struct node leaf = {.kind = 0, .value = 21}, sum = {.kind = 1, .left = &leaf, .right = &leaf};
    long result = 0;

    (void)argv;
    for (int i = 0; i < 20; i++) {
        plain(i);
        offset('a' + i);
        masked((unsigned)(i * argc));
        narrow((uint8_t)i, (uint16_t)(98 + i));
        result += nested(i % 7, i);
        result += tail((unsigned)i, i, 3);
    }
    result += loop(bytes, bytes + sizeof bytes) + walk(&sum) + pressure(values, codes, 15);
    result += threaded(code) + records("abcda") + through_pointer(vector, (unsigned)argc & 1, 5);
    printf("%ld %d\n", result, sink);
    return 0;
}
