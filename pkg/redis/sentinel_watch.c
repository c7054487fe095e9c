/* sentinel_watch: one subscriber for each Sentinel. */
#include "redis/sentinel_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "redis/link_private.h"

#define SWITCH_CHANNEL BYTES_LITERAL("+switch-master")

struct watched_sentinel {
    struct redis_sentinel_watch *watch;
    struct redis_sentinel_access access;
    struct redis_subscriber *subscriber;
    bool lacks_messages; /* since the last look-up */
};

struct redis_sentinel_watch {
    struct loop *loop;
    const struct redis_target *target;
    const struct redis_settings *settings;
    void (*named)(void *arg, struct bytes host, struct bytes port);
    void *arg;
    struct redis_sentinel_lookup *lookup; /* NULL: none is under way */
    size_t count;
    struct watched_sentinel sentinels[];
};

static void on_looked_up(void *arg, const struct redis_endpoint *master, const char *why)
{
    struct redis_sentinel_watch *watch = arg;
    char port[8];

    if (master) {
        (void)snprintf(port, sizeof port, "%u", master->port);
        watch->named(watch->arg, bytes_from_string(master->host), bytes_from_string(port));
    }
    redis_sentinel_lookup_cancel(&watch->lookup);
}

static void on_switch_subscribed(void *arg, struct bytes channel)
{
    struct watched_sentinel *sentinel = arg;
    struct redis_sentinel_watch *watch = sentinel->watch;

    if (sentinel->lacks_messages && !watch->lookup) {
        watch->lookup = redis_sentinel_lookup_start(watch->loop, watch->target, watch->settings,
                                                    on_looked_up, watch);
    }
    sentinel->lacks_messages = false;
}

/* NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT; a name has no spaces. */
static void on_switch_message(void *arg, struct bytes channel, struct bytes message)
{
    struct redis_sentinel_watch *watch = ((struct watched_sentinel *)arg)->watch;
    struct cursor cursor = cursor_over(message);
    struct bytes name = cursor_until(&cursor, ' ');
    struct bytes host, port;

    (void)cursor_until(&cursor, ' ');
    (void)cursor_until(&cursor, ' ');
    host = cursor_until(&cursor, ' ');
    port = cursor_take(&cursor, cursor_left(&cursor));
    if (!cursor.failed && port.len > 0 &&
        bytes_equal(name, bytes_from_string(watch->target->master))) {
        watch->named(watch->arg, host, port);
    }
}

static void on_watched_up(void *arg)
{
}

static void on_watched_down(void *arg)
{
    ((struct watched_sentinel *)arg)->lacks_messages = true;
}

static const struct redis_subscriber_callbacks watched_callbacks = {.subscribed =
                                                                        on_switch_subscribed,
                                                                    .message = on_switch_message,
                                                                    .up = on_watched_up,
                                                                    .down = on_watched_down};

struct redis_sentinel_watch *redis_sentinel_watch_create(
    struct loop *loop, const struct redis_target *target, const struct redis_settings *settings,
    void (*named)(void *arg, struct bytes host, struct bytes port), void *arg)
{
    const size_t count = target->endpoint_count;
    struct redis_sentinel_watch *watch =
        mem_zalloc(1, sizeof *watch + count * sizeof *watch->sentinels);

    watch->loop = loop;
    watch->target = target;
    watch->settings = settings;
    watch->named = named;
    watch->arg = arg;
    watch->count = count;
    for (size_t i = 0; i < count; i++) {
        struct watched_sentinel *sentinel = &watch->sentinels[i];

        sentinel->watch = watch;
        sentinel->lacks_messages = true;
        redis_sentinel_access_init(&sentinel->access, target, settings, i);
        sentinel->subscriber =
            redis_subscriber_create(loop, "sentinel", &sentinel->access.target,
                                    &sentinel->access.settings, &watched_callbacks, sentinel);
        redis_link_set_sentinel(redis_subscriber_link(sentinel->subscriber));
        redis_subscribe(sentinel->subscriber, SWITCH_CHANNEL);
    }
    return watch;
}

void redis_sentinel_watch_destroy(struct redis_sentinel_watch **pointer)
{
    struct redis_sentinel_watch *watch = *pointer;

    *pointer = NULL;
    if (!watch) {
        return;
    }
    redis_sentinel_lookup_cancel(&watch->lookup);
    for (size_t i = 0; i < watch->count; i++) {
        redis_subscriber_destroy(&watch->sentinels[i].subscriber);
        redis_sentinel_access_free(&watch->sentinels[i].access);
    }
    free(watch);
}
