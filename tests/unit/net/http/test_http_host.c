/* Names of hosts: which a Host header may have, and the list of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/http/host.h"

static void expect_allowed_host(const char *list, const char *host, bool is_allowed)
{
    if (http_hosts_allow(list, bytes_from_string(host)) != is_allowed) {
        fail_msg("\"%s\" with the list \"%s\" is %s", host, list ? list : "(none)",
                 is_allowed ? "refused" : "allowed");
    }
}

static void test_hosts_that_are_always_allowed(void **state)
{
    static const char *const good[] = {"",          "127.0.0.1",       "10.1.2.3:8080",
                                       "[::1]",     "[2001:db8::1]:1", "[fe80::1%eth0]:8080",
                                       "localhost", "LocalHost:8080",  "localhost.",
                                       "localhost:"};
    static const char *const bad[] = {"evil.example",      "localhost.evil.example",
                                      "127.0.0.1.example", "127.0.0.1.evil.example:80",
                                      "127.1.example",     "xlocalhost",
                                      "a.localhost",       "%6cocalhost",
                                      "256.0.0.1",         ":80",
                                      "localhost@evil"};
    char own[256] = "";
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        expect_allowed_host("", good[i], true);
        expect_allowed_host(NULL, good[i], true);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_allowed_host("", bad[i], false);
    }
    assert_int_equal(gethostname(own, sizeof own - 1), 0);
    char *with_port = mem_format("%s:8080", own);
    char *below = mem_format("%s.evil.example", own);
    expect_allowed_host("", own, true);
    expect_allowed_host("", with_port, true);
    expect_allowed_host("", below, false);
    free(with_port);
    free(below);
}

static void test_hosts_of_the_list(void **state)
{
    static const char list[] = "page.example.org, .lan  Other.Example.";
    static const char *const good[] = {"page.example.org", "PAGE.example.org.:8080", "a.lan",
                                       "b.a.lan:1", "other.example"};
    static const char *const bad[] = {"example.org", "a.page.example.org",    "lan",
                                      ".lan",        "page.example.org.evil", "alan",
                                      "a.lan.evil"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        expect_allowed_host(list, good[i], true);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_allowed_host(list, bad[i], false);
    }
    expect_allowed_host("*", "anything.example", true);
}

static void test_lists_of_hosts_that_are_malformed(void **state)
{
    static const char *const bad[] = {"https://a", "a:80",      "a/",  "*.example.org", "[::1]",
                                      ".",         "b\xc3\xbc", "u@a", "a b/"};
    assert_null(http_hosts_check(""));
    assert_null(http_hosts_check(" a.example, .b.example * c. 10.0.0.1"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!http_hosts_check(bad[i])) {
            fail_msg("\"%s\" is accepted", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_that_are_always_allowed),
        cmocka_unit_test(test_hosts_of_the_list),
        cmocka_unit_test(test_lists_of_hosts_that_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
