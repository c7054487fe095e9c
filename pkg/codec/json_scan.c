/*
 * The strict part of the JSON reader: one pass over the text that enforces RFC 8259 and the rules
 * that this project adds (json.h), and records where each value is.
 *
 * It runs before cJSON, which accepts much more, and truncates strings at a NUL. No recursion: the
 * open containers are linked by their indices.
 */
#include "codec/json_private.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_CAPACITY 16

struct json_scan {
    struct bytes text;
    size_t at;
    struct json_limits limits;
    struct json_document *document; /* NULL: one scalar */
    uint32_t open;                  /* the innermost open container */
    unsigned depth;
    struct json_error *error;
};

static bool fail_scan(struct json_scan *scan, enum json_fault fault, const char *reason)
{
    return json_error_set_byte(scan->error, fault, reason, scan->at);
}

/* The current byte; -1 at the end. */
static int peek_byte(const struct json_scan *scan)
{
    return scan->at < scan->text.len ? scan->text.data[scan->at] : -1;
}

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool fail_unexpected(struct json_scan *scan, const char *expected)
{
    return fail_scan(scan, JSON_FAULT_SYNTAX,
                     peek_byte(scan) < 0 ? "the text ends before its value does" : expected);
}

static void skip_json_space(struct json_scan *scan)
{
    for (int byte = peek_byte(scan); byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
         byte = peek_byte(scan)) {
        scan->at++;
    }
}

static void skip_digits(struct json_scan *scan)
{
    while (is_digit(peek_byte(scan))) {
        scan->at++;
    }
}

/* At the escape of a surrogate without its counterpart. */
static bool scan_lone_surrogate(struct json_scan *scan, const char *reason)
{
    if (!scan->limits.lone_surrogates) {
        return fail_scan(scan, JSON_FAULT_SURROGATE, reason);
    }
    scan->document->has_lone_surrogates = true;
    scan->at += 6;
    return true;
}

/* At a backslash and a u. */
static bool scan_unicode(struct json_scan *scan)
{
    const int unit = json_hex_unit(scan->text, scan->at + 2);

    if (unit < 0) {
        return fail_scan(scan, JSON_FAULT_ESCAPE, "\\u without four hexadecimal digits");
    }
    if (unit == 0) {
        return fail_scan(scan, JSON_FAULT_NUL, "\\u0000 in a string");
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) {
        return scan_lone_surrogate(scan, "a low surrogate without a high one");
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (!json_is_low_surrogate(scan->text, scan->at + 6)) {
            return scan_lone_surrogate(scan, "a high surrogate without a low one");
        }
        scan->at += 6;
    }
    scan->at += 6;
    return true;
}

/* At a backslash. */
static bool scan_escape(struct json_scan *scan)
{
    const int name = scan->at + 1 < scan->text.len ? scan->text.data[scan->at + 1] : -1;

    if (name == 'u') {
        return scan_unicode(scan);
    }
    if (name < 0) {
        scan->at = scan->text.len;
        return fail_unexpected(scan, "");
    }
    if (!strchr("\"\\/bfnrt", name)) {
        return fail_scan(scan, JSON_FAULT_ESCAPE, "an invalid escape");
    }
    scan->at += 2;
    return true;
}

/* At a quote. */
static bool scan_string(struct json_scan *scan)
{
    scan->at++;
    for (;;) {
        const int byte = peek_byte(scan);

        if (byte == '"') {
            break;
        }
        if (byte < 0) {
            return fail_unexpected(scan, "");
        }
        if (byte < 0x20) {
            return fail_scan(scan, JSON_FAULT_CONTROL, "a control character in a string");
        }
        if (byte != '\\') {
            scan->at++;
        } else if (!scan_escape(scan)) {
            return false;
        }
    }
    scan->at++;
    return true;
}

static bool scan_fraction(struct json_scan *scan)
{
    if (peek_byte(scan) == '.') {
        scan->at++;
        if (!is_digit(peek_byte(scan))) {
            return fail_scan(scan, JSON_FAULT_NUMBER, "a number without digits after its point");
        }
        skip_digits(scan);
    }
    if (peek_byte(scan) == 'e' || peek_byte(scan) == 'E') {
        scan->at++;
        if (peek_byte(scan) == '+' || peek_byte(scan) == '-') {
            scan->at++;
        }
        if (!is_digit(peek_byte(scan))) {
            return fail_scan(scan, JSON_FAULT_NUMBER, "a number without digits in its exponent");
        }
        skip_digits(scan);
    }
    return true;
}

/* At a digit or a minus. */
static bool scan_number(struct json_scan *scan)
{
    const size_t start = scan->at;

    if (peek_byte(scan) == '-') {
        scan->at++;
    }
    if (!is_digit(peek_byte(scan))) {
        return fail_scan(scan, JSON_FAULT_NUMBER, "a minus without digits");
    }
    if (peek_byte(scan) == '0') {
        if (scan->at + 1 < scan->text.len && is_digit(scan->text.data[scan->at + 1])) {
            return fail_scan(scan, JSON_FAULT_NUMBER, "a number with a leading zero");
        }
    }
    skip_digits(scan);
    if (!scan_fraction(scan)) {
        return false;
    }
    if (scan->at - start > scan->limits.number) {
        scan->at = start;
        return fail_scan(scan, JSON_FAULT_RANGE, "a number with too many digits");
    }
    return true;
}

static bool stands_here(const struct json_scan *scan, const char *word)
{
    const size_t len = strlen(word);

    return scan->text.len - scan->at >= len && memcmp(scan->text.data + scan->at, word, len) == 0;
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    if (!stands_here(scan, word)) {
        return fail_scan(scan, JSON_FAULT_SYNTAX, "a word other than true, false and null");
    }
    scan->at += strlen(word);
    return true;
}

/* At the first byte of a scalar. */
static bool scan_scalar(struct json_scan *scan)
{
    switch (peek_byte(scan)) {
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    case '+':
    case '.':
        return fail_scan(scan, JSON_FAULT_NUMBER,
                         "a number that begins with neither digit nor minus");
    default:
        if (peek_byte(scan) == '-' || is_digit(peek_byte(scan))) {
            return scan_number(scan);
        }
        if (stands_here(scan, "NaN") || stands_here(scan, "Inf")) {
            return fail_scan(scan, JSON_FAULT_NUMBER, "a number that is not finite");
        }
        return fail_unexpected(scan, "a value is expected");
    }
}

static enum json_type json_type_of(int first)
{
    switch (first) {
    case '{':
        return JSON_TYPE_OBJECT;
    case '[':
        return JSON_TYPE_ARRAY;
    case '"':
        return JSON_TYPE_STRING;
    case 'n':
        return JSON_TYPE_NULL;
    default:
        return first == 't' || first == 'f' ? JSON_TYPE_BOOLEAN : JSON_TYPE_NUMBER;
    }
}

static void grow_values(struct json_document *document)
{
    if (document->count < document->capacity) {
        return;
    }
    document->capacity = document->capacity == 0 ? FIRST_CAPACITY : document->capacity * 2;
    document->values = mem_realloc(document->values, document->capacity * sizeof *document->values);
}

/* A value that begins here, as the last member of the open container. */
static struct json_value *add_json_value(struct json_scan *scan, size_t key_at, size_t key_len)
{
    struct json_document *document = scan->document;
    const uint32_t index = document->count;

    grow_values(document);
    document->count++;
    document->values[index] = (struct json_value){
        .document = document,
        .at = (uint32_t)scan->at,
        .key_at = (uint32_t)key_at,
        .key_len = (uint32_t)key_len,
        .parent = scan->open,
        .next = JSON_NO_VALUE,
        .last = JSON_NO_VALUE,
        .type = json_type_of(peek_byte(scan)),
    };
    if (scan->open != JSON_NO_VALUE) {
        struct json_value *open = &document->values[scan->open];

        if (open->last != JSON_NO_VALUE) {
            document->values[open->last].next = index;
        }
        open->last = index;
        open->count++;
    }
    return &document->values[index];
}

/* A value; for a container only its opening bracket. */
static bool scan_value(struct json_scan *scan, size_t key_at, size_t key_len)
{
    const int first = peek_byte(scan);
    struct json_value *value;

    if (first < 0) {
        return fail_unexpected(scan, "");
    }
    if (scan->document->count >= scan->limits.values) {
        return fail_scan(scan, JSON_FAULT_VALUES, "more values than allowed");
    }
    value = add_json_value(scan, key_at, key_len);
    if (first != '{' && first != '[') {
        const size_t start = scan->at;

        if (!scan_scalar(scan)) {
            return false;
        }
        value->len = (uint32_t)(scan->at - start);
        return true;
    }
    if (scan->depth >= scan->limits.depth) {
        return fail_scan(scan, JSON_FAULT_DEPTH, "containers nested too deeply");
    }
    scan->depth++;
    scan->at++;
    scan->open = (uint32_t)(value - scan->document->values);
    return true;
}

static void close_container(struct json_scan *scan)
{
    struct json_value *open = &scan->document->values[scan->open];

    scan->at++;
    open->len = (uint32_t)(scan->at - open->at);
    scan->open = open->parent;
    scan->depth--;
}

static bool scan_member(struct json_scan *scan)
{
    const size_t key_at = scan->at;
    size_t key_len;

    if (peek_byte(scan) != '"') {
        return fail_unexpected(scan, "a key in quotes is expected");
    }
    if (scan->document->values[scan->open].count >= scan->limits.keys) {
        return fail_scan(scan, JSON_FAULT_KEYS, "an object with more keys than allowed");
    }
    if (!scan_string(scan)) {
        return false;
    }
    key_len = scan->at - key_at;
    skip_json_space(scan);
    if (peek_byte(scan) != ':') {
        return fail_unexpected(scan, "a colon is expected");
    }
    scan->at++;
    skip_json_space(scan);
    return scan_value(scan, key_at, key_len);
}

/* One step within the open container: its end, or its next member. */
static bool scan_inside(struct json_scan *scan)
{
    const struct json_value *open = &scan->document->values[scan->open];
    const bool object = open->type == JSON_TYPE_OBJECT;
    const int end = object ? '}' : ']';

    skip_json_space(scan);
    if (peek_byte(scan) == end) {
        close_container(scan);
        return true;
    }
    if (open->count > 0) {
        if (peek_byte(scan) != ',') {
            return fail_unexpected(scan, object ? "a comma or } is expected"
                                                : "a comma or ] is expected");
        }
        scan->at++;
        skip_json_space(scan);
        if (peek_byte(scan) == end) {
            return fail_scan(scan, JSON_FAULT_SYNTAX, "a comma with nothing after it");
        }
    }
    return object ? scan_member(scan) : scan_value(scan, 0, 0);
}

/* Only when bytes_is_utf8 is false: the first byte that belongs to no character. */
static size_t invalid_utf8(struct bytes text)
{
    size_t at = 0;

    while (at < text.len) {
        size_t len = 1;

        while (len <= 4 && len <= text.len - at &&
               !bytes_is_utf8((struct bytes){text.data + at, len})) {
            len++;
        }
        if (len > 4 || len > text.len - at) {
            break;
        }
        at += len;
    }
    return at;
}

/* Checks the encoding and the size. */
static bool check_bytes(struct json_scan *scan)
{
    const struct bytes text = scan->text;
    const uint8_t *nul;

    if (text.len == 0) {
        return fail_scan(scan, JSON_FAULT_EMPTY, "the text is empty");
    }
    if (text.len > scan->limits.bytes || text.len >= UINT32_MAX) {
        return fail_scan(scan, JSON_FAULT_BYTES, "the text is longer than allowed");
    }
    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        return fail_scan(scan, JSON_FAULT_BOM, "a byte order mark before the text");
    }
    if (!bytes_is_utf8(text)) {
        scan->at = invalid_utf8(text);
        return fail_scan(scan, JSON_FAULT_UTF8, "bytes that are not UTF-8");
    }
    nul = memchr(text.data, 0, text.len);
    if (nul) {
        scan->at = (size_t)(nul - text.data);
        return fail_scan(scan, JSON_FAULT_NUL, "a NUL in the text");
    }
    return true;
}

bool json_scan(struct json_document *document, const struct json_limits *limits,
               struct json_error *error)
{
    struct json_scan scan = {
        .text = document->text,
        .limits = *limits,
        .document = document,
        .open = JSON_NO_VALUE,
        .error = error,
    };

    if (scan.limits.depth > JSON_DEPTH_MAX) {
        scan.limits.depth = JSON_DEPTH_MAX;
    }
    if (scan.limits.number > JSON_NUMBER_MAX) {
        scan.limits.number = JSON_NUMBER_MAX;
    }
    if (!check_bytes(&scan)) {
        return false;
    }
    skip_json_space(&scan);
    if (peek_byte(&scan) < 0) {
        scan.at = 0;
        return fail_scan(&scan, JSON_FAULT_EMPTY, "nothing but spaces in the text");
    }
    if (!scan_value(&scan, 0, 0)) {
        return false;
    }
    while (scan.open != JSON_NO_VALUE) {
        if (!scan_inside(&scan)) {
            return false;
        }
    }
    skip_json_space(&scan);
    if (scan.at < scan.text.len) {
        return fail_scan(&scan, JSON_FAULT_TRAILING, "data after the value");
    }
    return true;
}

bool json_scalar_is_valid(struct bytes text)
{
    struct json_error error = {0};
    struct json_scan scan = {
        .text = text,
        .limits = {.bytes = UINT32_MAX, .number = JSON_NUMBER_MAX},
        .error = &error,
    };
    cJSON *item;
    bool finite;

    if (!check_bytes(&scan) || !scan_scalar(&scan) || scan.at != text.len) {
        return false;
    }
    if (json_type_of(text.data[0]) != JSON_TYPE_NUMBER) {
        return true;
    }
    item = cJSON_ParseWithLength((const char *)text.data, text.len);
    finite = item != NULL && isfinite(item->valuedouble);
    cJSON_Delete(item);
    return finite;
}
