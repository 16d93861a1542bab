/* What stands in for this folder where ingot is built without LLVM. */
#include "aot/aot.h"

static int
absent(struct err *e)
{
    return err_set(e, "this ingot was built without LLVM");
}

const char *
aot_version(void)
{
    return NULL;
}

int
aot_part_count(const uint8_t *module, size_t size, unsigned *parts, struct err *e)
{
    return absent(e);
}

int
aot_compile(const uint8_t *module, size_t size, unsigned part, const struct aot_options *options, struct buf *out,
            struct err *e)
{
    return absent(e);
}
