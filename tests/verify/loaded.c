#include "loaded.h"

#include <string.h>

#include "platform/direct.h"

/* clang-format off */
static const struct {
    const char *name;
    void (*function)(void);
} entries[DIRECT_ENTRY_COUNT] = { /* in the order of enum direct_entry */
    {"direct_syscall", direct_syscall}, {"direct_unwind", direct_unwind}, {"direct_jump", direct_jump}, {"direct_evaluate", direct_evaluate},
};
/* clang-format on */

bool
loaded_symbol(const char *name, uint64_t image_base, uint64_t *value)
{
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        if (strcmp(name, entries[i].name) == 0) {
            *value = (uint64_t)(uintptr_t)entries[i].function;
            return true;
        }
    }
    *value = image_base;
    return strncmp(name, "env.code_base.", 14) == 0;
}

struct verify_unit
loaded_unit(const struct direct_unit *u)
{
    struct verify_unit out = {
        .text = {(const uint8_t *)(uintptr_t)u->text, u->text, u->text_size},
        .map = {(const uint8_t *)(uintptr_t)u->map, u->map, u->map_size},
        .index = {(const uint8_t *)(uintptr_t)u->index, u->index, u->index_count * sizeof(struct direct_place)},
    };

    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        out.entries[i] = (uint64_t)(uintptr_t)entries[i].function;
    return out;
}
