/* x86_decode, x86_format and the row queries on arbitrary bytes, at each level. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "x86/x86.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode_all(const uint8_t *data, size_t size)
{
    struct x86_insn insn;
    char text[96], small[7];
    /* A copy of exactly this size, so that reading past it is seen. */
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    for (size_t at = 0; at < size;) {
        int length = x86_decode(copy + at, size - at, at, &insn);
        assert(length >= -1 && length <= X86_MAX_LENGTH && (size_t)(length > 0 ? length : 0) <= size - at);
        if (length > 0) {
            assert(insn.op > X86_OP_INVALID && insn.op < X86_OP_COUNT && insn.operand_count <= X86_MAX_OPERANDS);
            assert(x86_flow(&insn) <= X86_FLOW_TRAP);
            struct x86_flag_effects e = x86_flag_effects(&insn);
            assert(!(e.written & e.undefined));
            x86_format(&insn, text, sizeof text);
            x86_format(&insn, small, sizeof small);
        }
        at += length > 0 ? (size_t)length : 1;
    }
    free(copy);
}

__attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (enum x86_level level = X86_LEVEL_V2; level < X86_LEVEL_END; level++) {
        x86_set_level(level);
        decode_all(data, size);
    }
    return 0;
}
