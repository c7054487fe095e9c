/*
 * node: a front-end's description of itself, and the messages that are sent to it.
 *
 * tracker:node:<node> is a hash with a TTL (for `trackerctl nodes` and redis-cli) and a channel.
 * Messages on the channel, as text:
 *
 *   nonce <32 hex digits>                           from ourselves, every second: readiness
 *   request <reply channel> <number> <verb> [<argument>]   from an operator
 *   drop <space> <id>                               from another front-end: the id's session ends
 *   any other                                       from another front-end, for a feature
 *
 * A request is answered on its reply channel: "<number> ok <text>" or "<number> error <text>".
 */
#include "map/node_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "map/feature_private.h"
#include "map/map_private.h"
#include "map/wait.h"
#include "metrics/metrics.h"
#include "redis/channel.h"
#include "redis/store.h"
#include "schema/format.h"
#include "schema/keys.h"

#define NONCE_INTERVAL_MS 1000
#define NONCE_FRESH_MS    3000
/* Without an answer for this long not only events are missing, but Redis is unreachable. */
#define ANSWERED_MS 2000
/* When a timer is late by this much, the loop has stalled. */
#define STALL_MS 500
/* The hash is written at every third nonce, and expires soon after the last write. */
#define INFO_EVERY  3
#define INFO_TTL_MS "15000"
#define NONCE_SIZE  32
/* How many are remembered: an older one is too late in any case. */
#define NONCES 16

/* A nonce that was published. It is missing only after Redis has accepted it: the time counts from
 * that reply, so that a stalled Redis is not mistaken for lost events. */
struct nonce {
    struct node *node;
    uint64_t number;
    uint64_t accepted_ms;      /* 0: not yet */
    char text[NONCE_SIZE + 1]; /* "": it is not awaited */
};

struct node {
    struct map *map;
    struct channel_user channel;
    char *key; /* of its hash */
    char *channel_name;
    struct loop_timer *timer;
    struct nonce nonces[NONCES]; /* each at its number % NONCES */
    uint64_t published;          /* the number of the next one */
    uint64_t fresh_ms;           /* when one last arrived in time; 0: never */
    uint64_t answered_ms;        /* when Redis last accepted one */
    uint64_t due_ms; /* when the timer is due: if it is late, our own loop has stalled */
    unsigned ticks;
    bool left;            /* its hash has been removed for good */
    struct list requests; /* struct node_request */
};

/* An operator's request that a feature answers later. */
struct node_request {
    struct list link;
    struct node *node;
    char *number;
    size_t channel_len;
    uint8_t channel[];
};

struct info {
    struct bytes *list;
    size_t count, capacity;
};

static void add_info_text(struct info *info, const char *text)
{
    if (info->count == info->capacity) {
        info->capacity = info->capacity ? info->capacity * 2 : 32;
        info->list = mem_realloc(info->list, info->capacity * sizeof *info->list);
    }
    info->list[info->count++] = bytes_from_string(mem_strdup(text));
}

static void add_info_field(void *arg, const char *field, const char *value)
{
    add_info_text(arg, field);
    add_info_text(arg, value);
}

void node_publish(struct node *node)
{
    struct map *map = node->map;
    struct info info = {0};
    add_info_text(&info, "HSET");
    add_info_text(&info, node->key);
    add_info_field(&info, "name", map->name);
    char *formats = mem_format("%s-%s", format_oldest.number, format_newest.number);
    add_info_field(&info, "formats", formats);
    free(formats);
    if (map->callbacks->describe) {
        map->callbacks->describe(map->arg, add_info_field, &info);
    }
    redis_command(map->link, NULL, NULL, info.count, info.list);
    redis_command_strings(map->link, NULL, NULL, "PEXPIRE", node->key, INFO_TTL_MS, NULL);
    for (size_t i = 0; i < info.count; i++) {
        free((void *)(uintptr_t)info.list[i].data);
    }
    free(info.list);
}

/* Those before that number are not awaited any more: a later one has arrived, or the subscription
 * is another one. */
static void forget_nonces(struct node *node, uint64_t number)
{
    for (unsigned i = 0; i < NONCES; i++) {
        if (node->nonces[i].number < number) {
            node->nonces[i].text[0] = 0;
        }
    }
}

/* Those that could not arrive, or could not be read, are awaited from now on. */
static void restart_nonces(struct node *node, uint64_t now)
{
    for (unsigned i = 0; i < NONCES; i++) {
        if (node->nonces[i].accepted_ms) {
            node->nonces[i].accepted_ms = now;
        }
    }
}

static void on_nonce_published(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct nonce *nonce = arg;
    struct node *node = nonce->node;
    uint64_t now = loop_now_ms(node->map->loop);
    if (status != REDIS_OK) {
        return;
    }
    /* Redis may have stalled between its answer and the message. */
    if (now - node->answered_ms >= ANSWERED_MS) {
        restart_nonces(node, now);
    }
    node->answered_ms = now;
    if (channel_is_subscribed(&node->channel)) {
        nonce->accepted_ms = now;
    }
}

static void publish_nonce(struct node *node)
{
    struct nonce *nonce = &node->nonces[node->published % NONCES];
    char message[8 + NONCE_SIZE];
    *nonce = (struct nonce){.node = node, .number = node->published++};
    id_make_hex(nonce->text, NONCE_SIZE);
    snprintf(message, sizeof message, "nonce %s", nonce->text);
    redis_command_strings(node->map->link, on_nonce_published, nonce, "PUBLISH", node->channel_name,
                          message, NULL);
}

bool node_nonce_is_fresh(const struct node *node)
{
    return node->fresh_ms && loop_now_ms(node->map->loop) - node->fresh_ms < NONCE_FRESH_MS;
}

/* When our own loop has stalled, what has arrived meanwhile is read first. */
static void restart_nonces_after_stall(struct node *node, uint64_t now)
{
    if (now > node->due_ms + STALL_MS) {
        restart_nonces(node, now);
    }
}

/* It has not arrived in time. */
static bool is_nonce_overdue(const struct nonce *nonce, uint64_t now)
{
    return nonce->text[0] && nonce->accepted_ms && now - nonce->accepted_ms >= NONCE_FRESH_MS;
}

/* Commands are answered and events do not arrive in time: the links of the store do not reach the
 * same server, or pub/sub has stalled. */
static void check_events(struct node *node, uint64_t now)
{
    bool overdue = false;
    restart_nonces_after_stall(node, now);
    for (unsigned i = 0; i < NONCES; i++) {
        overdue |= is_nonce_overdue(&node->nonces[i], now);
    }
    if (!overdue || now - node->answered_ms >= ANSWERED_MS) {
        return;
    }
    forget_nonces(node, node->published);
    log_warn("pubsub_stalled", LOG_STRING("channel", node->channel_name));
    redis_store_events_missing(node->map->store);
}

/* Any that is awaited: with a lag of more than a second it is never the newest one. */
static struct nonce *find_nonce(struct node *node, struct bytes text)
{
    for (unsigned i = 0; i < NONCES; i++) {
        struct nonce *nonce = &node->nonces[i];
        if (nonce->text[0] && bytes_equal(text, bytes_from_string(nonce->text))) {
            return nonce;
        }
    }
    return NULL;
}

static void receive_nonce(struct node *node, struct bytes text)
{
    uint64_t now = loop_now_ms(node->map->loop);
    const struct nonce *nonce = find_nonce(node, text);
    if (!nonce) {
        return;
    }
    restart_nonces_after_stall(node, now);
    if (is_nonce_overdue(nonce, now)) {
        loop_timer_start(node->timer, 0); /* not checked here, where its link is being read */
        return;
    }
    node->fresh_ms = now;
    forget_nonces(node, nonce->number + 1);
}

static void schedule_node_timer(struct node *node)
{
    node->due_ms = loop_now_ms(node->map->loop) + NONCE_INTERVAL_MS;
    loop_timer_start(node->timer, NONCE_INTERVAL_MS);
}

static void on_node_timer(void *arg)
{
    struct node *node = arg;
    struct map *map = node->map;
    check_events(node, loop_now_ms(map->loop));
    schedule_node_timer(node);
    if (!redis_link_is_up(map->link)) {
        return;
    }
    publish_nonce(node);
    if (!node->left && node->ticks++ % INFO_EVERY == 0) {
        node_publish(node);
    }
}

/* To another front-end. */

static void on_sent_to_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct wait_reply wait = *(struct wait_reply *)arg;
    free(arg);
    if (status == REDIS_REFUSED) {
        wait_settle(wait.map, wait.number, MAP_REFUSED);
    } else if (status == REDIS_OK && reply->type == REDIS_INTEGER && reply->integer == 0) {
        wait_settle(wait.map, wait.number, MAP_MISSING); /* that front-end has crashed or ended */
    }
}

void map_send_to_node(struct map *map, struct bytes node, struct bytes message, uint64_t number)
{
    char name[NODE_ID_LENGTH + 1];
    size_t len = node.len < NODE_ID_LENGTH ? node.len : NODE_ID_LENGTH;
    memcpy(name, node.data, len);
    name[len] = 0;
    char *channel = keys_node_channel(map->redis->prefix, map->database, name);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel), message};
    if (number) {
        redis_command(map->link, on_sent_to_node, wait_reply_create(map, number), 3, args);
    } else {
        redis_command(map->link, NULL, NULL, 3, args);
    }
    free(channel);
}

void node_leave(struct node *node)
{
    node->left = true;
    redis_command_strings(node->map->link, NULL, NULL, "DEL", node->key, NULL);
}

void node_link_up(struct node *node)
{
    node->ticks = 0;
    forget_nonces(node, node->published);
    on_node_timer(node);
}

static bool answer_kick(struct map *map, struct bytes argument, struct writer *reply)
{
    char name[33];
    struct bytes space_name = bytes_next_word(&argument);
    snprintf(name, sizeof name, "%.*s", (int)space_name.len, (const char *)space_name.data);
    struct map_space *space = map_space_find(map, name);
    if (space && map_kick(space, argument)) {
        return true;
    }
    writer_string(reply, "no session of this front-end has that id");
    return false;
}

static bool answer_request(struct map *map, struct bytes verb, struct bytes argument,
                           struct writer *reply)
{
    if (bytes_equal(verb, BYTES_LITERAL("kick"))) {
        return answer_kick(map, argument, reply);
    }
    if (map->callbacks->request) {
        return map->callbacks->request(map->arg, verb, argument, reply);
    }
    writer_string(reply, "unknown request");
    return false;
}

static void reply_to(struct map *map, struct bytes channel, struct bytes number, bool ok,
                     struct bytes text)
{
    struct writer message = {0};
    writer_bytes(&message, number);
    writer_string(&message, ok ? " ok " : " error ");
    writer_bytes(&message, text);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), channel, writer_bytes_written(&message)};
    redis_command(map->link, NULL, NULL, 3, args);
    writer_free(&message);
}

static void free_node_request(struct node_request *request)
{
    list_remove(&request->link);
    free(request->number);
    free(request);
}

static void on_request_done(void *arg, enum map_result result, uint64_t version)
{
    static const char *const texts[] = {
        [MAP_OK] = "sent",
        [MAP_MISSING] = "there is no such id, or its protocol does not accept packets",
        [MAP_DEADLINE] = "its front-end has not answered; it may have arrived",
        [MAP_REFUSED] = "refused: Redis refuses writes, or too many packets wait"};
    struct node_request *request = arg;
    const char *text = texts[result] ? texts[result] : map_result_name(result);
    reply_to(request->node->map, (struct bytes){request->channel, request->channel_len},
             bytes_from_string(request->number), result == MAP_OK, bytes_from_string(text));
    free_node_request(request);
}

/* To the feature that knows the verb, which answers later. False: none does. */
static bool forward_request(struct node *node, struct bytes channel, struct bytes number,
                            struct bytes verb, struct bytes argument)
{
    struct node_request *request = mem_alloc(sizeof *request + channel.len);
    request->node = node;
    request->number = mem_dup(number.data, number.len);
    request->channel_len = channel.len;
    memcpy(request->channel, channel.data, channel.len);
    list_init(&request->link);
    list_append(&node->requests, &request->link);
    const char *why = features_request(node->map, verb, argument, on_request_done, request);
    if (!why) {
        return true;
    }
    if (*why) {
        reply_to(node->map, channel, number, false, bytes_from_string(why));
    }
    free_node_request(request);
    return *why != 0;
}

static void receive_request(struct node *node, struct bytes text)
{
    struct bytes channel = bytes_next_word(&text), number = bytes_next_word(&text),
                 verb = bytes_next_word(&text);
    struct writer reply = {0};
    log_info("admin_request", LOG_BYTES("verb", verb), LOG_BYTES("argument", text));
    if (forward_request(node, channel, number, verb, text)) {
        return;
    }
    bool ok = answer_request(node->map, verb, text, &reply);
    reply_to(node->map, channel, number, ok, writer_bytes_written(&reply));
    writer_free(&reply);
}

static void drop_session(struct map *map, struct bytes rest)
{
    struct map_space *space = map_space_named(map, bytes_next_word(&rest));
    if (space && rest.len > 0) {
        session_drop(space, rest);
    }
}

static void receive_feature_message(struct map *map, uint64_t format, struct bytes verb,
                                    struct bytes rest)
{
    static struct log_limit limit = {.burst = 5};
    if (features_message(map, format, verb, rest) != MAP_MESSAGE_MALFORMED) {
        return;
    }
    metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
    log_limited(LOG_WARN, &limit, "malformed_relay", LOG_BYTES("verb", verb));
}

static void on_message(void *arg, struct bytes message)
{
    struct node *node = arg;
    if (format_is_unknown(FORMAT_RELAY, node->channel_name, message)) {
        return;
    }
    uint64_t format = format_take_number(&message);
    struct bytes verb = bytes_next_word(&message);
    if (bytes_equal(verb, BYTES_LITERAL("nonce"))) {
        receive_nonce(node, message);
    } else if (bytes_equal(verb, BYTES_LITERAL("request"))) {
        receive_request(node, message);
    } else if (bytes_equal(verb, BYTES_LITERAL("drop"))) {
        drop_session(node->map, message);
    } else {
        receive_feature_message(node->map, format, verb, message);
    }
}

/* A nonce is published at once, so that readiness does not take another second. */
static void on_node_subscribed(void *arg)
{
    struct node *node = arg;
    forget_nonces(node, node->published);
    if (redis_link_is_up(node->map->link)) {
        publish_nonce(node);
    }
}

static void on_node_channel_down(void *arg)
{
    struct node *node = arg;
    forget_nonces(node, node->published);
}

static const struct channel_callbacks channel_callbacks = {
    .subscribed = on_node_subscribed, .message = on_message, .down = on_node_channel_down};

struct node *node_create(struct map *map)
{
    struct node *node = mem_zalloc(1, sizeof *node);
    node->map = map;
    list_init(&node->requests);
    node->key = keys_node(map->redis->prefix, map->node);
    node->timer = loop_timer_create(map->loop, on_node_timer, node);
    node->channel_name = keys_node_channel(map->redis->prefix, map->database, map->node);
    channel_join(map->channels, &node->channel, bytes_from_string(node->channel_name),
                 &channel_callbacks, node);
    schedule_node_timer(node);
    return node;
}

void node_destroy(struct node **node)
{
    if (!*node) {
        return;
    }
    LIST_FOREACH (at, &(*node)->requests) {
        free_node_request(list_entry(at, struct node_request, link));
    }
    channel_leave(&(*node)->channel);
    loop_timer_destroy(&(*node)->timer);
    free((*node)->key);
    free((*node)->channel_name);
    free(*node);
    *node = NULL;
}
