/*
 * store: keeps two links on one master.
 *
 *   SEARCHING ─── command link up ───► PAIRING ─── events link up ───► UP
 *       │                                                              ▲ │
 *       │                                               events link up │ │ events link lost
 *       │                                                              │ ▼
 *       └──────────────────────── command link up ──────────────► COMMANDS_ONLY
 *
 * Each state goes back to SEARCHING when the command link is lost. Both links are reset after a
 * change of the role, READONLY, different servers, another master by the word of the Sentinels, and
 * events that are missing twice.
 *
 * A front-end without events keeps its lease, so the store calls `up` also in COMMANDS_ONLY. But at
 * first, and after the links had reached different servers, it passes through PAIRING, and calls
 * `up` only once both links are on the same server. Only store_enter changes the state.
 */
#include "redis/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "redis/link_private.h"
#include "redis/sentinel_private.h"

/* If events are missing again within this time, both links are reset. */
#define EVENTS_AGAIN_MS 30000

static const char why_no_connection[] = "no connection to Redis";
static const char why_replica[] = "readonly: Redis is a replica";
static const char why_servers[] = "the connections reach different servers";
static const char why_events[] = "events of Redis do not arrive in time";
static const char why_switched[] = "the Sentinels have switched to another master";
static const char why_no_commands[] = "the command link is down";

enum store_state {
    STORE_SEARCHING,     /* for a master; the command link is down */
    STORE_PAIRING,       /* the command link is up; `up` waits for the events link */
    STORE_COMMANDS_ONLY, /* the same, but `up` has been called */
    STORE_UP             /* both links are up, on one server */
};

struct redis_store {
    struct loop *loop;
    const struct redis_settings *settings;
    struct redis_store_callbacks callbacks;
    void *arg;
    struct redis_link *commands;
    struct redis_subscriber *events;
    struct redis_link *events_link; /* the subscriber's */

    enum store_state state;
    bool needs_pairing; /* never was UP, or the links last reached different servers */
    const char *why_not;
    char run_id[41];        /* the command link's, in PAIRING and UP; empty: not known */
    char events_run_id[41]; /* the events link's, while that link is up */
    bool found_replica;     /* in this attempt of the command link */
    bool read_again;        /* whether this attempt of the events link has read the run ids again */
    bool no_role;           /* INFO replication is refused */
    uint64_t events_missing_ms; /* the last time that events were missing; 0: never */
    struct loop_timer *role_timer;
    struct redis_sentinel_watch *watch; /* NULL: the target has no Sentinels */
};

static const char *store_state_name(enum store_state state)
{
    static const char *const names[] = {"searching", "pairing", "commands_only", "up"};

    return names[state];
}

/* Whether the owner has been called `up`. */
static bool is_announced(enum store_state state)
{
    return state >= STORE_COMMANDS_ONLY;
}

/* Calls `up` and `down` last, as they may use the store. */
static void store_enter(struct redis_store *store, enum store_state state)
{
    const enum store_state before = store->state;

    log_debug("redis_store", LOG_STRING("from", store_state_name(before)),
              LOG_STRING("to", store_state_name(state)));
    store->state = state;
    switch (state) {
    case STORE_SEARCHING:
        store->run_id[0] = '\0';
        loop_timer_stop(store->role_timer);
        break;
    case STORE_PAIRING:
    case STORE_COMMANDS_ONLY:
        break;
    case STORE_UP:
        store->needs_pairing = false;
        break;
    }
    if (is_announced(state) && !is_announced(before)) {
        store->why_not = NULL;
        store->callbacks.up(store->arg, store->run_id);
    } else if (!is_announced(state) && is_announced(before)) {
        store->callbacks.down(store->arg);
    }
}

static void reset_both(struct redis_store *store, const char *why_not, enum metric metric)
{
    log_warn("redis_connections_reset", LOG_STRING("redis", store->commands->server),
             LOG_STRING("why", why_not), LOG_STRING("run_id", store->run_id));
    metrics_add(metric, 1);
    store->why_not = why_not;
    redis_subscriber_reset(store->events, why_not);
    redis_link_reset(store->commands, why_not);
}

/* The role of a server, in a link's handshake and later. */

static void on_replica(void *arg)
{
    struct redis_store *store = arg;

    metrics_add(METRIC_REDIS_REPLICAS, 1);
    store->found_replica = true;
    if (store->why_not != why_replica) {
        log_warn("redis_is_replica", LOG_STRING("redis", store->commands->server));
    }
    store->why_not = why_replica;
}

static void on_no_role(void *arg)
{
    struct redis_store *store = arg;

    if (!store->no_role) {
        log_warn("redis_role_unknown", LOG_STRING("redis", store->commands->server),
                 LOG_STRING("why", "INFO replication is refused"));
    }
    store->no_role = true;
}

static void on_readonly(void *arg)
{
    reset_both(arg, why_replica, METRIC_REDIS_RESET_READONLY);
}

static void on_role(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_store *store = arg;
    struct bytes role;

    if (redis_is_withheld(status, reply)) {
        on_no_role(store);
    }
    if (status != REDIS_OK) {
        return;
    }
    store->no_role = false;
    role = redis_info_value(reply->text, "role");
    if (role.len > 0 && !bytes_equal(role, BYTES_LITERAL("master"))) {
        reset_both(store, why_replica, METRIC_REDIS_RESET_ROLE);
    }
}

/* Requested even after a refusal: an operator may permit it later. */
static void request_role(void *arg)
{
    struct redis_store *store = arg;

    redis_command_strings(store->commands, on_role, store, "INFO", "replication", NULL);
    loop_timer_start(store->role_timer, (uint64_t)store->settings->role_interval);
}

/* The command link. */

/* The candidates for the master: the target's addresses, or what its Sentinels say; the link checks
 * the role of each. */
static enum redis_attempt find_master(void *arg, const struct redis_link **leader)
{
    struct redis_store *store = arg;

    store->found_replica = false;
    return REDIS_ATTEMPT_TARGET;
}

static enum redis_admission admit_commands(void *arg, const char *run_id)
{
    struct redis_store *store = arg;

    memcpy(store->run_id, run_id, strlen(run_id) + 1);
    return REDIS_ADMIT;
}

static bool is_same_server(const struct redis_store *store, const char *run_id)
{
    return *run_id == '\0' || strcmp(run_id, store->run_id) == 0;
}

static void on_up(void *arg, const char *run_id)
{
    struct redis_store *store = arg;
    bool paired = redis_subscriber_is_up(store->events);

    /* The events link survived the loss of the command link, which then found another server. The
     * events link reconnects, and reads the run id of its server again. */
    if (paired && !is_same_server(store, store->events_run_id)) {
        log_warn("redis_servers_differ", LOG_STRING("redis", store->commands->server),
                 LOG_STRING("commands", run_id), LOG_STRING("events", store->events_run_id));
        redis_subscriber_reset(store->events, why_servers);
        paired = false;
    }
    loop_timer_start(store->role_timer, (uint64_t)store->settings->role_interval);
    redis_link_try_now(store->events_link);
    if (paired) {
        store_enter(store, STORE_UP);
    } else {
        store_enter(store, store->needs_pairing ? STORE_PAIRING : STORE_COMMANDS_ONLY);
    }
}

static void on_store_down(void *arg)
{
    struct redis_store *store = arg;

    if (!redis_subscriber_is_up(store->events)) {
        redis_subscriber_reset(store->events, why_no_commands);
    }
    if (!store->why_not) {
        store->why_not = why_no_connection;
    }
    store_enter(store, STORE_SEARCHING);
}

static void on_unfit(void *arg, const char *why)
{
    struct redis_store *store = arg;

    store->callbacks.unfit(store->arg, why);
}

static void on_store_failed(void *arg, const char *why)
{
    struct redis_store *store = arg;

    if (!store->found_replica) {
        store->why_not = why_no_connection;
    }
}

static const struct redis_link_callbacks commands_callbacks = {
    .up = on_up, .down = on_store_down, .unfit = on_unfit, .failed = on_store_failed};
static const struct redis_link_guide commands_guide = {.attempt = find_master,
                                                       .admit = admit_commands,
                                                       .replica = on_replica,
                                                       .no_role = on_no_role,
                                                       .readonly = on_readonly};

/* The events link, which follows the command link. */

static enum redis_attempt follow_commands(void *arg, const struct redis_link **leader)
{
    struct redis_store *store = arg;

    if (store->state == STORE_SEARCHING) {
        return REDIS_ATTEMPT_WAIT;
    }
    store->read_again = false;
    *leader = store->commands;
    return REDIS_ATTEMPT_FOLLOW;
}

static void on_read_again(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_store *store = arg;
    struct bytes run_id;

    if (status != REDIS_OK) {
        return;
    }
    run_id = redis_info_value(reply->text, "run_id");
    if (run_id.len == sizeof store->run_id - 1) {
        memcpy(store->run_id, run_id.data, run_id.len);
    }
    redis_link_identify_again(store->events_link);
}

static enum redis_admission admit_events(void *arg, const char *run_id)
{
    struct redis_store *store = arg;

    if (store->state == STORE_SEARCHING) {
        redis_subscriber_reset(store->events, why_no_commands);
        return REDIS_ADMIT_REFUSED;
    }
    if (is_same_server(store, run_id)) {
        memcpy(store->events_run_id, run_id, strlen(run_id) + 1);
        return REDIS_ADMIT;
    }
    if (!store->read_again) {
        store->read_again = true;
        redis_command_strings(store->commands, on_read_again, store, "INFO", "server", NULL);
        return REDIS_ADMIT_LATER;
    }
    log_warn("redis_servers_differ", LOG_STRING("redis", store->commands->server),
             LOG_STRING("commands", store->run_id), LOG_STRING("events", run_id));
    store->needs_pairing = true;
    reset_both(store, why_servers, METRIC_REDIS_RESET_SERVERS);
    return REDIS_ADMIT_REFUSED;
}

/* The address is a replica's: the command link's server may have become one, so check its role. */
static void on_events_replica(void *arg)
{
    struct redis_store *store = arg;

    metrics_add(METRIC_REDIS_REPLICAS, 1);
    if (store->state != STORE_SEARCHING) {
        request_role(store);
    }
}

static void on_events_up(void *arg)
{
    struct redis_store *store = arg;

    store_enter(store, STORE_UP);
}

static void on_store_events_down(void *arg)
{
    struct redis_store *store = arg;

    if (store->state == STORE_UP) {
        store_enter(store, STORE_COMMANDS_ONLY);
    }
    store->callbacks.events_down(store->arg);
}

static void on_store_subscribed(void *arg, struct bytes channel)
{
    struct redis_store *store = arg;

    store->callbacks.subscribed(store->arg, channel);
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    struct redis_store *store = arg;

    store->callbacks.message(store->arg, channel, message);
}

static const struct redis_subscriber_callbacks events_callbacks = {.subscribed =
                                                                       on_store_subscribed,
                                                                   .message = on_message,
                                                                   .up = on_events_up,
                                                                   .down = on_store_events_down};
static const struct redis_link_guide events_guide = {.attempt = follow_commands,
                                                     .admit = admit_events,
                                                     .replica = on_events_replica,
                                                     .no_role = on_no_role,
                                                     .readonly = on_readonly};

/* The Sentinels. */

static void on_master_named(void *arg, struct bytes host, struct bytes port)
{
    struct redis_store *store = arg;

    if (redis_link_leads_to(store->commands, host, port)) {
        return;
    }
    log_info("redis_master_switched", LOG_BYTES("host", host), LOG_BYTES("port", port));
    if (store->state == STORE_SEARCHING) {
        redis_link_reset(store->commands, why_switched);
    } else {
        reset_both(store, why_switched, METRIC_REDIS_RESET_SWITCH);
    }
    redis_link_try_now(store->commands);
}

/* The public part. */

struct redis_store *redis_store_create(struct loop *loop, const struct redis_target *target,
                                       const struct redis_settings *settings,
                                       const struct redis_store_callbacks *callbacks, void *arg)
{
    struct redis_store *store = mem_zalloc(1, sizeof *store);

    store->loop = loop;
    store->settings = settings;
    store->callbacks = *callbacks;
    store->arg = arg;
    store->why_not = why_no_connection;
    store->needs_pairing = true;
    store->role_timer = loop_timer_create(loop, request_role, store);
    store->commands =
        redis_link_create(loop, "commands", target, settings, &commands_callbacks, store);
    redis_link_set_guide(store->commands, &commands_guide, store);
    store->events =
        redis_subscriber_create(loop, "events", target, settings, &events_callbacks, store);
    store->events_link = redis_subscriber_link(store->events);
    redis_link_set_guide(store->events_link, &events_guide, store);
    if (target->scheme == REDIS_SENTINEL) {
        store->watch = redis_sentinel_watch_create(loop, target, settings, on_master_named, store);
    }
    return store;
}

void redis_store_destroy(struct redis_store **pointer)
{
    struct redis_store *store = *pointer;

    *pointer = NULL;
    if (!store) {
        return;
    }
    redis_sentinel_watch_destroy(&store->watch);
    redis_subscriber_destroy(&store->events);
    redis_link_destroy(&store->commands);
    loop_timer_destroy(&store->role_timer);
    free(store);
}

struct redis_link *redis_store_commands(struct redis_store *store)
{
    return store->commands;
}

struct redis_subscriber *redis_store_events(struct redis_store *store)
{
    return store->events;
}

const char *redis_store_why_not(const struct redis_store *store)
{
    return store->why_not;
}

void redis_store_events_missing(struct redis_store *store)
{
    uint64_t now = loop_now_ms(store->loop);
    bool again = store->events_missing_ms != 0 && now - store->events_missing_ms < EVENTS_AGAIN_MS;

    if (!redis_subscriber_is_up(store->events)) {
        return;
    }
    store->events_missing_ms = now;
    if (again) {
        reset_both(store, why_events, METRIC_REDIS_RESET_EVENTS);
        return;
    }
    metrics_add(METRIC_REDIS_RESET_EVENTS, 1);
    redis_subscriber_reset(store->events, why_events);
}
