/* An arena: many small allocations, freed in one call. Build side only. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Zero-initialise; arena_fini() releases everything and leaves it usable again. */
struct arena {
    struct arena_chunk *head;
    size_t used; /* bytes used in head */
};

/* Zeroed memory, aligned to 16. Never returns NULL: running out of memory ends the build with a
 * message (the cache stays sound: files enter it by rename). */
void *arena_alloc(struct arena *a, size_t size);
void *arena_copy(struct arena *a, const void *data, size_t size);
char *arena_strdup(struct arena *a, const char *s);
void arena_fini(struct arena *a);

#endif
