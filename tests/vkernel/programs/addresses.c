/* Buffers that no process can have: which calls say so, and when. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void
result(const char *what, long r)
{
    printf("%s: %ld %s\n", what, r, r < 0 ? strerrorname_np(errno) : "");
}

int
main(void)
{
    static const unsigned long odd[] = {1ul << 47, (1ul << 47) - 4096, 1ul << 62, -4096ul, -1ul};
    int fd = memfd_create("addresses", 0), q[2];
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    pipe2(q, O_NONBLOCK);
    write(fd, "contents", 8);
    for (unsigned k = 0; k < sizeof odd / sizeof odd[0]; k++) {
        printf("%lx\n", odd[k]);
        result(" read at the end", read(fd, page, odd[k]));
        result(" pread at the end", pread(fd, (void *)odd[k], 8, 8));
        result(" pread", pread(fd, page, odd[k], 0));
        result(" write", write(q[1], (void *)odd[k], 8));
        result(" a vector", writev(fd, (struct iovec[]){{page, 8}, {page, odd[k]}}, 2));
        result(" a vector's address", writev(fd, (struct iovec[]){{page, 8}, {(void *)odd[k], 8}}, 2));
        lseek(fd, 8, SEEK_SET);
        ftruncate(fd, 8);
        result(" lseek", lseek(fd, (long)odd[k], SEEK_CUR) < 0 ? -1 : 0);
        lseek(fd, 8, SEEK_SET);
        result(" lseek from the end", lseek(fd, 0x7ffffffffffffff8, SEEK_END));
        lseek(fd, 8, SEEK_SET);
    }
    return 0;
}
