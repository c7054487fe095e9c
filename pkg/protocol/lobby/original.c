/*
 * lobby_original: the original's packets: converting its game servers' infos, and sending the list
 * to its clients.
 *
 * Such a client has places for 40 servers, and adds a line to its list for each packet. So a change
 * is sent only with lobby.original_updates, in the server's place. The removal of a server cannot
 * be sent; its place is used for another one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/lobby_text.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

/* Game servers. */

struct infos_text {
    struct writer values[6];
    struct lobby_property properties[6];
    size_t count;
};

static struct json_writer add_original_property(struct infos_text *infos, const char *name)
{
    infos->properties[infos->count].name = bytes_from_string(name);
    return json_writer_over(&infos->values[infos->count++]);
}

static void add_original_text(struct infos_text *infos, const char *name, struct bytes text)
{
    struct json_writer json = add_original_property(infos, name);
    struct writer readable = {0};

    lobby_text_write(&readable, text);
    json_write_text(&json, writer_bytes_written(&readable));
    writer_free(&readable);
}

/* Whether a text is the same after it has been stored as a property and read back. */
static bool comes_back(struct bytes text)
{
    struct writer readable = {0}, back = {0};
    bool is_same;

    lobby_text_write(&readable, text);
    lobby_text_write_latin(&back, writer_bytes_written(&readable));
    is_same = bytes_equal(writer_bytes_written(&back), text);
    writer_free(&readable);
    writer_free(&back);
    return is_same;
}

/* Appends its texts as they are, if they would be changed otherwise. */
static void write_texts(struct writer *to, const struct gltron_packet *packet)
{
    if (comes_back(packet->description) && comes_back(packet->version)) {
        return;
    }
    writer_bytes(to, packet->description);
    writer_u8(to, 0);
    writer_bytes(to, packet->version);
}

static void set_original_infos(struct game *game, const struct gltron_packet *packet)
{
    struct writer texts = {0};
    const char *speed = gltron_speed_name(packet->speed), *size = gltron_size_name(packet->size);
    struct infos_text infos = {.count = 0};
    struct json_writer json;

    if (speed) {
        add_original_text(&infos, "speed", bytes_from_string(speed));
    }
    if (size) {
        add_original_text(&infos, "size", bytes_from_string(size));
    }
    json = add_original_property(&infos, "erase");
    json_write_boolean(&json, packet->erase);
    add_original_text(&infos, "description", packet->description);
    add_original_text(&infos, "version", packet->version);
    if (packet->players != GLTRON_UNKNOWN) {
        json = add_original_property(&infos, "players");
        json_write_integer(&json, packet->players);
    }
    for (size_t i = 0; i < infos.count; i++) {
        infos.properties[i].value = writer_bytes_written(&infos.values[i]);
    }
    write_texts(&texts, packet);
    lobby_game_set_infos(
        game, &(struct lobby_infos){.properties = infos.properties, .property_count = infos.count},
        writer_bytes_written(&texts));
    writer_free(&texts);
    for (size_t i = 0; i < infos.count; i++) {
        writer_free(&infos.values[i]);
    }
}

/* A server's port comes with its infos; with another port it is another server. */
static void handle_server_packet(struct game *game, const struct gltron_packet *packet)
{
    lobby_game_mark_active(game);
    if (packet->type != GLTRON_INFOS || packet->port == 0) {
        return;
    }
    if (game->id[0] != 0 && packet->port != game->address.port) {
        lobby_listing_end(game, false);
    }
    lobby_game_set_address(game, packet->port);
    set_original_infos(game, packet);
}

static void handle_original_login(struct lobby_session *session, const struct gltron_packet *packet)
{
    const bool is_server = packet->role == GLTRON_SERVER;
    /* A server without a password has an empty one, which is never accepted. */
    const struct bytes password = packet->password.data ? packet->password : BYTES_LITERAL("");

    metrics_add(METRIC_LOBBY_LOGIN, 1);
    lobby_login_handle(session, is_server ? password : (struct bytes){0}, (struct bytes){0}, 0);
}

/* Packets that its programs never send are ignored: the protocol has no error. */
void lobby_original_handle(struct lobby_session *session, const struct gltron_packet *packet)
{
    if (session->state == LOBBY_SESSION_NEW && packet->type == GLTRON_LOGIN) {
        handle_original_login(session, packet);
    } else if (session->state == LOBBY_SESSION_NEW) {
        lobby_refuse(session, LOBBY_CODE_NOT_LOGGED_IN, "login comes first");
    } else if (session->state == LOBBY_SESSION_SERVER) {
        handle_server_packet(session->game, packet);
    }
}

/* Players. */

/* A server's texts in a packet to an original client; text holds them. */
static void choose_original_texts(const struct gameserver *gameserver, struct gltron_packet *packet,
                                  struct writer *text)
{
    const struct lobby_infos *infos = &gameserver->server.infos;
    const struct bytes original = gameserver->original;
    const uint8_t *nul = original.len > 0 ? memchr(original.data, 0, original.len) : NULL;
    size_t len;

    if (nul) {
        packet->description = (struct bytes){original.data, (size_t)(nul - original.data)};
        packet->version = (struct bytes){nul + 1, original.len - packet->description.len - 1};
        return;
    }
    lobby_text_write_latin(text, infos->description);
    len = text->len;
    lobby_text_write_latin(text, infos->version);
    packet->description = (struct bytes){text->data, len};
    packet->version = (struct bytes){text->data + len, text->len - len};
}

bool lobby_original_write(const struct gameserver *gameserver, uint8_t bytes[GLTRON_PACKET_SIZE])
{
    const struct lobby_infos *infos = &gameserver->server.infos;
    struct gltron_packet packet = {
        .type = GLTRON_INFOS,
        .speed = GLTRON_UNKNOWN,
        .size = GLTRON_UNKNOWN,
        .erase = infos->erase,
        .port = gameserver->address.port,
        .players = GLTRON_UNKNOWN,
    };
    struct writer to = {0}, text = {0};
    bool written;

    if (gameserver->address.family != ADDRESS_IPV4) {
        return false;
    }
    if (!infos->speed.data || !gltron_speed_parse(infos->speed, &packet.speed)) {
        packet.speed = GLTRON_UNKNOWN;
    }
    if (!infos->size.data || !gltron_size_parse(infos->size, &packet.size)) {
        packet.size = GLTRON_UNKNOWN;
    }
    if (infos->has_players && infos->players < GLTRON_UNKNOWN) {
        packet.players = (uint16_t)infos->players;
    }
    memcpy(packet.host, gameserver->address.ip, sizeof packet.host);
    choose_original_texts(gameserver, &packet, &text);
    gltron_write(&to, &packet, GLTRON_HOST_NETWORK);
    writer_free(&text);
    written = !to.failed && to.len == GLTRON_PACKET_SIZE;
    if (written) {
        memcpy(bytes, to.data, GLTRON_PACKET_SIZE);
    }
    writer_free(&to);
    return written;
}

static void send_server_packet(struct player *player, const struct line *line, unsigned place)
{
    const struct lobby_settings *settings = lobby_settings_of(player->session);
    struct gltron_packet packet;
    struct writer to = {0};
    const struct gltron_result result = gltron_read(
        (struct bytes){line->packet, sizeof line->packet}, GLTRON_HOST_NETWORK, &packet);

    if (result.outcome != GLTRON_PACKET) {
        return;
    }
    packet.which = (uint16_t)place;
    gltron_write(&to, &packet, (enum gltron_host_order)settings->host_byte_order);
    metrics_add(METRIC_LOBBY_PUSH_PACKET, 1);
    lobby_send(player->session, &to);
}

/* The place of a server; for NULL a free one; GLTRON_SERVERS: there is none. */
static unsigned place_of(const struct player *player, const char *id)
{
    unsigned place = 0;

    for (; place < GLTRON_SERVERS; place++) {
        const char *used = player->places[place];

        if (!id ? !used : used != NULL && strcmp(used, id) == 0) {
            break;
        }
    }
    return place;
}

static void send_line_in_place(struct player *player, const struct line *line)
{
    unsigned place = place_of(player, line->id);

    if (place < GLTRON_SERVERS && !lobby_settings_of(player->session)->original_updates) {
        return;
    }
    if (place == GLTRON_SERVERS) {
        place = place_of(player, NULL);
    }
    if (place == GLTRON_SERVERS) {
        return;
    }
    if (!player->places[place]) {
        player->places[place] = mem_strdup(line->id);
    }
    send_server_packet(player, line, place);
}

/* Frees the places of servers that are gone; returns whether there were any. */
static bool free_places(struct player *player)
{
    const struct lobby_subscribers *subscribers = player->session->port->subscribers;
    bool freed = false;

    for (unsigned place = 0; place < GLTRON_SERVERS; place++) {
        if (player->places[place] && !lobby_subscribers_has(subscribers, player->places[place])) {
            free(player->places[place]);
            player->places[place] = NULL;
            freed = true;
        }
    }
    return freed;
}

void lobby_original_send_changes(struct player *player)
{
    const struct lobby_subscribers *subscribers = player->session->port->subscribers;
    const bool freed = free_places(player);
    struct line *line = lobby_subscribers_first_after(subscribers, player->seen);

    for (; line; line = lobby_subscribers_next(subscribers, line)) {
        if (!line->gone && line->has_packet) {
            send_line_in_place(player, line);
        }
    }
    player->seen = subscribers->stamp;
    /* Servers that had no place before. */
    line = freed ? lobby_subscribers_first_after(subscribers, 0) : NULL;
    for (; line && place_of(player, NULL) < GLTRON_SERVERS;
         line = lobby_subscribers_next(subscribers, line)) {
        if (!line->gone && line->has_packet && place_of(player, line->id) == GLTRON_SERVERS) {
            send_line_in_place(player, line);
        }
    }
}

void lobby_original_free_places(struct player *player)
{
    for (unsigned place = 0; place < GLTRON_SERVERS; place++) {
        free(player->places[place]);
    }
}
