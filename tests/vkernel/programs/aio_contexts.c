/* Contexts of asynchronous I/O: what io_setup and io_destroy accept, what the ring says, who has a context. */
#include "aio.h"

static void
setups(void)
{
    aio_context_t c = 0, d = 0, busy = 1;

    show("no place", setup(1, NULL));
    show("bad place", setup(1, (aio_context_t *)8));
    show("no events", setup(0, &c));
    show("not zero", setup(1, &busy));
    show("more than there may be", setup(0x10000000, &c));
    show("more than all may have", setup(65537, &c));
    show("far too many", setup(~0u, &c));
    show("one", setup(1, &c));
    show("a second", setup(100, &d));
    printf("different: %d, aligned: %d\n", c != d, c % 4096 == 0);
    show("destroyed", destroy(c));
    show("again", destroy(c));
    show("the other", destroy(d));
    show("nothing", destroy(0));
    show("a wild name", destroy(0x12345000));
    show("a mapped name", destroy((aio_context_t)(uintptr_t)&c & ~4095ul));
}

static void
rings(void)
{
    aio_context_t c = 0, d = 0;
    struct ring *r;
    char line[256], *found = NULL;
    FILE *maps;
    unsigned n;

    show("setup", setup(10, &c));
    r = (struct ring *)c;
    printf("ring: head %u tail %u magic %x compatible %x incompatible %x length %u enough %d\n", r->head, r->tail,
           r->magic, r->compatible, r->incompatible, r->length, r->slots > 20);
    maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "aio") && strtoull(line, NULL, 16) == c)
            found = strchr(line, ' '), printf("mapped: %.5s %s", found, strchr(line, '/'));
    fclose(maps);
    n = r->id;
    r->id = 12345;
    show("a ring with another number", destroy(c));
    r->id = n;
    show("with its own", destroy(c));
    c = 0;
    show("setup", setup(10, &c));
    munmap((void *)c, 4096);
    show("unmapped", destroy(c));
    show("setup", setup(10, &d));
    mprotect((void *)d, 4096, PROT_NONE);
    show("cannot be read", destroy(d));
    mprotect((void *)d, 4096, PROT_READ | PROT_WRITE);
    show("can be read", destroy(d));
}

static void
count(const char *what, long base)
{
    FILE *f = fopen("/proc/sys/fs/aio-nr", "r");
    long n = -1;

    fscanf(f, "%ld", &n);
    fclose(f);
    printf("%s: %ld\n", what, n - base);
}

static void
counts(void)
{
    aio_context_t c = 0, d = 0;
    FILE *f = fopen("/proc/sys/fs/aio-nr", "r");
    long base = 0;

    fscanf(f, "%ld", &base);
    fclose(f);
    setup(1000, &c);
    count("one context", base);
    setup(17, &d);
    count("two", base);
    destroy(c);
    count("one again", base);
    destroy(d);
    count("none", base);
}

static void
forks(void)
{
    aio_context_t c = 0, own = 0;
    int fd = open("/proc/self/exe", O_RDONLY), status;
    char byte[4];
    struct iocb io = {.aio_lio_opcode = IOCB_CMD_PREAD,
                      .aio_fildes = fd,
                      .aio_buf = (uintptr_t)byte,
                      .aio_nbytes = 4,
                      .aio_data = 3};

    show("setup", setup(4, &c));
    fflush(stdout);
    if (fork() == 0) {
        show("the child submits", submit_one(c, &io));
        show("the child destroys", destroy(c));
        show("the child makes its own", setup(4, &own));
        show("and submits", submit_one(own, &io));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    show("the parent submits", submit_one(c, &io));
    show_event("event", c);
    show("destroyed", destroy(c));
    close(fd);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    setups();
    rings();
    counts();
    forks();
    return 0;
}
