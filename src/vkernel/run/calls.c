#include "vkernel/run/calls.h"

#include <stdio.h>
#include <string.h>

#include "artifact/call_record.h"
#include "base/hash64.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "x86/helpers.h"

enum { CALL_NS = 10000, CALLS_IN_A_ROW = 16 };

bool calls_on;

static struct {
    int fd;
    uint64_t given;  /* of the next record */
    unsigned in_row; /* calls since somebody else could run */
    uint64_t inputs;
} calls;

void
calls_start(int fd)
{
    calls.fd = platform_take_descriptor(fd);
    if (calls.fd < 0)
        platform_die("there is nobody to compare the run: %s", strerror(-calls.fd));
    calls_on = usercopy_recording = true;
    platform_be_repeatable();
}

void
calls_given(const void *p, size_t size)
{
    UNINITIALIZED uint8_t piece[512];
    const uint8_t *from = p;

    if (!current_task()->in_call)
        return;
    while (size) {
        size_t want = size < sizeof piece ? size : sizeof piece, n = platform_copy(piece, from, want);

        calls.given = hash64(calls.given, piece, n);
        if (n < want)
            return;
        from += n;
        size -= n;
    }
}

uint64_t
calls_input(void)
{
    return platform_monotonic_ns() + ++calls.inputs;
}

/* A signal frame is no argument, and has what need not be the same: exception flags, and the state of the x87 unit's
 * pointers. */
static bool
reads_frame(int64_t nr)
{
    return nr == NR_rt_sigreturn;
}

void
calls_made(int64_t nr)
{
    static bool frame;
    const struct x86_cpu *cpu = x86_this_cpu();
    const uint64_t a[6] = {cpu->gpr[X86_RDI], cpu->gpr[X86_RSI], cpu->gpr[X86_RDX],
                           cpu->gpr[X86_R10], cpu->gpr[X86_R8],  cpu->gpr[X86_R9]};
    struct call_record r = {.tid = current_task()->tid,
                            .number = (int32_t)nr,
                            .rip = cpu->rip,
                            .fs_base = cpu->fs_base};

    memcpy(r.gpr, cpu->gpr, sizeof r.gpr);
    r.gpr[X86_RCX] = r.gpr[X86_R11] = 0;
    r.vectors = hash64(hash64(0, cpu->xmm, sizeof cpu->xmm), cpu->ymm_high, sizeof cpu->ymm_high);
    r.given = frame ? 0 : calls.given;
    frame = reads_frame(nr);
    snprintf(r.comm, sizeof r.comm, "%s", current_process()->comm);
    syscall_describe(nr, a, r.call, sizeof r.call);
    mm_place(current_process()->mm, cpu->rip, r.place, sizeof r.place);
    calls.given = 0;
    if (platform_write(calls.fd, &r, sizeof r) != (long)sizeof r)
        platform_die("the run is compared with another one, which nobody does any more");
    platform_pass(CALL_NS);
    if (++calls.in_row == CALLS_IN_A_ROW) {
        calls.in_row = 0;
        sched_poll();
    }
    current_task()->in_call = true;
}

void
calls_done(void)
{
    current_task()->in_call = false;
}
