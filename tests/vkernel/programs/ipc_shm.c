/* Shared memory segments: keys, ids, permissions, attachments of every kind, and when a segment is destroyed. Needs
 * root. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
enum { KEY = 0x1d6072, SOMEBODY = 1000, ANOTHER = 1001, PAGE = 4096 };

static struct shmid_ds
look(int id)
{
    struct shmid_ds d;

    memset(&d, 0xee, sizeof d);
    if (shmctl(id, IPC_STAT, &d) < 0)
        printf("stat: %s\n", error(-1));
    return d;
}

static void
attached(const char *what, int id)
{
    printf("%s: %d\n", what, (int)look(id).shm_nattch);
}

/* Runs f in a child of this user, in no other group. */
static void
as(int uid, void (*f)(int), int id)
{
    fflush(stdout);
    if (fork() == 0) {
        if (uid && (syscall(SYS_setgroups, 0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
            printf("setuid: %s\n", error(-1));
        f(id);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void
keys(void)
{
    int a = shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640), b;
    struct shmid_ds d = look(a);

    printf("again: %d %s\n", shmget(KEY, 5000, IPC_CREAT) == a, error(shmget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600)));
    printf("smaller: %d larger: %s\n", shmget(KEY, 0, 0) == a, error(shmget(KEY, 5001, 0)));
    printf("none: %s\n", error(shmget(KEY + 1, 1, 0)));
    printf("size 0: %s, huge: %s, more: %s\n", error(shmget(KEY + 1, 0, IPC_CREAT)),
           error(shmget(KEY + 1, -1, IPC_CREAT)), error(shmget(KEY + 1, 1, IPC_CREAT | SHM_HUGETLB | 0600)));
    printf("key %x mode %o uid %d %d size %zu pids %d %d times %d %d %d\n", d.shm_perm.__key, d.shm_perm.mode,
           d.shm_perm.uid, d.shm_perm.cuid, d.shm_segsz, d.shm_cpid == getpid(), d.shm_lpid, (int)d.shm_atime,
           (int)d.shm_dtime, d.shm_ctime >= time(NULL) - 2 && d.shm_ctime <= time(NULL));
    printf("remove: %s, again: %s\n", error(shmctl(a, IPC_RMID, NULL)), error(shmctl(a, IPC_RMID, NULL)));
    b = shmget(KEY, 1, IPC_CREAT | 0600);
    printf("another id: %d, the old one: %s\n", a != b, error(shmctl(a, IPC_STAT, &d)));
    shmctl(b, IPC_RMID, NULL);
    a = shmget(IPC_PRIVATE, 1, 0600);
    b = shmget(IPC_PRIVATE, 1, 0600);
    printf("private: %d\n", a != b && a >= 0 && b >= 0);
    shmctl(a, IPC_RMID, NULL);
    shmctl(b, IPC_RMID, NULL);
}

static void
sequence(void)
{
    struct shmid_ds d;
    int first = shmget(IPC_PRIVATE, 1, 0600), id = first, slots = 0;

    do {
        shmctl(id, IPC_RMID, NULL);
        id = shmget(IPC_PRIVATE, 1, 0600);
        slots++;
    } while (id % 32768 != first % 32768);
    printf("slots %d, sequence is later: %d, the old id: %s\n", slots, id > first, error(shmctl(first, IPC_STAT, &d)));
    printf("the old id: %s\n", error((long)shmat(first, NULL, 0)));
    printf("by slot: %d\n", shmctl(first % 32768, SHM_STAT, &d) == id);
    shmctl(id, IPC_RMID, NULL);
    printf("by slot: %s\n", error(shmctl(first % 32768, SHM_STAT, &d)));
}

static void
commands(void)
{
    int a = shmget(IPC_PRIVATE, 3 * PAGE, 0600);
    struct shmid_ds d;
    struct shminfo i;
    struct shm_info u;
    int highest = shmctl(0, IPC_INFO, (void *)&i);

    printf("limits: %lx %lx %ld %ld %lx\n", i.shmmax, i.shmmin, i.shmmni, i.shmseg, i.shmall);
    printf("highest: %d, in use: %d", highest == a % 32768, shmctl(0, SHM_INFO, (void *)&u) == highest);
    printf(" %d %ld\n", u.used_ids, u.shm_tot);
    printf("bad: %s %s %s %s\n", error(shmctl(a, 77, &d)), error(shmctl(-1, IPC_STAT, &d)), error(shmctl(a, -1, &d)),
           error(shmctl(a, IPC_STAT | 0x100, &d)));
    printf("no memory: %s %s %s\n", error(shmctl(a, IPC_STAT, (void *)8)), error(shmctl(a, IPC_SET, (void *)8)),
           error(shmctl(-5, IPC_SET, (void *)8)));
    d = look(a);
    d.shm_perm.uid = -1;
    printf("set no user: %s\n", error(shmctl(a, IPC_SET, &d)));
    d.shm_perm.uid = SOMEBODY;
    d.shm_perm.gid = ANOTHER;
    d.shm_perm.mode = 07777;
    d.shm_segsz = 1;
    printf("set: %s\n", error(shmctl(a, IPC_SET, &d)));
    d = look(a);
    printf("uid %d gid %d cuid %d mode %o size %zu\n", d.shm_perm.uid, d.shm_perm.gid, d.shm_perm.cuid, d.shm_perm.mode,
           d.shm_segsz);
    printf("lock: %s", error(shmctl(a, SHM_LOCK, NULL)));
    printf(" mode %o", look(a).shm_perm.mode);
    printf(" unlock: %s mode %o\n", error(shmctl(a, SHM_UNLOCK, NULL)), look(a).shm_perm.mode);
    shmctl(a, IPC_RMID, NULL);
}

static void
try_all(int id)
{
    struct shmid_ds d;
    void *p = shmat(id, NULL, 0);
    struct rlimit r = {PAGE, PAGE};

    printf("uid %d: attach %s, read-only %s", getuid(), error((long)p), error((long)shmat(id, NULL, SHM_RDONLY)));
    printf(", get %s %s", error(shmget(KEY, 1, 0600)), error(shmget(KEY, 1, 0)));
    printf(", stat %s %s %s", error(shmctl(id, IPC_STAT, &d)), error(shmctl(id % 32768, SHM_STAT, &d)),
           error(shmctl(id % 32768, SHM_STAT_ANY, &d)));
    memset(&d, 0, sizeof d);
    d.shm_perm.mode = 0604;
    d.shm_perm.uid = SOMEBODY;
    printf(", set %s", error(shmctl(id, IPC_SET, &d)));
    setrlimit(RLIMIT_MEMLOCK, &r);
    printf(", lock %s", error(shmctl(id, SHM_LOCK, NULL)));
    r.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &r);
    printf(" %s %s", error(shmctl(id, SHM_LOCK, NULL)), error(shmctl(id, SHM_UNLOCK, NULL)));
    printf(", huge %s", error(shmget(IPC_PRIVATE, 1, SHM_HUGETLB | 0600)));
    printf(", remove %s\n", error(getuid() == ANOTHER ? shmctl(id, IPC_RMID, NULL) : 0));
}

static void
permissions(void)
{
    int id = shmget(KEY, 2 * PAGE, IPC_CREAT | 0640);
    struct shmid_ds d = look(id);

    as(SOMEBODY, try_all, id);
    d.shm_perm.uid = SOMEBODY;
    shmctl(id, IPC_SET, &d);
    as(SOMEBODY, try_all, id);
    as(ANOTHER, try_all, id);
    as(0, try_all, id);
    d.shm_perm.gid = ANOTHER;
    d.shm_perm.mode = 0060;
    shmctl(id, IPC_SET, &d);
    as(SOMEBODY, try_all, id);
    as(ANOTHER, try_all, id);
    shmctl(id, IPC_RMID, NULL);
}

static void
show_maps(const char *what)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], perms[5], name[256];
    unsigned long start, end, offset, ino;
    unsigned major, minor;

    printf("%s:\n", what);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %255[^\n]", &start, &end, perms, &offset, &major, &minor, &ino,
                   name) == 8 &&
            strstr(name, "SYSV"))
            printf("  %lu pages %s %lx %s\n", (end - start) / PAGE, perms, offset, name);
    fclose(f);
}

static void
places(int id)
{
    char *a = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;

    munmap(a + 16 * PAGE, 32 * PAGE);
    printf("in use: %s, partly: %s\n", error((long)shmat(id, a, 0)), error((long)shmat(id, a + 14 * PAGE, 0)));
    printf("odd: %s, not there: %s\n", error((long)shmat(id, a + 16 * PAGE + 1, 0)),
           error((long)shmat(id, NULL, SHM_REMAP)));
    p = shmat(id, a + 17 * PAGE - 1, SHM_RND);
    printf("rounded: %ld\n", (p - a) / PAGE);
    printf("detach inside: %s, odd: %s, away: %s\n", error(shmdt(p + PAGE)), error(shmdt(p + 1)), error(shmdt(a)));
    printf("detach: %s, again: %s\n", error(shmdt(p)), error(shmdt(p)));
    p = shmat(id, a + 15 * PAGE, SHM_REMAP);
    printf("over: %ld\n", (p - a) / PAGE);
    show_maps("remapped");
    shmdt(p);
    munmap(a, 64 * PAGE);
}

static void
parts(int id)
{
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY), *moved;

    strcpy(p + PAGE, "written");
    printf("seen: %s\n", q + PAGE);
    attached("two", id);
    printf("read-only: %s %s\n", error(mprotect(q, PAGE, PROT_READ | PROT_WRITE)), error(mprotect(q, PAGE, PROT_NONE)));
    attached("after mprotect", id);
    munmap(p + PAGE, PAGE);
    attached("with a hole", id);
    moved = mremap(p + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE);
    printf("moved: %d\n", moved == p + 2 * PAGE);
    show_maps("parts");
    printf("detach: %s %s\n", error(shmdt(q)), error(shmdt(p)));
    attached("left", id);
    show_maps("left");
}

/* IPC_RMID of a segment that is attached. */
static void
destroyed(void)
{
    int id = shmget(KEY, PAGE, IPC_CREAT | 0600), other;
    char *p = shmat(id, NULL, 0), *q;

    strcpy(p, "still here");
    printf("remove: %s\n", error(shmctl(id, IPC_RMID, NULL)));
    printf("mode %o key %x", look(id).shm_perm.mode, look(id).shm_perm.__key);
    printf(", by key: %s\n", error(shmget(KEY, 1, 0)));
    show_maps("removed");
    q = shmat(id, NULL, 0);
    printf("attached: %s, %s\n", error((long)q), q != (void *)-1 ? q : "");
    other = shmget(KEY, PAGE, IPC_CREAT | 0600);
    shmctl(other, IPC_RMID, NULL);
    printf("removed again: %s\n", error(shmctl(id, IPC_RMID, NULL)));
    shmdt(p);
    attached("one left", id);
    munmap(q, PAGE);
    printf("gone: %s\n", error(shmctl(id, IPC_STAT, &(struct shmid_ds){0})));
}

static char *child_at;
static void
child(int id)
{
    attached("child", id);
    strcpy(child_at, "by the child");
    if (fork() == 0) {
        attached("its child", id);
        shmdt(child_at);
        attached("its child, without", id);
        fflush(stdout);
        raise(SIGKILL);
    }
    wait(NULL);
    attached("child again", id);
    printf("last: %d\n", look(id).shm_lpid == getpid());
}

static void
processes(int id, const char *self)
{
    char text[16];

    child_at = shmat(id, NULL, 0);
    for (int k = 0; k < 3; k++) {
        as(0, child, id);
        attached("after the child", id);
    }
    printf("%s\n", child_at);
    snprintf(text, sizeof text, "%d", id);
    fflush(stdout);
    if (fork() == 0) {
        execl(self, self, text, (char *)NULL);
        _exit(1);
    }
    wait(NULL);
    fflush(stdout);
    if (vfork() == 0)
        _exit(0);
    wait(NULL);
    attached("after exec and vfork", id);
    madvise(child_at, PAGE, MADV_DONTFORK);
    as(0, (void (*)(int))look, id);
    shmdt(child_at);
    attached("all", id);
}

static void
in_proc(int id)
{
    FILE *f = fopen("/proc/sysvipc/shm", "r");
    char line[512];
    long v[16];
    unsigned mode;

    fgets(line, sizeof line, f);
    printf("%s", line);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%ld %ld %o %ld %ld %ld %ld %ld %ld %ld %ld", v, v + 1, &mode, v + 3, v + 4, v + 5, v + 6,
                   v + 7, v + 8, v + 9, v + 10) == 11 &&
            v[1] == id)
            printf("%zu: %lx %o %ld %d %d %ld %ld %ld %ld %ld\n", strlen(line), v[0], mode, v[3], v[4] == getpid(),
                   v[5] == getpid(), v[6], v[7], v[8], v[9], v[10]);
    fclose(f);
}

static void
many(void)
{
    static int ids[5000];
    int count = 0;

    while (count < 5000 && (ids[count] = shmget(IPC_PRIVATE, 1, 0600)) >= 0)
        count++;
    printf("%d: %s\n", count, error(-1));
    while (count-- > 0)
        shmctl(ids[count], IPC_RMID, NULL);
}

int
main(int argc, char **argv)
{
    int id;

    if (argc > 1) {
        attached("after exec", atoi(argv[1]));
        return 0;
    }
    unshare(CLONE_NEWIPC); /* on Linux without what others have left */
    drop_capabilities();
    keys();
    sequence();
    commands();
    permissions();
    id = shmget(KEY + 7, 3 * PAGE - 5, IPC_CREAT | 0644);
    places(id);
    parts(id);
    processes(id, argv[0]);
    in_proc(id);
    shmctl(id, IPC_RMID, NULL);
    destroyed();
    many();
    return 0;
}
