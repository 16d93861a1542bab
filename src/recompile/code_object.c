/* One ELF file to its code object: everything of the recompiler but the cache and LLVM. */
#include <stdio.h>

#include "recompile/recompile.h"
#include "elf/elf_image.h"
#include "ir/ir.h"
#include "discover/context_handlers.h"
#include "discover/discover.h"
#include "discover/flag_facts.h"
#include "discover/loop_facts.h"
#include "codegen/object.h"

static void
declare_functions(const struct disc *d, struct wasm_object *o)
{
    VEC(uint64_t) entries = {0};

    for (size_t i = 0; i < d->funcs.count; i++) {
        const struct disc_func *fn = &d->funcs.items[i];

        entries.count = 0;
        for (uint32_t j = 0; j < fn->block_count; j++) {
            const struct disc_block *b = &d->blocks.items[fn->first_block + j];

            if (j == 0 || b->entry)
                vec_push(&entries, b->start);
        }
        wasm_object_declare(o, fn->address, entries.items, entries.count);
    }
    vec_fini(&entries);
}

int
code_object_make(const struct unit *u, const struct elf_image *image, struct disc *d, const char *dump_pass,
                 struct buf *object, struct elf_report *report, struct err *e)
{
    struct ir_func f;
    struct ir_build b;
    struct flag_facts facts = {0};
    struct loop_facts loop_facts = {0};
    struct ir_flag_facts view = flag_facts_view(&facts);
    struct ir_pipeline pipeline = {.flags = &view, .dump_pass = dump_pass, .dump_out = stdout};
    struct wasm_object *o;
    int result = 0;

    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    d->precise_faults =
        u->precise_faults == PRECISE_ALL || (u->precise_faults == PRECISE_AUTO && lift_has_context_handlers(d, image));
    pipeline.precise = d->precise_faults;
    o = wasm_object_new(!image->is_pie, d->precise_faults);
    flag_facts_collect(&facts, d, image, &f, &b);
    loop_facts_collect(&loop_facts, d, image, &f, &b);
    declare_functions(d, o);
    for (size_t i = 0; i < d->funcs.count && result == 0; i++) {
        disc_lift(d, &d->funcs.items[i], image, &f, &b);
        if (d->funcs.items[i].loop)
            loop_facts_apply(&loop_facts, &f);
        result = ir_optimize(&f, &pipeline, e);
        if (result == 0)
            result = wasm_object_add(o, &f, e);
        if (result < 0)
            err_prefix(e, "%s: function at %#lx", u->path, d->funcs.items[i].address);
    }
    if (result == 0)
        result = wasm_object_finish(o, object, e);
    if (result == 0)
        report_make(report, d, image, object->size);
    wasm_object_free(o);
    ir_build_fini(&b);
    ir_func_fini(&f);
    flag_facts_fini(&facts);
    loop_facts_fini(&loop_facts);
    return result;
}

int
recompile_one(const struct unit *u, const char *dump_pass, struct buf *object, struct elf_report *report, struct err *e)
{
    struct elf_image image;
    struct disc d;
    int result;

    if (unit_discover(u, &image, &d, e) < 0)
        return -1;
    result = code_object_make(u, &image, &d, dump_pass, object, report, e);
    disc_fini(&d);
    elf_image_close(&image);
    return result;
}
