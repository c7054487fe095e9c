/* configuration: one table row per module. */
#include "server/configuration.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/combinations.h"

/* Every module with its struct, in the order of --help and the sample. */
static const struct {
    const struct config_module *module;
    size_t offset;
} modules[] = {
    {&server_config, offsetof(struct configuration, server)},
    {&net_config, offsetof(struct configuration, net)},
    {&budget_config, offsetof(struct configuration, budget)},
    {&http_config, offsetof(struct configuration, http)},
    {&websocket_config, offsetof(struct configuration, websocket)},
    {&udp_config, offsetof(struct configuration, udp)},
    {&admin_config, offsetof(struct configuration, admin)},
    {&redis_config, offsetof(struct configuration, redis)},
    {&map_config, offsetof(struct configuration, map)},
    {&tracker_config, offsetof(struct configuration, tracker)},
    {&turntable_config, offsetof(struct configuration, turntable)},
    {&sync_config, offsetof(struct configuration, sync)},
    {&lobby_config, offsetof(struct configuration, lobby)},
    {&q3master_config, offsetof(struct configuration, q3master)},
    {&auth_config, offsetof(struct configuration, auth)},
};

/* The modules whose settings a listener may override, with their offset in its copy. */
static const struct {
    const struct config_module *module;
    size_t from, to;
} copies[] = {
    {&net_config, offsetof(struct configuration, net), offsetof(struct listener_settings, net)},
    {&http_config, offsetof(struct configuration, http), offsetof(struct listener_settings, http)},
    {&websocket_config, offsetof(struct configuration, websocket),
     offsetof(struct listener_settings, websocket)},
    {&tracker_config, offsetof(struct configuration, tracker),
     offsetof(struct listener_settings, tracker)},
    {&turntable_config, offsetof(struct configuration, turntable),
     offsetof(struct listener_settings, turntable)},
    {&sync_config, offsetof(struct configuration, sync), offsetof(struct listener_settings, sync)},
    {&lobby_config, offsetof(struct configuration, lobby),
     offsetof(struct listener_settings, lobby)},
    {&q3master_config, offsetof(struct configuration, q3master),
     offsetof(struct listener_settings, q3master)},
    {&udp_config, offsetof(struct configuration, udp), offsetof(struct listener_settings, udp)},
};

#define MODULES (sizeof modules / sizeof *modules)
#define COPIES  (sizeof copies / sizeof *copies)

void configuration_init(struct configuration *configuration)
{
    memset(configuration, 0, sizeof *configuration);
    configuration->config = config_create();
    for (size_t i = 0; i < MODULES; i++) {
        config_add(configuration->config, modules[i].module,
                   (char *)configuration + modules[i].offset);
    }
}

void configuration_free(struct configuration *configuration)
{
    config_destroy(&configuration->config);
    for (size_t i = 0; i < MODULES; i++) {
        config_free_values(modules[i].module, (char *)configuration + modules[i].offset);
    }
}

char *configuration_load(struct configuration *configuration, const struct cmdline *cmdline)
{
    char *error = NULL;
    configuration->cmdline = cmdline;
    if (cmdline->config) {
        error = config_load_file(configuration->config, cmdline->config);
    }
    if (!error) {
        error = config_load_environment(configuration->config, environ);
    }
    for (size_t i = 0; !error && i < cmdline->assignment_count; i++) {
        error = config_set(configuration->config, cmdline->assignments[i]);
    }
    if (!error) {
        combinations_derive(configuration);
    }
    return error;
}

static void log_change(void *arg, const char *key, bool applied)
{
    log_info("setting_changed", LOG_STRING("key", key),
             LOG_STRING("applied", applied ? "now" : "after a restart"));
}

char *configuration_reload(struct configuration *configuration)
{
    const struct cmdline *cmdline = configuration->cmdline;
    return config_reload(configuration->config, cmdline->config, environ,
                         (const char *const *)cmdline->assignments, cmdline->assignment_count,
                         log_change, NULL);
}

/* Settings that have no effect any more, accepted for one release. */
static const struct config_rename obsolete[] = {
    {"tracker.address_rate", "budget.address_rate"},
    {"tracker.address_burst", "budget.address_burst"},
};

void configuration_warn_renamed(const struct configuration *configuration)
{
    const struct config_rename *rename;
    for (size_t i = 0; i < sizeof obsolete / sizeof *obsolete; i++) {
        if (config_is_given(configuration->config, obsolete[i].former) ||
            config_is_option(configuration->config, obsolete[i].former)) {
            log_warn("setting_obsolete", LOG_STRING("key", obsolete[i].former),
                     LOG_STRING("instead", obsolete[i].key));
        }
    }
    for (size_t i = 0; (rename = config_renamed(configuration->config, i)); i++) {
        log_warn("setting_renamed", LOG_STRING("key", rename->former),
                 LOG_STRING("now", rename->key));
    }
}

void listener_settings_copy(struct listener_settings *to, const struct configuration *from)
{
    for (size_t i = 0; i < COPIES; i++) {
        config_copy_values(copies[i].module, (const char *)from + copies[i].from,
                           (char *)to + copies[i].to);
    }
}

void listener_settings_free(struct listener_settings *settings)
{
    for (size_t i = 0; i < COPIES; i++) {
        config_free_values(copies[i].module, (char *)settings + copies[i].to);
    }
}

bool listener_settings_has(const struct config_module *const *own, const char *option)
{
    for (; *own; own++) {
        if (config_has_option(*own, option)) {
            return true;
        }
    }
    return config_has_option(&net_config, option);
}

static void *values_of(struct listener_settings *settings, const struct config_module *module)
{
    for (size_t i = 0; i < COPIES; i++) {
        if (copies[i].module == module) {
            return (char *)settings + copies[i].to;
        }
    }
    return NULL;
}

char *listener_settings_set(struct listener_settings *settings,
                            const struct config_module *const *own, const char *option,
                            const char *value)
{
    for (; *own; own++) {
        if (config_has_option(*own, option)) {
            return config_override(*own, values_of(settings, *own), option, value);
        }
    }
    return config_override(&net_config, &settings->net, option, value);
}
