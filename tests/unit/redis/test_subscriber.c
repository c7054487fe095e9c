/* Channels that stay subscribed: counts, confirmations, losses, refusals, a link that died. */
#include "redis/redis_fixture.h"

static struct server server;

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

struct ear {
    struct world world;
    struct redis_subscriber *subscriber;
    unsigned ups, downs, subscribed, messages;
    char channel[64]; /* the last, of either */
    char message[64];
    bool destroy_on_subscribed, destroy_on_message;
};

static void copy(char *to, struct bytes from)
{
    size_t len = from.len < 63 ? from.len : 63;

    memcpy(to, from.data, len);
    to[len] = '\0';
}

static void on_subscribed(void *arg, struct bytes channel)
{
    struct ear *ear = arg;

    ear->subscribed++;
    copy(ear->channel, channel);
    if (ear->destroy_on_subscribed) {
        redis_subscriber_destroy(&ear->subscriber);
    }
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    struct ear *ear = arg;

    ear->messages++;
    copy(ear->channel, channel);
    copy(ear->message, message);
    if (ear->destroy_on_message) {
        redis_subscriber_destroy(&ear->subscriber);
    }
}

static void on_up(void *arg)
{
    struct ear *ear = arg;

    ear->ups++;
    assert_true(redis_subscriber_is_up(ear->subscriber));
}

static void on_down(void *arg)
{
    struct ear *ear = arg;

    ear->downs++;
    assert_false(redis_subscriber_is_up(ear->subscriber));
}

static void ear_create(struct ear *ear, const struct server *of, const char *setting)
{
    static const struct redis_subscriber_callbacks callbacks = {on_subscribed, on_message, on_up,
                                                                on_down};

    memset(ear, 0, sizeof *ear);
    world_create_for(&ear->world, of);
    world_set(&ear->world, setting);
    ear->subscriber = redis_subscriber_create(ear->world.loop, "events", &ear->world.target,
                                              &ear->world.settings, &callbacks, ear);
}

static void ear_destroy(struct ear *ear)
{
    redis_subscriber_destroy(&ear->subscriber);
    world_destroy(&ear->world);
}

#define WAIT(ear, condition) WAIT_FOR((ear).world.loop, condition)

static void subscribe(struct ear *ear, const char *channel)
{
    redis_subscribe(ear->subscriber, bytes_from_string(channel));
}

static void unsubscribe(struct ear *ear, const char *channel)
{
    redis_unsubscribe(ear->subscriber, bytes_from_string(channel));
}

/* How many subscribe to it: waits until it is so. */
static void expect_subscribers(struct ear *ear, const char *channel, long long expected)
{
    redisContext *context = server_connect(&server);
    long long found = -1;

    for (unsigned i = 0; i < 3000 && found != expected; i++) {
        redisReply *reply = redisCommand(context, "PUBSUB NUMSUB %s", channel);

        found = reply->element[1]->integer;
        freeReplyObject(reply);
        loop_iterate(ear->world.loop, 5);
    }
    assert_int_equal(found, expected);
    redisFree(context);
}

static void test_messages(void **state)
{
    struct ear ear;

    ear_create(&ear, &server, "redis.timeout=3s");
    subscribe(&ear, "one"); /* before there is a connection */
    WAIT(ear, ear.ups == 1);
    subscribe(&ear, "two");
    WAIT(ear, ear.subscribed == 2);
    server_expect(&server, "1", "PUBLISH one %b", "a\r\n\0b", (size_t)5);
    WAIT(ear, ear.messages == 1);
    assert_string_equal(ear.channel, "one");
    assert_memory_equal(ear.message, "a\r\n\0b", 5);
    server_expect(&server, "1", "PUBLISH two %s", "");
    WAIT(ear, ear.messages == 2);
    assert_string_equal(ear.channel, "two");
    assert_string_equal(ear.message, "");
    server_expect(&server, "0", "PUBLISH three x");
    ear_destroy(&ear);
}

/* As often unsubscribed as subscribed; changes of one iteration that cancel out are not sent. */
static void test_counts(void **state)
{
    struct ear ear;

    ear_create(&ear, &server, "redis.timeout=3s");
    subscribe(&ear, "one");
    subscribe(&ear, "one");
    WAIT(ear, ear.subscribed == 1);
    unsubscribe(&ear, "one");
    expect_subscribers(&ear, "one", 1);
    unsubscribe(&ear, "one");
    unsubscribe(&ear, "one");   /* once too often: harmless */
    unsubscribe(&ear, "never"); /* the same */
    expect_subscribers(&ear, "one", 0);
    assert_int_equal(ear.subscribed, 1);

    subscribe(&ear, "two");
    unsubscribe(&ear, "two");
    subscribe(&ear, "three");
    WAIT(ear, ear.subscribed == 2);
    assert_string_equal(ear.channel, "three");
    expect_subscribers(&ear, "two", 0);
    ear_destroy(&ear);
}

/* Asked for again, it is confirmed again; what nobody wants, or what is on its way, is not said. */
static void test_subscribed_again(void **state)
{
    struct ear ear;

    ear_create(&ear, &server, "redis.timeout=3s");
    subscribe(&ear, "one");
    redis_subscribe_again(ear.subscriber, bytes_from_string("one"));
    WAIT(ear, ear.subscribed == 1);
    redis_subscribe_again(ear.subscriber, bytes_from_string("one"));
    redis_subscribe_again(ear.subscriber, bytes_from_string("one"));
    redis_subscribe_again(ear.subscriber, bytes_from_string("never"));
    WAIT(ear, ear.subscribed == 2);
    expect_subscribers(&ear, "one", 1);
    expect_subscribers(&ear, "never", 0);
    unsubscribe(&ear, "one");
    redis_subscribe_again(ear.subscriber, bytes_from_string("one"));
    expect_subscribers(&ear, "one", 0);
    assert_int_equal(ear.subscribed, 2);
    ear_destroy(&ear);
}

/* Subscribed, taken back and subscribed again while confirmations are on their way: confirmed once,
 * and then messages come. */
static void test_changed_mind(void **state)
{
    struct ear ear;

    ear_create(&ear, &server, "redis.timeout=3s");
    WAIT(ear, ear.ups == 1);
    subscribe(&ear, "one");
    loop_iterate(ear.world.loop, 0);
    unsubscribe(&ear, "one");
    loop_iterate(ear.world.loop, 0);
    subscribe(&ear, "one");
    WAIT(ear, ear.subscribed >= 1);
    expect_subscribers(&ear, "one", 1);
    server_expect(&server, "1", "PUBLISH one x");
    WAIT(ear, ear.messages == 1);
    unsubscribe(&ear, "one");
    loop_iterate(ear.world.loop, 0);
    subscribe(&ear, "two");
    WAIT(ear, strcmp(ear.channel, "two") == 0);
    expect_subscribers(&ear, "one", 0);
    ear_destroy(&ear);
}

/* Thousands of channels, over several commands, and again after the connection was killed. */
static void test_killed(void **state)
{
    const unsigned count = 3000;
    struct ear ear;
    char channel[32];

    ear_create(&ear, &server, "redis.timeout=3s");
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(channel, sizeof channel, "channel:%u", i);
        subscribe(&ear, channel);
    }
    WAIT(ear, ear.subscribed == count);
    server_expect(&server, "1", "CLIENT KILL TYPE pubsub");
    WAIT(ear, ear.downs == 1);
    unsubscribe(&ear, "channel:7");
    WAIT(ear, ear.subscribed == 2 * count - 1);
    assert_int_equal(ear.ups, 2);
    expect_subscribers(&ear, "channel:7", 0);
    server_expect(&server, "1", "PUBLISH channel:2999 x");
    WAIT(ear, ear.messages == 1);
    assert_int_equal(ear.downs, 1);

    redis_subscriber_reset(ear.subscriber, "a test");
    assert_int_equal(ear.downs, 2);
    WAIT(ear, ear.subscribed == 3 * (count - 1) + 1);
    ear_destroy(&ear);
}

/* A stalled server is noticed without a message: by a PING that is not answered. */
static void test_silent_server(void **state)
{
    struct server own;
    struct ear ear;
    unsigned downs, subscribed;

    server_start(&own, NULL);
    server_grant(&own, "&*");
    ear_create(&ear, &own, "redis.timeout=200ms");
    subscribe(&ear, "one");
    WAIT(ear, ear.subscribed == 1);
    assert_int_equal(kill(own.pid, SIGSTOP), 0);
    downs = ear.downs;
    WAIT(ear, ear.downs > downs);
    assert_int_equal(kill(own.pid, SIGCONT), 0);
    subscribed = ear.subscribed;
    WAIT(ear, ear.subscribed > subscribed);
    ear_destroy(&ear);
    server_stop(&own);
}

/* An idle subscriber lives for many time-outs. */
static void test_idle(void **state)
{
    struct ear ear;
    int64_t commands;

    ear_create(&ear, &server, "redis.timeout=500ms");
    subscribe(&ear, "one");
    WAIT(ear, ear.subscribed == 1);
    commands = metrics_get(METRIC_REDIS_COMMANDS);
    WAIT(ear, metrics_get(METRIC_REDIS_COMMANDS) >= commands + 4); /* its PINGs */
    assert_int_equal(ear.downs, 0);
    ear_destroy(&ear);
}

/* One forbidden channel among others: those are subscribed all the same, and it too, once it is
 * permitted. */
static void test_forbidden(void **state)
{
    struct ear ear;

    server_expect(&server, "OK", "ACL SETUSER weak on >pw ~* resetchannels &good:* +@all");
    ear_create(&ear, &server, "redis.backoff_max=20ms");
    world_set(&ear.world, "redis.user=weak");
    world_set(&ear.world, "redis.password=pw");
    subscribe(&ear, "good:1");
    subscribe(&ear, "bad:1");
    subscribe(&ear, "good:2");
    WAIT(ear, ear.subscribed == 2);
    assert_int_equal(ear.downs, 0);
    assert_true(metrics_get(METRIC_REDIS_REFUSED_NOPERM) > 0);
    server_expect(&server, "OK", "ACL SETUSER weak &bad:*");
    WAIT(ear, ear.subscribed >= 3 && strcmp(ear.channel, "bad:1") == 0);
    ear_destroy(&ear);
    server_expect(&server, "1", "ACL DELUSER weak");
}

static void test_destroy_in_callbacks(void **state)
{
    struct ear ear;

    ear_create(&ear, &server, "redis.timeout=3s");
    ear.destroy_on_subscribed = true;
    subscribe(&ear, "one");
    subscribe(&ear, "two");
    WAIT(ear, ear.subscribed > 0);
    assert_int_equal(ear.subscribed, 1);
    ear_destroy(&ear);

    ear_create(&ear, &server, "redis.timeout=3s");
    ear.destroy_on_message = true;
    subscribe(&ear, "one");
    WAIT(ear, ear.subscribed == 1);
    server_expect(&server, "(nil)", "EVAL %s 0",
                  "redis.call('PUBLISH', 'one', 'a') redis.call('PUBLISH', 'one', 'b')");
    WAIT(ear, ear.messages > 0);
    assert_int_equal(ear.messages, 1);
    assert_int_equal(ear.downs, 0);
    ear_destroy(&ear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_subscribed_again),
        cmocka_unit_test(test_changed_mind),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_silent_server),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_destroy_in_callbacks),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
