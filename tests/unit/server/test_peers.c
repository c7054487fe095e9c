/* Peers whose names hang in the resolver: this program has a getaddrinfo of its own. */
#include "map/fixture.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>

#include "server/peers.h"
#include "stream/resolve.h"

/* Names that begin with "hangs" are answered when this is false. */
static atomic_bool hangs = true;
static atomic_uint calls, answered;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    atomic_fetch_add(&calls, 1);
    while (strncmp(node, "hangs", 5) == 0 && atomic_load(&hangs)) {
        (void)poll(NULL, 0, 1);
    }
    if (strncmp(node, "hangs", 5) != 0) {
        atomic_fetch_add(&answered, 1);
    }
    return EAI_NONAME;
}

/* In any order, half of the others come after one that hangs. */
static void test_a_name_that_hangs_does_not_hold_up_the_others(void **state)
{
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    struct map *map;
    struct peers *peers;
    front_prepare(world, front);
    front_set(front, "map.recovery_grace=5m"); /* in which nobody's lease ends */
    front_start(world, front);
    map = front->map;
    peers = peers_create(world->loop, map, "own:80", false);
    WAIT_UNTIL(world, map_is_ready(map, NULL));
    for (unsigned i = 0; i < 4; i++) {
        char key[32], where[32];
        snprintf(key, sizeof key, "tracker:node:%012x", i);
        snprintf(where, sizeof where, "%s-%u:80", i % 2 ? "quick" : "hangs", i);
        WORLD_REDIS(world, "HSET", key, "name", "other", "advertise", where);
        WORLD_REDIS(world, "ZADD", "tracker:{main/1/0}:nodes", "9999999999999",
                    key + strlen("tracker:node:"));
    }
    peers_refresh(peers);
    WAIT_UNTIL(world, peers_count(peers) == 4);
    WAIT_UNTIL(world, atomic_load(&calls) >= 4 && atomic_load(&answered) == 2);
    /* Those that hang are asked for once, however often they are due. */
    assert_int_equal(stream_lookups_in_flight(), 2);
    atomic_store(&hangs, false);
    WAIT_UNTIL(world, stream_lookups_in_flight() == 0);
    peers_destroy(&peers);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_that_hangs_does_not_hold_up_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
