/* entry: see the header. */
#include "codec/entry.h"

#include <sodium.h>

#include "codec/json.h"

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/* Base64 needs no escapes, so it is made in place. */
static void write_base64(struct writer *to, struct bytes bytes)
{
    const size_t room = sodium_base64_encoded_len(bytes.len, BASE64); /* its NUL included */
    uint8_t *text;

    writer_u8(to, '"');
    text = writer_reserve(to, room);
    if (text == NULL)
        return;
    (void)sodium_bin2base64((char *)text, room, bytes.data, bytes.len, BASE64);
    text[room - 1] = '"';
}

void entry_write_state(struct writer *to, struct bytes state)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    if (json_is_text(state)) {
        json_write_member(&json, "state", state);
    } else {
        json_write_name(&json, "state64");
        write_base64(to, state);
        json.comma = true;
    }
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
