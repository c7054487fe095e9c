/* combinations: see combinations.h. */
#include "server/combinations.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/cut_off.h"

/* Parts of client.ttl and of ws.timeout: the longest time until a client is probed, and the
 * default.
 */
#define MOST(time)     ((time)*3 / 4)
#define STANDARD(time) ((time)*2 / 3)
/* The part of client.ttl after which TCP begins to probe; two more probes fit into the rest. The
 * kernel counts in seconds. */
#define PROBE_PART   3
#define PROBE_MIN_MS 1000
/* Bytes of an entry in Redis in addition to its state or properties, and of a reply in addition to
 * its entries. */
#define ENTRY_REST 16384

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static char *refuse_combination(const char *rule, struct config_part first,
                                struct config_part second)
{
    const struct config_part parts[] = {first, second};

    return config_refuse_parts(rule, parts, 2);
}

void combinations_derive(struct configuration *configuration)
{
    const struct map_settings *map = &configuration->map;

    if (map->offline_delay > map->client_ttl &&
        !config_is_given(configuration->config, "presence.offline_delay")) {
        char *text =
            config_value_text(config_find_setting(&map_config, "client.ttl"), &configuration->map);

        config_set_default(configuration->config, "presence.offline_delay", text);
        free(text);
    }
}

/* Disconnected clients must have time to return before others report them gone. */
static char *check_cut_off_times(const struct map_settings *map)
{
    const int64_t needed = cut_off_least_grace_ms(map);
    char *rule, *error;

    if (map->cut_off != MAP_CUT_OFF_PEERS || map->client_grace >= needed) {
        return NULL;
    }
    rule = mem_format("map.cut_off = peers needs a client.grace of at least %lldms",
                      (long long)needed);
    const struct config_part parts[] = {{&map_config, map, "client.grace"},
                                        {&map_config, map, "map.lease"},
                                        {&map_config, map, "map.sweep"}};
    error = config_refuse_parts(rule, parts, 3);
    free(rule);
    return error;
}

/* An entry is read whole, and a reply ends with the first entry that makes it half as long as the
 * limit: so no entry may be longer than that half. */
static char *check_reply(const struct redis_settings *redis, const struct config_module *module,
                         const void *settings, const char *key, int64_t size)
{
    char *rule, *error;

    if (redis->max_reply == 0 || size + ENTRY_REST <= redis->max_reply / 2) {
        return NULL;
    }
    rule = mem_format("redis.max_reply must be at least twice %s and %d", key, 2 * ENTRY_REST);
    error = refuse_combination(rule, (struct config_part){&redis_config, redis, "redis.max_reply"},
                               (struct config_part){module, settings, key});
    free(rule);
    return error;
}

static char *check_replies(const struct configuration *configuration)
{
    const struct redis_settings *redis = &configuration->redis;
    char *error = check_reply(redis, &tracker_config, &configuration->tracker, "tracker.max_state",
                              configuration->tracker.max_state);

    if (!error) {
        error = check_reply(redis, &sync_config, &configuration->sync, "sync.max_total",
                            configuration->sync.max_total);
    }
    return error;
}

char *combinations_check(const struct configuration *configuration)
{
    const struct redis_settings *redis = &configuration->redis;
    char *error = map_settings_check(&configuration->map);

    if (!error) {
        error = check_cut_off_times(&configuration->map);
    }
    if (!error) {
        error = check_replies(configuration);
    }
    if (!error && redis->backoff > redis->backoff_max) {
        error = refuse_combination("redis.backoff must be at most redis.backoff_max",
                                   (struct config_part){&redis_config, redis, "redis.backoff"},
                                   (struct config_part){&redis_config, redis, "redis.backoff_max"});
    }
    return error;
}

/* A setting that is too long for the shared client.ttl, and the value that is used instead. */
static void log_shortened(const char *key, int64_t given, int64_t used, int64_t ttl)
{
    log_warn("setting_shortened", LOG_STRING("setting", key), LOG_INT("given_ms", given),
             LOG_INT("in_force_ms", used), LOG_INT("client_ttl_ms", ttl));
}

static void fit_pings(const struct map_settings *map, bool in_force,
                      const struct combinations_scope *scope, struct websocket_settings *settings)
{
    const bool given = scope->is_given(scope->arg, "ws.ping_interval");
    const int64_t ttl = map->client_ttl, before = settings->ping_interval;

    if (before == 0) {
        return;
    }
    if (!given) {
        settings->ping_interval = min_i64(before, STANDARD(ttl));
        if (settings->timeout > 0) {
            settings->ping_interval = min_i64(settings->ping_interval, STANDARD(settings->timeout));
        }
    } else if (in_force && before > MOST(ttl)) {
        settings->ping_interval = STANDARD(ttl);
        log_shortened("ws.ping_interval", before, settings->ping_interval, ttl);
    }
}

/* One of the two times after which TCP probes a client whose last probe was answered: the kernel
 * uses the longer one. */
static void fit_probe(int64_t ttl, bool in_force, const struct combinations_scope *scope,
                      const char *key, int64_t *value)
{
    const int64_t before = *value;
    const int64_t wanted = ttl / PROBE_PART < PROBE_MIN_MS ? PROBE_MIN_MS : ttl / PROBE_PART;

    if (!scope->is_given(scope->arg, key)) {
        *value = min_i64(before, wanted);
    } else if (in_force && before > MOST(ttl) && before > wanted) {
        *value = wanted;
        log_shortened(key, before, wanted, ttl);
    }
}

static void fit_probes(const struct map_settings *map, bool in_force,
                       const struct combinations_scope *scope, struct net_settings *settings)
{
    if (settings->keepalive > 0) {
        fit_probe(map->client_ttl, in_force, scope, "net.keepalive", &settings->keepalive);
        fit_probe(map->client_ttl, in_force, scope, "net.keepalive_interval",
                  &settings->keepalive_interval);
    }
}

static void fit_registrations(const struct map_settings *map, bool in_force,
                              const struct combinations_scope *scope,
                              struct q3master_settings *settings)
{
    const int64_t before = settings->ttl;

    if (before <= map->max_registration) {
        return;
    }
    if (!scope->is_given(scope->arg, "q3master.ttl")) {
        settings->ttl = map->max_registration;
    } else if (in_force) { /* pkg/map shortens each registration */
        log_warn("setting_shortened", LOG_STRING("setting", "q3master.ttl"),
                 LOG_INT("given_ms", before), LOG_INT("in_force_ms", map->max_registration));
    }
}

void combinations_fit_listener(const struct map_settings *map, bool in_force,
                               const struct combinations_scope *scope,
                               struct listener_settings *settings)
{
    if (scope->is_websocket) {
        fit_pings(map, in_force, scope, &settings->websocket);
    }
    if (scope->is_tcp) {
        fit_probes(map, in_force, scope, &settings->net);
    }
    if (scope->is_master) {
        fit_registrations(map, in_force, scope, &settings->q3master);
    }
}

static char *check_pings(const struct map_settings *map, const struct websocket_settings *settings)
{
    const struct config_part ping = {&websocket_config, settings, "ws.ping_interval"};

    if (settings->ping_interval > MOST(map->client_ttl)) {
        return refuse_combination("ws.ping_interval must be at most three quarters of client.ttl",
                                  ping, (struct config_part){&map_config, map, "client.ttl"});
    }
    if (settings->timeout > 0 && settings->ping_interval > MOST(settings->timeout)) {
        return refuse_combination("ws.ping_interval must be at most three quarters of ws.timeout",
                                  ping,
                                  (struct config_part){&websocket_config, settings, "ws.timeout"});
    }
    return NULL;
}

static char *check_probe(const struct map_settings *map, const struct combinations_scope *scope,
                         const struct net_settings *settings, const char *key, const char *rule)
{
    const struct config_setting *setting = config_find_setting(&net_config, key);
    const char *at = (const char *)settings + setting->offset;

    if (*(const int64_t *)(const void *)at <= MOST(map->client_ttl) ||
        !scope->is_given(scope->arg, key)) {
        return NULL;
    }
    return refuse_combination(rule, (struct config_part){&net_config, settings, key},
                              (struct config_part){&map_config, map, "client.ttl"});
}

static char *check_probes(const struct map_settings *map, const struct combinations_scope *scope,
                          const struct net_settings *settings)
{
    char *error = NULL;

    if (settings->keepalive > 0) {
        error = check_probe(map, scope, settings, "net.keepalive",
                            "net.keepalive must be at most three quarters of client.ttl");
    }
    if (!error && settings->keepalive > 0) {
        error = check_probe(map, scope, settings, "net.keepalive_interval",
                            "net.keepalive_interval must be at most three quarters of client.ttl");
    }
    return error;
}

static char *check_registrations(const struct map_settings *map,
                                 const struct q3master_settings *settings)
{
    if (settings->ttl <= map->max_registration) {
        return NULL;
    }
    return refuse_combination("q3master.ttl must be at most map.max_registration",
                              (struct config_part){&q3master_config, settings, "q3master.ttl"},
                              (struct config_part){&map_config, map, "map.max_registration"});
}

char *combinations_check_listener(const struct map_settings *map,
                                  const struct combinations_scope *scope,
                                  const struct listener_settings *settings)
{
    char *error = NULL;

    if (scope->is_websocket) {
        error = check_pings(map, &settings->websocket);
    }
    if (!error && scope->is_tcp) {
        error = check_probes(map, scope, &settings->net);
    }
    if (!error && scope->is_master) {
        error = check_registrations(map, &settings->q3master);
    }
    return error;
}
