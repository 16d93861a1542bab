/* SHA-256, through libcrypto's low-level functions: the others read the library's configuration file and load providers
 * first, which takes longer than most hashes, and an artifact must read nothing of the host. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <openssl/sha.h>

void
sha256_of_two(const void *first, size_t first_size, const void *second, size_t second_size, struct sha256 *out)
{
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, first, first_size);
    SHA256_Update(&context, second, second_size);
    SHA256_Final(out->bytes, &context);
}

void
sha256_of(const void *data, size_t size, struct sha256 *out)
{
    sha256_of_two(data, size, NULL, 0, out);
}

void
sha256_hex(const struct sha256 *h, char out[SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < SHA256_SIZE; i++) {
        out[2 * i] = digits[h->bytes[i] >> 4];
        out[2 * i + 1] = digits[h->bytes[i] & 15];
    }
    out[2 * SHA256_SIZE] = '\0';
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int
sha256_parse(const char *hex, struct sha256 *out)
{
    for (int i = 0; i < SHA256_SIZE; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

        if (low < 0)
            return -1;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * SHA256_SIZE] == '\0' ? 0 : -1;
}
