/* A vkernel with mistakes to order: getcpu(MISTAKE, FD) makes one of those that the heap (platform/heap.h) is there
 * for, on the object behind the guest's descriptor. Linked with --wrap=sys_getcpu; planted.py has a guest use the
 * object afterwards. */
#include <stdint.h>
#include <string.h>

#include "vkernel/vfs/vfs.h"

int64_t __wrap_sys_getcpu(const uint64_t a[6]);

int64_t
__wrap_sys_getcpu(const uint64_t a[6])
{
    struct file *f = fd_get((int)a[1]);
    uint8_t *bytes;

    if (!f)
        return -EBADF;
    switch (a[0]) {
    case 1: /* an open file is put once more than it was taken */
        file_put(f);
        file_put(f);
        return 0;
    case 2: /* so is its inode */ inode_put(f->inode); break;
    case 3: /* its name is put until it is gone */
        for (uint32_t n = f->dentry->refs.count; n > 0; n--)
            dentry_put(f->dentry);
        break;
    case 4: /* a buffer is written far behind its end */
        bytes = bytes_new(64);
        memset(bytes, 0x41, (size_t)1 << 40);
        break;
    case 5: /* an open file is written through a pointer that was left */
        file_put(f);
        file_put(f);
        memset(f, 0x41, sizeof *f);
        return 0;
    case 6: /* a name's buffer is freed twice */
        bytes = bytes_new(64);
        bytes_free(bytes);
        bytes_free(bytes);
        break;
    case 7: /* the table of operations is forged */
        f->ops = bytes_new(sizeof *f->ops);
        memset((void *)(uintptr_t)f->ops, 0x41, sizeof *f->ops);
        break;
    default: break;
    }
    file_put(f);
    return 0;
}
