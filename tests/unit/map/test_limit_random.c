/*
 * The number of entries that `head` holds, at the limit (map.max_entries): after every script it is
 * the number of those that the indexes have, whatever was refused, whatever only a TTL has ended,
 * and while the limit itself goes up and down.
 */
#include "map/fixture.h"

#include "inspect/fsck.h"
#include "registration/registration.h"

#define FRONTS    2
#define CLIENTS   6
#define IDS       8
#define STEPS     500

#define KEY(name) "tracker:{main/1/0}:" name

struct run {
    struct world *world;
    struct client clients[CLIENTS];
    unsigned refused, expired;
};

static int setup(void **state)
{
    struct world *world = world_create();
    for (size_t i = 0; i < FRONTS; i++) {
        struct front *front = &world->fronts[world->count++];
        front_prepare(world, front);
        front_set(front, "map.lease=900ms");
        front_set(front, "map.sweep=200ms");
        front_set(front, "map.recovery_grace=0s");
        front_set(front, "client.grace=300ms");
        front_set(front, "client.ttl=5s");
        front_set(front, "map.max_entries=4");
        front_start(world, front);
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* What head says, and what is there, in one look: nothing comes between. */
static void check_count(struct world *world)
{
    static const char look[] =
        "local p, n = 'tracker:{main/1/0}:', 0 "
        "for _, key in ipairs(redis.call('KEYS', p .. 'node:*')) do n = n + redis.call('HLEN', "
        "key) end "
        "n = n + redis.call('ZCARD', p .. 'deadlines') + redis.call('ZCARD', p .. 'registered') "
        "return (redis.call('HGET', p .. 'head', 'entries') or '0') .. ' of ' .. n";
    const char *said = WORLD_REDIS(world, "EVAL", look, "0");
    char *end;
    long counted = strtol(said, &end, 10);
    if (strncmp(end, " of ", 4) != 0 || strtol(end + 4, NULL, 10) != counted) {
        fail_msg("entries: %s", said);
    }
}

static void on_any(void *arg, enum map_result result, uint64_t version)
{
    struct run *run = arg;
    if (result == MAP_LIMIT) {
        run->refused++;
    }
}

static struct bytes random_id(void)
{
    static const char *const ids[IDS] = {"a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"};
    return bytes_from_string(ids[random_below(IDS)]);
}

/* Its TTL ends it, as it does when nobody could renew it. */
static void expire(struct run *run, struct bytes id)
{
    char key[64];
    snprintf(key, sizeof key, KEY("client:%.*s"), (int)id.len, (const char *)id.data);
    WORLD_REDIS(run->world, "DEL", key);
    if (run->world->reply_integer == 1) {
        run->expired++;
    }
}

static void put_again(struct run *run, struct client *client, struct bytes id)
{
    struct map_update update = {.id = id,
                                .state = BYTES_LITERAL("x"),
                                .kind = MAP_VERSION_ABSOLUTE,
                                .version = random_below(1000000),
                                .adopt = MAP_ADOPT_ANY};
    /* While Redis was asked, the session may have ended. */
    if (client->session) {
        map_session_update(client->session, &update, on_any, run);
    }
}

static void register_again(struct front *front, struct run *run, struct bytes id)
{
    struct registration registration = {
        .id = id, .protocol = "q3master", .address = "192.0.2.1:1", .ttl = 100 + random_below(900)};
    registration_submit(map_space_find(front->map, ""), &registration, on_any, run);
}

static void set_limit(struct run *run)
{
    char assignment[32];
    snprintf(assignment, sizeof assignment, "map.max_entries=%u", 1 + (unsigned)random_below(IDS));
    for (size_t i = 0; i < FRONTS; i++) {
        front_set(&run->world->fronts[i], assignment);
    }
}

static void step(struct run *run)
{
    struct front *front = &run->world->fronts[random_below(FRONTS)];
    struct client *client = &run->clients[random_below(CLIENTS)];
    struct bytes id = random_id();
    if (!client->session || client->ended) {
        client_connect(client, front);
    }
    switch (random_below(10)) {
    case 0:
        map_session_end(&client->session, random_below(2));
        break;
    case 1:
        set_limit(run);
        break;
    case 2:
        registration_remove(map_space_find(front->map, ""), id, on_any, run);
        break;
    case 3:
    case 4:
        register_again(front, run, id);
        break;
    case 5:
        map_session_close_entry(client->session, id, MAP_ADOPT_ANY, on_any, run);
        break;
    case 6:
    case 7:
        expire(run, id);
        if (random_below(2)) {
            register_again(front, run, id);
        } else {
            put_again(run, client, id);
        }
        break;
    default:
        put_again(run, client, id);
    }
    loop_iterate(run->world->loop, (unsigned)random_below(10));
    check_count(run->world);
}

/* What fsck finds of a kind; all of them, where it is to be clean. */
static size_t found(struct run *run, bool of_count)
{
    struct world *world = run->world;
    struct reader *reader =
        reader_create(world->loop, &world->link_target, &world->link_settings, 20000);
    const struct fsck_options options = {
        .space = {.prefix = "tracker", .name = "main", .partitions = 1},
        .confirm_ms = 500,
        .ttl = 5000,
        .grace = 300,
        .offline_delay = 300};
    struct fsck_report report;
    size_t count = 0;
    assert_true(reader_connect(reader));
    assert_true(fsck_run(reader, &options, &report));
    for (size_t i = 0; i < report.count; i++) {
        count += !of_count || report.findings[i].rule == FSCK_COUNT;
    }
    fsck_report_free(&report);
    reader_destroy(&reader);
    return count;
}

static void test_the_number_of_entries_at_the_limit(void **state)
{
    struct run run = {.world = *state};
    for (unsigned i = 0; i < STEPS; i++) {
        step(&run);
    }
    assert_true(run.refused > 0 && run.expired > 0);
    assert_int_equal(found(&run, true), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        map_session_end(&run.clients[i].session, false);
    }
    WAIT_UNTIL(run.world, !strcmp(WORLD_REDIS(run.world, "HGET", KEY("head"), "entries"), "0"));
    check_count(run.world);
    assert_int_equal(found(&run, false), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_number_of_entries_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
