/* Settings that cannot hold together are refused by name; defaults fit what is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "server/combinations.h"
#include "server/cut_off.h"

struct stage {
    struct configuration configuration;
    struct listener_settings listener;
    bool ping_given, probe_given, registration_given;
};

static bool is_given(const void *arg, const char *key)
{
    const struct stage *stage = arg;
    if (!strcmp(key, "ws.ping_interval")) {
        return stage->ping_given;
    }
    return !strncmp(key, "net.keepalive", 13) ? stage->probe_given : stage->registration_given;
}

static struct combinations_scope scope_of(const struct stage *stage)
{
    return (struct combinations_scope){.is_websocket = true,
                                       .is_tcp = true,
                                       .is_master = true,
                                       .is_given = is_given,
                                       .arg = stage};
}

static int create(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    configuration_init(&stage->configuration);
    listener_settings_copy(&stage->listener, &stage->configuration);
    *state = stage;
    return 0;
}

static int destroy(void **state)
{
    struct stage *stage = *state;
    listener_settings_free(&stage->listener);
    configuration_free(&stage->configuration);
    free(stage);
    return 0;
}

static void expect(char *error, const char *said)
{
    if (said) {
        assert_non_null(error);
        assert_string_equal(error, said);
    } else {
        assert_null(error);
    }
    free(error);
}

static char *check_listener(struct stage *stage)
{
    const struct combinations_scope scope = scope_of(stage);
    combinations_fit_listener(&stage->configuration.map, false, &scope, &stage->listener);
    return combinations_check_listener(&stage->configuration.map, &scope, &stage->listener);
}

static void set_value(struct stage *stage, const char *assignment)
{
    char *error = config_set(stage->configuration.config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
}

/* An entry that no reply may hold could be written and never be read. */
static void test_entries_fit_into_replies(void **state)
{
    struct stage *stage = *state;
    char *error;
    set_value(stage, "redis.max_reply=1MiB");
    expect(combinations_check(&stage->configuration), NULL);
    set_value(stage, "tracker.max_state=600KiB");
    error = combinations_check(&stage->configuration);
    assert_non_null(error);
    assert_non_null(strstr(error, "redis.max_reply"));
    assert_non_null(strstr(error, "tracker.max_state"));
    free(error);
    set_value(stage, "tracker.max_state=496KiB"); /* twice that, and 32 KiB */
    expect(combinations_check(&stage->configuration), NULL);
    set_value(stage, "sync.max_total=1MiB");
    error = combinations_check(&stage->configuration);
    assert_non_null(error);
    assert_non_null(strstr(error, "sync.max_total"));
    free(error);
    set_value(stage, "redis.max_reply=3MiB");
    expect(combinations_check(&stage->configuration), NULL);
}

static void test_defaults_hold(void **state)
{
    struct stage *stage = *state;
    combinations_derive(&stage->configuration);
    expect(combinations_check(&stage->configuration), NULL);
    expect(check_listener(stage), NULL);
    assert_int_equal(stage->listener.websocket.ping_interval, 20000);
    assert_int_equal(stage->listener.net.keepalive, 10000);
    assert_int_equal(stage->configuration.map.offline_delay, 5000);
}

static void test_the_map(void **state)
{
    struct stage *stage = *state;
    struct map_settings *map = &stage->configuration.map;
    map->client_grace = 30000;
    expect(combinations_check(&stage->configuration),
           "client.grace must be less than client.ttl: client.grace = 30s, client.ttl = 30s");
    map->client_grace = 29999;
    map->offline_delay = 30001;
    expect(combinations_check(&stage->configuration),
           "presence.offline_delay must be at most client.ttl: "
           "presence.offline_delay = 30001ms, client.ttl = 30s");
    map->offline_delay = 30000;
    map->sweep = 1501;
    expect(combinations_check(&stage->configuration),
           "map.sweep must be at most half of map.lease: map.sweep = 1501ms, map.lease = 3s");
    map->sweep = 1500;
    expect(combinations_check(&stage->configuration), NULL);
    stage->configuration.redis.backoff = 5001;
    expect(combinations_check(&stage->configuration),
           "redis.backoff must be at most redis.backoff_max: redis.backoff = 5001ms, "
           "redis.backoff_max = 5s");
}

static void test_who_is_sent_away_has_time_to_return(void **state)
{
    struct stage *stage = *state;
    struct map_settings *map = &stage->configuration.map;
    map->client_grace = 2932;
    expect(combinations_check(&stage->configuration), NULL);
    map->cut_off = MAP_CUT_OFF_PEERS;
    expect(combinations_check(&stage->configuration),
           "map.cut_off = peers needs a client.grace of at least 2933ms: client.grace = 2932ms, "
           "map.lease = 3s, map.sweep = 1s");
    map->client_grace = 2933;
    expect(combinations_check(&stage->configuration), NULL);
    /* A shorter sweep sees sooner that others are served. */
    map->sweep = 300;
    assert_true(cut_off_least_grace_ms(map) < 500);
}

static void test_presence_follows_the_ttl(void **state)
{
    struct stage *stage = *state;
    struct config *config = stage->configuration.config;
    assert_null(config_set(config, "client.ttl=4s"));
    combinations_derive(&stage->configuration);
    assert_int_equal(stage->configuration.map.offline_delay, 4000);
    assert_false(config_is_given(config, "presence.offline_delay"));
    assert_null(config_set(config, "presence.offline_delay=5s"));
    combinations_derive(&stage->configuration);
    assert_int_equal(stage->configuration.map.offline_delay, 5000);
}

static bool changed;
static void on_changed(void *arg, const char *key, bool applied)
{
    (void)arg, (void)key, (void)applied;
    changed = true;
}

/* What follows is no change of the file. */
static void test_a_derived_default_stays_in_a_reload(void **state)
{
    struct stage *stage = *state;
    struct config *config = stage->configuration.config;
    const char *const assignments[] = {"client.ttl=4s"};
    assert_null(config_set(config, assignments[0]));
    combinations_derive(&stage->configuration);
    changed = false;
    assert_null(config_reload(config, NULL, NULL, assignments, 1, on_changed, NULL));
    assert_false(changed);
    assert_int_equal(stage->configuration.map.offline_delay, 4000);
}

static void test_pings(void **state)
{
    struct stage *stage = *state;
    struct websocket_settings *settings = &stage->listener.websocket;
    stage->ping_given = true;
    settings->ping_interval = 22501;
    expect(check_listener(stage), "ws.ping_interval must be at most three quarters of client.ttl: "
                                  "ws.ping_interval = 22501ms, client.ttl = 30s");
    settings->ping_interval = 22500;
    expect(check_listener(stage), NULL);
    settings->timeout = 29999;
    expect(check_listener(stage), "ws.ping_interval must be at most three quarters of ws.timeout: "
                                  "ws.ping_interval = 22500ms, ws.timeout = 29999ms");
    settings->timeout = 0;
    expect(check_listener(stage), NULL);
    settings->ping_interval = 0;
    settings->timeout = 1000;
    expect(check_listener(stage), NULL);
}

static void test_pings_that_are_not_given_fit(void **state)
{
    struct stage *stage = *state;
    struct websocket_settings *settings = &stage->listener.websocket;
    stage->configuration.map.client_ttl = 6000;
    expect(check_listener(stage), NULL);
    assert_int_equal(settings->ping_interval, 4000);
    assert_int_equal(stage->listener.net.keepalive, 2000);
    assert_int_equal(stage->listener.net.keepalive_interval, 2000);
    settings->timeout = 3000;
    expect(check_listener(stage), NULL);
    assert_int_equal(settings->ping_interval, 2000);
}

static void test_probes(void **state)
{
    struct stage *stage = *state;
    stage->probe_given = true;
    stage->listener.net.keepalive = 22501;
    expect(check_listener(stage), "net.keepalive must be at most three quarters of client.ttl: "
                                  "net.keepalive = 22501ms, client.ttl = 30s");
    stage->listener.net.keepalive = 22500;
    stage->listener.net.keepalive_interval = 23000;
    expect(check_listener(stage),
           "net.keepalive_interval must be at most three quarters of client.ttl: "
           "net.keepalive_interval = 23s, client.ttl = 30s");
    stage->listener.net.keepalive = 0;
    expect(check_listener(stage), NULL);
}

static void test_registrations(void **state)
{
    struct stage *stage = *state;
    stage->configuration.map.max_registration = 60000;
    stage->registration_given = true;
    expect(check_listener(stage), "q3master.ttl must be at most map.max_registration: "
                                  "q3master.ttl = 15m, map.max_registration = 1m");
    stage->registration_given = false;
    expect(check_listener(stage), NULL);
    assert_int_equal(stage->listener.q3master.ttl, 60000);
}

/* What all front-ends share may have been changed since the start. */
static void test_in_force_all_fits(void **state)
{
    struct stage *stage = *state;
    const struct combinations_scope scope = scope_of(stage);
    struct map_settings map = stage->configuration.map;
    stage->ping_given = stage->probe_given = true;
    map.client_ttl = 12000;
    combinations_fit_listener(&map, true, &scope, &stage->listener);
    assert_int_equal(stage->listener.websocket.ping_interval, 8000);
    assert_int_equal(stage->listener.net.keepalive, 4000);
    stage->listener.websocket.ping_interval = stage->listener.net.keepalive = 9000;
    combinations_fit_listener(&map, true, &scope, &stage->listener);
    assert_int_equal(stage->listener.websocket.ping_interval, 9000);
    assert_int_equal(stage->listener.net.keepalive, 9000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, create, destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_hold),
        TEST(test_entries_fit_into_replies),
        TEST(test_the_map),
        TEST(test_who_is_sent_away_has_time_to_return),
        TEST(test_presence_follows_the_ttl),
        TEST(test_a_derived_default_stays_in_a_reload),
        TEST(test_pings),
        TEST(test_pings_that_are_not_given_fit),
        TEST(test_probes),
        TEST(test_registrations),
        TEST(test_in_force_all_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
