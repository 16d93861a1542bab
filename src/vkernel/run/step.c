/* Single steps for tracers, by the evaluator: blocks of one instruction, behind each of which it stops. The trap flag of
 * the processor is not used: rewritten code has several host instructions for one of the guest's. A string instruction
 * with a REP prefix is one step here, where a processor stops behind each element. */
#include "vkernel/run/step.h"

#include <signal.h>

#include "eval/eval.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/trace.h"
#include "vkernel/run/run.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

static bool
always(void *context, uint64_t address)
{
    (void)context;
    (void)address;
    return true;
}

/* Nobody else comes into the vkernel while one of these blocks runs, so that t->trace stays what it is. */

/* The evaluator with blocks of one instruction, which is the tracee's own, because others have longer ones. Its blocks
 * are forgotten when a mapping has changed. */
static struct eval *
steps_of(struct trace *tr, const struct mm *mm)
{
    if (!tr->steps)
        tr->steps = eval_new();
    else if (tr->steps_mm != mm->number || tr->steps_changes != mm->changes)
        eval_invalidate(tr->steps, 0, GUEST_END);
    tr->steps_mm = mm->number;
    tr->steps_changes = mm->changes;
    return tr->steps;
}

void
run_one_step(struct task *t)
{
    struct eval_host host = {.has_compiled = always, .ends_before = always};

    enum eval_stop stop;

    t->evaluate_next = false;
    if (run_breakpoint())
        return;
    stop = run_evaluate_with(steps_of(t->trace, t->process->mm), host);
    if ((stop == EVAL_COMPILED || stop == EVAL_BUDGET))
        signal_force(SIGTRAP, TRAP_TRACE, x86_this_cpu()->rip, 1);
    if (stop == EVAL_BUDGET)
        poll_edge();
}
