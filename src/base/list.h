/* An intrusive doubly linked list with a sentinel (the usual kernel kind). */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct list {
    struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void
list_insert_before(struct list *at, struct list *item)
{
    CHECK(at->prev->next == at, "a list is broken");
    item->next = at;
    item->prev = at->prev;
    at->prev->next = item;
    at->prev = item;
}

static inline void
list_append(struct list *l, struct list *item)
{
    list_insert_before(l, item);
}

/* Leaves the item initialised, so that removing twice is harmless. Its neighbours must know it: one that was freed and
 * is written over cannot be made to write where its bytes say. */
static inline void
list_remove(struct list *item)
{
    CHECK(item->prev->next == item && item->next->prev == item, "a list is broken");
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

#define list_entry(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define LIST_EACH(p, l)             for (struct list *p = (l)->next; p != (l); p = p->next)
/* The current item may be removed. */
#define LIST_EACH_SAFE(p, l) \
    for (struct list *p = (l)->next, *p##_next = p->next; p != (l); p = p##_next, p##_next = p->next)

#endif
