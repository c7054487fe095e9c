/*
 * node: what a front-end says of itself, and what is said to it.
 *
 * tracker:node:<node> is a hash with a TTL (for `trackerctl nodes` and redis-cli) and a channel.
 * On the channel come, as text:
 *
 *   nonce <32 hex digits>                           from ourselves, every second: readiness
 *   request <reply channel> <number> <verb> [<argument>]   from an operator
 *   drop <space> <id>                               from another front-end: the id's session ends
 *   any other                                       from another front-end: a feature's
 *
 * and the answer to a request goes to its reply channel: "<number> ok <text>" or
 * "<number> error <text>".
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
#include "schema/format.h"
#include "schema/keys.h"

#define NONCE_INTERVAL_MS 1000
#define NONCE_FRESH_MS    3000
/* Without an answer for this long it is not events alone that do not arrive. */
#define ANSWERED_MS 2000
/* A timer that is this late: the loop stalled. */
#define STALL_MS 500
/* The hash: written every few nonces, and gone soon after the last. */
#define INFO_EVERY  3
#define INFO_TTL_MS "15000"
#define NONCE_SIZE  32
/* The last that were published; what is older than these is too late in any case. */
#define NONCES 16

/* One that was published. What Redis has not taken, because it stalled, is not missing: the time is
 * that of its answer. */
struct nonce {
    struct node *node;
    uint64_t number;
    uint64_t taken_ms;         /* 0: not taken yet */
    char text[NONCE_SIZE + 1]; /* empty: it is not awaited */
};

struct node {
    struct map *map;
    struct channel_user channel;
    char *key; /* of its hash */
    char *channel_name;
    struct loop_timer *timer;
    struct nonce nonces[NONCES]; /* each at its number % NONCES */
    uint64_t published;          /* the number of the next one */
    uint64_t fresh_ms;           /* when one last came back in time; 0: never */
    uint64_t answered_ms;        /* when Redis last took one */
    uint64_t due_ms;             /* when the timer is due: later, and our own loop has stalled */
    unsigned turns;
    bool left;           /* its hash is gone for good */
    struct list sending; /* struct sending */
};

/* A packet of an operator, whose request is answered when it is known what became of it. */
struct sending {
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
    if (map->callbacks->describe)
        map->callbacks->describe(map->arg, add_info_field, &info);
    redis_command(map->link, NULL, NULL, info.count, info.list);
    redis_command_strings(map->link, NULL, NULL, "PEXPIRE", node->key, INFO_TTL_MS, NULL);
    for (size_t i = 0; i < info.count; i++)
        free((void *)(uintptr_t)info.list[i].data);
    free(info.list);
}

/* Those that were published before that one: when it came and they did not, they are lost. */
static void settle_nonces(struct node *node, uint64_t number)
{
    for (unsigned i = 0; i < NONCES; i++) {
        if (node->nonces[i].number < number)
            node->nonces[i].text[0] = 0;
    }
}

/* What could not arrive, or could not be read, is awaited from now on. */
static void excuse_nonces(struct node *node, uint64_t now)
{
    for (unsigned i = 0; i < NONCES; i++) {
        if (node->nonces[i].taken_ms)
            node->nonces[i].taken_ms = now;
    }
}

static void on_nonce_published(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct nonce *nonce = arg;
    struct node *node = nonce->node;
    (void)reply;
    uint64_t now = loop_now_ms(node->map->loop);
    if (status != REDIS_OK)
        return;
    /* Redis may have stalled between its answer and the message. */
    if (now - node->answered_ms >= ANSWERED_MS)
        excuse_nonces(node, now);
    node->answered_ms = now;
    if (channel_is_subscribed(&node->channel))
        nonce->taken_ms = now;
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

/* Our own loop stalled: what has arrived meanwhile is read first. */
static void excuse_stall(struct node *node, uint64_t now)
{
    if (now > node->due_ms + STALL_MS)
        excuse_nonces(node, now);
}

/* It is missing, or when it comes, it comes too late. */
static bool is_overdue(const struct nonce *nonce, uint64_t now)
{
    return nonce->text[0] && nonce->taken_ms && now - nonce->taken_ms >= NONCE_FRESH_MS;
}

/* Commands are answered and events do not arrive in time: the store's links are not as they should
 * be. */
static void doubt_events(struct node *node, uint64_t now)
{
    bool overdue = false;
    excuse_stall(node, now);
    for (unsigned i = 0; i < NONCES; i++)
        overdue |= is_overdue(&node->nonces[i], now);
    if (!overdue || now - node->answered_ms >= ANSWERED_MS)
        return;
    settle_nonces(node, node->published);
    log_warn("pubsub_stalled", LOG_STRING("channel", node->channel_name));
    redis_store_events_missing(node->map->store);
}

/* Any that is awaited: with a lag of more than a second the newest is never the one that comes. */
static struct nonce *find_nonce(struct node *node, struct bytes text)
{
    for (unsigned i = 0; i < NONCES; i++) {
        struct nonce *nonce = &node->nonces[i];
        if (nonce->text[0] && bytes_equal(text, bytes_from_string(nonce->text)))
            return nonce;
    }
    return NULL;
}

static void take_nonce(struct node *node, struct bytes text)
{
    uint64_t now = loop_now_ms(node->map->loop);
    const struct nonce *nonce = find_nonce(node, text);
    if (!nonce)
        return;
    excuse_stall(node, now);
    if (is_overdue(nonce, now)) {
        loop_timer_start(node->timer, 0); /* it is doubted there: here its link is being read */
        return;
    }
    node->fresh_ms = now;
    settle_nonces(node, nonce->number + 1);
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
    doubt_events(node, loop_now_ms(map->loop));
    schedule_node_timer(node);
    if (!redis_link_is_up(map->link))
        return;
    publish_nonce(node);
    if (!node->left && node->turns++ % INFO_EVERY == 0)
        node_publish(node);
}

/* To another front-end. */

static void on_sent_to_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct wait_reply wait = *(struct wait_reply *)arg;
    free(arg);
    if (status == REDIS_REFUSED)
        wait_settle(wait.map, wait.number, MAP_REFUSED);
    else if (status == REDIS_OK && reply->type == REDIS_INTEGER && reply->integer == 0)
        wait_settle(wait.map, wait.number, MAP_MISSING); /* that front-end is dead */
}

void map_send_to_node(struct map *map, struct bytes node, struct bytes message, uint64_t number)
{
    char name[NODE_ID_LENGTH + 1];
    size_t len = node.len < NODE_ID_LENGTH ? node.len : NODE_ID_LENGTH;
    memcpy(name, node.data, len);
    name[len] = 0;
    char *channel = keys_node_channel(map->redis->prefix, map->database, name);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel), message};
    if (number)
        redis_command(map->link, on_sent_to_node, wait_reply_create(map, number), 3, args);
    else
        redis_command(map->link, NULL, NULL, 3, args);
    free(channel);
}

void node_leave(struct node *node)
{
    node->left = true;
    redis_command_strings(node->map->link, NULL, NULL, "DEL", node->key, NULL);
}

void node_link_up(struct node *node)
{
    node->turns = 0;
    settle_nonces(node, node->published);
    on_node_timer(node);
}

static bool answer_kick(struct map *map, struct bytes argument, struct writer *reply)
{
    char name[33];
    struct bytes space_name = bytes_next_word(&argument);
    snprintf(name, sizeof name, "%.*s", (int)space_name.len, (const char *)space_name.data);
    struct map_space *space = map_space_find(map, name);
    if (space && map_kick(space, argument))
        return true;
    writer_string(reply, "no session of this front-end has that id");
    return false;
}

static bool answer_request(struct map *map, struct bytes verb, struct bytes argument,
                           struct writer *reply)
{
    if (bytes_equal(verb, BYTES_LITERAL("kick")))
        return answer_kick(map, argument, reply);
    if (map->callbacks->request)
        return map->callbacks->request(map->arg, verb, argument, reply);
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

static void free_sending(struct sending *sending)
{
    list_remove(&sending->link);
    free(sending->number);
    free(sending);
}

static void on_sent(void *arg, enum map_result result, uint64_t version)
{
    static const char *const texts[] = {
        [MAP_OK] = "sent",
        [MAP_MISSING] = "there is no such id, or its protocol takes no packets",
        [MAP_DEADLINE] = "its front-end has not answered; it may have arrived",
        [MAP_REFUSED] = "refused: Redis takes no writes, or too many packets wait"};
    struct sending *sending = arg;
    const char *text = texts[result] ? texts[result] : map_result_name(result);
    reply_to(sending->node->map, (struct bytes){sending->channel, sending->channel_len},
             bytes_from_string(sending->number), result == MAP_OK, bytes_from_string(text));
    free_sending(sending);
}

/* Those that are answered later, by a feature. False when the verb is none of these. */
static bool pass_on(struct node *node, struct bytes channel, struct bytes number, struct bytes verb,
                    struct bytes argument)
{
    struct sending *sending = mem_alloc(sizeof *sending + channel.len);
    sending->node = node;
    sending->number = mem_dup(number.data, number.len);
    sending->channel_len = channel.len;
    memcpy(sending->channel, channel.data, channel.len);
    list_init(&sending->link);
    list_append(&node->sending, &sending->link);
    const char *why = features_request(node->map, verb, argument, on_sent, sending);
    if (!why)
        return true;
    if (*why)
        reply_to(node->map, channel, number, false, bytes_from_string(why));
    free_sending(sending);
    return *why != 0;
}

static void take_request(struct node *node, struct bytes text)
{
    struct bytes channel = bytes_next_word(&text), number = bytes_next_word(&text),
                 verb = bytes_next_word(&text);
    struct writer reply = {0};
    log_info("request", LOG_BYTES("verb", verb), LOG_BYTES("argument", text));
    if (pass_on(node, channel, number, verb, text))
        return;
    bool ok = answer_request(node->map, verb, text, &reply);
    reply_to(node->map, channel, number, ok, writer_bytes_written(&reply));
    writer_free(&reply);
}

static void drop(struct map *map, struct bytes rest)
{
    struct map_space *space = map_space_named(map, bytes_next_word(&rest));
    if (space && rest.len > 0)
        session_drop(space, rest);
}

static void take_message(struct map *map, struct bytes verb, struct bytes rest)
{
    static struct log_limit limit = {.burst = 5};
    if (features_message(map, verb, rest) != MAP_MESSAGE_MALFORMED)
        return;
    metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
    log_limited(LOG_WARN, &limit, "malformed_relay", LOG_BYTES("verb", verb));
}

static void on_message(void *arg, struct bytes message)
{
    struct node *node = arg;
    if (format_is_unknown(FORMAT_RELAY, node->channel_name, message))
        return;
    struct bytes verb = bytes_next_word(&message);
    if (bytes_equal(verb, BYTES_LITERAL("nonce"))) {
        take_nonce(node, message);
    } else if (bytes_equal(verb, BYTES_LITERAL("request"))) {
        take_request(node, message);
    } else if (bytes_equal(verb, BYTES_LITERAL("drop"))) {
        drop(node->map, message);
    } else {
        take_message(node->map, verb, message);
    }
}

/* The first nonce of a new subscription is not waited for: readiness need not take a second. */
static void on_node_subscribed(void *arg)
{
    struct node *node = arg;
    settle_nonces(node, node->published);
    if (redis_link_is_up(node->map->link))
        publish_nonce(node);
}

static void on_node_channel_down(void *arg)
{
    struct node *node = arg;
    settle_nonces(node, node->published);
}

static const struct channel_callbacks channel_callbacks = {
    .subscribed = on_node_subscribed, .message = on_message, .down = on_node_channel_down};

struct node *node_create(struct map *map)
{
    struct node *node = mem_zalloc(1, sizeof *node);
    node->map = map;
    list_init(&node->sending);
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
    if (!*node)
        return;
    LIST_FOREACH (at, &(*node)->sending)
        free_sending(list_entry(at, struct sending, link));
    channel_leave(&(*node)->channel);
    loop_timer_destroy(&(*node)->timer);
    free((*node)->key);
    free((*node)->channel_name);
    free(*node);
    *node = NULL;
}
