/* An arena: many small allocations, freed in one call. */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK_SIZE = 256 * 1024, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(ALIGN) unsigned char data[];
};

void *
arena_alloc(struct arena *a, size_t size)
{
    void *p;

    /* A size that does not fit any more once it is rounded up, and has a chunk's header before it, is more than any memory. */
    if (size > SIZE_MAX - sizeof *a->head - ALIGN)
        mem_exhausted(size);
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!a->head || a->head->size - a->used < size) {
        size_t want = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        struct arena_chunk *c = mem_alloc(sizeof *c + want);

        c->next = a->head;
        c->size = want;
        a->head = c;
        a->used = 0;
    }
    p = a->head->data + a->used;
    a->used += size;
    return memset(p, 0, size);
}

void *
arena_copy(struct arena *a, const void *data, size_t size)
{
    void *p = arena_alloc(a, size);

    if (size)
        memcpy(p, data, size);
    return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s) + 1);
}

void
arena_fini(struct arena *a)
{
    while (a->head) {
        struct arena_chunk *next = a->head->next;

        mem_free(a->head);
        a->head = next;
    }
    a->used = 0;
}
