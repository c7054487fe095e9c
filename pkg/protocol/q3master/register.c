/*
 * q3master_register: how game servers get onto the list and stay there: a heartbeat is answered
 * with a challenge, a valid response registers the server, and a server without heartbeats is
 * probed.
 */
#include <stdio.h>
#include <string.h>

#include "protocol/gameserver/gameserver.h"
#include "protocol/q3master/q3master_private.h"

#define GETINFO_MAX (4 + sizeof "getinfo " + COOKIE_LENGTH)

static void send_getinfo(struct q3master_port *port, const struct udp_path *path,
                         const char *context, enum q3master_rank rank)
{
    struct q3master_service *service = port->service;
    char challenge[COOKIE_LENGTH + 1];
    struct writer text = {0};

    if (!q3master_may_send(service, &path->peer, GETINFO_MAX, 1, rank)) {
        return;
    }
    cookie_make(&service->keys, &path->peer, context, q3master_now_ms(service), challenge);
    q3master_write_getinfo(&text, bytes_from_string(challenge));
    udp_send(port->udp, path, writer_bytes_written(&text));
    writer_free(&text);
}

/* The address under which it is listed. */
static struct address gameserver_address(const struct q3master_port *port,
                                         const struct address *peer)
{
    for (size_t i = 0; i < port->mapping_count; i++) {
        struct address address = port->mappings[i].to;

        if (!address_same_ip(&port->mappings[i].from, peer)) {
            continue;
        }
        address.port = peer->port;
        return address;
    }
    return *peer;
}

static bool is_loopback(const struct address *address)
{
    static const uint8_t one[16] = {[15] = 1};

    return address->family == ADDRESS_IPV4 ? address->ip[0] == 127
                                           : memcmp(address->ip, one, sizeof one) == 0;
}

/* Checked before a challenge is sent, too. */
static bool may_be_listed(struct q3master_port *port, const struct address *peer)
{
    const struct address address = gameserver_address(port, peer);

    if (!is_loopback(&address) || port->settings->allow_loopback) {
        return true;
    }
    q3master_drop(port->service, peer, METRIC_Q3MASTER_DROPPED_LOOPBACK, "loopback");
    return false;
}

static bool is_game_accepted(struct q3master_port *port, const struct address *peer,
                             struct bytes game)
{
    if (q3games_accepts(port->games, game)) {
        return true;
    }
    q3master_drop(port->service, peer, METRIC_Q3MASTER_DROPPED_GAME, "game");
    return false;
}

/* A server that shuts down sends its game's flatline or, most of them, a last ordinary heartbeat:
 * one that does not answer the challenge is then probed, and taken off. False when it is not
 * listed. */
static bool probe_soon(struct q3master_port *port, const struct address *peer)
{
    const struct address address = gameserver_address(port, peer);
    char id[ADDRESS_TEXT_SIZE];
    const struct q3master_entry *entry =
        q3master_list_find(port->list, bytes_from_string(address_format(&address, id)));

    if (!entry || !entry->registered) {
        return false;
    }
    if (!loop_pending_is_waiting(&entry->pending)) {
        registration_probe_soon(port->list->space, bytes_from_string(id), NULL, NULL);
    }
    return true;
}

void q3master_handle_heartbeat(struct q3master_port *port, const struct udp_path *path,
                               struct bytes tag)
{
    struct q3master_service *service = port->service;
    const struct q3master_settings *settings = port->settings;
    const char *game = NULL;
    const enum q3games_tag meaning = q3games_by_tag(port->games, tag, &game);

    metrics_add(METRIC_Q3MASTER_HEARTBEAT, 1);
    if (!bucket_table_take(service->heartbeats, &path->peer, (uint32_t)settings->heartbeat_rate,
                           (uint32_t)settings->heartbeat_burst, loop_now_us(service->loop))) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_HEARTBEAT_RATE, "rate");
        return;
    }
    if (meaning == Q3GAMES_TAG_UNKNOWN) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_BAD_TAG, "tag");
        return;
    }
    if (!may_be_listed(port, &path->peer) ||
        (game && !is_game_accepted(port, &path->peer, bytes_from_string(game)))) {
        return;
    }
    if (!probe_soon(port, &path->peer) && meaning == Q3GAMES_TAG_FLATLINE) {
        return; /* it is not listed anyway */
    }
    send_getinfo(port, path, game ? game : "", Q3MASTER_RANK_SERVER);
}

/* In a full list, the network with the most servers loses one to a network with fewer. */
static bool evict_for_newcomer(struct q3master_port *port, const struct address *newcomer)
{
    const struct q3master_entry *entry = q3master_list_evict(port->list, newcomer);
    char text[ADDRESS_TEXT_SIZE];

    if (!entry) {
        return false;
    }
    metrics_add(METRIC_Q3MASTER_EVICTED, 1);
    log_limited(LOG_INFO, &port->service->evicted_limit, "server_evicted",
                LOG_BYTES("server", ((struct bytes){(const uint8_t *)entry->id, entry->id_len})),
                LOG_STRING("for", address_format(newcomer, text)));
    return true;
}

static bool may_register_one_more(struct q3master_port *port, const struct address *peer,
                                  const struct address *address)
{
    const struct q3master_settings *settings = port->settings;
    const struct slots *registered = &port->list->registered;

    if (settings->max_per_address > 0 &&
        slots_of_address(registered, address) >= (size_t)settings->max_per_address) {
        q3master_drop(port->service, peer, METRIC_Q3MASTER_DROPPED_ADDRESS, "max_per_address");
        return false;
    }
    if (settings->max_servers > 0 && registered->taken >= (size_t)settings->max_servers &&
        !evict_for_newcomer(port, address)) {
        q3master_drop(port->service, peer, METRIC_Q3MASTER_DROPPED_SERVERS, "max_servers");
        return false;
    }
    return true;
}

static void on_game_registered(void *arg, enum map_result result, uint64_t version)
{
    struct q3master_service *service = arg;

    if (result == MAP_OK) {
        metrics_add(METRIC_Q3MASTER_REGISTERED, 1);
        return;
    }
    metrics_add(METRIC_Q3MASTER_DROPPED_MAP, 1);
    log_limited(LOG_WARN, &service->refused_limit, "server_not_registered",
                LOG_STRING("why", map_result_name(result)));
}

static void register_game(struct q3master_port *port, const struct udp_path *path,
                          const struct q3master_info *info, struct bytes game, bool implied)
{
    const struct q3master_settings *settings = port->settings;
    const struct address address = gameserver_address(port, &path->peer);
    char id[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];
    struct gameserver_fields fields = {0};
    struct q3master_entry *entry;

    address_format(&address, id);
    address_format(&path->peer, from);
    entry = q3master_list_find(port->list, bytes_from_string(id));
    if (!entry) {
        if (!may_register_one_more(port, &path->peer, &address)) {
            return;
        }
        q3master_list_expect(port->list, bytes_from_string(id), &address);
        log_limited(LOG_INFO, &port->service->registered_limit, "server_registered",
                    LOG_STRING("server", id), LOG_BYTES("game", game));
    } else if (entry->leaving_until > loop_now_ms(port->service->loop)) {
        q3master_drop(port->service, &path->peer, METRIC_Q3MASTER_DROPPED_SERVERS, "max_servers");
        return;
    } else {
        entry->probed_ms = 0;
    }
    gameserver_fields_from_info(&fields, info, game, implied);
    registration_submit(
        port->list->space,
        &(struct registration){.id = bytes_from_string(id),
                               .protocol = "q3master",
                               .address = from,
                               .fields = fields.fields,
                               .field_count = fields.count,
                               .ttl = (uint64_t)settings->ttl,
                               .probes = (unsigned)settings->probes,
                               .probe_interval = (uint64_t)settings->probe_interval},
        on_game_registered, port->service);
    gameserver_fields_free(&fields);
}

void q3master_handle_info(struct q3master_port *port, const struct udp_path *path,
                          const struct q3master_info *info)
{
    struct q3master_service *service = port->service;
    const struct q3master_settings *settings = port->settings;
    size_t count;
    const char *const *contexts = q3games_contexts(port->games, &count);
    const int context = cookie_check(&service->keys, &path->peer, contexts, count,
                                     q3master_now_ms(service), info->challenge);
    const char *implied = context > 0 && *contexts[context] ? contexts[context] : NULL;
    struct bytes game;

    metrics_add(METRIC_Q3MASTER_INFO, 1);
    if (context < 0) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_FORGED, "challenge");
        return;
    }
    if (!bucket_table_take(service->answers, &path->peer, (uint32_t)settings->heartbeat_rate,
                           (uint32_t)settings->heartbeat_burst, loop_now_us(service->loop))) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_HEARTBEAT_RATE, "rate");
        return;
    }
    if (q3master_info_game(info, implied, &game) != Q3MASTER_OK) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_BAD_GAME, "game");
        return;
    }
    if (may_be_listed(port, &path->peer) && is_game_accepted(port, &path->peer, game)) {
        register_game(port, path, info, game, implied != NULL);
    }
}

/* Probes. */

static struct q3master_port *port_for(struct q3master_list *list, const struct address *address)
{
    LIST_FOREACH (node, &list->ports) {
        struct q3master_port *port = list_entry(node, struct q3master_port, in_list);

        if (address->family == ADDRESS_IPV4 ? port->ipv4 : port->ipv6) {
            return port;
        }
    }
    return NULL;
}

/* The context of the challenge: the game that its heartbeat's tag implied. It is unknown of a
 * server that an older front-end registered: then it is taken to be its own game. */
static const char *context_of(const struct q3master_port *port, const struct map_entry *map_entry,
                              struct bytes game)
{
    size_t count;
    const char *const *contexts = q3games_contexts(port->games, &count);

    if (bytes_equal(map_entry_field(map_entry, "implied"), BYTES_LITERAL("0"))) {
        return "";
    }
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(game, bytes_from_string(contexts[i]))) {
            return contexts[i];
        }
    }
    return "";
}

void q3master_probe(struct registration_prober *prober, struct bytes id, unsigned probe)
{
    struct q3master_list *list = list_entry(prober, struct q3master_list, prober);
    const struct map_entry *map_entry = map_view_find(list->view, id);
    const struct q3master_entry *entry = q3master_list_find(list, id);
    struct udp_path path = {.local = {.family = ADDRESS_NONE}};
    char text[ADDRESS_TEXT_SIZE];
    struct q3master_port *port;

    if (!map_entry || !entry) {
        return;
    }
    snprintf(text, sizeof text, "%.*s", (int)map_entry_field(map_entry, "address").len,
             (const char *)map_entry_field(map_entry, "address").data);
    if (!address_parse(text, &path.peer) || path.peer.port == 0) {
        return;
    }
    port = port_for(list, &path.peer);
    if (!port || bans_hold(list->service->bans, &path.peer)) {
        return;
    }
    log_debug("server_probed", LOG_BYTES("server", id), LOG_INT("probe", probe));
    q3master_list_note_probe(list, id);
    send_getinfo(port, &path, context_of(port, map_entry, entry->server.game),
                 Q3MASTER_RANK_LISTED);
}

void q3master_list_ban(struct q3master_list *list)
{
    struct q3master_entry *entry, *next;

    HASH_ITER (hh, list->entries, entry, next) {
        if (entry->registered && bans_hold(list->service->bans, &entry->server.address)) {
            registration_remove(
                list->space, (struct bytes){(const uint8_t *)entry->id, entry->id_len}, NULL, NULL);
        }
    }
}
