/* The vkernel's heap (platform/heap.h): what belongs to one kind never becomes another's, and mistakes end the process.
 * Mistakes are made in a child. With AddressSanitizer, whose heap is the C library's, it finds them; only the last
 * tests are left out. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "platform/sanitizer.h"

struct small {
    struct small *next;
    long value[9];
};
struct other {
    void (*call)(void);
    long value[9];
};
struct big {
    uint8_t bytes[3000];
};

OBJECT_POOL(small);
OBJECT_POOL(other);
OBJECT_POOL(big);

/* Of memory.c; nothing here can fail so. */
void
platform_die(const char *format, ...)
{
    abort();
}

enum { MANY = 20000 };
static void *volatile kept[MANY];

/* --- mistakes --- */

static void
free_twice(void)
{
    struct small *p = OBJECT_NEW(small);

    OBJECT_FREE(small, p);
    OBJECT_FREE(small, p);
}

static void
free_twice_later(void)
{
    struct small *p = OBJECT_NEW(small);

    OBJECT_FREE(small, p);
    for (int i = 0; i < 20; i++)
        kept[i] = OBJECT_NEW(small);
    for (int i = 0; i < 20; i++)
        OBJECT_FREE(small, kept[i]);
    OBJECT_FREE(small, p);
}

static void
free_as_another(void)
{
    void *p = OBJECT_NEW(small);

    OBJECT_FREE(other, p);
#if PLATFORM_SANITIZED
    free(p); /* it cannot know the types */
#endif
}

static void
free_inside(void)
{
    struct small *p = OBJECT_NEW(small);

    OBJECT_FREE(small, (void *)&p->value[1]);
}

static void
free_foreign(void)
{
    static struct small s;

    OBJECT_FREE(small, &s);
}

static void
free_bytes_twice(void)
{
    char *p = bytes_new(100);

    bytes_free(p);
    bytes_free(p);
}

static void
free_array_as_bytes(void)
{
    void *p = array_new(10, 8);

    bytes_free(p);
#if PLATFORM_SANITIZED
    free(p);
#endif
}

/* Found when the slot is used again, which is once some others were freed and at the latest when the pool has given out
 * all others. */
static void
write_after_free(void)
{
    struct small *volatile p;

    for (int i = 0; i < 40; i++)
        kept[i] = OBJECT_NEW(small);
    p = OBJECT_NEW(small);
    OBJECT_FREE(small, p);
    p->value[3] = 0x41;
    for (int i = 0; i < 40; i++)
        OBJECT_FREE(small, kept[i]);
    for (int i = 0; i < MANY; i++)
        kept[i] = OBJECT_NEW(small);
}

static void
write_array_after_free(void)
{
    uint8_t *volatile p;

    for (int i = 0; i < 40; i++)
        kept[i] = array_new(10, 10);
    p = array_new(10, 10);
    array_free(p);
    p[99] = 1;
    for (int i = 0; i < 40; i++)
        array_free(kept[i]);
    for (int i = 0; i < MANY; i++)
        kept[i] = array_new(10, 10);
}

/* Runs upwards until it faults: what was there before must not be an object's. */
static void
overflow(void)
{
    volatile char *p = bytes_new(100);

    for (int i = 0; i < 1000; i++)
        kept[i] = OBJECT_NEW(other);
    for (;; p++) {
        *p = 0x41;
        if (((uintptr_t)p & 0xfff) == 0xfff)
            for (int i = 0; i < 1000; i++)
                if (((struct other *)kept[i])->call)
                    _exit(0); /* an object was reached */
    }
}

static void
underflow(void)
{
    volatile char *p = bytes_new(100);

    for (int i = 0; i < 1000; i++)
        kept[i] = OBJECT_NEW(other);
    for (;; p--) {
        *p = 0x41;
        if (((uintptr_t)p & 0xfff) == 0)
            for (int i = 0; i < 1000; i++)
                if (((struct other *)kept[i])->call)
                    _exit(0);
    }
}

static void
overflow_of_large(void)
{
    volatile char *p = bytes_new(5 << 20), *q = bytes_new(5 << 20);

    for (char *from = (char *)(p < q ? p : q), *to = (char *)(p < q ? q : p); from <= to; from++)
        *(volatile char *)from = 0x41;
    _exit(0); /* from one buffer into the next */
}

static void
mistakes_end_the_process(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        void (*make)(void);
    } mistakes[] = {
        {"free_twice", free_twice}, {"free_twice_later", free_twice_later}, {"free_as_another", free_as_another},
        {"free_inside", free_inside}, {"free_foreign", free_foreign}, {"free_bytes_twice", free_bytes_twice},
        {"free_array_as_bytes", free_array_as_bytes}, {"write_after_free", write_after_free},
        {"write_array_after_free", write_array_after_free}, {"overflow", overflow}, {"underflow", underflow},
        {"overflow_of_large", overflow_of_large},
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            signal(SIGSEGV, SIG_DFL); /* the test framework would go on with the other tests */
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            mistakes[i].make();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            fail_msg("%s was not found", mistakes[i].name);
    }
}

/* --- what holds without mistakes --- */

static void
objects_are_clear(void **state)
{
    static const struct big clear;

    for (int i = 0; i < 1000; i++) {
        struct big *p = OBJECT_NEW(big);

        assert_memory_equal(p, &clear, sizeof clear);
        memset(p, 0x55, sizeof *p);
        if (i % 3)
            OBJECT_FREE(big, p);
        else
            kept[i] = p;
    }
    for (int i = 0; i < 1000; i += 3)
        OBJECT_FREE(big, kept[i]);
}

static void
sizes_hold(void **state)
{
    static const size_t sizes[] = {0,     1,     63,     64,     65,     511,     512,           513,
                                   640,   641,   1023,   1024,   1025,   4096,    5000,          65535,
                                   65536, 65537, 100000, 131072, 131073, 1 << 20, (1 << 20) + 1, 3 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    uint8_t *p[COUNT], *q[COUNT];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            assert_non_null(p[i] = bytes_new(sizes[i]));
            memset(p[i], i + 1, sizes[i]);
            assert_non_null(q[i] = array_new(1, sizes[i]));
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(q[i][k], 0);
            memset(q[i], 100 + i, sizes[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            size_t bigger = sizes[i] * 2 + 3;

            for (size_t k = 0; k < sizes[i]; k++)
                if (p[i][k] != i + 1 || q[i][k] != 100 + i)
                    fail_msg("size %zu shares memory with another", sizes[i]);
            assert_non_null(p[i] = bytes_resize(p[i], bigger));
            assert_non_null(q[i] = array_resize(q[i], sizes[i], bigger, 1));
            for (size_t k = 0; k < bigger; k++)
                if ((k < sizes[i] && p[i][k] != i + 1) || q[i][k] != (k < sizes[i] ? 100 + i : 0))
                    fail_msg("size %zu was not kept", sizes[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            bytes_free(p[i]);
            array_free(q[i]);
        }
    }
#if !PLATFORM_SANITIZED /* which ends the process */
    assert_null(array_new(SIZE_MAX / 4, 8));
    assert_null(bytes_new(SIZE_MAX - 100));
#endif
    bytes_free(NULL);
    array_free(NULL);
    OBJECT_FREE(small, NULL);
}

static void
strings_are_copies(void **state)
{
    char *a = bytes_string("some text"), *b = bytes_string_part("some text", 4), *c = bytes_string_part("x", 10);

    assert_string_equal(a, "some text");
    assert_string_equal(b, "some");
    assert_string_equal(c, "x");
    bytes_free(a);
    bytes_free(b);
    bytes_free(c);
}

#if !PLATFORM_SANITIZED
static int
ascending(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

    return x < y ? -1 : x > y;
}

/* All memory that one type ever had stays its own, also when none of it is used any more. */
static void
memory_keeps_its_type(void **state)
{
    static uintptr_t had[MANY];

    for (int i = 0; i < MANY; i++)
        had[i] = (uintptr_t)(kept[i] = OBJECT_NEW(small));
    for (int i = 0; i < MANY; i++)
        OBJECT_FREE(small, kept[i]);
    qsort(had, MANY, sizeof *had, ascending);
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < MANY; i++) {
            uintptr_t p = (uintptr_t)(kept[i] = kind == 0   ? OBJECT_NEW(other)
                                                : kind == 1 ? array_new(10, 8)
                                                            : bytes_new(80));
            size_t low = 0, high = MANY;

            while (low < high) { /* the first that lies behind p */
                size_t middle = (low + high) / 2;

                if (had[middle] > p)
                    high = middle;
                else
                    low = middle + 1;
            }
            if ((low < MANY && p + 80 > had[low]) || (low > 0 && had[low - 1] + sizeof(struct small) > p))
                fail_msg("memory of one type became another's");
        }
        for (int i = 0; i < MANY; i++)
            kind == 0 ? OBJECT_FREE(other, kept[i]) : kind == 1 ? array_free(kept[i]) : bytes_free(kept[i]);
    }
}

static void
reuse_is_late_and_unpredictable(void **state)
{
    int up = 0, down = 0;

    for (int round = 0; round < 20; round++) {
        struct small *p = OBJECT_NEW(small);

        OBJECT_FREE(small, p);
        for (int i = 0; i < 31; i++) {
            struct small *q = OBJECT_NEW(small);

            assert_ptr_not_equal(p, q);
            OBJECT_FREE(small, q);
        }
    }
    for (int i = 0; i < 1000; i++) {
        kept[i] = OBJECT_NEW(small);
        if (i)
            *(kept[i] > kept[i - 1] ? &up : &down) += 1;
    }
    assert_true(up > 250 && down > 250);
    for (int i = 0; i < 1000; i++)
        OBJECT_FREE(small, kept[i]);
}

static void
memory_goes_back(void **state)
{
    uint64_t before, full, after;

    platform_open_files(true);
    before = platform_memory_used();
    for (int i = 0; i < MANY; i++)
        memset(kept[i] = OBJECT_NEW(big), 1, sizeof(struct big));
    full = platform_memory_used();
    for (int i = 0; i < MANY; i++)
        OBJECT_FREE(big, kept[i]);
    after = platform_memory_used();
    assert_true(full - before > (uint64_t)MANY * sizeof(struct big));
    assert_true(after < before + (4 << 20));
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_end_the_process),
        cmocka_unit_test(objects_are_clear),
        cmocka_unit_test(sizes_hold),
        cmocka_unit_test(strings_are_copies),
#if !PLATFORM_SANITIZED
        cmocka_unit_test(memory_keeps_its_type),
        cmocka_unit_test(reuse_is_late_and_unpredictable),
        cmocka_unit_test(memory_goes_back),
#endif
    };

    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
