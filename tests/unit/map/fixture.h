/*
 * fixture: a private Redis and front-ends' maps on one loop, for tests of the map as a whole.
 *
 * Each struct front is what a front-end process has: its own links, node id and sessions. They
 * share one loop, so a test can stop one without the others noticing anything but its absence.
 */
#ifndef UNIT_MAP_FIXTURE_H
#define UNIT_MAP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "map/map.h"
#include "map/map_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/session.h"
#include "map/session_private.h"
#include "map/space_private.h"
#include "patience.h"
#include "presence/presence.h"
#include "redis/embedded.h"
#include "redis/redis_acl.h"
#include "redis/store.h"
#include "registration/registration.h"
#include "relay/relay.h"
#include "room/room.h"
#include "view/view.h"

struct front {
    struct loop *loop;
    struct config *config;
    struct map_settings settings;
    struct redis_settings redis;
    struct redis_target target;
    struct map *map;
    bool serving;
    char fatal[256];
};

struct world {
    struct loop *loop;
    struct redis_embedded *server;
    struct front fronts[3];
    size_t count;
    struct redis_link *link; /* to look into Redis */
    struct redis_settings link_settings;
    struct redis_target link_target;
    struct config *link_config;
    bool link_up;
    char reply[4096];
    bool replied;
    int64_t reply_integer;
};

static inline void front_fatal(void *arg, const char *why)
{
    struct front *front = arg;
    snprintf(front->fatal, sizeof front->fatal, "%s", why);
}

static inline void front_serving(void *arg)
{
    ((struct front *)arg)->serving = true;
}

static const struct map_callbacks front_callbacks = {.fatal = front_fatal,
                                                     .serving = front_serving};

/* Turns the loop until the condition holds; fails the test when its patience is over. */
#define WAIT_UNTIL(world, condition)                                                               \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            loop_iterate((world)->loop, 20);                                                       \
            if (patience_is_over(&patience_))                                                      \
                fail_msg("not reached: %s", #condition);                                           \
        }                                                                                          \
    } while (0)

/* Comes true at due_ms on the loop's clock, which is moved to shortly before it: neither before nor
 * later. */
#define ASSERT_TRUE_AT(world, due_ms, condition)                                                   \
    do {                                                                                           \
        struct loop *loop_ = (world)->loop;                                                        \
        const uint64_t due_ = (due_ms), early_ = loop_now_ms(loop_) + 20;                          \
        loop_skip(loop_, due_ > early_ ? due_ - early_ : 0);                                       \
        do {                                                                                       \
            loop_iterate(loop_, 0);                                                                \
            if (loop_now_ms(loop_) != due_) {                                                      \
                assert_int_equal(condition, loop_now_ms(loop_) > due_);                            \
            }                                                                                      \
        } while (!(condition));                                                                    \
    } while (0)

static inline void world_on_up(void *arg, const char *run_id)
{
    ((struct world *)arg)->link_up = true;
}

static inline void world_on_down(void *arg)
{
    ((struct world *)arg)->link_up = false;
}

static inline void world_on_reply(void *arg, enum redis_status status,
                                  const struct redis_reply *reply)
{
    struct world *world = arg;
    world->replied = true;
    world->reply[0] = 0;
    world->reply_integer = -1;
    if (status != REDIS_OK && status != REDIS_REFUSED) {
        return;
    }
    world->reply_integer = reply->integer;
    if (reply->text.len && reply->text.len < sizeof world->reply) {
        memcpy(world->reply, reply->text.data, reply->text.len);
        world->reply[reply->text.len] = 0;
    }
}

/* A command of at most 7 words, as redis-cli would send it; its reply as text. */
#define WORLD_REDIS(world, ...)                                                                    \
    ((world)->replied = false,                                                                     \
     redis_command_strings((world)->link, world_on_reply, (world), __VA_ARGS__, NULL),             \
     world_wait_reply(world), (world)->reply)

static inline void world_wait_reply(struct world *world)
{
    WAIT_UNTIL(world, world->replied);
}

static inline void front_prepare(struct world *world, struct front *front)
{
    memset(front, 0, sizeof *front);
    front->loop = world->loop;
    front->config = config_create();
    config_add(front->config, &map_config, &front->settings);
    config_add(front->config, &redis_config, &front->redis);
    char *url = mem_format("unix:%s", redis_embedded_socket(world->server));
    assert_null(redis_target_parse(url, &front->target));
    free(url);
    redis_acl_log_in(front->config, "tracker");
}

static inline void front_set(struct front *front, const char *assignment)
{
    char *error = config_set(front->config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
    if (front->map) {
        map_settings_changed(front->map);
    }
}

static inline void front_start(struct world *world, struct front *front)
{
    char *error = NULL;
    front->map = map_create(world->loop, "test", &front->settings, &front->redis, &front->target,
                            &front_callbacks, front, &error);
    if (!front->map) {
        fail_msg("%s", error);
    }
    map_add_feature(front->map, &relay_feature);
    map_add_feature(front->map, &presence_feature);
    map_add_feature(front->map, &room_feature);
    map_add_feature(front->map, &registration_feature);
    WAIT_UNTIL(world, front->serving || front->fatal[0]);
}

/* The front-end falls silent, as if its process had been killed: no link of it lives any more. */
static inline void front_idle_ms(struct front *front)
{
    front->map->link = NULL;
    front->map->subscriber = NULL;
    redis_store_destroy(&front->map->store);
    for (size_t i = 0; i < front->map->space_count; i++) {
        struct map_space *space = &front->map->spaces[i];
        for (uint32_t j = 0; j < space->count; j++) {
            partition_link_down(&space->partitions[j]);
        }
    }
}

static inline void front_stop(struct front *front)
{
    map_destroy(&front->map);
    config_destroy(&front->config);
    config_free_values(&map_config, &front->settings);
    config_free_values(&redis_config, &front->redis);
    redis_target_free(&front->target);
}

static const struct redis_link_callbacks world_link_callbacks = {.up = world_on_up,
                                                                 .down = world_on_down};

/* Under TRACKER_TEST_ACL: makes the users of the world's Redis, or at its end looks for what they
 * were refused. */
static inline void world_with_acl(struct world *world, bool ends)
{
    if (redis_acl_file() && world->server) {
        redisContext *context = redisConnectUnix(redis_embedded_socket(world->server));
        assert_true(context && !context->err);
        if (ends) {
            redis_acl_check(context);
        } else {
            redis_acl_apply(context, "");
        }
        redisFree(context);
    }
}

static inline struct world *world_create(void)
{
    struct world *world = mem_zalloc(1, sizeof *world);
    char *error = NULL;
    signal(SIGPIPE, SIG_IGN);
    random_init();
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    world->loop = loop_create();
    world->server = redis_embedded_start(world->loop, "redis-server", NULL, NULL, NULL, &error);
    if (!world->server) {
        fail_msg("%s", error);
    }
    world->link_config = config_create();
    config_add(world->link_config, &redis_config, &world->link_settings);
    char *url = mem_format("unix:%s", redis_embedded_socket(world->server));
    assert_null(redis_target_parse(url, &world->link_target));
    free(url);
    world->link = redis_link_create(world->loop, "test", &world->link_target, &world->link_settings,
                                    &world_link_callbacks, world);
    WAIT_UNTIL(world, world->link_up);
    world_with_acl(world, false);
    return world;
}

/* A world with count front-ends, with fast sweeps so that tests need not be slow. */
static inline struct world *world_with_fronts(size_t count)
{
    struct world *world = world_create();
    for (size_t i = 0; i < count; i++) {
        struct front *front = &world->fronts[world->count++];
        front_prepare(world, front);
        front_set(front, "map.lease=900ms");
        front_set(front, "map.sweep=200ms");
        front_set(front, "map.recovery_grace=1s");
        front_set(front, "client.grace=600ms");
        front_start(world, front);
    }
    return world;
}

/* For what has to happen before a grace has ended, however long the machine takes. */
static inline void world_lengthen_grace(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        world->fronts[i].map->running.client_grace = 600000;
    }
}

static inline void world_destroy(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->fronts[i].map || world->fronts[i].config) {
            front_stop(&world->fronts[i]);
        }
    }
    redis_link_destroy(&world->link);
    config_destroy(&world->link_config);
    config_free_values(&redis_config, &world->link_settings);
    redis_target_free(&world->link_target);
    world_with_acl(world, true);
    redis_embedded_stop(&world->server);
    loop_iterate(world->loop, 0);
    loop_destroy(&world->loop);
    free(world);
}

/* A client: a session and what it was last answered. */
struct client {
    struct map_session *session;
    struct map_space *space;
    unsigned answers;
    enum map_result result;
    uint64_t version;
    char id[256];
    uint64_t idle_ms;
    bool gone; /* its socket has ended, which has not been read yet */
    bool ended;
    enum map_end why;
};

static inline uint64_t client_idle_ms(void *arg)
{
    return ((struct client *)arg)->idle_ms;
}

static inline void client_end(void *arg, enum map_end why)
{
    struct client *client = arg;
    client->why = why;
    client->ended = true;
    map_session_end(&client->session, true);
}

static inline bool client_is_gone(void *arg)
{
    return ((struct client *)arg)->gone;
}

static const struct map_sink client_sink = {
    .idle_ms = client_idle_ms, .end = client_end, .is_gone = client_is_gone};

static inline void client_connect(struct client *client, struct front *front)
{
    memset(client, 0, sizeof *client);
    client->space = map_space_find(front->map, "");
    client->session =
        map_session_create(client->space, "test", "192.0.2.1:1000", &client_sink, client);
}

static inline void client_done(void *arg, enum map_result result, uint64_t version)
{
    struct client *client = arg;
    struct bytes id = map_session_opened_id(client->session);
    client->answers++;
    client->result = result;
    client->version = version;
    memcpy(client->id, id.data, id.len);
    client->id[id.len] = 0;
}

static inline enum map_result client_open(struct world *world, struct client *client,
                                          const char *state)
{
    unsigned answers = client->answers;
    map_session_open(client->session, bytes_from_string(state), client_done, client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static inline void client_send_update(struct client *client, const char *id,
                                      enum map_version_kind kind, uint64_t version,
                                      const char *state)
{
    struct map_update update = {.id = bytes_from_string(id),
                                .state = bytes_from_string(state),
                                .kind = kind,
                                .version = version};
    map_session_update(client->session, &update, client_done, client);
}

static inline enum map_result client_update(struct world *world, struct client *client,
                                            const char *id, uint64_t version, const char *state)
{
    unsigned answers = client->answers;
    client_send_update(client, id, MAP_VERSION_ABSOLUTE, version, state);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static inline enum map_result client_close(struct world *world, struct client *client,
                                           const char *id)
{
    unsigned answers = client->answers;
    map_session_close_entry(client->session, bytes_from_string(id), MAP_ADOPT_ANY, client_done,
                            client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

/* A watcher that counts what it receives. */
struct observer {
    struct map_watcher watcher;
    struct map_view *view;
    unsigned live;
    unsigned changed;
    unsigned closed;
    char last_closed[256];
};

static inline void observer_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct observer *observer = (struct observer *)watcher;
    observer->changed += (unsigned)changes->changed_count;
    observer->closed += (unsigned)changes->closed_count;
    if (changes->closed_count) {
        struct bytes id = changes->closed[changes->closed_count - 1];
        memcpy(observer->last_closed, id.data, id.len);
        observer->last_closed[id.len] = 0;
    }
}

static inline void observer_live(struct map_watcher *watcher)
{
    ((struct observer *)watcher)->live++;
}

/* Without waiting until it has the map. */
static inline void observer_start(struct observer *observer, struct front *front)
{
    const char *why = NULL;
    memset(observer, 0, sizeof *observer);
    observer->watcher.changed = observer_changed;
    observer->watcher.live = observer_live;
    observer->view = map_watch(map_space_find(front->map, ""), &observer->watcher, &why);
    assert_non_null(observer->view);
}

static inline void observer_watch(struct world *world, struct observer *observer,
                                  struct front *front)
{
    observer_start(observer, front);
    WAIT_UNTIL(world, observer->live || map_view_is_live(observer->view));
}

/* The state that a view shows for an id; NULL when it has none. Valid until the next call. */
static inline const char *observer_state(const struct observer *observer, const char *id)
{
    static char text[512];
    struct map_entry *entry = map_view_find(observer->view, bytes_from_string(id));
    if (!entry) {
        return NULL;
    }
    struct bytes state = map_entry_state(entry);
    snprintf(text, sizeof text, "%.*s", (int)state.len, (const char *)state.data);
    return text;
}

static inline bool observer_shows(const struct observer *observer, const char *id,
                                  const char *state)
{
    const char *shown = observer_state(observer, id);
    return shown && !strcmp(shown, state);
}

#endif
