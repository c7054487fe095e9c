/*
 * invite: invitations, kept for a user in Redis until a session of that user has been told.
 *
 * One is kept as 16 characters, a space, and the invitation. The characters are when it ends, by
 * Redis's clock, a dot, and two digits that keep equal ones distinct (invite.lua makes them); or 16
 * hex digits of a release that knows no such times: that one ends with the list. Every front-end
 * that has delivered it takes it out, which is harmless a second time.
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
#define END_SIZE  13 /* of its digits */
/* Until what Redis refused to say is asked again. */
#define RETRY_MS 1000

/* A session that asked for what waits. */
struct taking {
    struct ending ending;
    struct list link; /* the presences' */
    struct map_space *space;
    map_invitation tell; /* NULL: the session has ended */
    void *arg;
    bool sent;
    uint64_t now_ms;    /* Redis's clock; 0: not known */
    struct writer told; /* "<length> <as kept>" of those that were told meanwhile */
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

/* When it ends, ms of Redis's clock; UINT64_MAX: with the list. */
static uint64_t end_of(struct bytes kept)
{
    struct bytes digits = {kept.data, END_SIZE};
    return kept.data[END_SIZE] == '.' ? bytes_decimal(digits) : UINT64_MAX;
}

static void remove_told(const struct map_space *space, struct bytes user, struct bytes kept)
{
    struct writer key = {0};
    struct bytes args[] = {BYTES_LITERAL("LREM"), write_invites_key(&key, space, user),
                           BYTES_LITERAL("1"), kept};
    redis_command(map_link(map_space_map(space)), NULL, NULL, 4, args);
    writer_free(&key);
}

/* Inviting. */

struct inviting {
    struct map_space *space;
    uint64_t number;
    size_t user_len;
    uint8_t user[];
};

/* The invitation as it is kept, and the user's devices. */
static bool is_invited(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 2 &&
           reply->elements[0]->type == REDIS_STRING && is_kept(reply->elements[0]->text) &&
           reply->elements[1]->type == REDIS_ARRAY;
}

static void on_invitation_stored(void *arg, enum redis_status status,
                                 const struct redis_reply *reply)
{
    struct inviting *inviting = arg;
    struct map_space *space = inviting->space;
    struct bytes user = {inviting->user, inviting->user_len};
    if (status == REDIS_OK && is_invited(reply)) {
        struct errand *errand = errand_create(space, user, reply->elements[0]->text);
        wait_settle(map_space_map(space), inviting->number, MAP_OK);
        errand_run(errand, reply->elements[1]);
    } else if (status == REDIS_REFUSED) {
        wait_settle(map_space_map(space), inviting->number, MAP_REFUSED);
    }
    free(inviting);
}

static void store_invitation(struct map_space *space, uint64_t number, struct bytes user,
                             struct bytes invitation)
{
    struct map *map = map_space_map(space);
    const struct map_settings *settings = map_settings_of(map);
    const char *prefix = partition_prefix(partition_of(space, user));
    struct inviting *inviting = mem_alloc(sizeof *inviting + user.len);
    struct writer list = {0}, devices = {0};
    char most[24], ttl[24];
    inviting->space = space;
    inviting->number = number;
    inviting->user_len = user.len;
    memcpy(inviting->user, user.data, user.len);
    snprintf(most, sizeof most, "%lld", (long long)settings->invite_max);
    snprintf(ttl, sizeof ttl, "%lld", (long long)settings->invite_ttl);
    struct bytes args[] = {write_invites_key(&list, space, user),
                           keys_write(&devices, prefix, "user:", user), invitation,
                           bytes_from_string(most), bytes_from_string(ttl)};
    redis_eval(map_link(map), &invite_script, on_invitation_stored, inviting, 2, 5, args);
    writer_free(&list);
    writer_free(&devices);
}

void map_invite(struct map_session *session, struct bytes user, struct bytes invitation,
                map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    uint64_t number;
    if (wait_begin(map_space_map(space), session, invitation.len, done, arg, &number))
        store_invitation(space, number, user, invitation);
}

/* Telling. */

/* Who is just asking for what waits has been told this one. */
static void note_told(struct map_space *space, struct bytes user, struct bytes kept)
{
    LIST_FOREACH (node, &presences_of(map_space_map(space))->invitations) {
        struct taking *taking = list_entry(node, struct taking, link);
        if (taking->space == space &&
            bytes_equal(user, (struct bytes){taking->user, taking->user_len})) {
            writer_format(&taking->told, "%zu ", kept.len);
            writer_bytes(&taking->told, kept);
        }
    }
}

void invite_tell(struct map_space *space, struct bytes user, struct bytes kept)
{
    bool told = false;
    LIST_FOREACH (node, relay_listeners(space)) {
        struct map_listener *listener = list_entry(node, struct map_listener, link);
        if (listener->invited && listener->invited(listener, user, invitation_text(kept)))
            told = true;
    }
    if (!told)
        return;
    note_told(space, user, kept);
    remove_told(space, user, kept);
}

bool invite_message(struct map *map, struct bytes rest)
{
    struct cursor cursor = cursor_over(rest);
    struct bytes name = cursor_until(&cursor, ' ');
    size_t user_len = cursor_decimal(&cursor, ' '), len = cursor_decimal(&cursor, '\n');
    struct bytes user = cursor_take(&cursor, user_len), kept = cursor_take(&cursor, len);
    struct map_space *space = map_space_named(map, name);
    if (cursor.failed || !is_kept(kept))
        return false;
    if (space)
        invite_tell(space, user, kept);
    return true;
}

/* What waits. */

static void free_taking(struct taking *taking)
{
    ending_detach(&taking->ending);
    list_remove(&taking->link);
    writer_free(&taking->told);
    free(taking);
}

static void end_taking(struct ending *ending)
{
    struct taking *taking = list_entry(ending, struct taking, ending);
    taking->tell = NULL;
    if (!taking->sent)
        free_taking(taking);
}

static bool was_told(const struct taking *taking, struct bytes kept)
{
    struct cursor told = cursor_over(writer_bytes_written(&taking->told));
    while (cursor_left(&told) > 0) {
        if (bytes_equal(kept, cursor_take(&told, cursor_decimal(&told, ' '))))
            return true;
    }
    return false;
}

/* The session may end when it is told. */
static void tell_waiting(struct taking *taking, const struct redis_reply *list)
{
    struct bytes user = {taking->user, taking->user_len};
    for (size_t i = 0; i < list->count && taking->tell; i++) {
        struct bytes kept = list->elements[i]->text;
        if (is_kept(kept) && end_of(kept) > taking->now_ms && !was_told(taking, kept))
            taking->tell(taking->arg, invitation_text(kept));
        remove_told(taking->space, user, kept);
    }
}

static void on_redis_time(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct taking *taking = arg;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2)
        taking->now_ms = bytes_decimal(reply->elements[0]->text) * 1000 +
                         bytes_decimal(reply->elements[1]->text) / 1000;
}

/* What is lost with the link is asked for again on the next one, what is refused after a while:
 * Redis may be loading, or follow a master that it has lost. Until it is answered it waits, as long
 * as its session. */
static void on_list(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct taking *taking = arg;
    struct presences *presences = presences_of(map_space_map(taking->space));
    bool lost = status == REDIS_DOWN || status == REDIS_LOST;
    bool refused = status == REDIS_REFUSED && redis_refusal_of(reply) != REDIS_REFUSAL_OTHER;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY)
        tell_waiting(taking, reply);
    taking->sent = false;
    if (!taking->tell || !(lost || refused))
        free_taking(taking);
    else if (refused && !loop_timer_is_running(presences->take))
        loop_timer_start(presences->take, RETRY_MS);
}

static void read_invitations(struct taking *taking)
{
    struct writer key = {0};
    struct bytes user = {taking->user, taking->user_len};
    struct bytes args[] = {BYTES_LITERAL("LRANGE"), write_invites_key(&key, taking->space, user),
                           BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
    struct redis_link *link = map_link(map_space_map(taking->space));
    taking->sent = true;
    redis_command(link, on_redis_time, taking, 1, (struct bytes[]){BYTES_LITERAL("TIME")});
    redis_command(link, on_list, taking, 4, args);
    writer_free(&key);
}

void map_invitations_take(struct map_session *session, struct bytes user, map_invitation tell,
                          void *arg)
{
    struct map_space *space = map_session_space(session);
    struct taking *taking = mem_zalloc(1, sizeof *taking + user.len);
    taking->space = space;
    taking->tell = tell;
    taking->arg = arg;
    taking->user_len = user.len;
    memcpy(taking->user, user.data, user.len);
    ending_attach(&taking->ending, session, end_taking);
    list_init(&taking->link);
    list_append(&presences_of(map_space_map(space))->invitations, &taking->link);
    if (redis_link_is_up(map_link(map_space_map(space))))
        read_invitations(taking);
}

void invites_ask_again(struct presences *presences)
{
    if (!redis_link_is_up(map_link(presences->map)))
        return; /* the next link asks */
    LIST_FOREACH (node, &presences->invitations) {
        struct taking *taking = list_entry(node, struct taking, link);
        if (!taking->sent)
            read_invitations(taking);
    }
}

void invites_free(struct presences *presences)
{
    LIST_FOREACH (node, &presences->invitations)
        free_taking(list_entry(node, struct taking, link));
}
