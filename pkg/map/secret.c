/* secret: see secret.h. */
#include "map/secret.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "map/map_private.h"
#include "map/secret_private.h"
#include "schema/keys.h"

/* After Redis refused, or its value was malformed. */
#define RETRY_MS 1000

struct map_secret {
    struct list link; /* the map's */
    struct map *map;
    char *key;
    struct loop_timer *timer;
    struct secret_read *read; /* under way, or NULL */
    bool again;               /* to be read again: the one under way may have been too early */
    uint8_t known[MAP_SECRET_SIZE];
    char offer[2 * MAP_SECRET_SIZE + 1]; /* is stored in Redis when it has none */
    struct log_limit bad_limit;
    void (*changed)(void *arg, const uint8_t secret[MAP_SECRET_SIZE]);
    void *arg;
};

/* Outlives the secret when its reply arrives later. */
struct secret_read {
    struct map_secret *secret;
};

static void read_secret(void *arg);

/* False: it is malformed. */
static bool adopt_secret(struct map_secret *secret, struct bytes text)
{
    uint8_t value[MAP_SECRET_SIZE];
    size_t len;
    if (text.len != 2 * sizeof value ||
        sodium_hex2bin(value, sizeof value, (const char *)text.data, text.len, NULL, &len, NULL) !=
            0 ||
        len != sizeof value) {
        return false;
    }
    if (!sodium_memcmp(secret->known, value, sizeof value)) {
        return true;
    }
    memcpy(secret->known, value, sizeof value);
    sodium_bin2hex(secret->offer, sizeof secret->offer, value, sizeof value);
    secret->changed(secret->arg, value);
    return true;
}

static void on_secret_read(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct secret_read *read = arg;
    struct map_secret *secret = read->secret;
    bool good = false;
    free(read);
    if (!secret) {
        return;
    }
    secret->read = NULL;
    if (status == REDIS_OK && reply->type == REDIS_NIL) {
        good = adopt_secret(secret,
                            bytes_from_string(secret->offer)); /* it had none, and stored ours */
    } else if (status == REDIS_OK && reply->type == REDIS_STRING) {
        good = adopt_secret(secret, reply->text);
    }
    if (status == REDIS_OK && !good) {
        log_limited(LOG_ERROR, &secret->bad_limit, "secret_unreadable",
                    LOG_STRING("key", secret->key));
    }
    if (secret->again) {
        secret->again = false;
        read_secret(secret);
    } else if (!good) {
        loop_timer_start(secret->timer, RETRY_MS);
    }
}

static void read_secret(void *arg)
{
    struct map_secret *secret = arg;
    if (!redis_link_is_up(secret->map->link)) {
        return;
    }
    if (secret->read) {
        secret->again = true;
        return;
    }
    secret->read = mem_alloc(sizeof *secret->read);
    secret->read->secret = secret;
    redis_command_strings(secret->map->link, on_secret_read, secret->read, "SET", secret->key,
                          secret->offer, "NX", "GET", NULL);
}

void secrets_reread(struct map *map)
{
    LIST_FOREACH (node, &map->secrets) {
        read_secret(list_entry(node, struct map_secret, link));
    }
}

struct map_secret *
map_secret_create(struct map *map, const char *name,
                  void (*changed)(void *arg, const uint8_t secret[MAP_SECRET_SIZE]), void *arg)
{
    struct map_secret *secret = mem_zalloc(1, sizeof *secret);
    secret->map = map;
    secret->changed = changed;
    secret->arg = arg;
    secret->key = mem_format("%s:secret:%s", map->redis->prefix, name);
    secret->timer = loop_timer_create(map->loop, read_secret, secret);
    random_bytes(secret->known, sizeof secret->known);
    sodium_bin2hex(secret->offer, sizeof secret->offer, secret->known, sizeof secret->known);
    list_append(&map->secrets, &secret->link);
    changed(arg, secret->known);
    read_secret(secret);
    return secret;
}

void map_secret_destroy(struct map_secret **pointer)
{
    struct map_secret *secret = *pointer;
    *pointer = NULL;
    if (!secret) {
        return;
    }
    list_remove(&secret->link);
    loop_timer_destroy(&secret->timer);
    if (secret->read) {
        secret->read->secret = NULL;
    }
    sodium_memzero(secret->known, sizeof secret->known);
    sodium_memzero(secret->offer, sizeof secret->offer);
    free(secret->key);
    free(secret);
}
