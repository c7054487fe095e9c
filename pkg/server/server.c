/*
 * server: creates its parts in the order of their dependencies, and destroys them in reverse.
 * Listeners open once the map can serve, so a client that can connect is served.
 */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/share.h"
#include "base/standard_fds.h"
#include "map/feature.h"
#include "metrics/metrics.h"
#include "net/http/host.h"
#include "presence/presence.h"
#include "registration/registration.h"
#include "relay/relay.h"
#include "room/room.h"
#include "server/own_redis.h"
#include "server/server_private.h"
#include "server/workers.h"
#include "tls/digest.h"

#include "version.h"

/* How often waiting_for_redis is logged at the start. */
#define WAITING_MS 5000

void server_end(struct server *server, int exit_code)
{
    if (server->exit_code == 0) {
        server->exit_code = exit_code;
    }
    loop_stop(server->loop);
}

static const char *admit_peer(void *arg, const struct address *peer)
{
    struct server *server = arg;
    const struct server_settings *settings = &server->configuration->server;
    if (!access_list_allows(server->access, peer)) {
        return "denied";
    }
    /* Peers on unix sockets have no address to distinguish them by. */
    if (peer->family != ADDRESS_UNIX &&
        !bucket_table_take(server->rates, peer, (uint32_t)settings->connect_rate,
                           (uint32_t)settings->connect_burst, loop_now_us(server->loop))) {
        return "rate";
    }
    return NULL;
}

static void on_server_bans_changed(struct bans_watcher *watcher)
{
    struct server *server = list_entry(watcher, struct server, bans_watcher);
    if (server->listeners) {
        listeners_close_banned(server->listeners);
    }
}

static void log_ready(struct server *server)
{
    struct writer where = {0};
    listeners_describe(server->listeners, &where);
    log_info("ready", LOG_BYTES("listen", writer_bytes_written(&where)),
             LOG_STRING("id", map_node_id(server->map)), LOG_STRING("version", TRACKER_VERSION));
    writer_free(&where);
    sd_notify(0, "READY=1");
}

void server_serving(void *arg)
{
    struct server *server = arg;
    loop_timer_stop(server->waiting_timer);
    char *error = listeners_open(server->listeners);
    if (error) {
        log_error("listen_failed", LOG_STRING("err", error));
        free(error);
        server_end(server, 1);
        return;
    }
    server->state = SERVER_SERVING;
    if (server->configuration->map.cut_off == MAP_CUT_OFF_PEERS) {
        server->cut_off = cut_off_create(server);
    }
    if (server->supervised) {
        workers_report_ready(server);
    } else {
        log_ready(server);
    }
}

static void still_waiting(void *arg)
{
    struct server *server = arg;
    const char *why = NULL;
    char *where = redis_target_describe(&server->target);
    (void)map_is_ready(server->map, &why);
    log_warn("waiting_for_redis", LOG_STRING("redis", where), LOG_STRING("why", why));
    free(where);
    loop_timer_start(server->waiting_timer, WAITING_MS);
}

static void embedded_died(void *arg, int status)
{
    struct server *server = arg;
    /* redis_crashed has been logged */
    server_end(server, 1);
}

/* From then on the embedded server is an ordinary target: its unix socket. */
static char *start_embedded(struct server *server)
{
    char *url = NULL;
    char *error = own_redis_start(server->loop, &server->configuration->redis, embedded_died,
                                  server, &server->embedded, &url);
    if (!error) {
        redis_target_free(&server->target);
        error = redis_target_parse(url, &server->target);
    }
    free(url);
    return error;
}

char *server_make_name(const struct server_settings *settings)
{
    char host[256] = "";
    if (*settings->node) {
        return mem_strdup(settings->node);
    }
    gethostname(host, sizeof host - 1);
    return mem_format("%s-%ld", host, (long)getpid());
}

/* Listeners have IP addresses alone, which are allowed anyway. */
static bool is_own_host(void *arg, const struct http_host *host)
{
    const struct server *server = arg;
    struct bytes advertise = bytes_from_string(server->configuration->server.advertise), rest;
    struct http_host own;
    return http_host_read(advertise, &own, &rest) && http_host_is_same(&own, host);
}

static void add_listeners(struct server *server, const struct configuration *configuration)
{
    server->admin_router = http_router_create();
    server->bare_router = http_router_create();
    http_router_set_own_host(server->admin_router, is_own_host, server);
    server->health = health_create(server->map);
    health_add_probes(server->health, server->admin_router);
    health_add_pages(server->health, server->admin_router);
    health_add_probes(server->health, server->bare_router);
    admin_add_errors(server->admin_router);
    admin_add_errors(server->bare_router);
    server->alone =
        alone_create(server->loop, server->map, server->health, configuration->server.advertise);
    server->admin = admin_create(server->map, server->health, &configuration->admin,
                                 configuration->lobby.space, TRACKER_VERSION);
    admin_add_routes(server->admin, server->admin_router);
    server->tracker = tracker_service_create(server->map);
    server->turntable = turntable_service_create(server->map);
    server->sync = sync_service_create(server->map, TRACKER_VERSION);
    server->bans =
        bans_create(server->map, configuration->lobby.bans, &configuration->lobby.bans_reread);
    server->bans_watcher.changed = on_server_bans_changed;
    bans_watch(server->bans, &server->bans_watcher);
    server->lobby =
        lobby_service_create(server->map, server->bans, &configuration->lobby, &configuration->udp);
    server->q3master = q3master_service_create(server->map, server->bans, &configuration->q3master);
    server->listeners = listeners_create(&(struct listeners_context){
        .net = server->net,
        .map = server->map,
        .tracker = server->tracker,
        .tokens = server->tokens,
        .turntable = server->turntable,
        .sync = server->sync,
        .lobby = server->lobby,
        .q3master = server->q3master,
        .admin = server->admin_router,
        .bare = server->bare_router,
        .admit = admit_peer,
        .arg = server,
        .supervised = server->supervised,
        .bans = server->bans,
        .configuration = configuration,
    });
}

char *server_open(struct server *server, struct configuration *configuration, bool *usage)
{
    *usage = true;
    server->configuration = configuration;
    server->name = server_make_name(&configuration->server);
    server->started_us = clock_wall_us();
    log_set_node(server->name);
    server->rates = bucket_table_create((size_t)configuration->server.connect_tracked);
    char *error = server_read_access(server);
    if (!error) {
        server->tokens = auth_verifier_create(&configuration->auth, &error);
    }
    if (!error) {
        error = redis_target_parse(configuration->redis.url, &server->target);
    }
    if (error) {
        return error;
    }
    *usage = false;
    if (!tls_has_sha1()) {
        return mem_strdup("OpenSSL has no SHA-1, by which Redis's scripts are named: see its "
                          "configuration (openssl.cnf, OPENSSL_CONF)");
    }
    server->loop = loop_create();
    loop_set_slow(server->loop, (uint64_t)configuration->server.slow_iteration);
    server->net = net_create(server->loop, &configuration->net);
    net_set_budget(server->net, &configuration->budget);
    net_log_limits(server->net);
    server->waiting_timer = loop_timer_create(server->loop, still_waiting, server);
    if (server->target.scheme == REDIS_EMBEDDED) {
        error = start_embedded(server);
    }
    if (error) {
        return error;
    }
    *usage = true;
    server->map = map_create(server->loop, server->name, &configuration->map, &configuration->redis,
                             &server->target, &server_map_callbacks, server, &error);
    if (!server->map) {
        return error;
    }
    map_add_feature(server->map, &relay_feature);
    map_add_feature(server->map, &presence_feature);
    map_add_feature(server->map, &room_feature);
    map_add_feature(server->map, &registration_feature);
    config_show_in_force(configuration->config, &configuration->map, map_settings_of(server->map));
    add_listeners(server, configuration);
    error = listeners_add_configured(server->listeners);
    if (!error) {
        listeners_declare_needs(server->listeners);
    }
    return error;
}

void server_close(struct server *server)
{
    cut_off_destroy(&server->cut_off);
    if (server->listeners) {
        listeners_stop(server->listeners, true);
        loop_iterate(server->loop, 0);
        net_flush(server->net); /* the remaining output */
        listeners_close_connections(server->listeners, true);
    }
    if (server->loop) {
        loop_iterate(server->loop, 0); /* frees them */
    }
    listeners_destroy(&server->listeners);
    tracker_service_destroy(&server->tracker);
    turntable_service_destroy(&server->turntable);
    sync_service_destroy(&server->sync);
    lobby_service_destroy(&server->lobby);
    q3master_service_destroy(&server->q3master);
    if (server->bans) {
        bans_unwatch(&server->bans_watcher);
    }
    bans_destroy(&server->bans);
    admin_destroy(&server->admin);
    alone_destroy(&server->alone);
    health_destroy(&server->health);
    http_router_destroy(&server->admin_router);
    http_router_destroy(&server->bare_router);
    map_destroy(&server->map);
    for (size_t i = 0; i < sizeof server->signals / sizeof *server->signals; i++) {
        if (server->signals[i]) {
            loop_signal_destroy(&server->signals[i]);
        }
    }
    loop_timer_destroy(&server->readiness);
    loop_timer_destroy(&server->drain_timer);
    loop_timer_destroy(&server->waiting_timer);
    if (server->embedded) {
        redis_embedded_stop(&server->embedded);
    }
    net_destroy(&server->net);
    redis_target_free(&server->target);
    access_list_destroy(&server->access);
    auth_verifier_destroy(&server->tokens);
    bucket_table_destroy(&server->rates);
    supervised_unwatch(server->supervised);
    loop_destroy(&server->loop);
    free(server->name);
}

static void run_server(struct server *server)
{
    server->signals[0] = loop_signal_create(server->loop, SIGTERM, server_drain, server);
    server->signals[1] = loop_signal_create(server->loop, SIGINT, server_drain, server);
    server->signals[2] = loop_signal_create(server->loop, SIGHUP, server_reload_signal, server);
    workers_watch(server);
    loop_timer_start(server->waiting_timer, WAITING_MS);
    loop_run(server->loop);
}

static int serve_until_end(struct configuration *configuration, struct supervised *supervised)
{
    struct server server = {.state = SERVER_STARTING, .supervised = supervised};
    bool usage;
    char *error = server_open(&server, configuration, &usage);
    if (error) {
        log_error("start_failed", LOG_STRING("err", error));
        free(error);
        server.exit_code = usage ? 2 : 1;
    } else {
        run_server(&server);
    }
    server_close(&server);
    return server.exit_code;
}

static int print_sample(struct writer *text)
{
    fwrite(text->data, 1, text->len, stdout);
    writer_free(text);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int run_mode(struct configuration *configuration, enum cmdline_mode mode,
                    struct supervised *supervised, char *const *argv)
{
    const unsigned workers = workers_count(configuration);
    struct writer text = {0};
    switch (mode) {
    case CMDLINE_HELP:
        writer_string(&text, cmdline_usage);
        config_write_help(configuration->config, &text);
        return print_sample(&text);
    case CMDLINE_SAMPLE:
        config_write_sample(configuration->config, &text);
        return print_sample(&text);
    case CMDLINE_VERSION:
        puts("trackerd " TRACKER_VERSION);
        return 0;
    case CMDLINE_CHECK:
        puts("configuration ok");
        return fflush(stdout) == 0 ? 0 : 1;
    case CMDLINE_RUN:
        break;
    }
    if (workers > 0 && !supervised) {
        return workers_supervise(configuration, workers, argv);
    }
    if (supervised) {
        share_set_processes(supervised_count(supervised));
    }
    return serve_until_end(configuration, supervised);
}

static char *check_tokens(const struct auth_settings *settings)
{
    char *error;
    struct auth_verifier *verifier = auth_verifier_create(settings, &error);
    auth_verifier_destroy(&verifier);
    return error;
}

/* A front-end that queries its peers must be reachable for them. */
static char *check_cut_off(const struct configuration *configuration,
                           const struct listeners *listeners)
{
    if (workers_count(configuration) > 0) {
        return mem_strdup("map.cut_off = peers is not possible with workers: node.advertise would "
                          "lead to any of them");
    }
    if (!*configuration->server.advertise) {
        return mem_strdup("map.cut_off = peers needs node.advertise: HOST:PORT of this front-end's "
                          "web listener, under which the other front-ends reach it");
    }
    if (!listeners_can_be_asked(listeners)) {
        return mem_strdup("map.cut_off = peers needs a web listener with neither proxy nor tls, to "
                          "which node.advertise leads");
    }
    return NULL;
}

/* Checks everything that can be checked without opening listeners. */
char *server_read_configuration(struct configuration *configuration, const struct cmdline *cmdline)
{
    struct redis_target target = {.host = NULL};
    char *error = configuration_load(configuration, cmdline);
    if (error) {
        return error;
    }
    error = combinations_check(configuration);
    if (error) {
        return error;
    }
    const char *why = admin_settings_check(&configuration->admin);
    if (why) {
        return mem_strdup(why);
    }
    error = check_tokens(&configuration->auth);
    if (error) {
        return error;
    }
    struct listeners *listeners =
        listeners_create(&(struct listeners_context){.configuration = configuration});
    error = listeners_add_configured(listeners);
    if (!error && configuration->map.cut_off == MAP_CUT_OFF_PEERS) {
        error = check_cut_off(configuration, listeners);
    }
    if (listeners_need_lobby(listeners)) {
        configuration->map.also = configuration->lobby.space;
    }
    listeners_destroy(&listeners);
    if (!error) {
        error = redis_target_parse(configuration->redis.url, &target);
    }
    redis_target_free(&target);
    return error;
}

int server_main(int argc, char *const *argv)
{
    struct configuration configuration;
    struct supervised *supervised = NULL;
    struct cmdline cmdline;
    int code = 2;
    standard_fds_open();
    signal(SIGPIPE, SIG_IGN);
    random_init();
    configuration_init(&configuration);
    char *error = cmdline_parse(&cmdline, argc, argv);
    bool asks = !error && (cmdline.mode == CMDLINE_HELP || cmdline.mode == CMDLINE_VERSION ||
                           cmdline.mode == CMDLINE_SAMPLE);
    if (!error && cmdline.is_worker) {
        error = workers_join(&supervised, &cmdline);
    }
    if (!error && !asks) {
        error = server_read_configuration(&configuration, &cmdline);
    }
    if (error) {
        fprintf(stderr, "trackerd: %s\n", error);
        free(error);
    } else {
        log_configure((enum log_level)configuration.server.log_level,
                      (enum log_format)configuration.server.log_format);
        configuration_warn_renamed(&configuration);
        code = run_mode(&configuration, cmdline.mode, supervised, argv);
    }
    configuration_free(&configuration);
    cmdline_free(&cmdline);
    supervised_destroy(&supervised);
    return code;
}
