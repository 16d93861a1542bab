/* One distinct program or library of the image. */
#include <stdarg.h>
#include <stdio.h>

#include "recompile/recompile.h"

bool
unit_has_native(const struct unit *u)
{
    return !u->unusable && !u->left_out;
}

void
unit_leave_out(struct unit *u, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mem_free(u->left_out);
    u->left_out = mem_strdup(text);
    u->native_address = u->native_offset = u->native_size = 0;
}

void
unit_symbol_key(const struct unit *u, char out[SHA256_HEX_SIZE])
{
    sha256_hex(&u->symbol_key, out);
    out[16] = '\0'; /* names need only tell objects apart */
}
