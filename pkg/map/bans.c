/* bans: see bans.h. */
#include "map/bans.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "redis/channel.h"
#include "schema/keys.h"

struct map_bans {
    struct map *map;
    struct channel_user channel;
    struct loop_timer *timer;
    struct bans_read *read; /* under way, or NULL */
    bool again;             /* to be read again: the one under way may have been too early */
    char *key;
    const int64_t *reread_ms;
    void (*changed)(void *arg);
    void *arg;
    struct writer list;
};

/* Outlives the bans when its reply arrives later. */
struct bans_read {
    struct map_bans *bans;
};

static void read_bans(struct map_bans *bans);

static void update_bans(struct map_bans *bans, const struct redis_reply *reply)
{
    struct writer list = {0};
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->elements[i]->type == REDIS_STRING) {
            writer_bytes(&list, reply->elements[i]->text);
            writer_u8(&list, '\n');
        }
    }
    if (bytes_equal(writer_bytes_written(&list), writer_bytes_written(&bans->list))) {
        writer_free(&list);
        return;
    }
    writer_free(&bans->list);
    bans->list = list;
    bans->changed(bans->arg);
}

static void on_bans_read(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct bans_read *read = arg;
    struct map_bans *bans = read->bans;
    free(read);
    if (!bans) {
        return;
    }
    bans->read = NULL;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY) {
        update_bans(bans, reply);
    }
    if (bans->again) {
        bans->again = false;
        read_bans(bans);
    }
}

static void read_bans(struct map_bans *bans)
{
    struct map *map = bans->map;
    char now[24];
    if (!redis_link_is_up(map->link)) {
        return;
    }
    if (bans->read) {
        bans->again = true;
        return;
    }
    bans->read = mem_alloc(sizeof *bans->read);
    bans->read->bans = bans;
    snprintf(now, sizeof now, "(%llu", (unsigned long long)map_redis_time_ms(map));
    redis_command_strings(map->link, on_bans_read, bans->read, "ZRANGEBYSCORE", bans->key, now,
                          "+inf", NULL);
}

static void on_bans_timer(void *arg)
{
    struct map_bans *bans = arg;
    loop_timer_start(bans->timer, (uint64_t)*bans->reread_ms);
    read_bans(bans);
}

static void on_bans_subscribed(void *arg)
{
    read_bans(arg);
}

static void on_message(void *arg, struct bytes message)
{
    read_bans(arg);
}

struct map_bans *map_bans_create(struct map *map, const int64_t *reread_ms,
                                 void (*changed)(void *arg), void *arg)
{
    static const struct channel_callbacks callbacks = {.subscribed = on_bans_subscribed,
                                                       .message = on_message};
    struct map_bans *bans = mem_zalloc(1, sizeof *bans);
    bans->map = map;
    bans->reread_ms = reread_ms;
    bans->changed = changed;
    bans->arg = arg;
    bans->key = keys_bans(map->redis->prefix);
    bans->timer = loop_timer_create(map->loop, on_bans_timer, bans);
    loop_timer_start(bans->timer, (uint64_t)*reread_ms);
    char *channel = keys_bans_channel(map->redis->prefix, map->database);
    channel_join(map->channels, &bans->channel, bytes_from_string(channel), &callbacks, bans);
    free(channel);
    return bans;
}

void map_bans_destroy(struct map_bans **pointer)
{
    struct map_bans *bans = *pointer;
    *pointer = NULL;
    if (!bans) {
        return;
    }
    channel_leave(&bans->channel);
    loop_timer_destroy(&bans->timer);
    if (bans->read) {
        bans->read->bans = NULL;
    }
    writer_free(&bans->list);
    free(bans->key);
    free(bans);
}

struct bytes map_bans_list(const struct map_bans *bans)
{
    return writer_bytes_written(&bans->list);
}
