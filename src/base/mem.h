/* Heap memory of the build side: never NULL. Running out ends the program with exit code 1 and a
 * message; nothing half-written is left because outputs enter their place by rename. The vkernel
 * does not use this (it answers ENOMEM to its guest). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                /* uninitialised */
void *mem_zalloc(size_t count, size_t size); /* zeroed; checks the product */
void *mem_realloc(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p);
/* What they do when there is no more; for what other libraries could not allocate. */
_Noreturn void mem_exhausted(size_t size);

#endif
