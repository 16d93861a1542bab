/* SHA-256 (FIPS 180-4), by the processor's SHA instructions where it has them and there is much to hash. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 };

struct sha256 {
    uint8_t bytes[SHA256_SIZE];
};

void sha256_of(const void *data, size_t size, struct sha256 *out);
/* Of the concatenation of both. */
void sha256_of_two(const void *first, size_t first_size, const void *second, size_t second_size, struct sha256 *out);
void sha256_hex(const struct sha256 *h, char out[SHA256_HEX_SIZE]);
int sha256_parse(const char *hex, struct sha256 *out); /* 0, or -1 when not 64 hex digits */

#endif
