/* The module reader, validator and linker on arbitrary bytes. What validates must also link or be refused. */
#include "wasm/link.h"
#include "wasm/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wasm_link_input inputs[2] = {{.object = data, .size = size, .base = 0x400000},
                                        {.object = data, .size = size, .base = 0x2000000}};
    struct wasm_module m;
    struct buf out = {0};
    struct err e = {0};
    uint64_t *entries;
    size_t count;

    if (wasm_module_read(&m, data, size, &e) < 0)
        return 0;
    if (wasm_validate(&m, &e) == 0 && wasm_link(inputs, 2, &out, &e) == 0) {
        struct wasm_module linked;

        /* Whatever is linked from valid objects is valid. */
        if (wasm_module_read(&linked, out.data, out.size, &e) < 0 || wasm_validate(&linked, &e) < 0)
            __builtin_trap();
        wasm_module_fini(&linked);
    }
    if (wasm_object_entries(data, size, &entries, &count, &e) == 0)
        mem_free(entries);
    buf_fini(&out);
    wasm_module_fini(&m);
    return 0;
}
