/* What a tracer writes (decision 0027): data as the tracee itself would, private pages that it could not write as well,
 * and breakpoints.
 *
 * Code is never changed: its pages are the verified bytes, and native code stands for them. What a tracer may write there
 * is int3, and what was there before. An address with int3 is kept in a list of the address space, and tracers read it
 * as int3. The evaluator stops in front of it (run/run.c); so that nothing else runs there, the native code of a file
 * with breakpoints is out of force. The tracee itself reads what was there before, and an int3 that is not at the
 * beginning of an instruction is never reached. */
#include <string.h>
#include <sys/mman.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/mm_internal.h"

enum { INT3 = 0xcc, BREAKPOINTS_MOST = 4096, PIECE = 256 };

/* --- the list, by address --- */

/* The place of the first that is not below the address. */
static unsigned
place_of(const struct mm *mm, uint64_t address)
{
    unsigned low = 0, high = mm->breakpoint_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (mm->breakpoints[middle] < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
mm_breakpoint_at(const struct mm *mm, uint64_t address)
{
    unsigned at = place_of(mm, address);

    return at < mm->breakpoint_count && mm->breakpoints[at] == address;
}

/* Makes room for so many; false: no memory, or too many. */
static bool
reserve(struct mm *mm, unsigned count)
{
    unsigned room = mm->breakpoint_room ? mm->breakpoint_room * 2 : 16;
    uint64_t *bigger;

    if (count <= mm->breakpoint_room)
        return true;
    if (count > BREAKPOINTS_MOST)
        return false;
    bigger = array_resize(mm->breakpoints, mm->breakpoint_room, room, sizeof *bigger);
    if (!bigger)
        return false;
    mm->breakpoints = bigger;
    mm->breakpoint_room = room;
    return true;
}

/* What is translated there is void, and no spare is like this address space any more. */
static void
changed(struct mm *mm, uint64_t address)
{
    mm_changed(mm);
    mm_code_changed(mm, address, address + 1);
}

static bool
insert(struct mm *mm, const struct vma *v, uint64_t address)
{
    unsigned at = place_of(mm, address);

    if (!reserve(mm, mm->breakpoint_count + 1))
        return false;
    memmove(mm->breakpoints + at + 1, mm->breakpoints + at, (mm->breakpoint_count - at) * sizeof *mm->breakpoints);
    mm->breakpoints[at] = address;
    mm->breakpoint_count++;
    mm_code_hold(mm, v->code);
    changed(mm, address);
    return true;
}

static void
remove_at(struct mm *mm, unsigned at)
{
    mm->breakpoint_count--;
    memmove(mm->breakpoints + at, mm->breakpoints + at + 1, (mm->breakpoint_count - at) * sizeof *mm->breakpoints);
}

static void
take_away(struct mm *mm, const struct vma *v, uint64_t address)
{
    remove_at(mm, place_of(mm, address));
    changed(mm, address);
    mm_code_let_go(mm, v->code);
}

unsigned
mm_breakpoints_in_file(struct mm *mm, const struct artifact_ledger *code)
{
    unsigned count = 0;

    for (unsigned i = 0; i < mm->breakpoint_count; i++) {
        const struct vma *v = mm_at(mm, mm->breakpoints[i]);

        count += v && v->code == code;
    }
    return count;
}

void
mm_breakpoints_unmapped(struct mm *mm, uint64_t start, uint64_t end)
{
    unsigned first = place_of(mm, start), last = place_of(mm, end);

    if (first == last)
        return;
    memmove(mm->breakpoints + first, mm->breakpoints + last, (mm->breakpoint_count - last) * sizeof *mm->breakpoints);
    mm->breakpoint_count -= last - first;
}

bool
mm_breakpoints_fork(struct mm *to, const struct mm *from)
{
    if (from->breakpoint_count == 0)
        return true;
    to->breakpoints = array_new(from->breakpoint_room, sizeof *to->breakpoints);
    if (!to->breakpoints)
        return false;
    memcpy(to->breakpoints, from->breakpoints, from->breakpoint_count * sizeof *to->breakpoints);
    to->breakpoint_count = from->breakpoint_count;
    to->breakpoint_room = from->breakpoint_room;
    return true;
}

void
mm_breakpoints_end(struct mm *mm)
{
    array_free(mm->breakpoints);
    mm->breakpoints = NULL;
    mm->breakpoint_count = mm->breakpoint_room = 0;
}

/* --- writing --- */

/* Does the tracer write what is there, or int3? */
static bool
may_write(const uint8_t *original, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != original[i] && bytes[i] != INT3)
            return false;
    return true;
}

/* Of code: all of it or nothing. A byte that is int3 in the file stays that. */
static size_t
write_code(struct mm *mm, const struct vma *v, uint64_t address, const uint8_t *bytes, size_t size)
{
    uint8_t original[PIECE];

    if (mm_read(mm, original, address, size) != size || !may_write(original, bytes, size))
        return 0;
    for (size_t i = 0; i < size; i++) {
        bool is = mm_breakpoint_at(mm, address + i), wanted = bytes[i] != original[i];

        if (wanted && !is && !insert(mm, v, address + i))
            return i;
        if (is && !wanted)
            take_away(mm, v, address + i);
    }
    return size;
}

/* Private pages that the guest may not write become its own and are written, as those of a file's constants. */
static size_t
write_by_force(struct mm *mm, struct vma *v, uint64_t address, const uint8_t *bytes, size_t size)
{
    MM_STILL(mm); /* it must not write there meanwhile, either */
    uint64_t start = address & ~(uint64_t)(PAGE_SIZE - 1), end = PAGE_UP(address + size);
    uint8_t *host = mm->space.base;
    size_t done;

    if (v->shared || !mm_ready(mm, address, size, true))
        return 0;
    mm_changed(mm);
    v->was_writable = true;
    if (platform_protect(host + start, end - start, PROT_READ | PROT_WRITE) < 0)
        return 0;
    done = platform_copy(host + address, bytes, size);
    platform_protect(host + start, end - start, mm_host_prot(v->prot));
    return done;
}

static size_t
write_in(struct mm *mm, struct vma *v, uint64_t address, const uint8_t *bytes, size_t size)
{
    if (v->code)
        return write_code(mm, v, address, bytes, size);
    if (v->prot & PROT_WRITE)
        return mm_other_write(mm, address, bytes, size);
    return write_by_force(mm, v, address, bytes, size);
}

size_t
mm_trace_write(struct mm *mm, guest_addr dst, const void *src, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint64_t address = dst + done, end;
        struct vma *v = address < GUEST_END ? mm_at(mm, address) : NULL;
        size_t step = size - done < PIECE ? size - done : PIECE, n;

        end = v ? mm_backed_end(v) : 0;
        if (address >= end)
            break;
        if (step > end - address)
            step = end - address;
        n = write_in(mm, v, address, (const uint8_t *)src + done, step);
        done += n;
        if (n < step)
            break;
    }
    return done;
}

/* --- reading --- */

size_t
mm_trace_read(struct mm *mm, void *dst, guest_addr src, size_t size)
{
    uint8_t *bytes = dst;

    size = mm_other_read(mm, dst, src, size);
    for (unsigned i = place_of(mm, src); i < mm->breakpoint_count && mm->breakpoints[i] - src < size; i++)
        bytes[mm->breakpoints[i] - src] = INT3;
    return size;
}
