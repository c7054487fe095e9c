/*
 * tracker_private: what the files of the Tracker protocol share.
 *
 *   tracker.c a session's life, and the operation of the map for each message
 *   reply.c   outstanding answers, and their bytes
 *   rate.c    writes over a rate
 *   get.c     the map as text
 *   push.c    which readers get which pushes, and when
 *   encode.c  the bytes of pushes
 */
#ifndef PROTOCOL_TRACKER_TRACKER_PRIVATE_H
#define PROTOCOL_TRACKER_TRACKER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/log.h"
#include "budget/bucket.h"
#include "codec/tracker.h"
#include "loop/loop.h"
#include "map/session.h"
#include "protocol/session/session.h"
#include "protocol/tracker/tracker.h"
#include "protocol/translate/translate.h"
#include "view/follower.h"
#include "view/view.h"

struct tracker_session;

/* A packet of an iteration's pushes, which the session that wrote it does not get. */
struct own_packet {
    const struct map_session *owner;
    size_t offset;
    size_t len;
};

/* What one event-loop iteration brought, encoded once for all readers. */
struct tracker_iteration {
    struct frame *frame;      /* NULL: nothing that fits a packet */
    struct own_packet *owned; /* of this front-end's sessions, by owner, then by offset */
    size_t owned_count, owned_capacity;
    size_t packets;
};

/* A space's subscribers: the sessions that get pushes of its changes. The view is watched while
 * there is one, or a Get waits. */
struct tracker_subscribers {
    struct list link; /* the service's */
    struct tracker_service *service;
    struct map_space *space;
    struct map_watcher watcher; /* view NULL: not watching */
    struct follower_list followers;
    size_t reads;                  /* Gets that wait */
    uint32_t closes;               /* counts iterations that brought closes */
    uint64_t maps;                 /* counts whole maps sent; its low byte is their version */
    struct loop_task check_closes; /* whole maps for those that have not seen all closes */
    struct loop_timer *later;      /* the same, for those that got one a short time ago */
    bool refused;                  /* the space is too large to be sent */
    struct frame *all;             /* the last small map, with its generation and version */
    uint64_t all_generation;
    uint8_t all_version;
    struct frame *texts[2]; /* the last answers to Get: PLAIN; WIDE and 2014 */
    uint64_t texts_generation[2];
    struct tracker_iteration iteration;
    struct writer scratch;
    struct writer translated; /* an entry of another protocol, as a state */
    struct log_limit refused_limit;
};

struct tracker_service {
    struct protocol_service common;
    struct list subscriber_lists;
    struct list throttled; /* struct pending */
    struct loop_timer *rate_timer;
    struct log_limit malformed_limit;
    struct log_limit dropped_limit;
    struct log_limit refused_limit;
};

struct tracker_port {
    struct tracker_service *service;
    struct tracker_subscribers *subscribers;
    struct map_space *space;
    const struct tracker_settings *settings;
};

/* What a request that is not answered yet will be answered with. */
enum reply_kind {
    REPLY_OPEN,        /* the id, or 01 */
    REPLY_OPEN_AGAIN,  /* Open without ids, of a connection that has an entry: 01 */
    REPLY_OPEN_SILENT, /* Update without ids, of a connection that has none: nothing */
    REPLY_UPDATE,      /* 01 or 00 */
    REPLY_SILENT,      /* an Update that has no answer */
    REPLY_CLOSE,       /* 01 or 00 */
    REPLY_YES,         /* 01, whatever the result */
    REPLY_NO,          /* 00, likewise */
    REPLY_GET          /* the map's text */
};

/* The newest of the Updates that are over a rate and have no reply. */
struct held {
    uint64_t skipped; /* Updates that it superseded */
    size_t len;
    uint8_t state[];
};

/* What is outstanding; exists only while something is. */
struct pending {
    struct tracker_session *session;
    struct list throttled; /* the service's */
    struct held *held;     /* NULL: nothing. Only while throttled */
    struct map_read *read; /* of the Get that is the first */
    uint16_t first, count, capacity;
    uint8_t kinds[]; /* enum reply_kind, a ring */
};

/* Why no request is read. */
enum stop_reason {
    STOP_FULL = 1,      /* tracker.pipeline answers are outstanding */
    STOP_BARRIER = 2,   /* the next request needs the outcome of the last */
    STOP_THROTTLED = 4, /* over a rate */
    STOP_ENDING = 8     /* the session is ending */
};

/* The place of a follower that catches up. */
struct push_place {
    struct map_cursor cursor;
    size_t left; /* entries until the whole map has been sent; 0: changes from now on */
    bool began;  /* a packet of the whole map has been sent */
};

enum tracker_state {
    TRACKER_SERVING, /* requests are read and answered */
    TRACKER_ENDING,  /* no more are read; outstanding ones are answered */
    TRACKER_ENDED    /* it has left the map and the service; its connection is being closed */
};

struct tracker_session {
    struct list link;         /* the service's */
    struct follower follower; /* of the subscribers; its place: struct push_place */
    struct tracker_port *port;
    struct conn *conn;
    struct map_session *map; /* NULL before the first write, and after the end */
    struct pending *pending; /* NULL: nothing */
    struct bucket bucket;
    uint32_t closes_seen;  /* the subscribers' closes when the last whole map was begun */
    uint32_t whole_map_ms; /* when that was */
    char *id;              /* dialects without ids: of its entry; NULL without one */
    uint8_t dialect;       /* enum tracker_dialect */
    uint8_t stops;         /* enum stop_reason */
    uint8_t state;         /* enum tracker_state */
    uint8_t end;           /* from ENDING on: enum conn_close_reason */
    uint16_t owed;         /* for acknowledgements, in 1/1024 of a unit of the budget */
    uint8_t map_version;   /* of the last whole map */
    bool has_map_version : 1;
    bool is_lone_close : 1; /* its input is a Close if nothing more follows */
    bool no_user : 1;       /* it may not write ids that have the form of a user's */
};

/* tracker.c */
/* Empty: it has no entry. */
void tracker_set_id(struct tracker_session *session, struct bytes id);
bool tracker_has_ids(const struct tracker_session *session);
void tracker_stop_reading(struct tracker_session *session, enum stop_reason reason);
void tracker_resume_reading(struct tracker_session *session, enum stop_reason reason);
/* Reads no more; closes the connection when all that is outstanding has been answered. */
void tracker_end_session(struct tracker_session *session, enum conn_close_reason why);
/* Continues tracker_end_session: after each answer. */
void tracker_check_end(struct tracker_session *session);
uint64_t tracker_now_ms(const struct tracker_session *session);

/* reply.c */
struct pending *pending_of(struct tracker_session *session);
/* Frees it when nothing needs it any more. */
void pending_release(struct tracker_session *session);
size_t reply_count(const struct tracker_session *session);
/* One more answer is owed. Called before the operation is begun, which may answer at once. */
void reply_expect(struct tracker_session *session, enum reply_kind kind);
/* A map_done: the result of the first outstanding request. */
void reply_judged(void *session, enum map_result result, uint64_t version);
/* The first one, a Get, has been sent. */
void reply_sent(struct tracker_session *session);

/* Updates the entry of a session of a dialect without ids; skipped: how many Updates before this
 * one were not written, and count in its version. */
void tracker_write_entry(struct tracker_session *session, struct bytes state, uint64_t skipped,
                         enum reply_kind kind);

/* rate.c */
/* What happens to a message that writes. */
enum rate_verdict {
    RATE_GO,   /* it is admitted */
    RATE_HELD, /* accepted, and written later, unless a newer one supersedes it */
    RATE_WAIT  /* it is left unread, and reading has stopped */
};
enum rate_verdict rate_judge(struct tracker_session *session,
                             const struct tracker_message *message);
/* A client's replies to pushes, read without a message: of the budget, not of a rate. */
void rate_charge_acknowledgements(struct tracker_session *session, size_t len);
/* The session ends: what is held is written now. */
void rate_flush(struct tracker_session *session);
void rate_init(struct tracker_service *service);
void rate_free(struct tracker_service *service);

/* get.c */
/* The Get is the first outstanding answer. */
void get_start(struct tracker_session *session);
void get_cancel(struct tracker_session *session);
void get_forget_texts(struct tracker_subscribers *subscribers);

/* push.c */
struct tracker_subscribers *tracker_subscribers_of(struct tracker_service *service,
                                                   struct map_space *space);
void tracker_subscribers_free(struct tracker_subscribers *subscribers);
/* The space's view; NULL when it is too large to be sent, which has been logged. */
struct map_view *tracker_subscribers_watch(struct tracker_subscribers *subscribers);
/* Releases the view when it is no longer needed. */
void tracker_subscribers_release(struct tracker_subscribers *subscribers);
/* A write was accepted: whole is set for an Open, after which the whole map is sent each time. */
void push_begin(struct tracker_session *session, bool whole);
void push_end(struct tracker_session *session);
void push_drained(struct tracker_session *session);

/* encode.c */
/* Replaces what the iteration held. translated, here and below: for the states of other protocols'
 * entries (protocol/translate/translate.h). */
void iteration_encode(struct tracker_iteration *iteration, struct writer *scratch,
                      struct writer *translated, struct map_entry *const *changed, size_t count);
void iteration_free(struct tracker_iteration *iteration);
/* Adds a packet of that owner; they are in order after iteration_sort. owner may be NULL. */
void iteration_add(struct tracker_iteration *iteration, struct writer *scratch,
                   const struct map_session *owner, uint8_t version, struct bytes id,
                   struct bytes state);
void iteration_sort(struct tracker_iteration *iteration);
/* Calls send for each range of the frame that is not the reader's own; returns the packets. */
size_t iteration_ranges(const struct tracker_iteration *iteration, const struct map_session *reader,
                        void (*send)(void *arg, size_t offset, size_t len), void *arg);
/* The view's entries as Update alls. */
void encode_all(struct writer *to, struct writer *translated, struct map_view *view,
                uint8_t version);
/* At most limit bytes (and a packet) of what follows the place; true at the end of the list. */
bool encode_push_chunk(struct writer *to, struct writer *translated, struct push_place *place,
                       const struct map_session *reader, uint8_t version, size_t limit);

#endif
