/* Timers of the container: a heap by deadline, its nodes in the timers themselves, so that starting never fails for
 * want of memory and costs the logarithm of how many there are, whatever a guest's deadlines look like.
 *
 * The kernel lock guards the heap; a fire function may start and stop timers, itself too. */
#include "vkernel/ops.h"
#include "vkernel/sched/sched.h"

#include <stddef.h>

#include "platform/platform.h"

/* A complete binary tree: node n (from 1) has the children 2n and 2n + 1, so the bits of n below the highest are the
 * way to it. */
static struct ktimer *root;
static size_t count;
static uint64_t next_order; /* of equal deadlines the first started is the first fired */

static bool
earlier(const struct ktimer *a, const struct ktimer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

/* Where the pointer to node n is or belongs. */
static struct ktimer **
slot_of(size_t n, struct ktimer **parent)
{
    struct ktimer **slot = &root;

    *parent = NULL;
    for (int bit = 63 - __builtin_clzll(n) - 1; bit >= 0; bit--) {
        *parent = *slot;
        slot = n >> bit & 1 ? &(*slot)->right : &(*slot)->left;
    }
    return slot;
}

static void
point_to(struct ktimer *parent, const struct ktimer *old, struct ktimer *new)
{
    if (!parent)
        root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

static void
adopt(struct ktimer *t)
{
    if (t->left)
        t->left->parent = t;
    if (t->right)
        t->right->parent = t;
}

static void
swap_with_parent(struct ktimer *t)
{
    struct ktimer *p = t->parent, *left = t->left, *right = t->right;

    t->parent = p->parent;
    point_to(p->parent, p, t);
    t->left = p->left == t ? p : p->left;
    t->right = p->right == t ? p : p->right;
    adopt(t);
    p->left = left;
    p->right = right;
    adopt(p);
}

static void
move_up(struct ktimer *t)
{
    while (t->parent && earlier(t, t->parent))
        swap_with_parent(t);
}

static void
move_down(struct ktimer *t)
{
    for (;;) {
        struct ktimer *first = t->left;

        if (!first)
            return; /* nor is there a right one: the tree is complete */
        if (t->right && earlier(t->right, first))
            first = t->right;
        if (!earlier(first, t))
            return;
        swap_with_parent(first);
    }
}

void
ktimer_stop(struct ktimer *t)
{
    struct ktimer *parent, *last, **slot;

    if (!t->started)
        return;
    slot = slot_of(count--, &parent);
    last = *slot;
    *slot = NULL;
    if (last != t) {
        last->left = t->left;
        last->right = t->right;
        last->parent = t->parent;
        point_to(t->parent, t, last);
        adopt(last);
        move_up(last);
        move_down(last);
    }
    t->left = t->right = t->parent = NULL;
    t->started = false;
}

void
ktimer_start(struct ktimer *t, uint64_t deadline)
{
    struct ktimer **slot;

    ktimer_stop(t);
    t->deadline = deadline;
    t->order = next_order++;
    t->started = true;
    slot = slot_of(++count, &t->parent);
    *slot = t;
    move_up(t);
    sched_tick_wanted = true;
}

bool
ktimer_any(void)
{
    return count != 0;
}

uint64_t
ktimer_next(void)
{
    return root ? root->deadline : UINT64_MAX;
}

uint64_t
ktimer_run(void)
{
    NO_SLEEP;
    /* With the time of the start and so many at most: timers that are due again before the last one was fired (4,000 of
     * 10 us) must not keep everybody else from running. */
    enum { AT_ONCE = 256 };
    uint64_t now;

    if (!root)
        return UINT64_MAX;
    now = platform_monotonic_ns();
    for (int k = 0; k < AT_ONCE; k++) {
        struct ktimer *t = root;

        if (!t)
            return UINT64_MAX;
        if (t->deadline > now)
            return t->deadline - now;
        ktimer_stop(t);
        CALLED(t->fire)(t);
    }
    return 0;
}
