/*
 * cookie: see cookie.h. The first character has 6 bits: 5 of a hash of the context, and the lowest
 * bit of the slot's number, which distinguishes the current slot from the previous one.
 */
#include "auth/cookie.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <zlib.h>

#define MAC_LENGTH (COOKIE_LENGTH - 1)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void cookie_secret_from_text(struct bytes text, uint8_t secret[COOKIE_SECRET_SIZE])
{
    crypto_generichash(secret, COOKIE_SECRET_SIZE, text.data, text.len, NULL, 0);
}

void cookie_set_secret(struct cookie_keys *keys, const uint8_t secret[COOKIE_SECRET_SIZE],
                       uint64_t now_ms)
{
    if (keys->has_secret && sodium_memcmp(keys->secret, secret, COOKIE_SECRET_SIZE) == 0) {
        return;
    }
    if (keys->has_secret) {
        memcpy(keys->previous, keys->secret, COOKIE_SECRET_SIZE);
        keys->previous_until = now_ms + 2 * keys->slot_ms;
    }
    memcpy(keys->secret, secret, COOKIE_SECRET_SIZE);
    keys->has_secret = true;
}

/* The CRC avoids computing a MAC for each context; it is not secret. */
static unsigned first_bits(const char *context, uint64_t slot)
{
    uLong crc = crc32_z(0, (const uint8_t *)context, strlen(context));

    return (unsigned)(crc >> 16 & 31) << 1 | (unsigned)(slot & 1);
}

static void add_number(crypto_generichash_state *state, uint64_t number)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(number >> 8 * i);
    }
    crypto_generichash_update(state, bytes, sizeof bytes);
}

static void write_cookie(const uint8_t secret[COOKIE_SECRET_SIZE], const struct address *peer,
                         const char *context, uint64_t slot, char text[COOKIE_LENGTH])
{
    const uint8_t where[3] = {peer->family, (uint8_t)(peer->port >> 8), (uint8_t)peer->port};
    crypto_generichash_state state;
    uint8_t mac[crypto_generichash_BYTES_MIN];

    _Static_assert(sizeof mac >= MAC_LENGTH, "a byte for each character");
    crypto_generichash_init(&state, secret, COOKIE_SECRET_SIZE, sizeof mac);
    crypto_generichash_update(&state, where, sizeof where);
    crypto_generichash_update(&state, peer->ip, peer->family == ADDRESS_IPV4 ? 4 : 16);
    add_number(&state, slot);
    crypto_generichash_update(&state, (const uint8_t *)context, strlen(context));
    crypto_generichash_final(&state, mac, sizeof mac);
    text[0] = alphabet[first_bits(context, slot)];
    for (unsigned i = 0; i < MAC_LENGTH; i++) {
        text[1 + i] = alphabet[mac[i] & 63];
    }
}

void cookie_make(const struct cookie_keys *keys, const struct address *peer, const char *context,
                 uint64_t now_ms, char text[COOKIE_LENGTH + 1])
{
    assert(keys->has_secret && keys->slot_ms > 0);
    write_cookie(keys->secret, peer, context, now_ms / keys->slot_ms, text);
    text[COOKIE_LENGTH] = '\0';
}

static bool is_cookie(const uint8_t secret[COOKIE_SECRET_SIZE], const struct address *peer,
                      const char *context, uint64_t slot, struct bytes text)
{
    char expected[COOKIE_LENGTH];

    write_cookie(secret, peer, context, slot, expected);
    return sodium_memcmp(expected, text.data, sizeof expected) == 0;
}

int cookie_check(const struct cookie_keys *keys, const struct address *peer,
                 const char *const *contexts, size_t count, uint64_t now_ms, struct bytes text)
{
    const char *first;
    uint64_t slot;

    if (!keys->has_secret || text.len != COOKIE_LENGTH) {
        return -1;
    }
    first = memchr(alphabet, text.data[0], sizeof alphabet - 1);
    if (!first) {
        return -1;
    }
    slot = now_ms / keys->slot_ms;
    if ((slot & 1) != ((uint64_t)(first - alphabet) & 1)) {
        if (slot == 0) {
            return -1;
        }
        slot--;
    }
    for (size_t i = 0; i < count; i++) {
        if (first_bits(contexts[i], slot) != (unsigned)(first - alphabet)) {
            continue;
        }
        if (is_cookie(keys->secret, peer, contexts[i], slot, text) ||
            (now_ms < keys->previous_until &&
             is_cookie(keys->previous, peer, contexts[i], slot, text))) {
            return (int)i;
        }
    }
    return -1;
}
