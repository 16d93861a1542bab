/* Access to guest memory: the only ways to touch it. Nothing here sleeps.
 *
 * Guest memory changes while the vkernel looks at it: other threads of the process, processes that share the memory
 * and, in files of volumes, the host write to it. So each place is read once: a function copies what a call was given
 * into variables of its own, checks these, and uses these. To read a place again is to read something else, also when
 * only a length was read before. What is written back goes to addresses that were read so, never to what an argument in
 * memory says by then.
 *
 * Nobody has a pointer into guest memory that C may read through, since a compiler may read twice what is written once.
 * Vectors of bulk I/O hold such pointers (guest_span): iov_gather, iov_scatter and iov_clear (vfs/file.h) or a call to
 * the host take the bytes, each once. tests/vkernel/guest_memory.py lists the few files that name such pointers, and
 * why. Only pages of code may be read in place: nobody can write to them. */
#ifndef VKERNEL_USERCOPY_USERCOPY_H
#define VKERNEL_USERCOPY_USERCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/checked.h"
#include "vkernel/worker/worker.h"

typedef uint64_t guest_addr; /* a guest pointer as the guest gave it: 64 bits, not trusted */

struct mm;

/* The part of an address space (mm/mm.h) that is known here: its first member. */
struct space {
    uint8_t *base; /* host address of guest address 0 */
};

/* --- copying, of the current task's memory: 0, or -EFAULT where not all of it is mapped with the needed permission.
 * What lies behind a mapping may go at any time (the host makes a file of a volume shorter): that is -EFAULT, too, and
 * then a part may have been copied. --- */
int copy_from_guest(void *dst, guest_addr src, size_t size);
int copy_to_guest(guest_addr dst, const void *src, size_t size);
/* As copy_*, but returns the number of bytes copied before the first that could not be. */
size_t copy_from_guest_partial(void *dst, guest_addr src, size_t size);
size_t copy_to_guest_partial(guest_addr dst, const void *src, size_t size);
/* Makes the aligned word at the address value when it is *expected, in one step: 1. 0 when it is something else, which
 * *expected is then; or -EFAULT. The only way to change a word by what it was: others write it meanwhile. */
int guest_exchange(guest_addr address, uint32_t *expected, uint32_t value);
/* A NUL-terminated string; returns its length, -EFAULT, or -ENAMETOOLONG when it does not fit in size: then dst has its
 * first bytes, without a NUL. */
ssize_t copy_string_from_guest(char *dst, guest_addr src, size_t size);
/* Linux's access_ok: may a guest name these bytes at all? Most of them are never mapped. */
#define TASK_SIZE 0x7ffffffff000ull
static inline bool
guest_may_name(guest_addr address, uint64_t size)
{
    return range_within(address, size, TASK_SIZE);
}
/* For the vectors of bulk I/O (user_iov_spans): a host pointer for [addr, addr + *size) with *size cut down to the run
 * that is mapped with the permission; NULL and *size = 0 when not even one byte is. Valid until the mappings change:
 * for use within NO_SLEEP only (sched/sched.h). An access to it can fault all the same: only host calls and
 * platform_copy may touch it. */
void *guest_span(guest_addr addr, size_t *size, bool write);

/* --- the same of another process's memory (/proc/PID/cmdline); bytes copied --- */
size_t mm_read(struct mm *mm, void *dst, guest_addr src, size_t size);
size_t mm_write(struct mm *mm, guest_addr dst, const void *src, size_t size);
size_t mm_clear(struct mm *mm, guest_addr dst, size_t size);

/* --- times in guest memory (time.c) --- */
#define NS_PER_SECOND 1000000000ull
/* seconds >= 0 and nanoseconds below a second, as one number of nanoseconds. More than 285 years count as
 * half of the range. */
uint64_t time_join(int64_t seconds, uint64_t nanoseconds);
/* Nanoseconds of a timespec in guest memory, cut as time_join does; -EFAULT, -EINVAL. */
int timespec_from_guest(uint64_t address, uint64_t *ns);
int timespec_to_guest(uint64_t address, uint64_t ns);

extern bool usercopy_recording; /* set for good, before the first guest instruction (run/calls.h) */
struct usercopy_hooks {
    /* Bytes from address on, at most size, that are mapped with the permission. *uncertain becomes true where only the
     * host knows which of the pages are there. */
    size_t (*accessible)(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain);
    /* The host's pages of such a range are about to be handed to the host: false, when they cannot be
     * made ready for that. */
    bool (*ready)(struct mm *mm, guest_addr address, size_t size, bool write);
    /* A call has read these bytes of its guest's; with usercopy_recording only. */
    void (*recorded)(const void *p, size_t size);
};
extern const struct usercopy_hooks usercopy_hooks; /* boot/hooks.c */

#endif
