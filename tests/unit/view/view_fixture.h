/*
 * view_fixture: two front-ends, and entries for an observer of the one that clients of the other
 * have opened.
 */
#ifndef VIEW_FIXTURE_H
#define VIEW_FIXTURE_H

#include "map/fixture.h"

#include "metrics/metrics.h"
#include "view/view_private.h"

static inline int view_fixture_set_up(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static inline int view_fixture_tear_down(void **state)
{
    world_destroy(*state);
    return 0;
}

/* n entries named e0, e1, ... of one client, seen by the observer. */
static inline void open_entries(struct world *world, struct client *client,
                                struct observer *observer, unsigned n)
{
    world->fronts[0].map->running.client_max_ids = 100000;
    client_connect(client, &world->fronts[0]);
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%u", i);
        client_send_update(client, id, MAP_VERSION_ABSOLUTE, 1, "one");
    }
    WAIT_UNTIL(world, map_view_count(observer->view) == n);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, view_fixture_set_up, view_fixture_tear_down)

#endif
