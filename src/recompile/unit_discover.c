/* Opening a unit's file and finding its code. The makers of code objects and of rewritten code both begin with this, so
 * that it has a file of its own. */
#include "recompile/recompile.h"
#include "elf/elf_image.h"
#include "discover/discover.h"

int
unit_discover(const struct unit *u, struct elf_image *image, struct disc *d, struct err *e)
{
    if (elf_image_open(image, u->file, u->size, e) < 0)
        return err_prefix(e, "%s", u->path);
    if (discover(d, image, u->profile, u->profile_count, e) == 0)
        return 0;
    elf_image_close(image);
    return err_prefix(e, "%s", u->path);
}
