/* auth/ban: which addresses are held, and lists that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/ban.h"
#include "base/random.h"

static struct address_prefix prefix_of(const char *text)
{
    struct address_prefix prefix;

    assert_true(address_prefix_parse(text, &prefix));
    return prefix;
}

static struct ban_set *set_of(const char *list)
{
    struct ban_set *set = ban_set_create();
    char *error = ban_set_add_list(set, list);

    if (error) {
        fail_msg("%s", error);
    }
    assert_null(ban_list_check(list));
    return set;
}

static bool holds(const struct ban_set *set, const char *ip)
{
    struct address address;

    assert_true(address_parse_ip(ip, &address));
    return ban_set_holds(set, &address);
}

static void addresses_are_held(void **state)
{
    static const struct {
        const char *list, *ip;
        bool held;
    } cases[] = {
        {"", "203.0.113.7", false},
        {"", "2001:db8::1", false},
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7", "203.0.113.6", false},
        {"203.0.113.7/32", "203.0.113.7", true},
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* host bits do not count */
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"10.0.0.0/31", "10.0.0.1", true},
        {"10.0.0.0/31", "10.0.0.2", false},
        {"0.0.0.0/0", "203.0.113.7", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.7", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
        {"2001:db8::/127", "2001:db8::1", true},
        {"2001:db8::/127", "2001:db8::2", false},
        {"::ffff:10.0.0.0/104", "10.1.1.1", true},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"10.0.0.0/8, 203.0.113.7\n2001:db8::/32", "203.0.113.7", true},
        {"10.0.0.0/8 10.0.0.0/16 10.0.0.0/24", "10.0.5.5", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ban_set *set = set_of(cases[i].list);

        if (holds(set, cases[i].ip) != cases[i].held) {
            fail_msg("%s: %s", cases[i].list, cases[i].ip);
        }
        ban_set_destroy(&set);
        assert_null(set);
        ban_set_destroy(&set);
    }
}

static void they_come_and_go(void **state)
{
    struct ban_set *set = ban_set_create();
    const struct address_prefix wide = prefix_of("10.0.0.0/8"), narrow = prefix_of("10.1.0.0/16"),
                                other = prefix_of("10.2.0.0/16"), same = prefix_of("10.9.9.9/8");
    const struct address unix_socket = {.family = ADDRESS_UNIX}, none = {0};

    assert_true(ban_set_add(set, &wide));
    assert_false(ban_set_add(set, &same));
    assert_true(ban_set_add(set, &narrow));
    assert_true(ban_set_add(set, &other));
    assert_int_equal(ban_set_count(set), 3);
    assert_true(ban_set_remove(set, &same));
    assert_false(ban_set_remove(set, &wide));
    assert_true(holds(set, "10.1.5.5") && holds(set, "10.2.5.5"));
    assert_false(holds(set, "10.3.5.5"));
    assert_true(ban_set_remove(set, &narrow));
    assert_false(holds(set, "10.1.5.5"));
    assert_true(holds(set, "10.2.5.5"));
    assert_false(ban_set_holds(set, &unix_socket));
    assert_false(ban_set_holds(set, &none));
    ban_set_clear(set);
    assert_int_equal(ban_set_count(set), 0);
    assert_false(holds(set, "10.2.5.5"));
    assert_true(ban_set_add(set, &other));
    assert_true(holds(set, "10.2.5.5"));
    ban_set_destroy(&set);
}

static void many(void **state)
{
    struct ban_set *set = ban_set_create();
    struct address_prefix prefix = prefix_of("10.0.0.0/24");

    for (unsigned i = 0; i < 20000; i++) {
        prefix.address.ip[1] = (uint8_t)(i >> 8);
        prefix.address.ip[2] = (uint8_t)i;
        assert_true(ban_set_add(set, &prefix));
    }
    assert_true(holds(set, "10.78.31.255")); /* the last */
    assert_false(holds(set, "10.78.32.0"));
    ban_set_destroy(&set);
}

static void lists(void **state)
{
    static const char *const bad[] = {"x",
                                      "10.0.0.0/33",
                                      "10.0.0/8",
                                      "10.0.0.1 y",
                                      "1.2.3.4:5",
                                      "2001:db8::/129",
                                      "10.0.0.0/",
                                      "::ffff:10.0.0.0/95",
                                      "1111111111111111111111111111111111111111111111111111111111"
                                      "11111111111111111111"};
    struct ban_set *set = set_of(" 10.1.2.3/8,2001:db8::5 \n 203.0.113.7\t10.0.0.0/8 ");
    struct writer to = {0};

    ban_set_write(set, &to);
    writer_u8(&to, 0);
    assert_string_equal((const char *)to.data, "10.0.0.0/8\n2001:db8::5\n203.0.113.7\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *error = ban_set_add_list(set, bad[i]);

        if (!error) {
            fail_msg("%s", bad[i]);
        }
        assert_non_null(strstr(error, "neither an address"));
        assert_non_null(ban_list_check(bad[i]));
        free(error);
    }
    assert_int_equal(ban_set_count(set), 3); /* nothing of a bad list */
    writer_free(&to);
    ban_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_held),
        cmocka_unit_test(they_come_and_go),
        cmocka_unit_test(many),
        cmocka_unit_test(lists),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
