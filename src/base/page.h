/* The page of x86-64 (SDM vol. 3, 4.5), which is the unit of mappings for guests, for hosts and in artifacts. */
#ifndef BASE_PAGE_H
#define BASE_PAGE_H

#include <stdint.h>

enum { PAGE_SIZE = 4096 };
#define PAGE_DOWN(x) ((x) & ~(uint64_t)(PAGE_SIZE - 1))
#define PAGE_UP(x)   (((x) + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1))

#endif
