/* q3master: the service, its ports, and what they receive and send: see q3master.h. */
#include "protocol/q3master/q3master.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/share.h"
#include "protocol/q3master/q3master_private.h"

/* Bytes of a datagram besides its own. */
#define IPV4_UDP_HEADERS 28
#define IPV6_UDP_HEADERS 48

uint64_t q3master_now_ms(const struct q3master_service *service)
{
    return map_redis_time_ms(service->map);
}

void q3master_drop(struct q3master_service *service, const struct address *peer, enum metric metric,
                   const char *why)
{
    char text[ADDRESS_TEXT_SIZE];

    metrics_add(metric, 1);
    log_limited(LOG_INFO, &service->drop_limit, "datagram_dropped",
                LOG_STRING("peer", address_format(peer, text)), LOG_STRING("why", why));
}

/* The secret. */

static void on_secret(void *arg, const uint8_t secret[MAP_SECRET_SIZE])
{
    struct q3master_service *service = arg;

    _Static_assert(MAP_SECRET_SIZE == COOKIE_SECRET_SIZE, "one is the other");
    cookie_set_secret(&service->keys, secret, q3master_now_ms(service));
}

static void load_secret(struct q3master_service *service)
{
    const char *text = service->settings->secret;
    uint8_t secret[COOKIE_SECRET_SIZE];

    if (*text == '\0') {
        if (!service->secret) {
            service->secret = map_secret_create(service->map, "q3master", on_secret, service);
        }
        return;
    }
    map_secret_destroy(&service->secret);
    cookie_secret_from_text(bytes_from_string(text), secret);
    cookie_set_secret(&service->keys, secret, q3master_now_ms(service));
}

/* The output budget: filled as time passes, up to a tenth of a second's. */

static void fill_output(struct q3master_service *service, int64_t rate, int64_t most)
{
    const uint64_t now = loop_now_us(service->loop);
    const uint64_t elapsed = now - service->output_us;
    const int64_t added =
        elapsed >= 1000000 ? rate : (int64_t)((double)rate * (double)elapsed / 1e6);

    if (added <= 0) {
        return;
    }
    service->output_us = now;
    service->output = service->output + added > most ? most : service->output + added;
}

static bool has_output(struct q3master_service *service, size_t bytes, enum q3master_rank rank)
{
    const int64_t rate = (int64_t)share_of((uint64_t)service->settings->max_output);
    const int64_t most = rate / 10 > Q3MASTER_OUTPUT_MIN ? rate / 10 : Q3MASTER_OUTPUT_MIN;
    const int64_t kept = rank == Q3MASTER_RANK_OFTEN    ? most / 2
                         : rank == Q3MASTER_RANK_SELDOM ? most / 8
                                                        : 0;

    if (rate == 0) {
        return true;
    }
    fill_output(service, rate, most);
    return service->output - (int64_t)bytes >= kept;
}

/* Lists leave a part of a network's burst to the challenges of game servers. */
static struct prefix_limit limit_of_prefix(const struct q3master_service *service,
                                           enum q3master_rank rank)
{
    const int64_t burst = service->settings->prefix_burst;

    return (struct prefix_limit){
        .rate = rank == Q3MASTER_RANK_LISTED ? 0 : service->settings->max_output_per_prefix,
        .burst = rank == Q3MASTER_RANK_SERVER ? burst : burst - burst / 32,
    };
}

bool q3master_may_send(struct q3master_service *service, const struct address *peer, size_t bytes,
                       size_t packets, enum q3master_rank rank)
{
    const struct prefix_limit limit = limit_of_prefix(service, rank);
    const uint64_t now = loop_now_us(service->loop);
    const size_t headers = peer->family == ADDRESS_IPV6 ? IPV6_UDP_HEADERS : IPV4_UDP_HEADERS;
    const size_t all = bytes + packets * headers;

    if (!has_output(service, bytes, rank)) {
        q3master_drop(service, peer, METRIC_Q3MASTER_DROPPED_OUTPUT, "output");
        return false;
    }
    if (!prefix_output_take(service->prefixes, peer, all, limit, now)) {
        q3master_drop(service, peer, METRIC_Q3MASTER_DROPPED_PREFIX, "prefix_output");
        return false;
    }
    if (service->settings->max_output > 0) {
        service->output -= (int64_t)bytes;
    }
    return true;
}

/* Players. */

static void send_list(struct q3master_port *port, const struct udp_path *path,
                      const struct q3master_reply *reply)
{
    struct q3master_service *service = port->service;
    const size_t count = q3master_reply_count(reply);
    struct frame_slice slices[Q3MASTER_SLICES];
    struct q3master_walk walk;
    size_t slice_count;

    service->list_start++;
    walk = q3master_reply_walk(
        reply, count > 1
                   ? random_keyed_hash(&service->list_start, sizeof service->list_start) % count
                   : 0);
    while ((slice_count = q3master_reply_next(reply, &walk, slices)) > 0) {
        udp_send_slices(port->udp, path, q3master_reply_frame(reply), slices, slice_count);
    }
    metrics_add(METRIC_Q3MASTER_REPLIES, 1);
}

/* Addresses that send at most a quarter of the allowed queries are preferred to those that use up
 * their rate, among which are those that try to use up the output budget. */
static enum q3master_rank rank_of(struct q3master_port *port, const struct address *peer)
{
    const struct q3master_settings *settings = port->settings;
    const uint32_t rate = (uint32_t)(settings->query_rate + 3) / 4;
    const uint32_t burst = (uint32_t)(settings->query_burst + 3) / 4;

    return bucket_table_take(port->service->seldom, peer, rate, burst,
                             loop_now_us(port->service->loop))
               ? Q3MASTER_RANK_SELDOM
               : Q3MASTER_RANK_OFTEN;
}

static void handle_query(struct q3master_port *port, const struct udp_path *path,
                         const struct q3master_query *query)
{
    struct q3master_service *service = port->service;
    const struct q3master_settings *settings = port->settings;
    const struct q3master_prepared *list;

    if (!bucket_table_take(service->queries, &path->peer, (uint32_t)settings->query_rate,
                           (uint32_t)settings->query_burst, loop_now_us(service->loop))) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_QUERY_RATE, "rate");
        return;
    }
    list = q3master_replies_get(port, query);
    if (!list) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_NEW_KINDS, "new_kinds");
    } else if (!list->reply) {
        q3master_drop(service, &path->peer, METRIC_Q3MASTER_DROPPED_GAME, "game");
    } else if (q3master_may_send(service, &path->peer, list->size, list->packets,
                                 rank_of(port, &path->peer))) {
        send_list(port, path, list->reply);
    }
}

/* Receiving. */

static void count_malformed(struct q3master_port *port, const struct address *peer,
                            enum q3master_error error)
{
    static const enum metric metrics[] = {
#define Q3MASTER_ERROR_METRIC(name, text) [Q3MASTER_ERROR_##name] = METRIC_Q3MASTER_BAD_##name,
        Q3MASTER_ERRORS(Q3MASTER_ERROR_METRIC)
#undef Q3MASTER_ERROR_METRIC
    };
    char text[ADDRESS_TEXT_SIZE];

    metrics_add(metrics[error], 1);
    log_limited(LOG_INFO, &port->service->malformed_limit, "malformed_datagram",
                LOG_STRING("protocol", "q3master"), LOG_STRING("peer", address_format(peer, text)),
                LOG_STRING("why", q3master_error_name(error)));
}

static void on_master_packet(void *arg, const struct udp_path *path, struct bytes packet)
{
    struct q3master_port *port = arg;
    struct q3master_message message;
    enum q3master_error error;

    if (bans_hold(port->service->bans, &path->peer)) {
        q3master_drop(port->service, &path->peer, METRIC_Q3MASTER_DROPPED_BANNED, "banned");
        return;
    }
    error = q3master_read(packet, &message);
    if (error != Q3MASTER_OK) {
        count_malformed(port, &path->peer, error);
        return;
    }
    switch (message.type) {
    case Q3MASTER_HEARTBEAT:
        q3master_handle_heartbeat(port, path, message.tag);
        break;
    case Q3MASTER_INFO_RESPONSE:
        q3master_handle_info(port, path, &message.info);
        break;
    case Q3MASTER_GETSERVERS:
        metrics_add(METRIC_Q3MASTER_GETSERVERS, 1);
        handle_query(port, path, &message.query);
        break;
    case Q3MASTER_GETSERVERS_EXT:
        metrics_add(METRIC_Q3MASTER_GETSERVERS_EXT, 1);
        handle_query(port, path, &message.query);
        break;
    }
}

/* Mapped addresses. */

static bool read_mapping(char *word, struct q3master_mapping *mapping)
{
    char *equals = strchr(word, '=');

    if (!equals) {
        return false;
    }
    *equals = '\0';
    return address_parse_ip(word, &mapping->from) && address_parse_ip(equals + 1, &mapping->to) &&
           mapping->from.family == mapping->to.family;
}

bool q3master_map_read(const char *text, struct q3master_mapping **mappings, size_t *count)
{
    char *words = mem_strdup(text), *saved = NULL;
    struct q3master_mapping *all = mem_zalloc(strlen(text) / 2 + 1, sizeof *all);
    size_t used = 0;
    bool good = true;

    for (char *word = strtok_r(words, " ,\n", &saved); word && good;
         word = strtok_r(NULL, " ,\n", &saved)) {
        good = read_mapping(word, &all[used++]);
    }
    free(words);
    if (!good || !mappings) {
        free(all);
        return good;
    }
    *mappings = all;
    *count = used;
    return true;
}

/* Ports. */

/* The settings have been checked. */
static void read_master_settings(struct q3master_port *port)
{
    const struct q3master_settings *settings = port->settings;
    char *error = NULL;
    bool good;

    q3games_destroy(&port->games);
    free(port->mappings);
    port->mappings = NULL;
    port->games = q3games_create(settings->games, settings->accept, settings->reject, &error);
    good = q3master_map_read(settings->map, &port->mappings, &port->mapping_count);
    assert(port->games && good);
    (void)good;
}

static void free_port(struct q3master_port *port)
{
    struct q3master_list *list = port->list;

    list_remove(&port->in_list);
    if (list) {
        q3master_list_release(list);
    }
    q3master_replies_clear(&port->replies);
    q3games_destroy(&port->games);
    free(port->mappings);
    free(port);
}

struct q3master_port *q3master_port_create(struct q3master_service *service,
                                           struct map_space *space, const char *where, int fd,
                                           const struct q3master_settings *settings,
                                           const struct udp_settings *udp, char **error)
{
    struct q3master_port *port = mem_zalloc(1, sizeof *port);
    const char *why = NULL;

    list_init(&port->in_list);
    q3master_replies_init(&port->replies);
    port->service = service;
    port->settings = settings;
    read_master_settings(port);
    port->list = q3master_list_get(service, space, &why);
    if (!port->list) {
        *error = mem_strdup(why);
        if (fd >= 0) {
            close(fd);
        }
        free_port(port);
        return NULL;
    }
    list_append(&port->list->ports, &port->in_list);
    port->udp = fd < 0 ? udp_create(service->loop, where, udp, Q3MASTER_PACKET_MAX,
                                    on_master_packet, port, error)
                       : udp_inherit(service->loop, where, fd, udp, Q3MASTER_PACKET_MAX,
                                     on_master_packet, port);
    if (!port->udp) {
        free_port(port);
        return NULL;
    }
    port->ipv4 = *udp_where(port->udp) == '*' || udp_address(port->udp)->family == ADDRESS_IPV4;
    port->ipv6 = udp_address(port->udp)->family == ADDRESS_IPV6;
    load_secret(service);
    return port;
}

void q3master_port_destroy(struct q3master_port **pointer)
{
    struct q3master_port *port = *pointer;

    *pointer = NULL;
    if (!port) {
        return;
    }
    udp_destroy(&port->udp);
    free_port(port);
}

void q3master_port_reload(struct q3master_port *port)
{
    read_master_settings(port);
    q3master_replies_clear(&port->replies);
}

struct udp *q3master_port_udp(struct q3master_port *port)
{
    return port->udp;
}

const char *q3master_port_where(const struct q3master_port *port)
{
    return udp_where(port->udp);
}

/* The service. */

static void on_master_bans_changed(struct bans_watcher *watcher)
{
    struct q3master_service *service = list_entry(watcher, struct q3master_service, bans_watcher);

    LIST_FOREACH (node, &service->lists) {
        q3master_list_ban(list_entry(node, struct q3master_list, link));
    }
}

struct q3master_service *q3master_service_create(struct map *map, struct bans *bans,
                                                 const struct q3master_settings *settings)
{
    struct q3master_service *service = mem_zalloc(1, sizeof *service);

    service->map = map;
    service->loop = map_loop(map);
    service->bans = bans;
    service->settings = settings;
    list_init(&service->lists);
    service->keys.slot_ms = (uint64_t)settings->challenge;
    service->heartbeats = bucket_table_create((size_t)settings->addresses);
    service->answers = bucket_table_create((size_t)settings->addresses);
    service->queries = bucket_table_create((size_t)settings->addresses);
    service->seldom = bucket_table_create((size_t)settings->addresses);
    service->prefixes = mem_zalloc(1, sizeof *service->prefixes);
    random_bytes(&service->list_start, sizeof service->list_start);
    service->bans_watcher.changed = on_master_bans_changed;
    bans_watch(bans, &service->bans_watcher);
    return service;
}

void q3master_service_destroy(struct q3master_service **pointer)
{
    struct q3master_service *service = *pointer;

    *pointer = NULL;
    if (!service) {
        return;
    }
    assert(list_is_empty(&service->lists));
    bans_unwatch(&service->bans_watcher);
    map_secret_destroy(&service->secret);
    bucket_table_destroy(&service->heartbeats);
    bucket_table_destroy(&service->answers);
    bucket_table_destroy(&service->queries);
    bucket_table_destroy(&service->seldom);
    free(service->prefixes);
    free(service);
}

void q3master_service_reload(struct q3master_service *service)
{
    if (!list_is_empty(&service->lists)) {
        load_secret(service);
    }
}
