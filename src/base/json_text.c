#include "base/json_text.h"

#include <stdint.h>
#include <string.h>

size_t
utf8_length(const unsigned char *s)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < low || s[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

/* What stands for the character at s: 1 to 6 bytes in piece; *used: how many bytes of s it takes. */
static size_t
escape(const unsigned char *s, char piece[6], size_t *used)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = utf8_length(s);

    *used = n ? n : 1;
    if (!n) {
        memcpy(piece, "\xef\xbf\xbd", 3); /* U+FFFD */
        return 3;
    }
    if (*s == '"' || *s == '\\') {
        piece[0] = '\\';
        piece[1] = (char)*s;
        return 2;
    }
    if (*s < 0x20 || *s == 0x7f) {
        memcpy(piece, "\\u00", 4);
        piece[4] = hex[*s >> 4];
        piece[5] = hex[*s & 15];
        return 6;
    }
    memcpy(piece, s, n);
    return n;
}

size_t
json_put_string(char *out, size_t at, size_t size, const char *s, bool *cut)
{
    const unsigned char *p = (const unsigned char *)s;

    out[at++] = '"';
    while (*p) {
        char piece[6];
        size_t used, n = escape(p, piece, &used);

        if (n >= size - at) { /* one byte is the closing quote's */
            if (cut)
                *cut = true;
            break;
        }
        memcpy(out + at, piece, n);
        at += n;
        p += used;
    }
    out[at++] = '"';
    return at;
}
