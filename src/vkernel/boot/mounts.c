/* The tree that a container starts with: root overlay, /proc, /dev, /sys, the files that docker makes in /etc, volumes. */
#include <stdio.h>

#include "vkernel/vfs/vfs.h"
#include "platform/heap.h"
#include "vkernel/net/socket.h"
#include "vkernel/boot/boot.h"
#include "vkernel/fs/fs.h"

const char *vfs_hostname = "localhost";

/* A path below root, with directories made on the way. out: the last one's dentry. */
static int
make_dirs(struct dentry *root, const char *path, struct dentry **out)
{
    struct dentry *d = dentry_get(root);

    while (*path) {
        const char *end;
        struct dentry *next;
        int r;

        while (*path == '/')
            path++;
        if (!*path)
            break;
        end = strchrnul(path, '/');
        r = vfs_lookup(d, path, (size_t)(end - path), &next);
        if (r == -ENOENT && OPS(d->inode->ops)->create)
            r = OPS(d->inode->ops)->create(d, path, (size_t)(end - path), S_IFDIR | 0755, 0, NULL, &next);
        dentry_put(d);
        if (r < 0)
            return r;
        d = next;
        path = end;
    }
    *out = d;
    return 0;
}

static int
make_file(struct dentry *root, const char *path, const char *text)
{
    const char *slash = strrchr(path, '/');
    char dir_name[256];
    struct dentry *dir, *d;
    int r;

    if (!slash || (size_t)(slash - path) >= sizeof dir_name)
        return -EINVAL;
    memcpy(dir_name, path, (size_t)(slash - path));
    dir_name[slash - path] = '\0';
    r = make_dirs(root, dir_name, &dir);
    if (r < 0)
        return r;
    if (vfs_lookup(dir, slash + 1, strlen(slash + 1), &d) == 0) {
        if (OPS(dir->inode->ops)->unlink) /* a symlink of the image (resolv.conf) must not lead the text elsewhere */
            OPS(dir->inode->ops)->unlink(dir, d);
        dentry_put(d);
    }
    r = OPS(dir->inode->ops)->create(dir, slash + 1, strlen(slash + 1), S_IFREG | 0644, 0, NULL, &d);
    if (r == 0) {
        ssize_t n = memfs_write_inode(d->inode, text, strlen(text), 0);

        r = n < 0 ? (int)n : 0;
        dentry_put(d);
    }
    dentry_put(dir);
    return r;
}

/* A file of /etc: the network's own, or else the text. */
static int
make_network_file(struct dentry *root, const char *path, const char *text)
{
    char *hosts = network->text(path + strlen("/etc/"));
    int r = make_file(root, path, hosts ? hosts : text);

    bytes_free(hosts);
    return r;
}

static int
make_etc(struct dentry *root, const char *hostname)
{
    char text[512];
    int r;

    snprintf(text, sizeof text, "%s\n", hostname);
    r = make_file(root, "/etc/hostname", text);
    snprintf(text, sizeof text,
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
             "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n%s\t%s\n",
             network == &user_network ? "10.0.2.100" : "127.0.1.1", hostname);
    if (r == 0)
        r = make_network_file(root, "/etc/hosts", text);
    if (r == 0)
        r = make_network_file(root, "/etc/resolv.conf", "# The container has no network.\n");
    return r;
}

int
vfs_mount_root(const struct artifact *a, const char *hostname)
{
    struct superblock *sb = memfs_new(a ? "overlay" : "tmpfs", a, 0755);
    int r;

    if (!sb)
        return -ENOMEM;
    if (hostname && *hostname)
        vfs_hostname = hostname; /* the caller's own: sethostname(2) shows in /proc */
    r = mount_add(sb, NULL);
    if (r == 0)
        r = procfs_mount(sb->root);
    if (r == 0)
        r = devfs_mount(sb->root);
    if (r == 0)
        r = sysfs_mount(sb->root);
    if (r == 0)
        r = cgroupfs_mount();
    if (r == 0)
        r = make_etc(sb->root, vfs_hostname);
    return r;
}

/* One name of a guest path, symlinks followed; made when it is not there. */
static int
make_one(const char *path, uint32_t mode)
{
    struct path p;
    int r = path_walk(AT_FDCWD, path, WALK_FOLLOW, &p);

    if (r == 0)
        path_fini(&p);
    if (r != -ENOENT)
        return r;
    r = path_walk(AT_FDCWD, path, WALK_PARENT, &p);
    if (r < 0)
        return r;
    r = p.last_special ? -ENOENT : vfs_create(p.dentry, p.last, p.last_length, mode, 0, NULL, NULL);
    path_fini(&p);
    return r;
}

int
vfs_make_path(const char *path, bool is_dir)
{
    char prefix[VFS_PATH_MAX];
    int r = 0;

    if (strlen(path) >= sizeof prefix)
        return -ENAMETOOLONG;
    for (const char *end = path; r == 0 && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        memcpy(prefix, path, (size_t)(end - path));
        prefix[end - path] = '\0';
        r = make_one(prefix, *end || is_dir ? S_IFDIR | 0755 : S_IFREG | 0644);
    }
    return r;
}

int
vfs_mount_volume(int host_fd, const char *guest_path, bool read_only)
{
    struct superblock *sb = hostfs_new(host_fd, read_only);
    struct path p;
    int r;

    if (!sb)
        return -ENOENT;
    r = vfs_make_path(guest_path, S_ISDIR(sb->root->inode->mode));
    if (r < 0)
        return r;
    r = path_walk(AT_FDCWD, guest_path, WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    r = mount_add(sb, p.dentry);
    path_fini(&p);
    return r;
}
