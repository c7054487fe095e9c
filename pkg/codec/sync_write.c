/* Writing the packets of metadata sync: see sync.h. */
#include "codec/sync.h"

#include <string.h>

static bool is_reserved_word(struct bytes text, const char *word)
{
    return bytes_equal(text, bytes_from_string(word));
}

/* {"from":SENDER, */
static struct json_writer begin_sync_packet(struct writer *to, struct bytes sender)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    json_write_member(&json, "from", sender);
    return json;
}

/* {"from":"server","type":TYPE,TYPE:{ */
static struct json_writer begin_server(struct writer *to, const char *type)
{
    struct json_writer json = begin_sync_packet(to, BYTES_LITERAL("server"));

    json_write_member(&json, "type", bytes_from_string(type));
    json_write_name(&json, type);
    json_write_object_begin(&json);
    return json;
}

static void end_server_packet(struct json_writer *json)
{
    json_write_object_end(json);
    json_write_object_end(json);
}

/* A type with a lone surrogate is copied from its source. */
static void write_type(struct json_writer *json, const struct sync_packet *packet)
{
    if (json_is_text(packet->type)) {
        json_write_text(json, packet->type);
    } else {
        json_write_raw(json, json_value_raw(json_value_member(packet->packet, "type")));
    }
}

void sync_write_relay(struct writer *to, const struct sync_packet *packet, struct bytes sender)
{
    struct json_writer json = begin_sync_packet(to, sender);
    const struct json_value *value = json_value_find(packet->packet, packet->type);

    json_write_name(&json, "type");
    write_type(&json, packet);
    if (!value) {
        write_type(&json, packet);
        writer_string(to, ":{}");
    } else if (!is_reserved_word(packet->type, "type")) {
        json_write_source(&json, value);
    }
    for (const struct json_value *member = json_value_first(packet->packet); member;
         member = json_value_next(member)) {
        const struct bytes key = json_value_key(member);

        if (member != value && !is_reserved_word(key, "from") && !is_reserved_word(key, "type")) {
            json_write_source(&json, member);
        }
    }
    json_write_object_end(&json);
}

static void write_sync_properties(struct json_writer *json, const struct sync_property *properties,
                                  size_t count)
{
    json_write_object_begin(json);
    for (size_t i = 0; i < count; i++) {
        json_write_key(json, properties[i].name);
        if (!properties[i].value.data) {
            json_write_null(json);
        } else if (json_text_is_value(properties[i].value, SYNC_VALUE_DEPTH)) {
            json_write_raw(json, properties[i].value);
        } else {
            json->to->failed = true;
        }
    }
    json_write_object_end(json);
}

void sync_write_properties(struct writer *to, const struct sync_property *properties, size_t count)
{
    struct json_writer json = json_writer_over(to);

    write_sync_properties(&json, properties, count);
}

/* Returns how many were omitted because they are not text. */
static size_t write_tokens(struct json_writer *json, const char *name, const struct bytes *tokens,
                           size_t count)
{
    size_t left_out = 0;

    json_write_name(json, name);
    json_write_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        if (json_is_text(tokens[i])) {
            json_write_text(json, tokens[i]);
        } else {
            left_out++;
        }
    }
    json_write_array_end(json);
    return left_out;
}

static size_t write_entries(struct json_writer *json, const char *name,
                            const struct sync_entry *entries, size_t count)
{
    size_t left_out = 0;

    json_write_name(json, name);
    json_write_object_begin(json);
    for (size_t i = 0; i < count; i++) {
        if (!json_is_text(entries[i].token)) {
            left_out++;
            continue;
        }
        json_write_key(json, entries[i].token);
        json_write_raw(json,
                       entries[i].properties.len > 0 ? entries[i].properties : BYTES_LITERAL("{}"));
    }
    json_write_object_end(json);
    return left_out;
}

void sync_write_metadata_head(struct writer *to, struct bytes token, struct bytes resume)
{
    struct json_writer json = begin_server(to, "metadata");

    json_write_member(&json, "index", token);
    if (resume.len > 0) {
        json_write_member(&json, "resume", resume);
    }
}

size_t sync_write_metadata_rest(struct writer *to, const struct sync_entry *entries, size_t count,
                                const char *version)
{
    struct json_writer json = {.to = to, .comma = true}; /* in the head's object */
    size_t left_out;

    json_write_name(&json, "indexes");
    json_write_array_begin(&json);
    for (size_t i = 0; i < count; i++) {
        if (json_is_text(entries[i].token)) {
            json_write_text(&json, entries[i].token);
        }
    }
    json_write_array_end(&json);
    left_out = write_entries(&json, "properties", entries, count);
    json_write_member(&json, "version", bytes_from_string(version));
    end_server_packet(&json);
    return left_out;
}

size_t sync_write_changes(struct writer *to, const struct sync_changes *changes)
{
    struct json_writer json = begin_server(to, "changes");
    size_t left_out = 0;

    left_out += write_tokens(&json, "opened", changes->opened, changes->opened_count);
    left_out += write_tokens(&json, "closed", changes->closed, changes->closed_count);
    left_out += write_tokens(&json, "properties", changes->properties, changes->properties_count);
    if (changes->delta) {
        left_out += write_entries(&json, "values", changes->values, changes->values_count);
    }
    end_server_packet(&json);
    return left_out;
}

void sync_write_error(struct writer *to, enum sync_code code, const char *message)
{
    struct json_writer json = begin_server(to, "error");

    json_write_member(&json, "code", bytes_from_string(sync_code_name(code)));
    json_write_member(&json, "message", bytes_from_string(message));
    end_server_packet(&json);
}

void sync_write_update(struct writer *to, const struct sync_property *changes, size_t count)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    json_write_member(&json, "to", BYTES_LITERAL("server"));
    json_write_name(&json, "packet");
    json_write_object_begin(&json);
    json_write_member(&json, "type", BYTES_LITERAL("properties"));
    json_write_name(&json, "properties");
    write_sync_properties(&json, changes, count);
    json_write_object_end(&json);
    json_write_object_end(&json);
}
