/* Lists: order, removal while walking, and an item that is removed twice. test_check.c has the lists that are broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    char name;
    struct list link; /* not the first member, so that list_entry has to subtract */
};

static struct list head;
static struct item items[4];

static int
make_list(void **state)
{
    (void)state;
    list_init(&head);
    for (unsigned i = 0; i < 4; i++) {
        items[i].name = (char)('a' + i);
        list_append(&head, &items[i].link);
    }
    return 0;
}

/* Both ways round: a list whose next pointers are right may have wrong ones back. */
static void
expect(const char *want)
{
    size_t n = 0;

    LIST_EACH(p, &head)
        assert_int_equal(list_entry(p, struct item, link)->name, want[n++]);
    assert_int_equal(want[n], '\0');
    for (struct list *p = head.prev; p != &head; p = p->prev)
        assert_int_equal(list_entry(p, struct item, link)->name, want[--n]);
    assert_int_equal(n, 0);
    assert_int_equal(list_empty(&head), want[0] == '\0');
}

static void
test_order(void **state)
{
    (void)state;
    struct item x = {.name = 'x'};

    expect("abcd");
    list_insert_before(&items[2].link, &x.link);
    expect("abxcd");
    list_remove(&x.link);
    list_insert_before(head.next, &x.link); /* in front of the first */
    expect("xabcd");
    list_remove(&x.link);
    list_insert_before(&head, &x.link); /* in front of the sentinel: the last */
    expect("abcdx");
    list_remove(&items[0].link);
    list_remove(&x.link);
    expect("bcd");
}

static void
test_removed_items_stand_alone(void **state)
{
    (void)state;
    list_remove(&items[1].link);
    assert_true(list_empty(&items[1].link));
    list_remove(&items[1].link);
    expect("acd");
    list_append(&head, &items[1].link);
    expect("acdb");
}

static void
test_removal_while_walking(void **state)
{
    (void)state;
    unsigned seen = 0;

    LIST_EACH_SAFE(p, &head) {
        seen++;
        list_remove(p);
    }
    assert_int_equal(seen, 4);
    expect("");
    LIST_EACH_SAFE(p, &head)
        fail_msg("an empty list has an item %p", (void *)p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, make_list),
        cmocka_unit_test_setup(test_removed_items_stand_alone, make_list),
        cmocka_unit_test_setup(test_removal_while_walking, make_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
