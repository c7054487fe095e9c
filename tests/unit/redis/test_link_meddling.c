/* A link whose callbacks reset and destroy it, and issue commands. */
#include "redis/redis_fixture.h"

static struct server server;

static int start(void **state)
{
    fixture_init(state);
    server_start(&server, NULL);
    server_grant(&server, "~* +strlen +append +incr +get +eval +llen +set");
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

static void reply_counted(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    unsigned *counts = arg;

    counts[status]++;
}

struct meddler {
    struct world *world;
    unsigned counts[4];
    unsigned asked;
    enum { RESET, DESTROY, ISSUE } deed;
    unsigned at; /* the call in which it is done */
    unsigned called;
};

static void meddle(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct meddler *meddler = arg;

    meddler->counts[status]++;
    if (++meddler->called != meddler->at) {
        return;
    }
    switch (meddler->deed) {
    case RESET:
        redis_link_reset(meddler->world->link, "from a callback");
        break;
    case DESTROY:
        redis_link_destroy(&meddler->world->link);
        break;
    case ISSUE:
        meddler->asked++;
        redis_command_strings(meddler->world->link, meddle, meddler, "PING", NULL);
        break;
    }
    if (status == REDIS_OK) {
        assert_true(reply->text.len == 4 && memcmp(reply->text.data, "PONG", 4) == 0);
    }
}

static void ask_pings(struct meddler *meddler, unsigned count)
{
    for (; count > 0; count--) {
        meddler->asked++;
        redis_command_strings(meddler->world->link, meddle, meddler, "PING", NULL);
    }
}

static void test_meddling(void **state)
{
    for (unsigned deed = RESET; deed <= ISSUE; deed++) {
        for (unsigned at = 1; at <= 8; at++) {
            struct world world;
            struct meddler meddler = {.world = &world, .deed = deed, .at = at};

            world_create_for(&world, &server);
            world_link_up(&world);
            ask_pings(&meddler, 8);
            WAIT_FOR(world.loop, meddler.called == meddler.asked);
            assert_int_equal(meddler.counts[REDIS_OK], deed == ISSUE ? 9 : at);
            assert_int_equal(meddler.counts[REDIS_LOST], deed == ISSUE ? 0 : 8 - at);
            assert_int_equal(world.downs, deed == RESET ? 1 : 0);
            world_destroy(&world);
        }
    }
}

/* The same while the commands are being lost. */
static void test_meddling_in_loss(void **state)
{
    for (unsigned deed = RESET; deed <= ISSUE; deed++) {
        for (unsigned at = 1; at <= 8; at++) {
            struct world world;
            struct meddler meddler = {.world = &world, .deed = deed, .at = at};

            world_create_for(&world, &server);
            world_link_up(&world);
            ask_pings(&meddler, 8);
            redis_link_reset(world.link, "a test");
            assert_int_equal(meddler.called, meddler.asked);
            assert_int_equal(meddler.counts[REDIS_LOST], 8);
            assert_int_equal(meddler.counts[REDIS_DOWN], deed == ISSUE ? 1 : 0);
            assert_int_equal(world.downs, deed == DESTROY ? 0 : 1);
            world_destroy(&world);
        }
    }
}

static void destroy_on_up(void *arg, const char *run_id)
{
    struct world *world = arg;

    world->ups++;
    redis_link_destroy(&world->link);
}

static void destroy_on_down(void *arg)
{
    struct world *world = arg;

    world->downs++;
    redis_link_destroy(&world->link);
}

static void reset_on_up(void *arg, const char *run_id)
{
    struct world *world = arg;

    if (++world->ups < 3) {
        redis_link_reset(world->link, "from up");
        assert_int_equal(world->downs, world->ups);
    }
}

static void test_meddling_in_up_and_down(void **state)
{
    const struct redis_link_callbacks cases[] = {
        {.up = destroy_on_up, .down = world_down},
        {.up = world_up, .down = destroy_on_down},
        {.up = reset_on_up, .down = world_down},
    };
    static const unsigned ups[] = {1, 1, 3}, downs[] = {0, 1, 2};

    for (size_t i = 0; i < 3; i++) {
        struct world world;
        unsigned counts[4] = {0};

        world_create_for(&world, &server);
        world.link = redis_link_create(world.loop, "commands", &world.target, &world.settings,
                                       &cases[i], &world);
        WAIT_FOR(world.loop, world.ups == ups[i]);
        if (i == 1) {
            redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
            redis_link_reset(world.link, "a test");
            assert_int_equal(counts[REDIS_LOST], 1);
        }
        assert_int_equal(world.downs, downs[i]);
        world_destroy(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meddling),
        cmocka_unit_test(test_meddling_in_loss),
        cmocka_unit_test(test_meddling_in_up_and_down),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
