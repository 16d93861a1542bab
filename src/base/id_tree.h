/* What has a number, by its number: a treap whose nodes lie in what they hold. Finding, adding and removing are
 * logarithmic in their count, which a guest may choose, and nothing recurses. Whoever adds gives a priority that cannot
 * be foreseen, so that nobody chooses the tree's shape. */
#ifndef BASE_ID_TREE_H
#define BASE_ID_TREE_H

#include <stddef.h>
#include <stdint.h>

struct id_node {
    struct id_node *parent, *left, *right;
    int64_t id;
    uint32_t priority;
};

struct id_tree {
    struct id_node *root; /* NULL, as in cleared memory: empty */
};

/* The node must be in no tree, and no other of this tree may have the id. */
void id_tree_add(struct id_tree *tree, struct id_node *node, int64_t id, uint32_t priority);
void id_tree_remove(struct id_tree *tree, struct id_node *node);
struct id_node *id_tree_find(const struct id_tree *tree, int64_t id); /* NULL: there is none */
/* The one with the lowest id that is not below this one; NULL: there is none. */
struct id_node *id_tree_from(const struct id_tree *tree, int64_t id);

#define id_entry(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

#endif
