/* Taking the text of the options apart. `ingot run` writes all options into one text, with spaces between the words and
 * %XX for bytes that a word could not have otherwise (docs/formats.md). */
#include "vkernel/boot/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void
percent_decode(char *s)
{
    char *out = s;

    while (*s) {
        int high = *s == '%' ? hex_digit(s[1]) : -1, low = high >= 0 ? hex_digit(s[2]) : -1;

        *out++ = low >= 0 ? (char)(high << 4 | low) : *s;
        s += low >= 0 ? 3 : 1;
    }
    *out = '\0';
}

char *
option_word(char **rest)
{
    char *word = *rest + strspn(*rest, " "), *end = word + strcspn(word, " ");

    if (!*word)
        return NULL;
    *rest = end;
    if (*end) {
        *end = '\0';
        *rest = end + 1;
    }
    percent_decode(word);
    return word;
}

bool
option_size(const char *text, uint64_t *size)
{
    static const char units[] = "bkmgt";
    const char *unit;
    int shift = 0;
    char *end;

    *size = 0;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *size = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end) {
        unit = strchr(units, *end | 0x20);
        if (!unit)
            return false;
        shift = 10 * (int)(unit - units);
        end++;
        if (shift && (*end | 0x20) == 'i' && (end[1] | 0x20) == 'b')
            end += 2;
        else if (shift && (*end | 0x20) == 'b')
            end++;
    }
    if (*end || *size > UINT64_MAX >> shift)
        return false;
    *size <<= shift;
    return true;
}
