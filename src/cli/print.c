/* Text of images, artifacts and logs on a terminal: it may hold sequences that move the cursor and overwrite what we
 * say of it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/cli.h"

/* Bytes of the character at s that may stand as it is: well-formed, and no control character of ASCII or of Latin 1
 * (C1). */
static size_t
plain_length(const unsigned char *s)
{
    size_t n = utf8_length(s);

    if (s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    return n;
}

void
cli_put_text(FILE *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        size_t n = plain_length(s);

        if (n)
            fwrite(s, 1, n, out);
        else
            fprintf(out, "\\x%02x", *s);
        s += n ? n : 1;
    }
}

void
cli_print(FILE *out, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        mem_exhausted(0);
    va_end(ap);
    cli_put_text(out, text);
    putc('\n', out);
    free(text);
}

json_t *
cli_json_string(const char *text)
{
    struct buf b = {0};
    json_t *string;

    while (*text) {
        size_t n = utf8_length((const unsigned char *)text);

        if (n)
            buf_put(&b, text, n);
        else
            buf_put(&b, "\xef\xbf\xbd", 3);
        text += n ? n : 1;
    }
    string = json_stringn(b.size ? (const char *)b.data : "", b.size);
    if (!string)
        mem_exhausted(b.size);
    buf_fini(&b);
    return string;
}
