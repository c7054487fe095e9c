/*
 * Devices and plain entries made of fields, over front-ends and partitions, while links break,
 * scripts are forgotten and Redis is emptied: in the end Redis has just what the sessions have, all
 * users are as their devices say, and fsck finds nothing.
 */
#include "map/fields_fixture.h"

#include "inspect/fsck.h"

#define FRONTS     3
#define PARTITIONS 4
#define CLIENTS    24
#define USERS      6
#define STEPS      600

struct device {
    struct client client;
    bool alive;   /* its session lives */
    int user;     /* -1: nobody's */
    char left[8]; /* the id of the last one that was dropped here, and can be resumed */
    unsigned asked;
};

struct run {
    struct world *world;
    struct device devices[CLIENTS];
    unsigned resumed;
};

static const char *user_name(int user)
{
    static char names[USERS][20];
    snprintf(names[user], sizeof names[user], "%d:user", user);
    return names[user];
}

static int setup(void **state)
{
    struct world *world = world_create();
    for (size_t i = 0; i < FRONTS; i++) {
        struct front *front = &world->fronts[world->count++];
        front_prepare(world, front);
        front_set(front, "map.partitions=4");
        front_set(front, "map.lease=900ms");
        front_set(front, "map.sweep=200ms");
        front_set(front, "map.recovery_grace=1s");
        front_set(front, "client.grace=2s");
        front_set(front, "presence.offline_delay=300ms");
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

static bool is_open(const struct device *device)
{
    return device->alive && device->client.answers == device->asked &&
           device->client.result == MAP_OK && !device->client.ended;
}

static void come(struct run *run, struct device *device)
{
    struct front *front = &run->world->fronts[random_below(FRONTS)];
    struct map_field fields[] = {field_of("p:born", "1")};
    struct map_open open = {.resume = BYTES_LITERAL("secret"), .fields = fields, .field_count = 1};
    client_connect(&device->client, front);
    device->alive = true;
    device->asked = 1;
    if (device->left[0] && random_below(2)) {
        map_session_resume(device->client.session, bytes_from_string(device->left), open.resume,
                           client_done, &device->client);
        run->resumed++;
        return;
    }
    device->user = (int)random_below(USERS + 2) - 2;
    if (device->user >= 0) {
        open.user = bytes_from_string(user_name(device->user));
    }
    open.status = random_below(2) ? MAP_BUSY : MAP_ONLINE;
    client_ask_open(&device->client, &open);
}

static void go(struct device *device)
{
    bool leave = random_below(2);
    memset(device->left, 0, sizeof device->left);
    if (leave && is_open(device)) {
        memcpy(device->left, device->client.id, ID_CLIENT_LENGTH);
    }
    map_session_end(&device->client.session, leave);
    device->alive = false;
}

static void change(struct device *device)
{
    char name[16], value[16];
    snprintf(name, sizeof name, "p:%u", (unsigned)random_below(6));
    snprintf(value, sizeof value, "%u", (unsigned)random_below(100));
    if (device->user >= 0 && random_below(2)) {
        map_session_set_status(device->client.session, bytes_from_string(device->client.id),
                               random_below(2) ? MAP_BUSY : MAP_ONLINE);
    } else {
        client_set(&device->client, device->client.id, name, random_below(3) ? value : NULL);
    }
}

static void disturb(struct run *run)
{
    struct map *map = run->world->fronts[random_below(FRONTS)].map;
    switch (random_below(12)) {
    case 0:
        WORLD_REDIS(run->world, "FLUSHALL");
        break;
    case 1:
    case 2:
    case 3:
        redis_link_reset(map->link, "a test");
        break;
    case 4:
        redis_subscriber_reset(map->subscriber, "a test");
        break;
    default:
        WORLD_REDIS(run->world, "SCRIPT", "FLUSH");
    }
}

static void step(struct run *run)
{
    struct device *device = &run->devices[random_below(CLIENTS)];
    if (device->alive && device->client.ended) {
        device->alive = false; /* it was dropped */
    }
    if (!device->alive) {
        come(run, device);
    } else if (random_below(6) == 0) {
        go(device);
    } else if (is_open(device)) {
        change(device);
    }
    if (random_below(25) == 0) {
        disturb(run);
    }
    loop_iterate(run->world->loop, (unsigned)random_below(8));
}

static bool is_quiet(const struct world *world)
{
    for (size_t i = 0; i < FRONTS; i++) {
        const struct map *map = world->fronts[i].map;
        if (map->pending > 0 || !map_is_ready(map, NULL)) {
            return false;
        }
        for (uint32_t j = 0; j < PARTITIONS; j++) {
            if (!list_is_empty(&map->spaces[0].partitions[j].unconfirmed)) {
                return false;
            }
        }
    }
    return true;
}

static const char *key_of(const char *kind, const char *name)
{
    static char key[128];
    snprintf(key, sizeof key, "tracker:{main/4/%u}:%s%s",
             shard_of(bytes_from_string(name), PARTITIONS), kind, name);
    return key;
}

/* Redis has each field of the session's, and those of the map itself. */
static void check_entry(struct run *run, const struct device *device)
{
    const char *id = device->client.id;
    struct bytes body = map_session_fields(device->client.session, bytes_from_string(id));
    struct bytes name, value;
    long long count = 0;
    char field[32];
    while (event_field(&body, &name, &value)) {
        snprintf(field, sizeof field, "%.*s", (int)name.len, (const char *)name.data);
        const char *there = WORLD_REDIS(run->world, "HGET", key_of("client:", id), field);
        assert_true(bytes_equal(value, bytes_from_string(there)));
        count++;
    }
    assert_true(count > 0);
    WORLD_REDIS(run->world, "HLEN", key_of("client:", id));
    assert_int_equal(run->world->reply_integer, count + 6);
}

static const char *expected_status(const struct run *run, int user)
{
    const char *status = "";
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct device *device = &run->devices[i];
        struct bytes body = {0};
        if (is_open(device)) {
            body = map_session_fields(device->client.session, bytes_from_string(device->client.id));
        }
        if (!bytes_equal(event_field_find(body, "user"), bytes_from_string(user_name(user)))) {
            continue;
        }
        if (bytes_equal(event_field_find(body, "status"), BYTES_LITERAL("busy"))) {
            return "busy";
        }
        status = "online";
    }
    return status;
}

static bool users_are_right(struct run *run)
{
    for (int user = 0; user < USERS; user++) {
        if (strcmp(WORLD_REDIS(run->world, "HGET", key_of("user:", user_name(user)), ".status"),
                   expected_status(run, user)) != 0) {
            return false;
        }
    }
    return true;
}

static void check_sound(struct run *run)
{
    struct world *world = run->world;
    struct reader *reader =
        reader_create(world->loop, &world->link_target, &world->link_settings, 20000);
    const struct fsck_options options = {
        .space = {.prefix = "tracker", .name = "main", .partitions = PARTITIONS},
        .confirm_ms = 500,
        .ttl = 30000,
        .grace = 2000,
        .offline_delay = 300};
    struct fsck_report report;
    assert_true(reader_connect(reader));
    assert_true(fsck_run(reader, &options, &report));
    for (size_t i = 0; i < report.count; i++) {
        fail_msg("%s of %.*s", fsck_rule_name(report.findings[i].rule),
                 (int)report.findings[i].id.len, (const char *)report.findings[i].id.data);
    }
    fsck_report_free(&report);
    reader_destroy(&reader);
}

static void test_what_sessions_have_is_what_redis_has(void **state)
{
    struct run run = {.world = *state};
    for (unsigned i = 0; i < STEPS; i++) {
        step(&run);
    }
    WAIT_UNTIL(run.world, is_quiet(run.world));
    WAIT_UNTIL(run.world, users_are_right(&run));
    WAIT_UNTIL(run.world, is_quiet(run.world));
    unsigned open = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (is_open(&run.devices[i])) {
            check_entry(&run, &run.devices[i]);
            open++;
        }
    }
    assert_true(open > 0 && run.resumed > 0);
    check_sound(&run);
    for (size_t i = 0; i < CLIENTS; i++) {
        map_session_end(&run.devices[i].client.session, false);
        run.devices[i].alive = false;
    }
    WAIT_UNTIL(run.world, users_are_right(&run));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_sessions_have_is_what_redis_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
