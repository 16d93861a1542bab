/* Units made by hand, from a text with names for what is relative:
 *
 *   e8 0f       bytes
 *   x:          a label; >x and >>x: its distance, of 1 and 4 bytes, from behind itself
 *   >SYSCALL    the distance, of 4 bytes, of an entry's jump at the text's start: SYSCALL, UNWIND, JUMP, EVALUATE;
 *               .UNWIND: of 1 byte
 *   #r10        the displacement of a word of x86_cpu_tls: r10, r11, r12, tmp, borrowed0, borrowed1, fs, gs, memory,
 *               id, limit
 *   @0          the address of the tables, and so many bytes
 */
#ifndef TESTS_VERIFY_MAKER_H
#define TESTS_VERIFY_MAKER_H

#include "base/buf.h"
#include "verify/verify_internal.h"

enum { MAKER_TEXT = 0x30000000, MAKER_TABLES = 0x31000000, MAKER_RUN_TIME = 0x20000000, MAKER_GUEST = 0x1000 };

struct maker {
    struct buf text, tables, map, index;
    struct verify_unit unit;
};

/* A text: the entries' jumps, a RET, which is the only instruction of the map, and what is described. A mistake in it
 * ends the test. */
void maker_text(struct maker *m, const char *description);
/* Puts the unit together; again after a change of the buffers. */
const struct verify_unit *maker_unit(struct maker *m);
void maker_label(struct maker *m, uint32_t guest, uint32_t host); /* an entry of the tables */
void maker_fini(struct maker *m);

#endif
