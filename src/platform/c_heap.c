/* The C library's allocator, which the evaluator and the lifter use, keeps a cache and an arena for each thread block, and makes them at
 * the first allocation, with host calls that are refused later. They are made here, before the first fiber, so that the blocks of all
 * fibers, which are copies, name the same. */
#include <stdlib.h>

#include "platform/fiber_internal.h"

void
platform_make_c_heap(void)
{
    void *volatile first = malloc(1);

    free(first);
}
