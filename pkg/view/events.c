/*
 * events: what arrives for a view: event messages, subscriptions, what sweeps see; and the
 * judgement whether its copy is still complete.
 *
 * Within an epoch revisions follow one another. A gap, a revision that is not above the last, or a
 * new epoch makes the partition's snapshot be read again; the events go on being applied meanwhile.
 * A message that is malformed, in an unknown format, or of an epoch that Redis does not have, is
 * passed over: if it was the map's, the next one, or a sweep, shows the gap.
 */
#include "base/log.h"
#include "metrics/metrics.h"
#include "schema/format.h"
#include "view/view_private.h"

void part_new_epoch(struct view_part *part, uint64_t epoch)
{
    struct map_view *view = part->view;
    part->fresh_epoch = part->epoch_known;
    part->epoch = epoch;
    part->epoch_known = true;
    part->revision = part->floor = part->check = part->known = 0;
    for (struct map_entry *entry = view->entries; entry; entry = entry->hh.next) {
        if (entry->partition == part->index)
            entry->revision = 0;
    }
}

static bool is_in_epoch(const struct view_known *known, uint64_t wanted)
{
    uint64_t epoch;
    return event_epoch_read(bytes_from_string(known->epoch), &epoch) && epoch == wanted;
}

bool part_is_in_epoch(const struct view_part *part, const struct view_known *known)
{
    return is_in_epoch(known, part->epoch);
}

/* The message may be of an epoch that the owner has met, and the view has not. */
static bool is_of_owners_epoch(const struct view_part *part, uint64_t epoch)
{
    const struct view_known known = part_known(part);
    return is_in_epoch(&known, epoch);
}

/* What nobody put back until the hold ended is gone, once all events of that time have come. */
static void drop_unconfirmed(struct view_part *part)
{
    if (!part->has_unconfirmed || part->revision < part->confirmed)
        return;
    part->has_unconfirmed = false;
    struct map_entry *entry, *next;
    HASH_ITER (hh, part->view->entries, entry, next) {
        if (entry->partition == part->index && entry->seen != part->load_number)
            view_remove(entry);
    }
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
    if (bad || revision != last + 1)
        part_reread(part, "a malformed event");
    part->revision = last;
    metrics_add(METRIC_EVENTS, (int64_t)message->count);
    if (part->state == PART_LIVE) {
        drop_unconfirmed(part);
        part->known = last;
        view_wake(part->view); /* reads may wait for this revision */
    }
}

static void take_view_message(struct view_part *part, struct bytes text)
{
    static struct log_limit limit = {.burst = 5};
    struct event_message message;
    metrics_add(METRIC_EVENT_MESSAGES, 1);
    /* The sweep sees whether it was of the map's history. */
    if (format_is_unknown(FORMAT_EVENTS, part->prefix, text))
        return;
    if (!event_message_read(text, &message)) {
        log_limited(LOG_WARN, &limit, "malformed_event", LOG_STRING("prefix", part->prefix));
        metrics_add(METRIC_EVENTS_MALFORMED, 1);
        return;
    }
    /* It may come before the floor of the first load, and must not be missing afterwards. */
    if (!part->epoch_known && is_of_owners_epoch(part, message.epoch))
        part_new_epoch(part, message.epoch);
    if (!part->epoch_known || message.epoch != part->epoch) {
        metrics_add(METRIC_EVENTS_OTHER_EPOCH, 1);
        part_doubt(part);
        return;
    }
    if (message.count == 0)
        return;
    uint64_t last = message.revision + message.count - 1;
    if (last <= part->floor)
        return; /* told late; the snapshot had it */
    if (part->revision && message.revision != part->revision + 1) {
        metrics_add(METRIC_GAPS, 1);
        log_info("gap", LOG_STRING("prefix", part->prefix),
                 LOG_INT("expected", (int64_t)part->revision + 1),
                 LOG_INT("got", (int64_t)message.revision));
        part->revision = part->floor = 0;
        part_reread(part, "a gap");
    }
    apply_message(part, &message);
}

static void on_message(void *part, struct bytes message)
{
    take_view_message(part, message);
}

static void on_view_subscribed(void *arg)
{
    struct view_part *part = arg;
    if (!part->revivable)
        part->revision = part->floor = 0;
    part_resume(part, "a new subscription");
}

static void on_view_channel_down(void *part)
{
    part_lapse(part);
}

void part_listen(struct view_part *part)
{
    static const struct channel_callbacks callbacks = {
        .subscribed = on_view_subscribed, .message = on_message, .down = on_view_channel_down};
    if (channel_join(part->view->source.channels, &part->channel,
                     bytes_from_string(part->key_events), &callbacks, part))
        on_view_subscribed(part);
}

void view_link_up(struct map_view *view)
{
    for (uint32_t j = 0; j < view->part_count; j++) {
        if (view->parts[j].state != PART_LIVE)
            part_resume(&view->parts[j], "a new link");
    }
}

void view_revision_seen(struct map_view *view, uint32_t partition, uint64_t revision)
{
    struct view_part *part = &view->parts[partition];
    const struct view_known known = part_known(part);
    if (part->state == PART_LIVE && !part_is_in_epoch(part, &known))
        part_doubt(part); /* it is in an epoch of which no message has come */
    /* A second has passed since that revision was seen, and its events have not come. */
    if (part->state == PART_LIVE && part->check > part->revision) {
        metrics_add(METRIC_GAPS, 1);
        log_info("gap", LOG_STRING("prefix", part->prefix),
                 LOG_INT("expected", (int64_t)part->check),
                 LOG_INT("got", (int64_t)part->revision));
        part->revision = part->floor = 0;
        part_reread(part, "a silent gap");
    }
    part->check = revision;
}

void view_hold_seen(struct map_view *view, uint32_t partition, uint64_t redis_now_ms)
{
    struct view_part *part = &view->parts[partition];
    const struct view_known known = part_known(part);
    if (redis_now_ms < known.hold_until || part->state != PART_LIVE ||
        !part_is_in_epoch(part, &known))
        return;
    part->fresh_epoch = false;
    if (part->confirmed == UINT64_MAX)
        part->confirmed = known.revision;
    drop_unconfirmed(part);
}
