/* memfd_create and seals. */
#include "case.h"

#define FAILS(call) say(#call ": %s", (call) == MAP_FAILED ? strerrorname_np(errno) : "ok")

CASE(memfd_flags)
{
    char name[260];

    memset(name, 'a', sizeof name);
    name[249] = 0;
    SHOW(memfd_create(name, 0));
    name[249] = 'a', name[250] = 0;
    SHOW(memfd_create(name, 0));
    SHOW(memfd_create("", MFD_CLOEXEC));
    SHOW(fcntl(4, F_GETFD));
    SHOW(memfd_create("a", 0x1000));
    SHOW(memfd_create(NULL, 0));
    SHOW(syscall(SYS_memfd_create, "a", 8 | 16));
}

CASE(memfd_is_a_file)
{
    int fd = memfd_create("a", 0);
    struct stat st;
    char c;

    SHOW(write(fd, "abc", 3));
    SHOW(lseek(fd, 1, SEEK_SET));
    SHOW(read(fd, &c, 1));
    SHOW(ftruncate(fd, 100));
    fstat(fd, &st);
    say("%o %ld %ld %c", st.st_mode, (long)st.st_size, (long)st.st_nlink, c);
    SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
    SHOW(fcntl(fd, F_GET_SEALS));
}

CASE(seals_are_kept)
{
    int fd = memfd_create("a", MFD_ALLOW_SEALING);

    SHOW(fcntl(fd, F_GET_SEALS));
    write(fd, "abcdef", 6);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(ftruncate(fd, 3));
    SHOW(ftruncate(fd, 8));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(ftruncate(fd, 9));
    SHOW(write(fd, "xy", 2));
    SHOW(pwrite(fd, "x", 1, 4096));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(write(fd, "x", 1));
    FAILS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    FAILS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_GET_SEALS));
}

CASE(seal_of_mapped)
{
    int fd = memfd_create("a", MFD_ALLOW_SEALING);
    char *p;

    ftruncate(fd, 4096);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    p[0] = 'x';
    SHOW(pwrite(fd, "y", 1, 0));
    FAILS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    SHOW(munmap(p, 4096));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
}

CASE(seals_of_others)
{
    int file = make_file("f", ""), fd = memfd_create("a", MFD_ALLOW_SEALING), plain = memfd_create("b", 0), fds[2];
    char path[40];

    pipe(fds);
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW(fcntl(file, F_GET_SEALS) >= -1);
    SHOW(fcntl(fds[0], F_GET_SEALS));
    SHOW(fcntl(fds[0], F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, 0x1000));
    SHOW(fcntl(open(path, O_RDONLY), F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(open(path, O_RDONLY), F_GET_SEALS));
    SHOW(fcntl(-1, F_GET_SEALS));
}

CASE(seal_exec)
{
    int fd = syscall(SYS_memfd_create, "a", 8);
    struct stat st;

    SHOW(fcntl(fd, F_GET_SEALS));
    fstat(fd, &st);
    say("%o", st.st_mode);
    SHOW(fchmod(fd, 0755));
    SHOW(fchmod(fd, 0600));
}

CASE(memfd_execs)
{
    SHOW(execve("/proc/self/fd/99", (char *[]){"x", NULL}, NULL));
    int fd = memfd_create("a", 0);
    write(fd, "#!/nothing\n", 11);
    SHOW(syscall(SYS_execveat, fd, "", (char *[]){"x", NULL}, NULL, AT_EMPTY_PATH));
}
