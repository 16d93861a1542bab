/* Fuzzes applying a layer: the input is an archive, as whatever libarchive takes it for. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "image/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
count_inode(void *context, struct tree_inode *inode, const char *path, struct err *e)
{
    (void)e;
    *(size_t *)context += inode->size + (path[0] == '/');
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/fuzz-layer-XXXXXX";
    int fd = mkstemp(path);
    struct tree t;
    struct err e = {0};
    size_t total = 0;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || tree_init(&t, "/tmp", &e) < 0)
        abort();
    close(fd);
    if (layer_apply(&t, path, &e) == 0 && layer_apply(&t, path, &e) == 0 && tree_seal(&t, &e) == 0)
        tree_walk(&t, count_inode, &total, &e);
    tree_fini(&t);
    unlink(path);
    return 0;
}
