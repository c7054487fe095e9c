/* tag: entity tags from libsodium's hash (BLAKE2b). */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "admin/admin_private.h"
#include "base/ids.h"

void admin_write_tag(struct bytes bytes, size_t digits, char *tag)
{
    uint8_t digest[crypto_generichash_BYTES];
    assert(digits % 2 == 0 && digits <= 2 * sizeof digest);
    (void)crypto_generichash(digest, sizeof digest, bytes.data, bytes.len, NULL, 0);
    tag[0] = '"';
    id_format_hex(digest, digits / 2, tag + 1);
    memcpy(tag + 1 + digits, "\"", 2);
}

bool admin_has_tag(struct bytes list, const char *tag)
{
    size_t len = strlen(tag);
    if (bytes_equal(list, BYTES_LITERAL("*"))) {
        return true;
    }
    for (size_t i = 0; i + len <= list.len; i++) {
        if (!memcmp(list.data + i, tag, len)) {
            return true;
        }
    }
    return false;
}
