/* .eh_frame and the LSDAs: where functions and landing pads are (LSB Core 10.6, Itanium C++ ABI
 * exception tables). Found through .eh_frame_hdr, which stripped files keep. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "elf/elf_internal.h"

/* clang-format off */
enum { /* DW_EH_PE_* */
    PE_ABSPTR = 0x00, PE_ULEB = 0x01, PE_UDATA2 = 0x02, PE_UDATA4 = 0x03, PE_UDATA8 = 0x04,
    PE_SLEB = 0x09, PE_SDATA2 = 0x0a, PE_SDATA4 = 0x0b, PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10, PE_DATAREL = 0x30, PE_INDIRECT = 0x80, PE_OMIT = 0xff,
};
/* clang-format on */

struct reader { /* a cursor that knows its virtual address */
    struct cursor c;
    const uint8_t *start;
    uint64_t address;
};

static uint64_t
reader_address(const struct reader *r)
{
    return r->address + (uint64_t)(r->c.at - r->start);
}

static bool
reader_open(const struct elf_image *image, uint64_t address, struct reader *r)
{
    uint64_t left;

    r->start = elf_image_at(image, address, &left);
    r->address = address;
    if (!r->start)
        return false;
    r->c = cursor_make(r->start, left);
    return true;
}

/* One encoded pointer; 0 when null or of a form that files do not use. data: base of DATAREL. */
static uint64_t
read_encoded(struct reader *r, uint8_t encoding, uint64_t data)
{
    uint64_t at = reader_address(r), v;

    if (encoding == PE_OMIT)
        return 0;
    switch (encoding & 0x0f) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8: v = cursor_u64(&r->c); break;
    case PE_ULEB: v = cursor_uleb(&r->c, 64); break;
    case PE_SLEB: v = (uint64_t)cursor_sleb(&r->c, 64); break;
    case PE_UDATA2: v = cursor_u16(&r->c); break;
    case PE_SDATA2: v = (uint64_t)(int16_t)cursor_u16(&r->c); break;
    case PE_UDATA4: v = cursor_u32(&r->c); break;
    case PE_SDATA4: v = (uint64_t)(int32_t)cursor_u32(&r->c); break;
    default: r->c.failed = true; return 0;
    }
    if (v == 0)
        return 0;
    if ((encoding & 0x70) == PE_PCREL)
        v += at;
    else if ((encoding & 0x70) == PE_DATAREL)
        v += data;
    return v;
}

struct cie {
    uint8_t fde_encoding, lsda_encoding;
    bool augmented;
    bool signal_frame;
};

static bool
read_cie(const struct elf_image *image, uint64_t address, struct cie *out)
{
    struct reader r;
    uint32_t length;
    uint8_t version;
    char augmentation[16];
    unsigned n = 0;

    *out = (struct cie){.fde_encoding = PE_ABSPTR, .lsda_encoding = PE_OMIT};
    if (!reader_open(image, address, &r))
        return false;
    length = cursor_u32(&r.c);
    if (length == 0 || length == UINT32_MAX || cursor_u32(&r.c) != 0)
        return false;
    version = cursor_u8(&r.c);
    do {
        if (n == sizeof augmentation)
            return false;
        augmentation[n] = (char)cursor_u8(&r.c);
    } while (augmentation[n++] && !r.c.failed);
    cursor_uleb(&r.c, 64); /* code alignment */
    cursor_sleb(&r.c, 64); /* data alignment */
    if (version == 1)
        cursor_u8(&r.c);
    else
        cursor_uleb(&r.c, 64);
    if (augmentation[0] == 'z') {
        out->augmented = true;
        cursor_uleb(&r.c, 64);
        for (const char *a = augmentation + 1; *a; a++) {
            if (*a == 'R')
                out->fde_encoding = cursor_u8(&r.c);
            else if (*a == 'L')
                out->lsda_encoding = cursor_u8(&r.c);
            else if (*a == 'P')
                read_encoded(&r, cursor_u8(&r.c) & 0x7f, 0);
            else if (*a == 'S')
                out->signal_frame = true;
            else if (*a != 'B')
                return false;
        }
    }
    return !r.c.failed;
}

/* The call-site table of an LSDA names every landing pad of the function that starts at `start`. *left: bytes of such tables that may
 * still be read. Those of a file that tells the truth lie apart, so that all of them are no larger than it; where records share one, it
 * would be read, and its landing pads would count, over and over. */
static void
read_lsda(struct elf_image *image, uint64_t lsda, uint64_t start, uint64_t end, uint64_t *left)
{
    struct reader r;
    uint8_t encoding;
    uint64_t base = start, length;
    const uint8_t *stop;

    if (!reader_open(image, lsda, &r))
        return;
    encoding = cursor_u8(&r.c);
    if (encoding != PE_OMIT)
        base = read_encoded(&r, encoding, 0);
    if (cursor_u8(&r.c) != PE_OMIT)
        cursor_uleb(&r.c, 64);
    encoding = cursor_u8(&r.c);
    length = cursor_uleb(&r.c, 64);
    if (r.c.failed || length > cursor_left(&r.c) || length > *left)
        return;
    *left -= length;
    stop = r.c.at + length;
    while (r.c.at < stop && !r.c.failed) {
        uint64_t pad;

        read_encoded(&r, encoding, 0);
        read_encoded(&r, encoding, 0);
        pad = read_encoded(&r, encoding, 0);
        cursor_uleb(&r.c, 64);
        if (!r.c.failed && pad && base + pad >= start && (base + pad < end || base != start))
            vec_push(&image->landing_pads, base + pad);
    }
}

static int
compare_fdes(const void *a, const void *b)
{
    const struct elf_fde *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

void
elf_read_unwind(struct elf_image *image, const struct elf_dynamic *dyn)
{
    struct reader r;
    uint8_t encoding;
    uint64_t cached_address = UINT64_MAX, lsda_left = image->file_size;
    struct cie cie = {0};

    uint64_t eh_frame = dyn->eh_frame;

    if (dyn->eh_frame_hdr) {
        if (!reader_open(image, dyn->eh_frame_hdr, &r) || cursor_u8(&r.c) != 1)
            return;
        encoding = cursor_u8(&r.c);
        cursor_u16(&r.c);
        eh_frame = read_encoded(&r, encoding, dyn->eh_frame_hdr);
    }
    if (!eh_frame || !reader_open(image, eh_frame, &r))
        return;
    for (;;) {
        uint64_t record, body, next, id, start, size, lsda = 0;
        uint32_t length = cursor_u32(&r.c);

        if (r.c.failed || length == 0 || length == UINT32_MAX || length > cursor_left(&r.c))
            break;
        body = reader_address(&r);
        next = (uint64_t)(r.c.at - r.start) + length;
        record = body;
        id = cursor_u32(&r.c);
        if (id != 0) {
            if (record - id != cached_address) {
                cached_address = record - id;
                if (!read_cie(image, cached_address, &cie))
                    cie.fde_encoding = PE_OMIT;
            }
            start = read_encoded(&r, cie.fde_encoding & 0x7f, 0);
            size = read_encoded(&r, cie.fde_encoding & 0x0f, 0);
            /* Of a signal's return code: it begins one byte early, because unwinders look one byte before a return
             * address. */
            if (cie.signal_frame && size > 1) {
                start++;
                size--;
            }
            if (cie.augmented) {
                uint64_t n = cursor_uleb(&r.c, 64);

                if (n && cie.lsda_encoding != PE_OMIT)
                    lsda = read_encoded(&r, cie.lsda_encoding & 0x7f, 0);
            }
            if (!r.c.failed && cie.fde_encoding != PE_OMIT && size && size <= UINT32_MAX &&
                elf_image_is_exec(image, start) && elf_image_is_exec(image, start + size - 1)) {
                vec_push(&image->fdes, ((struct elf_fde){start, start + size, lsda}));
                if (lsda)
                    read_lsda(image, lsda, start, start + size, &lsda_left);
            }
        }
        r.c.failed = false;
        r.c.at = r.start + next;
    }
    if (image->fdes.count)
        qsort(image->fdes.items, image->fdes.count, sizeof(struct elf_fde), compare_fdes);
}
