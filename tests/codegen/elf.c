/* elf FILE OUT: one ELF file to its code object, with the time each step takes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "elf/elf_image.h"
#include "discover/discover.h"
#include "codegen/object.h"

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t *
read_all(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct buf b = {0};
    uint8_t chunk[65536];
    size_t n;

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_put(&b, chunk, n);
    fclose(file);
    *size = b.size;
    return b.data;
}

static void
check(int result, const struct err *e)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", e->text);
    exit(1);
}

static void
declare(struct wasm_object *o, const struct disc *d, const struct disc_func *fn)
{
    VEC(uint64_t) entries = {0};

    for (uint32_t j = 0; j < fn->block_count; j++) {
        const struct disc_block *b = &d->blocks.items[fn->first_block + j];

        if (j == 0 || b->entry)
            vec_push(&entries, b->start);
    }
    wasm_object_declare(o, fn->address, entries.items, entries.count);
    vec_fini(&entries);
}

int
main(int argc, char **argv)
{
    static const struct ir_flag_facts facts;
    struct ir_pipeline pipeline = {.flags = &facts, .verify = getenv("VERIFY") != NULL};
    struct elf_image image;
    struct disc d = {0};
    struct ir_func f;
    struct ir_build b;
    struct err e = {0};
    struct buf out = {0};
    struct wasm_object *o;
    size_t size, blocks = 0, largest = 0;
    double start, discovered, lift = 0, optimise = 0, emit = 0, slowest = 0;
    uint64_t slowest_at = 0;
    uint8_t *file;
    FILE *to;

    if (argc != 3)
        return 2;
    file = read_all(argv[1], &size);
    start = now();
    check(elf_image_open(&image, file, size, &e), &e);
    check(discover(&d, &image, NULL, 0, &e), &e);
    discovered = now() - start;
    o = wasm_object_new(!image.is_pie, false);
    for (size_t i = 0; i < d.funcs.count; i++)
        declare(o, &d, &d.funcs.items[i]);
    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    for (size_t i = 0; i < d.funcs.count; i++) {
        double t0 = now(), t1, t2, t3;

        disc_lift(&d, &d.funcs.items[i], &image, &f, &b);
        t1 = now();
        check(ir_optimize(&f, &pipeline, &e), &e);
        t2 = now();
        check(wasm_object_add(o, &f, &e), &e);
        t3 = now();
        lift += t1 - t0;
        optimise += t2 - t1;
        emit += t3 - t2;
        blocks += f.blocks.count;
        if (f.blocks.count > largest)
            largest = f.blocks.count;
        if (t3 - t1 > slowest) {
            slowest = t3 - t1;
            slowest_at = f.address;
        }
    }
    start = now();
    check(wasm_object_finish(o, &out, &e), &e);
    printf("%s: %zu functions, %zu blocks (largest function %zu), %llu bytes covered, %zu bytes of wasm\n"
           "discover %.2f s, lift %.2f, passes %.2f, codegen %.2f, finish %.2f; slowest %.3f s at %#llx\n",
           argv[1], d.funcs.count, blocks, largest, (unsigned long long)d.covered_bytes, out.size, discovered, lift,
           optimise, emit, now() - start, slowest, (unsigned long long)slowest_at);
    to = fopen(argv[2], "wb");
    if (to == NULL || fwrite(out.data, 1, out.size, to) != out.size || fclose(to) != 0) {
        perror(argv[2]);
        return 1;
    }
    wasm_object_free(o);
    buf_fini(&out);
    ir_build_fini(&b);
    ir_func_fini(&f);
    disc_fini(&d);
    elf_image_close(&image);
    mem_free(file);
    return 0;
}
