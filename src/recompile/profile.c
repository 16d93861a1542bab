#include "recompile/profile.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"

enum { VERSION = 1, MAX_SIZE = 1 << 30, MAX_ENTRIES = 1 << 22 };
#define ADDRESS_END 0x100000000ull

/* [address, entered, instructions] */
static int
read_address(struct profile *p, const struct sha256 *file, const json_t *item, struct err *e)
{
    const json_t *address = json_array_get(item, 0), *entered = json_array_get(item, 1);

    if (json_array_size(item) != 3 || !json_is_integer(address) || !json_is_integer(entered) ||
        !json_is_integer(json_array_get(item, 2)))
        return err_set(e, "an item of \"code\" is not [address, entered, instructions]");
    if (json_integer_value(address) < 0 || (uint64_t)json_integer_value(address) >= ADDRESS_END)
        return err_set(e, "address %" JSON_INTEGER_FORMAT " is out of range", json_integer_value(address));
    if (json_integer_value(entered) <= 0)
        return 0; /* the evaluator came through here, from an address that it was entered at */
    if (p->entries.count == MAX_ENTRIES)
        return err_set(e, "more than %d addresses", MAX_ENTRIES);
    vec_push(&p->entries, ((struct profile_entry){.file = *file, .address = (uint64_t)json_integer_value(address)}));
    return 0;
}

static int
read_record(struct profile *p, const json_t *record, struct err *e)
{
    const json_t *files = json_object_get(record, "files"), *file, *item;
    size_t i, j;

    if (json_integer_value(json_object_get(record, "version")) != VERSION)
        return err_set(e, "not a record of ingot run --stats=FILE of version %d", VERSION);
    if (!json_is_array(files))
        return err_set(e, "\"files\" is not a list");
    json_array_foreach(files, i, file)
    {
        const json_t *code = json_object_get(file, "code");
        struct sha256 hash;
        const char *hex = json_string_value(json_object_get(file, "sha256"));

        if (!hex || sha256_parse(hex, &hash) < 0)
            return err_set(e, "\"sha256\" of file %zu is not 64 hexadecimal digits", i);
        if (!json_is_array(code))
            return err_set(e, "\"code\" of file %zu is not a list", i);
        json_array_foreach(code, j, item)
        {
            if (read_address(p, &hash, item, e) < 0)
                return -1;
        }
    }
    return 0;
}

static int
read_records(struct profile *p, const char *text, size_t size, struct err *e)
{
    size_t at = 0;

    while (at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - (text + at)) : size - at;
        json_error_t why;
        json_t *record;
        int result;

        if (!end)
            return err_set(e, "the last line is not complete");
        record = json_loadb(text + at, length, JSON_REJECT_DUPLICATES, &why);
        if (!record)
            return err_set(e, "byte %zu: %s", at + (size_t)why.position, why.text);
        result = read_record(p, record, e);
        json_decref(record);
        if (result < 0)
            return -1;
        at += length + 1;
    }
    return 0;
}

int
profile_read(struct profile *p, const char *path, struct err *e)
{
    struct mapped m;
    int result;

    if (file_map(path, &m, e) < 0)
        return err_prefix(e, "profile");
    result = m.size > MAX_SIZE ? err_set(e, "too large") : read_records(p, (const char *)m.data, m.size, e);
    file_unmap(&m);
    return result < 0 ? err_prefix(e, "profile %s", path) : 0;
}

static int
compare_entries(const void *a, const void *b)
{
    const struct profile_entry *x = a, *y = b;
    int order = memcmp(x->file.bytes, y->file.bytes, sizeof x->file.bytes);

    return order ? order : x->address < y->address ? -1 : x->address > y->address;
}

void
profile_settle(struct profile *p)
{
    size_t n = 0;

    if (p->entries.count)
        qsort(p->entries.items, p->entries.count, sizeof *p->entries.items, compare_entries);
    for (size_t i = 0; i < p->entries.count; i++) {
        if (n == 0 || compare_entries(&p->entries.items[n - 1], &p->entries.items[i]) != 0)
            p->entries.items[n++] = p->entries.items[i];
    }
    p->entries.count = n;
}

const struct profile_entry *
profile_of(const struct profile *p, const struct sha256 *file, size_t *count)
{
    size_t low = 0, high = p->entries.count, end;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (memcmp(p->entries.items[mid].file.bytes, file->bytes, sizeof file->bytes) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (end = low; end < p->entries.count; end++) {
        if (memcmp(p->entries.items[end].file.bytes, file->bytes, sizeof file->bytes) != 0)
            break;
    }
    *count = end - low;
    return p->entries.items + low;
}

void
profile_fini(struct profile *p)
{
    vec_fini(&p->entries);
}
