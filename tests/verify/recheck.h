/* What the verifier promises of a unit that it accepts, by another way: all that can be reached from any place is
 * followed, instruction by instruction, with how many words lie on the host's stack, by the decoder instead of the
 * scanner, and with a list of what is forbidden instead of one of what is allowed. It knows no sequences, so it is
 * weaker in what they are for, and much slower. */
#ifndef TESTS_VERIFY_RECHECK_H
#define TESTS_VERIFY_RECHECK_H

#include "verify/verify.h"

/* NULL, or what is wrong; valid until the next call. */
const char *recheck(const struct verify_unit *u, const struct verify_places *places);

#endif
