/*
 * Fuzzes what is sent to a Quake III master, to servers and to players, and the text of the table
 * of games.
 *
 * Invariants: an accepted message has the properties that its header documents; a request that is
 * written again is read as the same, and has the same key; a list of servers that was read and
 * packed again is read as the same; a table of games that is accepted is accepted by its check.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/infostring.h"
#include "codec/q3games.h"
#include "codec/q3master_client.h"
#include "codec/q3master_reply.h"

#define SERVERS 512

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const struct q3master_query *query)
{
    uint8_t keys[2][Q3MASTER_KEY_MAX];
    struct q3master_message again;
    struct writer to = {0};
    size_t len;

    REQUIRE(query->ipv4 || (query->extended && query->ipv6));
    REQUIRE(!query->game.data ? !query->extended : q3master_is_game(query->game));
    REQUIRE(query->gametype.len <= Q3MASTER_GAMETYPE_MAX);
    q3client_write_query(&to, query);
    REQUIRE(q3master_read(writer_bytes_written(&to), &again) == Q3MASTER_OK);
    len = q3master_query_key(query, keys[0]);
    REQUIRE(len <= Q3MASTER_KEY_MAX && q3master_query_key(&again.query, keys[1]) == len);
    REQUIRE(memcmp(keys[0], keys[1], len) == 0);
    writer_free(&to);
}

static void check_info(const struct q3master_info *info)
{
    const struct q3master_server server = {
        .address = {.family = ADDRESS_IPV4, .port = 1},
        .game = info->game,
        .gametype = info->gametype,
        .protocol = info->protocol,
        .clients = info->clients,
        .max_clients = info->max_clients,
    };
    struct q3master_query query = {.game = info->game,
                                   .protocol = info->protocol,
                                   .empty = true,
                                   .full = true,
                                   .gametype = info->gametype,
                                   .ipv4 = true};

    REQUIRE(q3master_is_challenge(info->challenge));
    REQUIRE(!info->game.data || q3master_is_game(info->game));
    REQUIRE(info->gametype.data && info->gametype.len <= Q3MASTER_GAMETYPE_MAX);
    REQUIRE(info->max_clients > 0 && info->max_clients <= INT32_MAX && info->clients <= INT32_MAX);
    REQUIRE(q3master_matches(&query, &server) == (info->game.data != NULL));
    query.empty = query.full = false;
    REQUIRE(!info->game.data || q3master_matches(&query, &server) ==
                                    (!q3master_is_empty(&server) && !q3master_is_full(&server)));
}

static void check_master(struct bytes input)
{
    struct q3master_message message;

    if (q3master_read(input, &message) != Q3MASTER_OK) {
        return;
    }
    if (message.type == Q3MASTER_HEARTBEAT) {
        REQUIRE(message.tag.len > 0 && message.tag.len <= Q3MASTER_TAG_MAX);
    } else if (message.type == Q3MASTER_INFO_RESPONSE) {
        check_info(&message.info);
    } else {
        check_query(&message.query);
    }
}

static void pack(const struct q3master_reply *reply, size_t first, const struct address *servers,
                 size_t count)
{
    struct q3master_walk walk = q3master_reply_walk(reply, first);
    struct frame_slice slices[Q3MASTER_SLICES];
    bool last = false;
    size_t n, at = 0;

    while ((n = q3master_reply_next(reply, &walk, slices)) > 0) {
        struct writer packet = {.limit = Q3MASTER_REPLY_MAX};
        struct q3client_packet read;
        struct address server;

        REQUIRE(!last);
        for (size_t i = 0; i < n; i++) {
            writer_bytes(&packet,
                         (struct bytes){q3master_reply_frame(reply)->data + slices[i].offset,
                                        slices[i].len});
        }
        REQUIRE(!packet.failed);
        read = q3client_read(writer_bytes_written(&packet));
        for (; q3client_next_server(&read, &server, &last); at++) {
            REQUIRE(memcmp(&server, &servers[(first + at) % count], sizeof server) == 0);
        }
        writer_free(&packet);
    }
    REQUIRE(last && at == count);
}

static void check_list(struct q3client_packet *packet)
{
    const struct q3master_reply_options options = {packet->extended, packet->list.len % 2 != 0};
    static struct address servers[SERVERS];
    struct q3master_reply *reply;
    size_t count = 0;
    bool last = false;

    while (count < SERVERS && q3client_next_server(packet, &servers[count], &last)) {
        REQUIRE(servers[count].port > 0);
        count++;
    }
    reply = q3master_reply_create(&options, servers, count);
    REQUIRE(q3master_reply_count(reply) == count);
    pack(reply, 0, servers, count);
    if (count > 0) {
        pack(reply, count / 3, servers, count);
    }
    q3master_reply_destroy(&reply);
}

static void check_client(struct bytes input)
{
    struct q3client_packet packet = q3client_read(input);
    struct q3client_player player;
    struct infostring_pair pairs[8];

    if (packet.type == Q3CLIENT_LIST) {
        check_list(&packet);
    }
    (void)infostring_pairs(packet.infostring, pairs, 8);
    while (q3client_next_player(&packet.players, &player)) {
        REQUIRE(player.name.len < input.len);
    }
    REQUIRE(packet.challenge.len <= 128);
}

static void check_games(struct bytes input)
{
    char *text = mem_dup(input.data, input.len);
    char *error = NULL;
    struct q3games *games = q3games_create(text, "", "", &error);
    const char *game;
    size_t count;

    REQUIRE((games != NULL) == !q3games_check(text));
    REQUIRE((games != NULL) == !error);
    if (games) {
        REQUIRE(q3games_contexts(games, &count) && count > 0);
        REQUIRE(q3games_by_tag(games, BYTES_LITERAL("DarkPlaces"), &game) == Q3GAMES_TAG_ALIVE);
    }
    free(error);
    free(text);
    q3games_destroy(&games);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));

    if (size > 0) {
        memcpy(copy, data, size);
    }
    check_master((struct bytes){copy, size});
    check_client((struct bytes){copy, size});
    check_games((struct bytes){copy, size});
    free(copy);
    return 0;
}
