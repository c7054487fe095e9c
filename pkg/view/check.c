/*
 * check: whether a part's copy is still what Redis has, and when its snapshot is read again.
 *
 * Reading the epoch and the revision (the head) is cheap, and shows whether a message with another
 * epoch belongs to a new epoch or to none, and whether anything changed while the subscription was
 * lost. The snapshot is read again only if changes are certain to be missing. Whatever arrives, the
 * head and the snapshot are each read at most once in view.snapshot_interval; and where all
 * front-ends have to read theirs, their reads are spread over that time.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "metrics/metrics.h"
#include "view/view_private.h"

/* The delay after a failed load, unless the interval asks for more. */
#define RETRY_MS 200

/* A read of the head under way. */
struct head_check {
    struct view_part *part; /* NULL: cancelled */
};

static uint64_t part_snapshot_interval(const struct view_part *part)
{
    return (uint64_t)part->view->source.settings->snapshot_interval;
}

/* How long to wait, at least delay_ms, so that an interval has passed since last_ms. */
static uint64_t wait_since(const struct view_part *part, uint64_t last_ms, uint64_t delay_ms)
{
    uint64_t now = loop_now_ms(part->view->source.loop),
             due = last_ms + part_snapshot_interval(part);
    uint64_t left = last_ms != 0 && due > now ? due - now : 0;
    return left > delay_ms ? left : delay_ms;
}

static void reread_after(struct view_part *part, uint64_t delay_ms, const char *why)
{
    uint64_t wait = wait_since(part, part->loaded_ms, delay_ms);
    if (part_is_loading(part)) {
        part->next = PART_NEXT_RELOAD;
        part->next_why = why;
        metrics_add(METRIC_SNAPSHOTS_DEFERRED, 1);
    } else if (wait == 0) {
        load_start(part, why);
    } else {
        part_enter(part, part_was_complete(part) ? PART_STALE : PART_EMPTY);
        metrics_add(METRIC_SNAPSHOTS_DEFERRED, 1);
        if (!loop_timer_is_running(part->retry_timer)) {
            loop_timer_start(part->retry_timer, wait);
        }
    }
}

void part_reread(struct view_part *part, const char *why)
{
    reread_after(part, 0, why);
}

void part_load_failed(struct view_part *part)
{
    if (part_is_loading(part)) {
        part_enter(part, part_was_complete(part) ? PART_STALE : PART_EMPTY);
    }
    loop_timer_start(part->retry_timer, wait_since(part, part->loaded_ms, RETRY_MS));
}

/* All other front-ends have the same reason at this moment. */
static void reread_spread(struct view_part *part, uint64_t least_ms, uint64_t most_ms,
                          const char *why)
{
    uint64_t wait = least_ms + random_below((uint32_t)(most_ms - least_ms) + 1);
    reread_after(part, part_was_complete(part) ? wait : 0, why);
}

/* Even if the snapshot was read a moment ago: it has to be read before the recovery grace ends,
 * when missing entries are reported as closed. Not at once either: an older Redis may contain
 * entries that had ended, and the other front-ends, which reconnect within 300 ms, end them again
 * first. */
static void reread_epoch(struct view_part *part)
{
    const int64_t *grace = part->view->source.recovery_grace;
    uint64_t early = grace ? (uint64_t)*grace / 4 : 0, interval = part_snapshot_interval(part);
    uint64_t most = early < interval ? early : interval;
    part->loaded_ms = 0;
    reread_spread(part, most / 2, most, "a new epoch");
}

void part_retry_load(void *arg)
{
    struct view_part *part = arg;
    if (part->state != PART_LIVE && !part_is_loading(part)) {
        load_start(part, "a load that was due");
    }
}

static void judge_read_head(struct view_part *part, const struct event_message *head)
{
    if (part->epoch_state == PART_EPOCH_UNKNOWN || head->epoch != part->epoch) {
        part_enter_epoch(part, head->epoch);
        reread_epoch(part);
    } else if (part->state == PART_LIVE || part_is_loading(part)) {
        return; /* the message was of no epoch; a revision that is missing is found by the sweep */
    } else if (part->state == PART_LAPSED && part->revision >= head->revision) {
        part_enter(part, PART_LIVE);
        metrics_add(METRIC_SNAPSHOTS_SKIPPED, 1);
    } else {
        reread_spread(part, 0, part_snapshot_interval(part), "a new subscription");
    }
}

static void on_checked_head(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct head_check *check = arg;
    struct view_part *part = check->part;
    struct event_message head;
    free(check);
    if (!part) {
        return;
    }
    part->head_check = NULL;
    if (status != REDIS_OK && status != REDIS_REFUSED) {
        return; /* the next link checks again */
    }
    if (status == REDIS_OK && reply->type == REDIS_STRING &&
        event_message_read(reply->text, &head)) {
        judge_read_head(part, &head);
    } else if (part->state != PART_LIVE && !part_is_loading(part)) {
        part_load_failed(part);
    }
}

void part_check_head(void *arg)
{
    struct view_part *part = arg;
    const struct view_source *source = &part->view->source;
    if (part->head_check || part_is_loading(part) || !load_can_start(part)) {
        return;
    }
    part->checked_ms = loop_now_ms(source->loop);
    part->head_check = mem_zalloc(1, sizeof *part->head_check);
    part->head_check->part = part;
    struct bytes key = bytes_from_string(part->key_head);
    redis_eval(*source->link, &read_script, on_checked_head, part->head_check, 1, 1, &key);
}

void check_cancel(struct view_part *part)
{
    if (part->head_check) {
        part->head_check->part = NULL;
    }
    part->head_check = NULL;
}

void part_request_check(struct view_part *part)
{
    if (part_is_loading(part)) {
        if (part->next == PART_NEXT_NONE) {
            part->next = PART_NEXT_CHECK;
        }
    } else if (!part->head_check && !loop_timer_is_running(part->check_timer)) {
        loop_timer_start(part->check_timer, wait_since(part, part->checked_ms, 0));
    }
}

void part_load_done(struct view_part *part)
{
    enum part_next next = part->next;
    part->next = PART_NEXT_NONE;
    if (next == PART_NEXT_RELOAD) {
        part_reread(part, part->next_why);
    } else if (next == PART_NEXT_CHECK) {
        part_request_check(part);
    }
}

void part_resume(struct view_part *part, const char *why)
{
    if (part_was_complete(part)) {
        part_request_check(part);
    } else {
        load_start(part, why);
    }
}
