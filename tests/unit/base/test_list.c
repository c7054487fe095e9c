/* base/list: order, removal while walking, and nodes that are in no list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    char name;
    struct list node;
};

/* The names in order, and in reverse as the links backwards say. */
static void assert_order(struct list *head, const char *expected)
{
    size_t len = strlen(expected), at = 0;

    LIST_FOREACH (node, head) {
        assert_true(at < len);
        assert_int_equal(list_entry(node, struct item, node)->name, expected[at++]);
    }
    assert_int_equal(at, len);
    for (struct list *node = head->prev; node != head; node = node->prev) {
        assert_int_equal(list_entry(node, struct item, node)->name, expected[--at]);
    }
    assert_int_equal(at, 0);
    assert_int_equal(list_is_empty(head), len == 0);
}

static void items_are_linked_and_unlinked(void **state)
{
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    struct list head;

    list_init(&head);
    list_init(&a.node);
    assert_order(&head, "");
    list_append(&head, &b.node);
    list_append(&head, &d.node);
    list_prepend(&head, &a.node);
    list_insert_before(&d.node, &c.node);
    assert_order(&head, "abcd");
    list_remove(&b.node);
    assert_true(list_is_empty(&b.node));
    assert_order(&head, "acd");
    list_remove(&b.node);
    assert_order(&head, "acd");
    list_append(&head, &b.node);
    assert_order(&head, "acdb");
}

static void all_nodes_move_to_another_list(void **state)
{
    struct item items[4];
    struct list head, other;

    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 4; i++) {
        items[i].name = (char)('a' + i);
        list_append(i < 1 ? &other : &head, &items[i].node);
    }
    list_move_all(&head, &other);
    assert_true(list_is_empty(&head));
    assert_order(&other, "abcd");
    list_move_all(&head, &other);
    assert_order(&other, "abcd");
    list_remove(&items[3].node);
    list_move_all(&other, &head);
    assert_true(list_is_empty(&other));
    assert_order(&head, "abc");
}

static void nodes_may_go_while_the_list_is_walked(void **state)
{
    struct item items[5];
    struct list head;

    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].name = (char)('a' + i);
        list_append(&head, &items[i].node);
    }
    LIST_FOREACH (node, &head) {
        struct item *item = list_entry(node, struct item, node);

        if (item->name % 2 == 1) {
            list_remove(node);
        }
    }
    assert_order(&head, "bd");
    LIST_FOREACH (node, &head) {
        list_remove(node);
    }
    assert_order(&head, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_linked_and_unlinked),
        cmocka_unit_test(all_nodes_move_to_another_list),
        cmocka_unit_test(nodes_may_go_while_the_list_is_walked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
