/* What the portable helpers need of <string.h>, for a target without C library. */
#ifndef TESTS_EVAL_V8_STRING_H
#define TESTS_EVAL_V8_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int v, size_t size);
#endif
