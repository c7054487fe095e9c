/*
 * session: one connection's entries in the map, and the only way to write them.
 *
 * A session has a fence, a random 128-bit number. It is stored in every entry that the session
 * owns, and says who may write it. The `done` of each operation is called exactly once, in the
 * order of the session's calls, unless the session ends first: then none is called any more.
 * Operations of one event-loop iteration are sent together.
 *
 * While Redis is unreachable the newest state of each entry is kept, and restored when it is
 * reachable again. The caller of an operation that was not judged within redis.deadline gets
 * MAP_DEADLINE.
 */
#ifndef MAP_SESSION_H
#define MAP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/map.h"
#include "map/packet.h"
#include "schema/fields.h"
#include "schema/status.h"

struct budget_account; /* budget/budget.h */
struct map_session;

enum map_result {
    MAP_OK,
    MAP_STALE,   /* the version is not newer than the stored one */
    MAP_OWNED,   /* a live connection of another client owns the id, or adoption is off */
    MAP_TAKEN,   /* the new id is the name of an online user, or the user's name is an entry's id */
    MAP_MISSING, /* close: there is no such entry */
    MAP_LIMIT,   /* the space or the session has as many entries as allowed */
    MAP_FULL,    /* Redis's memory is nearly full, and something new was to be stored */
    MAP_DEADLINE, /* Redis did not answer in time: what happened is unknown, the state is kept */
    MAP_REFUSED   /* Redis refuses writes (read-only, out of memory, ...), or the key's type */
};
const char *map_result_name(enum map_result result);

/* Why the map ends a session's connection. */
enum map_end {
    MAP_END_SILENT, /* no traffic received for client.ttl */
    MAP_END_KICKED, /* by an operator */
    /* Its entry is taken over by another connection: it was resumed there, its user logged in
     * again, or its client presented the entry's certificate. Its entries are left, not closed. */
    MAP_END_DROPPED,
    MAP_END_TAKEN /* another live session owns one of its ids. Its other entries are left */
};

struct map_sink {
    /* For how long no traffic of the peer has been received, ms. */
    uint64_t (*idle_ms)(void *arg);
    /* Closes the connection, which ends the session (map_session_end) as always. */
    void (*end)(void *arg, enum map_end why);
    /* Whether the peer has ended the connection, even if that has not been read yet. NULL: it has
     * not. */
    bool (*is_gone)(void *arg);
    /* A packet for this session's entry (relay/relay.h); false, or NULL: this protocol accepts
     * none. */
    bool (*relayed)(void *arg, struct map_packet *packet);
};

typedef void (*map_done)(void *arg, enum map_result result, uint64_t version);

/* Who may adopt an entry that waits for its client. TLS: anybody, as with ANY; and a client with
 * the entry's certificate also takes it over from a live connection, which ends (MAP_END_DROPPED).
 */
enum map_adopt { MAP_ADOPT_ANY, MAP_ADOPT_SAME_ADDRESS, MAP_ADOPT_OFF, MAP_ADOPT_TLS };

/* protocol: static text. address: "203.0.113.7:23460", copied. */
struct map_session *map_session_create(struct map_space *space, const char *protocol,
                                       const char *address, const struct map_sink *sink, void *arg);
/* What waits for the session counts in the account, which may have its share of that: at most once,
 * before anything is asked of it. NULL: in none. */
void map_session_count_in(struct map_session *session, struct budget_account *account);
/* The SHA-256 of its client's certificate, at most 64 hex digits, copied. It is stored in the
 * entries with a state that the session opens or adopts from now on, and MAP_ADOPT_TLS compares it.
 */
void map_session_set_certificate(struct map_session *session, const char *certificate);
/* The connection has ended. leave: its entries wait for their client to return (client.grace); else
 * they are closed at once. */
void map_session_end(struct map_session **session, bool leave);

/* From now on the ids that it makes are UUIDs, instead of 7 characters. */
void map_session_make_uuids(struct map_session *session);
/* Opens an entry of version 0 with a new random id (7 characters), which done gets from
 * map_session_opened_id during the call. */
void map_session_open(struct map_session *session, struct bytes state, map_done done, void *arg);
struct bytes map_session_opened_id(const struct map_session *session);

/*
 * Entries made of fields. Instead of a state such an entry has fields that its protocol chooses
 * (docs/redis-keys.md): "p:<name>" for properties and, when it is a device of a user, "user" and
 * "status". This front-end's copy is authoritative: map_session_set changes it at once, and Redis
 * as soon as possible, with all changes since. The map itself counts the versions.
 */
struct map_open {
    struct bytes id;   /* empty: a new one of 7 characters, in the user's partition */
    struct bytes user; /* whose device it is; empty: no device. With a user, id must be empty */
    enum map_status status; /* of the device; only with a user */
    bool alone;             /* MAP_OWNED when the user already has another device */
    struct bytes resume;    /* what map_session_resume must be given, as it is stored (a hash);
                               empty: the entry cannot be resumed */
    const struct map_field *fields;
    size_t field_count;
};
/* All is copied. An id that is in use: MAP_OWNED. done gets the id from map_session_opened_id. */
void map_session_open_fields(struct map_session *session, const struct map_open *open,
                             map_done done, void *arg);
/* Takes over an entry that was left, with all its fields, if it was opened with this `resume`.
 * While another connection still has it, that one is dropped first. MAP_OK: the session owns it
 * now. MAP_MISSING: there is no such entry, or its `resume` is another one. */
void map_session_resume(struct map_session *session, struct bytes id, struct bytes resume,
                        map_done done, void *arg);
/* Changes fields of an entry that the session owns and that was opened with fields; false when it
 * is not. Deleting what is not there is no change. */
bool map_session_set(struct map_session *session, struct bytes id, const struct map_field *changes,
                     size_t count);
/* The same for the device's status, from which that of the user follows. */
bool map_session_set_status(struct map_session *session, struct bytes id, enum map_status status);
/* The fields of such an entry, encoded as an event's body (schema/event.h: event_field), with all
 * changes so far; empty when the session does not own it. Valid until the session is used again. */
struct bytes map_session_fields(const struct map_session *session, struct bytes id);

/* What an update's version means. */
enum map_version_kind {
    MAP_VERSION_ABSOLUTE, /* stored when greater than the stored one */
    MAP_VERSION_LOW_BYTE, /* the low byte of it, newer by RFC 1982 */
    MAP_VERSION_NEXT      /* the stored one plus 1; of an owned entry, plus 1 and plus version */
};
struct map_update {
    struct bytes id;
    struct bytes state;
    enum map_version_kind kind;
    uint64_t version; /* at most INT64_MAX */
    enum map_adopt adopt;
};
/* Updates, adopts or creates the entry (protocol-tracker.md). done gets the whole version. */
void map_session_update(struct map_session *session, const struct map_update *update, map_done done,
                        void *arg);
void map_session_close_entry(struct map_session *session, struct bytes id, enum map_adopt adopt,
                             map_done done, void *arg);

/* Whether the session owns an entry with this id, confirmed or under way. */
bool map_session_owns(const struct map_session *session, struct bytes id);
size_t map_session_count(const struct map_session *session);   /* entries owned */
size_t map_session_pending(const struct map_session *session); /* operations not yet done */
struct map_space *map_session_space(const struct map_session *session);
/* Asks the session's sink to end the connection; its entries are closed, not left. False when
 * this front-end does not own the id. */
bool map_kick(struct map_space *space, struct bytes id);

#endif
