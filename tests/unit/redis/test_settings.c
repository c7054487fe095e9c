/* The redis.* settings: defaults, what is refused, what is secret. */
#include "redis/redis_fixture.h"

static void test_defaults(void **state)
{
    struct world world;

    world_create(&world, "embedded");
    assert_string_equal(world.settings.url, "embedded");
    assert_string_equal(world.settings.data, "");
    assert_string_equal(world.settings.server, "redis-server");
    assert_string_equal(world.settings.prefix, "tracker");
    assert_int_equal(world.settings.deadline, 3000);
    assert_int_equal(world.settings.timeout, 3000);
    assert_int_equal(world.settings.connect_timeout, 3000);
    assert_int_equal(world.settings.backoff, 300);
    assert_int_equal(world.settings.backoff_max, 5000);
    assert_int_equal(world.settings.inflight, 4);
    assert_int_equal(world.settings.max_reply, 64 << 20);
    assert_true(world.settings.tls_verify);
    assert_string_equal(world.settings.tls_ca, "");
    assert_string_equal(world.settings.user, "");
    assert_string_equal(world.settings.password, "");
    world_destroy(&world);
}

static void test_refused(void **state)
{
    static const char *const refused[] = {
        "redis.url=localhost",
        "redis.url=redis://me:geheim@h:x",
        "redis.url=sentinel://h",
        "redis.prefix=",
        "redis.prefix=a b",
        "redis.prefix=a{b}",
        "redis.prefix=\xc3\xa4",
        "redis.server=",
        "redis.timeout=0s",
        "redis.inflight=0",
        "redis.backoff=0ms",
        "redis.max_reply=1",
        "redis.tls_verify=perhaps",
        "redis.prefix=0123456789012345678901234567890123456789012345678901234567890123456789"};
    struct world world;

    world_create(&world, "embedded");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char *error = config_set(world.config, refused[i]);

        if (!error) {
            fail_msg("accepted: %s", refused[i]);
        }
        assert_null(strstr(error, "geheim"));
        free(error);
    }
    world_destroy(&world);
}

static void test_secrets_are_not_shown(void **state)
{
    struct world world;
    struct writer json = {0};

    world_create(&world, "embedded");
    world_set(&world, "redis.url=redis://me:geheim1@h");
    world_set(&world, "redis.password=geheim2");
    config_write_json(world.config, &json);
    writer_u8(&json, 0);
    assert_non_null(strstr((const char *)json.data, "redis.password"));
    assert_null(strstr((const char *)json.data, "geheim"));
    writer_free(&json);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_secrets_are_not_shown),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
