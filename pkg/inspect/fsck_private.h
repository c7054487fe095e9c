/* fsck_private: what the files of fsck share. */
#ifndef INSPECT_FSCK_PRIVATE_H
#define INSPECT_FSCK_PRIVATE_H

#include "base/hash.h"
#include "base/ids.h"
#include "inspect/fsck.h"

enum fsck_pass {
    FSCK_FIND,    /* judges everything */
    FSCK_CONFIRM, /* judges again what was suspected */
    FSCK_REPAIR   /* repairs what was confirmed */
};

/* The order of judging: users before the entries, whose repair adds them to their users' hashes. */
enum fsck_kind {
    FSCK_USERS,
    FSCK_ENTRIES,
    FSCK_ROOMS,
    FSCK_LISTINGS, /* "<node> <id> <room>": that members:<node> has "<id> <room>" */
    FSCK_KINDS
};

/* A name that something in Redis refers to. */
struct fsck_id {
    UT_hash_handle hh; /* its partition's, of its kind */
    struct fsck_partition *partition;
    enum fsck_kind kind;
    uint32_t suspected; /* rules, as bits: broken in the first pass */
    uint32_t confirmed; /* in the second pass, too */
    uint32_t repaired;
    bool is_unjudged; /* the script refused: a front-end has registered */
    uint32_t len;
    uint8_t text[];
};

struct fsck_node {
    UT_hash_handle hh;
    char *key; /* of its hash */
    char *members_key;
    size_t len;
    char name[];
};

/* The result of recount for a partition. */
struct fsck_count {
    bool done;
    bool has_epoch;
    bool has_wrong_invitations;
    uint64_t counted, stored, partitions, now, recovery_until, leases;
};

struct fsck_partition {
    struct fsck *fsck;
    uint32_t index;
    char *prefix, *head, *nodes_key, *deadlines, *registered, *open_rooms, *events;
    struct fsck_id *ids[FSCK_KINDS];
    struct fsck_node *nodes;
    struct fsck_count count;
    uint32_t suspected; /* rules */
};

struct fsck {
    struct reader *reader;
    const struct fsck_options *options;
    struct fsck_report *report;
    enum fsck_pass pass;
    struct fsck_partition *partitions;
    struct fsck_id **work; /* the names that the pass judges */
    size_t work_count;
    struct fsck_id **about; /* the id of each finding, or NULL */
    size_t finding_capacity;
    char session[ID_FENCE_LENGTH + 1]; /* for entries without one */
};

/* fsck_gather.c: all ids and front-ends. */
bool fsck_gather(struct fsck *fsck);
/* Adds the front-ends that have registered since. */
bool fsck_gather_nodes(struct fsck *fsck);

/* fsck_judge.c: one pass over the work, and over the counts of the partitions. */
bool fsck_judge(struct fsck *fsck);
bool fsck_recount(struct fsck *fsck, bool repair);

/* fsck.c */
/* about: the id concerned, or NULL. */
void fsck_add_finding(struct fsck *fsck, const struct fsck_finding *finding, struct fsck_id *about);
bool fsck_rule_parse(struct bytes name, enum fsck_rule *rule);

#endif
