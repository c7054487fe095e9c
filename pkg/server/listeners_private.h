/*
 * listeners_private: what listeners.c, listeners_reload.c and listener_kinds.c share: a listener
 * with its settings, and what makes its kind different from the others.
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
    bool for_operators; /* goes on while the front-end drains */
    bool has_space;
    bool in_lobby; /* its space is the lobby's unless said otherwise */
    bool invites;  /* turntable is spoken there */
    bool is_udp;   /* it has no connections: bind opens it instead of net */
    /* Whose settings may be options, before net's: the first that has one of the name. Of udp:
     * without net's. */
    const struct config_module *const *modules;
    /* NULL, or why it cannot be with these settings (static text). May be NULL. */
    const char *(*check)(const struct listener_settings *settings);
    void (*open)(struct listener_entry *entry);
    char *(*bind)(struct listener_entry *entry); /* NULL, or what is wrong (the caller frees) */
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
    const char *turned_away; /* why clients are; NULL: they are served */
};

/* In the order in which they are named to users. */
extern const struct kind listener_kinds[];
extern const size_t listener_kind_count;

/* Whether a listener of the kind has an option of that name, other than space and admin. */
bool listener_kind_has_option(const struct kind *kind, const char *option);
/* What is wrong with settings that are good one by one, or NULL; the caller frees it. Fits defaults
 * to what is configured. */
char *listener_entry_check(const struct listener_entry *entry,
                           const struct configuration *configuration,
                           struct listener_settings *settings);
/* Fits defaults to what is in force, which others may have changed. */
void listener_entry_fit(const struct listener_entry *entry, struct listener_settings *settings);
/* The error with the listener's name before it, in its place; NULL of NULL. */
char *listener_entry_name_error(const struct listener_entry *entry, char *error);

#endif
