/*
 * Reading the packets of metadata-sync clients. The errors of the JSON layer name the place; this
 * file adds their code.
 */
#include "codec/sync.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/unique_private.h"

struct sync_reading {
    const struct sync_limits *limits;
    struct sync_packet *packet;
    struct sync_error *error;
    bool for_server;
};

static const char *const code_names[] = {
#define CODE_NAME(name, text) [SYNC_CODE_##name] = text,
    SYNC_CODES(CODE_NAME)
#undef CODE_NAME
};

const char *sync_code_name(enum sync_code code)
{
    return code_names[code];
}

static bool is_sync_word(struct bytes text, const char *word)
{
    return bytes_equal(text, bytes_from_string(word));
}

static bool fail_sync_packet(struct sync_reading *reading, const struct json_value *value,
                             enum sync_code code, const char *reason)
{
    reading->error->code = code;
    return json_value_fail(value, code == SYNC_CODE_LIMIT ? JSON_FAULT_LIMIT : JSON_FAULT_RULE,
                           reason, &reading->error->detail);
}

static bool sync_packet_failed(const struct sync_reading *reading)
{
    return reading->error->detail.fault != JSON_FAULT_NONE;
}

static bool read_receiver(struct sync_reading *reading, const struct json_value *value)
{
    struct sync_packet *packet = reading->packet;
    struct bytes id;

    if (!json_value_text(value, &id, &reading->error->detail)) {
        return false;
    }
    if (is_sync_word(id, "server")) {
        reading->for_server = true;
        return true;
    }
    if (is_sync_word(id, "*")) {
        packet->everyone = true;
        return true;
    }
    if (id.len == 0) {
        return fail_sync_packet(reading, value, SYNC_CODE_BAD_TO, "an empty id");
    }
    if (id.len > reading->limits->id) {
        return fail_sync_packet(reading, value, SYNC_CODE_BAD_TO, "an id longer than allowed");
    }
    if (!json_is_text(id)) {
        return fail_sync_packet(reading, value, SYNC_CODE_BAD_TO, "an id with a lone surrogate");
    }
    packet->to[packet->to_count++] = id;
    return true;
}

static bool read_receivers(struct sync_reading *reading, const struct json_value *array)
{
    for (const struct json_value *value = json_value_first(array); value;
         value = json_value_next(value)) {
        if (json_value_type(value) != JSON_TYPE_NULL && !read_receiver(reading, value)) {
            return false;
        }
    }
    return true;
}

static bool read_list(struct sync_reading *reading, const struct json_value *to)
{
    struct sync_packet *packet = reading->packet;

    if (json_value_count(to) > reading->limits->receivers) {
        return fail_sync_packet(reading, to, SYNC_CODE_LIMIT,
                                "more receivers than a packet may have (sync.max_receivers)");
    }
    if (!read_receivers(reading, to)) {
        return false;
    }
    packet->to_count = packet->everyone ? 0 : unique_keep_first(packet->to, packet->to_count);
    return true;
}

static bool read_to(struct sync_reading *reading, const struct json_value *root)
{
    struct json_error *error = &reading->error->detail;
    const struct json_value *to;

    if (!json_value_expect(root, JSON_TYPE_OBJECT, error)) {
        return false;
    }
    to = json_value_member(root, "to");
    if (!to) {
        return json_value_require(root, "to", JSON_TYPE_STRING, error) != NULL; /* fails: missing */
    }
    reading->packet->to = mem_zalloc(json_value_count(to) + 1, sizeof *reading->packet->to);
    switch (json_value_type(to)) {
    case JSON_TYPE_STRING:
        return read_receiver(reading, to);
    case JSON_TYPE_ARRAY:
        return read_list(reading, to);
    default:
        return json_value_fail(to, JSON_FAULT_TYPE, "a string, or an array of them, is expected",
                               error);
    }
}

static bool read_type(struct sync_reading *reading)
{
    static const char *const reserved[] = {"metadata", "changes", "error", "from"};
    struct sync_packet *packet = reading->packet;
    const struct json_value *type =
        json_value_optional(packet->packet, "type", JSON_TYPE_STRING, &reading->error->detail);

    packet->type = BYTES_LITERAL("ping");
    if (!json_value_text(type, &packet->type, &reading->error->detail)) {
        return !sync_packet_failed(reading);
    }
    if (packet->type.len == 0) {
        return fail_sync_packet(reading, type, SYNC_CODE_BAD_TYPE, "an empty type");
    }
    if (packet->type.len > reading->limits->type) {
        return fail_sync_packet(reading, type, SYNC_CODE_LIMIT, "a type longer than allowed");
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (is_sync_word(packet->type, reserved[i])) {
            return fail_sync_packet(reading, type, SYNC_CODE_BAD_TYPE,
                                    "a type that only the server may send");
        }
    }
    return true;
}

static void refuse_property(struct sync_packet *packet, const struct json_value *value,
                            enum sync_code code, const char *reason)
{
    packet->refused[packet->refused_count++] = (struct sync_refusal){value, code, reason};
}

/* The value's minified text, in the packet's buffer. */
static struct bytes minify(struct writer *texts, const struct json_value *value)
{
    const size_t start = texts->len;

    json_write_minified(texts, value);
    return (struct bytes){texts->data + start, texts->len - start};
}

static void read_sync_property(struct sync_reading *reading, const struct json_value *value,
                               struct writer *texts)
{
    struct sync_packet *packet = reading->packet;
    struct sync_property *property = &packet->properties[packet->property_count];

    property->name = json_value_key(value);
    if (property->name.len > reading->limits->name) {
        refuse_property(packet, value, SYNC_CODE_LIMIT, "a name longer than allowed");
    } else if (json_value_depth(value) > reading->limits->depth) {
        refuse_property(packet, value, SYNC_CODE_LIMIT, "containers nested too deeply");
    } else if (!json_is_text(property->name) || !json_value_is_text(value)) {
        refuse_property(packet, value, SYNC_CODE_BAD_PROPERTY, "a lone surrogate");
    } else {
        if (json_value_type(value) != JSON_TYPE_NULL) {
            property->value = minify(texts, value);
        }
        packet->sources[packet->property_count++] = value;
    }
}

static bool read_sync_properties(struct sync_reading *reading)
{
    struct sync_packet *packet = reading->packet;
    const struct json_value *object = json_value_optional(
        packet->packet, "properties", JSON_TYPE_OBJECT, &reading->error->detail);
    struct writer texts = {0};
    size_t count;

    packet->kind = SYNC_PROPERTIES;
    if (!object) {
        return !sync_packet_failed(reading);
    }
    count = json_value_count(object);
    packet->properties = mem_zalloc(count + 1, sizeof *packet->properties);
    packet->sources = mem_zalloc(count + 1, sizeof *packet->sources);
    packet->refused = mem_zalloc(count + 1, sizeof *packet->refused);
    /* All texts fit, so the buffer is never reallocated. */
    texts.capacity = json_value_raw(object).len;
    texts.data = packet->minified = mem_alloc(texts.capacity);
    for (const struct json_value *value = json_value_first(object); value;
         value = json_value_next(value)) {
        read_sync_property(reading, value, &texts);
    }
    return true;
}

static bool read_packet(struct sync_reading *reading, const struct json_value *root)
{
    struct sync_packet *packet = reading->packet;

    packet->packet = json_value_require(root, "packet", JSON_TYPE_OBJECT, &reading->error->detail);
    if (!packet->packet || !read_type(reading)) {
        return false;
    }
    packet->kind = reading->for_server ? SYNC_PING : SYNC_RELAY;
    if (!reading->for_server || is_sync_word(packet->type, "ping")) {
        return true;
    }
    if (is_sync_word(packet->type, "properties")) {
        return read_sync_properties(reading);
    }
    packet->kind = SYNC_UNKNOWN;
    return packet->everyone || packet->to_count > 0 ||
           fail_sync_packet(reading, json_value_member(packet->packet, "type"), SYNC_CODE_BAD_TYPE,
                            SYNC_UNKNOWN_REASON);
}

bool sync_read(struct bytes text, const struct sync_limits *limits, struct sync_packet *packet,
               struct sync_error *error)
{
    struct sync_reading reading = {.limits = limits, .packet = packet, .error = error};
    const struct json_value *root;

    memset(packet, 0, sizeof *packet);
    memset(error, 0, sizeof *error);
    packet->document = json_document_parse(text, &limits->json, &error->detail);
    if (!packet->document) {
        error->code =
            json_fault_is_limit(error->detail.fault) ? SYNC_CODE_LIMIT : SYNC_CODE_BAD_JSON;
        return false;
    }
    error->code = SYNC_CODE_BAD_PACKET;
    root = json_document_root(packet->document);
    if (read_to(&reading, root) && read_packet(&reading, root)) {
        return true;
    }
    sync_packet_free(packet);
    return false;
}

void sync_packet_free(struct sync_packet *packet)
{
    free(packet->properties);
    free(packet->refused);
    free(packet->sources);
    free(packet->minified);
    free(packet->to);
    json_document_free(&packet->document);
    memset(packet, 0, sizeof *packet);
}
