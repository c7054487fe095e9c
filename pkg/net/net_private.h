/*
 * net_private: what the files of net share: the structs of net, listener and conn, and the steps
 * of a connection's life.
 *
 * A conn goes PROXY -> TLS -> OPEN -> ENDING -> LINGER -> CLOSED, skipping what it does not need.
 * conn_move is the only place that changes its state. Its descriptor is open until CLOSED; its
 * memory and the call of `closed` wait for LOOP_PHASE_FREE.
 *
 * A connection counts itself at its listener (references), so that a listener which was destroyed
 * still has the queues and settings of those it accepted.
 */
#ifndef NET_NET_PRIVATE_H
#define NET_NET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "budget/bucket.h"
#include "budget/budget.h"
#include "metrics/metrics.h"
#include "net/listener.h"
#include "net/socket.h"
#include "net/transport.h"
#include "tls/tls.h"

#define NET_BUFFER_SIZE 65536
#define NET_CHUNKS      1024 /* IOV_MAX */

enum conn_state {
    CONN_PROXY,  /* a PROXY header is expected */
    CONN_TLS,    /* the TLS handshake is under way */
    CONN_OPEN,   /* the protocol's */
    CONN_ENDING, /* nothing more is read or accepted for sending; the output is sent */
    CONN_LINGER, /* shut down by us; input is dropped until the peer's end */
    CONN_CLOSED  /* descriptor closed; waits for LOOP_PHASE_FREE */
};

enum conn_flags {
    CONN_DIRTY = 1,             /* in net.dirty */
    CONN_BACKLOGGED = 2,        /* output of an earlier iteration waits */
    CONN_PAUSED = 4,            /* by its protocol */
    CONN_HELD = 8,              /* no requests are read: its backlog is too large */
    CONN_TAIL_OPEN = 16,        /* the last piece is ours alone and may grow */
    CONN_READ_WANTS_WRITE = 32, /* TLS */
    CONN_WRITE_WANTS_READ = 64, /* TLS */
    CONN_KNOWN = 128,           /* conn_handshake_done */
    CONN_WAITING = 256,         /* over a budget or a rate: conn_budget.c */
    CONN_SHARED = 512,          /* its address is one of net.shared_addresses */
    CONN_MESSAGE_DONE = 1024,   /* what is kept now begins another message */
    CONN_UNDER_WAY = 2048,      /* its framing holds a part of a message */
    CONN_OPERATOR = 4096        /* conn_set_operator */
};
/* Any of these, and the connection is not read from. */
#define CONN_STOPPED (CONN_PAUSED | CONN_HELD | CONN_WAITING)

/* Each is ordered by expiry: all connections of a queue have the same time-out. Those that wait
 * for their budget have none. */
enum queue {
    QUEUE_HANDSHAKE,
    QUEUE_IDLE,
    QUEUE_LINGER,
    QUEUE_WRITE,
    QUEUE_MESSAGE,
    QUEUE_WAITING,
    QUEUES
};

/* A connection that waits for its budget, or for a rate of its protocol. */
struct conn_wait {
    struct conn *conn;
    struct list node; /* in a slot of net.waits, or in the usage of its account */
    struct bucket bucket;
    uint64_t since_us;
    uint64_t until_us;
};

/* Slots of WAIT_SLOT_MS each; no wait is longer than they last. */
#define WAIT_SLOTS   512
#define WAIT_SLOT_MS 10

/* A part of a frame; the reference is the piece's. */
struct piece {
    struct frame *frame;
    uint32_t offset;
    uint32_t len;
};

/* More output than one piece, or output that waits. */
struct output {
    struct conn *conn;
    struct list node; /* in QUEUE_WRITE during a backlog */
    uint32_t since;   /* of the last progress */
    uint32_t first;   /* pieces before it have been sent */
    uint32_t count;   /* of those left */
    uint32_t capacity;
    size_t len; /* bytes left */
    struct piece pieces[];
};

/* A message of which a part was received. */
struct unfinished;

/* Input that was not consumed. */
struct input {
    struct conn *conn;
    struct list node;              /* in net.resumed */
    struct unfinished *unfinished; /* NULL: none, or its handler limits the time */
    uint32_t len;
    uint32_t capacity;
    bool is_deferred; /* more is read, rather than this presented again */
    uint8_t data[];
};

/* How bytes reach the peer: transport.c. What may be NULL is not needed there. */
struct conn_transport {
    size_t record_size; /* the most that one write takes; 0: any size, and chunks of sendmsg */
    /* Before the first byte of a protocol: CONN_TLS. handshake: 0 when it is done; -1 with errno,
     * EAGAIN when `wanted` (enum loop_events) has to happen first; error: any other failure. */
    void (*start)(struct conn *conn);
    unsigned (*wanted)(const struct conn *conn);
    int (*handshake)(struct conn *conn);
    const char *(*error)(const struct conn *conn);
    /* As recv and send. */
    ssize_t (*read)(struct conn *conn, void *to, size_t room);
    ssize_t (*write)(struct conn *conn, const void *from, size_t len);
    /* Whether it holds input that the descriptor does not report. May be NULL. */
    bool (*has_pending)(const struct conn *conn);
    /* Sends the end, if that can still be sent. May be NULL. */
    void (*shutdown)(struct conn *conn);
};
extern const struct conn_transport conn_plain, conn_tls;

struct conn {
    struct list node; /* in a queue of the listener, or in net.closing */
    struct list dirty;
    struct listener *listener;
    struct loop_io *io; /* NULL: its descriptor is closed */
    const struct conn_handler *handler;
    void *arg;
    struct budget_account *account; /* NULL: unix socket, or a PROXY header is expected */
    union {
        struct bucket bucket;   /* what it has cost */
        struct conn_wait *wait; /* CONN_WAITING: has the bucket */
    } budget;
    struct input *input;   /* NULL: none */
    struct output *output; /* NULL: at most the one in single */
    struct piece single;
    uint32_t last_received; /* stamp */
    uint32_t since;         /* stamp from which the queue it is in counts */
    uint32_t input_limit;
    uint32_t input_size; /* bytes that are kept of unfinished input, here and in its protocol */
    struct address peer;
    uint16_t flags;           /* enum conn_flags */
    uint8_t state : 4;        /* enum conn_state */
    uint8_t interest : 4;     /* enum loop_events, as the io knows it */
    uint8_t reason;           /* enum conn_close_reason, from ENDING on */
    struct tls_stream *tls[]; /* one, where the transport is conn_tls */
};

struct net {
    struct loop *loop;
    const struct net_settings *settings;
    uint64_t count;          /* descriptors of connections */
    uint64_t room;           /* how many there may be, as others need descriptors too */
    struct conn *presenting; /* whose `received` is being called, or NULL */
    uint64_t charged;        /* units, to all connections */
    struct list listeners;
    struct list dirty;   /* conns with output to be sent, in this iteration if it has time */
    struct list resumed; /* inputs to be presented again, or whose connections are deferred */
    struct list closing; /* conns to be freed */
    struct loop_task flush;
    struct loop_task free;
    struct budget *budget;
    struct list waits[WAIT_SLOTS]; /* those that wait for themselves, by the time when they go on */
    size_t wait_slot;              /* the last one that is over */
    uint64_t wait_slot_ms;         /* when it was over */
    struct list waited;            /* usages of accounts that connections wait for */
    uint64_t waiting;              /* connections */
    struct loop_timer *wait_tick;  /* runs while there are any */
    struct log_limit wait_limit;
    struct list all_listeners; /* with those that were destroyed and have connections */
    uint64_t memory;           /* bytes that the process may use */
    uint64_t input_size;       /* bytes of unfinished input */
    size_t pieces_size;        /* bytes of arrays of output */
    bool is_crowded;           /* an address holds more than it may */
    struct loop_task shed;
    struct loop_timer *shed_timer;
    uint64_t shed_after_ms; /* not before */
    struct log_limit shed_limit;
    struct loop_timer *pause;
    bool defers;       /* connections that cause more than a little, as some were deferred before */
    uint64_t resuming; /* the iteration in which resumed ones were seen to last */
    uint64_t resuming_us; /* how long it may have lasted when no more of them are */
    uint64_t written;     /* bytes, by all connections so far */
    bool is_late;         /* the last flush has left some of the dirty ones to the next iteration */
    bool paused;          /* descriptors ran out */
    struct log_limit pause_limit;
    struct log_limit refused_limit;
    struct log_limit closed_limit;
    struct list spare; /* outputs without pieces */
    size_t spare_size;
    struct output *joined; /* the pieces that `join` holds the bytes of, or NULL */
    size_t joined_len;
    uint8_t buffer[NET_BUFFER_SIZE]; /* input being read */
    uint8_t join[NET_BUFFER_SIZE];   /* output being joined */
};

struct listener {
    struct net *net;
    struct list node; /* in net.listeners; unlinked once destroyed */
    struct list all;  /* in net.all_listeners */
    uint32_t references;
    const struct net_settings *settings;
    struct net_settings last_settings; /* of a destroyed one: numbers only */
    const struct listener_callbacks *callbacks;
    void *arg;
    char *where;
    struct socket_listening socket;
    struct loop_io *io;
    struct list adopted; /* sockets of other workers, from which it accepts, too */
    const struct conn_transport *transport;
    struct tls_context *tls; /* of conn_tls */
    struct loop_timer *tick; /* runs while there are connections */
    bool idle_on;            /* QUEUE_IDLE is in order */
    struct list queues[QUEUES];
};

/* net.c */
void net_pause_accepting(struct net *net, int error);
void net_resume_accepting(struct net *net);
/* Counts a refused connection and logs it, rate-limited. */
void net_refuse(struct net *net, const struct listener *listener, const struct address *peer,
                const char *reason, enum metric metric, const char *detail);

/* listener.c */
void listener_unref(struct listener *listener);
/* Whether it reads its sockets. */
void listener_set_accepting(struct listener *listener, bool accepts);
/* Whether the client may connect: asks admit and counts the connection in *account, which becomes
 * the connection's (NULL for unix sockets). False when it was refused, which has been logged. */
bool listener_admits(struct listener *listener, const struct address *peer,
                     struct budget_account **account) __attribute__((warn_unused_result));

/* queue.c: the time-outs of a listener's connections. */
void queue_init(struct listener *listener);
void queue_free(struct listener *listener);
/* Puts the connection at the end of the queue, from whichever it was in. */
void queue_conn(struct conn *conn, enum queue queue);
/* Has the listener's timer tick. */
void queue_keep_ticking(struct listener *listener);
/* Logs why the net closes a connection. */
void queue_log_closing(struct conn *conn, enum conn_close_reason reason);
/* The same for the output of a connection with a backlog: at first, and at each progress. */
void queue_output(struct conn *conn);

/* unfinished.c: how long messages take. */
/* Of a connection whose input is kept: begins, goes on or ends, as the connection needs it. */
struct unfinished *unfinished_update(struct conn *conn, struct unfinished *unfinished,
                                     bool has_input);
/* Lets the time run while the connection, which has input, is read from. */
void unfinished_watch(struct conn *conn);
void unfinished_destroy(struct unfinished **unfinished);
/* Closes those that take too long. */
void unfinished_end_late(struct listener *listener);

/* conn.c */
/* Closes with an answer, where the protocol has one and the peer takes it. */
void conn_expel(struct conn *conn, enum conn_close_reason reason);
struct conn *conn_create(struct listener *listener, int fd, const struct address *peer,
                         struct budget_account *account);
void conn_move(struct conn *conn, enum conn_state state);
/* Before CLOSED. */
static inline int conn_fd(const struct conn *conn)
{
    return loop_io_fd(conn->io);
}
/* Asks the loop for what state and flags need. */
void conn_watch(struct conn *conn);
/* The state after the PROXY header: the transport's handshake where it has one. */
enum conn_state conn_first_state(const struct listener *listener);
/* What conn.h's functions call instead of doing it themselves; NULL: no framing. */
static inline const struct conn_framing *conn_framing(const struct conn *conn)
{
    return conn->handler ? conn->handler->framing : NULL;
}
/* Whether the transport holds input. */
bool conn_has_pending(const struct conn *conn);
/* Whether the limits of an address apply to it: not on unix sockets, nor from net.shared_addresses.
 */
static inline bool conn_is_limited_by_address(const struct conn *conn)
{
    return conn->account && !(conn->flags & CONN_SHARED);
}
/* Calls `closed` and frees. */
void conn_free(struct conn *conn);
/* Before OPEN: refuses and closes it. */
void conn_refuse(struct conn *conn, const char *reason, enum metric metric, const char *detail);

/* conn_budget.c */
void net_budget_init(struct net *net);
void net_budget_free(struct net *net);
/* The account that the connection is counted in, and whether it is charged. */
void conn_open_account(struct conn *conn, struct budget_account *account);
void conn_close_account(struct conn *conn);
/* Before input is read or presented: whether its address has a budget for it and no other
 * connection of it has waited longer. Else it waits. */
bool conn_account_admits(struct conn *conn);
/* The same when input has arrived. False too when it is deferred, as this iteration has taken
 * long. */
bool conn_input_is_due(struct conn *conn);
/* Reads from it in a later iteration, behind those that were deferred before. */
void conn_defer_read(struct conn *conn);
/* What a resumed or deferred connection waits for. */
void conn_resume_input(struct conn *conn);
/* Ends the waiting of a connection that is closed. */
void conn_forget_wait(struct conn *conn);

/* conn_handshake.c: PROXY header and TLS handshake; call conn_move when each is done. */
void conn_read_proxy(struct conn *conn);
void conn_handshake(struct conn *conn);

/* memory.c: what connections hold. */
void memory_init(struct net *net);
void memory_free(struct net *net);
/* Closes those that hold most, soon, when it is too much. */
void memory_check(struct net *net);
/* The same, when the output of an iteration has been sent. */
void memory_flushed(struct net *net);
/* Counts waiting output: a change of its size. */
void conn_count_output(struct conn *conn, int64_t size);
/* It gets its account, or is about to lose it. */
void memory_enter_account(struct conn *conn);
void memory_leave_account(struct conn *conn);
/* It is freed. */
void memory_forget(struct conn *conn);

/* conn_input.c */
void conn_read(struct conn *conn);
/* Presents what was kept, and what TLS holds. */
void conn_present_again(struct conn *conn);
/* Reads and drops until the peer's end. */
void conn_read_linger(struct conn *conn);
/* Keeps a copy of the bytes as the unconsumed input. The bytes may lie in the input itself. */
void conn_keep_input(struct conn *conn, struct bytes rest);
void conn_drop_input(struct conn *conn);

/* conn_output.c */
void conn_drop_output(struct conn *conn);
/* Puts it among those that are flushed in this iteration. */
void conn_make_dirty(struct conn *conn);
void output_free_spare(struct net *net);

/* conn_write.c */
/* One of the dirty: it is flushed, unless it has a backlog, and not dirty any more. */
void conn_flush_dirty(struct conn *conn);
/* The same, and its backlog is sent, as its socket takes more. */
void conn_flush_next(struct conn *conn);
/* Drops the joined output's references. */
void output_forget_joined(struct net *net);

#endif
