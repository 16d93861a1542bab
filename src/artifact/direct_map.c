#include "artifact/direct_map.h"

#include <stddef.h>

#include "base/buf.h"

struct walk {
    struct cursor map;
    uint32_t guest, host; /* where the next one begins */
    uint32_t run_start;
};

/* The place of the index from which the search begins: the last at or before the address. */
static struct walk
walk_from(const struct direct_unit *u, uint32_t address, size_t key)
{
    const struct direct_place *index = (const struct direct_place *)(uintptr_t)u->index;
    const uint8_t *map = (const uint8_t *)(uintptr_t)u->map;
    uint32_t low = 0, high = u->index_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (*(const uint32_t *)((const char *)&index[middle] + key) <= address)
            low = middle;
        else
            high = middle;
    }
    if (low >= high || index[low].at > u->map_size)
        return (struct walk){.map = cursor_make(NULL, 0)};
    return (struct walk){.map = cursor_make(map + index[low].at, u->map_size - index[low].at),
                         .guest = index[low].guest,
                         .host = index[low].host,
                         .run_start = index[low].guest};
}

static bool
next(struct walk *w, struct direct_insn *out)
{
    uint8_t v;

    out->in_run = false;
    while ((v = cursor_u8(&w->map)) >> 4 == 0) {
        if (w->map.failed)
            return false;
        if (v == DIRECT_MAP_RUN) {
            out->in_run = true;
        } else {
            w->guest += (uint32_t)cursor_uleb(&w->map, 32);
            w->host += (uint32_t)cursor_uleb(&w->map, 32);
        }
    }
    if (!out->in_run)
        w->run_start = w->guest;
    out->guest = w->guest;
    out->host = w->host;
    out->run_start = w->run_start;
    out->guest_size = v >> 4;
    out->host_size = (v & 15) == DIRECT_MAP_LONG ? (uint32_t)cursor_uleb(&w->map, 32) : v & 15;
    w->guest += out->guest_size;
    w->host += out->host_size;
    return !w->map.failed;
}

static bool
found(const struct direct_unit *u, struct direct_insn *insn)
{
    insn->guest += u->guest_base;
    insn->run_start += u->guest_base;
    insn->host += u->text;
    return true;
}

bool
direct_insn_of_guest(const struct direct_unit *u, uint64_t guest, struct direct_insn *out)
{
    uint64_t address = guest - u->guest_base;
    struct walk w;

    if (address > UINT32_MAX)
        return false;
    w = walk_from(u, (uint32_t)address, offsetof(struct direct_place, guest));
    while (next(&w, out) && out->guest <= address)
        if (address - out->guest < out->guest_size)
            return found(u, out);
    return false;
}

bool
direct_insn_of_host(const struct direct_unit *u, uint64_t host, struct direct_insn *out)
{
    uint64_t address = host - u->text;
    struct walk w;

    if (address >= u->text_size)
        return false;
    w = walk_from(u, (uint32_t)address, offsetof(struct direct_place, host));
    while (next(&w, out) && out->host <= address)
        if (address - out->host < out->host_size)
            return found(u, out);
    return false;
}
