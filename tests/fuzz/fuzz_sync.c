/*
 * Fuzzes what metadata-sync clients send, and how entries are sent to them.
 *
 * Invariants: a refusal can be sent; a relayed packet is JSON with its sender and the packet's
 * type, value and other keys; properties that are written again are read as the same; an entry
 * stays within the limits; any state and any token can be sent, or is omitted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/entry.h"
#include "codec/sync.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sync_limits limits = SYNC_LIMITS_DEFAULT;
static const struct bytes sender = BYTES_LITERAL("b2470fc4561bb4a66ca3d3a25172c8df");

static struct json_document *must_parse(const struct writer *to)
{
    struct json_limits wide = limits.json;
    struct json_error error = {0};
    struct json_document *document;

    wide.keys += 3;
    wide.values += 3;
    wide.depth += 3;
    REQUIRE(!to->failed);
    document = json_document_parse(writer_bytes_written(to), &wide, &error);
    REQUIRE(document);
    return document;
}

static void require_json(const struct writer *to)
{
    struct json_document *document = must_parse(to);

    json_document_free(&document);
}

static void require_tellable(const struct sync_error *error)
{
    struct writer to = {0};

    REQUIRE(error->detail.fault != JSON_FAULT_NONE);
    sync_write_error(&to, error->code, error->detail.text);
    require_json(&to);
    writer_free(&to);
}

static bool is(struct bytes text, const char *word)
{
    return bytes_equal(text, bytes_from_string(word));
}

static struct bytes text_member(const struct json_value *object, const char *key)
{
    struct json_error error = {0};
    struct bytes text;

    REQUIRE(json_value_text(json_value_member(object, key), &text, &error));
    return text;
}

static void check_relay(const struct sync_packet *packet)
{
    struct writer to = {0};
    struct json_document *document;
    const struct json_value *root;

    REQUIRE(packet->to_count == 0 || !packet->everyone);
    sync_write_relay(&to, packet, sender);
    document = must_parse(&to);
    root = json_document_root(document);
    REQUIRE(bytes_equal(text_member(root, "from"), sender));
    REQUIRE(bytes_equal(text_member(root, "type"), packet->type));
    REQUIRE(!is(packet->type, "metadata") && !is(packet->type, "changes"));
    REQUIRE(!is(packet->type, "error") && !is(packet->type, "from"));
    REQUIRE(json_value_find(root, packet->type));
    for (const struct json_value *member = json_value_first(packet->packet); member;
         member = json_value_next(member)) {
        const struct json_value *relayed = json_value_find(root, json_value_key(member));

        REQUIRE(relayed);
        if (!is(json_value_key(member), "from") && !is(json_value_key(member), "type")) {
            REQUIRE(bytes_equal(json_value_raw(relayed), json_value_raw(member)));
        }
    }
    json_document_free(&document);
    writer_free(&to);
}

static void require_same(const struct sync_property *a, const struct sync_property *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        REQUIRE(bytes_equal(a[i].name, b[i].name) && bytes_equal(a[i].value, b[i].value));
        REQUIRE((!a[i].value.data) == (!b[i].value.data));
    }
}

static void check_round_trip(const struct sync_packet *packet)
{
    struct writer to = {0};
    struct sync_packet again;
    struct sync_error error;

    sync_write_update(&to, packet->properties, packet->property_count);
    REQUIRE(sync_read(writer_bytes_written(&to), &limits, &again, &error));
    REQUIRE(again.kind == SYNC_PROPERTIES && again.property_count == packet->property_count);
    require_same(again.properties, packet->properties, packet->property_count);
    sync_packet_free(&again);
    writer_free(&to);
}

/* The packet's properties beside those of its first half. */
static void check_fit(struct sync_packet *packet)
{
    const size_t count = packet->property_count + packet->refused_count;
    struct sync_property *before = mem_zalloc(packet->property_count + 1, sizeof *before);
    size_t before_count = 0, total = 0;

    for (size_t i = 0; i < packet->property_count / 2 && before_count < limits.properties; i++) {
        const struct sync_property *property = &packet->properties[i];

        if (property->value.data && property->value.len + property->name.len < 100) {
            before[before_count++] = *property;
        }
    }
    sync_packet_fit(packet, before, before_count, &limits);
    REQUIRE(packet->property_count + packet->refused_count == count);
    for (size_t i = 0; i < packet->property_count; i++) {
        total += packet->properties[i].value.data
                     ? packet->properties[i].name.len + packet->properties[i].value.len
                     : 0;
    }
    REQUIRE(total <= limits.total);
    if (packet->refused_count > 0) {
        struct writer message = {0}, to = {0};
        const enum sync_code code = packet->refused[0].code;

        REQUIRE(sync_write_refusals(&message, packet) < packet->refused_count);
        writer_u8(&message, 0);
        sync_write_error(&to, code, (const char *)message.data);
        require_json(&to);
        writer_free(&message);
        writer_free(&to);
    }
    free(before);
}

/* The input as an entry of the map: its state, its token, and a property's value. */
static void check_entry(struct bytes bytes)
{
    const struct sync_property property = {BYTES_LITERAL("p"), bytes};
    struct writer object = {0}, to = {0};

    entry_write_state(&object, bytes);
    require_json(&object);
    const struct sync_entry entry = {bytes, writer_bytes_written(&object)};
    sync_write_metadata_head(&to, sender, sender);
    REQUIRE(sync_write_metadata_rest(&to, &entry, 1, "x") == !json_is_text(bytes));
    require_json(&to);
    writer_reset(&to);
    sync_write_properties(&to, &property, 1);
    if (bytes.len > 0 && !to.failed) {
        require_json(&to);
    }
    writer_free(&object);
    writer_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));
    const struct bytes text = {copy, size};
    struct sync_packet packet;
    struct sync_error error;

    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (!sync_read(text, &limits, &packet, &error)) {
        REQUIRE(!packet.document && !packet.to && !packet.properties);
        require_tellable(&error);
    } else if (packet.kind == SYNC_RELAY || packet.kind == SYNC_UNKNOWN) {
        check_relay(&packet);
    } else if (packet.kind == SYNC_PROPERTIES) {
        check_round_trip(&packet);
        check_fit(&packet);
    }
    sync_packet_free(&packet);
    check_entry(text);
    free(copy);
    return 0;
}
