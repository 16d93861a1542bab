/* Programs of the oracle to one code object, by the same way as an ELF file's functions: lifters, passes, wasm. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "ir/ir.h"
#include "lift/lift.h"
#include "codegen/object.h"

static bool
every(void *context, uint64_t address)
{
    return true;
}

/* Blocks begin after each instruction that may go elsewhere; whatever leaves the code ends the function. */
static void
lift_program(const struct program *p, struct ir_func *f, struct ir_build *b)
{
    size_t start = 0;

    ir_func_clear(f, p->address - CODE_PAGE);
    while (start < p->size) {
        struct lift_request r = {.bytes = p->code + start,
                                 .size = p->size - start,
                                 .address = p->address - CODE_PAGE + start};

        lift_block(b, &r);
        start += f->blocks.items[f->blocks.count - 1].size;
    }
}

void
object_make(const struct program *programs, size_t count, struct buf *out)
{
    static const struct ir_flag_facts facts = {.live_at_return = every, .live_at_entry = every};
    struct ir_pipeline pipeline = {.flags = &facts, .verify = true};
    struct wasm_object *o = wasm_object_new(false, false);
    struct ir_func f;
    struct ir_build b;
    struct err e = {0};

    for (size_t i = 0; i < count; i++)
        wasm_object_declare(o, programs[i].address - CODE_PAGE, NULL, 0);
    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    for (size_t i = 0; i < count; i++) {
        lift_program(&programs[i], &f, &b);
        if (ir_optimize(&f, &pipeline, &e) < 0 || wasm_object_add(o, &f, &e) < 0) {
            printf("oracle: no code object: %s\n", e.text);
            program_print(&programs[i]);
            exit(1);
        }
    }
    if (wasm_object_finish(o, out, &e) < 0) {
        printf("oracle: no code object: %s\n", e.text);
        exit(1);
    }
    ir_build_fini(&b);
    ir_func_fini(&f);
    wasm_object_free(o);
}
