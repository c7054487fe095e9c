/* The settings of the whole program: their precedence, a reload, and a listener's copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/configuration.h"

struct stage {
    struct configuration configuration;
    struct cmdline cmdline;
    char path[64];
};

static int create(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    strcpy(stage->path, "/tmp/test-configuration-XXXXXX");
    int fd = mkstemp(stage->path);
    assert_true(fd >= 0);
    close(fd);
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    unsetenv("TRACKER_DRAIN_TIME");
    configuration_init(&stage->configuration);
    *state = stage;
    return 0;
}

static int destroy(void **state)
{
    struct stage *stage = *state;
    configuration_free(&stage->configuration);
    cmdline_free(&stage->cmdline);
    unsetenv("TRACKER_DRAIN_TIME");
    unlink(stage->path);
    free(stage);
    return 0;
}

static void write_file(const struct stage *stage, const char *text)
{
    FILE *file = fopen(stage->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static char *load(struct stage *stage, const char *flag)
{
    char *argv[] = {(char *)(uintptr_t) "trackerd", (char *)(uintptr_t) "--config", stage->path,
                    (char *)(uintptr_t)flag};
    assert_null(cmdline_parse(&stage->cmdline, flag ? 4 : 3, argv));
    return configuration_load(&stage->configuration, &stage->cmdline);
}

static void test_precedence(void **state)
{
    struct stage *stage = *state;
    struct configuration *configuration = &stage->configuration;
    assert_int_equal(configuration->server.drain_time, 5000);
    write_file(stage, "node = file\n[drain]\ntime = 6s\n[log]\nlevel = warn\n");
    setenv("TRACKER_DRAIN_TIME", "7s", 1);
    assert_null(load(stage, "--node=flag"));
    assert_string_equal(configuration->server.node, "flag");
    assert_int_equal(configuration->server.drain_time, 7000);
    assert_int_equal(configuration->server.log_level, LOG_WARN);
    assert_int_equal(configuration->server.log_format, LOG_FORMAT_LOGFMT);
}

/* A setting of each module, so that none is forgotten in the table. */
static void test_all_modules(void **state)
{
    struct stage *stage = *state;
    write_file(stage, "[net]\nbacklog = 7\n[http]\nmax_headers = 8\n[redis]\nprefix = p\n"
                      "[map]\npartitions = 9\n[tracker]\nrate = 10\n[access]\ndeny = 10.0.0.0/8\n");
    assert_null(load(stage, NULL));
    assert_int_equal(stage->configuration.net.backlog, 7);
    assert_int_equal(stage->configuration.http.max_headers, 8);
    assert_string_equal(stage->configuration.redis.prefix, "p");
    assert_int_equal(stage->configuration.map.partitions, 9);
    assert_int_equal(stage->configuration.tracker.rate, 10);
    assert_string_equal(stage->configuration.server.access_deny, "10.0.0.0/8");
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text;
        const char *named;
    } bad[] = {
        {"[drain]\ntimes = 5s\n", "drain.time"},
        {"[drain]\ntime = soon\n", "drain.time"},
        {"[access]\nallow = everybody\n", "access.allow"},
        {"[log]\nlevel = loud\n", "log.level"},
        {"[tracker]\nadopt = sometimes\n", "tracker.adopt"},
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(stage, bad[i].text);
        char *error = load(stage, NULL);
        assert_non_null(error);
        if (!strstr(error, bad[i].named)) {
            fail_msg("\"%s\" does not name %s", error, bad[i].named);
        }
        free(error);
        cmdline_free(&stage->cmdline);
    }
}

static void test_reload(void **state)
{
    struct stage *stage = *state;
    struct configuration *configuration = &stage->configuration;
    char *error;
    write_file(stage, "[drain]\ntime = 6s\n[redis]\nprefix = before\n");
    assert_null(load(stage, "--set=log.level=error"));
    write_file(stage, "[drain]\ntime = 8s\n[redis]\nprefix = after\n[log]\nlevel = debug\n");
    assert_null(configuration_reload(configuration));
    assert_int_equal(configuration->server.drain_time, 8000);
    assert_string_equal(configuration->redis.prefix, "before");
    assert_int_equal(configuration->server.log_level, LOG_ERROR);
    write_file(stage, "[drain]\ntime = 9s\nspeed = 3\n");
    error = configuration_reload(configuration);
    assert_non_null(error);
    free(error);
    assert_int_equal(configuration->server.drain_time, 8000);
}

static void test_copies_of_a_listener(void **state)
{
    const struct config_module *const tracker[] = {&tracker_config, NULL};
    const struct config_module *const http[] = {&http_config, NULL};
    struct stage *stage = *state;
    struct listener_settings copy;
    char *error;
    write_file(stage, "[net]\nproxy_from = 10.0.0.0/8\n[tracker]\nrate = 10\n");
    assert_null(load(stage, NULL));
    listener_settings_copy(&copy, &stage->configuration);
    assert_string_equal(copy.net.proxy_from, "10.0.0.0/8");
    assert_ptr_not_equal(copy.net.proxy_from, stage->configuration.net.proxy_from);
    assert_null(listener_settings_set(&copy, tracker, "rate", "20"));
    assert_null(listener_settings_set(&copy, tracker, "proxy_from", ""));
    assert_int_equal(copy.tracker.rate, 20);
    assert_int_equal(stage->configuration.tracker.rate, 10);
    assert_string_equal(stage->configuration.net.proxy_from, "10.0.0.0/8");
    error = listener_settings_set(&copy, http, "rate", "20");
    assert_non_null(error);
    free(error);
    listener_settings_free(&copy);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, create, destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_precedence), TEST(test_all_modules),          TEST(test_bad_files),
        TEST(test_reload),     TEST(test_copies_of_a_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
