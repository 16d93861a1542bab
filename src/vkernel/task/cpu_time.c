/* Processor time, as tasks, processes and processors are charged with it.
 *
 * The scheduler says for how long a task had a processor, by the monotonic clock, which costs no call of the host's.
 * Now and then the host is asked as well, which costs three: how much of that time the processor's thread really had,
 * as other programs of the host run, too, and as it may have waited for the kernel lock or in a call; and how much of
 * it was the host kernel's, which brings in pages that guests touch for the first time and is not noticed in any
 * other way. Decision 0021. */
#include "vkernel/task/cpu_time.h"

#include "platform/platform.h"
#include "vkernel/sched/kernel_time.h"
#include "vkernel/task/process.h"

enum {
    LOOK_NS = 5000000,     /* so much is charged between two looks at the host's clocks; a look takes 1 us */
    SURPLUS_NS = 10000000, /* the steps in which the host's kernel finds out about itself */
    DEFICIT_NS = 20000000,
};

struct processor_time processor_times[PROCESSORS_MAX];

/* Of each processor's host thread. */
static struct host_thread {
    uint64_t cpu_ns, system_ns; /* the host's clocks at the last look; cpu_ns is 0 before the first one */
    uint64_t charged_ns;        /* what tasks were charged with since then, before what is stolen is taken off */
    uint64_t stolen_ns;         /* of that and of what was charged before, what is still to be taken off */
    int64_t unseen_ns;          /* by how much the host kernel's time is more than what was charged as system time */
} host_threads[PROCESSORS_MAX];

static uint64_t
scaled(uint64_t value, uint64_t part, uint64_t whole)
{
    return (uint64_t)((unsigned __int128)value * part / whole);
}

/* Looks at the host's clocks if it is time. True: it was, and it is known what they have counted for charged_ns. */
static bool
look(struct host_thread *h)
{
    uint64_t cpu_ns, system_ns;
    bool first = h->cpu_ns == 0;

    if (h != &host_threads[this_processor()->number])
        return false; /* the host says it of the calling thread alone */
    if (first)
        h->charged_ns = 0; /* nobody knows what this thread had before */
    if (!first && h->charged_ns < LOOK_NS)
        return false;
    cpu_ns = platform_thread_cpu_ns();
    system_ns = platform_system_ns();
    if (!first) {
        uint64_t used = cpu_ns - h->cpu_ns, system = system_ns > h->system_ns ? system_ns - h->system_ns : 0;
        /* Between slices the thread switches and is idle: nobody is charged with that, and much of it
         * is the host's kernel. */
        uint64_t between = used > h->charged_ns ? used - h->charged_ns : 0;

        h->stolen_ns += h->charged_ns > used ? h->charged_ns - used : 0;
        h->unseen_ns += system > between ? (int64_t)(system - between) : 0;
        if (h->unseen_ns > DEFICIT_NS)
            h->unseen_ns = DEFICIT_NS;
    }
    h->cpu_ns = cpu_ns;
    h->system_ns = system_ns > h->system_ns ? system_ns : h->system_ns;
    return !first;
}

/* Of a slice of ns nanoseconds: for how long the thread did not run. The slice at whose end that is found has its own
 * share of it; the rest, which was that of others, is taken from those that come. */
static uint64_t
take_stolen(struct host_thread *h, uint64_t ns, bool looked)
{
    uint64_t most = looked ? scaled(h->stolen_ns, ns, h->charged_ns) : ns / 2;
    uint64_t taken = h->stolen_ns < most ? h->stolen_ns : most;

    taken = taken < ns ? taken : ns;
    h->stolen_ns -= taken;
    return taken;
}

/* The host's kernel worked for this thread, and neither a system call nor a fault that the vkernel resolved was the
 * reason: how much of that is the task's? It has `most` that is user time otherwise. */
static uint64_t
take_unseen(struct host_thread *h, uint64_t ns, uint64_t system_ns, uint64_t most)
{
    uint64_t taken = 0;

    h->unseen_ns -= (int64_t)system_ns;
    if (h->unseen_ns > 0) {
        taken = scaled((uint64_t)h->unseen_ns, ns, h->charged_ns);
        taken = taken < most ? taken : most;
        h->unseen_ns -= (int64_t)taken;
    }
    return taken;
}

void
cpu_time_charge(struct task *t, uint64_t ns)
{
    struct processor_time *processor = &processor_times[t->sched.last_processor];
    struct host_thread *h = &host_threads[t->sched.last_processor];
    struct process *p = t->process;
    uint64_t stolen_ns, used_ns, system_ns;
    bool looked;

    h->charged_ns += ns;
    looked = look(h);
    stolen_ns = take_stolen(h, ns, looked);
    used_ns = ns - stolen_ns;
    system_ns = kernel_time_take(&t->sched, ns, used_ns);
    if (looked) {
        system_ns += take_unseen(h, ns, system_ns, used_ns - system_ns);
        h->charged_ns = 0;
    } else {
        h->unseen_ns -= (int64_t)system_ns;
    }
    if (h->unseen_ns < -SURPLUS_NS)
        h->unseen_ns = -SURPLUS_NS;
    t->cpu_ns += used_ns;
    t->system_ns += system_ns;
    p->cpu_ns += used_ns;
    p->system_ns += system_ns;
    processor->stolen_ns += stolen_ns;
    processor->system_ns += system_ns;
    *(p->nice > 0 ? &processor->nice_ns : &processor->user_ns) += used_ns - system_ns;
}
