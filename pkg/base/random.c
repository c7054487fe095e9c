/* random: libsodium's generator, and one key per process for hashes. */
#include "base/random.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static uint8_t hash_key[crypto_shorthash_KEYBYTES];

void random_init(void)
{
    static bool done;

    if (done) {
        return; /* a second key would break the tables that exist */
    }
    if (sodium_init() < 0) {
        log_error("randomness_unavailable", LOG_STRING("source", "libsodium"));
        abort();
    }
    randombytes_buf(hash_key, sizeof hash_key);
    done = true;
}

void random_bytes(void *to, size_t len)
{
    randombytes_buf(to, len);
}

uint32_t random_below(uint32_t bound)
{
    return randombytes_uniform(bound);
}

uint64_t random_jitter(uint64_t value, unsigned percent)
{
    uint64_t spread, width, offset, low;

    if (percent > 100) {
        percent = 100;
    }
    /* value * percent / 100 without its overflow. */
    spread = value / 100 * percent + value % 100 * percent / 100;
    low = value - spread;
    if (spread == 0) {
        return value;
    }
    width = spread > UINT64_MAX / 2 ? UINT64_MAX : 2 * spread;
    if (width < UINT32_MAX) {
        offset = random_below((uint32_t)width + 1);
    } else {
        random_bytes(&offset, sizeof offset);
        if (width < UINT64_MAX) {
            offset %= width + 1; /* the bias is below 2^-31 of a spread this wide */
        }
    }
    return offset > UINT64_MAX - low ? UINT64_MAX : low + offset;
}

uint64_t random_keyed_hash(const void *data, size_t len)
{
    uint64_t hash;
    uint8_t bytes[crypto_shorthash_BYTES];

    crypto_shorthash(bytes, data, len, hash_key);
    memcpy(&hash, bytes, sizeof hash);
    return hash;
}
