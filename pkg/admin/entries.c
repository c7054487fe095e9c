/* entries: entries of the map and front-ends as JSON, for the API and the live stream. */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "admin/search.h"
#include "base/ids.h"
#include "base/mem.h"
#include "codec/entry.h"
#include "codec/sync.h"

/* The text's first max bytes at most, cut between characters. */
static struct bytes cut_text(struct bytes text, size_t max)
{
    while (max > 0 && (text.data[max] & 0xc0) == 0x80) {
        max--;
    }
    text.len = max;
    return text;
}

static void write_state(struct json_writer *json, struct bytes state, size_t max)
{
    struct bytes shown = state;
    if (state.len > max) {
        shown = json_is_text(state) ? cut_text(state, max) : (struct bytes){state.data, max};
    }
    entry_write_opaque(json, "state", shown);
    if (shown.len < state.len) {
        json_write_name(json, "state_bytes");
        json_write_integer(json, (int64_t)state.len);
    }
}

/* Names and values come from Redis, so they are checked again. */
static void write_entry_properties(struct json_writer *json, const struct map_entry *entry)
{
    struct bytes field, value;
    bool any = false;
    for (size_t at = 0; map_entry_next_field(entry, &at, &field, &value);) {
        if (!search_take_prefix(&field) || !json_is_text(field) ||
            !json_text_is_value(value, SYNC_VALUE_DEPTH)) {
            continue;
        }
        if (!any) {
            json_write_name(json, "properties");
            json_write_object_begin(json);
            any = true;
        }
        json_write_key(json, field);
        json_write_raw(json, value);
    }
    if (any) {
        json_write_object_end(json);
    }
}

static void write_entry_field(struct json_writer *json, const struct map_entry *entry,
                              const char *name)
{
    struct bytes value = map_entry_field(entry, name);
    if (value.len > 0) {
        entry_write_opaque(json, name, value);
    }
}

static void write_entry_number(struct json_writer *json, const char *name, struct bytes text)
{
    if (text.len == 0) {
        return;
    }
    json_write_name(json, name);
    json_write_integer(json, (int64_t)(bytes_decimal(text) & INT64_MAX));
}

/* With all 63 bits, which exceed the precision of JavaScript's numbers. */
static void write_entry_version(struct json_writer *json, uint64_t version)
{
    struct writer text = {0};
    writer_format(&text, "%llu", (unsigned long long)version);
    json_write_member(json, "version", writer_bytes_written(&text));
    writer_free(&text);
}

struct entry_format entries_format(const struct admin *admin, const struct admin_space *space)
{
    return (struct entry_format){.max_state = (size_t)admin->settings->max_state,
                                 .addresses = admin->settings->addresses,
                                 .partitions = map_space_partitions(space->map),
                                 .nodes = admin->nodes};
}

void entries_write(struct json_writer *json, const struct map_entry *entry,
                   const struct entry_format *format)
{
    struct bytes id = map_entry_id(entry), state = map_entry_state(entry);
    json_write_object_begin(json);
    entry_write_opaque(json, "id", id);
    write_entry_field(json, entry, "protocol");
    write_entry_field(json, entry, "node");
    if (format->nodes) {
        struct bytes name = map_nodes_name(format->nodes, map_entry_field(entry, "node"));
        if (name.len > 0) {
            entry_write_opaque(json, "node_name", name);
        }
    }
    write_entry_field(json, entry, "user");
    write_entry_field(json, entry, "status");
    write_entry_number(json, "since", map_entry_field(entry, "since"));
    if (format->addresses) {
        write_entry_field(json, entry, "address");
    }
    write_entry_version(json, map_entry_version(entry));
    json_write_name(json, "shard");
    json_write_integer(json, shard_of(id, format->partitions));
    if (state.data) {
        write_state(json, state, format->max_state);
    }
    write_entry_properties(json, entry);
    admin_write_stale(json, format->stale);
    json_write_object_end(json);
}

void entries_write_nodes(struct json_writer *json, const struct map_nodes *nodes)
{
    static const char *const texts[] = {"name", "host", "version"};
    static const char *const numbers[] = {"pid", "started", "connections", "sessions", "entries"};
    json_write_array_begin(json);
    for (size_t i = 0; i < map_nodes_count(nodes); i++) {
        struct bytes listeners = map_nodes_field(nodes, i, "listeners");
        json_write_object_begin(json);
        entry_write_opaque(json, "node", map_nodes_id(nodes, i));
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            entry_write_opaque(json, texts[j], map_nodes_field(nodes, i, texts[j]));
        }
        for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++) {
            write_entry_number(json, numbers[j], map_nodes_field(nodes, i, numbers[j]));
        }
        json_write_name(json, "ready");
        json_write_boolean(json,
                           bytes_equal(map_nodes_field(nodes, i, "ready"), BYTES_LITERAL("1")));
        entry_write_opaque(json, "listeners", listeners);
        json_write_object_end(json);
    }
    json_write_array_end(json);
}
