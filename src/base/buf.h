/* Bytes: a growable buffer to write, and a bounded cursor to read. Little-endian throughout. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t size, capacity;
};

void buf_put(struct buf *b, const void *data, size_t size);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_uleb(struct buf *b, uint64_t v);
void buf_put_sleb(struct buf *b, int64_t v);
void buf_put_zero(struct buf *b, size_t count);
void buf_align(struct buf *b, size_t alignment); /* zero padding up to a multiple of alignment */
void buf_fini(struct buf *b);

/* A cursor never reads past end: on the first read that does not fit it sets `failed`, returns zero
 * from then on and stays where it is. Check `failed` once after a group of reads. */
struct cursor {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct cursor
cursor_make(const void *data, size_t size)
{
    const uint8_t *p = data ? data : (const uint8_t *)""; /* of size 0 */

    return (struct cursor){.at = p, .end = p + size, .failed = false};
}

static inline size_t
cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* NULL when fewer than size bytes are left. */
const uint8_t *cursor_bytes(struct cursor *c, size_t size);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* bits: the width of the value in bits (32 or 64; 33 for wasm block types). Longer encodings than
 * ceil(bits/7) bytes or values out of range fail (wasm core spec 5.2.2). */
uint64_t cursor_uleb(struct cursor *c, unsigned bits);
int64_t cursor_sleb(struct cursor *c, unsigned bits);
/* A sub-cursor over the next size bytes; failed when they are not there. */
struct cursor cursor_sub(struct cursor *c, size_t size);

#endif
