/* shares: which prefix gives way to a newcomer when a table is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/shares.h"

#define MOST 256

struct table {
    struct shares shares;
    struct share members[MOST];
    char texts[MOST][ADDRESS_TEXT_SIZE];
    size_t count;
};

static struct address ip_of(const char *text)
{
    struct address address;

    assert_true(address_parse_ip(text, &address));
    return address;
}

static void add(struct table *table, const char *text)
{
    const struct address address = ip_of(text);

    assert_true(table->count < MOST);
    snprintf(table->texts[table->count], ADDRESS_TEXT_SIZE, "%s", text);
    shares_add(&table->shares, &table->members[table->count++], &address);
}

static void add_times(struct table *table, const char *text, int times)
{
    for (int i = 0; i < times; i++) {
        add(table, text);
    }
}

static struct share *last_of(const struct list *members)
{
    return list_entry(members->prev, struct share, link);
}

/* The address whose prefix gives way; "" when the newcomer is refused. */
static const char *victim(struct table *table, const char *newcomer)
{
    const struct address address = ip_of(newcomer);
    const struct list *members = shares_find_victim(&table->shares, &address);

    if (!members) {
        return "";
    }
    assert_false(list_is_empty(members));
    return table->texts[last_of(members) - table->members];
}

static void clear(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        shares_remove(&table->shares, &table->members[i]);
        shares_remove(&table->shares, &table->members[i]); /* harmless */
    }
    assert_null(table->shares.root);
    assert_null(table->shares.all);
}

static void test_empty(void **state)
{
    struct table table = {0};

    assert_string_equal(victim(&table, "10.0.0.1"), "");
    clear(&table);
}

static void test_the_heaviest_gives_way(void **state)
{
    struct table table = {0};

    add_times(&table, "10.1.0.1", 5);
    add_times(&table, "10.2.0.1", 3);
    add_times(&table, "10.2.0.2", 4);
    add(&table, "10.3.0.1");
    assert_string_equal(victim(&table, "10.4.0.1"), "10.2.0.2");
    assert_string_equal(victim(&table, "10.3.0.9"), "10.2.0.2");
    assert_string_equal(victim(&table, "10.1.0.9"), "10.2.0.2"); /* 5 + 1 is less than 7 */
    add(&table, "10.1.0.2");
    /* 6 + 1 is not: within its own /16 and /24, one address holds most. */
    assert_string_equal(victim(&table, "10.1.0.9"), "10.1.0.1");
    assert_string_equal(victim(&table, "10.1.0.1"), "");
    assert_string_equal(victim(&table, "10.1.7.1"), "10.1.0.1");
    assert_string_equal(victim(&table, "10.2.0.9"), "10.2.0.2");
    clear(&table);
}

/* Nobody gives way to one that would then hold as much: two never take turns. */
static void test_equals_stay(void **state)
{
    struct table table = {0};

    add(&table, "10.1.0.1");
    add(&table, "10.2.0.1");
    assert_string_equal(victim(&table, "10.3.0.1"), "");
    add(&table, "10.2.0.2");
    assert_string_equal(victim(&table, "10.3.0.1"), "10.2.0.2");
    assert_string_equal(victim(&table, "10.1.0.2"), "");
    clear(&table);
}

/* Of prefixes with as many, the one that was the last to get so many: members that were there long
 * stay, and so they do when others have gone. */
static void test_of_equals_the_latest_gives_way(void **state)
{
    static const char *const addresses[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"};
    struct table table = {0};

    for (int i = 0; i < 4; i++) {
        add(&table, addresses[i]);
    }
    for (int i = 3; i > 1; i--) {
        assert_string_equal(victim(&table, "10.9.0.1"), addresses[i]);
        shares_remove(&table.shares, &table.members[i]);
    }
    add_times(&table, "10.1.0.2", 1);
    add_times(&table, "10.1.0.1", 1);
    assert_string_equal(victim(&table, "10.9.0.1"), "10.1.0.1");
    clear(&table);
}

static void test_prefixes_of_ipv6(void **state)
{
    struct table table = {0};

    add_times(&table, "2001:db8:1:1::1", 4);
    add_times(&table, "2001:db8:1:2::1", 5);
    add_times(&table, "2001:db8:2:1::1", 2);
    add_times(&table, "10.1.0.1", 3);
    assert_string_equal(victim(&table, "2001:db9::1"), "2001:db8:1:2::1");
    assert_string_equal(victim(&table, "10.2.0.1"), "2001:db8:1:2::1");
    assert_string_equal(victim(&table, "2001:db8:2:1::7"), "2001:db8:1:2::1");
    assert_string_equal(victim(&table, "2001:db8:1:2::7"), "");
    assert_string_equal(victim(&table, "2001:db8:1:3::7"), "2001:db8:1:2::1");
    clear(&table);
}

/* A flood of one network leaves the others theirs, in any order. */
static void test_a_flood_and_newcomers(void **state)
{
    struct table table = {0};
    struct share newcomers[40] = {0};
    size_t in = 0;

    for (int i = 0; i < 64; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.1.%d.%d", i % 4, i);
        add(&table, text);
    }
    for (int i = 0; i < 40; i++) {
        struct address address = {.family = ADDRESS_IPV4, .ip = {20, (uint8_t)(i % 2), 0, 1}};
        struct list *members = shares_find_victim(&table.shares, &address);

        if (!members) {
            continue;
        }
        shares_remove(&table.shares, last_of(members));
        shares_add(&table.shares, &newcomers[in++], &address);
    }
    assert_in_range(in, 40, 64); /* 20, 20 and 24: the flood still holds most */
    for (size_t i = 0; i < in; i++) {
        shares_remove(&table.shares, &newcomers[i]);
    }
    clear(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_the_heaviest_gives_way),
        cmocka_unit_test(test_equals_stay),
        cmocka_unit_test(test_of_equals_the_latest_gives_way),
        cmocka_unit_test(test_prefixes_of_ipv6),
        cmocka_unit_test(test_a_flood_and_newcomers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
