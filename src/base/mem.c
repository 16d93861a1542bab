/* Heap memory of the build side: never NULL. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
mem_exhausted(size_t size)
{
    fprintf(stderr, "ingot: out of memory (asked for %zu bytes)\n", size);
    exit(1);
}

void *
mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (!p)
        mem_exhausted(size);
    return p;
}

void *
mem_zalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    if (!p)
        mem_exhausted(size);
    return p;
}

void *
mem_realloc(void *p, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        mem_exhausted((size_t)-1);
    p = realloc(p, total ? total : 1);
    if (!p)
        mem_exhausted(total);
    return p;
}

char *
mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(mem_alloc(n), s, n);
}

char *
mem_printf(const char *format, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vasprintf(&s, format, ap);
    va_end(ap);
    if (n < 0)
        mem_exhausted(0);
    return s;
}

void
mem_free(void *p)
{
    free(p);
}
