/* bans: see bans.h. */
#include "protocol/session/bans.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ban.h"
#include "base/log.h"
#include "base/mem.h"
#include "map/bans.h"
#include "metrics/metrics.h"

struct bans {
    struct ban_set *own;    /* of the setting */
    struct ban_set *shared; /* of Redis */
    struct map_bans *source;
    struct list watchers;
    struct log_limit bad_limit;
};

static void notify_bans_watchers(struct bans *bans)
{
    metrics_set(METRIC_BANS, (int64_t)(ban_set_count(bans->own) + ban_set_count(bans->shared)));
    LIST_FOREACH (node, &bans->watchers) {
        struct bans_watcher *watcher = list_entry(node, struct bans_watcher, link);
        watcher->changed(watcher);
    }
}

/* Anything may be stored in Redis. */
static void add_shared_ban(struct bans *bans, struct bytes line)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address_prefix prefix;
    bool is_prefix = line.len < sizeof text && !memchr(line.data, 0, line.len);

    if (is_prefix) {
        memcpy(text, line.data, line.len);
        text[line.len] = 0;
        is_prefix = address_prefix_parse(text, &prefix);
    }
    if (is_prefix) {
        (void)ban_set_add(bans->shared, &prefix);
    } else {
        log_limited(LOG_WARN, &bans->bad_limit, "ban_unreadable", LOG_BYTES("prefix", line));
    }
}

static void on_shared_bans_changed(void *arg)
{
    struct bans *bans = arg;
    struct cursor lines = cursor_over(map_bans_list(bans->source));

    ban_set_clear(bans->shared);
    while (cursor_left(&lines) > 0 && !lines.failed) {
        add_shared_ban(bans, cursor_until(&lines, '\n'));
    }
    log_info("bans_changed", LOG_INT("prefixes", (int64_t)ban_set_count(bans->shared)));
    notify_bans_watchers(bans);
}

struct bans *bans_create(struct map *map, const char *setting, const int64_t *reread_ms)
{
    struct bans *bans = mem_zalloc(1, sizeof *bans);

    bans->own = ban_set_create();
    bans->shared = ban_set_create();
    list_init(&bans->watchers);
    bans_set(bans, setting);
    bans->source = map_bans_create(map, reread_ms, on_shared_bans_changed, bans);
    return bans;
}

void bans_destroy(struct bans **pointer)
{
    struct bans *bans = *pointer;

    *pointer = NULL;
    if (!bans) {
        return;
    }
    assert(list_is_empty(&bans->watchers));
    map_bans_destroy(&bans->source);
    ban_set_destroy(&bans->own);
    ban_set_destroy(&bans->shared);
    free(bans);
}

void bans_set(struct bans *bans, const char *setting)
{
    char *error;

    ban_set_clear(bans->own);
    error = ban_set_add_list(bans->own, setting);
    assert(!error);
    free(error);
    notify_bans_watchers(bans);
}

bool bans_hold(const struct bans *bans, const struct address *address)
{
    return ban_set_holds(bans->own, address) || ban_set_holds(bans->shared, address);
}

bool bans_hold_for_all(const struct bans *bans, const struct address *address)
{
    return ban_set_holds(bans->shared, address);
}

void bans_watch(struct bans *bans, struct bans_watcher *watcher)
{
    list_append(&bans->watchers, &watcher->link);
}

void bans_unwatch(struct bans_watcher *watcher)
{
    list_remove(&watcher->link);
}
