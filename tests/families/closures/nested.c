/* gcc's nested functions whose address is taken: trampolines on the stack. */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static long
apply(long (*f)(long), long n)
{
    return n == 0 ? f(0) : f(n) + apply(f, n - 1);
}

static long __attribute__((noinline))
sums(long k)
{
    long calls = 0;
    long inner(long x)
    {
        calls++;
        return x * k;
    }
    long twice(long x)
    {
        return apply(inner, x % 5) + calls;
    }

    return apply(inner, 10) + apply(twice, 20) * 1000;
}

static long __attribute__((noinline))
recursive(int depth, long (*outer)(long))
{
    long local = depth * 3;
    long chain(long x)
    {
        return outer ? outer(x + local) : x + local;
    }

    return depth == 0 ? chain(1) : recursive(depth - 1, chain) + chain(depth);
}

static long __attribute__((noinline))
leaves(void)
{
    __label__ out;
    volatile long found = 0;
    int compare(const void *a, const void *b)
    {
        if (++found == 7)
            goto out;
        return *(const int *)a - *(const int *)b;
    }
    int v[20];

    for (int i = 0; i < 20; i++)
        v[i] = (i * 7) % 20;
    qsort(v, 20, sizeof v[0], compare);
    return -1;
out:
    return found;
}

static long
threads(void)
{
    long base = 100;
    void *body(void *p)
    {
        return (void *)(base + (long)p);
    }
    pthread_t t[4];
    void *r;
    long sum = 0;

    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], 0, body, (void *)i);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        sum = sum * 10 + (long)r;
    }
    return sum;
}

int
main(void)
{
    long s = 0;

    for (long k = 0; k < 300; k++)
        s = s * 3 % 1000003 + sums(k);
    printf("nested %ld %ld %ld %ld\n", s, recursive(100, 0), leaves(), threads());
    return 0;
}
