/* Bytes: a growable buffer to write, and a bounded cursor to read. */
#include "base/buf.h"

#include <string.h>

#include "base/mem.h"

static uint8_t *
buf_extend(struct buf *b, size_t size)
{
    uint8_t *p;

    if (b->capacity - b->size < size) {
        size_t capacity = b->capacity ? b->capacity : 256;

        if (size > SIZE_MAX / 2 - b->size) /* so that some doubling is enough */
            mem_exhausted(size);
        while (capacity - b->size < size)
            capacity *= 2;
        b->data = mem_realloc(b->data, capacity, 1);
        b->capacity = capacity;
    }
    p = b->data + b->size;
    b->size += size;
    return p;
}

void
buf_put(struct buf *b, const void *data, size_t size)
{
    if (size)
        memcpy(buf_extend(b, size), data, size);
}

void
buf_put_u8(struct buf *b, uint8_t v)
{
    *buf_extend(b, 1) = v;
}

void
buf_put_u16(struct buf *b, uint16_t v)
{
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void
buf_put_u32(struct buf *b, uint32_t v)
{
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void
buf_put_u64(struct buf *b, uint64_t v)
{
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void
buf_put_uleb(struct buf *b, uint64_t v)
{
    do {
        uint8_t byte = v & 0x7f;

        v >>= 7;
        buf_put_u8(b, v ? byte | 0x80 : byte);
    } while (v);
}

void
buf_put_sleb(struct buf *b, int64_t v)
{
    for (;;) {
        uint8_t byte = v & 0x7f;

        v >>= 7;
        if ((v == 0 && !(byte & 0x40)) || (v == -1 && (byte & 0x40))) {
            buf_put_u8(b, byte);
            return;
        }
        buf_put_u8(b, byte | 0x80);
    }
}

void
buf_put_zero(struct buf *b, size_t count)
{
    if (count)
        memset(buf_extend(b, count), 0, count);
}

void
buf_align(struct buf *b, size_t alignment)
{
    size_t over = b->size % alignment;

    if (over)
        buf_put_zero(b, alignment - over);
}

void
buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

const uint8_t *
cursor_bytes(struct cursor *c, size_t size)
{
    const uint8_t *p = c->at;

    if (c->failed || cursor_left(c) < size) {
        c->failed = true;
        return NULL;
    }
    c->at += size;
    return p;
}

#define CURSOR_READ(name, type)                       \
    type name(struct cursor *c)                       \
    {                                                 \
        type v = 0;                                   \
        const uint8_t *p = cursor_bytes(c, sizeof v); \
                                                      \
        if (p)                                        \
            memcpy(&v, p, sizeof v);                  \
        return v;                                     \
    }

CURSOR_READ(cursor_u8, uint8_t)
CURSOR_READ(cursor_u16, uint16_t)
CURSOR_READ(cursor_u32, uint32_t)
CURSOR_READ(cursor_u64, uint64_t)

uint64_t
cursor_uleb(struct cursor *c, unsigned bits)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = cursor_u8(c);

        if (c->failed)
            return 0;
        if (bits - shift < 7 && (byte & 0x7f) >> (bits - shift))
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    c->failed = true;
    return 0;
}

int64_t
cursor_sleb(struct cursor *c, unsigned bits)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = cursor_u8(c);
        unsigned left = bits - shift;

        if (c->failed)
            return 0;
        if (left < 7) {
            /* The unused bits must all equal the sign bit. */
            uint8_t high = (uint8_t)((byte & 0x7f) >> (left - 1));

            if (high != 0 && high != (uint8_t)(0x7f >> (left - 1)))
                break;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            unsigned used = shift + 7 < 64 ? shift + 7 : 64;

            if (used < 64 && (byte & 0x40))
                v |= ~(uint64_t)0 << used;
            return (int64_t)v;
        }
    }
    c->failed = true;
    return 0;
}

struct cursor
cursor_sub(struct cursor *c, size_t size)
{
    const uint8_t *p = cursor_bytes(c, size);

    return (struct cursor){.at = p, .end = p ? p + size : NULL, .failed = !p};
}
