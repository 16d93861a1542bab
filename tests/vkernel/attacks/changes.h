/* What attacks have changed (changer.h), by threads of the guest and by one of the host's
 * (tests/vkernel/second_writer.c). */
#ifndef CHANGES_H
#define CHANGES_H

#include <stdint.h>

/* getcpu(SECOND_WRITER, table): for a vkernel with a second writer. Nobody has memory at this address. */
enum { SECOND_WRITER = 0x5ec, PLACES = 16, VALUES = 4 };
enum { PROCESS, THREAD, HOST_THREAD, CHANGERS };

struct changes {
    volatile unsigned generation, seen[CHANGERS], count;
    struct {
        uint64_t address;
        unsigned size, values; /* size 0: a word of 8 bytes that is only there, or can only be written, at times */
        uint64_t value[VALUES];
    } place[PLACES];
};

/* How such a word is written; whoever cannot leaves it. */
#ifndef CHANGES_TRY
#define CHANGES_TRY(at, value) ((void)0)
#endif

/* Gives each place one of its values. base: where address 0 of the places is. */
static inline void
changes_make(struct changes *c, char *base, unsigned who, unsigned *seed)
{
    unsigned generation = c->generation, count = c->count;

    for (unsigned k = 0; k < count && k < PLACES; k++) {
        void *at = base + c->place[k].address;
        uint64_t value;

        *seed = *seed * 1103515245 + 12345;
        value = c->place[k].value[(*seed >> 16) % c->place[k].values];
        switch (c->place[k].size) {
        case 0: CHANGES_TRY(at, value); break;
        case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
        case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
        case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
        default: *(volatile uint64_t *)at = value; break;
        }
    }
    if (count == 0)
        c->seen[who] = generation;
}

#endif
