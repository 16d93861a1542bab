/* Between fiber.c and the rest of platform/. */
#ifndef PLATFORM_FIBER_INTERNAL_H
#define PLATFORM_FIBER_INTERNAL_H

#include <stdint.h>

/* The lowest address of the running fiber's stack; what lies below is its guard. */
uint64_t platform_fiber_bottom(void);

/* Where a thread-local variable of the running fiber is that of another one. */
struct platform_fiber;
void *platform_fiber_variable(struct platform_fiber *f, void *variable);

void platform_make_c_heap(void); /* c_heap.c; once, before the first fiber */
void platform_faults_init(void); /* faults.c; once */

#endif
