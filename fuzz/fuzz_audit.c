/* Fuzzes `ingot audit verify`: the input is a log, whose chains are made right where the first byte says so, as
 * somebody would who writes a whole new one. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/audit_chain.h"
#include "base/buf.h"
#include "cli/audit_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One run's chain over all lines, each of which gets its last member. */
static void
make_chains(const uint8_t *data, size_t size, struct buf *out)
{
    struct sha256 chain = {0};

    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size, used = end ? length + 1 : length;
        char hex[SHA256_HEX_SIZE];

        audit_chain_next(&chain, (const char *)data, length);
        sha256_hex(&chain, hex);
        buf_put(out, data, length);
        buf_put(out, AUDIT_CHAIN_MEMBER, sizeof AUDIT_CHAIN_MEMBER - 1);
        buf_put(out, hex, SHA256_HEX_SIZE - 1);
        buf_put(out, AUDIT_CHAIN_END "\n", sizeof AUDIT_CHAIN_END);
        data += used;
        size -= used;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf log = {0};
    char *text = NULL;
    size_t text_size;
    FILE *in, *out;

    if (size < 2)
        return 0;
    if (data[0] & 1)
        make_chains(data + 1, size - 1, &log);
    else
        buf_put(&log, data + 1, size - 1);
    in = fmemopen(log.data, log.size, "r");
    out = open_memstream(&text, &text_size);
    if (!in || !out)
        abort();
    audit_log_verify(in, "log", data[0] & 2, NULL, out);
    fclose(in);
    fclose(out);
    /* Nothing of the log may reach a terminal's controls. */
    for (size_t i = 0; i < text_size; i++)
        if (((uint8_t)text[i] < 0x20 && text[i] != '\n') || text[i] == 0x7f)
            abort();
    free(text);
    buf_fini(&log);
    return 0;
}
