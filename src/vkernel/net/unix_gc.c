/* Descriptors in flight: files that lie in messages in the queues of Unix sockets.
 *
 * A socket can lie in its own queue, or two in each other's. When every descriptor of such sockets is closed, nobody
 * can reach them any more, but their references hold each other. So it is looked for (as net/unix/garbage.c of Linux
 * did for long): the *candidates* are sockets whose only references are from messages. What lies in messages of
 * candidates alone, and is not reached from one that lies elsewhere, too, is garbage; its messages are dropped, and
 * with them its references.
 *
 * It is looked for when a socket is left to messages alone. That costs time in proportion to what lies in the queues of
 * such; so where it was much the last time, it waits until that has happened a fair number of times, or for a
 * second. */
#include "vkernel/net/socket.h"

#include "vkernel/vfs/users.h"
#include "vkernel/vfs/file.h"
#include "vkernel/task/process.h"

enum { PATIENCE = 16, LATEST_NS = 1000000000 };

static struct list in_flight = {&in_flight, &in_flight}; /* sockets in flight */
static unsigned suspects;
static uint64_t walked; /* sockets and messages, the last time */
static bool collecting;

/* --- counting --- */

/* Takes the files of a message into account, at the cost of the sender's user. */
int
scm_take_off(struct scm *m)
{
    m->user = user_charge(USER_IN_FLIGHT, m->file_count, UINT64_MAX);
    if (!m->user && m->file_count)
        return -ENOMEM;
    for (unsigned k = 0; k < m->file_count; k++) {
        struct file *f = m->files[k];
        struct socket *s = file_socket(f);

        if (f->in_flight++ == 0 && s)
            list_append(&in_flight, &s->in_flight_link);
    }
    m->in_flight = true;
    return 0;
}

/* The message has arrived, or is dropped. */
void
scm_land(struct scm *m)
{
    if (!m || !m->in_flight)
        return;
    user_uncharge(m->user, USER_IN_FLIGHT, m->file_count);
    m->user = NULL;
    for (unsigned k = 0; k < m->file_count; k++) {
        struct file *f = m->files[k];
        struct socket *s = file_socket(f);

        if (--f->in_flight == 0 && s)
            list_remove(&s->in_flight_link);
    }
    m->in_flight = false;
}

bool
scm_too_many(void)
{
    rlim_t limit = current_process()->rlimits[RLIMIT_NOFILE].rlim_cur;

    if (capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN) || user_counted(USER_IN_FLIGHT) <= limit)
        return false;
    if (suspects)
        unix_gc();
    return user_counted(USER_IN_FLIGHT) > limit;
}

/* --- collecting --- */

/* Calls `each` for every candidate in the messages of a socket and of those that connected to it and were not accepted
 * yet. */
static void
each_carried(struct socket *s, void (*each)(struct socket *carried, void *arg), void *arg)
{
    struct list *p = s->pending.next;
    struct socket *holder = s;

    for (;;) {
        walked++;
        LIST_EACH(q, &holder->messages) {
            const struct scm *m = list_entry(q, struct message, link)->scm;

            walked += 1 + (m ? m->file_count : 0);
            for (unsigned k = 0; m && k < m->file_count; k++) {
                struct socket *carried = file_socket(m->files[k]);

                if (carried && carried->candidate)
                    each(carried, arg);
            }
        }
        if (p == &s->pending)
            return;
        holder = list_entry(p, struct socket, pending_link);
        p = p->next;
    }
}

static void
uncount(struct socket *s, void *arg)
{
    s->outside--;
}

static void
reach(struct socket *s, void *arg)
{
    struct list *reached = arg;

    s->candidate = false;
    list_append(reached, &s->reached_link);
}

void
unix_gc(void)
{
    struct list reached, garbage;

    if (collecting)
        return;
    collecting = true;
    suspects = 0;
    walked = 0;
    list_init(&reached);
    list_init(&garbage);
    LIST_EACH(p, &in_flight) {
        struct socket *s = list_entry(p, struct socket, in_flight_link);

        walked++;
        s->candidate = refcount_is(&s->file->refs, s->file->in_flight);
        s->outside = s->file->in_flight;
    }
    LIST_EACH(p, &in_flight)
        if (list_entry(p, struct socket, in_flight_link)->candidate)
            each_carried(list_entry(p, struct socket, in_flight_link), uncount, NULL);
    LIST_EACH(p, &in_flight) {
        struct socket *s = list_entry(p, struct socket, in_flight_link);

        if (s->candidate && s->outside > 0)
            reach(s, &reached);
    }
    while (!list_empty(&reached)) {
        struct socket *s = list_entry(reached.next, struct socket, reached_link);

        list_remove(&s->reached_link);
        each_carried(s, reach, &reached);
    }
    LIST_EACH(p, &in_flight) {
        struct socket *s = list_entry(p, struct socket, in_flight_link);

        if (!s->candidate)
            continue;
        s->candidate = false;
        messages_take(s, &garbage);
        LIST_EACH(q, &s->pending)
            messages_take(list_entry(q, struct socket, pending_link), &garbage);
    }
    while (!list_empty(&garbage))
        message_free(list_entry(garbage.next, struct message, link));
    collecting = false;
}

CALLBACK static void
collect_late(struct ktimer *t)
{
    if (suspects)
        unix_gc();
}

void
unix_gc_suspect(const struct file *f)
{
    static struct ktimer late = {.fire = collect_late};

    if (collecting || !file_socket(f))
        return;
    if (++suspects > walked / PATIENCE)
        unix_gc();
    else if (suspects == 1)
        ktimer_start(&late, clock_monotonic_ns() + LATEST_NS);
}
