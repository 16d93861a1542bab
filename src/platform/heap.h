/* The vkernel's heap: what it allocates lies by kind in address ranges of their own, so that a use after free, a double
 * free or an overflow cannot make one kind look like another.
 *
 *   objects   one pool per type of structure. Its pages are never given to anything else. A freed slot is cleared,
 *             waits until some others were freed, is given out again in no order that can be foreseen, and must still
 *             be clear then. No pool keeps anything in its free memory.
 *   arrays    what holds pointers and whose length varies: tables, lists of arguments. By size, treated like objects.
 *   bytes     buffers of data without pointers: contents, names, paths. By size, far from the others behind memory that
 *             cannot be touched: whoever writes behind a buffer's end meets other bytes, or faults.
 *
 * Freeing twice, freeing what is not the start of one, or as another type, ends the process with a line; so does an
 * object that was written after it was freed, when its slot is used again. In builds with AddressSanitizer all of it is
 * the C library's heap, which that watches; so it is with -Dhardening=false. Decision 0013. Nothing here may be used by
 * two threads. */
#ifndef PLATFORM_HEAP_H
#define PLATFORM_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct pool {
    const char *type;
    uint32_t size, alignment;
    uint32_t kind;            /* enum of heap.c */
    uint32_t inverse;         /* of the size, to divide by it; 0: nothing was allocated yet */
    uint32_t first, last;     /* slabs with free slots, by number */
    uint32_t idle;            /* slabs that are free altogether but hold pages */
    uint8_t shift[2];         /* of a slab's size in units: of the first one, and of all others */
    uint8_t waits, wait_next; /* how many freed slots wait; the oldest */
    uint32_t *waiting;
};

/* All pools lie together: a container touches few of their pages. */
#define HEAP_POOL __attribute__((section("heap_pools")))

/* Of `struct tag`, in the file that makes them; OBJECT_POOL_SHARED where others make or free them, with OBJECT_POOL_OF
 * in a header. */
#define OBJECT_POOL_OF(tag) extern struct pool pool_##tag
#define OBJECT_POOL_SHARED(tag) \
    struct pool pool_##tag HEAP_POOL = {.type = #tag, .size = sizeof(struct tag), .alignment = _Alignof(struct tag)}
#define OBJECT_POOL(tag) static OBJECT_POOL_SHARED(tag)

/* Cleared; NULL: no memory. */
#define OBJECT_NEW(tag) ((struct tag *)pool_new(&pool_##tag))
/* Of NULL: nothing. A `void *` may be given, and must have come from this pool as well. */
#define OBJECT_FREE(tag, p) pool_free(&pool_##tag, _Generic((p), struct tag *: (p), void *: (p)))

void *pool_new(struct pool *pool);
void pool_free(struct pool *pool, void *p);

/* Cleared; so is what a resized array has beyond its old count. NULL leaves the old one as it was. */
void *array_new(size_t count, size_t size);
void *array_resize(void *p, size_t old_count, size_t count, size_t size);
void array_free(void *p);

/* Of undefined content. */
void *bytes_new(size_t size);
void *bytes_resize(void *p, size_t size);
void bytes_free(void *p);
char *bytes_string(const char *s);                     /* a copy */
char *bytes_string_part(const char *s, size_t length); /* of at most `length` characters */

#endif
