/* Between fiber.c and the rest of platform/. */
#ifndef PLATFORM_FIBER_INTERNAL_H
#define PLATFORM_FIBER_INTERNAL_H

#include <stdint.h>

/* The lowest address of the running fiber's stack; what lies below is its guard. */
uint64_t platform_fiber_bottom(void);

void platform_make_c_heap(void); /* c_heap.c; once, before the first fiber */
void platform_faults_init(void); /* faults.c; once */

#endif
