/* losses_fixture: two front-ends, and what Redis has in the first partition. */
#ifndef UNIT_MAP_LOSSES_FIXTURE_H
#define UNIT_MAP_LOSSES_FIXTURE_H

#include "map/fixture.h"

#define KEY(kind)  "tracker:{main/1/0}:" kind
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown_two)

static inline int setup_two(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static inline int teardown_two(void **state)
{
    world_destroy(*state);
    return 0;
}

static inline const char *client_key(const char *id)
{
    static char key[300];
    snprintf(key, sizeof key, KEY("client:%s"), id);
    return key;
}

static inline bool has_entries(struct world *world, const char *count)
{
    return !strcmp(WORLD_REDIS(world, "HGET", KEY("head"), "entries"), count);
}

#endif
