/* What a killed process leaves is removed, whatever stage it was at; what is of a living one, or not temporary,
 * stays. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"

static char folder[] = "/tmp/ingot-temporary-XXXXXX";

static int
make_folder(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
    (void)state;
    temporary_remove(folder);
    return access(folder, F_OK) == 0 ? -1 : 0;
}

static void
make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static bool
is_there(const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    bool there = access(path, F_OK) == 0;

    mem_free(path);
    return there;
}

/* As a build is killed: one name of each form that the sources make, nested ones and a folder with a file in it among
 * them. */
static void
leave_all(const char *name)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        char *path = mem_printf("%s/%s", folder, name);
        char *outer = temporary_name(path, "unverified"), *inner = temporary_name(outer, "file");
        char *image = temporary_name(path, "image"), *unpacked = mem_printf("%s-AbC123", image);
        char *blob = mem_printf("%s/blob", unpacked);

        make_file(outer);
        make_file(inner);
        make_file(temporary_name(path, "elf"));
        if (mkdir(unpacked, 0700) < 0)
            _exit(1);
        make_file(blob);
        _exit(0);
    }
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool
is_empty(void)
{
    return rmdir(folder) == 0 && mkdir(folder, 0700) == 0;
}

static void
test_killed_process_leaves_nothing(void **state)
{
    (void)state;
    leave_all("out");
    assert_false(is_empty());
    temporary_sweep(folder, "out");
    assert_true(is_empty());
}

static void
test_only_beside_the_name(void **state)
{
    (void)state;
    leave_all("out");
    temporary_sweep(folder, "ou");
    temporary_sweep(folder, "out2");
    temporary_sweep(folder, "out.tmp");
    assert_false(is_empty());
    temporary_sweep(folder, NULL);
    assert_true(is_empty());
}

static void
test_others_stay(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const names[] = {"out", "out.tmp-", "out.tmp-file", "out.tmp-file-", "out.tmp-file-0", "out.tmp-file--4",
                                        "out.tmp--12", "out.tmp-99999999", "out.tmp-file-1", "out.tmp-file-99999999999999999999"};
    /* clang-format on */
    char *base = mem_printf("%s/out", folder), *ours = temporary_name(base, "file");
    struct err e = {0};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = mem_printf("%s/%s", folder, names[i]);

        make_file(path);
        mem_free(path);
    }
    make_file(ours);
    temporary_sweep(folder, NULL);
    temporary_sweep(folder, "out");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!is_there(names[i]))
            fail_msg("%s was removed", names[i]);
    assert_int_equal(access(ours, F_OK), 0);
    assert_int_equal(file_write_atomic(base, "x", 1, 0600, &e), 0);
    assert_int_equal(access(ours, F_OK), -1);
    mem_free(ours);
    mem_free(base);
}

/* A link that somebody put at the name is removed, and what it leads to is left alone: by a new file, and by the sweep. */
static void
test_links_are_not_followed(void **state)
{
    (void)state;
    char *base = mem_printf("%s/out", folder), *name = temporary_name(base, "file"),
         *kept = mem_printf("%s/kept", folder);
    char *victim = mem_printf("%s/victim", kept),
         *left = mem_printf("%s.tmp-file-%d", base, 0x3ffffffe); /* of no process */
    struct stat st;
    int fd;

    assert_int_equal(mkdir(kept, 0700), 0);
    make_file(victim);
    assert_int_equal(symlink(victim, name), 0);
    fd = temporary_create(name, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(lstat(name, &st), 0);
    assert_true(S_ISREG(st.st_mode) && (st.st_mode & 0777 & ~0640) == 0);
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(symlink(kept, left), 0);
    temporary_sweep(folder, "out");
    assert_int_equal(lstat(left, &st), -1);
    assert_int_equal(access(victim, F_OK), 0);
    temporary_remove(name);
    mem_free(base);
    mem_free(name);
    mem_free(kept);
    mem_free(victim);
    mem_free(left);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_process_leaves_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_only_beside_the_name, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_others_stay, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_links_are_not_followed, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
