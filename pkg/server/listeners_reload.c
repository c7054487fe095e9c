/* listeners_reload: checks and updates the settings of open listeners. */
#include "server/listeners.h"

#include <stdlib.h>

#include "server/listeners_private.h"

/* The configuration's values, overridden by this listener's options. The options were valid at the
 * start, but a file that one of them names may not be any more. On an error *to is freed. */
static char *derive_settings(const struct listener_entry *entry,
                             const struct configuration *configuration,
                             struct listener_settings *to)
{
    const struct config_module *const *own = entry->kind->modules;
    char *error = NULL;
    listener_settings_copy(to, configuration);
    for (size_t i = 0; i < entry->option_count && !error; i++) {
        const struct option *option = &entry->options[i];
        if (listener_kind_has_option(entry->kind, option->name)) {
            error = listener_settings_set(to, own, option->name, option->value);
        }
    }
    if (error) {
        listener_settings_free(to);
    }
    return error;
}

static char *check_listener_entry(const struct listener_entry *entry,
                                  const struct configuration *configuration)
{
    struct listener_settings settings;
    char *error = derive_settings(entry, configuration, &settings);
    if (error) {
        return error;
    }
    error = listener_entry_check(entry, configuration, &settings);
    if (!error && entry->listener) {
        error = listener_check_tls(entry->listener, &settings.net);
    }
    listener_settings_free(&settings);
    return error;
}

/* Updates the settings that the listener reads; on an error it keeps the previous ones. */
static char *reload_entry(struct listener_entry *entry)
{
    struct listener_settings settings;
    char *error = derive_settings(entry, entry->listeners->context.configuration, &settings);
    if (error) {
        return error;
    }
    listener_entry_fit(entry, &settings);
    listener_settings_free(&entry->settings);
    entry->settings = settings;
    if (entry->q3master) {
        q3master_port_reload(entry->q3master);
    }
    return entry->listener ? listener_reload_tls(entry->listener) : NULL;
}

void listeners_fit(struct listeners *listeners)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        struct listener_settings settings;
        char *error = derive_settings(entry, listeners->context.configuration, &settings);
        if (!error) {
            listener_entry_fit(entry, &settings);
            entry->settings.websocket.ping_interval = settings.websocket.ping_interval;
            entry->settings.net.keepalive = settings.net.keepalive;
            entry->settings.net.keepalive_interval = settings.net.keepalive_interval;
            listener_settings_free(&settings);
        }
        free(error);
    }
}

char *listeners_check(const struct listeners *listeners, const struct configuration *configuration)
{
    char *error = NULL;
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (!error) {
            error = listener_entry_name_error(entry, check_listener_entry(entry, configuration));
        }
    }
    return error;
}

char *listeners_reload(struct listeners *listeners)
{
    char *first = NULL;
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        char *error = listener_entry_name_error(entry, reload_entry(entry));
        if (first) {
            free(error);
        } else {
            first = error;
        }
    }
    return first;
}
