/* Whole files: a file appears complete or not at all, keeps the old one when the new one cannot be written, and what is no file is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "ends.h"

static char folder[] = "/tmp/ingot-file-XXXXXX";
static char *path;

static int
make_folder(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    path = mem_printf("%s/out", folder);
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    temporary_remove(folder);
    mem_free(path);
    return access(folder, F_OK) == 0 ? -1 : 0;
}

static void
expect_content(const char *file, const char *want)
{
    struct mapped m;
    struct err e = {0};

    if (file_map(file, &m, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(m.size, strlen(want));
    assert_memory_equal(m.data, want, m.size);
    file_unmap(&m);
    assert_null(m.data);
}

static void
expect_alone(void)
{
    unlink(path);
    if (rmdir(folder) < 0 || mkdir(folder, 0700) < 0)
        fail_msg("something was left beside %s", path);
}

static void
test_write_and_map(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    mode_t mask = umask(022);

    assert_int_equal(file_write_atomic(path, "first", 5, 0755, &e), 0);
    expect_content(path, "first");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(file_write_atomic(path, "second one", 10, 0600, &e), 0);
    expect_content(path, "second one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    umask(mask);
    expect_alone();
}

static void
test_empty_file(void **state)
{
    (void)state;
    struct err e = {0};
    struct mapped m;

    assert_int_equal(file_write_atomic(path, NULL, 0, 0600, &e), 0);
    assert_int_equal(file_map(path, &m, &e), 0);
    assert_int_equal(m.size, 0);
    assert_non_null(m.data);
    file_unmap(&m);
    file_unmap(&m); /* twice is harmless */
}

static void
expect_refused(const char *what, const char *word)
{
    struct err e = {0};
    struct mapped m = {.data = (const uint8_t *)"", .size = 7};

    assert_int_equal(file_map(what, &m, &e), -1);
    assert_null(m.data); /* so that a caller who unmaps it all the same does no harm */
    assert_int_equal(m.size, 0);
    if (!strstr(e.text, what) || !strstr(e.text, word))
        fail_msg("%s", e.text);
}

static void
test_what_is_no_file(void **state)
{
    (void)state;
    char *fifo = mem_printf("%s/fifo", folder);

    expect_refused(folder, "not a regular file");
    expect_refused("/dev/null", "not a regular file");
    expect_refused(path, "No such file");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    alarm(10); /* opening a FIFO waits for a writer, who may never come */
    expect_refused(fifo, "not a regular file");
    alarm(0);
    mem_free(fifo);
}

/* A file larger than the addresses that are left. */
static void
map_too_much(void)
{
    struct err e = {0};
    struct mapped m;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    if (fd < 0 || ftruncate(fd, INT64_C(1) << 31) < 0)
        _Exit(4);
    setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = 1 << 30, .rlim_max = 1 << 30});
    if (file_map(path, &m, &e) == 0 || !strstr(e.text, "cannot map"))
        _Exit(5);
    file_unmap(&m);
    _Exit(m.data || m.size ? 6 : 3);
}

static void
test_failed_mapping_is_none(void **state)
{
    (void)state;
    assert_true(ends_with(map_too_much, 3));
}

/* A disk that is full, made by RLIMIT_FSIZE. */
static void
write_too_much(void)
{
    static char much[100000];
    struct err e = {0};

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 50000, .rlim_max = 50000});
    _Exit(file_write_atomic(path, much, sizeof much, 0600, &e) == -1 && strstr(e.text, "cannot write") ? 3 : 4);
}

static void
test_failed_write_keeps_the_old(void **state)
{
    (void)state;
    struct err e = {0};

    assert_int_equal(file_write_atomic(path, "old", 3, 0600, &e), 0);
    assert_true(ends_with(write_too_much, 3));
    expect_content(path, "old");
    expect_alone();
}

static void
test_failed_rename_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};

    assert_int_equal(mkdir(path, 0700), 0); /* no file takes a folder's place */
    assert_int_equal(file_write_atomic(path, "x", 1, 0600, &e), -1);
    assert_non_null(strstr(e.text, "cannot rename"));
    assert_int_equal(rmdir(path), 0);
    expect_alone();
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(file_write_atomic(path, "x", 1, 0600, &e), -1);
    assert_non_null(strstr(e.text, "cannot create"));
    assert_int_equal(mkdir(folder, 0700), 0);
}

/* The temporary name can be guessed: a link that somebody put there must not be followed. */
static void
test_planted_link_is_not_followed(void **state)
{
    (void)state;
    struct err e = {0};
    char *victim = mem_printf("%s/victim", folder), *temporary = temporary_name(path, "file");

    assert_int_equal(file_write_atomic(victim, "precious", 8, 0600, &e), 0);
    assert_int_equal(symlink(victim, temporary), 0);
    assert_int_equal(file_write_atomic(path, "new", 3, 0600, &e), 0);
    expect_content(victim, "precious");
    expect_content(path, "new");
    mem_free(temporary);
    mem_free(victim);
}

static void
test_write_all(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, "x", 1), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(file_write_all(fd, NULL, 0), 0); /* nothing to write, nothing that fails */
    close(fd);
    assert_int_equal(file_write_all(-1, "x", 1), -1);
    assert_int_equal(errno, EBADF);
}

/* A pipe takes what it has room for, and the rest when its reader comes. */
static void
write_to_pipe(void)
{
    static char much[300000];
    int ends[2];
    pid_t reader;

    if (pipe(ends) < 0)
        _Exit(4);
    memset(much, 'x', sizeof much);
    reader = fork();
    if (reader == 0) {
        size_t total = 0;
        char piece[7001];
        ssize_t n;

        close(ends[1]);
        while ((n = read(ends[0], piece, sizeof piece)) > 0)
            total += (size_t)n;
        _Exit(total == sizeof much ? 0 : 1);
    }
    close(ends[0]);
    if (file_write_all(ends[1], much, sizeof much) < 0)
        _Exit(5);
    close(ends[1]);

    int status = 1;

    waitpid(reader, &status, 0);
    _Exit(status == 0 ? 3 : 6);
}

static void
test_write_in_pieces(void **state)
{
    (void)state;
    assert_true(ends_with(write_to_pipe, 3));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_map, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_empty_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_what_is_no_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_failed_mapping_is_none, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_failed_write_keeps_the_old, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_failed_rename_leaves_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_planted_link_is_not_followed, make_folder, remove_folder),
        cmocka_unit_test(test_write_all),
        cmocka_unit_test(test_write_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
