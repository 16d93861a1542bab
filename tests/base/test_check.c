/* Reference counts and lists that stop a program whose memory is no longer sound. */
#include "base/list.h"
#include "base/refcount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ends.h"

/* Does it end the program? */
static bool
dies(void (*f)(void))
{
    int status = ending_of(f);

    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
get_freed(void)
{
    struct refcount r;

    refcount_init(&r);
    refcount_put(&r);
    refcount_get(&r);
}

static void
put_freed(void)
{
    struct refcount r;

    refcount_init(&r);
    refcount_put(&r);
    refcount_put(&r);
}

static struct list head, a, b, fake;

static void
lists(void)
{
    list_init(&head);
    list_append(&head, &a);
    list_append(&head, &b);
}

static void
remove_overwritten(void)
{
    lists();
    a.next = &fake;
    list_remove(&a);
}

static void
remove_from_overwritten(void)
{
    lists();
    b.prev = &fake;
    list_remove(&a);
}

static void
append_to_overwritten(void)
{
    lists();
    head.prev = &fake;
    list_append(&head, &b);
}

static void
sound(void)
{
    struct refcount r;

    lists();
    list_remove(&a);
    list_remove(&a);
    list_remove(&b);
    if (!list_empty(&head))
        abort();
    refcount_init(&r);
    refcount_get(&r);
    if (refcount_put(&r) || !refcount_is_one(&r) || !refcount_put(&r))
        abort();
    /* a count that a guest drives up stays there */
    r.count = REFCOUNT_LIMIT - 1;
    refcount_get(&r);
    refcount_get(&r);
    if (r.count != REFCOUNT_LIMIT || refcount_put(&r) || r.count != REFCOUNT_LIMIT)
        abort();
}

static void
test_checks(void **state)
{
    assert_false(dies(sound));
    assert_true(dies(get_freed));
    assert_true(dies(put_freed));
    assert_true(dies(remove_overwritten));
    assert_true(dies(remove_from_overwritten));
    assert_true(dies(append_to_overwritten));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_checks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
