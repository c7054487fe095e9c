/* live_events: the text of the live stream's events (docs/web.md). */
#include "admin/live_private.h"

#include "codec/entry.h"
#include "protocol/gameserver/gameserver.h"

#define EVENT_BYTES 32768 /* of entries, in one event */

void live_event_begin(struct writer *to, const char *name)
{
    writer_format(to, "event: %s\ndata: ", name);
}

void live_event_end(struct writer *to)
{
    writer_string(to, "\n\n");
}

void live_write_hello(struct writer *to, struct admin *admin, const struct admin_space *space)
{
    struct json_writer json = json_writer_over(to);
    live_event_begin(to, "hello");
    json_write_object_begin(&json);
    json_write_member(&json, "node", bytes_from_string(map_node_id(admin->map)));
    json_write_member(&json, "name", bytes_from_string(map_node_name(admin->map)));
    json_write_member(&json, "version", bytes_from_string(admin->version));
    json_write_name(&json, "time");
    json_write_integer(&json, (int64_t)map_redis_time_ms(admin->map));
    json_write_member(&json, "space", bytes_from_string(map_space_name(space->map)));
    admin_write_spaces(&json, admin);
    json_write_object_end(&json);
    live_event_end(to);
}

void live_write_refusal(struct writer *to, const char *why)
{
    struct json_writer json = json_writer_over(to);
    live_event_begin(to, "refused");
    json_write_object_begin(&json);
    json_write_member(&json, "why", bytes_from_string(why));
    json_write_object_end(&json);
    live_event_end(to);
}

void live_write_stats(struct writer *to, struct admin_space *space)
{
    struct json_writer json = json_writer_over(to);
    live_event_begin(to, "stats");
    stats_write(&json, space->admin, space, false);
    live_event_end(to);
}

void live_write_id(struct writer *to, struct bytes id)
{
    struct json_writer json = json_writer_over(to);
    if (json_is_text(id)) {
        json_write_text(&json, id);
        return;
    }
    json_write_object_begin(&json);
    entry_write_opaque(&json, "id", id);
    json_write_object_end(&json);
}

void live_write_closed(struct writer *to, struct bytes values)
{
    if (values.len == 0) {
        return;
    }
    live_event_begin(to, "closed");
    writer_u8(to, '[');
    values.len--;
    writer_bytes(to, values);
    writer_u8(to, ']');
    live_event_end(to);
}

void live_entries_end(struct live_entries *events)
{
    if (events->began == 0) {
        return;
    }
    events->began = 0;
    writer_u8(events->to, ']');
    live_event_end(events->to);
}

static void begin_entry(struct live_entries *events)
{
    if (events->began == 0) {
        live_event_begin(events->to, "entries");
        writer_u8(events->to, '[');
        events->began = events->to->len;
    } else {
        writer_u8(events->to, ',');
    }
}

/* An entry that is not a server may have been one: unless the whole map is sent, it is reported as
 * closed. */
static void write_no_server(struct live_entries *events, const struct map_entry *entry)
{
    struct writer id = {0};
    if (events->whole) {
        return;
    }
    live_entries_end(events);
    live_write_id(&id, map_entry_id(entry));
    writer_u8(&id, ',');
    live_write_closed(events->to, writer_bytes_written(&id));
    writer_free(&id);
}

void live_entries_write(struct live_entries *events, const struct map_entry *entry)
{
    struct json_writer json = json_writer_over(events->to);
    struct gameserver gameserver;
    if (events->form == LIVE_CLIENTS) {
        begin_entry(events);
        entries_write(&json, entry, &events->format);
    } else if (gameserver_read(entry, &gameserver)) {
        begin_entry(events);
        servers_write(&json, entry, &gameserver, NULL);
        gameserver_free(&gameserver);
    } else {
        write_no_server(events, entry);
    }
    if (events->began && events->to->len - events->began > EVENT_BYTES) {
        live_entries_end(events);
    }
}

struct live_entries live_entries_begin(struct writer *to, const struct admin_space *space,
                                       enum live_form form)
{
    const struct admin_settings *settings = space->admin->settings;
    return (struct live_entries){.to = to,
                                 .form = form,
                                 .format = {.max_state = (size_t)settings->max_state,
                                            .addresses = settings->addresses,
                                            .partitions = map_space_partitions(space->map)}};
}
