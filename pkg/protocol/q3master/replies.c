/*
 * q3master_replies: lists prepared once for many players, one for each kind of query.
 *
 * A list is made by the first query after the servers have changed; while changes go on it is made
 * at most once in q3master.refresh, however many queries there are. Lists for new kinds of queries
 * are made at a limited rate: sources can be forged, so that no limit of an address holds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/q3master/q3master_private.h"

void q3master_replies_init(struct q3master_replies *replies)
{
    replies->all = NULL;
    list_init(&replies->once);
    list_init(&replies->used);
}

static void forget_prepared_reply(struct q3master_replies *replies,
                                  struct q3master_prepared *prepared)
{
    HASH_DEL(replies->all, prepared);
    list_remove(&prepared->used);
    q3master_reply_destroy(&prepared->reply);
    free(prepared);
}

void q3master_replies_clear(struct q3master_replies *replies)
{
    while (replies->all) {
        forget_prepared_reply(replies, replies->all);
    }
}

/* Those that were requested once go first: whoever forges queries may make up any number. */
static void evict_prepared_reply(struct q3master_replies *replies)
{
    struct list *from = list_is_empty(&replies->once) ? &replies->used : &replies->once;
    forget_prepared_reply(replies, list_entry(from->next, struct q3master_prepared, used));
}

static struct q3master_prepared *add_prepared(struct q3master_port *port, const uint8_t *key,
                                              size_t len)
{
    struct q3master_replies *replies = &port->replies;
    struct q3master_prepared *prepared;

    while (replies->all && HASH_COUNT(replies->all) >= (size_t)port->settings->filters) {
        evict_prepared_reply(replies);
    }
    prepared = mem_zalloc(1, sizeof *prepared);
    memcpy(prepared->key, key, len);
    prepared->key_len = (uint8_t)len;
    list_init(&prepared->used);
    list_append(&replies->once, &prepared->used);
    HASH_ADD_KEYPTR(hh, replies->all, prepared->key, prepared->key_len, prepared);
    return prepared;
}

/* NULL: it is a new kind, and too many are being prepared. */
static struct q3master_prepared *find_or_add_prepared(struct q3master_port *port,
                                                      const struct q3master_query *query)
{
    struct q3master_service *service = port->service;
    struct q3master_replies *replies = &port->replies;
    struct q3master_prepared *prepared;
    uint8_t key[Q3MASTER_KEY_MAX];
    const size_t len = q3master_query_key(query, key);

    HASH_FIND(hh, replies->all, key, len, prepared);
    if (prepared) {
        list_remove(&prepared->used);
        list_append(&replies->used, &prepared->used);
        return prepared;
    }
    if (!bucket_take(&service->new_kinds, (uint32_t)service->settings->new_kinds_rate,
                     (uint32_t)service->settings->new_kinds_burst, loop_now_us(service->loop))) {
        return NULL;
    }
    return add_prepared(port, key, len);
}

/* The servers that match the query, whose game has been settled. */
static struct q3master_reply *create_reply(const struct q3master_list *list,
                                           const struct q3master_query *query)
{
    const struct q3master_reply_options options = {.extended = query->extended, .separated = true};
    struct address *servers = mem_alloc((list->listed_count + 1) * sizeof *servers);
    struct q3master_reply *reply;
    size_t count = 0;

    for (size_t i = 0; i < list->listed_count; i++) {
        if (q3master_matches(query, &list->listed[i]->server)) {
            servers[count++] = list->listed[i]->server.address;
        }
    }
    reply = q3master_reply_create(&options, servers, count);
    free(servers);
    metrics_add(METRIC_Q3MASTER_MADE, 1);
    return reply;
}

static size_t count_reply_packets(const struct q3master_reply *reply)
{
    struct q3master_walk walk = q3master_reply_walk(reply, 0);
    struct frame_slice slices[Q3MASTER_SLICES];
    size_t count = 0;

    while (q3master_reply_next(reply, &walk, slices) > 0) {
        count++;
    }
    return count;
}

static void prepare_reply(struct q3master_port *port, struct q3master_prepared *prepared,
                          struct q3master_query query, uint64_t now)
{
    struct bytes registered = {0};

    q3master_reply_destroy(&prepared->reply);
    if (!query.game.data) {
        registered = q3master_list_game(port->list, query.protocol,
                                        q3games_by_protocol(port->games, query.protocol));
    }
    if (q3games_settle(port->games, &query, registered)) {
        prepared->reply = create_reply(port->list, &query);
    }
    prepared->size = prepared->reply ? q3master_reply_size(prepared->reply) : 0;
    prepared->packets = prepared->reply ? count_reply_packets(prepared->reply) : 0;
    prepared->generation = port->list->generation;
    prepared->made_ms = now;
}

const struct q3master_prepared *q3master_replies_get(struct q3master_port *port,
                                                     const struct q3master_query *query)
{
    struct q3master_prepared *prepared = find_or_add_prepared(port, query);
    const uint64_t now = loop_now_ms(port->service->loop);

    if (!prepared) {
        return NULL;
    }
    const bool is_new = prepared->made_ms == 0;
    if (is_new || (prepared->generation != port->list->generation &&
                   now - prepared->made_ms >= (uint64_t)port->settings->refresh)) {
        prepare_reply(port, prepared, *query, now);
    }
    return prepared;
}
