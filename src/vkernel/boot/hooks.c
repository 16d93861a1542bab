/* Where rooms call upwards: each room's hooks are a constant table, and here is who stands in it. */
#include <stddef.h>

#include "vkernel/boot/boot.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/fs/aio.h"
#include "vkernel/fs/fs.h"
#include "vkernel/io/async.h"
#include "vkernel/io/io.h"
#include "vkernel/net/socket.h"
#include "vkernel/proc/memory_limit.h"
#include "vkernel/proc/proc.h"
#include "vkernel/run/calls.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/evaluated.h"
#include "vkernel/run/run.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/cpu_time.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "x86/address_space.h"
#include "vkernel/mm/mm.h"
#include "platform/platform.h"

const struct cpu_hooks cpu_hooks = {.guest_address = direct_guest_address};

/* --- sched/ --- */

static void
host_signals(uint64_t set)
{
    if (platform_end_signal)
        container_exit(platform_end_signal);
    for (int sig = 1; set; sig++, set >>= 1)
        if (set & 1)
            signal_from_host(sig);
}

static bool
interrupted(bool fatal_only)
{
    return fatal_only ? signal_fatal_pending() : signal_pending_current();
}

const struct sched_hooks sched_hooks = {
    .boot = boot_first_task,
    .run = task_run,
    .charge = cpu_time_charge,
    .charged = cpu_timers_check,
    .stop = task_stop,
    .leave = task_leave,
    .enter = task_enter,
    .polled = task_polled,
    .counted = task_count_switch,
    .release = task_free,
    .interrupted = interrupted,
    .wants_tick = task_wants_tick,
    .host_signals = host_signals,
};

const struct usercopy_hooks usercopy_hooks = {.accessible = mm_accessible, .ready = mm_ready, .recorded = calls_given};

/* --- vfs/ --- */

static void
file_released(struct file *f)
{
    epoll_file_released(f);
    async_free(f);
}

static void
inode_evicted(struct inode *i)
{
    pipe_inode_evict(i);
    xattr_free_all(i);
}

const struct vfs_hooks vfs_hooks = {
    .open_special = special_open,
    .file_released = file_released,
    .file_suspected = unix_gc_suspect,
    .inode_evicted = inode_evicted,
    .collect_changes = hostfs_collect_changes,
    .owner_needed = async_own,
    .owner_told = async_message,
    .owner_gone = async_disown,
    .signal_self = signal_send_self,
};

/* --- mm/ --- */

/* They cannot go on before this processor lets the lock go. */
static void
stand_still(struct mm *mm)
{
    sched_stop_others(task_runs_in, mm);
}

const struct mm_hooks mm_hooks = {.copy_fails = fault_note_copy,
                                  .stand_still = stand_still,
                                  .brought_in = memory_brought_in,
                                  .code_changed = task_code_changed,
                                  .aio_ends = aio_end_all,
                                  .code_leaves = evaluated_collect};

/* --- task/, signal/ --- */

const struct task_hooks task_hooks = {.end = process_end};

const struct signal_hooks signal_hooks = {
    .timer_taken = timer_signal_taken,
    .timer_dropped = timer_signal_dropped,
    .wanted = timers_signal_wanted,
    .alarm_taken = itimer_signal_taken,
};

/* --- proc/ --- */

static void
leaves_memory(struct mm *mm)
{
    evaluated_collect(mm, 0, GUEST_END);
}

const struct proc_hooks proc_hooks = {
    .reload = task_reload,
    .restart = run_restart,
    .leaves_memory = leaves_memory,
    .procfs_pid = procfs_pid,
    .container_exit = container_exit,
};
