/* Code objects to damage: functions of the C library and of the mathematical one, and random runs of their
 * instructions, through lifters, passes and code generation. */
#include "sandbox.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "elf/elf_image.h"
#include "ir/ir.h"
#include "lift/lift.h"
#include "codegen/object.h"

enum { MOST_FILES = 4, LEAST_SIZE = 12, RUN_SIZE = 160 };

struct range {
    const uint8_t *bytes;
    size_t size;
};

static struct mapped files[MOST_FILES];
static struct elf_image images[MOST_FILES];
static size_t file_count;
static VEC(struct range) functions;

static int
add_file(const char *path, struct err *e)
{
    struct elf_image *image = &images[file_count];

    if (file_map(path, &files[file_count], e) < 0 ||
        elf_image_open(image, files[file_count].data, files[file_count].size, e) < 0)
        return -1;
    file_count++;
    for (size_t i = 0; i < image->fdes.count; i++) {
        uint64_t size = image->fdes.items[i].end - image->fdes.items[i].start, left;
        const uint8_t *bytes = elf_image_at(image, image->fdes.items[i].start, &left);

        if (bytes && size >= LEAST_SIZE && size <= OBJECTS_MOST_SIZE && size <= left)
            vec_push(&functions, ((struct range){bytes, size}));
    }
    return 0;
}

struct adding {
    struct err *e;
    int rc;
};

static int
add_library(struct dl_phdr_info *info, size_t size, void *context)
{
    struct adding *a = context;
    const char *base = strrchr(info->dlpi_name, '/');

    if (base && (!strncmp(base, "/libc.so", 8) || !strncmp(base, "/libm.so", 8)) && a->rc == 0 &&
        file_count < MOST_FILES)
        a->rc = add_file(info->dlpi_name, a->e);
    return 0;
}

int
objects_init(struct err *e)
{
    struct adding a = {e, 0};

    dl_iterate_phdr(add_library, &a);
    if (a.rc < 0)
        return -1;
    return functions.count > 1000 ? 0 : err_set(e, "only %zu functions to make code objects of", functions.count);
}

/* Instructions of anywhere, one after the other. */
static size_t
random_run(uint64_t *random, uint8_t out[RUN_SIZE])
{
    size_t filled = 0, wanted = 20 + random_below(random, RUN_SIZE - 40);

    while (filled < wanted) {
        const struct range *r = &functions.items[random_below(random, functions.count)];
        size_t at = 0, skip = random_below(random, r->size);
        struct x86_insn insn = {0};

        while (at < r->size && (at < skip || filled == 0)) {
            if (x86_decode(r->bytes + at, r->size - at, 0, &insn) <= 0)
                break;
            if (at + insn.length > skip)
                break;
            at += insn.length;
        }
        if (x86_decode(r->bytes + at, r->size - at, 0, &insn) <= 0 || filled + insn.length > RUN_SIZE)
            break;
        memcpy(out + filled, r->bytes + at, insn.length);
        filled += insn.length;
    }
    return filled;
}

size_t
objects_code(uint64_t *random, uint8_t out[OBJECTS_MOST_SIZE])
{
    const struct range *r = &functions.items[random_below(random, functions.count)];
    size_t size = random_below(random, 3) == 0 ? random_run(random, out) : 0;

    if (size)
        return size;
    memcpy(out, r->bytes, r->size);
    return r->size;
}

static bool
sometimes(void *context, uint64_t address)
{
    return address % 3 != 0;
}

static void
must(int rc, const struct err *e)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "no code object: %s\n", e->text);
    exit(2);
}

static void
lift(const struct range *r, uint64_t address, bool precise, struct ir_func *f, struct ir_build *b)
{
    size_t at = 0;

    ir_func_clear(f, address);
    while (at < r->size) {
        struct lift_request q = {.bytes = r->bytes + at,
                                 .size = r->size - at,
                                 .address = address + at,
                                 .precise = precise};
        size_t used;

        lift_block(b, &q);
        used = f->blocks.items[f->blocks.count - 1].size;
        at += used ? used : 1;
    }
}

void
objects_make(uint64_t *random, struct buf *out)
{
    static const struct ir_flag_facts facts = {.live_at_return = sometimes, .live_at_entry = sometimes};
    bool precise = random_below(random, 4) == 0;
    struct ir_pipeline pipeline = {.flags = &facts, .verify = true, .precise = precise};
    struct wasm_object *o = wasm_object_new(random_below(random, 2), precise);
    unsigned count = 1 + random_below(random, 3);
    uint8_t runs[3][RUN_SIZE];
    struct range parts[3];
    struct err e = {0};
    struct ir_build b;
    struct ir_func f;

    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = functions.items[random_below(random, functions.count)];
        if (random_below(random, 3) == 0) {
            size_t size = random_run(random, runs[i]);

            if (size)
                parts[i] = (struct range){runs[i], size};
        }
        wasm_object_declare(o, 0x1000 * (i + 1), NULL, 0);
    }
    for (unsigned i = 0; i < count; i++) {
        lift(&parts[i], 0x1000 * (i + 1), precise, &f, &b);
        must(ir_optimize(&f, &pipeline, &e), &e);
        must(wasm_object_add(o, &f, &e), &e);
    }
    must(wasm_object_finish(o, out, &e), &e);
    ir_build_fini(&b);
    ir_func_fini(&f);
    wasm_object_free(o);
}
