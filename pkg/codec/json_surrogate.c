/* The escapes of surrogates in JSON's strings, in pairs or alone. */
#include "codec/json_private.h"

int json_hex_unit(struct bytes text, size_t at)
{
    int unit = 0;

    if (text.len - at < 4) {
        return -1;
    }
    for (size_t i = at; i < at + 4; i++) {
        const int byte = text.data[i];
        int digit;

        if (byte >= '0' && byte <= '9') {
            digit = byte - '0';
        } else if (byte >= 'a' && byte <= 'f') {
            digit = byte - 'a' + 10;
        } else if (byte >= 'A' && byte <= 'F') {
            digit = byte - 'A' + 10;
        } else {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

bool json_is_low_surrogate(struct bytes text, size_t at)
{
    int unit = -1;

    if (text.len - at >= 6 && text.data[at] == '\\' && text.data[at + 1] == 'u') {
        unit = json_hex_unit(text, at + 2);
    }
    return unit >= 0xdc00 && unit <= 0xdfff;
}

void json_decode_surrogates(struct bytes text, struct writer *to)
{
    size_t start = 0, at = 0; /* of the bytes not yet copied, and the position */

    while (at < text.len) {
        int unit;

        if (text.data[at] != '\\') {
            at++;
            continue;
        }
        if (text.data[at + 1] != 'u') {
            at += 2;
            continue;
        }
        unit = json_hex_unit(text, at + 2);
        if (unit < 0xd800 || unit > 0xdfff) {
            at += 6;
        } else if (unit <= 0xdbff && json_is_low_surrogate(text, at + 6)) {
            at += 12;
        } else {
            const uint8_t bytes[] = {0xed, (uint8_t)(0x80 | (unit >> 6 & 0x3f)),
                                     (uint8_t)(0x80 | (unit & 0x3f))};

            writer_bytes(to, (struct bytes){text.data + start, at - start});
            writer_bytes(to, (struct bytes){bytes, sizeof bytes});
            start = at += 6;
        }
    }
    writer_bytes(to, (struct bytes){text.data + start, text.len - start});
}
