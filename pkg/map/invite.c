/*
 * invite: invitations, kept for a user in Redis until a session of that user has been told.
 *
 * One is kept as 16 hex digits, a space, and the invitation, so that equal ones stay distinct.
 * Every front-end that has told it takes it out, which is harmless a second time.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "map/keys.h"
#include "map/relay_private.h"

#define MARK_SIZE 16
/* Until what Redis refused to say is asked again. */
#define RETRY_MS 1000

/* A session that asked for what waits. */
struct taking {
    struct ending ending;
    struct list link; /* the relays' */
    struct map_space *space;
    map_invitation tell; /* NULL: the session has ended */
    void *arg;
    bool sent;
    struct writer told; /* marks of those that were told meanwhile */
    size_t user_len;
    uint8_t user[];
};

static struct bytes write_key(struct writer *key, const struct map_space *space, struct bytes user)
{
    return keys_write(key, partition_of(space, user)->prefix, "invites:", user);
}

static struct bytes mark_of(struct bytes kept)
{
    return (struct bytes){kept.data, MARK_SIZE};
}

static struct bytes text_of(struct bytes kept)
{
    return (struct bytes){kept.data + MARK_SIZE + 1, kept.len - MARK_SIZE - 1};
}

static bool is_kept(struct bytes kept)
{
    return kept.len > MARK_SIZE && kept.data[MARK_SIZE] == ' ';
}

static void remove_told(const struct map_space *space, struct bytes user, struct bytes kept)
{
    struct writer key = {0};
    struct bytes args[] = {BYTES_LITERAL("LREM"), write_key(&key, space, user), BYTES_LITERAL("1"),
                           kept};
    redis_command(space->map->link, NULL, NULL, 4, args);
    writer_free(&key);
}

/* Inviting. */

struct inviting {
    struct map *map;
    struct errand *errand;
    uint64_t number;
};

static void on_invited(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    static const struct redis_reply none = {.type = REDIS_ARRAY};
    struct inviting inviting = *(struct inviting *)arg;
    bool good = status == REDIS_OK && reply->type == REDIS_ARRAY;
    free(arg);
    if (good)
        wait_settle(inviting.map, inviting.number, MAP_OK);
    else if (status == REDIS_REFUSED)
        wait_settle(inviting.map, inviting.number, MAP_REFUSED);
    errand_run(inviting.errand, good ? reply : &none);
}

static void keep(struct map_space *space, uint64_t number, struct bytes user, struct bytes kept)
{
    struct map *map = space->map;
    const struct partition *partition = partition_of(space, user);
    struct inviting *inviting = mem_alloc(sizeof *inviting);
    struct writer list = {0}, devices = {0};
    char most[24], ttl[24];
    *inviting =
        (struct inviting){.map = map, .errand = errand_create(space, user, kept), .number = number};
    snprintf(most, sizeof most, "%lld", (long long)map->settings->invite_max);
    snprintf(ttl, sizeof ttl, "%lld", (long long)map->settings->invite_ttl);
    struct bytes args[] = {write_key(&list, space, user),
                           keys_write(&devices, partition->prefix, "user:", user), kept,
                           bytes_from_string(most), bytes_from_string(ttl)};
    redis_eval(map->link, &script_invite, on_invited, inviting, 2, 5, args);
    writer_free(&list);
    writer_free(&devices);
}

void map_invite(struct map_session *session, struct bytes user, struct bytes invitation,
                map_done done, void *arg)
{
    struct map_space *space = session->space;
    struct writer kept = {0};
    char mark[MARK_SIZE + 1];
    uint64_t number;
    if (!wait_begin(space->map, session, invitation.len, done, arg, &number))
        return;
    id_make_hex(mark, MARK_SIZE);
    writer_format(&kept, "%s ", mark);
    writer_bytes(&kept, invitation);
    keep(space, number, user, writer_bytes_written(&kept));
    writer_free(&kept);
}

/* Telling. */

/* Who is just asking for what waits has been told this one. */
static void note_told(struct map_space *space, struct bytes user, struct bytes kept)
{
    LIST_FOREACH (node, &space->map->relays->invitations) {
        struct taking *taking = list_entry(node, struct taking, link);
        if (taking->space == space &&
            bytes_equal(user, (struct bytes){taking->user, taking->user_len}))
            writer_bytes(&taking->told, mark_of(kept));
    }
}

void invite_tell(struct map_space *space, struct bytes user, struct bytes kept)
{
    bool told = false;
    LIST_FOREACH (node, &space->listeners) {
        struct map_listener *listener = list_entry(node, struct map_listener, link);
        if (listener->invited && listener->invited(listener, user, text_of(kept)))
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
    struct map_space *space = relay_space(map, name);
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
    struct bytes told = writer_bytes_written(&taking->told);
    for (size_t at = 0; at + MARK_SIZE <= told.len; at += MARK_SIZE) {
        if (bytes_equal(mark_of(kept), (struct bytes){told.data + at, MARK_SIZE}))
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
        if (is_kept(kept) && !was_told(taking, kept))
            taking->tell(taking->arg, text_of(kept));
        remove_told(taking->space, user, kept);
    }
}

/* What is lost with the link is asked for again on the next one, what is refused after a while:
 * Redis may be loading, or follow a master that it has lost. Until it is answered it waits, as long
 * as its session. */
static void on_list(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct taking *taking = arg;
    struct relays *relays = taking->space->map->relays;
    bool lost = status == REDIS_DOWN || status == REDIS_LOST;
    bool refused = status == REDIS_REFUSED && redis_refusal_of(reply) != REDIS_REFUSAL_OTHER;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY)
        tell_waiting(taking, reply);
    taking->sent = false;
    if (!taking->tell || !(lost || refused))
        free_taking(taking);
    else if (refused && !loop_timer_is_running(relays->take))
        loop_timer_start(relays->take, RETRY_MS);
}

static void send(struct taking *taking)
{
    struct writer key = {0};
    struct bytes user = {taking->user, taking->user_len};
    struct bytes args[] = {BYTES_LITERAL("LRANGE"), write_key(&key, taking->space, user),
                           BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
    taking->sent = true;
    redis_command(taking->space->map->link, on_list, taking, 4, args);
    writer_free(&key);
}

void map_invitations_take(struct map_session *session, struct bytes user, map_invitation tell,
                          void *arg)
{
    struct map_space *space = session->space;
    struct taking *taking = mem_zalloc(1, sizeof *taking + user.len);
    taking->space = space;
    taking->tell = tell;
    taking->arg = arg;
    taking->user_len = user.len;
    memcpy(taking->user, user.data, user.len);
    ending_attach(&taking->ending, session, end_taking);
    list_init(&taking->link);
    list_append(&space->map->relays->invitations, &taking->link);
    if (redis_link_is_up(space->map->link))
        send(taking);
}

void invites_ask_again(struct relays *relays)
{
    if (!redis_link_is_up(relays->map->link))
        return; /* the next link asks */
    LIST_FOREACH (node, &relays->invitations) {
        struct taking *taking = list_entry(node, struct taking, link);
        if (!taking->sent)
            send(taking);
    }
}

void invites_free(struct relays *relays)
{
    LIST_FOREACH (node, &relays->invitations)
        free_taking(list_entry(node, struct taking, link));
}
