/* The end of a build. */
#include "recompile/recompile.h"

void
recompile_fini(struct recompile *r)
{
    for (size_t i = 0; i < r->units.count; i++) {
        report_fini(&r->units.items[i].report);
        vec_fini(&r->units.items[i].paths);
        mem_free(r->units.items[i].reason);
        mem_free(r->units.items[i].left_out);
    }
    vec_fini(&r->units);
    cache_close(&r->cache);
}
