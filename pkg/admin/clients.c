/* clients: GET /api/v1/clients, a page of the map's entries in the order of their ids, or of those
 * that contain a text. */
#include <stdlib.h>

#include "admin/listing_private.h"
#include "admin/search.h"
#include "base/mem.h"

#define LIMIT_STANDARD    100
#define STEP_ENTRIES      16   /* in one step, */
#define STEP_BYTES        8192 /* and what is written of them */

#define SEARCHED_PER_UNIT 4096 /* bytes */

struct clients_page {
    struct listing listing;
    struct entry_search search;
    bool is_search;
    struct writer after; /* the id of the last entry that was examined */
    size_t limit;
    size_t listed, scanned;
};

/* Percent-encodes everything but letters and digits. */
static void write_query_escaped(struct writer *to, struct bytes id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        writer_format(to, plain ? "%c" : "%%%02X", c);
    }
}

/* A number from 1 to max; 0 when it is invalid. */
static size_t read_limit(struct bytes text, int64_t max)
{
    uint64_t limit;
    if (!text.data) {
        return (size_t)(max < LIMIT_STANDARD ? max : LIMIT_STANDARD);
    }
    if (text.len == 0 || text.len > 9 || text.data[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
    }
    limit = bytes_decimal(text);
    return limit > (uint64_t)max ? (size_t)max : (size_t)limit;
}

static void free_clients_page(struct listing *listing)
{
    struct clients_page *clients = (struct clients_page *)listing;
    search_end(&clients->search);
    writer_free(&clients->after);
    free(clients);
}

static void write_clients_begin(struct clients_page *clients)
{
    struct listing *listing = &clients->listing;
    struct json_writer *json = &listing->json;
    json_write_object_begin(json);
    json_write_member(json, "space", bytes_from_string(map_space_name(listing->space->map)));
    admin_write_stale(json, listing->stale);
    json_write_name(json, "count");
    json_write_integer(json, (int64_t)map_view_count(listing->space->watcher.view));
    json_write_name(json, "clients");
    json_write_array_begin(json);
}

static void write_clients_end(struct clients_page *clients, bool has_next)
{
    struct json_writer *json = &clients->listing.json;
    json_write_array_end(json);
    if (has_next) {
        struct writer next = {0};
        write_query_escaped(&next, writer_bytes_written(&clients->after));
        json_write_member(json, "next", writer_bytes_written(&next));
        writer_free(&next);
    }
    json_write_object_end(json);
    writer_u8(&clients->listing.text, '\n');
}

static bool is_page_full(const struct clients_page *clients)
{
    const struct admin_settings *settings = clients->listing.admin->settings;
    return clients->listed >= clients->limit || clients->scanned >= (size_t)settings->max_scanned ||
           clients->search.searched >= (size_t)settings->max_searched;
}

/* False when more of it has to be searched. */
static bool examine_client(struct clients_page *clients, const struct map_entry *entry)
{
    struct listing *listing = &clients->listing;
    const struct entry_format format = entries_format(listing->admin, listing->space);
    if (clients->is_search) {
        enum search_result result = search_step(&clients->search, entry);
        if (result != SEARCH_FOUND) {
            return result == SEARCH_NOT_FOUND;
        }
    }
    entries_write(&listing->json, entry, &format);
    clients->listed++;
    return true;
}

/* Some entries, and FOLD_PIECE bytes of them when they are searched. */
static bool write_client_piece(struct clients_page *clients)
{
    struct listing *listing = &clients->listing;
    size_t count, at, before = listing->text.len, searched = clients->search.searched;
    struct map_entry *const *entries = map_view_sorted(listing->space->watcher.view, &count);
    at = listing_place_after(entries, count, writer_bytes_written(&clients->after));
    for (size_t i = 0; i < STEP_ENTRIES; i++) {
        if (at == count || is_page_full(clients)) {
            write_clients_end(clients, at < count);
            return false;
        }
        if (!examine_client(clients, entries[at])) {
            return true;
        }
        listing_note_id(&clients->after, entries[at++]);
        clients->scanned++;
        if (listing->text.len - before >= STEP_BYTES ||
            clients->search.searched - searched >= FOLD_PIECE) {
            break;
        }
    }
    return true;
}

static bool write_some_clients(struct listing *listing)
{
    struct clients_page *clients = (struct clients_page *)listing;
    size_t searched = clients->search.searched;
    bool has_more = write_client_piece(clients);
    admin_charge(listing->request, 1 + (clients->search.searched - searched) / SEARCHED_PER_UNIT);
    return has_more;
}

void clients_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale)
{
    const struct admin_settings *settings = admin->settings;
    struct bytes query = http_request_query(request, "q");
    size_t limit = read_limit(http_request_query(request, "limit"), settings->max_listed);
    if (limit == 0) {
        admin_respond_error(request, 400, "limit: a number of at least 1 is expected");
        return;
    }
    if (query.len > SEARCH_TEXT_MAX) {
        admin_respond_error(request, 400, "q: at most 128 bytes are expected");
        return;
    }
    struct clients_page *clients = mem_zalloc(1, sizeof *clients);
    clients->listing.write = write_some_clients;
    clients->listing.free = free_clients_page;
    clients->limit = limit;
    clients->is_search = query.len > 0;
    search_begin(&clients->search, query, settings->addresses);
    writer_bytes(&clients->after, http_request_query(request, "after"));
    listing_start(&clients->listing, admin, request, space, stale, "list_clients");
    write_clients_begin(clients);
}
