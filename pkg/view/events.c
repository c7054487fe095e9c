/*
 * events: what arrives for a view: event messages, subscriptions, what sweeps see; and whether the
 * copy is still complete.
 *
 * Within an epoch revisions follow one another. After a gap, or in a new epoch, the partition's
 * snapshot is read again; events are applied meanwhile. A message that is malformed, in an unknown
 * format, or of an epoch that Redis does not have, is ignored: if it was the map's, the next one or
 * a sweep shows the gap.
 */
#include "base/log.h"
#include "metrics/metrics.h"
#include "schema/format.h"
#include "view/view_private.h"

/* The owner may have seen an epoch before the view does. */
static bool is_epoch_of_owner(const struct view_part *part, uint64_t wanted)
{
    const struct view_known known = part_known(part);
    uint64_t epoch;
    return event_epoch_read(bytes_from_string(known.epoch), &epoch) && epoch == wanted;
}

static void apply_message(struct view_part *part, struct event_message *message)
{
    struct event event;
    bool bad;
    uint64_t revision = message->revision, last = revision + message->count - 1;
    while (event_next(message, &event, &bad)) {
        view_apply(part, &event, revision, part->load_number);
        revision++;
    }
    if (bad || revision != last + 1) {
        part_reread(part, "a malformed event");
    }
    part->revision = last;
    metrics_add(METRIC_EVENTS, (int64_t)message->count);
    if (part->state == PART_LIVE) {
        part_drop_unconfirmed(part);
        part->known = last;
        view_wake(part->view); /* reads may wait for this revision */
    }
}

/* Changes up to `got` are missing. */
static void note_gap(struct view_part *part, uint64_t expected, uint64_t got, const char *why)
{
    metrics_add(METRIC_GAPS, 1);
    log_info("revision_gap", LOG_STRING("prefix", part->prefix),
             LOG_INT("expected", (int64_t)expected), LOG_INT("got", (int64_t)got));
    part->revision = part->floor = 0;
    part_reread(part, why);
}

static void receive_view_message(struct view_part *part, struct bytes text)
{
    static struct log_limit limit = {.burst = 5};
    struct event_message message;
    metrics_add(METRIC_EVENT_MESSAGES, 1);
    if (format_is_unknown(FORMAT_EVENTS, part->prefix, text)) {
        return;
    }
    if (!event_message_read(text, &message)) {
        log_limited(LOG_WARN, &limit, "malformed_event", LOG_STRING("prefix", part->prefix));
        metrics_add(METRIC_EVENTS_MALFORMED, 1);
        return;
    }
    /* Before the floor of the first load is known, the message has to be applied: the floor may be
     * older. */
    if (part->epoch_state == PART_EPOCH_UNKNOWN && is_epoch_of_owner(part, message.epoch)) {
        part_enter_epoch(part, message.epoch);
    }
    if (part->epoch_state == PART_EPOCH_UNKNOWN || message.epoch != part->epoch) {
        metrics_add(METRIC_EVENTS_OTHER_EPOCH, 1);
        part_request_check(part);
        return;
    }
    if (message.count == 0) {
        return;
    }
    uint64_t last = message.revision + message.count - 1;
    if (last <= part->floor) {
        return; /* a late message; the snapshot contains its changes */
    }
    if (part->revision && message.revision != part->revision + 1) {
        note_gap(part, part->revision + 1, message.revision, "a gap");
    }
    apply_message(part, &message);
}

static void on_message(void *part, struct bytes message)
{
    receive_view_message(part, message);
}

static void on_view_subscribed(void *arg)
{
    struct view_part *part = arg;
    if (part->state != PART_LAPSED) {
        part->revision = part->floor = 0;
    }
    part_resume(part, "a new subscription");
}

static void on_view_channel_down(void *part)
{
    part_lapse(part);
}

void part_subscribe(struct view_part *part)
{
    static const struct channel_callbacks callbacks = {
        .subscribed = on_view_subscribed, .message = on_message, .down = on_view_channel_down};
    if (channel_join(part->view->source.channels, &part->channel,
                     bytes_from_string(part->key_events), &callbacks, part)) {
        on_view_subscribed(part);
    }
}

void view_link_up(struct map_view *view)
{
    for (uint32_t i = 0; i < view->part_count; i++) {
        if (view->parts[i].state != PART_LIVE) {
            part_resume(&view->parts[i], "a new link");
        }
    }
}

void view_revision_seen(struct map_view *view, uint32_t partition, uint64_t revision)
{
    struct view_part *part = &view->parts[partition];
    const struct view_known known = part_known(part);
    if (part->state == PART_LIVE && !part_is_in_epoch(part, &known)) {
        part_request_check(part); /* no message of the owner's epoch has arrived */
    }
    /* A second has passed since the last sweep saw that revision, and its events are missing. */
    if (part->state == PART_LIVE && part->swept > part->revision) {
        note_gap(part, part->swept, part->revision, "a gap without a later event");
    }
    part->swept = revision;
}

void view_time_seen(struct map_view *view, uint32_t partition, uint64_t redis_now_ms)
{
    struct view_part *part = &view->parts[partition];
    const struct view_known known = part_known(part);
    if (redis_now_ms < known.recovery_until_ms || part->state != PART_LIVE ||
        !part_is_in_epoch(part, &known)) {
        return;
    }
    part_end_recovery(part, known.revision);
}
