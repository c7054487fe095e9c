/* client: requests, those that are pending, and the client's entry. */
#include "client/client_private.h"

#include <string.h>

#include "client/reply_private.h"

#define PENDING_SLACK                                                                              \
    4096 /* answered requests at the front of `pending` before it is compacted                     \
          */

bool client_dialect_has_ids(const struct tracker_client *client)
{
    return client->options.dialect == TRACKER_VERSIONED || client->options.dialect == TRACKER_2013;
}

size_t client_pending_count(const struct tracker_client *client)
{
    return (client->pending.len - client->pending_at) / sizeof(struct client_pending);
}

struct client_pending client_pending_peek(const struct tracker_client *client, size_t n)
{
    struct client_pending pending;
    memcpy(&pending, client->pending.data + client->pending_at + n * sizeof pending,
           sizeof pending);
    return pending;
}

void client_pending_pop(struct tracker_client *client)
{
    struct writer *pending = &client->pending;
    client->pending_at += sizeof(struct client_pending);
    if (client->pending_at == pending->len) {
        writer_free(pending);
        client->pending_at = 0;
        loop_timer_stop(client->reply_deadline);
        return;
    }
    if (client->pending_at == PENDING_SLACK * sizeof(struct client_pending)) {
        pending->len -= client->pending_at;
        memmove(pending->data, pending->data + client->pending_at, pending->len);
        client->pending_at = 0;
    }
    loop_timer_start(client->reply_deadline, client->options.reply_timeout_ms);
}

enum tracker_client_request client_pending_request(uint8_t kind)
{
    if (kind == PENDING_ADOPT) {
        return TRACKER_CLIENT_UPDATE;
    }
    return kind == PENDING_REOPEN ? TRACKER_CLIENT_OPEN : (enum tracker_client_request)kind;
}

static void pending_add(struct tracker_client *client, uint8_t kind)
{
    struct client_pending pending = {.kind = kind, .sent_ms = loop_now_ms(client->loop)};
    if (client_pending_count(client) == 0) {
        loop_timer_start(client->reply_deadline, client->options.reply_timeout_ms);
    }
    writer_bytes(&client->pending, (struct bytes){(const uint8_t *)&pending, sizeof pending});
}

static bool can_request(const struct tracker_client *client)
{
    return client->wire.state == WIRE_UP &&
           client_pending_count(client) < client->options.max_pending;
}

/* Sends the request written after `before`, or removes it when it does not fit. */
static bool send_request_since(struct tracker_client *client, size_t before, uint8_t kind)
{
    struct writer *out = &client->wire.out;
    if (out->failed || out->len > client->options.max_output) {
        out->len = before;
        out->failed = false;
        return false;
    }
    if (reply_expected(client->options.dialect, client_pending_request(kind))) {
        pending_add(client, kind);
    }
    wire_send(&client->wire);
    return true;
}

static void entry_set_value(struct client_entry *entry, struct bytes state)
{
    if (state.len > 0 && state.data == entry->value.data) {
        return;
    }
    writer_reset(&entry->value);
    writer_bytes(&entry->value, state);
}

bool tracker_client_open(struct tracker_client *client, struct bytes state)
{
    const size_t before = client->wire.out.len;
    if (!can_request(client)) {
        return false;
    }
    tracker_write_open(&client->wire.out, client->options.dialect, state);
    if (!send_request_since(client, before, TRACKER_CLIENT_OPEN)) {
        return false;
    }
    client->entry.state = ENTRY_OPENING;
    client->entry.was_open = false;
    client->entry.id_len = 0;
    client->refusals = 0;
    loop_timer_stop(client->entry_retry);
    entry_set_value(&client->entry, state);
    return true;
}

static bool is_own(const struct tracker_client *client, struct bytes id)
{
    return !client_dialect_has_ids(client) ||
           (client->entry.state == ENTRY_OPEN && bytes_equal(id, tracker_client_entry_id(client)));
}

bool tracker_client_update(struct tracker_client *client, struct bytes id, uint64_t version,
                           struct bytes state)
{
    const size_t before = client->wire.out.len;
    if (!can_request(client)) {
        return false;
    }
    if (client_dialect_has_ids(client) && id.len == 0) {
        return false;
    }
    tracker_write_update(&client->wire.out, client->options.dialect, id, version, state);
    if (!send_request_since(client, before, TRACKER_CLIENT_UPDATE)) {
        return false;
    }
    if (!is_own(client, id)) {
        return true;
    }
    if (client->entry.state == ENTRY_NONE) {
        client->entry.state = ENTRY_OPEN; /* without ids, an Update opens the entry */
    }
    client->entry.version = version;
    entry_set_value(&client->entry, state);
    return true;
}

bool tracker_client_close(struct tracker_client *client, struct bytes id)
{
    const size_t before = client->wire.out.len;
    if (!can_request(client)) {
        return false;
    }
    if (client_dialect_has_ids(client) && id.len == 0) {
        return false;
    }
    tracker_write_close(&client->wire.out, client->options.dialect, id);
    if (!send_request_since(client, before, TRACKER_CLIENT_CLOSE)) {
        return false;
    }
    if (is_own(client, id)) {
        client->entry.state = ENTRY_NONE;
    }
    return true;
}

bool tracker_client_get(struct tracker_client *client)
{
    const size_t before = client->wire.out.len;
    if (!can_request(client)) {
        return false;
    }
    tracker_write_get(&client->wire.out, client->options.dialect);
    return send_request_since(client, before, TRACKER_CLIENT_GET);
}

void client_entry_reopen(struct tracker_client *client)
{
    const size_t before = client->wire.out.len;
    client->entry.state = ENTRY_OPENING;
    tracker_write_open(&client->wire.out, client->options.dialect,
                       writer_bytes_written(&client->entry.value));
    (void)send_request_since(client, before, PENDING_REOPEN);
}

void client_entry_resume(struct tracker_client *client)
{
    struct client_entry *entry = &client->entry;
    const size_t before = client->wire.out.len;
    if (entry->state == ENTRY_OPENING || !client_dialect_has_ids(client)) {
        client_entry_reopen(client);
        return;
    }
    entry->version++;
    tracker_write_update(&client->wire.out, client->options.dialect,
                         tracker_client_entry_id(client), entry->version,
                         writer_bytes_written(&entry->value));
    (void)send_request_since(client, before, PENDING_ADOPT);
}

struct bytes tracker_client_entry_id(const struct tracker_client *client)
{
    const struct client_entry *entry = &client->entry;
    return (struct bytes){entry->id, entry->state == ENTRY_OPEN ? entry->id_len : 0};
}

uint64_t tracker_client_entry_version(const struct tracker_client *client)
{
    return client->entry.version;
}
