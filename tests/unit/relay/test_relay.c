/*
 * Packets between clients of one and of two front-ends: looked up, delivered in order and
 * acknowledged, and answered with the right result when nobody accepts them.
 */
#include "relay/relay_fixture.h"

#include "presence/invite.h"
#include "presence/presence.h"
#include "relay/relay_private.h"

#define KEY(kind) "tracker:{main/1/0}:" kind

static int setup_two(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static const char *client_key(struct bytes id)
{
    static char key[300];
    snprintf(key, sizeof key, KEY("client:%.*s"), (int)id.len, (const char *)id.data);
    return key;
}

static void test_a_packet_reaches_a_client_of_either_front_end(void **state)
{
    struct world *world = *state;
    struct taker sender, near, far;
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &near, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&near), "hello"), MAP_OK);
    assert_true(taker_got(&near, "me:hello;"));
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&far), "hello"), MAP_OK);
    assert_true(taker_got(&far, "me:hello;"));
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&sender), "self"), MAP_OK);
    assert_true(taker_got(&sender, "me:self;"));
    taker_close(&sender);
    taker_close(&near);
    taker_close(&far);
}

static void test_any_bytes_and_any_length_arrive(void **state)
{
    static const size_t lengths[] = {0, 1, 255, 256, 70000};
    struct world *world = *state;
    struct taker sender, far;
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    uint8_t *all = mem_alloc(70000);
    for (size_t i = 0; i < 70000; i++) {
        all[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct outcome outcome = {0};
        struct bytes from = {(const uint8_t *)"a\0 \n:", 5}, packet = {all, lengths[i]};
        writer_reset(&far.got);
        relay_send_packet(sender.session, from, taker_id(&far), packet, outcome_done, &outcome);
        WAIT_UNTIL(world, outcome.answers == 1);
        assert_int_equal(outcome.last, MAP_OK);
        struct bytes got = writer_bytes_written(&far.got);
        assert_int_equal(got.len, 5 + 1 + lengths[i] + 1);
        assert_memory_equal(got.data, from.data, 5);
        assert_memory_equal(got.data + 6, all, lengths[i]);
    }
    free(all);
    taker_close(&sender);
    taker_close(&far);
}

/* The first is looked up in Redis; others come during the lookup, and after it. */
static void send_many(struct world *world, struct taker *sender, struct taker *far)
{
    struct outcome outcome = {0};
    struct writer expected = {0};
    for (unsigned i = 0; i < 200; i++) {
        char packet[16];
        snprintf(packet, sizeof packet, "%u", i);
        writer_format(&expected, "me:%u;", i);
        relay_send_packet(sender->session, BYTES_LITERAL("me"), taker_id(far),
                          bytes_from_string(packet), outcome_done, &outcome);
        if (i % 50 == 49) {
            loop_iterate(world->loop, 0);
        }
    }
    WAIT_UNTIL(world, outcome.answers == 200);
    assert_int_equal(outcome.results[MAP_OK], 200);
    struct bytes want = writer_bytes_written(&expected), got = writer_bytes_written(&far->got);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    writer_free(&expected);
    writer_reset(&far->got);
}

static void test_packets_to_one_receiver_stay_in_order(void **state)
{
    struct world *world = *state;
    struct taker sender, far;
    struct observer observer;
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    send_many(world, &sender, &far);
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, observer_state(&observer, far.opener.id));
    send_many(world, &sender, &far); /* found in the view */
    map_unwatch(&observer.watcher);
    taker_close(&sender);
    taker_close(&far);
}

static void test_a_packet_without_a_receiver_is_answered(void **state)
{
    struct world *world = *state;
    struct taker sender, gone;
    struct client deaf[2];
    taker_open(world, &sender, &world->fronts[0]);
    assert_int_equal(relay_wait(world, sender.session, "me", BYTES_LITERAL("nobody"), "x"),
                     MAP_MISSING);
    for (size_t i = 0; i < 2; i++) {
        client_connect(&deaf[i], &world->fronts[i]);
        client_open(world, &deaf[i], "takes none");
        assert_int_equal(
            relay_wait(world, sender.session, "me", bytes_from_string(deaf[i].id), "x"),
            MAP_MISSING);
        map_session_end(&deaf[i].session, false);
    }
    taker_open(world, &gone, &world->fronts[1]);
    map_session_end(&gone.session, true); /* waits for its client's return */
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&gone), "x"), MAP_MISSING);
    taker_close(&gone);
    taker_close(&sender);
}

static void test_a_crashed_front_end_receives_nothing(void **state)
{
    struct world *world = *state;
    struct taker sender, far;
    struct observer observer;
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, observer_state(&observer, far.opener.id));
    char *channel = mem_format("tracker:node:%s", map_node_id(world->fronts[1].map));
    front_idle_ms(&world->fronts[1]);
    do {
        WORLD_REDIS(world, "PUBLISH", channel, "");
    } while (world->reply_integer > 0);
    free(channel);
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&far), "x"), MAP_MISSING);
    assert_int_equal(far.count, 0);
    map_unwatch(&observer.watcher);
    taker_close(&sender);
    taker_close(&far);
}

static void test_without_redis_the_deadline_answers(void **state)
{
    const struct invite_sender inviter = {BYTES_LITERAL("1:1"), BYTES_LITERAL("")};
    struct world *world = *state;
    struct taker sender, far;
    struct outcome outcome = {0};
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    world->fronts[0].redis.deadline = 200;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&far), BYTES_LITERAL("x"),
                      outcome_done, &outcome);
    relay_send_broadcast(sender.session, BYTES_LITERAL("me"), BYTES_LITERAL("x"), outcome_done,
                         &outcome);
    invite_user(sender.session, &inviter, BYTES_LITERAL("1:2"), BYTES_LITERAL("x"), outcome_done,
                &outcome);
    WAIT_UNTIL(world, outcome.answers == 3);
    assert_int_equal(outcome.results[MAP_DEADLINE], 3);
    /* The same when there is no link at all. */
    redis_link_reset(world->fronts[0].map->link, "a test");
    loop_iterate(world->loop, 0);
    assert_false(redis_link_is_up(world->fronts[0].map->link));
    relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&far), BYTES_LITERAL("x"),
                      outcome_done, &outcome);
    relay_send_broadcast(sender.session, BYTES_LITERAL("me"), BYTES_LITERAL("x"), outcome_done,
                         &outcome);
    invite_user(sender.session, &inviter, BYTES_LITERAL("1:2"), BYTES_LITERAL("x"), outcome_done,
                &outcome);
    presence_drop_other_devices(sender.session, BYTES_LITERAL("1:2"), BYTES_LITERAL("x"));
    WAIT_UNTIL(world, outcome.answers == 6);
    assert_int_equal(outcome.results[MAP_DEADLINE], 6);
    kill(redis_embedded_pid(world->server), SIGCONT);
    world->fronts[0].redis.deadline = 20000;
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    WAIT_UNTIL(world, map_is_ready(world->fronts[1].map, NULL));
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&far), "y"), MAP_OK);
    taker_close(&sender);
    taker_close(&far);
}

static void test_too_many_are_refused(void **state)
{
    struct world *world = *state;
    struct taker sender, far;
    struct outcome outcome = {0};
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    world->fronts[0].map->running.relay_max_pending = 3;
    for (unsigned i = 0; i < 5; i++) {
        relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&far), BYTES_LITERAL("x"),
                          outcome_done, &outcome);
    }
    WAIT_UNTIL(world, outcome.answers == 5);
    assert_int_equal(outcome.results[MAP_OK], 3);
    assert_int_equal(outcome.results[MAP_REFUSED], 2);
    assert_int_equal(far.count, 3);
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&far), "y"), MAP_OK);
    taker_close(&sender);
    taker_close(&far);
}

/* Whatever it was waiting for. */
static void test_an_ended_session_gets_no_result(void **state)
{
    struct world *world = *state;
    struct taker sender, other, far;
    struct outcome outcome = {0};
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &other, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&far), BYTES_LITERAL("x"),
                      outcome_done, &outcome);
    relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&other), BYTES_LITERAL("x"),
                      outcome_done, &outcome);
    relay_send_broadcast(sender.session, BYTES_LITERAL("me"), BYTES_LITERAL("x"), outcome_done,
                         &outcome);
    taker_close(&sender);
    assert_int_equal(relay_wait(world, other.session, "me", taker_id(&far), "y"), MAP_OK);
    WAIT_UNTIL(world, taker_got(&far, "me:x;me:y;"));
    assert_true(taker_got(&other, "me:x;"));
    assert_int_equal(outcome.answers, 0);
    taker_close(&other);
    taker_close(&far);
}

static void test_a_packet_is_delivered_when_nobody_waits_for_the_result(void **state)
{
    struct world *world = *state;
    struct taker sender, far;
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    relay_send_packet(sender.session, BYTES_LITERAL("me"), taker_id(&far), BYTES_LITERAL("x"), NULL,
                      NULL);
    WAIT_UNTIL(world, taker_got(&far, "me:x;"));
    taker_close(&sender);
    taker_close(&far);
}

/* Broadcasts. */

struct test_listener {
    struct relay_listener listener;
    struct writer got;
};

static void on_broadcast(struct relay_listener *listener, struct bytes from, struct bytes packet)
{
    struct test_listener *own = (struct test_listener *)listener;
    writer_bytes(&own->got, from);
    writer_string(&own->got, ":");
    writer_bytes(&own->got, packet);
    writer_string(&own->got, ";");
}

static bool listener_got(const struct test_listener *own, const char *text)
{
    return bytes_equal(writer_bytes_written(&own->got), bytes_from_string(text));
}

static bool is_listening(const struct front *front)
{
    /* The channel's user is the struct's first member. */
    const struct relay_broadcast *broadcast = relays_of(front->map)->spaces[0].broadcast;
    return broadcast && channel_is_subscribed((const struct channel_user *)broadcast);
}

static void test_everybody_receives_a_broadcast_once(void **state)
{
    struct world *world = *state;
    struct taker senders[2];
    struct test_listener listeners[3] = {0};
    struct outcome outcome = {0};
    for (size_t i = 0; i < 3; i++) { /* two services on the first front-end */
        listeners[i].listener.broadcast = on_broadcast;
        relay_listen(map_space_find(world->fronts[i / 2].map, ""), &listeners[i].listener);
    }
    taker_open(world, &senders[0], &world->fronts[0]);
    taker_open(world, &senders[1], &world->fronts[1]);
    WAIT_UNTIL(world, is_listening(&world->fronts[0]) && is_listening(&world->fronts[1]));
    relay_send_broadcast(senders[0].session, BYTES_LITERAL("a"), BYTES_LITERAL("1"), outcome_done,
                         &outcome);
    relay_send_broadcast(senders[0].session, BYTES_LITERAL("a"), BYTES_LITERAL("2\n"), outcome_done,
                         &outcome);
    WAIT_UNTIL(world, listener_got(&listeners[2], "a:1;a:2\n;"));
    relay_send_broadcast(senders[1].session, BYTES_LITERAL("b"), BYTES_LITERAL("3"), outcome_done,
                         &outcome);
    WAIT_UNTIL(world, outcome.results[MAP_OK] == 3);
    WAIT_UNTIL(world, listener_got(&listeners[0], "a:1;a:2\n;b:3;"));
    assert_true(listener_got(&listeners[1], "a:1;a:2\n;b:3;"));
    assert_true(listener_got(&listeners[2], "a:1;a:2\n;b:3;"));
    relay_unlisten(&listeners[0].listener);
    relay_send_broadcast(senders[1].session, BYTES_LITERAL("b"), BYTES_LITERAL("4"), outcome_done,
                         &outcome);
    WAIT_UNTIL(world, listener_got(&listeners[1], "a:1;a:2\n;b:3;b:4;"));
    assert_true(listener_got(&listeners[0], "a:1;a:2\n;b:3;"));
    for (size_t i = 0; i < 3; i++) {
        relay_unlisten(&listeners[i].listener);
        writer_free(&listeners[i].got);
    }
    assert_null(relays_of(world->fronts[0].map)->spaces[0].broadcast);
    taker_close(&senders[0]);
    taker_close(&senders[1]);
}

/* Messages on a front-end's channel are peer input. */
static void test_malformed_messages_harm_nothing(void **state)
{
    static const char *const messages[] = {"relay",
                                           "relay x",
                                           "relay aaaaaaaaaaaa 1 main 1 1 1\nab",
                                           "relay a 1 main 1 1 1\nabc",
                                           "relay aaaaaaaaaaaa 1 none 1 1 1\nabc",
                                           "relay aaaaaaaaaaaa 1 main 9999999999 1 1\nabc",
                                           "relayed",
                                           "relayed 1",
                                           "relayed 1:ok x:y",
                                           "invited",
                                           "invited main 1 2\nabc",
                                           "invited main 1 17\n1aaaaaaaaaaaaaaaab",
                                           "drop",
                                           "drop main",
                                           "drop none x",
                                           "drop main nobody",
                                           "unheard of",
                                           ""};
    struct world *world = *state;
    struct taker sender, far;
    char *channel = mem_format("tracker:node:%s", map_node_id(world->fronts[1].map));
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &far, &world->fronts[1]);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_LOGFMT);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        WORLD_REDIS(world, "PUBLISH", channel, messages[i]);
        assert_int_equal(world->reply_integer, 1);
    }
    WORLD_REDIS(world, "PUBLISH", "tracker:relay:main", "x");
    assert_int_equal(relay_wait(world, sender.session, "me", taker_id(&far), "y"), MAP_OK);
    assert_true(taker_got(&far, "me:y;"));
    free(channel);
    taker_close(&sender);
    taker_close(&far);
}

/* A device is dropped: its entry is left. */
static void test_a_front_end_is_asked_to_drop_a_device(void **state)
{
    struct world *world = *state;
    struct taker far;
    taker_open(world, &far, &world->fronts[1]);
    char *channel = mem_format("tracker:node:%s", map_node_id(world->fronts[1].map));
    char *message = mem_format("drop main %s", far.opener.id);
    WORLD_REDIS(world, "PUBLISH", channel, message);
    WAIT_UNTIL(world, far.ended);
    assert_int_equal(far.why, MAP_END_DROPPED);
    WORLD_REDIS(world, "EXISTS", client_key(taker_id(&far)));
    assert_int_equal(world->reply_integer, 1);
    free(channel);
    free(message);
    taker_close(&far);
}

/* An operator's packet. */

struct answers {
    struct redis_subscriber *subscriber;
    bool subscribed;
    char last[256];
};

static void on_answer_subscribed(void *arg, struct bytes channel)
{
    ((struct answers *)arg)->subscribed = true;
}

static void on_answer(void *arg, struct bytes channel, struct bytes message)
{
    struct answers *answers = arg;
    snprintf(answers->last, sizeof answers->last, "%.*s", (int)message.len,
             (const char *)message.data);
}

static const char *request(struct world *world, struct answers *answers, const char *text)
{
    char *channel = mem_format("tracker:node:%s", map_node_id(world->fronts[0].map));
    char *message = mem_format("request tracker:answers 7 %s", text);
    answers->last[0] = 0;
    WORLD_REDIS(world, "PUBLISH", channel, message);
    WAIT_UNTIL(world, answers->last[0]);
    free(channel);
    free(message);
    return answers->last;
}

static void test_an_operator_sends_a_packet(void **state)
{
    static const struct redis_subscriber_callbacks callbacks = {.subscribed = on_answer_subscribed,
                                                                .message = on_answer};
    struct world *world = *state;
    struct answers answers = {0};
    struct taker far;
    taker_open(world, &far, &world->fronts[1]);
    answers.subscriber = redis_subscriber_create(world->loop, "test", &world->link_target,
                                                 &world->link_settings, &callbacks, &answers);
    redis_subscribe(answers.subscriber, BYTES_LITERAL("tracker:answers"));
    WAIT_UNTIL(world, answers.subscribed);
    char *text = mem_format("send main %s {\"type\": \"x\"}", far.opener.id);
    assert_string_equal(request(world, &answers, text), "7 ok sent");
    assert_true(taker_got(&far, ":{\"type\": \"x\"};"));
    assert_string_equal(request(world, &answers, "send main nobody {}"),
                        "7 error there is no such id, or its protocol does not accept packets");
    assert_string_equal(request(world, &answers, "send none nobody {}"),
                        "7 error a space and an id are expected");
    assert_string_equal(request(world, &answers, "send"), "7 error a space and an id are expected");
    redis_subscriber_destroy(&answers.subscriber);
    free(text);
    taker_close(&far);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_packet_reaches_a_client_of_either_front_end),
        TEST(test_any_bytes_and_any_length_arrive),
        TEST(test_packets_to_one_receiver_stay_in_order),
        TEST(test_a_packet_without_a_receiver_is_answered),
        TEST(test_a_crashed_front_end_receives_nothing),
        TEST(test_without_redis_the_deadline_answers),
        TEST(test_too_many_are_refused),
        TEST(test_an_ended_session_gets_no_result),
        TEST(test_a_packet_is_delivered_when_nobody_waits_for_the_result),
        TEST(test_everybody_receives_a_broadcast_once),
        TEST(test_malformed_messages_harm_nothing),
        TEST(test_a_front_end_is_asked_to_drop_a_device),
        TEST(test_an_operator_sends_a_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
