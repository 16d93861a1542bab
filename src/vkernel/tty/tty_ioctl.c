/* ioctls of terminals (ioctl_tty(2)). */
#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"
#include "vkernel/tty/tty_internal.h"
#include "vkernel/usercopy/usercopy.h"
#include "vkernel/vfs/creds.h"

#include <signal.h>

/* The kernel's struct termios: TCGETS and TCSETS. */
struct kernel_termios {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[19];
};
_Static_assert(sizeof(struct kernel_termios) == 36, "struct termios of the kernel");

static int
get_termios(struct tty *t, guest_addr arg, bool two)
{
    return copy_to_guest(arg, &t->termios, two ? sizeof t->termios : sizeof(struct kernel_termios));
}

/* Would a master in packet mode do ^S and ^Q itself? */
static bool
has_flow(const struct termios2 *t)
{
    return (t->c_iflag & IXON) && t->c_cc[VSTOP] == 023 && t->c_cc[VSTART] == 021;
}

/* What the oldest of these calls (TCGETA, TCSETA) know of a terminal: the lower halves of the flags, and eight control
 * characters. */
static int
get_termio(const struct tty *t, guest_addr arg)
{
    struct termio old = {
        .c_iflag = (uint16_t)t->termios.c_iflag,
        .c_oflag = (uint16_t)t->termios.c_oflag,
        .c_cflag = (uint16_t)t->termios.c_cflag,
        .c_lflag = (uint16_t)t->termios.c_lflag,
        .c_line = t->termios.c_line,
    };

    memcpy(old.c_cc, t->termios.c_cc, sizeof old.c_cc);
    return copy_to_guest(arg, &old, sizeof old);
}

static uint32_t
with_lower_half(uint32_t flags, uint16_t lower)
{
    return (flags & 0xffff0000) | lower;
}

static int
apply_termios(struct tty *t, struct termios2 next, bool flush)
{
    struct termios2 before = t->termios;
    unsigned old = t->termios.c_lflag;

    if (flush)
        tty_flush_input(t);
    /* as every pty: nothing else is carried */
    next.c_cflag = (next.c_cflag & ~(unsigned)(CSIZE | PARENB)) | CS8 | CREAD;
    t->termios = next;
    if (!(next.c_iflag & IXON) && (before.c_iflag & IXON))
        tty_set_stopped(t, false);
    if (has_flow(&before) != has_flow(&next) || ((before.c_lflag | next.c_lflag) & EXTPROC))
        tty_packet(t,
                   (has_flow(&next) ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP) |
                       (((before.c_lflag | next.c_lflag) & EXTPROC) ? TIOCPKT_IOCTL : 0),
                   TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
    if ((old ^ next.c_lflag) & ICANON) {
        /* what was typed so far is one line for a canonical reader, plain bytes for a raw one */
        if (!(next.c_lflag & ICANON)) {
            t->committed = t->tail;
        } else if (t->head != t->tail && t->lines == 0) {
            t->input[(t->tail + TTY_INPUT - 1) % TTY_INPUT] |= TTY_MARK_LINE;
            t->committed = t->tail;
            t->lines = 1;
        }
        wait_queue_wake(&t->read_queue);
    }
    return 0;
}

static int
set_termios(struct tty *t, guest_addr arg, bool two, bool flush)
{
    struct termios2 next = t->termios;
    int r = copy_from_guest(&next, arg, two ? sizeof next : sizeof(struct kernel_termios));

    return r < 0 ? r : apply_termios(t, next, flush);
}

static int
set_termio(struct tty *t, guest_addr arg, bool flush)
{
    struct termios2 next = t->termios;
    struct termio old;

    if (copy_from_guest(&old, arg, sizeof old) < 0)
        return -EFAULT;
    next.c_iflag = with_lower_half(next.c_iflag, old.c_iflag);
    next.c_oflag = with_lower_half(next.c_oflag, old.c_oflag);
    next.c_cflag = with_lower_half(next.c_cflag, old.c_cflag);
    next.c_lflag = with_lower_half(next.c_lflag, old.c_lflag);
    next.c_line = old.c_line;
    memcpy(next.c_cc, old.c_cc, sizeof old.c_cc);
    return apply_termios(t, next, flush);
}

/* Which settings nobody may change: none, as it takes a capability to lock them that no container has. */
static int
get_locked(guest_addr arg)
{
    static const struct kernel_termios none;

    return copy_to_guest(arg, &none, sizeof none);
}

static int
set_carrier_ignored(struct tty *t, guest_addr arg)
{
    int on;

    if (copy_from_guest(&on, arg, sizeof on) < 0)
        return -EFAULT;
    t->termios.c_cflag = on ? t->termios.c_cflag | CLOCAL : t->termios.c_cflag & ~(uint32_t)CLOCAL;
    return 0;
}

static int
set_pgrp(struct tty *t, guest_addr arg)
{
    int pgrp, r;
    struct process *member;

    r = tty_check_change(t, SIGTTOU);
    if (r < 0)
        return r;
    if (current_process()->ctty != t || t->session != current_process()->sid)
        return -ENOTTY;
    if (copy_from_guest(&pgrp, arg, sizeof pgrp) < 0)
        return -EFAULT;
    if (pgrp < 0)
        return -EINVAL;
    member = group_next(pgrp, NULL); /* all of a group are of one session */
    if (!member)
        return -ESRCH;
    if (member->sid != t->session)
        return -EPERM;
    t->pgrp = pgrp;
    return 0;
}

static int
put_int(guest_addr arg, int value)
{
    return copy_to_guest(arg, &value, sizeof value);
}

static int
detach(struct tty *t)
{
    struct process *p = current_process();

    if (p->ctty != t)
        return -ENOTTY;
    if (p->sid == p->pid)
        tty_release_session(p, true);
    p->ctty = NULL;
    return 0;
}

static int
flush(struct tty *t, uint64_t what)
{
    if (what > 2)
        return -EINVAL;
    if (what != TCOFLUSH)
        tty_flush_input(t);
    if (what != TCIFLUSH)
        tty_flush_output(t);
    return 0;
}

static int
flow(struct tty *t, uint64_t what)
{
    if (what > 3)
        return -EINVAL;
    if (what == TCOOFF && !t->flow_off) {
        t->flow_off = true;
        tty_set_stopped(t, true);
    } else if (what == TCOON && t->flow_off) { /* what ^S stopped, ^Q starts */
        t->flow_off = false;
        tty_set_stopped(t, false);
    }
    return 0;
}

static bool
changes(unsigned long request)
{
    switch (request) {
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TIOCSLCKTRMIOS:
    case TIOCSSOFTCAR:
    case TCFLSH:
    case TCXONC:
    case TCSBRK:
    case TCSBRKP: return true;
    default: return false;
    }
}

int
tty_common_ioctl(struct tty *t, unsigned long request, guest_addr arg, bool master)
{
    struct winsize w;
    int r;

    if (changes(request) && !master && (r = tty_check_change(t, SIGTTOU)) < 0)
        return r;
    switch (request) {
    case TCGETS: return get_termios(t, arg, false);
    case TCGETS2: return get_termios(t, arg, true);
    case TCSETS:
    case TCSETSW: return set_termios(t, arg, false, false);
    case TCSETSF: return set_termios(t, arg, false, true);
    case TCSETS2:
    case TCSETSW2: return set_termios(t, arg, true, false);
    case TCSETSF2: return set_termios(t, arg, true, true);
    case TCGETA: return get_termio(t, arg);
    case TCSETA:
    case TCSETAW: return set_termio(t, arg, false);
    case TCSETAF: return set_termio(t, arg, true);
    case TIOCGLCKTRMIOS: return get_locked(arg);
    case TIOCSLCKTRMIOS:
    case TIOCVHANGUP: return -EPERM; /* for CAP_SYS_ADMIN only */
    case TIOCSTI: return -EIO;       /* as with dev.tty.legacy_tiocsti=0 */
    case TIOCCONS: return master ? -EINVAL : -EPERM;
    case TIOCGSOFTCAR: return put_int(arg, (t->termios.c_cflag & CLOCAL) != 0);
    case TIOCSSOFTCAR: return set_carrier_ignored(t, arg);
    case TIOCGDEV: return put_int(arg, tty_device_number(t));
    case TIOCGWINSZ: return copy_to_guest(arg, &t->winsize, sizeof t->winsize);
    case TIOCSWINSZ:
        if (copy_from_guest(&w, arg, sizeof w) < 0)
            return -EFAULT;
        tty_set_winsize(t, &w);
        return 0;
    case TIOCGPGRP:
        if (!master && current_process()->ctty != t)
            return -ENOTTY;
        return put_int(arg, t->pgrp);
    case TIOCGSID:
        if ((!master && current_process()->ctty != t) || t->session == 0)
            return -ENOTTY;
        return put_int(arg, t->session);
    case TCFLSH: return flush(t, arg);
    case TCXONC: return flow(t, arg);
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK: return 0; /* output needs no draining: it is written at once, or kept for the master */
    case TIOCOUTQ: return put_int(arg, (int)t->out_used);
    case TIOCGETD: return put_int(arg, 0);
    case TIOCSETD: return copy_from_guest(&r, arg, sizeof r) < 0 ? -EFAULT : r == 0 ? 0 : -EINVAL;
    case TIOCEXCL:
    case TIOCNXCL: t->exclusive = request == TIOCEXCL; return 0;
    case TIOCGEXCL: return put_int(arg, t->exclusive);
    default: return -ENOTTY;
    }
}

int
tty_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct tty *t = f->data;

    if (t->hung_up)
        return -EIO;
    switch (request) {
    case FIONREAD: return put_int(arg, (int)tty_input_ready(t));
    case TIOCSPGRP: return set_pgrp(t, arg);
    case TIOCSCTTY: {
        struct process *p = current_process();

        if (p->ctty == t && t->session == p->sid)
            return 0;
        if (p->sid != p->pid || p->ctty || (t->session && !(arg == 1 && capable(CAP_SYS_ADMIN))))
            return -EPERM;
        tty_attach(t, arg == 1);
        return 0;
    }
    case TIOCNOTTY: return detach(t);
    default: return tty_common_ioctl(t, request, arg, false);
    }
}
