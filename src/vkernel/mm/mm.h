/* A guest process's memory: the 32-bit address space, its mappings, and the only ways to touch it.
 *
 * `struct mm` reserves 8 GiB of host addresses (4 GiB + every 32-bit static offset; all PROT_NONE) and maps into
 * it. Host pages mirror the guest's mappings, so an access outside them faults and becomes the guest's SIGSEGV. */
#ifndef VKERNEL_MM_MM_H
#define VKERNEL_MM_MM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

typedef uint64_t guest_addr; /* a guest pointer as the guest gave it: 64 bits, not trusted */

struct file;
struct mm;

/* --- copying; never faults the vkernel: an address that is not mapped with the needed permission gives
 * -EFAULT. Partial copies do not happen: all or -EFAULT. On the current task's memory. --- */
int copy_from_guest(void *dst, guest_addr src, size_t size);
int copy_to_guest(guest_addr dst, const void *src, size_t size);
/* As copy_*, but returns the number of bytes copied before the first unmapped page (may be short). */
size_t copy_from_guest_partial(void *dst, guest_addr src, size_t size);
size_t copy_to_guest_partial(guest_addr dst, const void *src, size_t size);
/* A NUL-terminated string; returns its length, -EFAULT, or -ENAMETOOLONG when it does not fit in size. */
ssize_t copy_string_from_guest(char *dst, guest_addr src, size_t size);
/* Direct access for bulk I/O: a host pointer for [addr, addr + *size) with *size cut down to the run that is mapped
 * with the permission; NULL and *size = 0 when not even one byte is. Valid until the mappings change (never keep it
 * across a sleep). */
void *guest_span(guest_addr addr, size_t *size, bool write);

#endif
