/* Calls one after the other with the same registers, in numbers that change: checks that lockstep cannot tell apart,
 * anywhere in a region. Not for ingot alone: prints a sum. */
#include <stdio.h>

struct node {
    struct node *next, *same[5];
    unsigned long sum;
};

typedef int visit(struct node *n, void *arg);

/* Both leave no trace in registers. */
__attribute__((noinline)) static int
add(struct node *n)
{
    __asm__ volatile("addq $1, %0" : "+m"(n->sum));
    return 0;
}

__attribute__((noinline)) static int
visit_one(struct node *n, void *arg)
{
    __asm__ volatile("addq $1, %0" : "+m"(*(unsigned long *)arg));
    if (n->next)
        return 1;
    add(n);
    return 0;
}

__attribute__((noinline)) static int
traverse(struct node *n, visit *v, void *arg, unsigned count)
{
    int r = 0;

    switch (count) {
        /* clang-format off */
    case 5: if ((r = v(n->same[4], arg))) return r; /* fall through */
    case 4: if ((r = v(n->same[3], arg))) return r; /* fall through */
    case 3: if ((r = v(n->same[2], arg))) return r; /* fall through */
    case 2: if ((r = v(n->same[1], arg))) return r; /* fall through */
    case 1: if ((r = v(n->same[0], arg))) return r; /* fall through */
    default: return r;
        /* clang-format on */
    }
}

int
main(void)
{
    static struct node none, nodes[7];
    visit *volatile v = visit_one;
    unsigned long step = 0;

    for (unsigned i = 0; i < 7; i++) {
        for (unsigned j = 0; j < 5; j++)
            nodes[i].same[j] = &none;
        nodes[i].next = &nodes[(i * 3 + 1) % 7];
    }
    for (struct node *n = nodes; step < 200000; n = n->next)
        if (traverse(n, v, &step, 1 + step % 5))
            return 1;
    printf("%lu %lu\n", step, none.sum);
    return 0;
}
