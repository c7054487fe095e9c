/*
 * redis: a connection to Redis (RESP2), with hiredis's reader and our own socket and formatter:
 * hiredis's formatter is ten times slower and allocates memory for each command.
 *
 * All commands of one event-loop iteration are sent with one write, in LOOP_PHASE_OUTPUT. Replies
 * arrive in order. Every callback is called exactly once: with the reply, or with a status that
 * gives the reason why there is none. Callbacks may issue commands and may destroy the link.
 *
 * A link to a target of Sentinels asks them for the master before each attempt to connect.
 *
 * A link connects by itself, and reconnects after a loss with exponential backoff and full jitter.
 * On each connection it does TLS, AUTH and SELECT (without HELLO: RESP2), reads `INFO server` and
 * `INFO memory`, refuses a server older than 7.0 and a maxmemory-policy other than noeviction, and
 * then calls `up`. If a command is not answered within redis.timeout, the connection is closed with
 * a reset (SO_LINGER 0), so that no more of what was sent reaches the server. Commands that have
 * reached it, on a unix socket all of them, may still be executed.
 *
 * Commands are refused while the link is down (REDIS_DOWN): a caller that can wait sends them again
 * after `up`. Commands in flight at a loss get REDIS_LOST: whether they were executed is unknown.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"

struct config_module;

struct redis_settings {
    char *url;               /* redis.url, or --redis */
    char *data;              /* redis.data: directory in which an embedded server persists */
    char *server;            /* redis.server: the embedded server's program */
    char *prefix;            /* redis.prefix of all keys */
    int64_t deadline;        /* redis.deadline: how long a client's write waits (the map's) */
    int64_t timeout;         /* redis.timeout per command */
    int64_t connect_timeout; /* redis.connect_timeout */
    int64_t backoff;         /* redis.backoff: first reconnect delay; doubled each time */
    int64_t backoff_max;     /* redis.backoff_max */
    int64_t role_interval;   /* redis.role_interval between two checks of the server's role */
    int64_t memory_interval; /* redis.memory_interval between two looks at its memory (the map's) */
    int64_t memory_limit;    /* redis.memory_limit: percent of maxmemory; 0: none (the map's) */
    int64_t min_replicas;    /* redis.min_replicas that acknowledge a write; 0: none (the map's) */
    int64_t inflight;        /* redis.inflight: batches in flight per partition (the map's) */
    int64_t max_reply;       /* redis.max_reply: bytes, 0: no limit */
    char *tls_ca;            /* redis.tls_ca, empty: the system's */
    char *tls_certificate;   /* redis.tls_certificate */
    char *tls_key;           /* redis.tls_key */
    bool tls_verify;         /* redis.tls_verify */
    char *password;          /* redis.password, if the URL has none; redis.password_file */
    char *user;              /* redis.user */
    char *sentinel_password; /* redis.sentinel_password; redis.sentinel_password_file */
    char *sentinel_user;     /* redis.sentinel_user */
};
extern const struct config_module redis_config;

/* The address of Redis, parsed from a URL (target.c). */
enum redis_scheme {
    REDIS_EMBEDDED,
    REDIS_TCP,
    REDIS_UNIX,
    REDIS_SENTINEL, /* the Sentinels know the address of the master */
    REDIS_CLUSTER
};
#define REDIS_ENDPOINTS_MAX 16
struct redis_endpoint {
    char *host; /* a name or a numeric address */
    uint16_t port;
};
struct redis_target {
    enum redis_scheme scheme;
    bool tls;
    char *host; /* of REDIS_TCP, or the unix socket's path */
    uint16_t port;
    char *user;     /* NULL: none */
    char *password; /* NULL: none; never logged */
    unsigned database;
    char *master; /* REDIS_SENTINEL: the name under which the Sentinels monitor it */
    size_t endpoint_count;
    struct redis_endpoint endpoints[REDIS_ENDPOINTS_MAX]; /* the Sentinels */
};
/* NULL, or the error (the caller frees; it never contains the password). Cluster URLs are
 * recognised, and refused as not supported. */
char *redis_target_parse(const char *url, struct redis_target *target)
    __attribute__((warn_unused_result));
void redis_target_free(struct redis_target *target);
/* For logs: without user and password. The caller frees. */
char *redis_target_describe(const struct redis_target *target);

/* A reply. It and everything in it live until the callback returns. */
enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_ARRAY };
struct redis_reply {
    enum redis_type type;
    struct bytes text; /* STRING, STATUS, ERROR */
    int64_t integer;   /* INTEGER */
    size_t count;      /* ARRAY */
    struct redis_reply **elements;
};

enum redis_status {
    REDIS_OK,      /* with a reply that is not an error */
    REDIS_REFUSED, /* with an error reply: redis_refusal_of(reply) */
    REDIS_DOWN,    /* not sent: no connection */
    REDIS_LOST     /* sent, but the connection was lost or timed out before the reply */
};
/* The kinds of error replies. OTHER covers errors of a command or script. */
enum redis_refusal {
    REDIS_REFUSAL_OTHER,
    REDIS_REFUSAL_READONLY,
    REDIS_REFUSAL_LOADING,
    REDIS_REFUSAL_OOM,
    REDIS_REFUSAL_MISCONF,
    REDIS_REFUSAL_NOPERM,
    REDIS_REFUSAL_NOAUTH,
    REDIS_REFUSAL_MAXCLIENTS,
    REDIS_REFUSAL_BUSY,
    REDIS_REFUSAL_MASTERDOWN,
    REDIS_REFUSAL_NOSCRIPT,
    REDIS_REFUSAL_COUNT
};
enum redis_refusal redis_refusal_of(const struct redis_reply *reply);
const char *redis_refusal_name(enum redis_refusal refusal);
const char *redis_status_name(enum redis_status status);
/* A value of INFO's "name:value\r\n" lines; empty when it is missing. */
struct bytes redis_info_value(struct bytes info, const char *name);

typedef void (*redis_callback)(void *arg, enum redis_status status,
                               const struct redis_reply *reply);

struct redis_link;
struct redis_link_callbacks {
    /* Connected and checked. run_id: that of the server, 40 hex digits, valid during the call. */
    void (*up)(void *arg, const char *run_id);
    /* The connection is lost, and the callbacks of all its commands have been called. Called once
     * for each up. */
    void (*down)(void *arg);
    /* The server is unusable as configured (version, eviction policy): the text gives the reason.
     * The link keeps trying. May be NULL. */
    void (*unfit)(void *arg, const char *why);
    /* An attempt to connect failed; another follows. For tools that do not wait. May be NULL. */
    void (*failed)(void *arg, const char *why);
};

/* name: for logs and CLIENT SETNAME ("commands", "events"). Connects in the next event-loop
 * iteration. settings and target must outlive the link. */
struct redis_link *redis_link_create(struct loop *loop, const char *name,
                                     const struct redis_target *target,
                                     const struct redis_settings *settings,
                                     const struct redis_link_callbacks *callbacks, void *arg);
/* Calls every outstanding callback with REDIS_LOST; does not call `down`. The memory is freed in
 * LOOP_PHASE_FREE, so the loop must run, or be destroyed, after this. */
void redis_link_destroy(struct redis_link **link);
bool redis_link_is_up(const struct redis_link *link);
/* Closes the connection with a reset, and reconnects; does nothing when there is none. */
void redis_link_reset(struct redis_link *link, const char *why);

/* Copies args. callback may be NULL. When the link is down (or NULL, as in callbacks from
 * redis_link_destroy), the callback is called before this returns. */
void redis_command(struct redis_link *link, redis_callback callback, void *arg, size_t count,
                   const struct bytes *args);
/* The same with at most REDIS_STRINGS_MAX C strings, ended by NULL. */
#define REDIS_STRINGS_MAX 32
void redis_command_strings(struct redis_link *link, redis_callback callback, void *arg, ...)
    __attribute__((sentinel));

/*
 * Scripts. EVALSHA; on NOSCRIPT the script is loaded (SCRIPT LOAD) and every call of any script
 * that got NOSCRIPT on this link is sent again, in the original order; their callbacks see only the
 * final reply. A later call may succeed in between: callers that need a strict order must number
 * their calls, as the map does with its batches.
 */
struct redis_script {
    /* A script must live as long as calls of it. */
    const char *name;   /* for logs */
    const char *source; /* NUL-terminated Lua */
    char sha1[41];      /* filled by the first call */
};
void redis_eval(struct redis_link *link, struct redis_script *script, redis_callback callback,
                void *arg, size_t keys, size_t count,
                const struct bytes *args); /* args: the keys first, count in all */

/*
 * A subscriber: a separate link. Subscriptions last until redis_unsubscribe, and are renewed on
 * each new connection. `subscribed` is called whenever Redis has confirmed the channel (at first,
 * and after each loss): every message is delivered from then on until `down`.
 */
struct redis_subscriber;
struct redis_subscriber_callbacks {
    void (*subscribed)(void *arg, struct bytes channel);
    void (*message)(void *arg, struct bytes channel, struct bytes message);
    void (*up)(void *arg);
    void (*down)(void *arg);
};
struct redis_subscriber *redis_subscriber_create(struct loop *loop, const char *name,
                                                 const struct redis_target *target,
                                                 const struct redis_settings *settings,
                                                 const struct redis_subscriber_callbacks *callbacks,
                                                 void *arg);
void redis_subscriber_destroy(struct redis_subscriber **subscriber);
/* Counted: a channel is unsubscribed after as many calls as subscribed it. */
void redis_subscribe(struct redis_subscriber *subscriber, struct bytes channel);
void redis_unsubscribe(struct redis_subscriber *subscriber, struct bytes channel);
/* Subscribes again to a channel, as if it had not been confirmed; does nothing for others. */
void redis_subscribe_again(struct redis_subscriber *subscriber, struct bytes channel);
bool redis_subscriber_is_up(const struct redis_subscriber *subscriber);
void redis_subscriber_reset(struct redis_subscriber *subscriber, const char *why);

#endif
