/*
 * fsck: looks whether what is in Redis keeps the rules of the map (docs/invariants.md), in a
 * system that runs, and mends what does not.
 *
 * Each entry is judged by a script, so never between two writes. What a front-end puts right by
 * itself within a sweep (the entries of one that has just died) is no finding: whatever looks
 * wrong is looked at again after settle_ms, and reported when it is still wrong in the same way.
 *
 * A mended entry that nobody owns becomes an orphan with a deadline, so that its client may come
 * back; every change is told to the views. Only what has no hash is closed outright.
 */
#ifndef INSPECT_FSCK_H
#define INSPECT_FSCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "inspect/reader.h"

#define FSCK_SETTLE_MS 1500 /* one sweep of a front-end, and its jitter */

enum fsck_rule {
    FSCK_TYPE,             /* client:<id> is not a hash */
    FSCK_TTL,              /* it has no time to live */
    FSCK_SESSION,          /* its session is not 32 hex digits */
    FSCK_VERSION,          /* its version is not a decimal number of 63 bits */
    FSCK_NODE,             /* it has no field node */
    FSCK_LISTED,           /* a node: hash lists it that is not its front-end's */
    FSCK_UNLISTED,         /* its front-end's node: hash does not list it */
    FSCK_ABANDONED,        /* its front-end has no lease */
    FSCK_UNDUE,            /* it has a front-end and a deadline */
    FSCK_NO_DEADLINE,      /* it has neither */
    FSCK_MISSING,          /* a node: hash lists an id that has no entry */
    FSCK_NO_ENTRY,         /* an id has a deadline and no entry */
    FSCK_USER,             /* its front-end's node: hash names another user than it */
    FSCK_NO_DEVICE,        /* its user's hash does not have it */
    FSCK_USER_TYPE,        /* user:<user> is not a hash */
    FSCK_DEVICE,           /* a user's hash has what is no device of the user, or not as it is */
    FSCK_STATUS,           /* a user's status does not follow from the devices */
    FSCK_HOLD,             /* a user has devices and a deadline, or neither */
    FSCK_ROOM_TYPE,        /* room:<name> is not a hash */
    FSCK_MEMBER,           /* a room has a member of whom it does not say whose it is */
    FSCK_MEMBER_ABANDONED, /* a room's member is of a front-end without a lease */
    FSCK_MEMBER_UNLISTED,  /* its front-end's members: hash does not list it */
    FSCK_MEMBER_MISSING,   /* a members: hash lists who is no member, or not of that front-end */
    FSCK_ROOM_COUNT,       /* a room's numbers are not those of its members */
    FSCK_COUNT,            /* head's `entries` is not their number */
    FSCK_HEAD,             /* there are entries, and head has no epoch */
    FSCK_PARTITIONS,       /* head was written for another number of partitions */
    FSCK_RULES
};
/* A word for scripts, and what it says of an entry (or of a partition) for humans. */
const char *fsck_rule_name(enum fsck_rule rule);
const char *fsck_rule_help(enum fsck_rule rule);

struct fsck_finding {
    enum fsck_rule rule;
    uint32_t partition;
    /* An entry's, or a user's, or the name of a room, or "<id> <room>" of MEMBER_MISSING; empty for
     * COUNT, HEAD and PARTITIONS. */
    struct bytes id;
    const char *node;         /* the front-end concerned, or NULL */
    uint64_t stored, counted; /* COUNT: entries. PARTITIONS: head's number and ours */
    bool mended;
};

struct fsck_options {
    struct reader_space space;
    uint64_t settle_ms; /* FSCK_SETTLE_MS */
    bool repair;
    int64_t ttl; /* client.ttl and client.grace of entries that are mended, ms */
    int64_t grace;
    int64_t hold; /* presence.offline_delay, of users, ms */
};

struct fsck_report {
    uint32_t partitions;
    uint64_t entries;   /* client: hashes */
    uint64_t listed;    /* ids in node: hashes */
    uint64_t deadlines; /* of entries */
    uint64_t users;     /* of whom anything speaks */
    uint64_t rooms;
    uint64_t suspects; /* what was looked at again: entries, users, rooms and partitions */
    uint64_t mended;
    uint32_t unattended; /* partitions with entries in which no front-end has a lease */
    uint32_t holding;    /* partitions in which nobody is taken for dead at the moment */
    struct fsck_finding *findings;
    size_t count;
    struct fsck *owner; /* of what findings borrow */
};

/* Fills the report, which the caller frees in any case. False when it could not be done: see the
 * reader. */
bool fsck_run(struct reader *reader, const struct fsck_options *options, struct fsck_report *report)
    __attribute__((warn_unused_result));
void fsck_report_free(struct fsck_report *report);

#endif
