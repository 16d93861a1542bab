/* SHA-256 (FIPS 180-4). Our own: libcrypto asks the processor what it is (CPUID) at the start of each program that it
 * is linked into, which takes 30 µs in a virtual machine and which an artifact would do for some hundred bytes. Here
 * that is asked when there is much to hash. */
#include "base/sha256.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCK = 64, WORTH_ASKING = 4096 /* bytes: they take about as long as asking */ };
enum { CPUID_SSSE3 = 1 << 9, CPUID_SSE4_1 = 1 << 19 /* leaf 1, ECX */, CPUID_SHA = 1 << 29 /* leaf 7, EBX */ };

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t
rotate(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static uint32_t
word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Round i + k: instead of moving a to h on, each has its place move. */
#define V(k, n) v[((n) - (k)) & 7]
#define ROUND(k)                                                                                         \
    do {                                                                                                 \
        uint32_t a = V(k, 0), b = V(k, 1), c = V(k, 2), e = V(k, 4), f = V(k, 5), g = V(k, 6);           \
        uint32_t sum = V(k, 7) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + \
                       constants[i + k] + w[i + k];                                                      \
                                                                                                         \
        V(k, 3) += sum;                                                                                  \
        V(k, 7) = sum + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));  \
    } while (0)

static void
blocks_portable(uint32_t state[8], const uint8_t *data, size_t count)
{
    for (; count; count--, data += BLOCK) {
        uint32_t w[64], v[8];

        for (unsigned i = 0; i < 16; i++)
            w[i] = word_at(data + 4 * i);
        for (unsigned i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        memcpy(v, state, sizeof v);
        for (unsigned i = 0; i < 64; i += 8) {
            ROUND(0);
            ROUND(1);
            ROUND(2);
            ROUND(3);
            ROUND(4);
            ROUND(5);
            ROUND(6);
            ROUND(7);
        }
        for (unsigned i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

/* Intel's SHA extensions hold the state as the words {f, e, b, a} and {h, g, d, c}, from the lowest on (SDM vol. 2,
 * SHA256RNDS2). */
__attribute__((target("sha,ssse3,sse4.1"))) static void
blocks_sha(uint32_t state[8], const uint8_t *data, size_t count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const __m128i *)state), hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
    /* {e, f, a, b}, {g, h, c, d} */
    __m128i low = _mm_unpacklo_epi64(hgfe, dcba), high = _mm_unpackhi_epi64(hgfe, dcba);
    __m128i feba = _mm_shuffle_epi32(low, 0xb1), hgdc = _mm_shuffle_epi32(high, 0xb1);

    for (; count; count--, data += BLOCK) {
        __m128i w[4], before_feba = feba, before_hgdc = hgdc;

        for (unsigned i = 0; i < 16; i++) { /* four rounds each */
            __m128i sum;

            if (i < 4) {
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
            } else {
                __m128i back = _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4); /* w[t - 7] */

                w[i & 3] = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]), back);
                w[i & 3] = _mm_sha256msg2_epu32(w[i & 3], w[(i + 3) & 3]);
            }
            sum = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
            hgdc = _mm_sha256rnds2_epu32(hgdc, feba, sum);
            feba = _mm_sha256rnds2_epu32(feba, hgdc, _mm_shuffle_epi32(sum, 0x0e));
        }
        feba = _mm_add_epi32(feba, before_feba);
        hgdc = _mm_add_epi32(hgdc, before_hgdc);
    }
    feba = _mm_shuffle_epi32(feba, 0xb1); /* {e, f, a, b} */
    hgdc = _mm_shuffle_epi32(hgdc, 0xb1);
    low = _mm_unpacklo_epi64(feba, hgdc);
    high = _mm_unpackhi_epi64(feba, hgdc);
    _mm_storeu_si128((__m128i *)(state + 4), low);
    _mm_storeu_si128((__m128i *)state, high);
}

static bool
processor_has_sha(void)
{
    unsigned a, b, c, d;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & CPUID_SHA))
        return false;
    __cpuid(1, a, b, c, d);
    return (c & (CPUID_SSSE3 | CPUID_SSE4_1)) == (CPUID_SSSE3 | CPUID_SSE4_1);
}

static void
blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    static enum { UNASKED, NO, YES } has_sha;

    if (has_sha == UNASKED && count >= WORTH_ASKING / BLOCK)
        has_sha = processor_has_sha() ? YES : NO;
    (has_sha == YES ? blocks_sha : blocks_portable)(state, data, count);
}

/* --- a hash in the making --- */

struct context {
    uint32_t state[8];
    uint8_t rest[BLOCK];
    size_t held; /* bytes of rest */
};

static void
put(struct context *c, const void *data, size_t size)
{
    const uint8_t *p = data;

    if (c->held) {
        size_t n = size < BLOCK - c->held ? size : BLOCK - c->held;

        memcpy(c->rest + c->held, p, n);
        c->held += n;
        p += n;
        size -= n;
        if (c->held < BLOCK)
            return;
        blocks(c->state, c->rest, 1);
        c->held = 0;
    }
    blocks(c->state, p, size / BLOCK);
    memcpy(c->rest, p + size / BLOCK * BLOCK, size % BLOCK);
    c->held = size % BLOCK;
}

void
sha256_of_two(const void *first, size_t first_size, const void *second, size_t second_size, struct sha256 *out)
{
    struct context c = {
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
    uint8_t end[2 * BLOCK] = {0x80};
    uint64_t bits = ((uint64_t)first_size + second_size) * 8;
    size_t pad;

    if (first_size)
        put(&c, first, first_size);
    if (second_size)
        put(&c, second, second_size);
    pad = (c.held < BLOCK - 8 ? BLOCK : 2 * BLOCK) - c.held;
    for (unsigned i = 0; i < 8; i++)
        end[pad - 1 - i] = (uint8_t)(bits >> 8 * i);
    put(&c, end, pad);
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        out->bytes[i] = (uint8_t)(c.state[i / 4] >> (24 - 8 * (i % 4)));
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
