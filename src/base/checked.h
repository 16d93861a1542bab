/* Arithmetic on numbers that somebody else chose: a guest, a file. An addition of such numbers is made here, or by a
 * type whose maker used this. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* false: the sum does not fit, and *sum is not to be used. */
static inline bool
checked_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline uint64_t
saturating_add(uint64_t a, uint64_t b)
{
    return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

/* Are the size bytes from start within [0, limit)? */
static inline bool
range_within(uint64_t start, uint64_t size, uint64_t limit)
{
    return size <= limit && start <= limit - size;
}

/* Do [a, a + a_size) and [b, b + b_size) have a byte in common? */
static inline bool
ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b ? b - a < a_size && b_size > 0 : a - b < b_size && a_size > 0;
}

/* Bytes of a file: offsets are those of off_t. */
struct file_range {
    uint64_t start, end;
};
static inline bool
file_range(uint64_t offset, uint64_t size, struct file_range *range)
{
    range->start = offset;
    return checked_add(offset, size, &range->end) && range->end <= INT64_MAX;
}

#endif
