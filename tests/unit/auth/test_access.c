/* auth/access: who is let in by which lists, and lists that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/access.h"

static void addresses_are_judged(void **state)
{
    static const struct {
        const char *allow, *deny, *address;
        bool let_in;
    } cases[] = {
        {"", "", "203.0.113.7", true},
        {"", "", "2001:db8::1", true},
        {"", "203.0.113.7", "203.0.113.7", false},
        {"", "203.0.113.7", "203.0.113.8", true},
        {"10.0.0.0/8", "", "10.1.2.3", true},
        {"10.0.0.0/8", "", "203.0.113.7", false},
        {"10.0.0.0/8", "", "2001:db8::1", false},
        {"10.0.0.0/8", "10.6.6.0/24", "10.6.6.6", false},
        {"10.0.0.0/8", "10.6.6.0/24", "10.6.7.6", true},
        {"10.6.6.6", "10.0.0.0/8", "10.6.6.6", false}, /* denied goes first */
        {"10.0.0.0/8 2001:db8::/32", "", "2001:db8::5", true},
        {"10.0.0.0/8,2001:db8::/32", "", "2001:db8::5", true},
        {" , 10.0.0.0/8 ,,\t2001:db8::/32\r\n", "", "2001:db8::5", true},
        {" ,\n", " , ", "203.0.113.7", true},
        {"", "0.0.0.0/0", "203.0.113.7", false},
        {"", "0.0.0.0/0", "2001:db8::1", true},
        {"", "10.0.0.0/8", "::ffff:10.1.1.1", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = (char *)"";
        struct access_list *list = access_list_create(cases[i].allow, cases[i].deny, &error);
        struct address address;

        assert_non_null(list);
        assert_null(error);
        assert_true(address_parse_ip(cases[i].address, &address));
        if (access_list_allows(list, &address) != cases[i].let_in) {
            fail_msg("allow %s deny %s: %s", cases[i].allow, cases[i].deny, cases[i].address);
        }
        assert_null(access_list_check(cases[i].allow));
        assert_null(access_list_check(cases[i].deny));
        access_list_destroy(&list);
        assert_null(list);
        access_list_destroy(&list);
    }
}

static void unix_sockets_are_let_in(void **state)
{
    struct address local = {.family = ADDRESS_UNIX}, none = {0};
    char *error;
    struct access_list *list = access_list_create("10.0.0.1", "0.0.0.0/0 ::/0", &error);

    assert_true(access_list_allows(list, &local));
    assert_false(access_list_allows(list, &none));
    access_list_destroy(&list);
}

static void wrong_words_are_named(void **state)
{
    static const struct {
        const char *list, *word;
    } cases[] = {
        {"name", "\"name\""},
        {"10.0.0.0/8 10.0.0.0/33", "\"10.0.0.0/33\""},
        {"10.0.0.0/8,x,y", "\"x\""},
        {"10.0.0.0/8;10.0.0.1", "\"10.0.0.0/8;10.0.0.1\""},
        {"10.0.0.0 /8", "\"/8\""},
        {"1234567890123456789012345678901234567890123456789012345678901234567890",
         "\"1234567890123456789012345678901234567890123456789012345678901234567890\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error;

        assert_null(access_list_create(cases[i].list, "", &error));
        assert_non_null(strstr(error, cases[i].word));
        free(error);
        assert_null(access_list_create("10.0.0.1", cases[i].list, &error));
        assert_non_null(strstr(error, cases[i].word));
        free(error);
        assert_non_null(access_list_check(cases[i].list));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_judged),
        cmocka_unit_test(unix_sockets_are_let_in),
        cmocka_unit_test(wrong_words_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
