/* listeners_open: opens the listeners, and what then happens to all of them together. */
#include "server/listeners.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "protocol/session/bans.h"
#include "server/listeners_private.h"

/* The lobby accepts banned addresses briefly, in order to send the reason. */
static bool is_banned(void *arg, const struct address *peer)
{
    const struct listener_entry *entry = arg;
    const struct bans *bans = entry->listeners->context.bans;
    return bans && !entry->kind->in_lobby && bans_hold_for_all(bans, peer);
}

static const char *admit_connection(void *arg, const struct address *peer)
{
    struct listener_entry *entry = arg;
    const struct listeners_context *context = &entry->listeners->context;
    if (entry->listeners->refusal && !entry->kind->for_operators) {
        return entry->listeners->refusal;
    }
    if (is_banned(entry, peer)) {
        return "banned";
    }
    return context->admit(context->arg, peer);
}

static char *listen_on(struct listener_entry *entry)
{
    const struct listeners_context *context = &entry->listeners->context;
    char *error = NULL;
    int fd = -1;
    listener_entry_fit(entry, &entry->settings);
    if (context->supervised) {
        fd = supervised_take_socket(context->supervised, entry->name, entry->nth);
        if (fd < 0) {
            return mem_strdup("the supervisor has no socket for it: restart the supervisor");
        }
    }
    if (entry->kind->bind) {
        return entry->kind->bind(entry, fd);
    }
    entry->callbacks =
        (struct listener_callbacks){.admit = admit_connection, .accepted = entry->kind->accepted};
    if (entry->kind->open) {
        entry->kind->open(entry);
    }
    entry->listener = listener_inherit(context->net, entry->where, fd, &entry->settings.net,
                                       &entry->callbacks, entry, &error);
    return error;
}

char *listener_entry_name_error(const struct listener_entry *entry, char *error)
{
    if (!error) {
        return NULL;
    }
    char *whole = mem_format("%s=%s: %s", entry->kind->name, entry->where, error);
    free(error);
    return whole;
}

char *listeners_open(struct listeners *listeners)
{
    char *error = NULL;
    LIST_FOREACH (node, &listeners->entries) {
        if (!error) {
            struct listener_entry *entry = list_entry(node, struct listener_entry, link);
            error = listener_entry_name_error(entry, listen_on(entry));
        }
    }
    return error;
}

void listeners_close_connections(struct listeners *listeners, bool all)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->listener && (all || !entry->kind->for_operators)) {
            listener_close_connections(entry->listener, CONN_CLOSE_DRAIN);
        } else if (entry->web) {
            web_end_sessions(entry->web);
        }
    }
}

void listeners_close_banned(struct listeners *listeners)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->listener && !entry->kind->in_lobby) {
            listener_close_chosen(entry->listener, is_banned, entry, CONN_CLOSE_BANNED);
        }
    }
}

void listeners_stop(struct listeners *listeners, bool all)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->listener && (all || !entry->kind->for_operators)) {
            listener_stop(entry->listener);
        }
        if (entry->kind->is_udp) {
            entry->kind->close(entry);
        }
        if (entry->web) {
            web_refuse_upgrades(entry->web, "draining");
        }
    }
}

void listeners_adopt(struct listeners *listeners, const char *name, unsigned nth, int fd,
                     unsigned from)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->nth != nth || strcmp(entry->name, name) != 0) {
            continue;
        }
        if (entry->listener) {
            listener_adopt(entry->listener, fd, from);
            return;
        }
        if (entry->q3master) {
            udp_adopt(q3master_port_udp(entry->q3master), fd, from);
            return;
        }
    }
    close(fd);
}

void listeners_release(struct listeners *listeners, unsigned from)
{
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->listener) {
            listener_release(entry->listener, from);
        } else if (entry->q3master) {
            udp_release(q3master_port_udp(entry->q3master), from);
        }
    }
}

void listeners_refuse_clients(struct listeners *listeners, const char *why)
{
    listeners->refusal = why;
    LIST_FOREACH (node, &listeners->entries) {
        struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        if (entry->web) {
            web_refuse_upgrades(entry->web, why);
        }
    }
}

void listeners_describe(const struct listeners *listeners, struct writer *to)
{
    LIST_FOREACH (node, &listeners->entries) {
        const struct listener_entry *entry = list_entry(node, struct listener_entry, link);
        writer_format(to, "%s%s=%s", to->len ? "," : "", entry->kind->name,
                      entry->listener   ? listener_where(entry->listener)
                      : entry->q3master ? q3master_port_where(entry->q3master)
                                        : entry->where);
    }
}
