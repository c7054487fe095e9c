/*
 * Fuzzes the JSON layer.
 *
 * Invariants: a refusal has a kind, a position within the text and a message that can be sent; the
 * values of a document are nested in its text, and the bytes of each value are a document again;
 * what is composed from a document is read as the same; the writer either fails on a string or
 * writes it so that it is read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = JSON_LIMITS_DEFAULT;

static bool is_container(const struct json_value *value)
{
    return json_value_type(value) == JSON_TYPE_ARRAY || json_value_type(value) == JSON_TYPE_OBJECT;
}

static void require_tellable(const struct json_error *error, size_t size)
{
    REQUIRE(error->fault != JSON_FAULT_NONE && error->reason && error->where <= size);
    REQUIRE(bytes_is_utf8(bytes_from_string(error->text)));
    for (const char *at = error->text; *at != '\0'; at++) {
        REQUIRE((unsigned char)*at >= 0x20);
    }
    REQUIRE(strstr(error->text, error->reason));
}

static void require_scalar(const struct json_value *value)
{
    const struct bytes raw = json_value_raw(value);
    struct json_error error = {0};
    int64_t integer;
    double number;

    REQUIRE(json_scalar_is_valid(raw) == !is_container(value));
    if (json_value_type(value) != JSON_TYPE_NUMBER) {
        return;
    }
    REQUIRE(json_value_number(value, &number, &error));
    if (json_value_integer(value, &integer, &error)) {
        REQUIRE((double)integer == number);
    } else {
        require_tellable(&error, SIZE_MAX);
    }
}

static void compose(struct json_writer *json, const struct json_value *value)
{
    struct json_error error = {0};
    struct bytes text;

    if (json_value_text(value, &text, &error)) {
        json_write_text(json, text);
        return;
    }
    require_tellable(&error, SIZE_MAX);
    if (!is_container(value)) {
        json_write_raw(json, json_value_raw(value));
        return;
    }
    if (json_value_type(value) == JSON_TYPE_OBJECT) {
        json_write_object_begin(json);
    } else {
        json_write_array_begin(json);
    }
    for (const struct json_value *member = json_value_first(value); member;
         member = json_value_next(member)) {
        if (json_value_type(value) == JSON_TYPE_OBJECT) {
            json_write_key(json, json_value_key(member));
        }
        compose(json, member);
    }
    if (json_value_type(value) == JSON_TYPE_OBJECT) {
        json_write_object_end(json);
    } else {
        json_write_array_end(json);
    }
}

/* The text of the document composed anew. */
static struct writer composed(const struct json_document *document)
{
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);

    compose(&json, json_document_root(document));
    REQUIRE(!to.failed);
    return to;
}

/* Deep values are read once for each container around them: bounded by the limit of depth. */
static void require_own_document(const struct json_value *value)
{
    struct json_error error = {0};
    struct json_document *own = json_document_parse(json_value_raw(value), &limits, &error);

    REQUIRE(own);
    REQUIRE(json_value_type(json_document_root(own)) == json_value_type(value));
    REQUIRE(json_value_count(json_document_root(own)) == json_value_count(value));
    REQUIRE(bytes_equal(json_value_raw(json_document_root(own)), json_value_raw(value)));
    json_document_free(&own);
}

static void walk(const struct json_value *value)
{
    const struct bytes raw = json_value_raw(value);
    const uint8_t *at = raw.data + 1;
    size_t count = 0;

    require_scalar(value);
    require_own_document(value);
    for (const struct json_value *member = json_value_first(value); member;
         member = json_value_next(member)) {
        const struct bytes inner = json_value_raw(member);
        const struct bytes key = json_value_raw_key(member);

        if (json_value_type(value) == JSON_TYPE_OBJECT) {
            REQUIRE(json_value_find(value, json_value_key(member)) == member);
            REQUIRE(key.data >= at && json_scalar_is_valid(key));
            at = key.data + key.len;
        }
        REQUIRE(inner.data >= at && inner.len > 0);
        at = inner.data + inner.len;
        REQUIRE(at < raw.data + raw.len);
        walk(member);
        count++;
    }
    REQUIRE(count == json_value_count(value));
}

static void check_document(const struct json_document *document)
{
    struct json_error error = {0};
    struct writer once = composed(document);
    struct json_document *again = json_document_parse(writer_bytes_written(&once), &limits, &error);
    struct writer twice;

    walk(json_document_root(document));
    REQUIRE(again);
    twice = composed(again);
    REQUIRE(bytes_equal(writer_bytes_written(&once), writer_bytes_written(&twice)));
    json_document_free(&again);
    writer_free(&once);
    writer_free(&twice);
}

static void check_string(struct bytes text)
{
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);
    struct json_error error = {0};

    json_write_text(&json, text);
    REQUIRE(to.failed == !json_is_text(text));
    if (!to.failed) {
        struct json_document *document =
            json_document_parse(writer_bytes_written(&to), &limits, &error);
        struct bytes read;

        REQUIRE(document);
        REQUIRE(json_value_text(json_document_root(document), &read, &error));
        REQUIRE(bytes_equal(read, text));
        json_document_free(&document);
    }
    writer_free(&to);
}

/* A value without its spaces is a value, as deep, and has no more to lose. */
static void check_minified(const struct json_value *value)
{
    struct writer once = {0}, twice = {0};
    struct json_error error = {0};
    struct json_document *document;

    json_write_minified(&once, value);
    REQUIRE(json_text_is_value(writer_bytes_written(&once), json_value_depth(value)));
    document = json_document_parse(writer_bytes_written(&once), &limits, &error);
    REQUIRE(document && json_value_is_text(json_document_root(document)));
    json_write_minified(&twice, json_document_root(document));
    REQUIRE(bytes_equal(writer_bytes_written(&once), writer_bytes_written(&twice)));
    json_document_free(&document);
    writer_free(&once);
    writer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));
    const struct bytes text = {copy, size};
    struct json_error error = {0};
    struct json_document *document;
    bool scalar = false;

    if (size > 0) {
        memcpy(copy, data, size);
    }
    document = json_document_parse(text, &limits, &error);
    if (!document) {
        require_tellable(&error, size);
    } else {
        const struct json_value *root = json_document_root(document);

        scalar = !is_container(root) && bytes_equal(json_value_raw(root), text);
        check_document(document);
        check_minified(root);
    }
    REQUIRE(json_scalar_is_valid(text) == scalar);
    check_string(text);
    json_document_free(&document);
    free(copy);
    return 0;
}
