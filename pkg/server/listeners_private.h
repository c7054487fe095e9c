/*
 * listeners_private: shared by listeners.c, listeners_open.c, listeners_reload.c and
 * listener_kinds.c: a listener with its settings, and the properties of its kind.
 */
#ifndef SERVER_LISTENERS_PRIVATE_H
#define SERVER_LISTENERS_PRIVATE_H

#include "base/list.h"
#include "server/listeners.h"
#include "server/web.h"

struct listener_entry;

/* A kind of listener. */
struct kind {
    const char *name;
    bool for_operators; /* stays open while the front-end drains */
    bool has_space;
    bool in_lobby; /* its default space is the lobby's */
    bool invites;  /* serves turntable */
    bool is_udp;   /* has no connections: bind opens it instead of net */
    /* The modules whose settings may be options, in order of precedence, followed by net; for UDP
     * without net. */
    const struct config_module *const *modules;
    /* NULL, or why these settings are invalid (static text). May be NULL. */
    const char *(*check)(const struct listener_settings *settings);
    void (*open)(struct listener_entry *entry);
    /* fd: the open socket, which it owns then; -1: none. NULL, or the error (the caller frees). */
    char *(*bind)(struct listener_entry *entry, int fd);
    void (*close)(struct listener_entry *entry);
    void (*accepted)(void *entry, struct conn *conn);
};

struct option {
    char *name;
    char *value;
};

struct listener_entry {
    struct list link;
    struct listeners *listeners;
    const struct kind *kind;
    char *where;
    char *name;   /* KIND=ADDRESS, as it was given */
    unsigned nth; /* of those with that name, from 0 on */
    char space[33];
    bool admin;
    struct option *options;
    size_t option_count;
    struct listener_settings settings;
    struct listener_callbacks callbacks;
    struct listener *listener;
    struct tracker_port *tracker;
    struct web *web;
    struct lobby_port *lobby;
    struct q3master_port *q3master;
};

struct listeners {
    struct listeners_context context;
    struct list entries;
    const char *refusal; /* why clients are refused; NULL: they are served */
};

/* In the order of the documentation. */
extern const struct kind listener_kinds[];
extern const size_t listener_kind_count;

/* Whether a listener of the kind has an option of that name, other than space and admin. */
bool listener_kind_has_option(const struct kind *kind, const char *option);
/* Adapts defaults to configured values. NULL, or the error of settings that are valid one by one
 * but not together (the caller frees). */
char *listener_entry_check(const struct listener_entry *entry,
                           const struct configuration *configuration,
                           struct listener_settings *settings);
/* Adapts settings to the shared settings in force. */
void listener_entry_fit(const struct listener_entry *entry, struct listener_settings *settings);
/* Prefixes the error with the listener's name (consumes it); NULL for NULL. */
char *listener_entry_name_error(const struct listener_entry *entry, char *error);

#endif
