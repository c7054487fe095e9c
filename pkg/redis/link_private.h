/*
 * link_private: the internals of a link, shared by link.c (states, replies), connect.c,
 * handshake.c, pipeline.c (output and time-outs), script.c and sentinel_lookup.c.
 *
 * Commands in flight are kept in a ring, oldest first; a reply belongs to the oldest. A callback
 * may reset or destroy the link: after calling one, compare link->reader with its previous value,
 * and if it differs, do not touch that connection any more. The link itself stays allocated until
 * LOOP_PHASE_FREE.
 */
#ifndef REDIS_LINK_PRIVATE_H
#define REDIS_LINK_PRIVATE_H

#include "base/list.h"
#include "base/log.h"
#include "redis/reader_private.h"
#include "redis/redis.h"
#include "redis/refusal_private.h"
#include "stream/connector.h"

enum link_state {
    LINK_CLOSED,      /* destroyed; for good */
    LINK_WAITING,     /* for the next attempt: state_timer */
    LINK_CONNECTING,  /* the Sentinels are asked, or the connector looks the name up and connects;
                         both have their own time-outs */
    LINK_HANDSHAKING, /* socket and reader are set; handshake commands are in flight: state_timer */
    LINK_UP           /* accepts the user's commands */
};

struct redis_call; /* script.c */
struct redis_sentinel_lookup;

/*
 * A store's decisions for its links (store.c). A link without a guide connects to the addresses of
 * its target, and does not check the server's role.
 */
enum redis_attempt {
    REDIS_ATTEMPT_TARGET, /* the target's addresses, resolved anew */
    REDIS_ATTEMPT_FOLLOW, /* the address to which another link is connected */
    REDIS_ATTEMPT_WAIT    /* none, until redis_link_try_now */
};
enum redis_admission {
    REDIS_ADMIT,        /* the link is up */
    REDIS_ADMIT_LATER,  /* redis_link_identify_again, or its loss, follows */
    REDIS_ADMIT_REFUSED /* the guide has reset the link */
};
struct redis_link_guide {
    /* FOLLOW sets *leader, a link that is up. */
    enum redis_attempt (*attempt)(void *arg, const struct redis_link **leader);
    /* The handshake is complete; run_id is empty if INFO is refused. */
    enum redis_admission (*admit)(void *arg, const char *run_id);
    /* The server is a replica; the connection is closed after the call. */
    void (*replica)(void *arg);
    /* INFO replication is refused: roles cannot be checked. */
    void (*no_role)(void *arg);
    /* A command was answered with READONLY; its callback has been called. */
    void (*readonly)(void *arg);
};

struct redis_pending {
    redis_callback callback;
    void *arg;
    struct redis_call *call; /* a script's call, which has the callback */
    uint64_t sent_us;
    uint32_t expected; /* replies yet to come; the callback is called for each */
    bool secret;       /* errors may quote a password */
};

struct redis_link {
    struct loop *loop;
    char *name;
    char *server; /* the target's description, for logs */
    const struct redis_target *target;
    const struct redis_settings *settings;
    struct redis_link_callbacks callbacks;
    void *arg;
    /* Set for a subscriber: true when the reply is a message, not an answer. A subscriber requests
     * INFO only if it has a guide. */
    bool (*push)(void *arg, const struct redis_reply *reply);
    bool is_sentinel; /* leads to a Sentinel, whose identity and memory are of no interest */
    const struct redis_link_guide *guide; /* NULL: none */
    void *guide_arg;

    enum link_state state;
    struct loop_timer *state_timer;
    unsigned attempts; /* since the link was last stable: the exponent of the backoff */
    uint64_t up_since_ms;
    uint64_t down_since_ms;               /* when a stable connection was lost; 0: never up */
    struct redis_sentinel_lookup *lookup; /* in LINK_CONNECTING, while the Sentinels are asked */
    struct redis_endpoint server_at;      /* what is connected to; host is NULL for a unix socket */
    struct stream_connector *connector; /* from LINK_CONNECTING on, until the connection is lost */
    struct tls_context *tls;
    struct stream_socket *socket;
    struct redis_reader *reader;

    struct writer out;
    size_t out_sent; /* bytes of out that have been sent */
    struct loop_task flush_task;
    struct redis_pending *pending; /* a ring; capacity is a power of two, or 0 */
    size_t pending_first, pending_count, pending_capacity;
    uint64_t pending_popped; /* the total: identifies the oldest, for the time-out */
    uint64_t late_popped;    /* its value when the oldest was first found late */
    struct loop_timer *command_timer;

    struct list held;     /* calls that got NOSCRIPT, while scripts are being loaded */
    struct list deferred; /* calls made meanwhile */
    struct list loads;    /* SCRIPT LOADs in flight */

    bool handshake_waits; /* for the state timer, to repeat the PING */
    char run_id[41];
    char *unfit; /* the last reason reported, until the link is up */

    struct redis_refusals refusals;
    struct loop_timer *refusal_timer;
    struct log_limit connect_limit;
    struct loop_task free_task;
};

/* link.c */
struct redis_link *
redis_link_create_pushed(struct loop *loop, const char *name, const struct redis_target *target,
                         const struct redis_settings *settings,
                         const struct redis_link_callbacks *callbacks, void *arg,
                         bool (*push)(void *arg, const struct redis_reply *reply));
/* Closes the connection, and calls the outstanding callbacks. After a failed handshake it continues
 * with the next address, if there is one; otherwise another attempt follows after the backoff.
 * Calls `down`, or `failed`. */
void redis_link_lose(struct redis_link *link, const char *why);
/* The server is unusable: logs a new reason and calls `unfit` for it, and closes the connection. */
void redis_link_unfit(struct redis_link *link, const char *why);
void redis_link_enter(struct redis_link *link, enum link_state state);
/* The delay before the next attempt. */
uint64_t redis_link_backoff(const struct redis_link *link);
/* Reads and dispatches what has arrived. */
void redis_link_receive(struct redis_link *link);

/* Both must be called right after the link was created, before the loop runs. */
void redis_link_set_sentinel(struct redis_link *link);
void redis_link_set_guide(struct redis_link *link, const struct redis_link_guide *guide, void *arg);
/* Ends a wait for the next attempt. */
void redis_link_try_now(struct redis_link *link);
/* Whether it is connected or connecting to that server. */
bool redis_link_leads_to(const struct redis_link *link, struct bytes host, struct bytes port);

/* connect.c */
void redis_link_state_timer(void *arg);

/* pipeline.c */
/* Appends a command to the output; pending describes the handling of its reply. */
void redis_link_queue(struct redis_link *link, const struct redis_pending *pending, size_t count,
                      const struct bytes *args);
/* The same for a call, whose command is formatted already. */
void redis_link_queue_call(struct redis_link *link, struct redis_call *call, struct bytes command);
/* Removes the oldest from the ring, which must not be empty. */
struct redis_pending redis_link_pop(struct redis_link *link);
static inline struct redis_pending *redis_link_pending(struct redis_link *link, size_t index)
{
    return &link->pending[(link->pending_first + index) & (link->pending_capacity - 1)];
}
void redis_link_flush(void *arg);
void redis_link_forget_output(struct redis_link *link);
void redis_link_command_timer(void *arg);

/* format.c */
size_t redis_format_size(size_t count, const struct bytes *args);
/* Writes redis_format_size bytes; returns the end. */
uint8_t *redis_format(uint8_t *to, size_t count, const struct bytes *args);

/* handshake.c */
void redis_link_handshake(struct redis_link *link);
/* The state timer ran out in LINK_HANDSHAKING. */
void redis_link_handshake_timer(struct redis_link *link);
/* Reads the run id and the role again, and asks for admission again. */
void redis_link_identify_again(struct redis_link *link);
/* Whether a command is not available: the user may not call it, it was renamed, or a proxy does not
 * know it. Optional commands are then skipped. */
bool redis_is_withheld(enum redis_status status, const struct redis_reply *reply);

/* subscriber.c */
struct redis_link *redis_subscriber_link(const struct redis_subscriber *subscriber);

/* script.c */
/* A call's reply, or its loss (reply NULL). */
void redis_call_replied(struct redis_link *link, struct redis_call *call, enum redis_status status,
                        const struct redis_reply *reply);
/* Calls back all calls in the list with REDIS_LOST. */
void redis_calls_lose(struct list *calls);

#endif
