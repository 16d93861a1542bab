/* The lock-down, tried from inside: a process that has it in force attempts what would harm the host or another
 * process, in some ninety ways. With all layers none may succeed, as root and as an ordinary user; and each layer is
 * put in force by itself, with the others switched off, and must stop what it is for. Without any layer most must
 * succeed: else the attempts prove nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "platform/lockdown.h"
#include "platform/sanitizer.h"

/* clang-format off */
enum { USER = 54321, STATUS_REFUSED = 10, STATUS_REACHED = 11, STATUS_BROKEN = 12, INHERITED = 200, INHERITED_DIR = 201,
       SKIPPED = 77 /* meson's */ };
/* clang-format on */

static bool contained;
static uint8_t page[4096] __attribute__((aligned(4096)));
static int segment, victim, tcp_port;
static volatile int *victim_word;
static char folder[] = "/tmp/ingot-lockdown-XXXXXX", file[64], unix_path[64], raising[64];
#define ASK_CAPABILITY "--has-capability"
static char abstract_name[32];

/* --- attempts: true when the harm was done --- */

/* clang-format off */
static bool exec_mmap(void) { return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; }
static bool exec_only(void) { return mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; }
static bool exec_mprotect(void) { return mprotect(page, sizeof page, PROT_READ | PROT_EXEC) == 0; }
static bool exec_writable(void) { return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; }
static bool exec_high_half(void) { return syscall(SYS_mprotect, page, sizeof page, 0x100000000ull | PROT_EXEC) == 0; }
static bool exec_pkey(void) { return syscall(SYS_pkey_mprotect, page, sizeof page, PROT_EXEC, -1) == 0; }
static bool exec_shm(void) { return shmat(segment, NULL, SHM_EXEC) != (void *)-1; }
static bool read_implies_exec(void) { return personality(READ_IMPLIES_EXEC) >= 0; }
static bool grow_down(void) { return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) != MAP_FAILED; }
static bool remap_pages(void) { return syscall(SYS_remap_file_pages, page, 4096, 0, 0, 0) == 0; }
static bool page_out(void) { return madvise(page, sizeof page, MADV_PAGEOUT) == 0; }
static bool secret_memory(void) { return syscall(447, 0) >= 0; }
static bool shadow_stack(void) { return syscall(453, 0, 4096, 0) >= 0; }
static bool fault_handler(void) { return syscall(SYS_userfaultfd, 0) >= 0; }
/* clang-format on */

static bool
exec_memfd(void)
{
    int fd = memfd_create("x", 0);

    return ftruncate(fd, 4096) == 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) != MAP_FAILED;
}

/* Calls by their numbers in the 32-bit and the x32 table. */
static bool
foreign_i386(void)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L /* getpid */) : "memory");
    return result > 0;
}

static bool
foreign_x32(void)
{
    return syscall(0x40000000 | 39) > 0;
}

static bool
poke(const char *path, const volatile void *at)
{
    int fd = open(path, O_RDWR), v = 99;

    return fd >= 0 && pwrite(fd, &v, sizeof v, (off_t)(uintptr_t)at) == sizeof v;
}

static bool
own_memory(void)
{
    return poke("/proc/self/mem", page);
}

static bool
other_memory(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", victim);
    return poke(path, victim_word);
}

static bool
write_other(void)
{
    struct iovec local = {page, 4}, remote = {(void *)(uintptr_t)victim_word, 4};

    return process_vm_writev(victim, &local, 1, &remote, 1, 0) == 4;
}

static bool
read_other(void)
{
    struct iovec local = {page, 4}, remote = {(void *)(uintptr_t)victim_word, 4};

    return process_vm_readv(victim, &local, 1, &remote, 1, 0) == 4;
}

/* clang-format off */
static bool trace_other(void) { return ptrace(PTRACE_SEIZE, victim, NULL, NULL) == 0; }
static bool trace_me(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; }
static bool kill_other(void) { return kill(victim, SIGURG) == 0; }
static bool kill_all(void) { return kill(-1, 0) == 0; }
static bool tgkill_other(void) { return syscall(SYS_tgkill, victim, victim, SIGURG) == 0; }
static bool tkill_other(void) { return syscall(SYS_tkill, victim, SIGURG) == 0; }
/* clang-format on */

static bool
pidfd_kill(void)
{
    long fd = syscall(434, victim, 0);

    return fd >= 0 && syscall(424, fd, SIGURG, NULL, 0) == 0;
}

static bool
pidfd_take(void)
{
    long fd = syscall(434, victim, 0);

    return fd >= 0 && syscall(438, fd, 0, 0) >= 0;
}

static bool
limit_other(void)
{
    struct rlimit now;

    return prlimit(victim, RLIMIT_CORE, NULL, &now) == 0 && prlimit(victim, RLIMIT_CORE, &now, NULL) == 0;
}

static bool
renice_other(void)
{
    return setpriority(PRIO_PROCESS, (id_t)victim, 1) == 0;
}

static bool
move_other(void)
{
    cpu_set_t set;

    return sched_getaffinity(victim, sizeof set, &set) == 0 && sched_setaffinity(victim, sizeof set, &set) == 0;
}

static bool
compare_other(void)
{
    return syscall(SYS_kcmp, getpid(), victim, 0 /* KCMP_FILE */, 1, 1) >= 0;
}

/* clang-format off */
static bool fork_process(void) { pid_t p = (pid_t)syscall(SYS_fork); if (p == 0) _exit(0); return p > 0; }
static bool vfork_process(void) { pid_t p = vfork(); if (p == 0) _exit(0); return p > 0; }
static bool clone_process(void) { pid_t p = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); if (p == 0) _exit(0); return p > 0; }
static bool run_program(void) { execl("/bin/true", "true", (char *)NULL); return false; /* true's status is told apart */ }
/* clang-format on */

static bool
clone3_process(void)
{
    uint64_t args[8] = {[4] = SIGCHLD};
    pid_t p = (pid_t)syscall(435, args, sizeof args);

    if (p == 0)
        _exit(0);
    return p > 0;
}

static bool
run_memfd(void)
{
    int fd = memfd_create("x", 0), program = open("/bin/true", O_RDONLY);
    static char *const none[] = {NULL};
    ssize_t n;

    while ((n = read(program, page, sizeof page)) > 0)
        if (write(fd, page, (size_t)n) != n)
            return false;
    syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH);
    return false;
}

/* files of the host */
/* clang-format off */
static bool opens(const char *path, int flags) { return open(path, flags, 0600) >= 0; }
static bool open_shadow(void) { return opens("/etc/shadow", O_RDONLY); }
static bool open_passwd(void) { return opens("/etc/passwd", O_RDONLY); }
static bool open_own(void) { return opens(file, O_RDWR); }
static bool open_tty(void) { return opens("/dev/ptmx", O_RDWR); }
static bool open_null(void) { return opens("/dev/null", O_RDWR); }
static bool open_memory(void) { return opens("/dev/mem", O_RDONLY) || opens("/dev/kmsg", O_RDONLY); }
static bool open_core_pattern(void) { return opens("/proc/sys/kernel/core_pattern", O_WRONLY); }
static bool open_sysrq(void) { return opens("/proc/sysrq-trigger", O_WRONLY); }
static bool open_root(void) { return opens("/", O_RDONLY | O_DIRECTORY) && opens("/etc", O_RDONLY | O_DIRECTORY); }
static bool open_up(void) { return opens("../../../../../../etc/passwd", O_RDONLY); }
static bool open_environment(void) { return opens("/proc/1/environ", O_RDONLY); }
static bool create_file(void) { char p[96]; snprintf(p, sizeof p, "%s/new%d", folder, getpid()); return opens(p, O_CREAT | O_WRONLY); }
static bool make_dir(void) { char p[96]; snprintf(p, sizeof p, "%s/dir%d", folder, getpid()); return mkdir(p, 0700) == 0; }
static bool make_link(void) { char p[96]; snprintf(p, sizeof p, "%s/sym%d", folder, getpid()); return symlink("x", p) == 0; }
static bool make_hard_link(void) { char p[96]; snprintf(p, sizeof p, "%s/hard%d", folder, getpid()); return link(file, p) == 0; }
static bool make_socket(void) { char p[96]; snprintf(p, sizeof p, "%s/s%d", folder, getpid()); return mknod(p, S_IFSOCK | 0600, 0) == 0; }
static bool rename_file(void) { char p[96]; snprintf(p, sizeof p, "%s/file", folder); return rename(p, p) == 0; }
static bool cut_file(void) { return truncate(file, 0) == 0; }
static bool mode_file(void) { return chmod(file, 0600) == 0; }
static bool stat_file(void) { struct stat st; return stat("/etc/passwd", &st) == 0; }
static bool read_link(void) { char b[64]; return readlink("/proc/self/exe", b, sizeof b) > 0; }
static bool change_dir(void) { return chdir("/etc") == 0; }
static bool change_root(void) { return chroot(folder) == 0; }
static bool watch_file(void) { int fd = syscall(SYS_inotify_init1, 0); return fd >= 0 && syscall(SYS_inotify_add_watch, fd, "/etc", 2) >= 0; }
static bool handle_of(void) { struct { unsigned n; int t; char b[128]; } h = {128, 0, {0}}; int m; return syscall(SYS_name_to_handle_at, AT_FDCWD, "/etc/passwd", &h, &m, 0) == 0; }
/* clang-format on */

static bool
disk(void)
{
    char p[96];

    snprintf(p, sizeof p, "%s/blk%d", folder, getpid());
    return mknod(p, S_IFBLK | 0600, makedev(254, 0)) == 0 || opens("/dev/vda", O_RDONLY) || opens("/dev/sda", O_RDONLY);
}

/* mounts and namespaces */
/* No file system has that name, but whoever may not mount does not get so far. */
/* clang-format off */
static bool mount_any(void) { return mount("x", "/mnt", "ingot", 0, NULL) == 0 || errno == ENODEV; }
static bool make_mount(void) { return syscall(430, "tmpfs", 0) >= 0; }
static bool clone_tree(void) { return syscall(428, AT_FDCWD, "/etc", 1) >= 0; }
static bool leave_root(void) { return syscall(SYS_pivot_root, "/", "/") == 0 || errno == EBUSY || errno == EINVAL; }
static bool join(void) { int fd = open("/proc/1/ns/mnt", O_RDONLY); return fd >= 0 && setns(fd, 0) == 0; }
static bool new_user_namespace(void) { return unshare(CLONE_NEWUSER) == 0; }
static bool new_mounts(void) { return unshare(CLONE_NEWNS) == 0; }
/* clang-format on */

/* sockets */
static bool
connects(const void *a, socklen_t n, int family, int type)
{
    int fd = socket(family, type, 0);
    return fd >= 0 && connect(fd, a, n) == 0;
}

static bool
unix_connect(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    strcpy(a.sun_path, unix_path);
    return connects(&a, sizeof a, AF_UNIX, SOCK_STREAM);
}

static bool
abstract_connect(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    memcpy(a.sun_path + 1, abstract_name, sizeof abstract_name);
    return connects(&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof abstract_name), AF_UNIX,
                    SOCK_STREAM);
}

static bool
tcp_connect(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)tcp_port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};

    return connects(&a, sizeof a, AF_INET, SOCK_STREAM);
}

static bool
tcp_bind(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

/* clang-format off */
static bool socket_pair(void) { int s[2]; return socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0; }
static bool udp_socket(void) { return socket(AF_INET, SOCK_DGRAM, 0) >= 0; }
static bool packet_socket(void) { return socket(AF_PACKET, SOCK_RAW, 0) >= 0; }
static bool raw_socket(void) { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0; }
static bool netlink_socket(void) { return socket(AF_NETLINK, SOCK_RAW, 0) >= 0; }
static bool crypto_socket(void) { return socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0; }
static bool machine_socket(void) { return socket(40 /* AF_VSOCK */, SOCK_STREAM, 0) >= 0; }
/* clang-format on */

/* the kernel */
/* clang-format off */
static bool ring(void) { uint32_t p[32] = {0}; return syscall(425, 8, p) >= 0; }
static bool load_bpf(void) { uint32_t a[32] = {1, 4, 4, 1}; return syscall(SYS_bpf, 0, a, 64) >= 0; }
static bool performance(void) { uint32_t a[32] = {1, 128}; return syscall(SYS_perf_event_open, a, 0, -1, -1, 0) >= 0; }
static bool add_a_key(void) { return syscall(SYS_add_key, "user", "ingot", "x", 1, -1) >= 0; }
static bool read_keys(void) { return syscall(SYS_keyctl, 0, -3, 1) >= 0; }
static bool load_module(void) { return syscall(SYS_init_module, page, 0, "") == 0 || errno == ENOEXEC || errno == EINVAL; }
static bool restart(void) { return syscall(SYS_reboot, 0, 0, 0, NULL) == 0 || errno == EINVAL; }
static bool kernel_log(void) { char b[16]; return syscall(SYS_syslog, 3, b, sizeof b) >= 0; }
static bool io_ports(void) { return syscall(SYS_ioperm, 0x80, 1, 1) == 0; }
static bool segments(void) { return syscall(SYS_modify_ldt, 0, page, 16) >= 0; }
static bool set_host_name(void) { return syscall(SYS_sethostname, "", 1000) == 0 || errno == EINVAL; }
static bool set_clock(void) { struct timex t = {.modes = ADJ_TICK}; return adjtimex(&t) >= 0 || errno == EINVAL; }
static bool shared_segment(void) { return shmat(segment, NULL, SHM_RDONLY) != (void *)-1; }
static bool message_queue(void) { return msgget(IPC_PRIVATE, 0600) >= 0; }
static bool aio(void) { unsigned long c = 0; return syscall(SYS_io_setup, 1, &c) == 0; }
static bool accounting(void) { return acct(NULL) == 0; }
static bool swap(void) { return syscall(SYS_swapon, folder, 0) == 0 || errno == EINVAL || errno == EISDIR; }
/* clang-format on */

/* rights */
/* clang-format off */
static bool become_root(void) { return setresuid(0, 0, 0) == 0; }
static bool become_other(void) { return setresuid(1, 1, 1) == 0; }
static bool take_groups(void) { gid_t g = 0; return syscall(SYS_setgroups, 1, &g) == 0; }
/* clang-format on */

static bool
take_capabilities(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {{.effective = 1u << CAP_SYS_ADMIN, .permitted = 1u << CAP_SYS_ADMIN}};

    return syscall(SYS_capset, &h, d) == 0;
}

/* A program whose file gives a capability to whoever runs it. */
static bool
gain_capability(void)
{
    execl(raising, "raising", ASK_CAPABILITY, (char *)NULL);
    return false; /* else the program's status tells */
}

static int
has_capability(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {{0}};

    return syscall(SYS_capget, &h, d) == 0 && (d[0].effective & 1u << CAP_SYS_ADMIN) ? 0 : STATUS_REFUSED;
}

static void
make_raising(void)
{
    const struct vfs_cap_data give = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                      .data = {{.permitted = 1u << CAP_SYS_ADMIN}}};
    char command[256];

    snprintf(raising, sizeof raising, "%s/raising", folder);
    snprintf(command, sizeof command, "cp /proc/%d/exe %s && chmod 755 %s", getpid(), raising, raising);
    if (system(command) != 0 || setxattr(raising, "security.capability", &give, sizeof give, 0) < 0)
        print_message("no file can give capabilities here\n");
}

/* clang-format off */
static bool dump_core(void) { return prctl(PR_SET_DUMPABLE, 1) == 0; }
static bool push_input(void) { int fd = open("/dev/ptmx", O_RDWR); return fd >= 0 && ioctl(fd, TIOCSTI, "x") == 0; }
static bool inherited(void) { return write(INHERITED, "x", 1) == 1; }
static bool inherited_dir(void) { return openat(INHERITED_DIR, "../../etc/passwd", O_RDONLY) >= 0 || faccessat(INHERITED_DIR, ".", R_OK, 0) == 0; }
/* clang-format on */

/* --- layers, by themselves --- */

/* clang-format off */
enum {
    FILTER = LAYER_FILTER, LANDLOCK = LAYER_LANDLOCK, ROOT = LAYER_ROOT, MEMORY = LAYER_MEMORY, FDS = LAYER_DESCRIPTORS,
    RIGHTS = LAYER_IDENTITY | LAYER_CAPABILITIES, IPC = LAYER_NAMESPACES,
    OF_ROOT = 1 << 20, RIGHTS_OF_ROOT = RIGHTS | OF_ROOT, /* an ordinary user's process remains that user's */
};

static const struct way {
    const char *name;
    bool (*attempt)(void);
    unsigned stopped_by; /* each of these alone */
} ways[] = {
#define WAY(function, layers) {#function, function, layers}
    WAY(exec_mmap, FILTER), WAY(exec_only, FILTER), WAY(exec_mprotect, FILTER | MEMORY), WAY(exec_writable, FILTER | MEMORY),
    WAY(exec_high_half, FILTER), WAY(exec_pkey, FILTER | MEMORY), WAY(exec_shm, FILTER | IPC), WAY(exec_memfd, FILTER),
    WAY(read_implies_exec, FILTER), WAY(grow_down, FILTER), WAY(remap_pages, FILTER), WAY(page_out, FILTER),
    WAY(secret_memory, FILTER), WAY(shadow_stack, FILTER), WAY(fault_handler, FILTER), WAY(foreign_i386, FILTER),
    WAY(foreign_x32, FILTER), WAY(own_memory, FILTER | LANDLOCK | ROOT), WAY(other_memory, FILTER | LANDLOCK | ROOT | RIGHTS_OF_ROOT),
    WAY(write_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK), WAY(read_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK),
    WAY(trace_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK), WAY(trace_me, FILTER), WAY(kill_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK),
    WAY(kill_all, FILTER), WAY(tgkill_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK), WAY(tkill_other, FILTER | RIGHTS_OF_ROOT | LANDLOCK),
    WAY(pidfd_kill, FILTER | RIGHTS_OF_ROOT | LANDLOCK), WAY(pidfd_take, FILTER | RIGHTS_OF_ROOT | LANDLOCK), WAY(limit_other, FILTER | RIGHTS_OF_ROOT),
    WAY(renice_other, FILTER | RIGHTS_OF_ROOT), WAY(move_other, FILTER | RIGHTS_OF_ROOT), WAY(compare_other, FILTER | RIGHTS_OF_ROOT),
    WAY(fork_process, FILTER), WAY(vfork_process, FILTER), WAY(clone_process, FILTER), WAY(clone3_process, FILTER),
    WAY(run_program, FILTER | ROOT | LANDLOCK), WAY(run_memfd, FILTER),
    WAY(open_shadow, FILTER | LANDLOCK | ROOT | RIGHTS), WAY(open_passwd, FILTER | LANDLOCK | ROOT),
    WAY(open_own, FILTER | LANDLOCK | ROOT), WAY(open_tty, FILTER | LANDLOCK | ROOT), WAY(open_null, FILTER | LANDLOCK | ROOT),
    WAY(open_memory, FILTER | LANDLOCK | ROOT), WAY(open_core_pattern, FILTER | LANDLOCK | ROOT | RIGHTS),
    WAY(open_sysrq, FILTER | LANDLOCK | ROOT | RIGHTS), WAY(open_root, FILTER | LANDLOCK | ROOT),
    WAY(open_up, FILTER | LANDLOCK | ROOT), WAY(open_environment, FILTER | LANDLOCK | ROOT | RIGHTS),
    WAY(create_file, FILTER | LANDLOCK | ROOT), WAY(make_dir, FILTER | LANDLOCK | ROOT), WAY(make_link, FILTER | LANDLOCK | ROOT),
    WAY(make_hard_link, FILTER | ROOT), WAY(make_socket, FILTER | LANDLOCK | ROOT), WAY(rename_file, FILTER | ROOT),
    WAY(cut_file, FILTER | LANDLOCK | ROOT), WAY(mode_file, FILTER | ROOT), WAY(stat_file, FILTER | ROOT),
    WAY(read_link, FILTER | ROOT), WAY(change_dir, FILTER | ROOT), WAY(change_root, FILTER | ROOT | RIGHTS),
    WAY(watch_file, FILTER | ROOT), WAY(handle_of, FILTER | ROOT), WAY(disk, FILTER | LANDLOCK | ROOT | RIGHTS),
    WAY(mount_any, FILTER | LANDLOCK | ROOT | RIGHTS), WAY(make_mount, FILTER | RIGHTS), WAY(clone_tree, FILTER | ROOT | RIGHTS),
    WAY(leave_root, FILTER | RIGHTS), WAY(join, FILTER | ROOT | RIGHTS | LANDLOCK), WAY(new_user_namespace, FILTER | ROOT),
    WAY(new_mounts, FILTER | RIGHTS), WAY(unix_connect, FILTER | ROOT), WAY(abstract_connect, FILTER | LANDLOCK),
    WAY(tcp_connect, FILTER | LANDLOCK), WAY(tcp_bind, FILTER | LANDLOCK), WAY(socket_pair, FILTER), WAY(udp_socket, FILTER),
    WAY(packet_socket, FILTER | RIGHTS), WAY(raw_socket, FILTER | RIGHTS), WAY(netlink_socket, FILTER),
    WAY(crypto_socket, FILTER), WAY(machine_socket, FILTER), WAY(ring, FILTER), WAY(load_bpf, FILTER), WAY(performance, FILTER),
    WAY(add_a_key, FILTER), WAY(read_keys, FILTER), WAY(load_module, FILTER | RIGHTS), WAY(restart, FILTER | RIGHTS),
    WAY(kernel_log, FILTER), WAY(io_ports, FILTER | RIGHTS), WAY(segments, FILTER), WAY(set_host_name, FILTER | RIGHTS),
    WAY(set_clock, FILTER | RIGHTS), WAY(shared_segment, FILTER | IPC), WAY(message_queue, FILTER), WAY(aio, FILTER),
    WAY(accounting, FILTER | RIGHTS), WAY(swap, FILTER | RIGHTS | ROOT), WAY(become_root, FILTER | RIGHTS),
    WAY(become_other, FILTER | RIGHTS), WAY(take_groups, FILTER | RIGHTS), WAY(take_capabilities, FILTER | RIGHTS),
    WAY(gain_capability, FILTER | ROOT | LANDLOCK | RIGHTS),
    WAY(dump_core, FILTER), WAY(push_input, FILTER | ROOT | LANDLOCK), WAY(inherited, FDS), WAY(inherited_dir, FDS),
#undef WAY
};
/* clang-format on */
enum { WAYS = sizeof ways / sizeof *ways };

/* Becomes the user, locks down, tries it: one of STATUS_*, or reached by a program that ran. */
static _Noreturn void
child(const struct way *w, unsigned layers, bool as_user, int report)
{
    struct lockdown l = {.layers = layers & LAYERS_ALL, .full = layers & LAYER_ISOLATION};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (as_user && geteuid() == 0 && (setresgid(USER, USER, USER) < 0 || setresuid(USER, USER, USER) < 0))
        _exit(STATUS_BROKEN);
    prctl(PR_SET_DUMPABLE, 1);
    if (layers & LAYER_MEMORY)
        prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0);
    platform_isolate(&l);
    if (platform_lockdown(&l) < 0)
        _exit(STATUS_BROKEN);
    if (write(report, &l.missing, sizeof l.missing) != sizeof l.missing)
        _exit(STATUS_BROKEN);
    _exit(w->attempt() ? STATUS_REACHED : STATUS_REFUSED);
}

static bool
reached(const struct way *w, unsigned layers, bool as_user, unsigned *missing)
{
    int status = 0, report[2];
    pid_t pid;

    *missing = 0;
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        child(w, layers, as_user, report[1]);
    assert_true(pid > 0);
    close(report[1]);
    assert_int_equal(read(report[0], missing, sizeof *missing), sizeof *missing);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(report[0]);
    if (WIFSIGNALED(status)) {
        /* Without 32-bit support in the kernel int $0x80 faults. */
        assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
        return false;
    }
    assert_true(WEXITSTATUS(status) != STATUS_BROKEN);
    return WEXITSTATUS(status) != STATUS_REFUSED; /* 0: the program ran */
}

/* --- the layer of descriptors, by numbers and by the list --- */

enum { OURS = 3 };

/* Those of ours are opened behind `inherited` others: do they stay, and only they? */
static _Noreturn void
look_at_descriptors(int inherited)
{
    struct lockdown l = {.layers = LAYER_DESCRIPTORS};
    int ours[OURS], found = 0, open_now = 0;

    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < inherited; i++)
        if (dup(0) < 0)
            _exit(STATUS_BROKEN);
    if (dup2(0, 1000) < 0)
        _exit(STATUS_BROKEN);
    for (int i = 0; i < OURS; i++) {
        ours[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (ours[i] < 0)
            _exit(STATUS_BROKEN);
    }
    platform_isolate(&l);
    if (platform_lockdown(&l) < 0 || l.missing)
        _exit(STATUS_BROKEN);
    for (int i = 0; i < OURS; i++)
        found += fcntl(ours[i], F_GETFD) >= 0;
    for (int fd = 3; fd < 1024; fd++)
        open_now += fcntl(fd, F_GETFD) >= 0;
    _exit(found == OURS && open_now == OURS ? STATUS_REFUSED : STATUS_REACHED);
}

static void
descriptors(void **state)
{
    static const int counts[] = {0, 1, 150, 188, 192, 240, 253, 254, 300, 600};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
            look_at_descriptors(counts[i]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), STATUS_REFUSED);
    }
}

static bool
is_root(void)
{
    return geteuid() == 0;
}

static void
without_layers(void **state)
{
    unsigned count = 0, missing;

    (void)state;
    for (size_t i = 0; i < WAYS; i++)
        count += reached(&ways[i], 0, false, &missing);
    print_message("%u of %d ways lead somewhere without any layer\n", count, WAYS);
    assert_true(count >= (is_root() ? 75u : 45u) - (contained ? 8 : 0));
}

static void
all_layers(void **state)
{
    unsigned through = 0, missing = 0;

    (void)state;
    for (int user = is_root() ? 0 : 1; user < 2; user++)
        for (size_t i = 0; i < WAYS; i++)
            for (int full = 0; full < 2; full++)
                if (reached(&ways[i], LAYERS_ALL | (full ? LAYER_ISOLATION : 0), user, &missing)) {
                    print_error("%s leads out, as %s%s; missing layers %#x\n", ways[i].name, user ? "user" : "root",
                                full ? ", isolated" : "", missing);
                    through++;
                }
    assert_int_equal(through, 0);
}

static void
one_layer(void **state)
{
    static const unsigned layers[] = {FILTER, LANDLOCK, ROOT, RIGHTS, MEMORY, FDS, IPC};
    unsigned through = 0, tried = 0, left_out = 0;

    (void)state;
    for (int user = is_root() ? 0 : 1; user < 2; user++)
        for (size_t k = 0; k < sizeof layers / sizeof *layers; k++)
            for (size_t i = 0; i < WAYS; i++) {
                /* An ordinary user may change the root in a user namespace only. */
                unsigned alone = layers[k] == ROOT && user ? ROOT | LAYER_NAMESPACES : layers[k], missing;
                bool got;

                if (!(ways[i].stopped_by & layers[k]) ||
                    (layers[k] == RIGHTS && (ways[i].stopped_by & OF_ROOT) && !is_root()))
                    continue;
                got = reached(&ways[i], alone, user, &missing);
                tried++;
                if (missing)
                    left_out++;
                else if (got) {
                    print_error("%s leads out past %s alone, as %s\n", ways[i].name,
                                platform_layer_name(layers[k] & -layers[k]), user ? "user" : "root");
                    through++;
                }
            }
    print_message("%u tried, %u left out: their layer is missing here\n", tried, left_out);
    assert_int_equal(through, 0);
}

/* --- what the vkernel needs --- */

static void
ordinary_work(void **state)
{
    struct lockdown l = {.layers = LAYERS_ALL};
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        uint8_t *p;
        int fd;
        char c = 1;

        platform_isolate(&l);
        if (platform_lockdown(&l) < 0)
            _exit(1);
        p = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fd = memfd_create("x", MFD_CLOEXEC);
        if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE) < 0 || fd < 0 || ftruncate(fd, 4096) < 0)
            _exit(2);
        p[0] = 1;
        if (mmap(p + 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
            _exit(3);
        if (pwrite(fd, &c, 1, 0) != 1 || !malloc(1 << 20))
            _exit(4);
        _exit(42);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

/* As in a container of docker's: no new namespaces, no mounts. */
static void
forbid_mounts(void)
{
    enum { REFUSE = SECCOMP_RET_ERRNO | EPERM };
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 428, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 433, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 442, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, REFUSE),
    };
    struct sock_fprog p = {.len = sizeof program / sizeof *program, .filter = program};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0), 0);
}

static int
listener(int family, const void *address, socklen_t length)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, address, length) == 0 && listen(fd, 128) == 0 ? fd : -1;
}

static int
set_up(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof in;
    int fd;

    (void)state;
    snprintf(abstract_name, sizeof abstract_name, "ingot-lockdown-%d", getpid());
    segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
    if (!mkdtemp(folder) || chmod(folder, 0777) < 0)
        return -1;
    snprintf(file, sizeof file, "%s/file", folder);
    make_raising();
    fd = open(file, O_CREAT | O_RDWR, 0666);
    if (fd < 0 || fchmod(fd, 0666) < 0 || dup2(fd, INHERITED) < 0)
        return -1;
    close(fd);
    fd = open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || dup2(fd, INHERITED_DIR) < 0)
        return -1;
    close(fd);
    snprintf(unix_path, sizeof unix_path, "%s/socket", folder);
    strcpy(a.sun_path, unix_path);
    if (listener(AF_UNIX, &a, sizeof a) < 0 || chmod(unix_path, 0777) < 0)
        return -1;
    a.sun_path[0] = '\0';
    memcpy(a.sun_path + 1, abstract_name, sizeof abstract_name);
    if (listener(AF_UNIX, &a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof abstract_name)) < 0)
        return -1;
    fd = listener(AF_INET, &in, sizeof in);
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&in, &length) < 0)
        return -1;
    tcp_port = ntohs(in.sin_port);
    victim_word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    victim = fork();
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return 0;
}

static int
tear_down(void **state)
{
    char command[96];

    (void)state;
    if (victim > 0)
        kill(victim, SIGKILL);
    shmctl(segment, IPC_RMID, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_layers), cmocka_unit_test(all_layers),
                                       cmocka_unit_test(one_layer), cmocka_unit_test(descriptors),
                                       cmocka_unit_test(ordinary_work)};

    if (PLATFORM_SANITIZED) {
        print_message("a sanitized build has no lock-down\n");
        return SKIPPED;
    }
    if (argc == 2 && strcmp(argv[1], ASK_CAPABILITY) == 0)
        return has_capability();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "user") == 0 && geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(USER, USER, USER) < 0 || setresuid(USER, USER, USER) < 0))
            return 1;
        contained |= strcmp(argv[i], "contained") == 0;
    }
    prctl(PR_SET_DUMPABLE, 1);
    if (contained)
        forbid_mounts();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
