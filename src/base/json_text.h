/* Writing JSON text where there is no heap to spare (RFC 8259). */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A string, quoted, into out[at...size); returns the new at. What is no UTF-8 becomes U+FFFD, so that the text is JSON
 * whatever the bytes are. Without room for all of it the string ends earlier and *cut (may be NULL) becomes true; it is
 * closed with a quote in any case, for which size - at must be 2 at least. */
size_t json_put_string(char *out, size_t at, size_t size, const char *s, bool *cut);

/* Bytes of the well-formed UTF-8 sequence at s, a string (Unicode 15, table 3-7); 0: there is none. */
size_t utf8_length(const unsigned char *s);

#endif
