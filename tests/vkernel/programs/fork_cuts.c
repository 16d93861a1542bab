/* After a fork, parts of what two processes share are replaced: by nothing, by new memory, by a file that is only read and by one that is
 * shared. Then there are more forks, and everybody sees what is theirs. There are so many pieces that a kernel which made a mapping of the host's of
 * each would come to the end of them. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 16 * PAGE, CHUNKS = 4096 };
static const size_t size = (size_t)CHUNKS * CHUNK;
static unsigned char *region;

static unsigned char
mark(size_t chunk)
{
    return (unsigned char)(chunk * 37 % 251 + 1);
}

/* The page of each chunk that has content. */
static unsigned char *
written(size_t chunk)
{
    return region + chunk * CHUNK + chunk % 16 * PAGE;
}

static int
wrong(void)
{
    int n = 0;

    for (size_t i = 0; i < size; i += PAGE)
        n += region[i] != (region + i == written(i / CHUNK) ? mark(i / CHUNK) : 0);
    return n;
}

static int
run(int (*f)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(f());
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

static int
is_right(void)
{
    return wrong() != 0;
}

/* Every second page goes; what was in them, too. */
static int
in_pieces(void)
{
    int n = wrong();

    for (size_t i = 0; i < size; i += 2 * PAGE)
        if (madvise(region + i, PAGE, MADV_DONTNEED) < 0)
            return 1;
    for (size_t i = 0; i < size; i += PAGE)
        n += region[i] != (region + i == written(i / CHUNK) && i / PAGE % 2 ? mark(i / CHUNK) : 0);
    if (n)
        return 2;
    void *more = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED || mprotect(more, PAGE, PROT_READ) < 0 || munmap(more, PAGE) < 0)
        return 3;
    return 0;
}

static int
has_files(void)
{
    int n = 0;

    n += memcmp(region + PAGE, "shared", 6) != 0 || memcmp(region + 3 * CHUNK + PAGE, "only read", 9) != 0;
    memcpy(region + PAGE, "SHARED", 6);
    for (size_t chunk = 4; chunk < CHUNKS; chunk++)
        n += *written(chunk) != mark(chunk);
    return n != 0;
}

static int
with_files(void)
{
    int fd = open("/tmp/fork_cuts", O_RDWR | O_CREAT | O_TRUNC, 0600), only, n = wrong();
    char text[10] = "";

    if (fd < 0 || write(fd, "shared", 6) != 6 || ftruncate(fd, 2 * PAGE) < 0)
        return 1;
    if (mmap(region + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return 2;
    only = open("/tmp/fork_cuts_read", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (only < 0 || write(only, "only read", 9) != 9)
        return 3;
    close(only);
    only = open("/tmp/fork_cuts_read", O_RDONLY);
    if (mmap(region + 3 * CHUNK + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, only, 0) == MAP_FAILED)
        return 4;
    if (run(has_files) != 0 || run(has_files) == 0) /* the second finds what the first has written */
        return 5;
    if (pread(fd, text, 6, 0) != 6 || strcmp(text, "SHARED") != 0 || memcmp(region + PAGE, "SHARED", 6) != 0)
        return 6;
    unlink("/tmp/fork_cuts");
    unlink("/tmp/fork_cuts_read");
    return n != 0;
}

static int
at_places(void)
{
    int n = wrong();

    for (size_t chunk = 0; chunk < CHUNKS; chunk += 64) {
        if (mmap(written(chunk), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED)
            return 1;
        *written(chunk) = mark(chunk);
    }
    n += run(is_right) != 0;
    for (size_t chunk = 0; chunk < CHUNKS; chunk++)
        *written(chunk) = mark(chunk);
    return n + wrong() != 0;
}

int
main(void)
{
    region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t chunk = 0; chunk < CHUNKS; chunk++)
        *written(chunk) = mark(chunk);
    printf("read by a child: %d\n", run(is_right));
    printf("in pieces: %d\n", run(in_pieces));
    printf("with files: %d\n", run(with_files));
    printf("replaced in places: %d\n", run(at_places));
    printf("the parent's own: %d\n", wrong());
    printf("again, in pieces: %d\n", run(in_pieces));
    return 0;
}
