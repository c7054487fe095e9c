/*
 * server_list: the player's side of the lobby protocol.
 *
 * Each server is stored as one line and its parsed message, which borrows from that line.
 */
#include "client/server_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "client/lobby_link_private.h"

struct server_entry {
    UT_hash_handle hh; /* by id, which is its message's */
    struct writer line;
    struct lobby_message message; /* one server */
    unsigned seen_in; /* number of the last list that had it, or that preceded its update */
};

struct server_list {
    struct lobby_link link;
    const struct server_list_events *events;
    void *arg;
    struct server_entry *entries;
    unsigned list_number; /* the tracker sends a list at first, and again after a backlog */
    bool complete;
    bool in_list; /* more messages of this list follow */
    bool destroyed;
};

static const struct lobby_server *server_of(const struct server_entry *entry)
{
    return &entry->message.servers[0];
}

static struct server_entry *find_server_entry(const struct server_list *list, struct bytes id)
{
    struct server_entry *entry = NULL;
    HASH_FIND(hh, list->entries, id.data, id.len, entry);
    return entry;
}

static void free_server_entry(struct server_entry *entry)
{
    lobby_message_free(&entry->message);
    writer_free(&entry->line);
    free(entry);
}

static void notify_server_change(struct server_list *list, enum server_list_change change,
                                 const struct server_entry *entry)
{
    if (list->events->changed) {
        list->events->changed(list->arg, change, server_of(entry));
    }
}

/* A copy that owns its memory; NULL when the server does not fit a line. */
static struct server_entry *copy_server_entry(const struct lobby_server *server)
{
    static const struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;
    struct lobby_limits generous = limits;
    struct lobby_error error = {0};
    struct server_entry *entry = mem_zalloc(1, sizeof *entry);
    lobby_write_change(&entry->line, LOBBY_UP, server);
    generous.json.bytes = entry->line.len + 1;
    struct lobby_line line = lobby_read_line(writer_bytes_written(&entry->line), entry->line.len);
    if (entry->line.failed || line.outcome != LOBBY_LINE_WHOLE ||
        !lobby_read(line.text, LOBBY_FROM_TRACKER, &generous, &entry->message, &error)) {
        writer_free(&entry->line);
        free(entry);
        return NULL;
    }
    return entry;
}

static void update_server_entry(struct server_list *list, const struct lobby_server *server)
{
    struct server_entry *old = find_server_entry(list, server->id),
                        *entry = copy_server_entry(server);
    if (!entry) {
        return;
    }
    entry->seen_in = list->list_number;
    if (old && bytes_equal(writer_bytes_written(&old->line), writer_bytes_written(&entry->line))) {
        old->seen_in = list->list_number;
        free_server_entry(entry);
        return;
    }
    if (old) {
        HASH_DEL(list->entries, old);
    }
    HASH_ADD_KEYPTR(hh, list->entries, server_of(entry)->id.data, server_of(entry)->id.len, entry);
    notify_server_change(list, old ? SERVER_LIST_UPDATED : SERVER_LIST_ADDED, entry);
    if (old) {
        free_server_entry(old);
    }
}

static void drop_server_entry(struct server_list *list, struct server_entry *entry)
{
    HASH_DEL(list->entries, entry);
    notify_server_change(list, SERVER_LIST_REMOVED, entry);
    free_server_entry(entry);
}

/* Removes servers that the new list does not have. */
static void drop_unlisted_servers(struct server_list *list)
{
    struct server_entry *entry, *next;
    const unsigned generation = list->link.wire.generation;
    HASH_ITER (hh, list->entries, entry, next) {
        if (entry->seen_in == list->list_number) {
            continue;
        }
        drop_server_entry(list, entry);
        /* The callback may have destroyed the list, or stopped it. */
        if (list->destroyed || list->link.wire.generation != generation) {
            return;
        }
    }
}

static void handle_server_list(struct server_list *list, const struct lobby_message *message)
{
    const unsigned generation = list->link.wire.generation;
    if (!list->link.logged_in) {
        lobby_link_accept_login(&list->link);
    }
    if (!list->in_list) {
        list->list_number++;
    }
    list->in_list = message->more;
    for (size_t i = 0; i < message->server_count; i++) {
        update_server_entry(list, &message->servers[i]);
        if (list->link.wire.generation != generation) {
            return;
        }
    }
    if (message->more) {
        return;
    }
    drop_unlisted_servers(list);
    if (list->link.wire.generation != generation) {
        return;
    }
    list->complete = true;
    if (list->events->completed) {
        list->events->completed(list->arg);
    }
}

static void on_message(void *arg, const struct lobby_message *message)
{
    struct server_list *list = arg;
    if (message->type == LOBBY_SERVERS) {
        handle_server_list(list, message);
    } else if (message->type == LOBBY_UP || message->type == LOBBY_CHANGED) {
        update_server_entry(list, &message->servers[0]);
    } else if (message->type == LOBBY_DOWN) {
        struct server_entry *entry = find_server_entry(list, message->servers[0].id);
        if (entry) {
            drop_server_entry(list, entry);
        }
    } else if (message->type == LOBBY_ERROR && list->events->refused) {
        list->events->refused(list->arg, lobby_code_parse(message->code), message->reason);
    }
}

static void on_up(void *arg)
{
    struct server_list *list = arg;
    list->complete = list->in_list = false;
    lobby_write_login(&list->link.wire.out);
    lobby_link_send(&list->link);
}

static void on_server_list_down(void *arg, const char *reason)
{
    struct server_list *list = arg;
    list->complete = false;
    if (list->events->disconnected) {
        list->events->disconnected(list->arg, reason);
    }
}

static void on_release(void *arg)
{
    struct server_list *list = arg;
    struct server_entry *entry, *next;
    HASH_ITER (hh, list->entries, entry, next) {
        HASH_DEL(list->entries, entry);
        free_server_entry(entry);
    }
    free(list);
}

static const struct lobby_link_events link_events = {
    .up = on_up, .message = on_message, .down = on_server_list_down, .release = on_release};

struct server_list *server_list_create(struct loop *loop, const struct lobby_options *options,
                                       const struct server_list_events *events, void *arg,
                                       char **error)
{
    struct server_list *list = mem_zalloc(1, sizeof *list);
    *error = lobby_link_init(&list->link, loop, options, false, &link_events, list);
    if (*error) {
        free(list);
        return NULL;
    }
    list->events = events;
    list->arg = arg;
    return list;
}

void server_list_destroy(struct server_list **pointer)
{
    struct server_list *list = *pointer;
    *pointer = NULL;
    if (!list) {
        return;
    }
    list->destroyed = true;
    lobby_link_end(&list->link);
}

void server_list_start(struct server_list *list)
{
    lobby_link_start(&list->link);
}

void server_list_stop(struct server_list *list)
{
    list->complete = false;
    lobby_link_stop(&list->link);
}

bool server_list_is_complete(const struct server_list *list)
{
    return list->complete;
}

size_t server_list_count(const struct server_list *list)
{
    return HASH_COUNT(list->entries);
}

const struct lobby_server *server_list_next(const struct server_list *list,
                                            const struct lobby_server *server)
{
    struct server_entry *entry = list->entries;
    if (server) {
        entry = find_server_entry(list, server->id);
        entry = entry ? entry->hh.next : NULL;
    }
    return entry ? server_of(entry) : NULL;
}

const struct lobby_server *server_list_find(const struct server_list *list, struct bytes id)
{
    struct server_entry *entry = find_server_entry(list, id);
    return entry ? server_of(entry) : NULL;
}
