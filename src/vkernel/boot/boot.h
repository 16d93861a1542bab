/* What the files of boot/ share with one another. */
#ifndef VKERNEL_BOOT_BOOT_H
#define VKERNEL_BOOT_BOOT_H

#include "vkernel/vfs/vfs.h"

/* Mounts the image's root file system (the artifact's inodes under an overlay in memory), /proc, /dev, /dev/pts,
 * /dev/shm, a minimal /sys, and /etc/hosts, /etc/hostname and /etc/resolv.conf as docker does. The text of hostname is
 * not copied: it must stay. */
int vfs_mount_root(const struct artifact *a, const char *hostname);
/* Makes what is missing of an absolute guest path, as mkdir -p does. Its last name becomes a folder or an empty
 * file. */
int vfs_make_path(const char *path, bool is_dir);
int vfs_mount_volume(int host_fd, const char *guest_path, bool read_only);

/* Opens the console: the first process's descriptors 0, 1 and 2 lead to the host's stdin, stdout and stderr, and are a
 * terminal where the host's are. */
int console_open(struct fdtable *t);

struct image_config;
/* Makes process 1, whose address space comes with its first exec. ignored: the signals that whoever started us ignores,
 * bit (signal - 1). */
struct task *boot_make_first_task(const struct image_config *image, uint64_t ignored);
void boot_first_task(void); /* called by the first fiber; gives process 1 its files, rights and program */
_Noreturn void container_exit(int status); /* wait status of process 1 */

/* --- special files --- */
int special_open(struct inode *inode, struct file *f); /* character devices, FIFOs and sockets, by inode->mode */
int chrdev_open(struct inode *inode, struct file *f);
int devfs_mount(struct dentry *root);
int procfs_mount(struct dentry *root);
int procfs_pid(const struct file *f); /* the process of an open /proc/PID; 0 for other files */
int sysfs_mount(struct dentry *root);
int cgroupfs_mount(void); /* mounts it in /sys, when the container has limits to show */
extern const char *vfs_hostname;

#endif
