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
    {"{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":{\"a\":[ 1 , \"t w\\\" "
     "o\", "
     "null,\n{\"x\"\t:2.50}\r],\"o\":{ \"a\" : { \"b\":[ ]}},\"e\":{ }}}}",
     SYNC_PROPERTIES,
     "{\"a\":[1,\"t w\\\" o\",null,{\"x\":2.50}],\"o\":{\"a\":{\"b\":[]}},\"e\":{}}", ""},
    {"{\"to\":[\"server\",\"server\",null],\"packet\":{\"type\":\"properties\",\"properties\":{"
     "\"a\":1}}}",
     SYNC_PROPERTIES, "{\"a\":1}", ""},
    {"{\"to\":[\"a\",\"server\",\"b\"],\"packet\":{\"type\":\"properties\",\"properties\":{\"a\":1}"
     "}}",
     SYNC_PROPERTIES, "{\"a\":1}", "a b"},
    {"{\"to\":[\"*\",\"server\"],\"packet\":{\"type\":\"properties\",\"properties\":{\"a\":1}}}",
     SYNC_PROPERTIES, "{\"a\":1}", "*"},
    {"{\"to\":\"server\",\"packet\":{\"type\":\"properties\"}}", SYNC_PROPERTIES, "{}", ""},

    /* Pings of the server. */
    {"{\"to\":\"server\",\"packet\":{}}", SYNC_PING, NULL, ""},
    {"{\"to\":[\"server\"],\"packet\":{}}", SYNC_PING, NULL, ""},
    {"{\"to\":[\"server\",\"*\"],\"packet\":{\"type\":\"chat\"}}", SYNC_UNKNOWN, NULL, "*"},
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
    {"{\"to\":[null,\"a\",null],\"packet\":{\"type\":\"x\",\"x\":0}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"x\",\"x\":0}", "a"},
    {"{\"to\":[null],\"packet\":{\"type\":\"x\",\"x\":0}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"x\",\"x\":0}", ""},
    /* Lone surrogates, in values, keys and types, two of which are not alike. */
    {"{\"to\":\"a\",\"packet\":{\"type\":\"chat\",\"chat\":[\"\\ud800\",\"x\\uDFFFy\","
     "\"\\ud83d\\ud83d\\ude00\"],"
     "\"\\ud800\":1,\"\\udc00\":2,\"\\ufffd\":3}}",
     SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"chat\",\"chat\":[\"\\ud800\",\"x\\uDFFFy\","
     "\"\\ud83d\\ud83d\\ude00\"],\"\\ud800\":1,\"\\udc00\":2,\"\\ufffd\":3}",
     "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"\\ud800\",\"\\uD800\":1}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"\\ud800\",\"\\uD800\":1}", "a"},
    {"{\"to\":\"a\",\"packet\":{\"type\":\"\\\\\\udc00!\"}}", SYNC_RELAY,
     "{\"from\":\"" TOKEN "\",\"type\":\"\\\\\\udc00!\",\"\\\\\\udc00!\":{}}", "a"},
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
        if (i > 0) {
            writer_u8(&to, ' ');
        }
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

    if (!sync_read(text, &limits, &packet, &error)) {
        fail_msg("%s: %s", expected->text, error.detail.text);
    }
    assert_int_equal(packet.kind, expected->kind);
    assert_receivers(&packet, expected->to);
    if (expected->kind == SYNC_PROPERTIES) {
        sync_write_properties(&to, packet.properties, packet.property_count);
        assert_composed(&to, expected->result);
    } else if (expected->kind == SYNC_RELAY) {
        struct json_error problem = {0};

        sync_write_relay(&to, &packet, B(TOKEN));
        struct json_document *document =
            json_document_parse(writer_bytes_written(&to), &limits.json, &problem);
        assert_non_null(document);
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

/* A refused packet, or properties that are left out of one. */
static void check_bad(const char *code, const char *text, struct bytes input)
{
    struct sync_limits small = limits;
    struct sync_packet packet;
    struct sync_error error;
    struct writer to = {0}, message = {0};

    small.receivers = 4;
    small.properties = 3;
    small.total = 64;
    if (sync_read(input, &small, &packet, &error)) {
        assert_int_equal(packet.kind, SYNC_PROPERTIES);
        sync_packet_fit(&packet, NULL, 0, &small);
        assert_true(packet.refused_count > 0);
        error.code = packet.refused[0].code;
        assert_int_equal(sync_write_refusals(&message, &packet), 0);
    } else {
        writer_string(&message, error.detail.text);
    }
    sync_packet_free(&packet);
    writer_u8(&message, 0);
    if (strcmp(sync_code_name(error.code), code) != 0 ||
        strcmp((const char *)message.data, text) != 0) {
        fail_msg("%.*s: %s, %s; not %s, %s", (int)input.len, (const char *)input.data,
                 sync_code_name(error.code), (const char *)message.data, code, text);
    }
    /* It can be sent, whatever it was. */
    sync_write_error(&to, error.code, (const char *)message.data);
    assert_false(to.failed);
    struct json_document *document = must_parse(writer_bytes_written(&to));
    json_document_free(&document);
    writer_free(&to);
    writer_free(&message);
}

static void test_corpus(void **state)
{
    assert_true(each_case("sync_bad.txt", check_bad) >= 215);
}

struct merge {
    const char *before, *changes; /* objects */
    const char *taken;            /* of the changes */
    const char *refused;          /* names of the others, parted by spaces */
};

/* At most 3 properties, and 20 bytes of names and values. */
static const struct merge merges[] = {
    {"{}", "{}", "{}", ""},
    {"{}", "{\"a\":1}", "{\"a\":1}", ""},
    {"{\"a\":1}", "{}", "{}", ""},
    {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}", ""},
    {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", "{\"b\":3,\"c\":4}", ""},
    {"{\"a\":1,\"b\":2}", "{\"a\":null}", "{\"a\":null}", ""},
    {"{\"a\":1}", "{\"x\":null}", "{\"x\":null}", ""},
    {"{\"a\":1}", "{\"A\":2}", "{\"A\":2}", ""},
    /* Too many. */
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4}", "{}", "d"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4,\"a\":9,\"e\":5}", "{\"a\":9}", "d e"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4,\"a\":null}", "{\"d\":4,\"a\":null}", ""},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"d\":4,\"e\":5,\"a\":null}", "{\"d\":4,\"a\":null}", "e"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":4,\"b\":5,\"c\":6}", "{\"a\":4,\"b\":5,\"c\":6}", ""},
    {"{}", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "{\"a\":1,\"b\":2,\"c\":3}", "d"},
    /* Too many bytes. What comes after is taken where it has room. */
    {"{}", "{\"a\":\"12345678901234567\"}", "{\"a\":\"12345678901234567\"}", ""},
    {"{}", "{\"a\":\"123456789012345678\",\"b\":1}", "{\"b\":1}", "a"},
    {"{\"a\":\"old\"}", "{\"a\":\"123456789012345678\",\"b\":1}", "{\"b\":1}", "a"},
    {"{\"a\":\"12345678901234567\"}", "{\"b\":1}", "{}", "b"},
    {"{\"a\":\"12345678901234567\"}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", ""},
    {"{\"a\":\"12345678901234567\"}", "{\"b\":2,\"a\":1}", "{\"a\":1}", "b"},
    {"{\"a\":\"12345678901234567\"}", "{\"b\":\"1234567890123456\",\"a\":null}",
     "{\"b\":\"1234567890123456\",\"a\":null}", ""},
    {"{}", "{\"1234567890123456789\":1}", "{\"1234567890123456789\":1}", ""},
    {"{}", "{\"12345678901234567890\":1}", "{}", "12345678901234567890"},
    /* More than allowed already: it may shrink. */
    {"{\"a\":\"123456789012345678901234567890\"}", "{\"a\":\"1234567890123456789012345\"}",
     "{\"a\":\"1234567890123456789012345\"}", ""},
    {"{\"a\":\"123456789012345678901234567890\"}", "{\"b\":1}", "{}", "b"},
    {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "{\"a\":5,\"e\":6}", "{\"a\":5}", "e"},
    /* Values of any type, as they are kept. */
    {"{}", "{\"a\":[ 1, {\"b\": null} ],\"c\":{ }}", "{\"a\":[1,{\"b\":null}],\"c\":{}}", ""},
    {"{\"a\":[1,2,3]}", "{\"a\":{\"x\":[\" ,}\"]}}", "{\"a\":{\"x\":[\" ,}\"]}}", ""},
};

/* The properties of an object, which must be freed with the packet. */
static void read_properties(struct writer *text, const char *object, struct sync_packet *packet)
{
    struct sync_error error;

    writer_format(
        text, "{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":%s}}", object);
    assert_true(sync_read(writer_bytes_written(text), &limits, packet, &error));
}

static void assert_refused(const struct sync_packet *packet, const char *expected)
{
    struct writer names = {0};

    for (size_t i = 0; i < packet->refused_count; i++) {
        writer_string(&names, i > 0 ? " " : "");
        writer_bytes(&names, json_value_key(packet->refused[i].value));
        assert_int_equal(packet->refused[i].code, SYNC_CODE_LIMIT);
    }
    assert_text("refused", writer_bytes_written(&names), expected);
    writer_free(&names);
}

static void test_merge(void **state)
{
    struct sync_limits small = limits;

    small.properties = 3;
    small.total = 20;
    for (size_t i = 0; i < COUNT(merges); i++) {
        struct writer texts[2] = {{0}, {0}}, to = {0};
        struct sync_packet before, changes;

        read_properties(&texts[0], merges[i].before, &before);
        read_properties(&texts[1], merges[i].changes, &changes);
        sync_packet_fit(&changes, before.properties, before.property_count, &small);
        sync_write_properties(&to, changes.properties, changes.property_count);
        assert_composed(&to, merges[i].taken);
        assert_refused(&changes, merges[i].refused);
        sync_packet_free(&before);
        sync_packet_free(&changes);
        writer_free(&texts[0]);
        writer_free(&texts[1]);
        writer_free(&to);
    }
}

/* The protocol's own numbers: 25 properties, names of 64 bytes, 4096 bytes in all, 16 levels. All
 * other properties of the packet are taken. */
static void test_default_limits(void **state)
{
    struct writer object = {0}, text = {0};
    struct sync_packet packet;

    writer_string(&object, "{\"full\":\"");
    for (int i = 0; i < 4096 - 4 - 2 - 64; i++) {
        writer_u8(&object, 'x');
    }
    writer_format(&object, "\",\"%064d\":1,\"%065d\":2,", 1, 2);
    for (int i = 3; i <= 300; i++) {
        writer_format(&object, "\"%02d\":\"\",", i);
    }
    writer_format(&object, "\"deep\":%.16s%.16s,\"deeper\":%.17s%.17s}", "[[[[[[[[[[[[[[[[[",
                  "]]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[[", "]]]]]]]]]]]]]]]]]");
    writer_u8(&object, 0);
    read_properties(&text, (const char *)object.data, &packet);
    assert_int_equal(packet.property_count, 301); /* all but the long name and what is too deep */
    assert_int_equal(packet.refused_count, 2);
    sync_packet_fit(&packet, NULL, 0, &limits);
    assert_int_equal(packet.property_count, 1 + 16); /* "full" leaves 64 bytes: 16 of 4 */
    sync_packet_free(&packet);
    writer_free(&text);
    writer_free(&object);
    writer_string(&object, "{");
    for (int i = 1; i <= 30; i++) {
        writer_format(&object, "%s\"%064d\":[%d]", i > 1 ? "," : "", i, i);
    }
    writer_string(&object, "}");
    writer_u8(&object, 0);
    read_properties(&text, (const char *)object.data, &packet);
    sync_packet_fit(&packet, NULL, 0, &limits);
    assert_int_equal(packet.property_count, 25);
    assert_int_equal(packet.refused_count, 5);
    sync_packet_free(&packet);
    writer_free(&text);
    writer_free(&object);
}

/* As many as a message has room for. */
static void test_refusals_message(void **state)
{
    struct writer object = {0}, text = {0}, message = {0};
    struct sync_packet packet;

    writer_string(&object, "{\"b\":\"\\ud800\"");
    for (int i = 0; i < 100; i++) {
        writer_format(&object, ",\"%066d\":1", i);
    }
    writer_string(&object, "}");
    writer_u8(&object, 0);
    read_properties(&text, (const char *)object.data, &packet);
    assert_int_equal(packet.refused_count, 101);
    assert_int_equal(packet.refused[0].code, SYNC_CODE_BAD_PROPERTY);
    assert_true(sync_write_refusals(&message, &packet) > 80);
    assert_true(message.len <= 1024 + 2 && message.len > 800);
    assert_true(sync_write_refusals(&message, &packet) >= 100); /* it is full */
    writer_u8(&message, 0);
    assert_non_null(strstr((const char *)message.data, "packet.properties.b: a lone surrogate; "));
    sync_packet_free(&packet);
    writer_free(&message);
    writer_free(&text);
    writer_free(&object);
}

/* More receivers than are compared pair by pair; each twice. */
static void test_many_receivers(void **state)
{
    struct writer text = {0};
    struct sync_packet packet;
    struct sync_error error;
    char id[8];

    writer_string(&text, "{\"packet\":{},\"to\":[");
    for (int i = 0; i < 256; i++) {
        writer_format(&text, "%s\"%03d\"", i > 0 ? "," : "", i * 77 % 128);
    }
    writer_string(&text, "]}");
    assert_true(sync_read(writer_bytes_written(&text), &limits, &packet, &error));
    assert_int_equal(packet.to_count, 128);
    for (int i = 0; i < 128; i++) {
        (void)snprintf(id, sizeof id, "%03d", i * 77 % 128);
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
        cmocka_unit_test(test_many_receivers), cmocka_unit_test(test_refusals_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
