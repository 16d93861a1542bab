/* What the audit test looks for: audited WHAT. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int stranger_status;

static int
refused_mapping(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}

static void
run_stranger(void)
{
    FILE *f = fopen("/tmp/stranger\033[31m", "w");
    char buf[4096];
    size_t n;
    FILE *self = fopen("/proc/self/exe", "r");

    while ((n = fread(buf, 1, sizeof buf, self)) > 0)
        fwrite(buf, 1, n, f);
    fputs("one byte more", f);
    fclose(f);
    chmod("/tmp/stranger\033[31m", 0755);
    if (vfork() == 0) {
        execl("/tmp/stranger\033[31m", "stranger", NULL);
        _exit(errno);
    }
    wait(&stranger_status);
}

static void
bind_and_connect(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4242), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

    bind(l, (struct sockaddr *)&a, sizeof a);
    listen(l, 1);
    connect(c, (struct sockaddr *)&a, sizeof a);
}

/* A new file of that size that ends with a number, and so is like no other, mapped to be executed. */
static int
execute_file(off_t size, int number)
{
    int fd = open("/tmp/code", O_RDWR | O_CREAT | O_TRUNC, 0600), result = 0;
    void *p;

    if (fd < 0 || pwrite(fd, &number, sizeof number, size - (off_t)sizeof number) != sizeof number)
        return -1;
    p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        result = errno;
    else
        munmap(p, 4096);
    close(fd);
    unlink("/tmp/code");
    return result;
}

static void
launch(char *argument)
{
    if (vfork() == 0) {
        execl("/bin/audited", "audited", argument, NULL);
        _exit(99);
    }
    wait(NULL);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "everything") == 0) {
        refused_mapping();
        refused_mapping();
        run_stranger();
        bind_and_connect();
        if (vfork() == 0)
            execl("/bin/audited", "audited", "caf\xe9 \"quoted\"", NULL);
        wait(NULL);
        return 3;
    }
    if (strcmp(what, "stranger") == 0) {
        run_stranger();
        run_stranger();
        return WEXITSTATUS(stranger_status);
    }
    if (strcmp(what, "flood") == 0)
        for (int i = 0; i < 40000; i++)
            refused_mapping();
    if (strcmp(what, "launches") == 0)
        for (int i = 0; i < 5; i++) {
            for (int k = 0; k < 5000; k++)
                refused_mapping();
            launch("in a flood");
        }
    if (strcmp(what, "admitted") == 0) {
        int n = 0;

        while (n < 10000 && execute_file(64, n) == 0)
            n++;
        printf("%d\n", n);
    }
    if (strcmp(what, "large") == 0) {
        int most = execute_file(64 << 20, 1), more = execute_file((64 << 20) + 4, 1);

        printf("%d %d\n", most, more);
    }
    if (strcmp(what, "many") == 0) /* records of a kilobyte */
        for (int i = 0; i < 100; i++)
            launch("small");
    if (strcmp(what, "torn") == 0) { /* a large record, and when somebody says so a small one */
        char *big = malloc(15501);

        memset(big, 'x', 15500);
        big[15500] = '\0';
        launch(big);
        puts("launched");
        fflush(stdout);
        getchar();
        launch("small");
    }
    if (strcmp(what, "processes") == 0) {
        struct rlimit few = {5, 5};

        setrlimit(RLIMIT_NPROC, &few);
        if (setuid(1000) < 0)
            return 8;
        for (int i = 0; i < 20; i++) {
            int pid = fork();

            if (pid < 0)
                return errno;
            if (pid == 0)
                return pause();
        }
        return 9;
    }
    if (strcmp(what, "arguments") == 0) {
        char *big = malloc(100001);

        memset(big, 'x', 100000);
        big[100000] = '\0';
        execl("/bin/audited", "audited", big, NULL);
    }
    return 0;
}
