/* Executable memory is exactly the verified bytes of files while these change: another process writes to a copy of this
 * program by a shared mapping all the time, and another thread to the place where it is mapped to be executed. What is
 * executed was the program, or nothing is. (not on Linux, where nobody asks what is executed) */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "changer.h"

#define PLACE ((char *)0x30000000)

extern const char __ehdr_start[];
static char image[4 << 20];
static long image_size;
static __thread sigjmp_buf back;

__attribute__((noinline, aligned(64))) int
answer(void)
{
    __asm__ volatile("");
    return 42;
}

static void
jump(int sig)
{
    siglongjmp(back, sig);
}

/* What the function returns, or minus the signal. */
static int
call(const char *p)
{
    int sig = sigsetjmp(back, 1);

    return sig ? -sig : ((int (*)(void))p)();
}

static const unsigned char made[8] = {0xb8, 0x37, 0x13, 0, 0, 0xc3, 0x90, 0x90}; /* mov $0x1337, %eax; ret */

/* To where code is mapped from time to time. */
static void *
write_for_ever(void *word)
{
    for (;;) {
        if (sigsetjmp(back, 1) == 0)
            *(volatile uint64_t *)word = *(const uint64_t *)made;
        sched_yield();
    }
    return NULL;
}

/* Copies of this program, mapped before the changing process is made, which writes there, too. */
struct program {
    int fd;
    char *bytes;
};

static struct program
program_new(void)
{
    struct program p = {.fd = memfd_create("program", 0)};

    must(p.fd >= 0 && write(p.fd, image, image_size) == image_size && fchmod(p.fd, 0700) == 0, "a copy of the program");
    p.bytes = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
    must(p.bytes != MAP_FAILED, "a shared mapping");
    return p;
}

/* From now on a word of the file is what it was or another one. */
static void
change_program(const struct program *p, long at, uint64_t other)
{
    CHANGE(*(uint64_t *)(p->bytes + at), *(const uint64_t *)(image + at), other);
    start_changes();
}

static int
in_child(const char *p)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(call(p) & 127);
    waitpid(pid, &status, 0);
    return status >> 8;
}

/* Code that is mapped stays what it was, whatever becomes of its file, and of the memory before and after. */
static void
mappings(const struct program *program, long at)
{
    int fd = program->fd, mapped = 0;
    long size = (image_size + PAGE - 1) & ~(long)(PAGE - 1);
    const char *f = PLACE + at;
    pthread_t t;

    must(pthread_create(&t, NULL, write_for_ever, (void *)f) == 0, "a thread that writes");
    change(f, 0, 1, (const uint64_t *)made);
    change_program(program, at, *(const uint64_t *)made);
    for (uint64_t end = now_ms() + 800; now_ms() < end || !mapped; sched_yield()) {
        char *p = mmap(PLACE, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);

        must(p == PLACE || errno == EACCES, "to map a file that changes");
        if (p == PLACE) {
            mapped++;
            for (int k = 0; k < 3; k++, sched_yield())
                must(call(f) == 42, "mapped code");
            must(in_child(f) == 42, "mapped code in a child");
            must(mprotect(p, size, PROT_READ) == 0 && call(f) == -SIGSEGV, "no code any more");
            if (mprotect(p, size, PROT_READ | PROT_EXEC) == 0)
                must(call(f) == 42, "code again");
            else
                must(errno == EACCES && call(f) == -SIGSEGV, "not code again");
        }
        p = mmap(PLACE, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        must(p == PLACE, "memory in its place");
        must(mprotect(p, size, PROT_READ | PROT_EXEC) == -1 && call(f) == -SIGSEGV, "what was written is no code");
    }
    stop_changes();
    must(pwrite(fd, image + at, sizeof made, at) == sizeof made, "the file as it was");
    must(mmap(PLACE, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) == PLACE, "its code");
    must(pwrite(fd, made, sizeof made, at) == sizeof made && call(f) == 42, "the code, not the file");
    must(mprotect(PLACE, size, PROT_READ) == 0 && memcmp(f, made, sizeof made) == 0, "the file, not the code");
}

/* A program that changes in its code, or in its header: it is what it was, or it is not started. */
static void
programs(const struct program *program, long at, uint64_t other)
{
    static char *arguments[] = {"code-child", NULL};
    int status;
    pid_t child;

    change_program(program, at, other);
    for (uint64_t end = now_ms() + 400; now_ms() < end; sched_yield()) {
        child = fork();
        if (child == 0) {
            execveat(program->fd, "", arguments, arguments + 1, AT_EMPTY_PATH);
            _exit(errno == EACCES || errno == ETXTBSY || errno == ENOEXEC ? 0 : errno);
        }
        must(child > 0 && waitpid(child, &status, 0) == child, "a child");
        must(status == 0, "a program that changes");
    }
    stop_changes();
}

int
main(int argc, char **argv)
{
    static char stack[1 << 16];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = jump, .sa_flags = SA_ONSTACK | SA_NODEFER};
    long at = (const char *)answer - __ehdr_start;
    int fd = open("/proc/self/exe", O_RDONLY);
    uint64_t entry;
    struct program program[3];
    pid_t pid;

    if (argc > 0 && strcmp(argv[0], "code-child") == 0)
        return answer() != 42;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    image_size = read(fd, image, sizeof image);
    must(image_size > 0 && at % 8 == 0, "the program's own bytes");
    memcpy(&entry, image + 24, sizeof entry); /* e_entry */
    share();
    for (int k = 0; k < 3; k++)
        program[k] = program_new();
    pid = changing_process();
    second_writer(shared);
    stop_changes();
    mappings(&program[0], at);
    programs(&program[1], at, *(const uint64_t *)made);
    programs(&program[2], 24, entry + 16);
    second_writer(NULL);
    kill(pid, SIGKILL);
    puts("survived");
    fflush(stdout);
    _exit(0);
}
