/* Pages that a fork left shared: the content of a piece of 64 KiB (a chunk) of private anonymous memory is in one place until
 * somebody writes to it, in this address space or in another that came from the same fork.
 *
 * All address spaces are ranges of one host process, so the host's own copy on write needs help: what is shared cannot be
 * touched (the child) or written (the parent), and the first who tries has it resolved: decision 0018. In an address space, a
 * chunk is one of
 *
 *   plain    not in the tables here: host pages are this address space's alone
 *   pending  the content is in its owner's pages or in the file of shared pages; the host's pages here are out of reach, or,
 *            the owner's, read-only
 *   view     the host maps the file of shared pages here, privately: it copies by itself what is written
 *
 * Whoever changes host pages of guest memory calls cow_settle or cow_forget first. Nothing here sleeps. One worker: with
 * several, a chunk's entries are in several address spaces, so that one lock for all of this file would have to be held
 * while the host's pages of any of them change, and by whoever hands a span to the host from cow_settle until the host
 * is done with it. */
#ifndef VKERNEL_MM_COW_H
#define VKERNEL_MM_COW_H

#include <stdbool.h>
#include <stdint.h>

#include "vkernel/mm/mm.h"

enum { COW_CHUNK = 64 << 10 };

/* No fork shares chunks from now on; for who protects guest pages by himself (run/lockstep_memory.c). */
extern bool cow_off;

/* Whether a fork has to leave this mapping to cow_fork_mapping. */
bool cow_has_to_say(struct mm *from, const struct vma *v);
/* Gives `to`, where nothing is, what v maps in `from`: chunks are shared, the rest is copied. 0 or -ENOMEM. */
int cow_fork_mapping(struct mm *to, struct mm *from, const struct vma *v);

/* The host's pages of [start, end) become what the mappings say: to be read, or to be read and written. For host calls that are given
 * guest memory, and before a mapping's protection changes. False: no memory. */
bool cow_settle(struct mm *mm, uint64_t start, uint64_t end, bool write);
/* The host's pages of [start, end) are about to be replaced by others: those that share them get theirs. False: no memory, and
 * nothing may be replaced. */
bool cow_forget(struct mm *mm, uint64_t start, uint64_t end);
/* Is any of it shared, or a view of what was? */
bool cow_any(struct mm *mm, uint64_t start, uint64_t end);
/* Makes [start, end) plain: host pages that can be moved. 0 or -ENOMEM. */
int cow_flatten(struct mm *mm, uint64_t start, uint64_t end);
void cow_end(struct mm *mm); /* of an address space, before its host pages go */

/* Host mappings that there are because of chunks, beyond those of the mappings themselves. */
unsigned cow_host_mappings(void);
/* Bytes of the file of shared pages that are in use. */
uint64_t cow_memory_used(void);
/* Gives back pages of the file that nobody sees any more: all who share them have written to theirs. */
void cow_trim(void);

/* How many pages of a private anonymous mapping are there, and how. */
struct cow_pages {
    uint64_t shared, own; /* with other address spaces; of this one alone */
    uint64_t parts;       /* of the shared ones, divided by who shares them; in 1/4096 pages */
};
void cow_count(struct mm *mm, const struct vma *v, struct cow_pages *out);

#endif
