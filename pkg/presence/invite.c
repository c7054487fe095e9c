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

#include "base/mem.h"
#include "map/wait.h"
#include "presence/presence_private.h"
#include "redis/redis.h"
#include "relay/relay.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script invite_script = {.name = "invite", .source = script_invite};

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

static void remove_delivered(const struct map_space *space, struct bytes user, struct bytes kept)
{
    struct writer key = {0};
    struct bytes args[] = {BYTES_LITERAL("LREM"), write_invites_key(&key, space, user),
                           BYTES_LITERAL("1"), kept};
    redis_command(map_link(map_space_map(space)), NULL, NULL, 4, args);
    writer_free(&key);
}

struct invite_request {
    struct map_space *space;
    uint64_t number;
    size_t user_len;
    uint8_t user[];
};

/* The invitation as it is stored, and the user's devices. */
static bool is_invite_reply(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 2 &&
           reply->elements[0]->type == REDIS_STRING && is_kept(reply->elements[0]->text) &&
           reply->elements[1]->type == REDIS_ARRAY;
}

static void on_invitation_stored(void *arg, enum redis_status status,
                                 const struct redis_reply *reply)
{
    struct invite_request *request = arg;
    struct map_space *space = request->space;
    struct bytes user = {request->user, request->user_len};
    if (status == REDIS_OK && is_invite_reply(reply)) {
        struct user_notify *notify = user_notify_create(space, user, reply->elements[0]->text);
        wait_settle(map_space_map(space), request->number, MAP_OK);
        user_notify_run(notify, reply->elements[1]);
    } else if (status == REDIS_REFUSED) {
        wait_settle(map_space_map(space), request->number, MAP_REFUSED);
    }
    free(request);
}

static void store_invitation(struct map_space *space, uint64_t number, struct bytes user,
                             struct bytes invitation)
{
    struct map *map = map_space_map(space);
    const struct map_settings *settings = map_settings_of(map);
    const char *prefix = partition_prefix(partition_of(space, user));
    struct invite_request *request = mem_alloc(sizeof *request + user.len);
    struct writer list = {0}, devices = {0};
    char most[24], ttl[24];
    request->space = space;
    request->number = number;
    request->user_len = user.len;
    memcpy(request->user, user.data, user.len);
    snprintf(most, sizeof most, "%lld", (long long)settings->invite_max);
    snprintf(ttl, sizeof ttl, "%lld", (long long)settings->invite_ttl);
    struct bytes args[] = {write_invites_key(&list, space, user),
                           keys_write(&devices, prefix, "user:", user), invitation,
                           bytes_from_string(most), bytes_from_string(ttl)};
    redis_eval(map_link(map), &invite_script, on_invitation_stored, request, 2, 5, args);
    writer_free(&list);
    writer_free(&devices);
}

void invite_user(struct map_session *session, struct bytes user, struct bytes invitation,
                 map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    uint64_t number;
    if (wait_begin(map_space_map(space), session, invitation.len, done, arg, &number)) {
        store_invitation(space, number, user, invitation);
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
    remove_delivered(space, user, kept);
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
    struct bytes user = {delivery->user, delivery->user_len};
    for (size_t i = 0; i < list->count && delivery->deliver; i++) {
        struct bytes kept = list->elements[i]->text;
        if (is_kept(kept) && expiry_of(kept) > delivery->now_ms && !was_delivered(delivery, kept)) {
            delivery->deliver(delivery->arg, invitation_text(kept));
        }
        remove_delivered(delivery->space, user, kept);
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
