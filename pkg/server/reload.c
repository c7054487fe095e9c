/*
 * reload: reads the settings again while connections stay open. All or nothing: they are read and
 * checked in a copy first, with every file that they name, and an error changes nothing and is
 * logged. Only if a file changes between the check and its use does a listener keep its old
 * settings.
 */
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "server/server_private.h"

char *server_read_access(struct server *server)
{
    const struct server_settings *settings = &server->configuration->server;
    char *error = NULL;
    struct access_list *list =
        access_list_create(settings->access_allow, settings->access_deny, &error);
    if (!list) {
        return error;
    }
    access_list_destroy(&server->access);
    server->access = list;
    return NULL;
}

static char *check_new_configuration(const struct server *server)
{
    struct configuration next;
    configuration_init(&next);
    char *error = server_read_configuration(&next, server->configuration->cmdline);
    if (!error) {
        error = listeners_check(server->listeners, &next);
    }
    configuration_free(&next);
    return error;
}

static char *reload_configuration(struct server *server)
{
    char *error = check_new_configuration(server);
    if (!error) {
        error = configuration_reload(server->configuration);
    }
    if (!error) {
        error = server_read_access(server);
    }
    if (!error) {
        error = auth_verifier_reload(server->tokens, &server->configuration->auth);
    }
    if (error) {
        log_error("reload_refused", LOG_STRING("err", error));
        return error;
    }
    map_settings_changed(server->map);
    q3master_service_reload(server->q3master);
    bans_set(server->bans, server->configuration->lobby.bans);
    log_configure((enum log_level)server->configuration->server.log_level,
                  (enum log_format)server->configuration->server.log_format);
    loop_set_slow(server->loop, (uint64_t)server->configuration->server.slow_iteration);
    configuration_warn_renamed(server->configuration);
    error = listeners_reload(server->listeners);
    if (error) {
        log_error("reload_incomplete", LOG_STRING("err", error));
    } else {
        log_info("reloaded", LOG_STRING("config", server->configuration->cmdline->config));
    }
    return error;
}

char *server_reload(struct server *server)
{
    if (server->state != SERVER_SERVING) {
        return reload_configuration(server);
    }
    sd_notify(0, "RELOADING=1");
    char *error = reload_configuration(server);
    sd_notify(0, "READY=1");
    return error;
}

void server_reload_signal(void *arg)
{
    free(server_reload(arg));
}
