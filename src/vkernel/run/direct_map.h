/* The units of rewritten code in this executable (artifact/direct_map.h). */
#ifndef VKERNEL_RUN_DIRECT_MAP_H
#define VKERNEL_RUN_DIRECT_MAP_H

#include <stdint.h>

#include "artifact/direct_map.h"

struct artifact_ledger;

/* The unit of a file's code; NULL: it has none. */
const struct direct_unit *direct_unit_of(const struct artifact_ledger *row);
/* The one whose text the host address is in. */
const struct direct_unit *direct_unit_at(uint64_t host);

#endif
