/*
 * What metadata-sync clients send: read, relayed, merged; and the corpus of what is refused,
 * cases/sync_bad.txt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"
#include "codec/sync.h"

#define TOKEN "b2470fc4561bb4a66ca3d3a25172c8df"

static const struct sync_limits limits = SYNC_LIMITS_DEFAULT;

struct good {
    const char *text;
    enum sync_kind kind;
    const char *result; /* PROPERTIES: these; RELAY: what is relayed from TOKEN */
    const char *to;     /* RELAY: the receivers, parted by spaces; "*": everyone */
};

static const struct good good[] = {
    /* The document's examples, to the byte. */
    {"{\n\t\"to\": \"server\",\n\t\"packet\": {\n\t\t\"type\": "
     "\"properties\",\n\t\t\"properties\": "
     "{\n\t\t\t\"example\": \"Value of 'example' property\xc3\x94\xe2\x88\x8f\xc3\xa8\",\n"
     "\t\t\t\"example2\": \"example!\"\n\t\t}\n\t}\n}",
     SYNC_PROPERTIES,
     "{\"example\":\"Value of 'example' property\xc3\x94\xe2\x88\x8f\xc3\xa8\","
     "\"example2\":\"example!\"}",
     ""},
    {"{\n\t\"to\": [\"Can be a string or an array containing tokens or wildcard for broadcasts\"],"
     "\n\t\"packet\":{\n\t\t\"type\": \"What is the packet type\",\n\t\t\"[type]\": \"The key is "
     "the "
     "same as the value of 'type' and the value can be anything\"\n\t}\n}",
     SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"What is the packet type\",\"What is the packet type\":{},"
     "\"[type]\":\"The key is the same as the value of 'type' and the value can be anything\"}",
     "Can be a string or an array containing tokens or wildcard for broadcasts"},

    /* Properties: every kind of value, as it was written. */
    {"{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":{\"s\":\"\\u00e9\\/\","
     "\"i\":9007199254740993,\"f\":-1.50e+2,\"t\":true,\"f2\":false,\"n\":null,\"\":\"\"}}}",
     SYNC_PROPERTIES,
     "{\"s\":\"\\u00e9\\/\",\"i\":9007199254740993,\"f\":-1.50e+2,\"t\":true,\"f2\":false,"
     "\"n\":null,\"\":\"\"}",
     ""},
    {"{\"packet\":{\"properties\":{\"k\\u0065y\":1},\"type\":\"prop\\u0065rties\",\"x\":1},\"y\":[]"
     ","
     "\"to\":\"serv\\u0065r\"}",
     SYNC_PROPERTIES, "{\"key\":1}", ""},
    {"{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":{}}}", SYNC_PROPERTIES,
     "{}", ""},
    {"{\"to\":\"server\",\"packet\":{\"type\":\"properties\"}}", SYNC_PROPERTIES, "{}", ""},

    /* Pings of the server. */
    {"{\"to\":\"server\",\"packet\":{}}", SYNC_PING, NULL, ""},
    {"{\"to\":\"server\",\"packet\":{\"type\":\"ping\",\"ping\":[1]}}", SYNC_PING, NULL, ""},

    /* Relays. */
    {"{\"to\":\"a\",\"packet\":{\"type\":\"chat\",\"chat\":\"hi\"}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":\"hi\"}", "a"},
    {"{\"to\":[\"a\",\"b\",\"a\",\"\\u0061\"],\"packet\":{\"chat\":1,\"type\":\"chat\"}}",
     SYNC_RELAY, "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":1}", "a b"},
    {"{\"to\":\"*\",\"packet\":{\"type\":\"chat\",\"chat\":null}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":null}", "*"},
    {"{\"to\":[\"a\",\"*\",\"b\",\"*\"],\"packet\":{\"type\":\"x\",\"x\":[]}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"x\",\"x\":[]}", "*"},
    {"{\"to\":[],\"packet\":{\"type\":\"x\",\"x\":0}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"x\",\"x\":0}", ""},
    {"{\"to\":\"1:12345\",\"packet\":{}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"ping\",\"ping\":{}}", "1:12345"},
    {"{\"to\":\"a\",\"packet\":{\"ping\":{\"n\":1}}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"ping\",\"ping\":{\"n\":1}}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"chat\"}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":{}}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"x\":1.00,\"chat\":\"\\ud83d\\ude00\",\"y\":{ \"z\" : [ ] },"
     "\"type\":\"chat\",\"\\u0077\":12345678901234567890}}",
     SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":\"\\ud83d\\ude00\",\"x\":1.00,"
     "\"y\":{ \"z\" : [ ] },\"\\u0077\":12345678901234567890}",
     "a"},
    {"{\"to\":\"a\",\"packet\":{\"from\":\"server\",\"type\":\"chat\",\"chat\":{},\"fr\\u006fm2\":"
     "1}"
     "}",
     SYNC_RELAY, "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":{},\"fr\\u006fm2\":1}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"fr\\u006fm\":\"server\",\"typ\\u0065\":\"ch\\u0061t\","
     "\"\\u0063hat"
     "\":{}}}",
     SYNC_RELAY, "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"\\u0063hat\":{}}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"type\",\"x\":1}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"type\",\"x\":1}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"to\",\"to\":\"b\"}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"to\",\"to\":\"b\"}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"properties\",\"properties\":{\"a\":[]}}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"properties\",\"properties\":{\"a\":[]}}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"c\\\"\\n\",\"c\\\"\\n\":1}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"c\\\"\\n\",\"c\\\"\\n\":1}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"chat\",\"Chat\":1,\"metadata\":2,\"error\":3}}",
     SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":{},\"Chat\":1,\"metadata\":2,\"error\":3}",
     "a"},
};

static void assert_receivers(const struct sync_packet *packet, const char *expected)
{
    struct writer to = {0};

    for (size_t i = 0; i < packet->to_count; i++) {
        if (i > 0)
            writer_u8(&to, ' ');
        writer_bytes(&to, packet->to[i]);
    }
    if (packet->everyone) {
        assert_int_equal(packet->to_count, 0);
        writer_u8(&to, '*');
    }
    assert_text("to", writer_bytes_written(&to), expected);
    writer_free(&to);
}

static void check_good(const struct good *expected, struct bytes text)
{
    struct sync_packet packet;
    struct sync_error error;
    struct writer to = {0};

    if (!sync_read(text, &limits, &packet, &error))
        fail_msg("%s: %s", expected->text, error.detail.text);
    assert_int_equal(packet.kind, expected->kind);
    assert_receivers(&packet, expected->to);
    if (expected->kind == SYNC_PROPERTIES) {
        sync_write_properties(&to, packet.properties, packet.property_count);
        assert_composed(&to, expected->result);
    } else if (expected->kind == SYNC_RELAY) {
        sync_write_relay(&to, &packet, B(TOKEN));
        struct json_document *document = must_parse(writer_bytes_written(&to));
        json_document_free(&document);
        assert_composed(&to, expected->result);
    }
    writer_free(&to);
    sync_packet_free(&packet);
    sync_packet_free(&packet);
}

static void test_good(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct bytes text = exact_copy(S(good[i].text));

        check_good(&good[i], text);
        free((void *)text.data);
    }
}

static void check_bad(const char *code, const char *text, struct bytes input)
{
    struct sync_limits small = limits;
    struct sync_property merged[300];
    struct sync_packet packet;
    struct sync_error error;
    struct writer to = {0};
    size_t count;

    small.receivers = 4;
    small.properties = 3;
    small.total = 64;
    if (sync_read(input, &small, &packet, &error)) {
        assert_int_equal(packet.kind, SYNC_PROPERTIES);
        assert_false(sync_merge(NULL, 0, packet.properties, packet.property_count, &small, merged,
                                &count, &error));
    }
    sync_packet_free(&packet);
    if (strcmp(sync_code_name(error.code), code) != 0 || strcmp(error.detail.text, text) != 0)
        fail_msg("%.*s: %s, %s; not %s, %s", (int)input.len, (const char *)input.data,
                 sync_code_name(error.code), error.detail.text, code, text);
    /* It can be told, whatever it was. */
    sync_write_error(&to, error.code, error.detail.text);
    assert_false(to.failed);
    struct json_document *document = must_parse(writer_bytes_written(&to));
    json_document_free(&document);
    writer_free(&to);
}

static void test_corpus(void **state)
{
    assert_true(each_case("sync_bad.txt", check_bad) >= 230);
}

struct merge {
    const char *before, *changes, *after; /* objects; after NULL: refused */
};

/* At most 3 properties, and 20 bytes of names and values. */
static const struct merge merges[] = {
    {"{}", "{}", "{}"},
    {"{}", "{\"a\":1}", "{\"a\":1}"},
    {"{\"a\":1}", "{}", "{\"a\":1}"},
    {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}"},
    {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", "{\"a\":1,\"b\":3,\"c\":4}"},
    {"{\"a\":1,\"b\":2}", "{\"a\":null}", "{\"b\":2}"},
    {"{\"a\":1,\"b\":2}", "{\"a\":null,\"b\":null}", "{}"},
    {"{\"a\":1}", "{\"x\":null}", "{\"a\":1}"},
    {"{\"a\":1}", "{\"A\":2}", "{\"a\":1,\"A\":2}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4}", NULL},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4,\"a\":null}", "{\"b\":2,\"c\":3,\"d\":4}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":null,\"e\":null}", "{\"a\":1,\"b\":2,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":4,\"b\":5,\"c\":6}", "{\"a\":4,\"b\":5,\"c\":6}"},
    {"{}", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", NULL},
    {"{\"a\":\"12345678901234567\"}", "{}", "{\"a\":\"12345678901234567\"}"},
    {"{}", "{\"a\":\"12345678901234567\"}", "{\"a\":\"12345678901234567\"}"},
    {"{}", "{\"a\":\"123456789012345678\"}", NULL},
    {"{\"a\":\"12345678901234567\"}", "{\"b\":1}", NULL},
    {"{\"a\":\"12345678901234567\"}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"},
    {"{\"a\":\"12345678901234567\"}", "{\"a\":null,\"b\":\"1234567890123456\"}",
     "{\"b\":\"1234567890123456\"}"},
    {"{}", "{\"1234567890123456789\":1}", "{\"1234567890123456789\":1}"},
    {"{}", "{\"12345678901234567890\":1}", NULL},
};

/* The properties of an object, which must be freed with the packet. */
static void read_properties(struct writer *text, const char *object, struct sync_packet *packet)
{
    struct sync_error error;

    writer_format(
        text, "{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":%s}}", object);
    assert_true(sync_read(writer_bytes_written(text), &limits, packet, &error));
}

static void test_merge(void **state)
{
    struct sync_limits small = limits;

    small.properties = 3;
    small.total = 20;
    for (size_t i = 0; i < COUNT(merges); i++) {
        struct writer texts[2] = {{0}, {0}}, to = {0};
        struct sync_packet before, changes;
        struct sync_property merged[8];
        struct sync_error error;
        size_t count;

        read_properties(&texts[0], merges[i].before, &before);
        read_properties(&texts[1], merges[i].changes, &changes);
        if (sync_merge(before.properties, before.property_count, changes.properties,
                       changes.property_count, &small, merged, &count,
                       &error) != (merges[i].after != NULL))
            fail_msg("%s and %s: %s", merges[i].before, merges[i].changes, error.detail.text);
        if (merges[i].after != NULL) {
            sync_write_properties(&to, merged, count);
            assert_composed(&to, merges[i].after);
        } else {
            assert_int_equal(error.code, SYNC_CODE_LIMIT);
            assert_int_equal(error.detail.fault, JSON_FAULT_LIMIT);
        }
        sync_packet_free(&before);
        sync_packet_free(&changes);
        writer_free(&texts[0]);
        writer_free(&texts[1]);
        writer_free(&to);
    }
}

/* The protocol's own numbers: 25 properties, names of 64 bytes, 4096 bytes in all. */
static void test_default_limits(void **state)
{
    struct sync_property properties[26], merged[26];
    struct sync_error error;
    char names[26][3], value[4096];
    size_t count;

    for (size_t i = 0; i < COUNT(properties); i++) {
        (void)snprintf(names[i], sizeof names[i], "%02zu", i);
        properties[i] = (struct sync_property){S(names[i]), B("1")};
    }
    assert_true(sync_merge(NULL, 0, properties, 25, &limits, merged, &count, &error));
    assert_int_equal(count, 25);
    assert_false(sync_merge(NULL, 0, properties, 26, &limits, merged, &count, &error));
    assert_false(sync_merge(properties, 25, properties + 25, 1, &limits, merged, &count, &error));
    memset(value, 'x', sizeof value);
    value[0] = value[4093] = '"';
    properties[0].value = (struct bytes){(const uint8_t *)value, 4094};
    assert_true(sync_merge(NULL, 0, properties, 1, &limits, merged, &count, &error));
    value[4093] = 'x';
    value[4094] = '"';
    properties[0].value.len = 4095;
    assert_false(sync_merge(NULL, 0, properties, 1, &limits, merged, &count, &error));
    assert_string_equal(error.detail.text,
                        "packet.properties: more bytes of properties than an entry may have");
}

/* More receivers than are compared pair by pair; each twice. */
static void test_many_receivers(void **state)
{
    struct writer text = {0};
    struct sync_packet packet;
    struct sync_error error;
    char id[8];

    writer_string(&text, "{\"packet\":{},\"to\":[");
    for (int i = 0; i < 1000; i++)
        writer_format(&text, "%s\"%03d\"", i > 0 ? "," : "", i * 77 % 500);
    writer_string(&text, "]}");
    assert_true(sync_read(writer_bytes_written(&text), &limits, &packet, &error));
    assert_int_equal(packet.to_count, 500);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(id, sizeof id, "%03d", i * 77 % 500);
        assert_text("to", packet.to[i], id);
    }
    sync_packet_free(&packet);
    writer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_merge),          cmocka_unit_test(test_default_limits),
        cmocka_unit_test(test_many_receivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
