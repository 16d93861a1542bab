/* Terminals: the N_TTY line discipline, job control, pseudo terminals and the console. */
#ifndef VKERNEL_TTY_TTY_H
#define VKERNEL_TTY_TTY_H

#include "vkernel/vfs/file.h"

struct superblock;
struct tty;

/* Opens a device of major 4, 5 or 136 in place of f's ops; -ENXIO for others. */
int tty_device_open(unsigned major, unsigned minor, struct file *f);
/* The file system of /dev/pts, with ptmx. */
struct superblock *devpts_new(void);
/* A terminal whose output goes to the host's terminal and whose input comes from it. NULL: not a terminal. */
struct process;
struct tty *tty_console_new(int host_in, int host_out);
/* A new open file of the console terminal. */
struct file *tty_console_file(struct tty *tty);
/* For /proc/PID/stat: device number and foreground group (0 and -1 for none). */
unsigned tty_device_number(const struct tty *tty);
int tty_foreground(const struct tty *tty);
/* The session leader has gone: SIGHUP to the foreground group, the session loses its terminal. For proc/. */
void tty_session_ended(struct process *leader);

extern unsigned pty_count; /* in use */

#endif
