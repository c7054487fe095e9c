/* Writing JSON: see json.h. Runs of bytes that need no escape are copied whole. */
#include "codec/json.h"

#include <inttypes.h>
#include <string.h>

struct json_writer json_writer_over(struct writer *to)
{
    return (struct json_writer){.to = to};
}

/* Before a value or a key. */
static void write_separator(struct json_writer *json)
{
    if (json->comma) {
        writer_u8(json->to, ',');
    }
    json->comma = true;
}

static void begin_container(struct json_writer *json, uint8_t bracket)
{
    write_separator(json);
    writer_u8(json->to, bracket);
    json->comma = false;
}

static void end_container(struct json_writer *json, uint8_t bracket)
{
    writer_u8(json->to, bracket);
    json->comma = true;
}

void json_write_object_begin(struct json_writer *json)
{
    begin_container(json, '{');
}

void json_write_object_end(struct json_writer *json)
{
    end_container(json, '}');
}

void json_write_array_begin(struct json_writer *json)
{
    begin_container(json, '[');
}

void json_write_array_end(struct json_writer *json)
{
    end_container(json, ']');
}

bool json_is_text(struct bytes bytes)
{
    return bytes.len == 0 || (!memchr(bytes.data, 0, bytes.len) && bytes_is_utf8(bytes));
}

static void write_json_escape(struct writer *to, uint8_t byte)
{
    static const char names[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    const char name = byte < sizeof names ? names[byte] : (char)byte;

    if (name == 0) {
        writer_format(to, "\\u%04x", byte);
        return;
    }
    writer_u8(to, '\\');
    writer_u8(to, (uint8_t)name);
}

static void write_string(struct writer *to, struct bytes text)
{
    size_t plain = 0; /* the start of the bytes not yet written */

    if (!json_is_text(text)) {
        to->failed = true;
    }
    writer_u8(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t byte = text.data[i];

        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        writer_bytes(to, (struct bytes){text.data + plain, i - plain});
        write_json_escape(to, byte);
        plain = i + 1;
    }
    if (plain < text.len) {
        writer_bytes(to, (struct bytes){text.data + plain, text.len - plain});
    }
    writer_u8(to, '"');
}

void json_write_text(struct json_writer *json, struct bytes text)
{
    write_separator(json);
    write_string(json->to, text);
}

void json_write_key(struct json_writer *json, struct bytes key)
{
    json_write_text(json, key);
    writer_u8(json->to, ':');
    json->comma = false;
}

void json_write_name(struct json_writer *json, const char *key)
{
    json_write_key(json, bytes_from_string(key));
}

void json_write_integer(struct json_writer *json, int64_t integer)
{
    write_separator(json);
    writer_format(json->to, "%" PRId64, integer);
}

void json_write_boolean(struct json_writer *json, bool boolean)
{
    write_separator(json);
    writer_string(json->to, boolean ? "true" : "false");
}

void json_write_null(struct json_writer *json)
{
    write_separator(json);
    writer_string(json->to, "null");
}

void json_write_raw(struct json_writer *json, struct bytes value)
{
    write_separator(json);
    writer_bytes(json->to, value);
}

void json_write_source(struct json_writer *json, const struct json_value *member)
{
    json_write_raw(json, json_value_raw_key(member));
    writer_u8(json->to, ':');
    writer_bytes(json->to, json_value_raw(member));
}

void json_write_member(struct json_writer *json, const char *key, struct bytes text)
{
    json_write_name(json, key);
    json_write_text(json, text);
}

void json_write_list(struct json_writer *json, const char *key, const struct bytes *texts,
                     size_t count)
{
    json_write_name(json, key);
    json_write_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        json_write_text(json, texts[i]);
    }
    json_write_array_end(json);
}
