/* Limits that /proc/sys shows and the rooms from vfs/ up hold to. Plain numbers, to be made text of. */
#ifndef VKERNEL_VFS_LIMITS_H
#define VKERNEL_VFS_LIMITS_H

#define LIMIT_FILES             1048576 /* fs.file-max: open files of all processes; CAP_SYS_ADMIN may have more */
#define LIMIT_DESCRIPTORS       1048576 /* fs.nr_open: of one process */
#define LIMIT_PIPE_SIZE         1048576 /* fs.pipe-max-size */
#define LIMIT_PIPE_PAGES        16384   /* fs.pipe-user-pages-soft: of one user */
#define LIMIT_INOTIFY_WATCHES   65536   /* fs.inotify.max_user_watches */
#define LIMIT_INOTIFY_INSTANCES 128     /* fs.inotify.max_user_instances */
#define LIMIT_INOTIFY_EVENTS    16384   /* fs.inotify.max_queued_events: of one instance */
#define LIMIT_EPOLL_WATCHES     1000000 /* fs.epoll.max_user_watches */
#define LIMIT_AIO_REQUESTS      65536   /* fs.aio-max-nr: what all contexts were made for */
#define LIMIT_LEASE_BREAK       45      /* fs.lease-break-time: seconds until a lease that is broken is taken back */
#define LIMIT_PTYS              4096    /* kernel.pty.max */
#define LIMIT_SOCKET_BUFFER     212992  /* net.core.rmem_max, wmem_max and the defaults */
#define LIMIT_BACKLOG           4096    /* net.core.somaxconn */
#define LIMIT_DGRAM_QUEUE       512     /* net.unix.max_dgram_qlen */

#define DIGITS_(n)    #n
#define DIGITS(n)     DIGITS_(n)
#define LIMIT_TEXT(n) DIGITS(n) "\n"

#endif
