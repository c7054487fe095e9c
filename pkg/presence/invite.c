/*
 * invite: invitations, stored for a user in Redis until they are delivered to one of the user's
 * sessions.
 *
 * An invitation is stored as a mark of 16 characters, a space, and the invitation. The mark is the
 * time of expiry on Redis's clock, a dot, and two digits that keep equal invitations distinct
 * (invite.lua); release 0.1.0 writes 16 hex digits, and such an invitation expires with the list.
 * Each front-end that has delivered an invitation removes it; removing it twice is harmless.
 */
#include "presence/invite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/wait.h"
#include "metrics/metrics.h"
#include "presence/presence_private.h"
#include "redis/redis.h"
#include "relay/relay.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script invite_script = {.name = "invite", .source = script_invite};
static struct redis_script uninvite_script = {.name = "uninvite", .source = script_uninvite};

#define MARK_SIZE 16
#define END_SIZE  13 /* digits of the time of expiry */
/* After which a read that Redis refused is sent again. */
#define RETRY_MS 1000

/* A session to which the stored invitations of its user are to be delivered. */
struct invite_delivery {
    struct ending ending;
    struct list link; /* the presences' */
    struct map_space *space;
    invite_callback deliver; /* NULL: the session has ended */
    void *arg;
    bool sent;
    uint64_t now_ms;         /* Redis's clock; 0: not known */
    struct writer delivered; /* "<length> <as stored>" of those delivered while it waited */
    size_t user_len;
    uint8_t user[];
};

static struct bytes write_invites_key(struct writer *key, const struct map_space *space,
                                      struct bytes user)
{
    return keys_write(key, partition_prefix(partition_of(space, user)), "invites:", user);
}

static struct bytes invitation_text(struct bytes kept)
{
    return (struct bytes){kept.data + MARK_SIZE + 1, kept.len - MARK_SIZE - 1};
}

static bool is_kept(struct bytes kept)
{
    return kept.len > MARK_SIZE && kept.data[MARK_SIZE] == ' ';
}

/* ms of Redis's clock; UINT64_MAX: it expires with the list. */
static uint64_t expiry_of(struct bytes kept)
{
    struct bytes digits = {kept.data, END_SIZE};
    return kept.data[END_SIZE] == '.' ? bytes_decimal(digits) : UINT64_MAX;
}

/* Each key is freed by the caller. */
struct invite_keys {
    struct writer list, invitations, inviters;
};

/* The first keys of both scripts. */
static void write_invite_keys(struct invite_keys *keys, const struct map_space *space,
                              struct bytes user, struct bytes args[3])
{
    const char *prefix = partition_prefix(partition_of(space, user));
    *keys = (struct invite_keys){0};
    args[0] = write_invites_key(&keys->list, space, user);
    args[1] = keys_write(&keys->invitations, prefix, "invitations", BYTES_LITERAL(""));
    args[2] = keys_write(&keys->inviters, prefix, "inviters", BYTES_LITERAL(""));
}

static void free_invite_keys(struct invite_keys *keys)
{
    writer_free(&keys->list);
    writer_free(&keys->invitations);
    writer_free(&keys->inviters);
}

#define REMOVED_MAX 100 /* invitations in one call */

static void remove_delivered(const struct map_space *space, struct bytes user,
                             const struct bytes *kept, size_t count)
{
    struct bytes args[4 + REMOVED_MAX];
    struct invite_keys keys;
    write_invite_keys(&keys, space, user, args);
    args[3] = user;
    memcpy(args + 4, kept, count * sizeof *kept);
    redis_eval(map_link(map_space_map(space)), &uninvite_script, NULL, NULL, 3, 4 + count, args);
    free_invite_keys(&keys);
}

struct invite_request {
    struct map_space *space;
    uint64_t number;
    size_t user_len;
    uint8_t user[];
};

/* The invitation as it is stored, and the front-ends of the user's devices. */
static bool is_invite_reply(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 2 &&
           reply->elements[0]->type == REDIS_STRING && is_kept(reply->elements[0]->text) &&
           reply->elements[1]->type == REDIS_ARRAY;
}

/* The limits of how many wait. */
static struct invite_limit {
    const char *reply;
    const char *setting;
    enum metric metric;
    struct log_limit logged;
} invite_limits[] = {
    {"sender", "invite.max_per_sender", METRIC_INVITES_LIMIT_SENDER, {.burst = 5}},
    {"address", "invite.max_per_address", METRIC_INVITES_LIMIT_ADDRESS, {.burst = 5}},
    {"all", "invite.max_total", METRIC_INVITES_LIMIT_TOTAL, {.burst = 5}},
};

static void note_invite_limit(const struct map_space *space, struct bytes reply)
{
    for (size_t i = 0; i < sizeof invite_limits / sizeof *invite_limits; i++) {
        struct invite_limit *limit = &invite_limits[i];
        if (bytes_equal(reply, bytes_from_string(limit->reply))) {
            metrics_add(limit->metric, 1);
            log_limited(LOG_WARN, &limit->logged, "invitation_refused",
                        LOG_STRING("space", map_space_name(space)),
                        LOG_STRING("limit", limit->setting));
        }
    }
}

static void on_invitation_stored(void *arg, enum redis_status status,
                                 const struct redis_reply *reply)
{
    struct invite_request *request = arg;
    struct map_space *space = request->space;
    struct bytes user = {request->user, request->user_len};
    if (status == REDIS_OK && is_invite_reply(reply)) {
        wait_settle(map_space_map(space), request->number, MAP_OK);
        user_notify_invited(space, user, reply->elements[0]->text, reply->elements[1]);
    } else if (status == REDIS_OK && reply->type == REDIS_STRING) {
        note_invite_limit(space, reply->text);
        wait_settle(map_space_map(space), request->number, MAP_LIMIT);
    } else if (status == REDIS_REFUSED) {
        wait_settle(map_space_map(space), request->number, MAP_REFUSED);
    }
    free(request);
}

#define LIMITS 5 /* arguments of the script */

/* The limits of the script, as text. */
struct limit_texts {
    char text[LIMITS][24];
};

static void write_invite_limits(struct limit_texts *limits, const struct partition *partition,
                                const struct map_settings *settings, struct bytes to[LIMITS])
{
    uint64_t values[LIMITS] = {(uint64_t)settings->invite_max, (uint64_t)settings->invite_ttl,
                               partition_share_of(partition, settings->invite_max_per_sender),
                               partition_share_of(partition, settings->invite_max_per_address),
                               partition_share_of(partition, settings->invite_max_total)};
    for (size_t i = 0; i < LIMITS; i++) {
        snprintf(limits->text[i], sizeof limits->text[i], "%llu", (unsigned long long)values[i]);
        to[i] = bytes_from_string(limits->text[i]);
    }
}

static void store_invitation(struct map_space *space, uint64_t number,
                             const struct invite_sender *sender, struct bytes user,
                             struct bytes invitation)
{
    struct map *map = map_space_map(space);
    const struct partition *partition = partition_of(space, user);
    struct invite_request *request = mem_alloc(sizeof *request + user.len);
    struct invite_keys keys;
    struct limit_texts limits;
    struct writer devices = {0};
    struct bytes most[LIMITS], args[13];
    request->space = space;
    request->number = number;
    request->user_len = user.len;
    memcpy(request->user, user.data, user.len);
    write_invite_keys(&keys, space, user, args);
    args[3] = keys_write(&devices, partition_prefix(partition), "user:", user);
    write_invite_limits(&limits, partition, map_settings_of(map), most);
    const struct bytes values[] = {invitation,      most[0], most[1], user,   sender->user,
                                   sender->address, most[2], most[3], most[4]};
    memcpy(args + 4, values, sizeof values);
    redis_eval(map_link(map), &invite_script, on_invitation_stored, request, 4, 13, args);
    free_invite_keys(&keys);
    writer_free(&devices);
}

void invite_user(struct map_session *session, const struct invite_sender *sender, struct bytes user,
                 struct bytes invitation, map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    uint64_t number;
    struct map *map = map_space_map(space);
    if (!wait_begin(map, session, invitation.len, done, arg, &number)) {
        return;
    }
    if (map_is_full(map)) {
        wait_settle(map, number, MAP_FULL);
    } else {
        store_invitation(space, number, sender, user, invitation);
    }
}

/* Delivery. */

/* A session of the user that is still waiting for the list has this one already. */
static void note_delivered(struct map_space *space, struct bytes user, struct bytes kept)
{
    LIST_FOREACH (node, &presences_of(map_space_map(space))->invitations) {
        struct invite_delivery *delivery = list_entry(node, struct invite_delivery, link);
        if (delivery->space == space &&
            bytes_equal(user, (struct bytes){delivery->user, delivery->user_len})) {
            writer_format(&delivery->delivered, "%zu ", kept.len);
            writer_bytes(&delivery->delivered, kept);
        }
    }
}

void invite_deliver(struct map_space *space, struct bytes user, struct bytes kept)
{
    bool delivered = false;
    LIST_FOREACH (node, relay_listeners(space)) {
        struct relay_listener *listener = list_entry(node, struct relay_listener, link);
        if (listener->invited && listener->invited(listener, user, invitation_text(kept))) {
            delivered = true;
        }
    }
    if (!delivered) {
        return;
    }
    note_delivered(space, user, kept);
    remove_delivered(space, user, &kept, 1);
}

bool invite_take_message(struct map *map, struct bytes rest)
{
    struct cursor cursor = cursor_over(rest);
    struct bytes name = cursor_until(&cursor, ' ');
    size_t user_len = cursor_decimal(&cursor, ' '), len = cursor_decimal(&cursor, '\n');
    struct bytes user = cursor_take(&cursor, user_len), kept = cursor_take(&cursor, len);
    struct map_space *space = map_space_named(map, name);
    if (cursor.failed || !is_kept(kept)) {
        return false;
    }
    if (space) {
        invite_deliver(space, user, kept);
    }
    return true;
}

/* Stored invitations. */

static void free_delivery(struct invite_delivery *delivery)
{
    ending_detach(&delivery->ending);
    list_remove(&delivery->link);
    writer_free(&delivery->delivered);
    free(delivery);
}

static void end_delivery(struct ending *ending)
{
    struct invite_delivery *delivery = list_entry(ending, struct invite_delivery, ending);
    delivery->deliver = NULL;
    if (!delivery->sent) {
        free_delivery(delivery);
    }
}

static bool was_delivered(const struct invite_delivery *delivery, struct bytes kept)
{
    struct cursor delivered = cursor_over(writer_bytes_written(&delivery->delivered));
    while (cursor_left(&delivered) > 0) {
        if (bytes_equal(kept, cursor_take(&delivered, cursor_decimal(&delivered, ' ')))) {
            return true;
        }
    }
    return false;
}

/* The callback may end the session. */
static void deliver_waiting(struct invite_delivery *delivery, const struct redis_reply *list)
{
    struct bytes user = {delivery->user, delivery->user_len}, removed[REMOVED_MAX];
    size_t count = 0;
    for (size_t i = 0; i < list->count && delivery->deliver; i++) {
        struct bytes kept = list->elements[i]->text;
        if (is_kept(kept) && expiry_of(kept) > delivery->now_ms && !was_delivered(delivery, kept)) {
            delivery->deliver(delivery->arg, invitation_text(kept));
        }
        removed[count++] = kept;
        if (count == REMOVED_MAX) {
            remove_delivered(delivery->space, user, removed, count);
            count = 0;
        }
    }
    if (count > 0) {
        remove_delivered(delivery->space, user, removed, count);
    }
}

static void on_redis_time(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct invite_delivery *delivery = arg;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2) {
        delivery->now_ms = bytes_decimal(reply->elements[0]->text) * 1000 +
                           bytes_decimal(reply->elements[1]->text) / 1000;
    }
}

/* A read that was lost with the link is sent again on the next one, one that was refused after
 * RETRY_MS: Redis may be loading, or be a replica that has lost its master. A delivery waits for
 * its reply for as long as its session lives. */
static void on_waiting_invitations(void *arg, enum redis_status status,
                                   const struct redis_reply *reply)
{
    struct invite_delivery *delivery = arg;
    struct presences *presences = presences_of(map_space_map(delivery->space));
    bool lost = status == REDIS_DOWN || status == REDIS_LOST;
    bool refused = status == REDIS_REFUSED && redis_refusal_of(reply) != REDIS_REFUSAL_OTHER;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY) {
        deliver_waiting(delivery, reply);
    }
    delivery->sent = false;
    if (!delivery->deliver || !(lost || refused)) {
        free_delivery(delivery);
    } else if (refused && !loop_timer_is_running(presences->invite_retry)) {
        loop_timer_start(presences->invite_retry, RETRY_MS);
    }
}

static void read_invitations(struct invite_delivery *delivery)
{
    struct writer key = {0};
    struct bytes user = {delivery->user, delivery->user_len};
    struct bytes args[] = {BYTES_LITERAL("LRANGE"), write_invites_key(&key, delivery->space, user),
                           BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
    struct redis_link *link = map_link(map_space_map(delivery->space));
    delivery->sent = true;
    redis_command(link, on_redis_time, delivery, 1, (struct bytes[]){BYTES_LITERAL("TIME")});
    redis_command(link, on_waiting_invitations, delivery, 4, args);
    writer_free(&key);
}

void invite_take_waiting(struct map_session *session, struct bytes user, invite_callback deliver,
                         void *arg)
{
    struct map_space *space = map_session_space(session);
    struct invite_delivery *delivery = mem_zalloc(1, sizeof *delivery + user.len);
    delivery->space = space;
    delivery->deliver = deliver;
    delivery->arg = arg;
    delivery->user_len = user.len;
    memcpy(delivery->user, user.data, user.len);
    ending_attach(&delivery->ending, session, end_delivery);
    list_init(&delivery->link);
    list_append(&presences_of(map_space_map(space))->invitations, &delivery->link);
    if (redis_link_is_up(map_link(map_space_map(space)))) {
        read_invitations(delivery);
    }
}

void invites_retry(struct presences *presences)
{
    if (!redis_link_is_up(map_link(presences->map))) {
        return; /* they are sent again when the link is up */
    }
    LIST_FOREACH (node, &presences->invitations) {
        struct invite_delivery *delivery = list_entry(node, struct invite_delivery, link);
        if (!delivery->sent) {
            read_invitations(delivery);
        }
    }
}

void invites_free(struct presences *presences)
{
    LIST_FOREACH (node, &presences->invitations) {
        free_delivery(list_entry(node, struct invite_delivery, link));
    }
}
