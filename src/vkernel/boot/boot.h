/* What the files of boot/ share with one another. */
#ifndef VKERNEL_BOOT_BOOT_H
#define VKERNEL_BOOT_BOOT_H

#include "vkernel/vfs/vfs.h"

/* Mounts the image's root file system (the artifact's inodes under an overlay in memory), /proc, /dev, /dev/pts,
 * /dev/shm, a minimal /sys, and /etc/hosts, /etc/hostname and /etc/resolv.conf as docker does. The text of hostname is
 * not copied: it must stay. */
int vfs_mount_root(const struct artifact *a, const char *hostname);
/* Makes what is missing of an absolute guest path, as mkdir -p does; the last name a folder or an empty file. */
int vfs_make_path(const char *path, bool is_dir);
int vfs_mount_volume(int host_fd, const char *guest_path, bool read_only);

/* The console: fds 0, 1, 2 of the first process from the host's stdin, stdout, stderr (a tty when the host's is). */
int console_open(struct fdtable *t);

struct image_config;
/* Process 1, whose address space is made by its first exec. ignored: signals that whoever started us ignores, bit (signal - 1). */
struct task *boot_make_first_task(const struct image_config *image, uint64_t ignored);
void boot_first_task(void);                /* by the first fiber: process 1 gets its files, rights and program */
_Noreturn void container_exit(int status); /* wait status of process 1 */

/* --- special files --- */
int special_open(struct inode *inode, struct file *f); /* char devices, FIFOs, sockets by inode->mode */
int chrdev_open(struct inode *inode, struct file *f);
int devfs_mount(struct dentry *root);
int procfs_mount(struct dentry *root);
int procfs_pid(const struct file *f); /* of an open /proc/PID; 0 for other files */
int sysfs_mount(struct dentry *root);
int cgroupfs_mount(void); /* in it; when the container has limits to show */
extern const char *vfs_hostname;

#endif
