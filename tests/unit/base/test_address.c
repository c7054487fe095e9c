/* base/address: texts that are addresses and texts that are not, system forms, prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/address.h"

static void twenty_bytes(void **state)
{
    assert_int_equal(sizeof(struct address), 20);
}

static void addresses_with_ports(void **state)
{
    static const struct {
        const char *text, *shown; /* NULL: no address */
    } cases[] = {
        {"203.0.113.7:23460", "203.0.113.7:23460"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[2001:db8::1]:80", "[2001:db8::1]:80"},
        {"[::]:1", "[::]:1"},
        {"[2001:0DB8:0:0:0:0:0:1]:080", "[2001:db8::1]:80"},
        {"[::ffff:10.1.2.3]:5", "10.1.2.3:5"},
        {"[::ffff:a01:203]:5", "10.1.2.3:5"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"", NULL},
        {":", NULL},
        {":80", NULL},
        {"1.2.3.4", NULL},
        {"1.2.3.4:", NULL},
        {"1.2.3.4:65536", NULL},
        {"1.2.3.4:99999", NULL},
        {"1.2.3.4:000080", NULL},
        {"1.2.3.4:-1", NULL},
        {"1.2.3.4:+1", NULL},
        {"1.2.3.4: 1", NULL},
        {"1.2.3.4:1 ", NULL},
        {"1.2.3.4:http", NULL},
        {"1.2.3:80", NULL},
        {"1.2.3.256:80", NULL},
        {"01.2.3.4:80", NULL},
        {"localhost:80", NULL},
        {"[1.2.3.4]:80", NULL},
        {"::1:80", NULL},
        {"2001:db8::1", NULL},
        {"[::1]", NULL},
        {"[::1]80", NULL},
        {"[::1:80", NULL},
        {"::1]:80", NULL},
        {"[]:80", NULL},
        {"[:80", NULL},
        {"[fe80::1%lo]:80", NULL},
        {"unix", NULL},
        {"[0000000000000000000000000000000000000000000000000000000000000000000000::1]:80", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address;
        char text[ADDRESS_TEXT_SIZE];
        bool good = address_parse(cases[i].text, &address);

        if (good != (cases[i].shown != NULL)) {
            fail_msg("\"%s\"", cases[i].text);
        }
        if (good) {
            assert_string_equal(address_format(&address, text), cases[i].shown);
        }
    }
}

static void addresses_without_ports(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"1.2.3.4", "1.2.3.4"}, {"::1", "::1"},   {"::ffff:1.2.3.4", "1.2.3.4"},
        {"1.2.3.4:5", NULL},    {"[::1]", NULL},  {"", NULL},
        {"1.2.3", NULL},        {"::1%lo", NULL}, {"1.2.3.4 ", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address;
        char text[ADDRESS_TEXT_SIZE];
        bool good = address_parse_ip(cases[i].text, &address);

        assert_int_equal(good, cases[i].shown != NULL);
        if (!good) {
            continue;
        }
        assert_string_equal(address_format_ip(&address, text), cases[i].shown);
        assert_int_equal(address.port, 0);
    }
}

static void those_without_an_ip(void **state)
{
    const struct address none = {0}, unix_socket = {.family = ADDRESS_UNIX};
    struct sockaddr_storage storage;
    char text[ADDRESS_TEXT_SIZE];

    assert_string_equal(address_format(&unix_socket, text), "unix");
    assert_string_equal(address_format_ip(&unix_socket, text), "unix");
    assert_string_equal(address_format(&none, text), "none");
    assert_int_equal(address_to_sockaddr(&none, &storage), 0);
    assert_int_equal(address_to_sockaddr(&unix_socket, &storage), 0);
}

static void to_the_system_and_back(void **state)
{
    static const char *const texts[] = {"203.0.113.7:23460", "[2001:db8::1]:80"};
    static const socklen_t lengths[] = {sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6)};

    for (size_t i = 0; i < 2; i++) {
        struct address address, back;
        struct sockaddr_storage storage;
        char text[ADDRESS_TEXT_SIZE];

        assert_true(address_parse(texts[i], &address));
        assert_int_equal(address_to_sockaddr(&address, &storage), lengths[i]);
        address_from_sockaddr((const struct sockaddr *)&storage, &back);
        assert_memory_equal(&address, &back, sizeof back);
        assert_string_equal(address_format(&back, text), texts[i]);
    }
}

static void mapped_addresses_become_ipv4(void **state)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr other = {.sa_family = AF_APPLETALK};
    struct address address;
    char text[ADDRESS_TEXT_SIZE];

    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
    address_from_sockaddr((const struct sockaddr *)&in6, &address);
    assert_int_equal(address.family, ADDRESS_IPV4);
    assert_string_equal(address_format(&address, text), "192.0.2.1:99");

    address_from_sockaddr((const struct sockaddr *)&un, &address);
    assert_int_equal(address.family, ADDRESS_UNIX);
    address_from_sockaddr(&other, &address);
    assert_int_equal(address.family, ADDRESS_NONE);
}

static struct address parse_ip(const char *text)
{
    struct address address;

    assert_true(address_parse_ip(text, &address));
    return address;
}

static void same_leaves_out_the_port(void **state)
{
    struct address a = parse_ip("10.0.0.1"), b = a, c = parse_ip("10.0.0.2"),
                   d = parse_ip("::10.0.0.1");

    b.port = 7;
    assert_true(address_same_ip(&a, &b));
    assert_false(address_same_ip(&a, &c));
    assert_false(address_same_ip(&a, &d));
    /* What lies behind an IPv4 address's four bytes does not count. */
    b.ip[9] = 1;
    assert_true(address_same_ip(&a, &b));
}

static void prefixes_contain(void **state)
{
    static const struct {
        const char *prefix, *address;
        bool contains;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* bits after the prefix do not count */
        {"0.0.0.0/0", "203.0.113.7", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.7", false},
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7", "203.0.113.6", false},
        {"203.0.113.6/31", "203.0.113.7", true},
        {"203.0.113.6/31", "203.0.113.8", false},
        {"203.0.113.128/25", "203.0.113.127", false},
        {"203.0.113.128/25", "203.0.113.255", true},
        {"203.0.113.7/32", "203.0.113.7", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
        {"2001:db8::/127", "2001:db8::1", true},
        {"::ffff:10.0.0.0/104", "10.200.0.1", true},
        {"::ffff:10.0.0.0/104", "11.0.0.1", false},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"::ffff:0.0.0.0/96", "1.1.1.1", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address_prefix prefix;
        struct address address = parse_ip(cases[i].address);

        assert_true(address_prefix_parse(cases[i].prefix, &prefix));
        if (address_prefix_contains(&prefix, &address) != cases[i].contains) {
            fail_msg("%s and %s", cases[i].prefix, cases[i].address);
        }
    }
}

static void texts_that_are_no_prefixes(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8 ",
        "10.0.0/8",
        "10.0.0.0/8/8",
        "2001:db8::/129",
        "[::1]/128",
        "name/8",
        "10.0.0.0:80",
        "::ffff:0:0/95",
        "10.0.0.0/0x8",
        "10.0.0.0/000008",
        "1111111111111111111111111111111111111111111111111111111111111111111111111/8",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address_prefix prefix;

        if (address_prefix_parse(texts[i], &prefix)) {
            fail_msg("\"%s\"", texts[i]);
        }
    }
}

static void prefixes_contain_no_sockets(void **state)
{
    const struct address none = {0}, unix_socket = {.family = ADDRESS_UNIX};
    struct address_prefix prefix;

    assert_true(address_prefix_parse("0.0.0.0/0", &prefix));
    assert_false(address_prefix_contains(&prefix, &none));
    assert_false(address_prefix_contains(&prefix, &unix_socket));
    memset(&prefix, 0, sizeof prefix);
    assert_false(address_prefix_contains(&prefix, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_bytes),
        cmocka_unit_test(addresses_with_ports),
        cmocka_unit_test(addresses_without_ports),
        cmocka_unit_test(those_without_an_ip),
        cmocka_unit_test(to_the_system_and_back),
        cmocka_unit_test(mapped_addresses_become_ipv4),
        cmocka_unit_test(same_leaves_out_the_port),
        cmocka_unit_test(prefixes_contain),
        cmocka_unit_test(texts_that_are_no_prefixes),
        cmocka_unit_test(prefixes_contain_no_sockets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
