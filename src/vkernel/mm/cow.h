/* Pages that a fork left shared. The content of a *chunk*, a piece of 64 KiB of private anonymous memory, is in one
 * place until somebody writes to it, in this address space or in another one that came from the same fork.
 *
 * All address spaces are ranges of one host process, so the host's own copy on write is not enough. What is shared
 * cannot be touched by the child, nor written by the parent, and the first access that fails for this reason has the
 * chunk resolved (decision 0018). In an address space a chunk is one of these:
 *
 *   plain    It is not in the tables here: its host pages are this address space's alone.
 *   pending  The content is in its owner's pages, or in the file of shared pages. The host's pages here cannot be
 *            accessed; if this is the owner, they are read-only.
 *   view     The host maps the file of shared pages here, privately, and copies by itself what is written.
 *   shelved  With the 2 MiB around it, its *block*, it was put aside. Nobody's host pages here can be accessed. At the
 *            first access the chunks of the block become pending, or plain if nobody else shares them (cow_shelf.c).
 *
 * Whoever changes host pages of guest memory calls cow_settle() or cow_forget() first. Nothing here sleeps. The entries
 * of one chunk are in several address spaces, so the kernel lock is held while the host's pages of any of them change:
 * at a fault, too, and by whoever hands a span from cow_settle() to the host, until the host is done with it. The owner
 * of a pending chunk cannot write to it, so its content may be read while the owner's threads run. Pages that are
 * filled, or replaced by a copy of themselves, need MM_STILL. */
#ifndef VKERNEL_MM_COW_H
#define VKERNEL_MM_COW_H

#include <stdbool.h>
#include <stdint.h>

#include "vkernel/mm/mm.h"

enum { COW_CHUNK = 64 << 10 };

/* No fork shares chunks while this is set. It is for those who protect guest pages themselves
 * (run/lockstep_memory.c). */
extern bool cow_off;

/* Must a fork leave this mapping to cow_fork_mapping()? */
bool cow_has_to_say(struct mm *from, const struct vma *v);
/* Gives `to`, where nothing is mapped, what v maps in `from`: some chunks are shared, and the rest is copied. Returns 0
 * or -ENOMEM. */
int cow_fork_mapping(struct mm *to, struct mm *from, const struct vma *v);

/* Makes the host's pages of [start, end) what the mappings say, so that they can be read or, with write, read and
 * written. It is needed before the host is given guest memory in a call, and before a mapping's protection changes.
 * False: there is no memory. */
bool cow_settle(struct mm *mm, uint64_t start, uint64_t end, bool write);
/* To be called before the host's pages of [start, end) are replaced: address spaces that share them get their own.
 * False: there is no memory, and nothing may be replaced. */
bool cow_forget(struct mm *mm, uint64_t start, uint64_t end);
/* Is any chunk of the range shared, put aside, or a view of what was shared? */
bool cow_any(struct mm *mm, uint64_t start, uint64_t end);
/* Makes [start, end) plain, so that its host pages can be moved. Returns 0 or -ENOMEM. */
int cow_flatten(struct mm *mm, uint64_t start, uint64_t end);
void cow_end(struct mm *mm); /* to be called for an address space before its host pages go */

/* How many host mappings there are because of chunks, beyond those of the mappings themselves. */
unsigned cow_host_mappings(void);
/* How many bytes of the file of shared pages are in use. */
uint64_t cow_memory_used(void);
/* Gives back pages of the file that nobody sees any more, because all who shared them have written to theirs. */
void cow_trim(void);

/* How many pages of a private anonymous mapping exist, and whose they are. */
struct cow_pages {
    uint64_t shared, own; /* shared with other address spaces; of this one alone */
    uint64_t parts;       /* the shared pages, each divided by the number of those that share it, in 1/4096 pages */
};
void cow_count(struct mm *mm, const struct vma *v, struct cow_pages *out);

#endif
