/*
 * listener_kinds: the kinds of listeners: their protocols, checks and options.
 */
#include "server/listeners_private.h"

static void open_tracker(struct listener_entry *entry)
{
    const struct listeners_context *context = &entry->listeners->context;
    struct map_space *space = map_space_find(context->map, entry->space);
    entry->tracker = tracker_port_create(context->tracker, space, &entry->settings.tracker);
}

static void close_tracker(struct listener_entry *entry)
{
    if (entry->tracker) {
        tracker_port_destroy(&entry->tracker);
    }
}

static void accepted_tracker(void *arg, struct conn *conn)
{
    struct listener_entry *entry = arg;
    tracker_serve(entry->tracker, conn);
}

static void open_web(struct listener_entry *entry)
{
    const struct listeners_context *context = &entry->listeners->context;
    entry->web = web_create(context, &entry->settings, entry->space,
                            entry->admin ? context->admin : context->bare);
}

static const char *check_turntable(const struct listener_settings *settings)
{
    return turntable_settings_check(&settings->turntable);
}

static void open_protocol(struct listener_entry *entry)
{
    entry->web = web_create_for(&entry->listeners->context, &entry->settings, entry->space,
                                entry->kind->name);
}

static void close_web(struct listener_entry *entry)
{
    web_destroy(&entry->web);
}

static void accepted_web(void *arg, struct conn *conn)
{
    struct listener_entry *entry = arg;
    web_serve(entry->web, conn);
}

static const char *check_lobby_for_both(const struct listener_settings *settings)
{
    return lobby_settings_check(&settings->lobby, LOBBY_FOR_BOTH);
}

static const char *check_lobby_for_servers(const struct listener_settings *settings)
{
    return lobby_settings_check(&settings->lobby, LOBBY_FOR_SERVERS);
}

static void open_lobby(struct listener_entry *entry, enum lobby_role role)
{
    const struct listeners_context *context = &entry->listeners->context;
    const char *name = entry->space[0] ? entry->space : context->configuration->lobby.space;
    entry->lobby = lobby_port_create(context->lobby, map_space_find(context->map, name), role,
                                     &entry->settings.lobby);
}

static void open_lobby_for_both(struct listener_entry *entry)
{
    open_lobby(entry, LOBBY_FOR_BOTH);
}

static void open_lobby_for_servers(struct listener_entry *entry)
{
    open_lobby(entry, LOBBY_FOR_SERVERS);
}

static void open_lobby_for_clients(struct listener_entry *entry)
{
    open_lobby(entry, LOBBY_FOR_CLIENTS);
}

static void close_lobby(struct listener_entry *entry)
{
    lobby_port_destroy(&entry->lobby);
}

static void accepted_lobby(void *arg, struct conn *conn)
{
    struct listener_entry *entry = arg;
    lobby_serve(entry->lobby, conn);
}

static const char *check_q3master(const struct listener_settings *settings)
{
    return q3master_settings_check(&settings->q3master);
}

static char *bind_q3master(struct listener_entry *entry, int fd)
{
    const struct listeners_context *context = &entry->listeners->context;
    const char *name = entry->space[0] ? entry->space : context->configuration->lobby.space;
    char *error = NULL;
    entry->q3master =
        q3master_port_create(context->q3master, map_space_find(context->map, name), entry->where,
                             fd, &entry->settings.q3master, &entry->settings.udp, &error);
    return error;
}

static void close_q3master(struct listener_entry *entry)
{
    q3master_port_destroy(&entry->q3master);
}

static const struct config_module *const tracker_modules[] = {&tracker_config, NULL};
static const struct config_module *const web_modules[] = {
    &http_config, &websocket_config, &tracker_config, &turntable_config, &sync_config, NULL};
static const struct config_module *const turntable_modules[] = {&turntable_config, &http_config,
                                                                &websocket_config, NULL};
static const struct config_module *const sync_modules[] = {&sync_config, &http_config,
                                                           &websocket_config, NULL};

static const struct config_module *const lobby_modules[] = {&lobby_config, NULL};
static const struct config_module *const q3master_modules[] = {&q3master_config, &udp_config, NULL};

const struct kind listener_kinds[] = {
    {"tracker", .has_space = true, .modules = tracker_modules, .open = open_tracker,
     .close = close_tracker, .accepted = accepted_tracker},
    {"web", .for_operators = true, .has_space = true, .invites = true, .modules = web_modules,
     .check = check_turntable, .open = open_web, .close = close_web, .accepted = accepted_web},
    {"turntable", .has_space = true, .invites = true, .modules = turntable_modules,
     .check = check_turntable, .open = open_protocol, .close = close_web, .accepted = accepted_web},
    {"sync", .has_space = true, .modules = sync_modules, .open = open_protocol, .close = close_web,
     .accepted = accepted_web},
    {"lobby", .has_space = true, .in_lobby = true, .modules = lobby_modules,
     .check = check_lobby_for_both, .open = open_lobby_for_both, .close = close_lobby,
     .accepted = accepted_lobby},
    {"lobby-servers", .has_space = true, .in_lobby = true, .modules = lobby_modules,
     .check = check_lobby_for_servers, .open = open_lobby_for_servers, .close = close_lobby,
     .accepted = accepted_lobby},
    {"lobby-clients", .has_space = true, .in_lobby = true, .modules = lobby_modules,
     .open = open_lobby_for_clients, .close = close_lobby, .accepted = accepted_lobby},
    {"q3master", .has_space = true, .in_lobby = true, .is_udp = true, .modules = q3master_modules,
     .check = check_q3master, .bind = bind_q3master, .close = close_q3master},
};

const size_t listener_kind_count = sizeof listener_kinds / sizeof *listener_kinds;
