/*
 * fsck: checks in a running system that the contents of Redis follow the rules of the map
 * (docs/invariants.md), and repairs what does not.
 *
 * A script judges each entry, so never between two writes. What front-ends repair by themselves
 * within a sweep (such as the entries of one that has crashed) is no finding: a suspected name is
 * judged again after confirm_ms, and reported if it still breaks the same rule.
 *
 * A repaired entry without an owner becomes an orphan with a deadline, so that its client may adopt
 * it again; every change is published. Only an entry without a hash is closed at once.
 */
#ifndef INSPECT_FSCK_H
#define INSPECT_FSCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "inspect/reader.h"

#define FSCK_CONFIRM_MS 1500 /* one sweep of a front-end, and its jitter */

enum fsck_rule {
    FSCK_TYPE,        /* client:<id> is not a hash */
    FSCK_TTL,         /* it has no time to live */
    FSCK_SESSION,     /* its session is not 32 hex digits */
    FSCK_VERSION,     /* its version is not a decimal number of 63 bits */
    FSCK_NODE,        /* it has no field node */
    FSCK_LISTED,      /* a node: hash lists it that is not its front-end's */
    FSCK_UNLISTED,    /* its front-end's node: hash does not list it */
    FSCK_ABANDONED,   /* its front-end has no lease */
    FSCK_UNDUE,       /* it has a front-end and a deadline */
    FSCK_NO_DEADLINE, /* it has neither */
    FSCK_MISSING,     /* a node: hash lists an id that has no entry */
    FSCK_NO_ENTRY,    /* an id has a deadline and no entry */
    FSCK_USER,        /* its front-end's node: hash names another user than it */
    FSCK_NO_DEVICE,   /* its user's hash does not have it */
    FSCK_USER_TYPE,   /* user:<user> is not a hash */
    FSCK_DEVICE,      /* a user's hash has a device that is not the user's, or has another status */
    FSCK_STATUS,      /* a user's status does not follow from the devices */
    FSCK_USER_DEADLINE,    /* a user has devices and a deadline, or neither */
    FSCK_ROOM_TYPE,        /* room:<name> is not a hash */
    FSCK_MEMBER,           /* a member of a room is malformed: its front-end and user are missing */
    FSCK_MEMBER_ABANDONED, /* the front-end of a room's member has no lease */
    FSCK_MEMBER_UNLISTED,  /* its front-end's members: hash does not list it */
    FSCK_MEMBER_MISSING,   /* a members: hash lists a client that is not a member, or another
                              front-end's */
    FSCK_ROOM_COUNT,       /* a room's numbers are not those of its members */
    FSCK_ROOM_OPEN,        /* open_rooms has not the room's birth, or a name without a room */
    FSCK_COUNT,            /* head's `entries` is not their number */
    FSCK_INVITERS,         /* inviters has other numbers than those of the invitations */
    FSCK_HEAD,             /* there are entries, and head has no epoch */
    FSCK_PARTITIONS,       /* head was written for another number of partitions */
    FSCK_RULES
};
/* The name of a rule, and a description of an entry (or a partition) that breaks it. */
const char *fsck_rule_name(enum fsck_rule rule);
const char *fsck_rule_help(enum fsck_rule rule);

struct fsck_finding {
    enum fsck_rule rule;
    uint32_t partition;
    /* Of an entry or a user; the name of a room; "<id> <room>" with MEMBER_MISSING; empty with
     * COUNT, HEAD and PARTITIONS. */
    struct bytes id;
    const char *node;         /* the front-end concerned, or NULL */
    uint64_t stored, counted; /* COUNT: entries. PARTITIONS: head's number and ours */
    bool repaired;
};

struct fsck_options {
    struct reader_space space;
    uint64_t confirm_ms; /* FSCK_CONFIRM_MS */
    bool repair;
    int64_t ttl; /* client.ttl and client.grace for repaired entries, ms */
    int64_t grace;
    int64_t offline_delay; /* presence.offline_delay, ms */
};

struct fsck_report {
    uint32_t partitions;
    uint64_t entries;   /* client: hashes */
    uint64_t listed;    /* ids in node: hashes */
    uint64_t deadlines; /* of entries */
    uint64_t users;     /* that anything refers to */
    uint64_t rooms;
    uint64_t suspects; /* entries, users, rooms and partitions that were judged again */
    uint64_t repaired;
    uint32_t unattended; /* partitions with entries in which no front-end has a lease */
    uint32_t recovering; /* partitions in their recovery grace: no front-end counts as crashed */
    struct fsck_finding *findings;
    size_t count;
    struct fsck *owner; /* of the memory that findings point to */
};

/* Fills the report, which the caller frees in any case. False if the check failed: the reader has
 * the problem. */
bool fsck_run(struct reader *reader, const struct fsck_options *options, struct fsck_report *report)
    __attribute__((warn_unused_result));
void fsck_report_free(struct fsck_report *report);

#endif
