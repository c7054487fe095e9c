/* slots: connections in all and by address. */
#include "auth/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

static struct address ip(const char *text)
{
    struct address address;

    if (!address_parse_ip(text, &address)) {
        fail_msg("%s is no address", text);
    }
    return address;
}

static enum slots_result take(struct slots *slots, const char *text, size_t most, size_t each)
{
    const struct address address = ip(text);

    return slots_take(slots, &address, most, each);
}

static void release(struct slots *slots, const char *text)
{
    const struct address address = ip(text);

    slots_release(slots, &address);
}

static void test_in_all(void **state)
{
    struct slots slots = {0};

    assert_int_equal(take(&slots, "10.0.0.1", 2, 0), SLOTS_TAKEN);
    assert_int_equal(take(&slots, "10.0.0.2", 2, 0), SLOTS_TAKEN);
    assert_int_equal(take(&slots, "10.0.0.3", 2, 0), SLOTS_FULL);
    assert_int_equal(slots.taken, 2);
    release(&slots, "10.0.0.1");
    assert_int_equal(take(&slots, "10.0.0.3", 2, 0), SLOTS_TAKEN);
    release(&slots, "10.0.0.2");
    release(&slots, "10.0.0.3");
    assert_int_equal(slots.taken, 0);
    assert_null(slots.addresses);
}

static void test_by_address(void **state)
{
    struct slots slots = {0};

    assert_int_equal(take(&slots, "10.0.0.1", 9, 2), SLOTS_TAKEN);
    assert_int_equal(take(&slots, "10.0.0.1", 9, 2), SLOTS_TAKEN);
    assert_int_equal(take(&slots, "10.0.0.1", 9, 2), SLOTS_ADDRESS_FULL);
    assert_int_equal(take(&slots, "10.0.0.2", 9, 2), SLOTS_TAKEN);
    release(&slots, "10.0.0.1");
    assert_int_equal(take(&slots, "10.0.0.1", 9, 2), SLOTS_TAKEN);
    const struct address address = ip("10.0.0.1");
    assert_int_equal(slots_of_address(&slots, &address), 2);
    release(&slots, "10.0.0.1");
    release(&slots, "10.0.0.1");
    release(&slots, "10.0.0.2");
    assert_null(slots.addresses);
}

static void test_ipv6_counts_by_64(void **state)
{
    struct slots slots = {0};

    assert_int_equal(take(&slots, "2001:db8::1", 9, 1), SLOTS_TAKEN);
    assert_int_equal(take(&slots, "2001:db8::2", 9, 1), SLOTS_ADDRESS_FULL);
    assert_int_equal(take(&slots, "2001:db8:0:1::1", 9, 1), SLOTS_TAKEN);
    release(&slots, "2001:db8::ffff");
    assert_int_equal(take(&slots, "2001:db8::2", 9, 1), SLOTS_TAKEN);
    release(&slots, "2001:db8::2");
    release(&slots, "2001:db8:0:1::1");
}

static void test_unix_sockets_have_no_address(void **state)
{
    const struct address address = {.family = ADDRESS_UNIX};
    struct slots slots = {0};

    for (int i = 0; i < 3; i++) {
        assert_int_equal(slots_take(&slots, &address, 3, 1), SLOTS_TAKEN);
    }
    assert_int_equal(slots_take(&slots, &address, 3, 1), SLOTS_FULL);
    assert_int_equal(slots_of_address(&slots, &address), 0);
    for (int i = 0; i < 3; i++) {
        slots_release(&slots, &address);
    }
    assert_int_equal(slots.taken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_all),
        cmocka_unit_test(test_by_address),
        cmocka_unit_test(test_ipv6_counts_by_64),
        cmocka_unit_test(test_unix_sockets_have_no_address),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
