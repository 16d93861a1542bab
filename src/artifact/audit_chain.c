#include "artifact/audit_chain.h"

void
audit_chain_next(struct sha256 *chain, const char *covered, size_t size)
{
    struct sha256 before = *chain;

    sha256_of_two(before.bytes, sizeof before.bytes, covered, size, chain);
}
