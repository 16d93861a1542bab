/* process_vm_readv(2) and process_vm_writev(2): copies between the memory of the caller and that of another process. */
#include <errno.h>
#include <limits.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"

enum { PIECE = 64 << 10 };

/* A vector of the caller's, copied. */
struct vector {
    struct guest_vector {
        uint64_t base, size;
    } *v;             /* struct iovec of the guest's */
    size_t count, at; /* at: the entry that is looked at */
    uint64_t offset;  /* in it */
};

static void
vector_end(struct vector *v)
{
    array_free(v->v);
}

static int
vector_copy(struct vector *out, uint64_t address, uint64_t count)
{
    *out = (struct vector){.count = (size_t)count};
    if (count > IOV_MAX)
        return -EINVAL;
    if (count == 0)
        return 0;
    out->v = array_new((size_t)count, sizeof *out->v);
    if (!out->v)
        return -ENOMEM;
    if (copy_from_guest(out->v, address, (size_t)count * sizeof *out->v) < 0)
        return -EFAULT;
    for (size_t i = 0; i < count; i++)
        if (out->v[i].size > SSIZE_MAX)
            return -EINVAL;
    return 0;
}

static uint64_t
vector_total(const struct vector *v)
{
    uint64_t total = 0;

    for (size_t i = 0; i < v->count; i++)
        total = saturating_add(total, v->v[i].size);
    return total;
}

/* What is left of the entry that is looked at, without empty ones; *address: where. 0: nothing is left. */
static uint64_t
vector_next(struct vector *v, uint64_t *address)
{
    while (v->at < v->count && v->offset == v->v[v->at].size) {
        v->at++;
        v->offset = 0;
    }
    if (v->at == v->count)
        return 0;
    *address = v->v[v->at].base + v->offset;
    return v->v[v->at].size - v->offset;
}

static size_t
copy_piece(struct mm *mm, uint8_t *buffer, uint64_t local, uint64_t remote, size_t size, bool write)
{
    size_t n;

    if (write) {
        n = copy_from_guest_partial(buffer, local, size);
        return n ? mm_other_write(mm, remote, buffer, n) : 0;
    }
    n = mm_other_read(mm, buffer, remote, size);
    return n ? copy_to_guest_partial(local, buffer, n) : 0;
}

/* Copies until either vector is at its end, or a page is not there: then what was copied counts. */
static int64_t
copy_all(struct mm *mm, struct vector *local, struct vector *remote, bool write)
{
    uint8_t *buffer = bytes_new(PIECE);
    int64_t done = 0;
    uint64_t from = 0, to = 0, left;

    if (!buffer)
        return -ENOMEM;
    while ((left = vector_next(local, &from)) != 0) {
        uint64_t room = vector_next(remote, &to);
        size_t size = (size_t)(left < room ? left : room), n;

        if (size == 0)
            break;
        if (size > PIECE)
            size = PIECE;
        n = copy_piece(mm, buffer, from, to, size, write);
        done += (int64_t)n;
        local->offset += n;
        remote->offset += n;
        if (n < size) {
            done = done ? done : -EFAULT;
            break;
        }
        if (sched_checkpoint() < 0)
            break;
    }
    bytes_free(buffer);
    return done;
}

static int64_t
copy_with(int pid, struct vector *local, struct vector *remote, bool write)
{
    struct task *t = pid > 0 ? task_find(pid) : NULL;
    struct process *p = t ? t->process : pid > 0 ? process_find(pid) : NULL;
    struct mm *mm;
    int64_t r;

    if (vector_total(remote) == 0)
        return 0;
    if (!p)
        return -ESRCH;
    if (!process_may_look(p, LOOK_REAL))
        return -EPERM;
    if (!p->mm)
        return -ESRCH;
    mm = mm_get(p->mm);
    r = copy_all(mm, local, remote, write);
    mm_empty(mm); /* when its process has ended meanwhile: piece by piece */
    mm_put(mm);
    return r;
}

static int64_t
process_vm(const uint64_t a[6], bool write)
{
    struct vector local, remote = {0};
    int64_t r;

    if (a[5])
        return -EINVAL;
    r = vector_copy(&local, a[1], a[2]);
    if (r == 0 && vector_total(&local) != 0) {
        r = vector_copy(&remote, a[3], a[4]);
        if (r == 0)
            r = copy_with((int)a[0], &local, &remote, write);
    }
    vector_end(&local);
    vector_end(&remote);
    return r;
}

int64_t
sys_process_vm_readv(const uint64_t a[6])
{
    return process_vm(a, false);
}

int64_t
sys_process_vm_writev(const uint64_t a[6])
{
    return process_vm(a, true);
}
