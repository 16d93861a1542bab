/* The seccomp filter: each way to executable memory, to other processes and programs ends the process, and what the vkernel
 * needs still works. Every case runs in a child of its own, with nothing but the filter in force. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/lockdown.h"
#include "platform/platform.h"

static uint8_t page[4096] __attribute__((aligned(4096)));
static int segment;

static void exec_mmap(void) { mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void exec_only_mmap(void) { mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void exec_mprotect(void) { mprotect(page, sizeof page, PROT_READ | PROT_EXEC); }
static void exec_high_half(void) { syscall(SYS_mprotect, page, sizeof page, 0x100000000ull | PROT_EXEC); }
static void exec_pkey(void) { syscall(SYS_pkey_mprotect, page, sizeof page, PROT_EXEC, -1); }
static void exec_shm(void) { shmat(segment, NULL, SHM_EXEC); }
static void read_implies_exec(void) { personality(READ_IMPLIES_EXEC); }

static void
exec_memfd(void)
{
    int fd = memfd_create("x", 0);

    if (ftruncate(fd, 4096) == 0)
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
}

/* mmap by its numbers in the 32-bit and the x32 table. */
static void
foreign_i386(void)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L /* getpid */) : "memory");
}

static void foreign_x32(void) { syscall(0x40000000 | 39); }

static void
write_own_memory(void)
{
    struct iovec v = {page, 1};

    process_vm_writev(getpid(), &v, 1, &v, 1, 0);
}

static void trace(void) { ptrace(PTRACE_TRACEME, 0, NULL, NULL); }
static void start_program(void) { execl("/bin/true", "true", (char *)NULL); }
static void start_process(void) { syscall(SYS_fork); }
static void start_thread(void) { syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static void start_clone3(void) { syscall(435, page, 64); }
static void ring(void) { syscall(425, 8, page); }
static void load_bpf(void) { syscall(SYS_bpf, 0, page, 64); }
static void new_namespace(void) { syscall(SYS_unshare, 0); }

static void open_file(void) { open("/etc/passwd", O_RDONLY); }
static void unix_socket(void) { socket(AF_UNIX, SOCK_STREAM, 0); }
static void any_socket(void) { socket(AF_INET, SOCK_STREAM, 0); }
static void signal_other(void) { kill(getppid(), 0); }
static void signal_thread_of_other(void) { syscall(SYS_tgkill, 1, 1, 0); }
static void push_back_input(void) { ioctl(0, TIOCSTI, "x"); }
static void page_out(void) { madvise(page, sizeof page, MADV_PAGEOUT); }
static void grow_down(void) { mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0); }

/* Runs it behind the filter: the child's status. */
static int
behind(void (*attempt)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (platform_lockdown(&(struct lockdown){.layers = LAYER_FILTER}) < 0)
            _exit(99);
        attempt();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
forbids(void **state)
{
    static void (*const attempts[])(void) = {
        exec_mmap, exec_only_mmap, exec_mprotect, exec_high_half, exec_pkey, exec_shm, exec_memfd, read_implies_exec,
        foreign_i386, foreign_x32, write_own_memory, trace, start_program, start_process, start_thread, start_clone3,
        ring, load_bpf, new_namespace, open_file, unix_socket, any_socket, signal_other, signal_thread_of_other,
        push_back_input, page_out, grow_down,
    };

    (void)state;
    segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        int status = behind(attempts[i]);

        if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGSYS && attempts[i] != foreign_i386))
            print_error("attempt %zu: status %#x\n", i, (unsigned)status);
        assert_true(WIFSIGNALED(status));
        /* Without 32-bit support in the kernel int $0x80 faults before any filter. */
        assert_true(WTERMSIG(status) == SIGSYS || (attempts[i] == foreign_i386 && WTERMSIG(status) == SIGSEGV));
    }
    shmctl(segment, IPC_RMID, NULL);
}

static void
ordinary_work(void)
{
    uint8_t *p = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = memfd_create("x", MFD_CLOEXEC);
    char c = 1;

    if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE) < 0 || fd < 0 || ftruncate(fd, 4096) < 0)
        _exit(1);
    p[0] = 1;
    if (mmap(p + 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        _exit(2);
    if (pwrite(fd, &c, 1, 0) != 1 || !malloc(1 << 20))
        _exit(3);
    _exit(42);
}

static void
allows(void **state)
{
    int status = behind(ordinary_work);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forbids), cmocka_unit_test(allows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
