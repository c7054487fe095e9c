/*
 * owned_audit: ids in this front-end's index that no session of it owns become orphans, so that
 * their clients, or the front-ends that have them now, can take them over. It waits for nothing, as
 * others' restores wait for it. An entry that a session comes to own in the meantime is left out
 * when the batch is built, or restored after the orphan's result. Replies arrive in the order of
 * the requests, so every entry that was owned when the index was read is known to be.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"

struct audit {
    struct partition *partition;
    unsigned epochs;
};

static void audit_scan(struct audit *audit, struct bytes cursor);

static void audit_id(struct partition *partition, struct bytes id)
{
    if (id.len > UINT8_MAX || owned_find(partition, id)) {
        return;
    }
    op_enqueue_urgent(op_create(partition, OP_ORPHAN, id));
}

static void on_audited(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct audit *audit = arg;
    struct partition *partition = audit->partition;
    bool usable = status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2 &&
                  reply->elements[1]->type == REDIS_ARRAY;
    if (!usable || partition->state != PARTITION_READY || partition->epochs != audit->epochs) {
        free(audit);
        return;
    }
    const struct redis_reply *pairs = reply->elements[1];
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        audit_id(partition, pairs->elements[i]->text);
    }
    struct bytes cursor = reply->elements[0]->text;
    if (bytes_equal(cursor, BYTES_LITERAL("0"))) {
        free(audit);
    } else {
        audit_scan(audit, cursor);
    }
}

static void audit_scan(struct audit *audit, struct bytes cursor)
{
    struct partition *partition = audit->partition;
    struct bytes args[] = {BYTES_LITERAL("HSCAN"), bytes_from_string(partition->key_mine), cursor,
                           BYTES_LITERAL("COUNT"), BYTES_LITERAL("500")};
    redis_command(partition->map->link, on_audited, audit, 5, args);
}

void owned_audit(struct partition *partition)
{
    struct audit *audit = mem_zalloc(1, sizeof *audit);
    audit->partition = partition;
    audit->epochs = partition->epochs;
    audit_scan(audit, BYTES_LITERAL("0"));
}
