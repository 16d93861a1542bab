/* What the test of chunks runs: reader [read|map FILE]... prints the sum of each file's bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        int fd = open(argv[i + 1], O_RDONLY);
        unsigned long sum = 0;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
            return 2;
        if (strcmp(argv[i], "map") == 0) {
            const unsigned char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

            if (p == MAP_FAILED)
                return 3;
            for (long k = 0; k < st.st_size; k++)
                sum += p[k];
        } else {
            static unsigned char buf[65536];
            long n;

            while ((n = read(fd, buf, sizeof buf)) > 0)
                for (long k = 0; k < n; k++)
                    sum += buf[k];
        }
        printf("%s %lu\n", argv[i + 1], sum);
        fflush(stdout);
        close(fd);
    }
    return 7;
}
