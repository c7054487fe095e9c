/*
 * listeners: each has copies of the settings that its options may override. A reload updates the
 * copies in place, as connections read them when they use them.
 */
#include "server/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/list.h"
#include "base/mem.h"
#include "map/needs.h"
#include "server/combinations.h"
#include "server/listeners_private.h"
#include "server/option.h"

static const char standard_listeners[] =
    "tracker=127.0.0.1:6789 web=127.0.0.1:8080 sync=127.0.0.1:13372";

struct listeners *listeners_create(const struct listeners_context *context)
{
    struct listeners *listeners = mem_zalloc(1, sizeof *listeners);
    listeners->context = *context;
    list_init(&listeners->entries);
    return listeners;
}

static void free_listener_entry(struct listener_entry *entry)
{
    list_remove(&entry->link);
    listener_destroy(&entry->listener);
    if (entry->kind->close) {
        entry->kind->close(entry);
    }
    for (size_t i = 0; i < entry->option_count; i++) {
        free(entry->options[i].name);
        free(entry->options[i].value);
    }
    free(entry->options);
    listener_settings_free(&entry->settings);
    free(entry->where);
    free(entry->name);
    free(entry);
}

void listeners_destroy(struct listeners **listeners)
{
    if (!*listeners) {
        return;
    }
    while (!list_is_empty(&(*listeners)->entries)) {
        free_listener_entry(list_entry((*listeners)->entries.next, struct listener_entry, link));
    }
    free(*listeners);
    *listeners = NULL;
}

static const struct kind *find_kind(const char *name, size_t len)
{
    for (size_t i = 0; i < listener_kind_count; i++) {
        if (strlen(listener_kinds[i].name) == len && !strncmp(listener_kinds[i].name, name, len)) {
            return &listener_kinds[i];
        }
    }
    return NULL;
}

static char *unknown_kind(const char *specification, size_t len)
{
    struct writer known = {0};
    for (size_t i = 0; i < listener_kind_count; i++) {
        writer_format(&known, "%s%s", i ? ", " : "", listener_kinds[i].name);
    }
    char *error = mem_format("unknown kind of listener %.*s; known are %.*s", (int)len,
                             specification, (int)known.len, (const char *)known.data);
    writer_free(&known);
    return error;
}

/* Whether a list of names, separated by spaces or commas, has the name. */
static bool is_word_listed(const char *list, const char *name)
{
    size_t wanted = strlen(name), len;
    for (const char *at = list; *at; at += len + strspn(at + len, " ,")) {
        len = strcspn(at, " ,");
        if (len == wanted && !memcmp(at, name, len)) {
            return true;
        }
    }
    return false;
}

static char *set_listener_space(struct listener_entry *entry, const char *value)
{
    const struct configuration *configuration = entry->listeners->context.configuration;
    if (!entry->kind->has_space) {
        return mem_format("a %s listener has no space", entry->kind->name);
    }
    const bool known = is_word_listed(configuration->map.spaces, value) ||
                       (entry->kind->in_lobby && !strcmp(value, configuration->lobby.space));
    if (!id_is_space_name(value) || !known) {
        return mem_format("space %s is not one of map.spaces", value);
    }
    snprintf(entry->space, sizeof entry->space, "%s", value);
    return NULL;
}

static char *set_admin(struct listener_entry *entry, const char *value)
{
    if (!entry->kind->for_operators) {
        return mem_format("a %s listener has no option admin", entry->kind->name);
    }
    bool on = !strcmp(value, "on") || !strcmp(value, "true");
    if (!on && strcmp(value, "off") != 0 && strcmp(value, "false") != 0) {
        return mem_format("admin=%s: on or off is expected", value);
    }
    entry->admin = on;
    return NULL;
}

static char *unknown_option(const struct kind *kind, const char *option)
{
    const char *names[3] = {NULL};
    size_t count = 0;
    if (kind->has_space) {
        names[count++] = "space";
    }
    if (kind->for_operators) {
        names[count++] = "admin";
    }
    return option_refuse_unknown(option, kind->modules, kind->is_udp ? NULL : &net_config, names);
}

bool listener_kind_has_option(const struct kind *kind, const char *option)
{
    if (!kind->is_udp) {
        return listener_settings_has(kind->modules, option);
    }
    for (size_t i = 0; kind->modules[i]; i++) {
        if (config_has_option(kind->modules[i], option)) {
            return true;
        }
    }
    return false;
}

/* In the first module that has it, as in listener_settings_set. */
static void note_option(const struct listener_entry *entry, const char *name)
{
    for (size_t i = 0; entry->kind->modules[i]; i++) {
        if (config_has_option(entry->kind->modules[i], name)) {
            config_note_option(entry->listeners->context.configuration->config,
                               entry->kind->modules[i], name);
            return;
        }
    }
}

static char *apply_option(struct listener_entry *entry, const struct option *option)
{
    const struct kind *kind = entry->kind;
    if (!strcmp(option->name, "space")) {
        return set_listener_space(entry, option->value);
    }
    if (!strcmp(option->name, "admin")) {
        return set_admin(entry, option->value);
    }
    if (!listener_kind_has_option(kind, option->name)) {
        return unknown_option(kind, option->name);
    }
    note_option(entry, option->name);
    return listener_settings_set(&entry->settings, kind->modules, option->name, option->value);
}

/* ",option=value,option=value"; modifies the text. */
static char *take_options(struct listener_entry *entry, char *text)
{
    size_t most = 1;
    for (const char *at = text; *at; at++) {
        most += *at == ',';
    }
    entry->options = mem_zalloc(most, sizeof *entry->options);
    for (char *saved = NULL, *one = strtok_r(text, ",", &saved); one;
         one = strtok_r(NULL, ",", &saved)) {
        char *equals = strchr(one, '=');
        if (!equals) {
            return mem_format("listener option %s has no value", one);
        }
        *equals = 0;
        struct option *option = &entry->options[entry->option_count++];
        option->name = mem_strdup(one);
        option->value = mem_strdup(equals + 1);
        char *error = apply_option(entry, option);
        if (error) {
            return error;
        }
    }
    return NULL;
}

/* Whether one of its options, or the configuration, sets it. */
static bool is_option_given(const void *arg, const char *key)
{
    const struct listener_entry *entry = arg;
    for (size_t i = 0; i < entry->option_count; i++) {
        const char *name = entry->options[i].name, *dot = strchr(key, '.');
        if (!strcmp(name, key) || !strcmp(name, dot + 1)) {
            return true;
        }
    }
    return config_is_given(entry->listeners->context.configuration->config, key);
}

static bool has_module(const struct kind *kind, const struct config_module *module)
{
    for (size_t i = 0; kind->modules[i]; i++) {
        if (kind->modules[i] == module) {
            return true;
        }
    }
    return false;
}

static struct combinations_scope scope_of(const struct listener_entry *entry)
{
    const bool is_websocket = has_module(entry->kind, &websocket_config);
    return (struct combinations_scope){.is_websocket = is_websocket,
                                       .is_tcp = !is_websocket && !entry->kind->is_udp,
                                       .is_master = entry->kind->is_udp,
                                       .is_given = is_option_given,
                                       .arg = entry};
}

char *listener_entry_check(const struct listener_entry *entry,
                           const struct configuration *configuration,
                           struct listener_settings *settings)
{
    const struct combinations_scope scope = scope_of(entry);
    const struct net_settings *net = &settings->net;
    combinations_fit_listener(&configuration->map, false, &scope, settings);
    const char *why = entry->kind->check ? entry->kind->check(settings) : NULL;
    if (net->tls && !(*net->tls_certificate && *net->tls_key)) {
        why = "tls needs tls_certificate and tls_key";
    }
    if (why) {
        return mem_strdup(why);
    }
    return combinations_check_listener(&configuration->map, &scope, settings);
}

void listener_entry_fit(const struct listener_entry *entry, struct listener_settings *settings)
{
    const struct listeners_context *context = &entry->listeners->context;
    const struct combinations_scope scope = scope_of(entry);
    const struct map_settings *map =
        context->map ? map_settings_of(context->map) : &context->configuration->map;
    combinations_fit_listener(map, context->map, &scope, settings);
}

static unsigned count_named(const struct listeners *listeners, const char *name)
{
    unsigned count = 0;
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        count += !strcmp(entry->name, name);
    }
    return count;
}

char *listeners_add(struct listeners *listeners, const char *specification)
{
    size_t kind_len = strcspn(specification, "=");
    const struct kind *kind = find_kind(specification, kind_len);
    if (!kind) {
        return unknown_kind(specification, kind_len);
    }
    if (!specification[kind_len] || !specification[kind_len + 1]) {
        return mem_format("%s: an address is missing, as in %s=127.0.0.1:0", specification,
                          kind->name);
    }
    struct listener_entry *entry = mem_zalloc(1, sizeof *entry);
    entry->listeners = listeners;
    entry->kind = kind;
    entry->admin = true;
    listener_settings_copy(&entry->settings, listeners->context.configuration);
    char *rest = mem_strdup(specification + kind_len + 1);
    char *comma = strchr(rest, ',');
    if (comma) {
        *comma = 0;
    }
    entry->where = mem_strdup(rest);
    entry->name = mem_format("%s=%s", kind->name, rest);
    entry->nth = count_named(listeners, entry->name);
    list_append(&listeners->entries, &entry->link);
    char *error = comma ? take_options(entry, comma + 1) : NULL;
    free(rest);
    if (!error) {
        error = listener_entry_check(entry, listeners->context.configuration, &entry->settings);
    }
    if (!error) {
        error = kind->is_udp ? udp_check(entry->where) : listener_check(entry->where);
    }
    if (error) {
        char *whole = mem_format("listen: %s: %s", specification, error);
        free(error);
        error = whole;
    }
    return error;
}

static char *add_words(struct listeners *listeners, const char *words)
{
    char *text = mem_strdup(words), *error = NULL;
    for (char *saved = NULL, *one = strtok_r(text, " \t", &saved); one && !error;
         one = strtok_r(NULL, " \t", &saved)) {
        error = listeners_add(listeners, one);
    }
    free(text);
    return error;
}

char *listeners_add_configured(struct listeners *listeners)
{
    char *error = add_words(listeners, listeners->context.configuration->server.listen);
    if (!error && list_is_empty(&listeners->entries)) {
        error = add_words(listeners, standard_listeners);
    }
    return error;
}

void listeners_declare_needs(const struct listeners *listeners)
{
    struct map *map = listeners->context.map;

    map_need(map, MAP_NEED_BANS);
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->kind->invites) {
            map_need(map, MAP_NEED_INVITATIONS);
        }
        if (entry->kind->is_udp) {
            map_need(map, MAP_NEED_REGISTRATIONS);
            if (*listeners->context.configuration->q3master.secret == '\0') {
                map_need(map, MAP_NEED_SECRET);
            }
        }
    }
}

bool listeners_need_lobby(const struct listeners *listeners)
{
    LIST_FOREACH (node, &listeners->entries) {
        if (list_entry(node, struct listener_entry, link)->kind->in_lobby) {
            return true;
        }
    }
    return false;
}

bool listeners_can_be_asked(const struct listeners *listeners)
{
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->kind->for_operators && !entry->settings.net.proxy && !entry->settings.net.tls &&
            strncmp(entry->where, "unix:", 5) != 0) {
            return true;
        }
    }
    return false;
}
