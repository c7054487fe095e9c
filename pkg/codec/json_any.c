/* Values of any type, with their members: see json.h. */
#include "codec/json_private.h"

#include <string.h>

/* The end of the string at a quote, in a text that the scan accepted. */
static size_t string_end(struct bytes text, size_t at)
{
    for (at++; text.data[at] != '"'; at++) {
        if (text.data[at] == '\\') {
            at++;
        }
    }
    return at + 1;
}

unsigned json_value_depth(const struct json_value *value)
{
    struct bytes text = json_value_raw(value);
    unsigned depth = 0, deepest = 0;
    size_t at = 0;

    while (at < text.len) {
        const uint8_t byte = text.data[at];

        if (byte == '"') {
            at = string_end(text, at);
            continue;
        }
        if (byte == '{' || byte == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
        at++;
    }
    return deepest;
}

bool json_value_is_text(const struct json_value *value)
{
    const struct json_document *document = value->document;
    const struct json_value *end = document->values + document->count;

    if (!document->has_lone_surrogates) {
        return true;
    }
    /* A container is followed by its members, in the array as in the text. */
    for (const struct json_value *part = value;
         part < end && part->at < (size_t)value->at + value->len; part++) {
        if (part->type == JSON_TYPE_STRING &&
            !json_is_text(bytes_from_string(part->item->valuestring))) {
            return false;
        }
        if (part != value && !json_is_text(json_value_key(part))) {
            return false;
        }
    }
    return true;
}

void json_write_minified(struct writer *to, const struct json_value *value)
{
    struct bytes text = json_value_raw(value);
    size_t at = 0;

    while (at < text.len) {
        size_t end = at;

        while (end < text.len && !strchr(" \t\r\n", text.data[end])) {
            end = text.data[end] == '"' ? string_end(text, end) : end + 1;
        }
        writer_bytes(to, (struct bytes){text.data + at, end - at});
        at = end;
        while (at < text.len && strchr(" \t\r\n", text.data[at])) {
            at++;
        }
    }
}

bool json_text_is_value(struct bytes text, unsigned depth)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    struct json_document *document;
    bool is_whole;

    if (text.len == 0) {
        return false;
    }
    if (text.data[0] != '{' && text.data[0] != '[') {
        return json_scalar_is_valid(text);
    }
    limits.bytes = text.len;
    limits.keys = limits.values;
    limits.depth = depth;
    document = json_document_parse(text, &limits, &error);
    if (!document) {
        return false;
    }
    is_whole = json_value_raw(json_document_root(document)).len == text.len;
    json_document_free(&document);
    return is_whole;
}
