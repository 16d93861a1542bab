/* Where the instructions of rewritten code are: the units' maps (artifact/direct_map.h), in both directions. */
#ifndef VKERNEL_PROC_DIRECT_MAP_H
#define VKERNEL_PROC_DIRECT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "artifact/direct_map.h"

struct artifact_ledger;

/* The unit of a file's code; NULL: it has none. */
const struct direct_unit *direct_unit_of(const struct artifact_ledger *row);
/* The one whose text the host address is in. */
const struct direct_unit *direct_unit_at(uint64_t host);

struct direct_insn {
    uint64_t guest, host; /* addresses */
    uint32_t guest_size, host_size;
    bool in_run;        /* r11 is not its rsp (see the map), and nobody enters it */
    uint64_t run_start; /* then: the first of its run, a guest address */
};
/* Which instruction the address lies in. False: none. */
bool direct_insn_of_guest(const struct direct_unit *u, uint64_t guest, struct direct_insn *out);
bool direct_insn_of_host(const struct direct_unit *u, uint64_t host, struct direct_insn *out);

#endif
