/* recovery: see recovery_private.h. recovery_enter is the only place that changes the state. */
#include "map/recovery_private.h"

#include "base/list.h"
#include "base/random.h"
#include "loop/loop.h"
#include "map/map_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"

/* Restores after a new epoch begin within this time: all front-ends have the same to do. */
#define RESTORE_JITTER_MS 500

static void recovery_enter(struct recovery *recovery, enum recovery_state state,
                           uint64_t last_batch)
{
    recovery->state = state;
    recovery->last_batch = last_batch;
}

void recovery_begin_link(struct partition *partition)
{
    partition->recovery.restore_from_ms = 0;
    recovery_batch_returned(partition);
}

void recovery_begin_epoch(struct partition *partition)
{
    struct recovery *recovery = &partition->recovery;
    recovery->comparing = true;
    recovery->restore_from_ms = loop_now_ms(partition->map->loop) + random_below(RESTORE_JITTER_MS);
}

void recovery_start(struct partition *partition)
{
    bool is_needed = !list_is_empty(&partition->unconfirmed) || !list_is_empty(&partition->queue) ||
                     tombstones_are_due(partition);
    recovery_enter(&partition->recovery, is_needed ? RECOVERY_SENDING : RECOVERY_DONE, 0);
}

bool recovery_may_restore(const struct partition *partition, uint64_t now_ms)
{
    return now_ms >= partition->recovery.restore_from_ms;
}

/* What cannot be restored for now (owned_restore_later) is not waited for. */
static bool has_unsent(struct partition *partition, uint64_t now_ms)
{
    if (!recovery_may_restore(partition, now_ms) || !list_is_empty(&partition->queue) ||
        tombstones_are_due(partition)) {
        return true;
    }
    return owned_first_due(partition, now_ms) != NULL;
}

void recovery_note_sent(struct partition *partition)
{
    struct recovery *recovery = &partition->recovery;
    if (recovery->state != RECOVERY_SENDING || partition->state != PARTITION_READY ||
        has_unsent(partition, loop_now_ms(partition->map->loop))) {
        return;
    }
    recovery_enter(recovery, partition->batch_count > 0 ? RECOVERY_SENT : RECOVERY_DONE,
                   partition->batch_number);
}

void recovery_batch_judged(struct partition *partition, uint64_t number)
{
    struct recovery *recovery = &partition->recovery;
    if (recovery->state == RECOVERY_SENT && number >= recovery->last_batch) {
        recovery_enter(recovery, RECOVERY_DONE, 0);
    }
}

void recovery_batch_returned(struct partition *partition)
{
    struct recovery *recovery = &partition->recovery;
    if (recovery->state == RECOVERY_SENT) {
        recovery_enter(recovery, RECOVERY_SENDING, 0);
    }
}

void recovery_tick(struct partition *partition)
{
    if (owned_is_settled(partition)) {
        partition->recovery.comparing = false;
        partition->recovery.stalls = partition->map->stalls;
    }
}

bool recovery_is_done(const struct partition *partition)
{
    return partition->recovery.state == RECOVERY_DONE;
}

bool recovery_is_comparing(const struct partition *partition)
{
    return partition->recovery.comparing;
}

bool recovery_may_create(const struct partition *partition)
{
    const struct recovery *recovery = &partition->recovery;
    return recovery->comparing && recovery->stalls == partition->map->stalls;
}
