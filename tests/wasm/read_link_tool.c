/* Developer's tool and test: read-link OUT.wasm OBJECT.wasm BASE [OBJECT.wasm BASE]... links a megabinary. */
#include "wasm/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static struct buf
read_file(const char *path)
{
    struct buf b = {0};
    FILE *f = fopen(path, "rb");
    uint8_t chunk[65536];
    size_t n;

    if (!f) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(&b, chunk, n);
    fclose(f);
    return b;
}

int
main(int argc, char **argv)
{
    size_t count = argc > 2 ? (size_t)(argc - 2) / 2 : 0;
    struct wasm_link_input *inputs = mem_zalloc(count + 1, sizeof *inputs);
    struct buf *files = mem_zalloc(count + 1, sizeof *files), out = {0};
    struct err e = {0};
    FILE *f;

    if (argc < 4 || argc % 2)
        return 2;
    for (size_t i = 0; i < count; i++) {
        files[i] = read_file(argv[2 + 2 * i]);
        inputs[i] = (struct wasm_link_input){.object = files[i].data,
                                             .size = files[i].size,
                                             .base = strtoull(argv[3 + 2 * i], NULL, 0)};
    }
    if (wasm_link(inputs, count, &out, &e) < 0) {
        fprintf(stderr, "read-link: %s\n", e.text);
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        printf("%s: table %u, %u entries\n", argv[2 + 2 * i], inputs[i].table_base, inputs[i].entry_count);
    f = fopen(argv[1], "wb");
    if (!f || fwrite(out.data, 1, out.size, f) != out.size || fclose(f))
        return 1;
    for (size_t i = 0; i < count; i++)
        buf_fini(&files[i]);
    buf_fini(&out);
    mem_free(files);
    mem_free(inputs);
    return 0;
}
