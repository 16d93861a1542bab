/* Fuzzes recompiling an ELF file to its code object, which must be valid: no input may crash or run for ever. With what
 * each size says of further entries and precise faults. */
#include <stdint.h>
#include <stdlib.h>

#include "recompile/recompile.h"
#include "elf/elf_image.h"
#include "wasm/link.h"
#include "wasm/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int result, const struct err *e)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", e->text);
    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unit u = {.path = "x", .file = data, .size = size, .precise_faults = (enum precise_choice)(size / 2 % 3)};
    uint64_t profile[64], *entries;
    struct elf_image image;
    struct elf_report report = {0};
    struct wasm_module m;
    struct buf object = {0};
    struct err e = {0};
    const char *reason;
    size_t count;

    elf_classify(data, size, &reason);
    if (elf_image_open(&image, data, size, &e) < 0)
        return 0;
    /* As if the evaluator had been entered in every 64th byte. */
    for (size_t i = 0; i < sizeof profile / sizeof *profile; i++)
        profile[i] = image.low + 64 * i;
    elf_image_close(&image);
    u.profile = profile;
    u.profile_count = size % 2 ? sizeof profile / sizeof *profile : 0;
    if (recompile_one(&u, NULL, &object, &report, &e) == 0) {
        check(wasm_object_entries(object.data, object.size, &entries, &count, &e), &e);
        mem_free(entries);
        check(wasm_module_read(&m, object.data, object.size, &e), &e);
        check(wasm_validate(&m, &e), &e);
        wasm_module_fini(&m);
    }
    report_fini(&report);
    buf_fini(&object);
    return 0;
}
