/*
 * What metadata-sync servers send, and how entries of the other protocols look in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/entry.h"
#include "codec/json_case.h"
#include "codec/sync.h"

#define TOKEN "b2470fc4561bb4a66ca3d3a25172c8df"
#define OTHER "00000000000000000000000000000001"

static void write_metadata(struct writer *to, const struct sync_entry *entries, size_t count,
                           const char *version)
{
    sync_write_metadata_head(to, B(TOKEN), B(""));
    assert_int_equal(sync_write_metadata_rest(to, entries, count, version), 0);
}

/* The document's examples of what the server sends, to the byte but for spaces. */
static void test_document_examples(void **state)
{
    const struct sync_property properties[] = {
        {B("example"), B("\"Value of 'example' property\"")},
        {B("example2"), B("\"example!\"")},
    };
    const struct bytes token = B(TOKEN);
    const struct sync_changes changes = {
        .opened = &token, .opened_count = 1, .properties = &token, .properties_count = 1};
    struct writer object = {0}, to = {0};

    sync_write_properties(&object, properties, 2);
    const struct sync_entry entry = {token, writer_bytes_written(&object)};
    write_metadata(&to, &entry, 1, "DEV");
    assert_same_json(writer_bytes_written(&to),
                     B("{\n\t\"from\": \"server\",\n\t\"type\": \"metadata\",\n\t\"metadata\": {\n"
                       "\t\t\"index\": \"b2470fc4561bb4a66ca3d3a25172c8df\",\n"
                       "\t\t\"indexes\": [\n\t\t\t\"b2470fc4561bb4a66ca3d3a25172c8df\"\n\t\t],\n"
                       "\t\t\"properties\": {\n\t\t\t\"b2470fc4561bb4a66ca3d3a25172c8df\": {\n"
                       "\t\t\t\t\"example\": \"Value of 'example' property\",\n"
                       "\t\t\t\t\"example2\": \"example!\"\n\t\t\t}\n\t\t},\n"
                       "\t\t\"version\": \"DEV\"\n\t}\n}"));
    writer_reset(&to);
    assert_int_equal(sync_write_changes(&to, &changes), 0);
    assert_same_json(writer_bytes_written(&to),
                     B("{\n\t\"from\": \"server\",\n\t\"type\": \"changes\",\n\t\"changes\": {\n"
                       "\t\t\"opened\": [\"b2470fc4561bb4a66ca3d3a25172c8df\"],\n"
                       "\t\t\"closed\": [],\n"
                       "\t\t\"properties\": [\"b2470fc4561bb4a66ca3d3a25172c8df\"]}\n\t}"));
    writer_free(&object);
    writer_free(&to);
}

static void test_metadata(void **state)
{
    const struct sync_entry entries[] = {
        {B(TOKEN), B("{\"a\":1}")}, {B("\xff\xfe"), B("{}")}, /* cannot be sent */
        {B("Ab3xYz9"), B("")},      {B("a\0b"), B("{}")},     /* nor can this */
        {B("q\"\n"), B("{ }")},
    };
    struct writer head = {0}, rest = {0}, to = {0};

    sync_write_metadata_head(&head, B(TOKEN), B(""));
    assert_composed(&head, "{\"from\":\"server\",\"type\":\"metadata\",\"metadata\":{\"index\":"
                           "\"" TOKEN "\"");
    sync_write_metadata_head(&head, B(OTHER), B("secret"));
    assert_composed(&head, "{\"from\":\"server\",\"type\":\"metadata\",\"metadata\":{\"index\":"
                           "\"" OTHER "\",\"resume\":\"secret\"");
    assert_int_equal(sync_write_metadata_rest(&rest, entries, COUNT(entries), "1.0"), 2);
    assert_composed(&rest, ",\"indexes\":[\"" TOKEN "\",\"Ab3xYz9\",\"q\\\"\\n\"],"
                           "\"properties\":{\"" TOKEN "\":{\"a\":1},\"Ab3xYz9\":{},"
                           "\"q\\\"\\n\":{ }},\"version\":\"1.0\"}}");
    /* No entries, and both parts together. */
    write_metadata(&to, NULL, 0, "x");
    assert_composed(&to, "{\"from\":\"server\",\"type\":\"metadata\",\"metadata\":{\"index\":"
                         "\"" TOKEN "\",\"indexes\":[],\"properties\":{},\"version\":\"x\"}}");
    writer_free(&head);
    writer_free(&rest);
    writer_free(&to);
}

static void test_changes(void **state)
{
    const struct bytes tokens[] = {B("a"), B("\x80"), B("b")};
    const struct sync_property changed[] = {{B("x"), B("1")}, {B("y"), {0}}};
    struct writer object = {0}, to = {0};
    struct sync_changes changes = {0};

    assert_int_equal(sync_write_changes(&to, &changes), 0);
    assert_composed(&to, "{\"from\":\"server\",\"type\":\"changes\",\"changes\":{\"opened\":[],"
                         "\"closed\":[],\"properties\":[]}}");
    sync_write_properties(&object, changed, 2);
    const struct sync_entry values[] = {
        {B("a"), writer_bytes_written(&object)}, {B("\x80"), B("{}")}, {B("b"), B("")}};
    changes = (struct sync_changes){tokens, 1, tokens, 3, tokens + 2, 1, true, values, 3};
    assert_int_equal(sync_write_changes(&to, &changes), 2);
    assert_composed(&to,
                    "{\"from\":\"server\",\"type\":\"changes\",\"changes\":{\"opened\":[\"a\"],"
                    "\"closed\":[\"a\",\"b\"],\"properties\":[\"b\"],"
                    "\"values\":{\"a\":{\"x\":1,\"y\":null},\"b\":{}}}}");
    changes = (struct sync_changes){.delta = true};
    assert_int_equal(sync_write_changes(&to, &changes), 0);
    assert_composed(&to, "{\"from\":\"server\",\"type\":\"changes\",\"changes\":{\"opened\":[],"
                         "\"closed\":[],\"properties\":[],\"values\":{}}}");
    writer_free(&object);
    writer_free(&to);
}

static void test_error(void **state)
{
    struct writer to = {0};

    sync_write_error(&to, SYNC_CODE_UNDELIVERABLE, "to: \"x\" is gone");
    assert_composed(&to, "{\"from\":\"server\",\"type\":\"error\",\"error\":{\"code\":"
                         "\"undeliverable\",\"message\":\"to: \\\"x\\\" is gone\"}}");
    for (int a = SYNC_CODE_BAD_JSON; a <= SYNC_CODE_UNAVAILABLE; a++) {
        for (int b = SYNC_CODE_BAD_JSON; b < a; b++) {
            assert_string_not_equal(sync_code_name(a), sync_code_name(b));
        }
    }
    writer_free(&to);
}

/* Values come from the map, where anybody may have put anything. */
static void test_values_are_checked(void **state)
{
    static const struct sync_property bad[] = {
        {B("a"), B("")},
        {B("a"), B("[]]")},
        {B("a"), B("1,\"b\":2")},
        {B("a"), B("text")},
        {B("a"), B("[")},
        {B("a"), B("\"\xff\"")},
        {B("a"), B("\"a")},
        {B("\xff"), B("1")},
        {B("a\0"), B("1")},
        {B("a"), B("{} ")},
        {B("a"), B("1}")},
        {B("a"), B("NaN")},
        {B("a"), B(" 1")},
        {B("a"), B("{},\"b\":2")},
        {B("a"), B("[\"\\ud800\"]")},
        {B("a"), B(" []")},
        {B("a"), B("{\"b\":1,\"b\":1}")},
        {B("a"), B("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]")}, /* 17 levels */
    };
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(bad); i++) {
        sync_write_properties(&to, &bad[i], 1);
        assert_true(to.failed);
        writer_reset(&to);
    }
    writer_free(&to);
}

static void test_update(void **state)
{
    const struct sync_property changes[] = {{B("a"), B("\"b\"")}, {B("c"), {0}}};
    struct sync_limits limits = SYNC_LIMITS_DEFAULT;
    struct writer to = {0};
    struct sync_packet packet;
    struct sync_error error;

    sync_write_update(&to, changes, 2);
    assert_text("update", writer_bytes_written(&to),
                "{\"to\":\"server\",\"packet\":{\"type\":\"properties\",\"properties\":"
                "{\"a\":\"b\",\"c\":null}}}");
    assert_true(sync_read(writer_bytes_written(&to), &limits, &packet, &error));
    assert_int_equal(packet.property_count, 2);
    assert_text("name", packet.properties[0].name, "a");
    assert_text("value", packet.properties[0].value, "\"b\"");
    assert_null(packet.properties[1].value.data);
    sync_packet_free(&packet);
    writer_free(&to);
}

struct state {
    struct bytes state;
    const char *written;
};

static const struct state states[] = {
    {B(""), "{\"state\":\"\"}"},
    {B("theState1"), "{\"state\":\"theState1\"}"},
    {B("\xc3\xa9 \"x\"\n"), "{\"state\":\"\xc3\xa9 \\\"x\\\"\\n\"}"},
    {B("{\"json\":1}"), "{\"state\":\"{\\\"json\\\":1}\"}"},
    {B("\x01\x1f\x7f"), "{\"state\":\"\\u0001\\u001f\x7f\"}"},
    {B("\xff"), "{\"state64\":\"/w==\"}"},
    {B("\xff\xfe"), "{\"state64\":\"//4=\"}"},
    {B("\xff\xfe\xfd"), "{\"state64\":\"//79\"}"},
    {B("\0"), "{\"state64\":\"AA==\"}"},
    {B("a\0b"), "{\"state64\":\"YQBi\"}"},
    {B("\xc3"), "{\"state64\":\"ww==\"}"},
    {B("\xed\xa0\x80"), "{\"state64\":\"7aCA\"}"},
    {B("\xfb\xef\xbe"), "{\"state64\":\"++++\"}"},
};

static void test_states(void **state)
{
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(states); i++) {
        const struct bytes copy = exact_copy(states[i].state);

        entry_write_state(&to, copy);
        struct json_document *document = must_parse(writer_bytes_written(&to));
        json_document_free(&document);
        assert_composed(&to, states[i].written);
        free((void *)copy.data);
    }
    writer_free(&to);
}

static void test_users(void **state)
{
    struct writer to = {0};

    entry_write_user(&to, B("1:12345"), B("busy"));
    assert_composed(&to, "{\"user\":\"1:12345\",\"status\":\"busy\"}");
    entry_write_user(&to, B("\xff"), B("busy"));
    assert_true(to.failed);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_examples),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_values_are_checked),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
