/* The verifier of rewritten code on arbitrary bytes, at each level. What it accepts is followed by another way
 * (tests/verify/recheck.h).
 *
 * The first byte says what the others are: 0, what follows the jumps to the entries and a RET, with the map and the
 * tables of labels that tests/verify/maker.h has; 1, sizes of 2 bytes of map, index and tables, these, and the text; 2,
 * a key of 16 characters and the relocatable object of a unit; else a linked executable. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/verify/recheck.h"
#include "base/buf.h"
#include "verify/verify_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT = 0x30000000, TABLES = 0x31000000, RUN_TIME = 0x20000000 };

static void
put_entries(struct buf *text)
{
    for (uint32_t i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        buf_put_u8(text, 0xe9);
        buf_put_u32(text, RUN_TIME + 64 * i - (TEXT + (uint32_t)text->size + 4));
    }
}

static void
put_words(struct buf *b, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_put_u32(b, words[i]);
}

static void
check_at_level(enum x86_level level, struct buf *text, struct buf *map, struct buf *index, struct buf *tables)
{
    struct verify_unit u = {
        .text = {text->data, TEXT, text->size},
        .map = {map->data, 0, map->size},
        .index = {index->data, 0, index->size},
        .tables = {tables->data, TABLES, tables->size},
    };
    struct verify_places places;
    struct err e;

    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        u.entries[i] = RUN_TIME + 64 * i;
    x86_set_level(level);
    if (verify_unit(&u, &places, &e) == 0) {
        const char *wrong = recheck(&u, &places);

        if (wrong)
            abort();
    }
    verify_places_fini(&places);
}

static void
check(struct buf *text, struct buf *map, struct buf *index, struct buf *tables)
{
    check_at_level(X86_LEVEL_V2, text, map, index, tables);
    check_at_level(X86_LEVEL_V3, text, map, index, tables);
}

static void
ready_made(const uint8_t *data, size_t size)
{
    static const uint32_t places[] = {0x1000, VERIFY_ENTRIES_SIZE, 0, 0x1001, VERIFY_ENTRIES_SIZE + 1, 1};
    static const uint32_t labels[] = {0x1000, TEXT + VERIFY_ENTRIES_SIZE, 0x1001, TEXT + VERIFY_ENTRIES_SIZE};
    struct buf text = {0}, map = {0}, index = {0}, tables = {0};

    put_entries(&text);
    buf_put_u8(&text, 0xc3);
    buf_put(&text, data, size);
    buf_put_u8(&map, 0x11);
    put_words(&index, places, sizeof places / sizeof *places);
    put_words(&tables, labels, sizeof labels / sizeof *labels);
    check(&text, &map, &index, &tables);
    buf_fini(&text);
    buf_fini(&map);
    buf_fini(&index);
    buf_fini(&tables);
}

static void
all_parts(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(data, size);
    struct buf parts[3] = {0}, text = {0};
    uint16_t sizes[3];

    for (unsigned i = 0; i < 3; i++)
        sizes[i] = cursor_u16(&c);
    for (unsigned i = 0; i < 3; i++) {
        struct cursor part = cursor_sub(&c, sizes[i] < cursor_left(&c) ? sizes[i] : cursor_left(&c));

        buf_put(&parts[i], part.at, cursor_left(&part));
    }
    put_entries(&text);
    buf_put(&text, c.at, cursor_left(&c));
    check(&text, &parts[0], &parts[1], &parts[2]);
    for (unsigned i = 0; i < 3; i++)
        buf_fini(&parts[i]);
    buf_fini(&text);
}

static void
object(const uint8_t *data, size_t size)
{
    char key[17] = "";
    uint8_t *copy;
    struct err e;

    if (size < sizeof key - 1)
        return;
    memcpy(key, data, sizeof key - 1);
    size -= sizeof key - 1;
    copy = malloc(size); /* aligned, and of exactly this size */
    memcpy(copy, data + sizeof key - 1, size);
    verify_object(copy, size, key, &e);
    free(copy);
}

static void
ignore(void *context, const uint8_t *program, const char *text)
{
    (void)context, (void)program;
    assert(*text);
}

__attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] == 0) {
        ready_made(data + 1, size - 1);
    } else if (data[0] == 1) {
        all_parts(data + 1, size - 1);
    } else if (data[0] == 2) {
        object(data + 1, size - 1);
    } else {
        uint8_t *copy = malloc(size); /* aligned, and of exactly this size */

        memcpy(copy, data + 1, size - 1);
        verify_executable(copy, size - 1, ignore, NULL, NULL);
        free(copy);
    }
    return 0;
}
