/* fsck_private: what the files of fsck share. */
#ifndef INSPECT_FSCK_PRIVATE_H
#define INSPECT_FSCK_PRIVATE_H

#include "base/hash.h"
#include "base/ids.h"
#include "inspect/fsck.h"

enum fsck_pass {
    FSCK_LOOK,  /* everything */
    FSCK_AGAIN, /* what looked wrong */
    FSCK_MEND   /* what is wrong */
};

/* What is judged, in this order: users before the entries that will be put into their hashes. */
enum fsck_kind {
    FSCK_USERS,
    FSCK_ENTRIES,
    FSCK_ROOMS,
    FSCK_LISTINGS, /* "<node> <id> <room>": that members:<node> has "<id> <room>" */
    FSCK_KINDS
};

/* A name that something speaks of. */
struct fsck_id {
    UT_hash_handle hh; /* its partition's, of its kind */
    struct fsck_partition *partition;
    enum fsck_kind kind;
    uint32_t suspected; /* rules, as bits: found by the first look */
    uint32_t confirmed; /* by the second too */
    uint32_t mended;
    bool again; /* it was not judged, as a front-end had come */
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

/* What recount says of a partition. */
struct fsck_count {
    bool done;
    bool has_epoch;
    uint64_t counted, stored, partitions, now, hold_until, leases;
};

struct fsck_partition {
    struct fsck *fsck;
    uint32_t index;
    char *prefix, *head, *nodes_key, *deadlines, *registered, *events;
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
    struct fsck_id **work; /* what the pass judges */
    size_t work_count;
    struct fsck_id **about; /* of each finding: its id, or NULL */
    size_t finding_capacity;
    char session[ID_FENCE_LENGTH + 1]; /* for entries that have none */
};

/* fsck_gather.c: all ids and front-ends. */
bool fsck_gather(struct fsck *fsck);
/* Reads which front-ends there are now; earlier ones stay known. */
bool fsck_gather_nodes(struct fsck *fsck);

/* fsck_judge.c: one pass over the work, and over the counts of the partitions. */
bool fsck_judge(struct fsck *fsck);
bool fsck_recount(struct fsck *fsck, bool mend);

/* fsck.c */
/* about: the id that it is about, or NULL. */
void fsck_add_finding(struct fsck *fsck, const struct fsck_finding *finding, struct fsck_id *about);
bool fsck_rule_parse(struct bytes name, enum fsck_rule *rule);

#endif
