/* The command line: what each option stands for, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/cmdline.h"

#define WORDS 12

struct good_case {
    const char *arguments[WORDS];
    enum cmdline_mode mode;
    const char *config;
    const char *assignments[WORDS];
};

static const struct good_case good[] = {
    {{NULL}, CMDLINE_RUN, NULL, {NULL}},
    {{"--help"}, CMDLINE_HELP, NULL, {NULL}},
    {{"-h"}, CMDLINE_HELP, NULL, {NULL}},
    {{"--version"}, CMDLINE_VERSION, NULL, {NULL}},
    {{"--sample"}, CMDLINE_SAMPLE, NULL, {NULL}},
    {{"--config", "a.ini", "--check"}, CMDLINE_CHECK, "a.ini", {NULL}},
    {{"--config=a=b.ini"}, CMDLINE_RUN, "a=b.ini", {NULL}},
    {{"--config", "a", "--config", "b"}, CMDLINE_RUN, "b", {NULL}},
    {{"--node", "x", "--redis", "unix:/r.sock"},
     CMDLINE_RUN,
     NULL,
     {"node=x", "redis.url=unix:/r.sock"}},
    {{"--workers", "auto", "--workers=2"}, CMDLINE_RUN, NULL, {"workers=auto", "workers=2"}},
    {{"--set", "log.level=debug", "--set=node=y", "--node=z"},
     CMDLINE_RUN,
     NULL,
     {"log.level=debug", "node=y", "node=z"}},
    /* A value may look like an option, and be empty. */
    {{"--node", "--help"}, CMDLINE_RUN, NULL, {"node=--help"}},
    {{"--node="}, CMDLINE_RUN, NULL, {"node="}},
    /* All listeners are one setting, the last. */
    {{"--listen", "tracker=127.0.0.1:1,space=a", "--set", "a=b", "--listen=web=*:2"},
     CMDLINE_RUN,
     NULL,
     {"a=b", "listen=tracker=127.0.0.1:1,space=a web=*:2"}},
};

static int count(const char *const *words)
{
    int n = 0;
    while (n < WORDS && words[n]) {
        n++;
    }
    return n;
}

static char *parse(struct cmdline *cmdline, const char *const *arguments)
{
    char *argv[WORDS + 2] = {(char *)(uintptr_t) "trackerd"};
    int argc = count(arguments);
    for (int i = 0; i < argc; i++) {
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    }
    return cmdline_parse(cmdline, argc + 1, argv);
}

static void test_good(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cmdline cmdline;
        assert_null(parse(&cmdline, good[i].arguments));
        assert_int_equal(cmdline.mode, good[i].mode);
        if (good[i].config) {
            assert_string_equal(cmdline.config, good[i].config);
        } else {
            assert_null(cmdline.config);
        }
        assert_int_equal(cmdline.assignment_count, count(good[i].assignments));
        for (size_t j = 0; j < cmdline.assignment_count; j++) {
            assert_string_equal(cmdline.assignments[j], good[i].assignments[j]);
        }
        cmdline_free(&cmdline);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *arguments[WORDS];
        const char *named; /* in the message */
    } bad[] = {
        {{"--frobnicate"}, "--frobnicate"},
        {{"--nodes", "x"}, "--nodes"},
        {{"--nod", "x"}, "--nod"},
        {{"-x"}, "-x"},
        {{"stray"}, "stray"},
        {{"--node"}, "--node needs a value"},
        {{"--set", "a=b", "--listen"}, "--listen needs a value"},
        {{"--check=yes"}, "--check takes no value"},
        {{""}, "unknown option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cmdline cmdline;
        char *error = parse(&cmdline, bad[i].arguments);
        assert_non_null(error);
        if (!strstr(error, bad[i].named)) {
            fail_msg("\"%s\" does not say \"%s\"", error, bad[i].named);
        }
        free(error);
        cmdline_free(&cmdline);
    }
}

/* Each option that is understood is explained. */
static void test_usage(void **state)
{
    static const char *const names[] = {"--config", "--node",   "--redis", "--listen", "--set",
                                        "--check",  "--sample", "--help",  "--version"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(strstr(cmdline_usage, names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
