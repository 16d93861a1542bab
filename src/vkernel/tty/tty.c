/* The N_TTY line discipline and the slave side of terminals (termios(3)). */
#include "vkernel/sched/sched.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/tty/tty_internal.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/file.h"
#include "vkernel/worker/worker.h"

#include <poll.h>
#include <signal.h>

#include "platform/heap.h"
#include "platform/hostfs.h"

#define CHAR_DISABLED 0

static bool
lflag(const struct tty *t, unsigned bit)
{
    return t->termios.c_lflag & bit;
}

static bool
is_cc(const struct tty *t, int which, uint8_t c)
{
    return t->termios.c_cc[which] != CHAR_DISABLED && t->termios.c_cc[which] == c;
}

void
tty_init(struct tty *t)
{
    static const uint8_t cc[] = {
        [VINTR] = 3,   [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21,    [VEOF] = 4,      [VTIME] = 0,    [VMIN] = 1,
        [VSTART] = 17, [VSTOP] = 19, [VSUSP] = 26,   [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22,
    };

    refcount_init(&t->refs);
    t->termios.c_iflag = ICRNL | IXON;
    t->termios.c_oflag = OPOST | ONLCR;
    t->termios.c_cflag = CS8 | CREAD | B38400;
    t->termios.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
    memcpy(t->termios.c_cc, cc, sizeof cc);
    t->termios.c_ispeed = t->termios.c_ospeed = 38400;
    wait_queue_init(&t->read_queue);
    wait_queue_init(&t->write_queue);
    wait_queue_init(&t->master_read_queue);
    wait_queue_init(&t->master_write_queue);
    wait_queue_init(&t->host_queue);
    wait_queue_init(&t->host_out_queue);
    wait_queue_init(&t->size_queue);
}

/* Nobody's controlling terminal any more: it is that of members of its session alone. */
static void
leave_session(struct tty *t)
{
    for (struct process *p = t->session ? session_next(t->session, NULL) : NULL; p; p = session_next(t->session, p))
        if (p->ctty == t)
            p->ctty = NULL;
    t->session = t->pgrp = 0;
}

void
tty_put(struct tty *t)
{
    if (!refcount_put(&t->refs))
        return;
    leave_session(t);
    pty_free_node(t);
    wait_queue_fini(&t->read_queue);
    wait_queue_fini(&t->write_queue);
    wait_queue_fini(&t->master_read_queue);
    wait_queue_fini(&t->master_write_queue);
    wait_queue_fini(&t->host_queue);
    wait_queue_fini(&t->host_out_queue);
    wait_queue_fini(&t->size_queue);
    bytes_free(t->output);
    bytes_free(t->held);
    OBJECT_FREE(tty, t);
}

/* --- output --- */

static size_t
raw_room(struct tty *t)
{
    if (t->stopped)
        return 0;
    if (t->console)
        return host_poll_now(t->host_out, POLLOUT) ? 1024 : 0;
    return TTY_OUTPUT - t->out_used;
}

/* The caller has seen that there is room (or accepts the loss: echo). */
static size_t
raw_put(struct tty *t, const uint8_t *data, size_t size)
{
    size_t n;

    if (t->console) {
        struct iovec iov = {(void *)(uintptr_t)data, size};
        ssize_t w = host_writev(t->host_out, &iov, 1);

        return w < 0 ? 0 : (size_t)w;
    }
    if (!t->output && !(t->output = bytes_new(TTY_OUTPUT)))
        return 0;
    for (n = 0; n < size && t->out_used < TTY_OUTPUT; n++)
        t->output[(t->out_head + t->out_used++) % TTY_OUTPUT] = data[n];
    wait_queue_wake(&t->master_read_queue);
    return n;
}

/* One byte through OPOST: its bytes in out (at most 8), and the column. */
static size_t
post_process(struct tty *t, uint8_t c, uint8_t out[8])
{
    unsigned flags = t->termios.c_oflag;
    size_t n = 0;

    if (!(flags & OPOST)) {
        out[0] = c;
        return 1;
    }
    switch (c) {
    case '\n':
        if (flags & ONLRET)
            t->column = 0;
        if (flags & ONLCR) {
            out[n++] = '\r';
            t->column = 0;
        }
        out[n++] = '\n';
        return n;
    case '\r':
        if ((flags & ONOCR) && t->column == 0)
            return 0;
        if (flags & OCRNL) {
            out[0] = '\n';
            return 1;
        }
        t->column = 0;
        out[0] = '\r';
        return 1;
    case '\t': {
        unsigned spaces = 8 - (t->column & 7);

        t->column += spaces;
        if ((flags & TABDLY) == XTABS) {
            memset(out, ' ', spaces);
            return spaces;
        }
        out[0] = c;
        return 1;
    }
    case '\b':
        if (t->column > 0)
            t->column--;
        out[0] = c;
        return 1;
    default:
        if (c >= ' ' && (c & 0xc0) != 0x80)
            t->column++;
        out[0] = (flags & OLCUC) && c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
        return 1;
    }
}

static void
echo_raw(struct tty *t, uint8_t c)
{
    uint8_t out[8];

    if (!t->stopped) {
        raw_put(t, out, post_process(t, c, out));
    } else if (t->held_used < TTY_HELD && (t->held || (t->held = bytes_new(TTY_HELD)))) {
        t->held[t->held_used++] = c;
    }
}

/* Output goes on: first what was typed meanwhile. */
static void
echo_held(struct tty *t)
{
    unsigned n = t->held_used;

    t->held_used = 0;
    for (unsigned k = 0; k < n; k++)
        echo_raw(t, t->held[k]);
}

static void
echo_char(struct tty *t, uint8_t c)
{
    if (lflag(t, ECHOCTL) && (c < 32 || c == 127) && c != '\t') {
        echo_raw(t, '^');
        echo_raw(t, c ^ 0x40);
    } else {
        echo_raw(t, c);
    }
}

/* --- input --- */

static unsigned
distance(unsigned from, unsigned to)
{
    return (to - from + TTY_INPUT) % TTY_INPUT;
}

unsigned
tty_input_room(const struct tty *t)
{
    return TTY_INPUT - 1 - distance(t->head, t->tail);
}

unsigned
tty_input_ready(const struct tty *t)
{
    unsigned n = 0;

    if (!(t->termios.c_lflag & ICANON))
        return distance(t->head, t->tail);
    if (t->lines == 0)
        return 0;
    for (unsigned k = t->head; k != t->committed; k = (k + 1) % TTY_INPUT)
        if (!(t->input[k] & TTY_MARK_EOF))
            n++;
    return n;
}

static bool
readable(const struct tty *t)
{
    unsigned min;

    if (t->hung_up)
        return true;
    if (t->termios.c_lflag & ICANON)
        return t->lines > 0;
    min = t->termios.c_cc[VTIME] ? 1 : t->termios.c_cc[VMIN];
    return distance(t->head, t->tail) >= (min ? min : 1);
}

/* False: there is no room, and it is lost. */
static bool
push(struct tty *t, uint16_t c)
{
    if (tty_input_room(t) == 0)
        return false;
    t->input[t->tail] = c;
    t->tail = (t->tail + 1) % TTY_INPUT;
    return true;
}

/* The character that ends a line; without it in the buffer there is no line, which a reader would take for the end of
 * the file. */
static void
commit(struct tty *t, uint16_t c)
{
    if (!push(t, c))
        return;
    t->committed = t->tail;
    t->lines++;
    wait_queue_wake(&t->read_queue);
}

void
tty_flush_input(struct tty *t)
{
    t->head = t->committed = t->tail = 0;
    t->lines = t->held_used = 0;
    t->literal = false;
    tty_packet(t, TIOCPKT_FLUSHREAD, 0);
    wait_queue_wake(&t->master_write_queue);
    if (t->console)
        console_resume_input(t);
}

void
tty_flush_output(struct tty *t)
{
    /* What was written is the master's already; Linux, too, has handed it on. */
    tty_packet(t, TIOCPKT_FLUSHWRITE, 0);
    wait_queue_wake(&t->write_queue);
    wait_queue_wake(&t->master_write_queue);
}

static void
input_signal(struct tty *t, int sig, uint8_t c)
{
    if (!lflag(t, NOFLSH)) {
        tty_flush_input(t);
        tty_flush_output(t);
    }
    if (lflag(t, ECHO))
        echo_char(t, c);
    if (t->pgrp > 0)
        signal_send_group(t->pgrp, sig);
}

/* Columns that the bytes being edited take, up to `end`. */
static unsigned
edit_width(const struct tty *t, unsigned end)
{
    unsigned column = t->edit_column;

    for (unsigned k = t->committed; k != end; k = (k + 1) % TTY_INPUT) {
        uint8_t c = (uint8_t)t->input[k];

        if (c == '\t')
            column += 8 - (column & 7);
        else if ((c < 32 || c == 127) && lflag(t, ECHOCTL))
            column += 2;
        else if ((c & 0xc0) != 0x80 || !(t->termios.c_iflag & IUTF8))
            column++;
    }
    return column;
}

static void
erase_one(struct tty *t)
{
    unsigned before = edit_width(t, t->tail), after;
    uint8_t c;

    do {
        t->tail = (t->tail + TTY_INPUT - 1) % TTY_INPUT;
        c = (uint8_t)t->input[t->tail];
    } while ((t->termios.c_iflag & IUTF8) && (c & 0xc0) == 0x80 && t->tail != t->committed);
    after = edit_width(t, t->tail);
    if (!lflag(t, ECHO))
        return;
    if (!lflag(t, ECHOE)) {
        echo_char(t, t->termios.c_cc[VERASE]);
        return;
    }
    for (; before > after; before--) {
        echo_raw(t, '\b');
        if (c != '\t') {
            echo_raw(t, ' ');
            echo_raw(t, '\b');
        }
    }
}

static bool
word_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static void
edit_erase(struct tty *t, int which)
{
    bool seen_word = false;

    if (which == VKILL && lflag(t, ECHO) && (!lflag(t, ECHOK) || !lflag(t, ECHOKE) || !lflag(t, ECHOE))) {
        t->tail = t->committed;
        echo_char(t, t->termios.c_cc[VKILL]);
        if (lflag(t, ECHOK))
            echo_raw(t, '\n');
        return;
    }
    while (t->tail != t->committed) {
        if (which == VWERASE) {
            bool word = word_byte((uint8_t)t->input[(t->tail + TTY_INPUT - 1) % TTY_INPUT]);

            if (seen_word && !word)
                return;
            seen_word |= word;
        }
        erase_one(t);
        if (which == VERASE)
            return;
    }
}

static void
reprint(struct tty *t)
{
    echo_char(t, t->termios.c_cc[VREPRINT]);
    echo_raw(t, '\n');
    for (unsigned k = t->committed; k != t->tail; k = (k + 1) % TTY_INPUT)
        echo_char(t, (uint8_t)t->input[k]);
}

/* True when the byte was an editing or line-ending character. */
static bool
canonical_char(struct tty *t, uint8_t c)
{
    if (is_cc(t, VERASE, c) || is_cc(t, VKILL, c) || (is_cc(t, VWERASE, c) && lflag(t, IEXTEN))) {
        edit_erase(t, is_cc(t, VERASE, c) ? VERASE : is_cc(t, VKILL, c) ? VKILL : VWERASE);
        return true;
    }
    if (is_cc(t, VLNEXT, c) && lflag(t, IEXTEN)) {
        t->literal = true;
        if (lflag(t, ECHO) && lflag(t, ECHOCTL)) {
            echo_raw(t, '^');
            echo_raw(t, '\b');
        }
        return true;
    }
    if (is_cc(t, VREPRINT, c) && lflag(t, ECHO) && lflag(t, IEXTEN)) {
        reprint(t);
        return true;
    }
    if (c == '\n' || is_cc(t, VEOL, c) || (is_cc(t, VEOL2, c) && lflag(t, IEXTEN))) {
        if (lflag(t, ECHO) || (c == '\n' && lflag(t, ECHONL)))
            c == '\n' ? echo_raw(t, c) : echo_char(t, c);
        commit(t, c | TTY_MARK_LINE);
        return true;
    }
    if (is_cc(t, VEOF, c)) {
        commit(t, TTY_MARK_EOF);
        return true;
    }
    return false;
}

void
tty_packet(struct tty *t, unsigned set, unsigned clear)
{
    if (!t->packet)
        return;
    t->packet_status = (uint8_t)((t->packet_status & ~clear) | set);
    wait_queue_wake(&t->master_read_queue);
}

void
tty_set_stopped(struct tty *t, bool on)
{
    if (t->stopped == on || (!on && t->flow_off))
        return;
    t->stopped = on;
    if (!on)
        echo_held(t);
    tty_packet(t, on ? TIOCPKT_STOP : TIOCPKT_START, on ? TIOCPKT_START : TIOCPKT_STOP);
    wait_queue_wake(&t->write_queue);
    wait_queue_wake(&t->master_read_queue);
}

static bool
special_char(struct tty *t, uint8_t c)
{
    if (t->termios.c_iflag & IXON) {
        if (is_cc(t, VSTART, c)) {
            tty_set_stopped(t, false);
            return true;
        }
        if (is_cc(t, VSTOP, c)) {
            tty_set_stopped(t, true);
            return true;
        }
    }
    if (lflag(t, ISIG)) {
        int sig = is_cc(t, VINTR, c) ? SIGINT : is_cc(t, VQUIT, c) ? SIGQUIT : is_cc(t, VSUSP, c) ? SIGTSTP : 0;

        if (sig) {
            input_signal(t, sig, c);
            return true;
        }
    }
    return false;
}

static void
receive_byte(struct tty *t, uint8_t c)
{
    unsigned iflag = t->termios.c_iflag;
    bool literal = t->literal, returned = false;

    if (iflag & ISTRIP)
        c &= 0x7f;
    if ((iflag & IUCLC) && lflag(t, IEXTEN) &&
        ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7))) /* the kernel's tolower is of Latin 1 */
        c += 32;
    t->literal = false;
    if (!literal) {
        if (special_char(t, c))
            return;
        if (c == '\r') {
            if (iflag & IGNCR)
                return;
            if (iflag & ICRNL) {
                c = '\n';
                returned = true;
            }
        } else if (c == '\n' && (iflag & INLCR)) {
            c = '\r';
        }
        if (lflag(t, ICANON) && canonical_char(t, c))
            return;
    }
    if (t->stopped && (iflag & IXANY))
        tty_set_stopped(t, false);
    /* one place is kept for the character that ends the line */
    if (lflag(t, ICANON) && tty_input_room(t) <= 1) {
        if (iflag & IMAXBEL)
            echo_raw(t, 7);
        return;
    }
    if (lflag(t, ECHO)) {
        if (t->tail == t->committed)
            t->edit_column = t->column;
        if (returned)
            echo_raw(t, c);
        else
            echo_char(t, c); /* a line end that ends none, too: ^J */
    }
    push(t, c);
    if (!lflag(t, ICANON)) {
        t->committed = t->tail;
        wait_queue_wake(&t->read_queue);
    }
}

void
tty_receive(struct tty *t, const uint8_t *data, size_t size)
{
    for (size_t k = 0; k < size; k++)
        receive_byte(t, data[k]);
}

/* --- job control --- */

int
tty_check_change(struct tty *t, int sig)
{
    struct process *p = current_process();

    if (p->ctty != t || t->pgrp == 0 || p->pgid == t->pgrp)
        return 0;
    if (signal_ignored_current(sig))
        return sig == SIGTTIN ? -EIO : 0;
    if (group_is_orphaned(p->pgid))
        return -EIO;
    signal_send_group(p->pgid, sig);
    return -ERESTARTSYS;
}

void
tty_attach(struct tty *t, bool force)
{
    struct process *p = current_process();

    if (p->sid != p->pid || p->ctty || (t->session && !force))
        return;
    leave_session(t);
    p->ctty = t;
    t->session = p->sid;
    t->pgrp = p->pgid;
}

void
tty_hangup(struct tty *t)
{
    struct process *leader;

    if (t->hung_up)
        return;
    t->hung_up = true;
    leader = t->session ? process_find(t->session) : NULL;
    if (leader && leader->ctty == t) {
        signal_send_process(leader, SIGHUP);
        signal_send_process(leader, SIGCONT);
    }
    if (t->pgrp > 0 && t->pgrp != t->session) {
        signal_send_group(t->pgrp, SIGHUP);
        signal_send_group(t->pgrp, SIGCONT);
    }
    leave_session(t);
    wait_queue_wake(&t->read_queue);
    wait_queue_wake(&t->write_queue);
    wait_queue_wake(&t->master_read_queue);
}

void
tty_session_ended(struct process *leader)
{
    tty_release_session(leader, false);
}

/* The leader leaves its terminal, or ends: stopped jobs of an ended one go on only when their group is an orphan
 * now. */
void
tty_release_session(struct process *leader, bool goes_on)
{
    struct tty *t = leader->ctty;

    if (!t || t->session != leader->pid)
        return;
    if (t->pgrp > 0) {
        signal_send_group(t->pgrp, SIGHUP);
        if (goes_on)
            signal_send_group(t->pgrp, SIGCONT);
    }
    leave_session(t);
}

unsigned
tty_device_number(const struct tty *t)
{
    return t ? 136u << 8 | (unsigned)t->index : 0;
}

int
tty_foreground(const struct tty *t)
{
    return t && t->pgrp > 0 ? t->pgrp : -1;
}

void
tty_set_winsize(struct tty *t, const struct winsize *w)
{
    if (memcmp(&t->winsize, w, sizeof *w) == 0)
        return;
    t->winsize = *w;
    if (t->pgrp > 0)
        signal_send_group(t->pgrp, SIGWINCH);
}

/* --- the slave's file --- */

static ssize_t
slave_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct tty *t = f->data;
    size_t want = iov_total(iov, count), n = 0;
    bool timed_out = vfs_read_timed_out, fault = false;
    uint8_t byte;
    int r;

    if (t->hung_up)
        return 0;
    r = tty_check_change(t, SIGTTIN);
    if (r < 0)
        return r;
    if (want == 0)
        return 0;
    if (lflag(t, ICANON)) {
        if (t->lines == 0)
            return -EAGAIN;
    } else {
        unsigned min = t->termios.c_cc[VMIN], have = distance(t->head, t->tail);

        if (have < (min < want ? min : want) && !timed_out && !(have > 0 && (f->flags & O_NONBLOCK) && min == 0))
            return -EAGAIN;
        if (have == 0)
            return timed_out || (min == 0 && t->termios.c_cc[VTIME] == 0) ? 0 : -EAGAIN;
    }
    while (n < want && t->head != t->tail) {
        uint16_t c = t->input[t->head];

        if (lflag(t, ICANON) && t->lines == 0)
            break;
        t->head = (t->head + 1) % TTY_INPUT;
        if (c & (TTY_MARK_LINE | TTY_MARK_EOF))
            t->lines -= t->lines > 0;
        if (!(c & TTY_MARK_EOF) || !lflag(t, ICANON)) { /* typed as the end of the file, it is a zero for who reads
                                                           raw */
            byte = (uint8_t)c;
            fault = iov_scatter(iov, count, n, &byte, 1) == 0;
            if (fault)
                break;
            n++;
        }
        if (lflag(t, ICANON) && (c & (TTY_MARK_LINE | TTY_MARK_EOF)))
            break;
    }
    if (distance(t->committed, t->tail) > distance(t->head, t->tail))
        t->committed = t->head;
    wait_queue_wake(&t->master_write_queue);
    if (t->console)
        console_resume_input(t);
    return n || !fault ? (ssize_t)n : -EFAULT;
}

static ssize_t
slave_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct tty *t = f->data;
    uint8_t in[512], out[512 * 8];
    size_t total = tty_at_once(iov_total(iov, count)), done = 0;
    int r;

    if (t->hung_up || (!t->console && !t->master_open))
        return -EIO;
    if (lflag(t, TOSTOP) && (r = tty_check_change(t, SIGTTOU)) < 0)
        return r;
    while (done < total) {
        size_t n = iov_gather(iov, count, done, in, sizeof in), made = 0, used = 0;
        size_t room = raw_room(t);

        if (n == 0)
            return done ? (ssize_t)done : -EFAULT;
        while (used < n && made + 8 <= room && made + 8 <= sizeof out)
            made += post_process(t, in[used++], out + made);
        if (used == 0)
            break;
        for (size_t put = 0; put < made;) { /* the host's terminal may take less than it promised */
            size_t w = raw_put(t, out + put, made - put);

            if (w == 0)
                break;
            put += w;
        }
        done += used;
    }
    return done || total == 0 ? (ssize_t)done : -EAGAIN;
}

static unsigned
slave_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct tty *t = f->data;
    unsigned events = 0;

    poll_add(queues, count, max, &t->read_queue);
    poll_add(queues, count, max, &t->write_queue);
    if (t->console && (vfs_poll_wanted & (POLLOUT | POLLWRNORM)) && !t->stopped && raw_room(t) == 0)
        poll_add(queues, count, max, &t->host_out_queue);
    if (readable(t))
        events |= POLLIN | POLLRDNORM;
    if (t->hung_up)
        return events | POLLHUP | POLLERR | POLLOUT | POLLWRNORM;
    if (raw_room(t) >= 8)
        events |= POLLOUT | POLLWRNORM;
    return events;
}

static uint64_t
slave_timeout(struct file *f, bool write)
{
    struct tty *t = f->data;

    if (write || lflag(t, ICANON) || t->termios.c_cc[VTIME] == 0)
        return 0;
    if (t->termios.c_cc[VMIN] > 0 && distance(t->head, t->tail) == 0)
        return 0;
    return t->termios.c_cc[VTIME] * 100000000ull;
}

static void
slave_release(struct file *f)
{
    struct tty *t = f->data;

    t->slaves--;
    if (t->slaves == 0) {
        t->exclusive = false;
        wait_queue_wake(&t->master_read_queue);
    }
    tty_put(t);
}

const struct file_ops OPS_TABLE(file_ops) tty_slave_ops = {
    .name = "tty",
    .tells_async = true,
    .read = slave_read,
    .write = slave_write,
    .poll = slave_poll,
    .ioctl = tty_ioctl,
    .release = slave_release,
    .io_timeout = slave_timeout,
};

int
tty_open_slave(struct tty *t, struct file *f)
{
    if (t->hung_up || t->locked || (!t->console && !t->master_open))
        return -EIO;
    if (t->exclusive && t->slaves && current_task() && !capable(CAP_SYS_ADMIN))
        return -EBUSY;
    f->ops = &tty_slave_ops;
    f->data = t;
    refcount_get(&t->refs);
    t->slaves++;
    t->slave_opened = true;
    if (!(f->flags & O_NOCTTY) && current_task())
        tty_attach(t, false);
    return 0;
}
