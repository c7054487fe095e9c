/*
 * store: two links kept on one master.
 *
 *   SEARCHING ──commands admitted──► PAIRING ──events admitted──► UP
 *     ▲  ▲                             │                            │
 *     │  └───────── command link lost ─┴────────────────────────────┤
 *     │                                ▲────── events link lost ────┘
 *     └── role, READONLY, other server, events missing twice: both links are reset
 *
 * store_enter is the only place that changes the state. The command link is announced (`up`) as
 * soon as it is admitted, so that a front-end without events keeps its lease; but at first, and
 * after the links had reached different servers, not before the events link is on the same one.
 */
#include "redis/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "redis/link_private.h"

/* Events that are missing again within this time are not the events link's fault alone. */
#define EVENTS_AGAIN_MS 30000

static const char why_no_connection[] = "no connection to Redis";
static const char why_replica[] = "readonly: Redis is a replica";
static const char why_servers[] = "the connections reach different servers";
static const char why_events[] = "events of Redis do not arrive in time";

enum store_state {
    STORE_SEARCHING, /* for a master; no command link */
    STORE_PAIRING,   /* the command link is up, the events link not yet, or not any more */
    STORE_UP         /* both, on one server */
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
    bool announced; /* `up` has been called, and `down` not since */
    bool distrusts; /* never was UP, or the links last reached different servers */
    const char *why_not;
    char run_id[41];        /* the command link's, in PAIRING and UP; empty: not known */
    char events_run_id[41]; /* the events link's, in UP, and after it as long as that link is up */
    bool met_replica;       /* in this attempt of the command link */
    bool read_again;        /* the run ids of this attempt of the events link */
    bool no_role;           /* INFO replication is refused */
    uint64_t events_missing_ms; /* when they last were; 0: never */
    struct loop_timer *role_timer;
};

static const char *store_state_name(enum store_state state)
{
    static const char *const names[] = {"searching", "pairing", "up"};

    return names[state];
}

static void store_enter(struct redis_store *store, enum store_state state)
{
    log_debug("redis_store", LOG_STRING("from", store_state_name(store->state)),
              LOG_STRING("to", store_state_name(state)));
    store->state = state;
    switch (state) {
    case STORE_SEARCHING:
        store->run_id[0] = '\0';
        loop_timer_stop(store->role_timer);
        break;
    case STORE_PAIRING:
        break;
    case STORE_UP:
        store->distrusts = false;
        break;
    }
}

static void announce(struct redis_store *store)
{
    if (!store->announced) {
        store->announced = true;
        store->why_not = NULL;
        store->callbacks.up(store->arg, store->run_id);
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

/* The role, of a link in its handshake and of one that is up. */

static void on_replica(void *arg)
{
    struct redis_store *store = arg;

    metrics_add(METRIC_REDIS_REPLICAS, 1);
    store->met_replica = true;
    if (store->why_not != why_replica) {
        log_warn("redis_is_a_replica", LOG_STRING("redis", store->commands->server));
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

/* Asked even where it was refused: an operator may permit it. */
static void ask_role(void *arg)
{
    struct redis_store *store = arg;

    redis_command_strings(store->commands, on_role, store, "INFO", "replication", NULL);
    loop_timer_start(store->role_timer, (uint64_t)store->settings->role_interval);
}

/* The command link. */

/* Where the master may be. The target's addresses, here; the link asks each for its role. */
static enum redis_attempt find_master(void *arg, struct stream_address *address)
{
    struct redis_store *store = arg;

    (void)address;
    store->met_replica = false;
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

    /* The events link outlived a loss of the command link, which found another server. What it
     * reads of the server when it connects again decides. */
    if (paired && !is_same_server(store, store->events_run_id)) {
        log_warn("redis_servers_differ", LOG_STRING("redis", store->commands->server),
                 LOG_STRING("commands", run_id), LOG_STRING("events", store->events_run_id));
        redis_subscriber_reset(store->events, why_servers);
        paired = false;
    }
    store_enter(store, paired ? STORE_UP : STORE_PAIRING);
    loop_timer_start(store->role_timer, (uint64_t)store->settings->role_interval);
    redis_link_try_now(store->events_link);
    if (!store->distrusts) {
        announce(store);
    }
}

static void on_store_down(void *arg)
{
    struct redis_store *store = arg;
    bool announced = store->announced;

    store_enter(store, STORE_SEARCHING);
    store->announced = false;
    if (!redis_subscriber_is_up(store->events)) {
        redis_subscriber_reset(store->events, "the command link is gone");
    }
    if (store->why_not == NULL) {
        store->why_not = why_no_connection;
    }
    if (announced) {
        store->callbacks.down(store->arg);
    }
}

static void on_unfit(void *arg, const char *why)
{
    struct redis_store *store = arg;

    store->callbacks.unfit(store->arg, why);
}

static void on_store_failed(void *arg, const char *why)
{
    struct redis_store *store = arg;

    (void)why;
    if (!store->met_replica) {
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

/* The events link: it follows the command link. */

static enum redis_attempt follow_commands(void *arg, struct stream_address *address)
{
    struct redis_store *store = arg;

    if (store->state == STORE_SEARCHING) {
        return REDIS_ATTEMPT_WAIT;
    }
    store->read_again = false;
    *address = *redis_link_address(store->commands);
    return REDIS_ATTEMPT_ADDRESS;
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
        redis_subscriber_reset(store->events, "the command link is gone");
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
    store->distrusts = true;
    reset_both(store, why_servers, METRIC_REDIS_RESET_SERVERS);
    return REDIS_ADMIT_REFUSED;
}

/* The command link's address leads to a replica, for this link: as if it were another server. */
static void on_events_replica(void *arg)
{
    struct redis_store *store = arg;

    metrics_add(METRIC_REDIS_REPLICAS, 1);
    if (store->state != STORE_SEARCHING) {
        ask_role(store);
    }
}

static void on_events_up(void *arg)
{
    struct redis_store *store = arg;

    store_enter(store, STORE_UP);
    announce(store);
}

static void on_store_events_down(void *arg)
{
    struct redis_store *store = arg;

    if (store->state == STORE_UP) {
        store_enter(store, STORE_PAIRING);
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
    store->distrusts = true;
    store->role_timer = loop_timer_create(loop, ask_role, store);
    store->commands =
        redis_link_create(loop, "commands", target, settings, &commands_callbacks, store);
    redis_link_set_guide(store->commands, &commands_guide, store);
    store->events =
        redis_subscriber_create(loop, "events", target, settings, &events_callbacks, store);
    store->events_link = redis_subscriber_link(store->events);
    redis_link_set_guide(store->events_link, &events_guide, store);
    return store;
}

void redis_store_destroy(struct redis_store **pointer)
{
    struct redis_store *store = *pointer;

    *pointer = NULL;
    if (!store) {
        return;
    }
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
