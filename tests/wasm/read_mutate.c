/* The reader and validator against damaged modules: read-mutate MODULE [SAMPLE_DIR].
 *
 * Every truncation, and bytes changed at random: nothing may crash (run it under ASan too). A sample of the
 * mutants goes to SAMPLE_DIR as N.wasm, named yes-N or no-N by our verdict, for wabt's opinion. The module
 * itself must be valid. */
#include "wasm/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;

static uint64_t
next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int
judge(const uint8_t *data, size_t size, struct err *e)
{
    struct wasm_module m;
    int rc = wasm_module_read(&m, data, size, e);

    if (rc < 0)
        return rc;
    rc = wasm_validate(&m, e);
    wasm_module_fini(&m);
    return rc;
}

/* In memory of exactly its size, so that ASan sees a read one past the end. */
static int
judge_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct err e = {0};
    int rc;

    memcpy(copy, data, size);
    rc = judge(copy, size, &e);
    if (rc < 0 && !*e.text) {
        fprintf(stderr, "rejected without a message\n");
        exit(1);
    }
    free(copy);
    return rc;
}

static void
write_sample(const char *dir, unsigned n, int verdict, const uint8_t *data, size_t size)
{
    char *path = mem_printf("%s/%s-%u.wasm", dir, verdict == 0 ? "yes" : "no", n);
    FILE *f = fopen(path, "wb");

    if (f) {
        fwrite(data, 1, size, f);
        fclose(f);
    }
    mem_free(path);
}

static void
mutate(uint8_t *data, size_t size)
{
    unsigned count = 1 + next_random() % 3;

    while (count--) {
        size_t at = next_random() % size;

        switch (next_random() % 3) {
        case 0: data[at] ^= (uint8_t)(1u << next_random() % 8); break;
        case 1: data[at] = (uint8_t)next_random(); break;
        default: data[at] = (uint8_t[]){0, 1, 0x7f, 0x80, 0xff, 0x40, 0x0b, 0x7e}[next_random() % 8];
        }
    }
}

int
main(int argc, char **argv)
{
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    struct buf in = {0};
    struct err e = {0};
    uint8_t chunk[4096], *copy;
    size_t n;
    unsigned accepted = 0, tried = 0, sampled = 0;

    if (!f)
        return 2;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(&in, chunk, n);
    fclose(f);
    if (judge(in.data, in.size, &e) < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], e.text);
        return 1;
    }
    for (size_t size = 0; size < in.size; size += in.size > 8192 ? 1 + in.size / 4096 : 1)
        if (judge_copy(in.data, size) == 0 && size > 8)
            accepted++;
    printf("%u truncations accepted (at ends of sections)\n", accepted);
    accepted = 0;
    copy = malloc(in.size);
    for (tried = 0; tried < 20000; tried++) {
        int verdict;

        memcpy(copy, in.data, in.size);
        mutate(copy, in.size);
        verdict = judge_copy(copy, in.size);
        accepted += verdict == 0;
        if (argc > 2 && sampled < 300 && (verdict == 0 || tried % 97 == 0))
            write_sample(argv[2], sampled++, verdict, copy, in.size);
    }
    printf("%u of %u mutants valid\n", accepted, tried);
    free(copy);
    buf_fini(&in);
    return 0;
}
