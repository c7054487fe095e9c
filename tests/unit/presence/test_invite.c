/*
 * Invitations: delivered to all connected devices, stored for a user who is offline, and expired in
 * time; and dropping the other devices of a user who has logged in again.
 */
#include "relay/relay_fixture.h"

#include "presence/invite.h"
#include "presence/presence.h"
#include "presence/presence_private.h"
#include "schema/scripts.h"

#define KEY(kind) "tracker:{main/1/0}:" kind
#define USER      "1:5"

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

/* A service with sessions of one user, or of none. */
struct host {
    struct relay_listener listener;
    const char *user; /* NULL: none */
    struct writer got;
    unsigned calls;
};

static bool on_invitation(struct relay_listener *listener, struct bytes user,
                          struct bytes invitation)
{
    struct host *host = (struct host *)listener;
    host->calls++;
    if (!host->user || !bytes_equal(user, bytes_from_string(host->user))) {
        return false;
    }
    writer_bytes(&host->got, invitation);
    writer_string(&host->got, ";");
    return true;
}

static void host_open(struct host *host, struct front *front, const char *user)
{
    memset(host, 0, sizeof *host);
    host->user = user;
    host->listener.invited = on_invitation;
    relay_listen(map_space_find(front->map, ""), &host->listener);
}

static void host_close(struct host *host)
{
    relay_unlisten(&host->listener);
    writer_free(&host->got);
}

static bool writer_is(const struct writer *writer, const char *text)
{
    return bytes_equal(writer_bytes_written(writer), bytes_from_string(text));
}

static enum map_result invite(struct world *world, struct map_session *session, const char *user,
                              const char *text)
{
    struct outcome outcome = {0};
    const struct invite_sender sender = {BYTES_LITERAL("1:9"), BYTES_LITERAL("192.0.2.9")};
    invite_user(session, &sender, bytes_from_string(user), bytes_from_string(text), outcome_done,
                &outcome);
    assert_int_equal(outcome.answers, 0);
    WAIT_UNTIL(world, outcome.answers == 1);
    return outcome.last;
}

/* How many are stored; asked on the front-end's own link, after what it has sent. */
static int64_t count_stored(struct world *world, const char *user)
{
    char key[128];
    snprintf(key, sizeof key, KEY("invites:%s"), user);
    WORLD_REDIS(world, "LLEN", key);
    return world->reply_integer;
}

struct taken {
    struct writer got;
    struct taker *end; /* its session ends at a delivery; NULL: none does */
};

static void on_taken(void *arg, struct bytes invitation)
{
    struct taken *taken = arg;
    writer_bytes(&taken->got, invitation);
    writer_string(&taken->got, ";");
    if (taken->end) {
        map_session_end(&taken->end->session, false);
    }
}

static void take(struct map_session *session, const char *user, struct taken *taken)
{
    invite_take_waiting(session, bytes_from_string(user), on_taken, taken);
}

/* The user's devices, as the operations of entries list them. */
static void make_device(struct world *world, const char *user, const struct taker *device)
{
    char key[128];
    snprintf(key, sizeof key, KEY("user:%s"), user);
    WORLD_REDIS(world, "HSET", key, device->opener.id, "online", ".status", "online");
}

static void test_all_devices_are_notified_at_once(void **state)
{
    struct world *world = *state;
    struct taker sender, devices[3];
    struct host hosts[2];
    host_open(&hosts[0], &world->fronts[0], USER);
    host_open(&hosts[1], &world->fronts[1], USER);
    taker_open(world, &sender, &world->fronts[0]);
    for (size_t i = 0; i < 3; i++) { /* two on the second front-end */
        taker_open(world, &devices[i], &world->fronts[i ? 1 : 0]);
        make_device(world, USER, &devices[i]);
    }
    assert_int_equal(invite(world, sender.session, USER, "come\n 1"), MAP_OK);
    WAIT_UNTIL(world, hosts[0].calls == 1 && hosts[1].calls == 1);
    assert_int_equal(invite(world, sender.session, USER, "come\n 2"), MAP_OK);
    WAIT_UNTIL(world, hosts[0].calls == 2 && hosts[1].calls == 2);
    assert_true(writer_is(&hosts[0].got, "come\n 1;come\n 2;"));
    assert_true(writer_is(&hosts[1].got, "come\n 1;come\n 2;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    for (size_t i = 0; i < 3; i++) {
        taker_close(&devices[i]);
    }
    taker_close(&sender);
    host_close(&hosts[0]);
    host_close(&hosts[1]);
}

/* A service without a session of the user does not count as a delivery. */
static void test_an_invitation_waits_for_an_offline_user(void **state)
{
    struct world *world = *state;
    struct taker sender, device;
    struct host host;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &device, &world->fronts[1]);
    host_open(&host, &world->fronts[1], NULL);
    assert_int_equal(invite(world, sender.session, USER, "same"), MAP_OK);
    assert_int_equal(invite(world, sender.session, USER, "same"), MAP_OK);
    make_device(world, USER, &device);
    assert_int_equal(invite(world, sender.session, USER, "other"), MAP_OK);
    WAIT_UNTIL(world, host.calls == 1);
    assert_int_equal(count_stored(world, USER), 3);
    take(device.session, USER, &taken);
    WAIT_UNTIL(world, writer_is(&taken.got, "same;same;other;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    writer_free(&taken.got);
    taker_close(&device);
    taker_close(&sender);
    host_close(&host);
}

static void test_the_oldest_beyond_the_most_are_dropped(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    world->fronts[0].map->running.invite_max = 3;
    for (char text[] = "1"; text[0] <= '5'; text[0]++) {
        assert_int_equal(invite(world, sender.session, USER, text), MAP_OK);
    }
    take(sender.session, USER, &taken);
    WAIT_UNTIL(world, taken.got.len > 0);
    assert_true(writer_is(&taken.got, "3;4;5;"));
    writer_free(&taken.got);
    taker_close(&sender);
}

static void test_stored_invitations_expire(void **state)
{
    struct world *world = *state;
    struct taker sender;
    taker_open(world, &sender, &world->fronts[0]);
    world->fronts[0].map->running.invite_ttl = 60000;
    assert_int_equal(invite(world, sender.session, USER, "come"), MAP_OK);
    WORLD_REDIS(world, "PTTL", KEY("invites:" USER));
    assert_in_range(world->reply_integer, 1, 60000);
    WORLD_REDIS(world, "DEL", KEY("invites:" USER));
    world->fronts[0].map->running.invite_ttl = 1;
    assert_int_equal(invite(world, sender.session, USER, "come"), MAP_OK);
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    taker_close(&sender);
}

/* When the invitation at that place expires, on Redis's clock. */
static uint64_t stored_expiry(struct world *world, const char *at)
{
    WORLD_REDIS(world, "LINDEX", KEY("invites:" USER), at);
    assert_int_equal(world->reply[13], '.');
    return strtoull(world->reply, NULL, 10);
}

static uint64_t redis_clock(struct world *world)
{
    WORLD_REDIS(world, "EVAL",
                "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)", "0");
    return (uint64_t)world->reply_integer;
}

/* Later invitations make it neither longer nor shorter. */
static void test_each_invitation_has_its_own_expiry(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    world->fronts[0].map->running.invite_ttl = 300000;
    assert_int_equal(invite(world, sender.session, USER, "long"), MAP_OK);
    uint64_t now = redis_clock(world), ends = stored_expiry(world, "0");
    assert_in_range(ends, now + 240000, now + 300000);
    world->fronts[0].map->running.invite_ttl = 500;
    assert_int_equal(invite(world, sender.session, USER, "short"), MAP_OK);
    assert_true(stored_expiry(world, "0") == ends);
    uint64_t short_ends = stored_expiry(world, "1");
    world->fronts[0].map->running.invite_ttl = 200000;
    assert_int_equal(invite(world, sender.session, USER, "longer"), MAP_OK);
    WORLD_REDIS(world, "PTTL", KEY("invites:" USER));
    assert_in_range(world->reply_integer, 200001, 300000);
    WAIT_UNTIL(world, redis_clock(world) >= short_ends);
    assert_int_equal(count_stored(world, USER), 3);
    take(sender.session, USER, &taken);
    WAIT_UNTIL(world, taken.got.len > 0);
    assert_true(writer_is(&taken.got, "long;longer;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    writer_free(&taken.got);
    taker_close(&sender);
}

/* Expired ones do not count against invite.max. */
static void test_expired_invitations_make_room(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    /* Two that have expired, and one without a time, as 0.1.0 stores it. */
    WORLD_REDIS(world, "RPUSH", KEY("invites:" USER), "1700000000000.00 ended",
                "1700000000000.01 ended", "0123456789abcdef timeless");
    assert_int_equal(invite(world, sender.session, USER, "come"), MAP_OK);
    assert_int_equal(count_stored(world, USER), 2);
    /* Both as 0.1.0 expects them. */
    assert_int_equal(strcspn(WORLD_REDIS(world, "LINDEX", KEY("invites:" USER), "0"), " "), 16);
    assert_int_equal(strcspn(WORLD_REDIS(world, "LINDEX", KEY("invites:" USER), "1"), " "), 16);
    WORLD_REDIS(world, "PTTL", KEY("invites:" USER));
    assert_true(world->reply_integer > 0);
    /* And one that expired behind one that has not. */
    WORLD_REDIS(world, "RPUSH", KEY("invites:" USER), "1700000000000.02 ended");
    take(sender.session, USER, &taken);
    WAIT_UNTIL(world, taken.got.len > 0);
    assert_true(writer_is(&taken.got, "timeless;come;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    writer_free(&taken.got);
    taker_close(&sender);
}

/* Within one millisecond: another script runs it three times, and supplies the time. */
static void test_equal_invitations_of_one_moment_are_distinct(void **state)
{
    struct world *world = *state;
    struct writer script = {0};
    writer_format(&script,
                  "local real, time = redis, redis.call('TIME') "
                  "local redis = {call = function(name, ...) "
                  "if name == 'TIME' then return time end return real.call(name, ...) end} "
                  "local function invite() %s end invite() invite() invite() ",
                  script_invite);
    writer_format(&script,
                  "local list = redis.call('LRANGE', KEYS[1], 0, -1) "
                  "return string.sub(list[1], 14, 99) .. string.sub(list[2], 14, 99) .. "
                  "string.sub(list[3], 14, 99)%c",
                  0);
    const char *got = WORLD_REDIS(
        world, "EVAL", (const char *)script.data, "4", KEY("invites:" USER), KEY("invitations"),
        KEY("inviters"), KEY("user:" USER), "same", "100", "60000", USER, "1:9", "", "9", "9", "9");
    assert_string_equal(got, ".00 same.01 same.02 same");
    writer_free(&script);
}

static void test_an_ended_session_receives_no_more(void **state)
{
    struct world *world = *state;
    struct taker sender, first, second;
    struct taken none = {0}, one = {.end = &second};
    taker_open(world, &sender, &world->fronts[0]);
    taker_open(world, &first, &world->fronts[0]);
    taker_open(world, &second, &world->fronts[0]);
    assert_int_equal(invite(world, sender.session, USER, "1"), MAP_OK);
    assert_int_equal(invite(world, sender.session, USER, "2"), MAP_OK);
    take(first.session, USER, &none);
    taker_close(&first); /* before the reply: all stay stored */
    take(second.session, USER, &one);
    WAIT_UNTIL(world, one.got.len > 0);
    WAIT_UNTIL(world, count_stored(world, USER) == 1);
    assert_true(writer_is(&one.got, "1;"));
    assert_int_equal(none.got.len, 0);
    writer_free(&one.got);
    taker_close(&sender);
    taker_close(&second);
}

/* A device that receives one while it reads the list does not receive it again. */
static void test_an_invitation_delivered_meanwhile_is_not_repeated(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct host host;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    host_open(&host, &world->fronts[0], USER);
    WORLD_REDIS(world, "RPUSH", KEY("invites:" USER), "0123456789abcdef first",
                "fedcba9876543210 second");
    take(sender.session, USER, &taken);
    assert_int_equal(
        presence_feature.message(presences_of(world->fronts[0].map), 1, BYTES_LITERAL("invited"),
                                 BYTES_LITERAL("main 3 22\n" USER "0123456789abcdef first")),
        MAP_MESSAGE_HANDLED);
    WAIT_UNTIL(world, taken.got.len > 0);
    assert_true(writer_is(&taken.got, "second;"));
    assert_true(writer_is(&host.got, "first;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    writer_free(&taken.got);
    taker_close(&sender);
    host_close(&host);
}

/* The read was lost with the link, and is sent again. */
static void test_stored_invitations_are_delivered_after_a_lost_link(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    assert_int_equal(invite(world, sender.session, USER, "come"), MAP_OK);
    redis_link_reset(world->fronts[0].map->link, "a test");
    loop_iterate(world->loop, 0);
    take(sender.session, USER, &taken);
    WAIT_UNTIL(world, writer_is(&taken.got, "come;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    writer_free(&taken.got);
    taker_close(&sender);
}

/* Redis refused the read, and it is sent again until Redis accepts it. */
static void test_stored_invitations_are_delivered_when_redis_accepts(void **state)
{
    struct world *world = *state;
    struct taker sender;
    struct taken taken = {0};
    taker_open(world, &sender, &world->fronts[0]);
    assert_int_equal(invite(world, sender.session, USER, "come"), MAP_OK);
    const char *user = redis_acl_file() ? "tracker" : "default";
    WORLD_REDIS(world, "ACL", "SETUSER", user, "-lrange");
    take(sender.session, USER, &taken);
    WORLD_REDIS(world, "PING");
    assert_int_equal(taken.got.len, 0);
    WORLD_REDIS(world, "ACL", "SETUSER", user, "+lrange");
    WORLD_REDIS(world, "ACL", "LOG", "RESET");
    WAIT_UNTIL(world, writer_is(&taken.got, "come;"));
    WAIT_UNTIL(world, count_stored(world, USER) == 0);
    /* An error that will not go away is not retried. */
    WORLD_REDIS(world, "SET", KEY("invites:" USER), "no list");
    take(sender.session, USER, &taken);
    WAIT_UNTIL(world, list_is_empty(&presences_of(world->fronts[0].map)->invitations));
    writer_free(&taken.got);
    taker_close(&sender);
}

static void set_since(struct world *world, const struct taker *device, const char *since)
{
    char key[300];
    snprintf(key, sizeof key, KEY("client:%s"), device->opener.id);
    WORLD_REDIS(world, "HSET", key, "since", since);
}

static void test_other_devices_are_dropped(void **state)
{
    struct world *world = *state;
    struct taker devices[3], other;
    taker_open(world, &other, &world->fronts[0]);
    for (size_t i = 0; i < 3; i++) {
        taker_open(world, &devices[i], &world->fronts[i ? 1 : 0]);
        make_device(world, USER, &devices[i]);
        set_since(world, &devices[i], i == 1 ? "3000" : "2000");
    }
    presence_drop_other_devices(devices[1].session, BYTES_LITERAL(USER), taker_id(&devices[1]));
    WAIT_UNTIL(world, devices[0].ended && devices[2].ended);
    assert_int_equal(devices[0].why, MAP_END_DROPPED);
    assert_int_equal(devices[2].why, MAP_END_DROPPED);
    assert_false(devices[1].ended);
    assert_false(other.ended);
    presence_drop_other_devices(devices[1].session, BYTES_LITERAL("1:6"), BYTES_LITERAL(""));
    for (size_t i = 0; i < 3; i++) {
        taker_close(&devices[i]);
    }
    taker_close(&other);
}

/* Two that log in at the same moment do not drop one another. */
static void test_the_later_of_two_devices_stays(void **state)
{
    struct world *world = *state;
    struct taker devices[2];
    for (size_t i = 0; i < 2; i++) {
        taker_open(world, &devices[i], &world->fronts[i]);
        make_device(world, USER, &devices[i]);
        set_since(world, &devices[i], "2000");
    }
    for (size_t i = 0; i < 2; i++) {
        presence_drop_other_devices(devices[i].session, BYTES_LITERAL(USER), taker_id(&devices[i]));
    }
    WAIT_UNTIL(world, devices[0].ended);
    /* A device that does not exist any more drops none. */
    presence_drop_other_devices(devices[1].session, BYTES_LITERAL(USER), BYTES_LITERAL("nobody"));
    assert_int_equal(invite(world, devices[1].session, USER, "a round trip"), MAP_OK);
    assert_false(devices[1].ended);
    for (size_t i = 0; i < 2; i++) {
        taker_close(&devices[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_devices_are_notified_at_once),
        TEST(test_an_invitation_waits_for_an_offline_user),
        TEST(test_the_oldest_beyond_the_most_are_dropped),
        TEST(test_stored_invitations_expire),
        TEST(test_each_invitation_has_its_own_expiry),
        TEST(test_expired_invitations_make_room),
        TEST(test_equal_invitations_of_one_moment_are_distinct),
        TEST(test_an_ended_session_receives_no_more),
        TEST(test_an_invitation_delivered_meanwhile_is_not_repeated),
        TEST(test_stored_invitations_are_delivered_after_a_lost_link),
        TEST(test_stored_invitations_are_delivered_when_redis_accepts),
        TEST(test_other_devices_are_dropped),
        TEST(test_the_later_of_two_devices_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
