#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/id_tree.h"

struct thing {
    int payload;
    struct id_node node;
};

enum { COUNT = 2000 };

static uint32_t
next_random(void)
{
    static uint32_t state = 1;

    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

/* Counts the nodes below n. None may be outside of [low, high], above its parent's priority, or another's child. What
 * is deeper than *depth goes there. */
static int
check_below(const struct id_node *n, int64_t low, int64_t high, int at, int *depth)
{
    int count = 1;

    assert_true(low <= n->id && n->id <= high);
    if (n->parent)
        assert_true(n->parent->priority >= n->priority);
    if (at > *depth)
        *depth = at;
    if (n->left) {
        assert_ptr_equal(n->left->parent, n);
        count += check_below(n->left, low, n->id - 1, at + 1, depth);
    }
    if (n->right) {
        assert_ptr_equal(n->right->parent, n);
        count += check_below(n->right, n->id + 1, high, at + 1, depth);
    }
    return count;
}

static int
check_tree(const struct id_tree *tree, int *depth)
{
    *depth = 0;
    if (!tree->root)
        return 0;
    assert_null(tree->root->parent);
    return check_below(tree->root, INT64_MIN, INT64_MAX, 1, depth);
}

static void
test_empty(void **state)
{
    struct id_tree tree = {0};

    (void)state;
    assert_null(id_tree_find(&tree, 0));
    assert_null(id_tree_from(&tree, INT64_MIN));
}

static void
test_ends_of_the_numbers(void **state)
{
    static const int64_t ids[] = {INT64_MAX, 0, INT64_MIN, -1};
    struct thing things[4];
    struct id_tree tree = {0};
    int depth;

    (void)state;
    for (int k = 0; k < 4; k++)
        id_tree_add(&tree, &things[k].node, ids[k], next_random());
    assert_int_equal(check_tree(&tree, &depth), 4);
    for (int k = 0; k < 4; k++)
        assert_ptr_equal(id_entry(id_tree_find(&tree, ids[k]), struct thing, node), &things[k]);
    assert_ptr_equal(id_tree_from(&tree, 1), &things[0].node);
    assert_ptr_equal(id_tree_from(&tree, INT64_MIN + 1), &things[3].node);
    assert_null(id_tree_find(&tree, 1));
}

/* Against a table of what is in it. */
static void
test_random(void **state)
{
    static struct thing things[COUNT];
    static bool in[COUNT];
    struct id_tree tree = {0};
    int count = 0, depth;

    (void)state;
    for (int step = 0; step < 100000; step++) {
        int id = (int)(next_random() % COUNT), from = id;

        if (in[id])
            id_tree_remove(&tree, &things[id].node);
        else
            id_tree_add(&tree, &things[id].node, id, next_random());
        count += in[id] ? -1 : 1;
        in[id] = !in[id];
        assert_ptr_equal(id_tree_find(&tree, id), in[id] ? &things[id].node : NULL);
        while (from < COUNT && !in[from])
            from++;
        assert_ptr_equal(id_tree_from(&tree, id), from < COUNT ? &things[from].node : NULL);
        if (step % 1000 == 0)
            assert_int_equal(check_tree(&tree, &depth), count);
    }
    assert_int_equal(check_tree(&tree, &depth), count);
}

/* Numbers are mostly given in order, which would make a plain tree a list. */
static void
test_in_order(void **state)
{
    static struct thing things[COUNT];
    struct id_tree tree = {0};
    int depth;

    (void)state;
    for (int k = 0; k < COUNT; k++)
        id_tree_add(&tree, &things[k].node, k, next_random());
    assert_int_equal(check_tree(&tree, &depth), COUNT);
    assert_true(depth < 60);
    while (tree.root)
        id_tree_remove(&tree, tree.root);
    assert_null(things[0].node.parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_ends_of_the_numbers),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
