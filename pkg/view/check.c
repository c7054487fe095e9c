/*
 * check: whether a part's copy is still Redis's, and when its snapshot is read again.
 *
 * What is doubtful is looked up first: one read of the epoch and the revision says whether a
 * message with another epoch is of a new epoch or of nobody's, and whether anything changed while
 * the subscription was lost. Only what is certain to be missing is read again. Whatever arrives, a
 * part is looked up at most once, and its snapshot read at most once, in view.snapshot_interval;
 * and what makes all front-ends read theirs is spread over that time.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "metrics/metrics.h"
#include "view/view_private.h"

/* Until a reading that failed is tried again, if it need not wait longer. */
#define RETRY_MS 200

/* A read of the head under way. */
struct head_ask {
    struct view_part *part; /* NULL: nobody wants it any more */
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

static void read_within(struct view_part *part, uint64_t delay_ms, const char *why)
{
    uint64_t wait = wait_since(part, part->snapshot_ms, delay_ms);
    part->revivable = false;
    if (part->state == PART_LOADING) {
        part->read_again = why;
        metrics_add(METRIC_SNAPSHOTS_DEFERRED, 1);
    } else if (wait == 0) {
        load_start(part, why);
    } else {
        part->state = PART_COLD;
        metrics_add(METRIC_SNAPSHOTS_DEFERRED, 1);
        if (!loop_timer_is_running(part->retry))
            loop_timer_start(part->retry, wait);
    }
}

void part_reread(struct view_part *part, const char *why)
{
    read_within(part, 0, why);
}

void part_read_failed(struct view_part *part)
{
    part->state = PART_COLD;
    loop_timer_start(part->retry, wait_since(part, part->snapshot_ms, RETRY_MS));
}

/* All other front-ends have the same reason at this moment. */
static void reread_spread(struct view_part *part, uint64_t least_ms, uint64_t most_ms,
                          const char *why)
{
    uint64_t wait = least_ms + random_below((uint32_t)(most_ms - least_ms) + 1);
    read_within(part, part->loaded ? wait : 0, why);
}

/* However lately it was read: it must be before the hold ends, which decides what is gone. Not at
 * once, as the other front-ends, which connect again within 300 ms, end again what they had ended:
 * an older Redis would have it shown until then. */
static void reread_epoch(struct view_part *part)
{
    uint64_t early = (uint64_t)*part->view->source.hold / 4,
             interval = part_snapshot_interval(part);
    uint64_t most = early < interval ? early : interval;
    part->snapshot_ms = 0;
    reread_spread(part, most / 2, most, "a new epoch");
}

void part_retry_load(void *arg)
{
    struct view_part *part = arg;
    if (part->state == PART_COLD)
        load_start(part, "its time has come");
}

/* Nothing changed while the subscription was lost. */
static void revive_part(struct view_part *part)
{
    part->revivable = false;
    part->state = PART_LIVE;
    part->known = part->revision;
    part->check = 0;
    metrics_add(METRIC_SNAPSHOTS_SPARED, 1);
    view_wake(part->view);
}

static void judge_read_head(struct view_part *part, const struct event_message *head)
{
    if (!part->epoch_known || head->epoch != part->epoch) {
        part_new_epoch(part, head->epoch);
        reread_epoch(part);
    } else if (part->state != PART_COLD) {
        return; /* the message was nobody's; a revision that is missing is for the sweep to see */
    } else if (part->revivable && part->revision >= head->revision) {
        revive_part(part);
    } else {
        reread_spread(part, 0, part_snapshot_interval(part), "a new subscription");
    }
}

static void on_checked_head(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct head_ask *ask = arg;
    struct view_part *part = ask->part;
    struct event_message head;
    free(ask);
    if (!part)
        return;
    part->ask = NULL;
    if (status != REDIS_OK && status != REDIS_REFUSED)
        return; /* the next link asks */
    if (status == REDIS_OK && reply->type == REDIS_STRING && event_message_read(reply->text, &head))
        judge_read_head(part, &head);
    else if (part->state == PART_COLD)
        part_read_failed(part);
}

/* The time for a look has come. */
void part_look(void *arg)
{
    struct view_part *part = arg;
    const struct view_source *source = &part->view->source;
    if (part->ask || part->state == PART_LOADING || !load_can_start(part))
        return;
    part->look_ms = loop_now_ms(source->loop);
    part->ask = mem_zalloc(1, sizeof *part->ask);
    part->ask->part = part;
    struct bytes key = bytes_from_string(part->key_head);
    redis_eval(*source->link, &read_script, on_checked_head, part->ask, 1, 1, &key);
}

void part_doubt(struct view_part *part)
{
    if (part->state == PART_LOADING)
        part->doubted = true;
    if (part->ask || loop_timer_is_running(part->look) || part->state == PART_LOADING)
        return;
    loop_timer_start(part->look, wait_since(part, part->look_ms, 0));
}

void part_read_done(struct view_part *part)
{
    const char *again = part->read_again;
    bool doubted = part->doubted;
    part->read_again = NULL;
    part->doubted = false;
    if (again)
        part_reread(part, again);
    else if (doubted)
        part_doubt(part);
}

void part_resume(struct view_part *part, const char *why)
{
    if (part->loaded) {
        part_doubt(part);
        return;
    }
    load_start(part, why);
}

void part_lapse(struct view_part *part)
{
    part->revivable = part->revivable || (part->state == PART_LIVE && part->epoch_known);
    loop_timer_stop(part->look);
    if (part->ask)
        part->ask->part = NULL;
    part->ask = NULL;
    load_stop(part);
    part->state = PART_COLD;
}
