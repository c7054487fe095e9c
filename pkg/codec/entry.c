/* entry: see the header. */
#include "codec/entry.h"

#include <sodium.h>
#include <stdio.h>

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/* Base64 needs no escapes, so it is encoded in place. */
static void write_base64(struct writer *to, struct bytes bytes)
{
    const size_t room = sodium_base64_encoded_len(bytes.len, BASE64); /* includes a NUL */
    uint8_t *text;

    writer_u8(to, '"');
    text = writer_reserve(to, room);
    if (!text) {
        return;
    }
    (void)sodium_bin2base64((char *)text, room, bytes.data, bytes.len, BASE64);
    text[room - 1] = '"';
}

void entry_write_opaque(struct json_writer *json, const char *name, struct bytes bytes)
{
    char name64[64];

    if (json_is_text(bytes)) {
        json_write_member(json, name, bytes);
        return;
    }
    (void)snprintf(name64, sizeof name64, "%s64", name);
    json_write_name(json, name64);
    write_base64(json->to, bytes);
    json->comma = true;
}

void entry_write_state(struct writer *to, struct bytes state)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    entry_write_opaque(&json, "state", state);
    json_write_object_end(&json);
}

void entry_write_user(struct writer *to, struct bytes user, struct bytes status)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    json_write_member(&json, "user", user);
    json_write_member(&json, "status", status);
    json_write_object_end(&json);
}
