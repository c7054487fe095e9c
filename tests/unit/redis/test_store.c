/* A store: both links on one master, and what makes it leave them. */
#include "redis/redis_fixture.h"

#include "redis/store.h"

static struct server server;

struct shop {
    struct world world; /* its link stays NULL */
    struct redis_store *store;
    unsigned ups, downs, subscribed, events_downs;
};

static void on_up(void *arg, const char *run_id)
{
    assert_int_equal(strlen(run_id), 40);
    ((struct shop *)arg)->ups++;
}

static void on_down(void *arg)
{
    ((struct shop *)arg)->downs++;
}

static void on_unfit(void *arg, const char *why)
{
    fail_msg("%s", why);
}

static void on_subscribed(void *arg, struct bytes channel)
{
    ((struct shop *)arg)->subscribed++;
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
}

static void on_events_down(void *arg)
{
    ((struct shop *)arg)->events_downs++;
}

static void shop_open(struct shop *shop)
{
    static const struct redis_store_callbacks callbacks = {.up = on_up,
                                                           .down = on_down,
                                                           .unfit = on_unfit,
                                                           .subscribed = on_subscribed,
                                                           .message = on_message,
                                                           .events_down = on_events_down};

    memset(shop, 0, sizeof *shop);
    world_create_for(&shop->world, &server);
    world_set(&shop->world, "redis.role_interval=100ms");
    shop->store = redis_store_create(shop->world.loop, &shop->world.target, &shop->world.settings,
                                     &callbacks, shop);
    assert_string_equal(redis_store_why_not(shop->store), "no connection to Redis");
}

static void shop_close(struct shop *shop)
{
    redis_store_destroy(&shop->store);
    world_destroy(&shop->world);
}

static bool is_whole(const struct shop *shop)
{
    return !redis_store_why_not(shop->store) &&
           redis_link_is_up(redis_store_commands(shop->store)) &&
           redis_subscriber_is_up(redis_store_events(shop->store));
}

static int start(void **state)
{
    fixture_init(state);
    server_start(&server, NULL);
    server_grant(&server, "&*");
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

static void test_events_that_are_missing_reset_their_link_and_then_both(void **state)
{
    struct shop shop;

    shop_open(&shop);
    redis_subscribe(redis_store_events(shop.store), BYTES_LITERAL("channel"));
    WAIT_FOR(shop.world.loop, is_whole(&shop) && shop.subscribed == 1);
    redis_store_events_missing(shop.store);
    assert_int_equal(shop.events_downs, 1);
    assert_int_equal(shop.downs, 0);
    assert_null(redis_store_why_not(shop.store));
    redis_store_events_missing(shop.store); /* it is not even up */
    assert_int_equal(shop.downs, 0);
    WAIT_FOR(shop.world.loop, is_whole(&shop) && shop.subscribed == 2);
    assert_int_equal(shop.ups, 1);
    redis_store_events_missing(shop.store); /* the second time within 30 s */
    assert_int_equal(shop.events_downs, 2);
    assert_int_equal(shop.downs, 1);
    assert_string_equal(redis_store_why_not(shop.store), "events of Redis do not arrive in time");
    WAIT_FOR(shop.world.loop, is_whole(&shop) && shop.subscribed == 3);
    assert_int_equal(shop.ups, 2);
    assert_int_equal(metrics_get(METRIC_REDIS_RESET_EVENTS), 2);
    shop_close(&shop);
}

static void test_a_role_that_changes_while_nothing_is_written(void **state)
{
    struct shop shop;

    shop_open(&shop);
    WAIT_FOR(shop.world.loop, is_whole(&shop));
    server_expect(&server, "OK", "REPLICAOF 127.0.0.1 1");
    WAIT_FOR(shop.world.loop, shop.downs == 1 && shop.events_downs == 1);
    WAIT_FOR(shop.world.loop, metrics_get(METRIC_REDIS_REPLICAS) >= 2);
    assert_string_equal(redis_store_why_not(shop.store), "readonly: Redis is a replica");
    assert_int_equal(metrics_get(METRIC_REDIS_RESET_ROLE), 1);
    server_expect(&server, "OK", "REPLICAOF NO ONE");
    WAIT_FOR(shop.world.loop, is_whole(&shop));
    assert_int_equal(shop.ups, 2);
    shop_close(&shop);
}

/* The events link stays where it is while the command link alone is lost. */
static void test_a_lost_command_link_comes_back_to_the_same_server(void **state)
{
    struct shop shop;

    shop_open(&shop);
    WAIT_FOR(shop.world.loop, is_whole(&shop));
    redis_link_reset(redis_store_commands(shop.store), "a test");
    assert_string_equal(redis_store_why_not(shop.store), "no connection to Redis");
    WAIT_FOR(shop.world.loop, is_whole(&shop));
    assert_int_equal(shop.events_downs, 0);
    assert_int_equal(shop.ups, 2);
    shop_close(&shop);
}

static void test_where_the_role_may_not_be_read(void **state)
{
    struct shop shop;

    server_expect(&server, "OK", "ACL SETUSER nosy on nopass ~* &* +@all -info +info|server");
    shop_open(&shop);
    world_set(&shop.world, "redis.user=nosy");
    world_set(&shop.world, "redis.password=any");
    WAIT_FOR(shop.world.loop, is_whole(&shop));
    server_expect(&server, "OK", "REPLICAOF 127.0.0.1 1");
    for (unsigned i = 0; i < 30; i++) {
        loop_iterate(shop.world.loop, 10); /* some looks at the role, which are refused */
    }
    assert_true(is_whole(&shop));
    server_expect(&server, "OK", "REPLICAOF NO ONE");
    server_expect(&server, "1", "ACL DELUSER nosy");
    shop_close(&shop);
}

/* In each state on the way up. */
static void test_destroyed_early(void **state)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct shop shop;

        shop_open(&shop);
        redis_subscribe(redis_store_events(shop.store), BYTES_LITERAL("channel"));
        for (unsigned i = 0; i < turns; i++) {
            loop_iterate(shop.world.loop, 5);
        }
        shop_close(&shop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_that_are_missing_reset_their_link_and_then_both),
        cmocka_unit_test(test_a_role_that_changes_while_nothing_is_written),
        cmocka_unit_test(test_a_lost_command_link_comes_back_to_the_same_server),
        cmocka_unit_test(test_where_the_role_may_not_be_read),
        cmocka_unit_test(test_destroyed_early),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
