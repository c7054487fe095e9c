/* ids: random names, hexadecimal text, and the placement rule. */
#include "base/ids.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <zlib.h>

#include "base/random.h"

void id_make_client(char id[ID_CLIENT_LENGTH + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const uint8_t bound = 256 / (sizeof letters - 1) * (sizeof letters - 1);
    size_t len = 0;

    while (len < ID_CLIENT_LENGTH) {
        uint8_t bytes[2 * ID_CLIENT_LENGTH];

        random_bytes(bytes, sizeof bytes);
        /* Bytes at or above the bound are rejected: they would favour the first letters. */
        for (size_t i = 0; i < sizeof bytes && len < ID_CLIENT_LENGTH; i++) {
            if (bytes[i] < bound) {
                id[len++] = letters[bytes[i] % (sizeof letters - 1)];
            }
        }
    }
    id[len] = '\0';
}

void id_format_hex(const uint8_t *bytes, size_t len, char *text)
{
    (void)sodium_bin2hex(text, 2 * len + 1, bytes, len);
}

void id_make_hex(char *text, size_t len)
{
    assert(len % 2 == 0);
    text[0] = '\0';
    for (size_t at = 0; at < len;) {
        uint8_t bytes[32];
        size_t count = (len - at) / 2 < sizeof bytes ? (len - at) / 2 : sizeof bytes;

        random_bytes(bytes, count);
        id_format_hex(bytes, count, text + at);
        at += 2 * count;
    }
}

void id_make_uuid(char id[ID_UUID_LENGTH + 1])
{
    static const size_t groups[] = {4, 2, 2, 2, 6};
    uint8_t bytes[16];
    size_t at = 0;

    random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant 1 */
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        id_format_hex(bytes + at, groups[i], id);
        at += groups[i];
        id += 2 * groups[i];
        *id++ = '-';
    }
    id[-1] = '\0';
}

bool id_parse_hex(struct bytes text, uint8_t *bytes, size_t len)
{
    if (text.len / 2 != len || text.len % 2 != 0) {
        return false;
    }
    return sodium_hex2bin(bytes, len, (const char *)text.data, text.len, NULL, NULL, NULL) == 0;
}

uint32_t shard_of(struct bytes key, uint32_t count)
{
    int64_t value;

    assert(count > 0);
    /* For a NULL buffer zlib returns its initial value. */
    value = key.len == 0 ? 0 : (int32_t)crc32_z(0, key.data, key.len);
    if (value < 0) {
        value = -value;
    }
    return (uint32_t)(value % count);
}

bool id_is_space_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return len >= 1 && len <= 32 && name[len] == '\0';
}
