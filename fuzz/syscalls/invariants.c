/* What must hold of an address space after every call, whatever the guest did: its mappings are sorted and apart;
 * nothing is writable and executable; executable is only what the ledger knows, or a stack that says so; the host's
 * pages allow no more than the mapping does, and nothing executes there. */
#include "fuzz/syscalls/invariants.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"

enum { EXIT_BROKEN = 95 };

static _Noreturn void
broken(const char *what, uint64_t address)
{
    char text[200];
    int n = snprintf(text, sizeof text, "fuzz: broken invariant: %s\nfuzz: at guest address %#llx\n", what,
                     (unsigned long long)address);

    if (write(2, text, (size_t)n) < 0)
        _exit(EXIT_BROKEN);
    _exit(EXIT_BROKEN);
}

static void
check_mapping(const struct vma *v, uint64_t end_before)
{
    bool executable = (v->prot & PROT_EXEC) && !v->stack;

    if (v->start < end_before)
        broken("mappings overlap or are not sorted", v->start);
    if (v->start >= v->end || v->end > GUEST_END || ((v->start | v->end) & (PAGE_SIZE - 1)))
        broken("a mapping's bounds", v->start);
    if (v->start < GUEST_NULL_END)
        broken("a mapping below the first that may be", v->start);
    if (executable && (v->prot & PROT_WRITE))
        broken("a mapping both writable and executable", v->start);
    if (executable && !v->code)
        broken("an executable mapping that the ledger does not know", v->start);
    if ((v->kind == VMA_FILE) != (v->file != NULL) || (v->kind == VMA_SHM) != (v->shm != NULL))
        broken("a mapping without its object", v->start);
}

void
check_mappings(void)
{
    const struct mm *mm = current_process()->mm;
    uint64_t end = 0, pages = 0;

    if (!mm)
        return;
    MM_EACH(v, mm) {
        check_mapping(v, end);
        end = v->end;
        pages += (v->end - v->start) / PAGE_SIZE;
    }
    if (pages != mm->total_pages)
        broken("the count of pages", pages);
}

/* One line of the host's: start-end perms; addresses are the guest's here. */
static void
check_host_range(const struct mm *mm, uint64_t start, uint64_t end, const char *permissions)
{
    MM_EACH(v, mm) {
        if (v->end <= start || v->start >= end)
            continue;
        if (permissions[1] == 'w' && (!(v->prot & PROT_WRITE) || v->code))
            broken("host pages are writable where the mapping is not", v->start);
        if (permissions[0] == 'r' && !v->prot)
            broken("host pages are readable where the mapping is not", v->start);
    }
}

void
check_host_pages(void)
{
    const struct mm *mm = current_process()->mm;
    uint64_t base = mm ? (uint64_t)(uintptr_t)mm->space.base : 0;
    FILE *f = mm ? fopen("/proc/self/maps", "r") : NULL;
    unsigned long long start, end;
    char line[512], permissions[5];

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%llx-%llx %4s", &start, &end, permissions) != 3 || start < base || start >= base + GUEST_END)
            continue;
        if (permissions[2] == 'x')
            broken("host pages execute", start - base);
        check_host_range(mm, start - base, end - base, permissions);
    }
    if (f)
        fclose(f);
}
