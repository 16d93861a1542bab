/* What gcc is given to compile inside the guest: some of everything that makes its passes work. */
#include <complex.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct node {
    struct node *left, *right;
    int64_t key;
    char name[];
} node;

static _Thread_local int depth;
static atomic_int count;

static node *
insert(node *n, int64_t key)
{
    if (!n) {
        n = malloc(sizeof *n + 32);
        *n = (node){.key = key};
        snprintf(n->name, 32, "node %lld", (long long)key);
        atomic_fetch_add(&count, 1);
    } else if (key < n->key) {
        n->left = insert(n->left, key);
    } else if (key > n->key) {
        n->right = insert(n->right, key);
    }
    return n;
}

static double
kernel(const float *restrict a, const double *restrict b, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += a[i] * b[n - 1 - i] + (i & 1 ? sqrt(b[i]) : fabs(a[i]));
    return s;
}

static const char *
classify(unsigned x)
{
    switch (x % 13) {
    case 0: return "zero";
    case 1 ... 4: return "few";
    case 7: return "seven";
    case 11:
    case 12: return "many";
    default: return "some";
    }
}

static __int128
wide(__int128 a, uint64_t b)
{
    return a / (int64_t)b * 7 + a % (int64_t)b;
}

static long double
series(int n)
{
    long double s = 0;

    while (n--)
        s = s * 0.5L + 1.0L / (n + 1);
    return s;
}

int
main(int argc, char **argv)
{
    static void *const labels[] = {&&first, &&second, &&last};
    float a[100];
    double b[100];
    node *root = NULL;
    double complex z = 1 + 2 * I;

    for (int i = 0; i < 100; i++) {
        a[i] = (float)(i * 0.5);
        b[i] = i * 1e-3;
        root = insert(root, i * 7919 % 101);
    }
    goto *labels[argc % 3];
first:
    depth++;
second:
    depth += 2;
last:
    printf("%s %d %.10f %s %lld %.15Lf %.3f %d\n", root->name, atomic_load(&count), kernel(a, b, 100),
           classify((unsigned)argc), (long long)wide((__int128)1 << 80, 12345), series(40), cabs(z * z), depth);
    return argc > 1 ? (int)strlen(argv[1]) : 0;
}
