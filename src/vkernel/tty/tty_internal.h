/* Between the files of tty/. */
#ifndef VKERNEL_TTY_TTY_INTERNAL_H
#define VKERNEL_TTY_TTY_INTERNAL_H

#include <asm/termbits.h>
#include <sys/ioctl.h>

#include "vkernel/vfs/vfs.h"
#include "vkernel/tty/tty.h"

enum { TTY_INPUT = 4096, TTY_HELD = 4096, TTY_OUTPUT = 16384, TTY_MARK_LINE = 0x100, TTY_MARK_EOF = 0x200 };

/* One terminal: the line discipline and, on its other side, a pty master or the host's terminal. */
struct tty {
    struct refcount refs; /* open slave files, the master, the console's forever */
    int index;            /* pts number */
    struct dentry *node;

    struct termios2 termios;
    struct winsize winsize;
    int session, pgrp; /* 0: none */

    /* input: bytes with marks; [head, committed) is what a canonical reader may have, [committed, tail) being edited */
    uint16_t input[TTY_INPUT];
    unsigned head, committed, tail, lines;
    bool literal; /* VLNEXT: take the next byte as it is */
    unsigned column, edit_column;

    /* output towards a pty's master */
    uint8_t *output;
    unsigned out_head, out_used;
    bool stopped;  /* by ^S or TCOOFF */
    bool flow_off; /* by TCOOFF: only TCOON ends it */
    uint8_t *held; /* echoes meanwhile, before OPOST; NULL: none yet */
    unsigned held_used;

    bool locked, hung_up, slave_opened, packet, exclusive;
    uint8_t packet_status;
    unsigned slaves;
    bool master_open;
    struct wait_queue read_queue, write_queue; /* slave's side */
    struct wait_queue master_read_queue, master_write_queue;

    bool console;
    int host_in, host_out;
    struct host_watch watch, out_watch, size_watch;
    struct wait_queue host_queue, host_out_queue, size_queue;
    struct wait_entry on_input, on_resize;
};
OBJECT_POOL_OF(tty);

/* tty.c */
void tty_init(struct tty *t);
void tty_put(struct tty *t);
void tty_receive(struct tty *t, const uint8_t *data, size_t size);
unsigned tty_input_room(const struct tty *t);
unsigned tty_input_ready(const struct tty *t); /* bytes of all whole lines, FIONREAD */
void tty_hangup(struct tty *t);
void tty_flush_input(struct tty *t);
/* News for a master in packet mode: TIOCPKT_* to set and, being contradicted, to clear. */
void tty_packet(struct tty *t, unsigned set, unsigned clear);
void tty_set_stopped(struct tty *t, bool on);
void tty_flush_output(struct tty *t);
int tty_check_change(struct tty *t, int sig);
void tty_attach(struct tty *t, bool force);
void tty_release_session(struct process *leader, bool goes_on);
extern const struct file_ops OPS_TABLE(file_ops) tty_slave_ops;
int tty_open_slave(struct tty *t, struct file *f);
void tty_set_winsize(struct tty *t, const struct winsize *w);

/* tty_ioctl.c */
int tty_ioctl(struct file *f, unsigned long request, guest_addr arg);
int tty_common_ioctl(struct tty *t, unsigned long request, guest_addr arg, bool master);

/* pty.c */
void pty_free_node(struct tty *t);
void console_resume_input(struct tty *t);

/* The most that one write takes: with some settings a terminal drops bytes, and no buffer is ever full. */
static inline size_t
tty_at_once(size_t size)
{
    return size < 65536 ? size : 65536;
}

#endif
