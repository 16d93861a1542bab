#include "vkernel/run/direct_map.h"

#include "platform/direct.h"
#include "vkernel/image/artifact.h"

/* The linker's, of direct/'s sections; absent when there is no such code. */
extern const struct direct_unit __start_ingot_direct_units[] __attribute__((weak)),
    __stop_ingot_direct_units[] __attribute__((weak));

/* The first whose text ends behind the address. They are in the order of their text: the linker keeps that of its
 * inputs. */
static const struct direct_unit *
unit_behind(uint64_t host)
{
    const struct direct_unit *low = __start_ingot_direct_units, *high = __stop_ingot_direct_units;

    while (low < high) {
        const struct direct_unit *middle = low + (high - low) / 2;

        if (middle->text + middle->text_size <= host)
            low = middle + 1;
        else
            high = middle;
    }
    return low < __stop_ingot_direct_units ? low : NULL;
}

const struct direct_unit *
direct_unit_at(uint64_t host)
{
    const struct direct_unit *u = unit_behind(host);

    return u && u->text <= host ? u : NULL;
}

const struct direct_unit *
direct_unit_of(const struct artifact_ledger *row)
{
    uint64_t at = row->native_size ? platform_direct_loaded_at(row->native_offset) : 0;
    const struct direct_unit *u = at ? unit_behind(at) : NULL;

    return u && u->text < at + row->native_size && u->guest_base == row->base ? u : NULL;
}
