/* A file that is mapped becomes shorter between two forks: the second child sees what its parent does, and both see
 * nothing behind the end. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 8 };

static sigjmp_buf back;

static void
on_fault(int sig)
{
    siglongjmp(back, sig);
}

static void
look(const char *who, const volatile char *pages)
{
    printf("%s:", who);
    for (int i = 0; i < PAGES; i++) {
        int sig = sigsetjmp(back, 1);

        if (sig)
            printf(" signal %d", sig);
        else
            printf(" %d", pages[i * PAGE]);
    }
    printf("\n");
    fflush(stdout);
}

static void
in_child(char *pages, int value)
{
    if (fork() == 0) {
        if (value)
            for (int i = 0; i < PAGES; i += 2)
                if (sigsetjmp(back, 1) == 0)
                    pages[i * PAGE] = (char)value;
        look("child", pages);
        _exit(0);
    }
    wait(NULL);
}

int
main(void)
{
    int fd = open("/tmp/shorter", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *pages;

    signal(SIGBUS, on_fault);
    signal(SIGSEGV, on_fault);
    ftruncate(fd, PAGES * PAGE);
    pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    for (int i = 0; i < PAGES; i++)
        pages[i * PAGE] = (char)(10 + i);
    for (int kept = PAGES; kept >= 0; kept -= 3) {
        in_child(pages, 0);
        in_child(pages, 50);
        ftruncate(fd, kept * PAGE);
        in_child(pages, 0);
        look("parent", pages);
    }
    ftruncate(fd, PAGES * PAGE);
    in_child(pages, 60);
    in_child(pages, 0);
    look("parent", pages);
    unlink("/tmp/shorter");
    return 0;
}
