/* A fast hash of bytes, to compare what should be equal: not for tables that an attacker fills, nor for integrity. */
#ifndef BASE_HASH64_H
#define BASE_HASH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Goes on from h with size more bytes. */
static inline uint64_t
hash64(uint64_t h, const void *p, size_t size)
{
    const uint8_t *bytes = p;

    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;

        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; size; size--, bytes++)
        h = (h ^ *bytes) * 0x9e3779b97f4a7c15u;
    return h;
}

#endif
