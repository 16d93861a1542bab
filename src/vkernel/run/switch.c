/* What the scheduler's switches mean for a task: its processor state and its address space (sched_hooks). */
#include "platform/direct.h"
#include "platform/platform.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/run/run.h"
#include "vkernel/time/time.h"
#include "x86/helpers.h"

void
task_stop(struct task *t)
{
    (void)t;
    x86_collect_mxcsr();
}

void
task_leave(struct task *t)
{
    (void)t;
    x87_out();
}

void
task_reload(void)
{
    struct mm *mm = current_mm();

    if (mm) { /* process 1 has none before its first exec */
        platform_set_memory(mm->space.base);
        platform_direct_generation(current_task()->sched.fiber, mm->code_generation);
    }
    run_reset_limit();
}

/* What a thread has remembered of the code is void from here on, and one that runs code which is no longer bound learns
 * it at its next entry to the kernel, which is now. */
static bool
learns_of_code(struct task *t, const void *arg)
{
    const struct mm *mm = arg;

    if (!task_runs_in(t, mm))
        return false;
    platform_direct_generation(t->sched.fiber, mm->code_generation);
    return true;
}

void
task_code_changed(const struct mm *mm)
{
    sched_kick(learns_of_code, mm);
}

void
task_enter(struct task *t)
{
    struct process *p = t->process;

    this_worker = (struct worker){.task = t,
                                  .pid = &p->pid,
                                  .comm = p->comm,
                                  .mm = &p->mm,
                                  .files = task_files(t),
                                  .fs = task_fs(t),
                                  .creds = &p->creds,
                                  .rlimits = p->rlimits,
                                  .released = &p->released};
    task_reload();
    x86_apply_mxcsr();
}

void
task_polled(struct task *t)
{
    (void)t;
    run_reset_limit();
    store_empty(false);
}

void
task_count_switch(struct task *t, bool voluntary)
{
    if (voluntary)
        t->process->voluntary++;
    else
        t->process->involuntary++;
}

bool
task_wants_tick(struct task *t)
{
    return cpu_timers_armed(t) || run_forced_tick();
}
