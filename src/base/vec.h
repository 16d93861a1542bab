/* A growable array: struct { T *items; size_t count, capacity; }, declared in place with VEC(T). */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>

#include "base/mem.h"

#define VEC(T)           \
    struct {             \
        T *items;        \
        size_t count;    \
        size_t capacity; \
    }

/* Makes room for n more items. */
#define vec_reserve(v, n)                                                   \
    do {                                                                    \
        size_t need_;                                                       \
        if (__builtin_add_overflow((v)->count, (size_t)(n), &need_))        \
            mem_exhausted((size_t)-1);                                      \
        if (need_ > (v)->capacity) {                                        \
            size_t cap_ = (v)->capacity ? (v)->capacity * 2 : 16;           \
            if (cap_ < need_)                                               \
                cap_ = need_;                                               \
            (v)->items = mem_realloc((v)->items, cap_, sizeof *(v)->items); \
            (v)->capacity = cap_;                                           \
        }                                                                   \
    } while (0)

#define vec_push(v, item)                  \
    do {                                   \
        vec_reserve(v, 1);                 \
        (v)->items[(v)->count++] = (item); \
    } while (0)

#define vec_fini(v)                     \
    do {                                \
        mem_free((v)->items);           \
        (v)->items = NULL;              \
        (v)->count = (v)->capacity = 0; \
    } while (0)

#endif
