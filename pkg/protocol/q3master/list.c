/* q3master_list: the game servers of a space, kept up to date from its view. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/gameserver/gameserver.h"
#include "protocol/q3master/q3master_private.h"

/* In which the view must have a new registration: enough for Redis's deadline and the event. */
#define PENDING_MS 10000
/* How long an unanswered probe counts against a server: another front-end may get its answer. */
#define PROBE_ANSWER_MS 30000

struct q3master_entry *q3master_list_find(const struct q3master_list *list, struct bytes id)
{
    struct q3master_entry *entry = NULL;

    HASH_FIND(hh, list->entries, id.data, id.len, entry);
    return entry;
}

static struct q3master_entry *add_master_entry(struct q3master_list *list, struct bytes id)
{
    struct q3master_entry *entry = mem_zalloc(1, sizeof *entry + id.len + 1);

    memcpy(entry->id, id.data, id.len);
    entry->id_len = (uint8_t)id.len;
    loop_pending_init(&entry->pending);
    HASH_ADD_KEYPTR(hh, list->entries, entry->id, entry->id_len, entry);
    return entry;
}

static void count_registered(struct q3master_list *list, struct q3master_entry *entry,
                             bool registered)
{
    if (registered == entry->registered) {
        return;
    }
    entry->registered = registered;
    if (!registered) {
        slots_release(&list->registered, &entry->server.address);
        shares_remove(&list->shares, &entry->share);
    } else if (slots_take(&list->registered, &entry->server.address, SIZE_MAX, 0) == SLOTS_TAKEN) {
        shares_add(&list->shares, &entry->share, &entry->server.address);
    } else {
        entry->registered = false;
    }
}

static void add_to_listed(struct q3master_list *list, struct q3master_entry *entry)
{
    if (entry->listed) {
        return;
    }
    if (list->listed_count == list->listed_capacity) {
        list->listed_capacity = list->listed_capacity > 0 ? 2 * list->listed_capacity : 64;
        list->listed = mem_realloc(list->listed, list->listed_capacity * sizeof *list->listed);
    }
    entry->listed = true;
    entry->place = list->listed_count;
    list->listed[list->listed_count++] = entry;
    metrics_add(METRIC_Q3MASTER_SERVERS, 1);
}

static void remove_from_listed(struct q3master_list *list, struct q3master_entry *entry)
{
    if (!entry->listed) {
        return;
    }
    entry->listed = false;
    list->listed[entry->place] = list->listed[--list->listed_count];
    list->listed[entry->place]->place = entry->place;
    list->generation++;
    metrics_add(METRIC_Q3MASTER_SERVERS, -1);
}

static void drop_master_entry(struct q3master_list *list, struct q3master_entry *entry)
{
    remove_from_listed(list, entry);
    count_registered(list, entry, false);
    loop_pending_cancel(&entry->pending);
    assert(list->entries); /* it is one of them */
    HASH_DEL(list->entries, entry);
    free(entry->game);
    free(entry);
}

static bool is_same(const struct q3master_server *a, const struct q3master_server *b)
{
    return a->protocol == b->protocol && q3master_is_empty(a) == q3master_is_empty(b) &&
           q3master_is_full(a) == q3master_is_full(b) && bytes_equal(a->game, b->game) &&
           bytes_equal(a->gametype, b->gametype);
}

/* Only a change of what players filter by makes prepared lists outdated. */
static void describe_master_entry(struct q3master_list *list, struct q3master_entry *entry,
                                  const struct q3master_server *server)
{
    char *game;

    if (entry->listed && is_same(&entry->server, server)) {
        entry->server.clients = server->clients;
        entry->server.max_clients = server->max_clients;
        return;
    }
    game = mem_alloc(server->game.len + server->gametype.len + 1);
    memcpy(game, server->game.data, server->game.len);
    if (server->gametype.len > 0) {
        memcpy(game + server->game.len, server->gametype.data, server->gametype.len);
    }
    free(entry->game);
    entry->game = game;
    entry->server = *server;
    entry->server.game.data = (uint8_t *)game;
    entry->server.gametype.data = (uint8_t *)game + server->game.len;
    add_to_listed(list, entry);
    list->generation++;
}

/* It decides which game a query without a name means. */
static void set_implied(struct q3master_list *list, struct q3master_entry *entry, bool implied)
{
    if (entry->implied != implied) {
        list->generation++;
    }
    entry->implied = implied;
}

static void update_master_entry(struct q3master_list *list, const struct map_entry *map_entry)
{
    struct bytes id = map_entry_id(map_entry);
    struct q3master_entry *entry = q3master_list_find(list, id);
    struct gameserver gameserver;

    if (!gameserver_read(map_entry, &gameserver)) {
        if (entry) {
            drop_master_entry(list, entry);
        }
        return;
    }
    if (!entry) {
        entry = add_master_entry(list, id);
        entry->server.address = gameserver.address;
    }
    loop_pending_cancel(&entry->pending);
    entry->since = gameserver.server.since;
    set_implied(list, entry,
                bytes_equal(map_entry_field(map_entry, "implied"), BYTES_LITERAL("1")));
    if (entry->leaving_until <= loop_now_ms(list->service->loop)) {
        count_registered(list, entry, map_entry_field(map_entry, "registered").data != NULL);
    }
    if (gameserver.in_master) {
        describe_master_entry(list, entry, &gameserver.master);
    } else {
        remove_from_listed(list, entry);
    }
    gameserver_free(&gameserver);
}

static void on_master_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct q3master_list *list = list_entry(watcher, struct q3master_list, watcher);

    for (size_t i = 0; i < changes->closed_count; i++) {
        struct q3master_entry *entry = q3master_list_find(list, changes->closed[i]);

        if (entry) {
            drop_master_entry(list, entry);
        }
    }
    for (size_t i = 0; i < changes->changed_count; i++) {
        update_master_entry(list, changes->changed[i]);
    }
}

static void on_master_view_live(struct map_watcher *watcher)
{
    struct q3master_list *list = list_entry(watcher, struct q3master_list, watcher);
    size_t entry_count;
    struct map_entry *const *entries = map_view_sorted(list->view, &entry_count);

    for (size_t i = 0; i < entry_count; i++) {
        update_master_entry(list, entries[i]);
    }
}

static void on_pending_expired(void *arg, struct loop_pending *pending, int result)
{
    drop_master_entry(arg, list_entry(pending, struct q3master_entry, pending));
}

void q3master_list_expect(struct q3master_list *list, struct bytes id,
                          const struct address *address)
{
    struct q3master_entry *entry = add_master_entry(list, id);

    entry->server.address = *address;
    loop_pending_begin(list->pending, &entry->pending, PENDING_MS, 0);
    count_registered(list, entry, true);
}

/* Registered earlier; with equal times the lower id. */
static bool is_registered_before(const struct q3master_entry *entry,
                                 const struct q3master_entry *than)
{
    if (!than || entry->since != than->since) {
        return !than || entry->since < than->since;
    }
    return bytes_compare((struct bytes){(const uint8_t *)entry->id, entry->id_len},
                         (struct bytes){(const uint8_t *)than->id, than->id_len}) < 0;
}

struct bytes q3master_list_game(const struct q3master_list *list, int32_t protocol,
                                const char *known)
{
    const struct q3master_entry *implied = NULL, *any = NULL;

    for (size_t i = 0; i < list->listed_count; i++) {
        const struct q3master_entry *entry = list->listed[i];

        if (entry->server.protocol != protocol) {
            continue;
        }
        if (entry->implied && known && bytes_equal(entry->server.game, bytes_from_string(known))) {
            return entry->server.game;
        }
        if (entry->implied && is_registered_before(entry, implied)) {
            implied = entry;
        }
        if (is_registered_before(entry, any)) {
            any = entry;
        }
    }
    if (implied) {
        return implied->server.game;
    }
    return any && !known ? any->server.game : (struct bytes){0};
}

/* Room in a full list. */

void q3master_list_note_probe(struct q3master_list *list, struct bytes id)
{
    struct q3master_entry *entry = q3master_list_find(list, id);

    if (entry) {
        entry->probed_ms = loop_now_ms(list->service->loop);
    }
}

/* Servers that do not answer probes are evicted before those that do, then the newest first. */
static bool goes_before(const struct q3master_list *list, const struct q3master_entry *entry,
                        const struct q3master_entry *than)
{
    const uint64_t now = loop_now_ms(list->service->loop);
    const bool silent = entry->probed_ms > 0 && now - entry->probed_ms < PROBE_ANSWER_MS;
    const bool other_silent = than->probed_ms > 0 && now - than->probed_ms < PROBE_ANSWER_MS;

    if (silent != other_silent) {
        return silent;
    }
    /* An entry that is not in the view yet has no time: it is the newest. */
    if (loop_pending_is_waiting(&entry->pending) || loop_pending_is_waiting(&than->pending)) {
        return loop_pending_due_ms(&entry->pending) >= loop_pending_due_ms(&than->pending);
    }
    return is_registered_before(than, entry);
}

struct q3master_entry *q3master_list_evict(struct q3master_list *list,
                                           const struct address *newcomer)
{
    const struct list *members = shares_find_victim(&list->shares, newcomer);
    struct q3master_entry *first = NULL;

    if (!members) {
        return NULL;
    }
    LIST_FOREACH (node, members) {
        struct share *share = list_entry(node, struct share, link);
        struct q3master_entry *entry = list_entry(share, struct q3master_entry, share);

        if (!first || goes_before(list, entry, first)) {
            first = entry;
        }
    }
    assert(first); /* a prefix without members has been freed */
    count_registered(list, first, false);
    first->leaving_until = loop_now_ms(list->service->loop) + PENDING_MS;
    registration_remove(list->space, (struct bytes){(const uint8_t *)first->id, first->id_len},
                        NULL, NULL);
    return first;
}

struct q3master_list *q3master_list_get(struct q3master_service *service, struct map_space *space,
                                        const char **why)
{
    struct q3master_list *list;

    LIST_FOREACH (node, &service->lists) {
        list = list_entry(node, struct q3master_list, link);
        if (list->space == space) {
            return list;
        }
    }
    list = mem_zalloc(1, sizeof *list);
    list->service = service;
    list->space = space;
    list_init(&list->ports);
    list->watcher.changed = on_master_view_changed;
    list->watcher.live = on_master_view_live;
    list->view = map_watch(space, &list->watcher, why);
    if (!list->view) {
        free(list);
        return NULL;
    }
    list->pending =
        loop_pending_set_create(service->loop, LOOP_PHASE_VIEW, on_pending_expired, list);
    list->prober.probe = q3master_probe;
    registration_add_prober(space, &list->prober);
    list_append(&service->lists, &list->link);
    if (map_view_is_live(list->view)) {
        on_master_view_live(&list->watcher);
    }
    return list;
}

void q3master_list_release(struct q3master_list *list)
{
    struct q3master_entry *entry, *next;

    if (!list_is_empty(&list->ports)) {
        return;
    }
    registration_remove_prober(&list->prober);
    map_unwatch(&list->watcher);
    HASH_ITER (hh, list->entries, entry, next) {
        drop_master_entry(list, entry);
    }
    loop_pending_set_destroy(&list->pending);
    free(list->listed);
    list_remove(&list->link);
    free(list);
}
