#include "base/id_tree.h"

static struct id_node **
slot_of(struct id_tree *tree, struct id_node *n)
{
    return !n->parent ? &tree->root : n->parent->left == n ? &n->parent->left : &n->parent->right;
}

/* n takes the place of its parent. */
static void
rotate_up(struct id_tree *tree, struct id_node *n)
{
    struct id_node *p = n->parent, *inner;

    *slot_of(tree, p) = n;
    n->parent = p->parent;
    p->parent = n;
    if (p->left == n) {
        inner = n->right;
        n->right = p;
        p->left = inner;
    } else {
        inner = n->left;
        n->left = p;
        p->right = inner;
    }
    if (inner)
        inner->parent = p;
}

void
id_tree_add(struct id_tree *tree, struct id_node *node, int64_t id, uint32_t priority)
{
    struct id_node *parent = NULL, **slot = &tree->root;

    while (*slot) {
        parent = *slot;
        slot = id < parent->id ? &parent->left : &parent->right;
    }
    *node = (struct id_node){.parent = parent, .id = id, .priority = priority};
    *slot = node;
    while (node->parent && node->parent->priority < priority)
        rotate_up(tree, node);
}

void
id_tree_remove(struct id_tree *tree, struct id_node *node)
{
    struct id_node *child;

    while (node->left && node->right)
        rotate_up(tree, node->left->priority > node->right->priority ? node->left : node->right);
    child = node->left ? node->left : node->right;
    *slot_of(tree, node) = child;
    if (child)
        child->parent = node->parent;
    *node = (struct id_node){0};
}

struct id_node *
id_tree_from(const struct id_tree *tree, int64_t id)
{
    struct id_node *found = NULL;

    for (struct id_node *n = tree->root; n;) {
        if (n->id < id) {
            n = n->right;
        } else {
            found = n;
            n = n->id == id ? NULL : n->left;
        }
    }
    return found;
}

struct id_node *
id_tree_find(const struct id_tree *tree, int64_t id)
{
    struct id_node *n = id_tree_from(tree, id);

    return n && n->id == id ? n : NULL;
}
