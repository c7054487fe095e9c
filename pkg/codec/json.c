/*
 * JSON documents: first the strict scan, then cJSON on what it accepted, then the checks that
 * neither makes: duplicate keys and numbers that are not finite. See json.h for what is refused.
 */
#include "codec/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json_private.h"
#include "codec/unique_private.h"

#define JSON_EXPONENT_MAX 1000000 /* far more than a number's digits can compensate */
#define JSON_INTEGER_MAX  19      /* digits of 64 bits */

/* Links each value to its item in the tree. Both are in the text's order; containers precede their
 * members, so that their item is known by then. */
static bool link_items(struct json_document *document)
{
    document->values[0].item = document->tree;
    for (uint32_t i = 0; i < document->count; i++) {
        const cJSON *child = document->values[i].item->child;
        uint32_t at = document->values[i].count > 0 ? i + 1 : JSON_NO_VALUE;

        while (child && at != JSON_NO_VALUE) {
            document->values[at].item = child;
            child = child->next;
            at = document->values[at].next;
        }
        if (child || at != JSON_NO_VALUE) {
            return false;
        }
    }
    return true;
}

static bool check_keys(const struct json_value *object, struct json_error *error)
{
    struct bytes *keys = mem_zalloc(object->count, sizeof *keys);
    const struct json_value *member = json_value_first(object);
    size_t repeat;

    for (size_t i = 0; i < object->count; i++, member = json_value_next(member)) {
        keys[i] = json_value_key(member);
    }
    repeat = unique_first_repeat(keys, object->count);
    free(keys);
    if (repeat == object->count) {
        return true;
    }
    member = json_value_first(object);
    while (repeat-- > 0) {
        member = json_value_next(member);
    }
    return json_value_fail(member, JSON_FAULT_DUPLICATE, "a duplicate key", error);
}

static bool check_meaning(const struct json_document *document, struct json_error *error)
{
    for (uint32_t i = 0; i < document->count; i++) {
        const struct json_value *value = &document->values[i];

        if (value->type == JSON_TYPE_NUMBER && !isfinite(value->item->valuedouble)) {
            return json_error_set_byte(error, JSON_FAULT_RANGE, "a number that is out of range",
                                       value->at);
        }
        if (value->type == JSON_TYPE_OBJECT && value->count > 1 && !check_keys(value, error)) {
            return false;
        }
    }
    return true;
}

/* cJSON refuses lone surrogates, but accepts any bytes in strings. */
static cJSON *parse_tree(const struct json_document *document)
{
    struct writer decoded = {0};
    struct bytes text = document->text;
    cJSON *tree;

    if (document->has_lone_surrogates) {
        json_decode_surrogates(text, &decoded);
        text = writer_bytes_written(&decoded);
    }
    tree = cJSON_ParseWithLengthOpts((const char *)text.data, text.len, NULL, false);
    writer_free(&decoded);
    return tree;
}

struct json_document *json_document_parse(struct bytes text, const struct json_limits *limits,
                                          struct json_error *error)
{
    struct json_document *document = mem_zalloc(1, sizeof *document);

    document->text = text;
    if (error->fault != JSON_FAULT_NONE || !json_scan(document, limits, error)) {
        goto refused;
    }
    document->tree = parse_tree(document);
    if (!document->tree || !link_items(document)) {
        (void)json_error_set_byte(error, JSON_FAULT_SYNTAX, "a text that cJSON refuses", 0);
        goto refused;
    }
    if (check_meaning(document, error)) {
        return document;
    }
refused:
    json_document_free(&document);
    return NULL;
}

void json_document_free(struct json_document **document)
{
    if (!*document) {
        return;
    }
    cJSON_Delete((*document)->tree);
    free((*document)->values);
    free(*document);
    *document = NULL;
}

const struct json_value *json_document_root(const struct json_document *document)
{
    return &document->values[0];
}

enum json_type json_value_type(const struct json_value *value)
{
    return value->type;
}

static struct bytes json_source_range(const struct json_value *value, size_t at, size_t len)
{
    return (struct bytes){value->document->text.data + at, len};
}

struct bytes json_value_raw(const struct json_value *value)
{
    return json_source_range(value, value->at, value->len);
}

size_t json_value_offset(const struct json_value *value)
{
    return value->at;
}

struct bytes json_value_key(const struct json_value *value)
{
    return value->key_len == 0 ? (struct bytes){0} : bytes_from_string(value->item->string);
}

struct bytes json_value_raw_key(const struct json_value *value)
{
    return json_source_range(value, value->key_at, value->key_len);
}

size_t json_value_count(const struct json_value *value)
{
    return value->count;
}

const struct json_value *json_value_first(const struct json_value *value)
{
    return value->count == 0 ? NULL : value + 1;
}

const struct json_value *json_value_next(const struct json_value *value)
{
    return value->next == JSON_NO_VALUE ? NULL : &value->document->values[value->next];
}

const struct json_value *json_value_find(const struct json_value *value, struct bytes key)
{
    const struct json_value *member = NULL;

    if (value->type == JSON_TYPE_OBJECT) {
        member = json_value_first(value);
    }
    while (member && !bytes_equal(json_value_key(member), key)) {
        member = json_value_next(member);
    }
    return member;
}

const struct json_value *json_value_member(const struct json_value *value, const char *key)
{
    return json_value_find(value, bytes_from_string(key));
}

static const char *expected_type_text(enum json_type type)
{
    static const char *const texts[] = {
        [JSON_TYPE_NULL] = "null is expected",
        [JSON_TYPE_BOOLEAN] = "true or false is expected",
        [JSON_TYPE_NUMBER] = "a number is expected",
        [JSON_TYPE_STRING] = "a string is expected",
        [JSON_TYPE_ARRAY] = "an array is expected",
        [JSON_TYPE_OBJECT] = "an object is expected",
    };

    return texts[type];
}

bool json_value_expect(const struct json_value *value, enum json_type type,
                       struct json_error *error)
{
    if (!value || error->fault != JSON_FAULT_NONE) {
        return false;
    }
    return value->type == type ||
           json_value_fail(value, JSON_FAULT_TYPE, expected_type_text(type), error);
}

bool json_value_text(const struct json_value *value, struct bytes *text, struct json_error *error)
{
    if (!json_value_expect(value, JSON_TYPE_STRING, error)) {
        return false;
    }
    *text = bytes_from_string(value->item->valuestring);
    return true;
}

bool json_value_boolean(const struct json_value *value, bool *boolean, struct json_error *error)
{
    if (!json_value_expect(value, JSON_TYPE_BOOLEAN, error)) {
        return false;
    }
    *boolean = cJSON_IsTrue(value->item);
    return true;
}

bool json_value_number(const struct json_value *value, double *number, struct json_error *error)
{
    if (!json_value_expect(value, JSON_TYPE_NUMBER, error)) {
        return false;
    }
    *number = value->item->valuedouble;
    return true;
}

/* A number's text as a decimal: its digits without zeros at either end, and the power of ten that
 * the last of them stands for. */
struct decimal {
    char digits[JSON_NUMBER_MAX + 1];
    size_t count;
    long power;
    bool is_negative;
};

/* The text must be a valid number. An exponent out of range is clamped to a large one. */
static void read_decimal(struct bytes text, struct decimal *decimal)
{
    char number[JSON_NUMBER_MAX + 1] = {0};
    const char *at = number;
    long point = 0; /* digits after it */

    memcpy(number, text.data, text.len);
    *decimal = (struct decimal){.is_negative = *at == '-'};
    for (at += decimal->is_negative; *at != '\0' && *at != 'e' && *at != 'E'; at++) {
        bool is_fraction = point > 0;

        if (*at == '.') {
            point = 1;
            continue;
        }
        point += is_fraction;
        if (*at != '0' || decimal->count > 0) {
            decimal->digits[decimal->count++] = *at;
        }
    }
    if (*at != '\0') {
        decimal->power = strtol(at + 1, NULL, 10);
    }
    if (decimal->power > -JSON_EXPONENT_MAX && decimal->power < JSON_EXPONENT_MAX && point > 0) {
        decimal->power -= point - 1;
    }
    while (decimal->count > 0 && decimal->digits[decimal->count - 1] == '0') {
        decimal->digits[--decimal->count] = '\0';
        decimal->power++;
    }
}

/* NULL and the integer that a number's text denotes in any notation; else the error. */
static const char *read_integer(struct bytes text, int64_t *integer)
{
    struct decimal decimal;
    char digits[JSON_INTEGER_MAX + 2] = "-";
    size_t len;

    read_decimal(text, &decimal);
    *integer = 0;
    if (decimal.count == 0) {
        return NULL;
    }
    if (decimal.power < 0) {
        return "an integer is expected";
    }
    errno = ERANGE;
    if (decimal.power <= JSON_INTEGER_MAX &&
        decimal.count + (size_t)decimal.power <= JSON_INTEGER_MAX) {
        len = decimal.count + (size_t)decimal.power;
        memset(digits + 1, '0', len);
        memcpy(digits + 1, decimal.digits, decimal.count);
        digits[1 + len] = '\0';
        errno = 0;
        *integer = strtoll(decimal.is_negative ? digits : digits + 1, NULL, 10);
    }
    return errno == ERANGE ? "an integer of 64 bits is expected" : NULL;
}

bool json_value_integer(const struct json_value *value, int64_t *integer, struct json_error *error)
{
    const char *wrong;

    if (!json_value_expect(value, JSON_TYPE_NUMBER, error)) {
        return false;
    }
    wrong = read_integer(json_value_raw(value), integer);
    return !wrong || json_value_fail(value, JSON_FAULT_TYPE, wrong, error);
}

bool json_scalar_integer(struct bytes text, int64_t *integer)
{
    bool is_number =
        text.len > 0 && (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9'));

    return is_number && json_scalar_is_valid(text) && !read_integer(text, integer);
}

const struct json_value *json_value_optional(const struct json_value *value, const char *key,
                                             enum json_type type, struct json_error *error)
{
    const struct json_value *member;

    if (!json_value_expect(value, JSON_TYPE_OBJECT, error)) {
        return NULL;
    }
    member = json_value_member(value, key);
    return json_value_expect(member, type, error) ? member : NULL;
}

const struct json_value *json_value_require(const struct json_value *value, const char *key,
                                            enum json_type type, struct json_error *error)
{
    const struct json_value *member = json_value_optional(value, key, type, error);

    if (!member && value) {
        (void)json_error_set_missing(value, key, error);
    }
    return member;
}
