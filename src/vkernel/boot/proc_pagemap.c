/* /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): a word for each page of the address space. Which frame
 * it is in, Linux tells only who has CAP_SYS_ADMIN; here nobody does. */
#include <string.h>

#include "base/page.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"

#define PAGEMAP_EXCLUSIVE (1ull << 56)
#define PAGEMAP_FILE      (1ull << 61) /* a page of a file, or shared memory */
#define PAGEMAP_PRESENT   (1ull << 63)

enum { PAGES = 512 };

static uint64_t
word_of(unsigned char page)
{
    if (!(page & MM_PAGE_PRESENT))
        return 0;
    return PAGEMAP_PRESENT | (page & MM_PAGE_FILE ? PAGEMAP_FILE : PAGEMAP_EXCLUSIVE);
}

ssize_t
proc_read_pagemap(const struct pseudo_key *key, char *out, size_t size, uint64_t pos)
{
    struct process *p = process_find(key->pid);
    uint64_t end = TASK_SIZE / PAGE_SIZE, first = pos / sizeof(uint64_t), count = size / sizeof(uint64_t);
    unsigned char pages[PAGES];

    if (!p)
        return -ESRCH;
    if (pos % sizeof(uint64_t) || size % sizeof(uint64_t))
        return -EINVAL;
    if (!p->mm || p->zombie || first >= end)
        return 0;
    count = count < PAGES ? count : PAGES;
    count = count < end - first ? count : end - first;
    if (mm_look_at_pages(p->mm, first * PAGE_SIZE, (unsigned)count, pages) < 0)
        return -ENOMEM;
    for (size_t k = 0; k < count; k++) {
        uint64_t word = word_of(pages[k]);

        memcpy(out + k * sizeof word, &word, sizeof word);
    }
    return (ssize_t)(count * sizeof(uint64_t));
}
