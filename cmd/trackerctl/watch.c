/*
 * watch: the entries of a space, and then every change, until a signal.
 *
 * The view (view/view.h) reads the snapshot, applies the events, and reads again what is missing;
 * here its changes are printed. A space that cannot be read at first ends the command; later, the
 * command waits until Redis is reachable again.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "output.h"
#include "redis/channel.h"
#include "schema/fields.h"
#include "stream.h"
#include "view/change.h"

#define WAIT_MS     1000 /* longest single wait of the loop */
#define INTERVAL_MS 500  /* between two snapshots of a partition */

struct ctl_watch {
    struct ctl *ctl;
    struct reader_space space;
    struct redis_link *link;
    struct redis_subscriber *subscriber;
    struct channels *channels;
    struct view_settings settings;
    struct map_view *view;
    bool is_complete;      /* it has been */
    uint64_t active_ms;    /* when Redis last sent something, until it is complete */
    enum ctl_exit problem; /* not CTL_OK: what ends the command before that */
    char *why;             /* the reason of the last failed attempt to read */
    struct writer body;
    struct writer line;
};

static void note_activity(struct ctl_watch *watch)
{
    watch->active_ms = loop_now_ms(watch->ctl->loop);
}

/* Before the view is complete the command ends with that. */
static void fail_watch(struct ctl_watch *watch, enum ctl_exit problem, struct bytes why)
{
    free(watch->why);
    watch->why = mem_dup(why.data, why.len);
    if (watch->is_complete) {
        ctl_note(watch->ctl, "%s", watch->why);
    } else {
        watch->problem = problem;
    }
}

/* The view. */

static void add_watched_field(struct ctl_watch *watch, const struct map_entry *entry,
                              struct bytes field, struct bytes value)
{
    bool is_former_node = map_entry_is_orphan(entry) && bytes_equal(field, BYTES_LITERAL("node"));
    fields_write(&watch->body, field, is_former_node ? BYTES_LITERAL("") : value);
}

/* The whole entry in the form of an event's body. */
static struct bytes watched_body(struct ctl_watch *watch, const struct map_entry *entry)
{
    struct bytes field, value;
    size_t at = 0;
    watch->body.len = 0;
    if (map_entry_state(entry).data) {
        fields_write(&watch->body, BYTES_LITERAL("state"), map_entry_state(entry));
    }
    while (map_entry_next_field(entry, &at, &field, &value)) {
        add_watched_field(watch, entry, field, value);
    }
    return writer_bytes_written(&watch->body);
}

static const char *watched_change_name(const struct ctl_watch *watch,
                                       const struct view_change *change)
{
    if (change->op != EVENT_ENTRY) {
        return event_op_name(change->op);
    }
    if (!change->is_new) {
        return "update";
    }
    return watch->is_complete ? "open" : "entry";
}

static void on_watched_change(void *arg, const struct view_change *change)
{
    struct ctl_watch *watch = arg;
    bool closes = change->op == EVENT_CLOSE;
    note_activity(watch);
    stream_write_change(
        &watch->line, watch->ctl->json,
        &(struct stream_change){.what = watched_change_name(watch, change),
                                .id = map_entry_id(change->entry),
                                .has_version = !closes,
                                .version = map_entry_version(change->entry),
                                .body = closes ? change->body : watched_body(watch, change->entry),
                                .space = &watch->space,
                                .partition = change->partition});
    json_print(&watch->line);
}

static void on_watch_complete(void *arg)
{
    struct ctl_watch *watch = arg;
    size_t count = map_view_count(watch->view);
    watch->is_complete = true;
    ctl_note(watch->ctl, "%zu entries; watching", count);
    if (!watch->ctl->json) {
        return;
    }
    json_open(&watch->line, NULL, '{');
    json_string(&watch->line, "event", "live");
    json_string(&watch->line, "space", watch->space.name);
    json_number(&watch->line, "entries", (int64_t)count);
    json_close(&watch->line, '}');
    json_print(&watch->line);
}

static void on_watch_read_failed(void *arg, bool refused, struct bytes why)
{
    struct writer text = {0};
    writer_string(&text, "cannot read the snapshot: ");
    writer_bytes(&text, why);
    fail_watch(arg, refused ? CTL_NO : CTL_UNREACHABLE, writer_bytes_written(&text));
    writer_free(&text);
}

static const struct view_callbacks view_callbacks = {.applied = on_watched_change,
                                                     .complete = on_watch_complete,
                                                     .read_failed = on_watch_read_failed};

/* The connections. */

static void on_watch_link_up(void *arg, const char *run_id)
{
    struct ctl_watch *watch = arg;
    note_activity(watch);
    view_link_up(watch->view);
}

static void on_watch_link_down(void *arg)
{
}

static void on_watch_connect_failed(void *arg, const char *why)
{
    char *text = mem_format("cannot reach Redis: %s", why);
    fail_watch(arg, CTL_UNREACHABLE, bytes_from_string(text));
    free(text);
}

static const struct redis_link_callbacks link_callbacks = {.up = on_watch_link_up,
                                                           .down = on_watch_link_down,
                                                           .unfit = on_watch_connect_failed,
                                                           .failed = on_watch_connect_failed};

static void on_watch_subscribed(void *arg, struct bytes channel)
{
    struct ctl_watch *watch = arg;
    note_activity(watch);
    channels_subscribed(watch->channels, channel);
}

static void on_watch_message(void *arg, struct bytes channel, struct bytes message)
{
    channels_message(((struct ctl_watch *)arg)->channels, channel, message);
}

static void on_watch_events_up(void *arg)
{
}

static void on_watch_events_down(void *arg)
{
    struct ctl_watch *watch = arg;
    if (watch->is_complete) {
        ctl_note(watch->ctl, "the connection to Redis was lost");
    }
    channels_down(watch->channels);
}

static const struct redis_subscriber_callbacks subscriber_callbacks = {
    .subscribed = on_watch_subscribed,
    .message = on_watch_message,
    .up = on_watch_events_up,
    .down = on_watch_events_down};

static void open_watch(struct ctl_watch *watch)
{
    struct ctl *ctl = watch->ctl;
    watch->settings = ctl->map.view;
    watch->settings.max_entries = INT64_MAX;
    watch->settings.snapshot_interval = INTERVAL_MS;
    watch->link =
        redis_link_create(ctl->loop, "commands", &ctl->target, &ctl->redis, &link_callbacks, watch);
    watch->subscriber = redis_subscriber_create(ctl->loop, "events", &ctl->target, &ctl->redis,
                                                &subscriber_callbacks, watch);
    watch->channels = channels_create(ctl->loop, &watch->subscriber);
    watch->view = view_create(&(struct view_source){.callbacks = &view_callbacks,
                                                    .arg = watch,
                                                    .loop = ctl->loop,
                                                    .link = &watch->link,
                                                    .channels = watch->channels,
                                                    .redis = &ctl->redis,
                                                    .settings = &watch->settings,
                                                    .space = watch->space.name,
                                                    .partitions = watch->space.partitions,
                                                    .database = ctl->target.database});
}

static void close_watch(struct ctl_watch *watch)
{
    view_destroy(&watch->view);
    channels_destroy(&watch->channels);
    redis_subscriber_destroy(&watch->subscriber);
    redis_link_destroy(&watch->link);
    writer_free(&watch->body);
    writer_free(&watch->line);
    free(watch->why);
}

/* CTL_OK: continue. */
static enum ctl_exit check_first_snapshot(const struct ctl_watch *watch)
{
    uint64_t timeout_ms = (uint64_t)watch->ctl->timeout_ms;
    if (watch->is_complete) {
        return CTL_OK;
    }
    if (watch->problem != CTL_OK) {
        ctl_complain("%s", watch->why);
        return watch->problem;
    }
    if (loop_now_ms(watch->ctl->loop) - watch->active_ms < timeout_ms) {
        return CTL_OK;
    }
    ctl_complain("no complete snapshot of space \"%s\" for %llu ms", watch->space.name,
                 (unsigned long long)timeout_ms);
    return CTL_LATE;
}

static enum ctl_exit watch_until_stopped(struct ctl_watch *watch)
{
    struct ctl *ctl = watch->ctl;
    note_activity(watch);
    while (!ctl->stopped && ctl_flush(ctl)) {
        enum ctl_exit result = check_first_snapshot(watch);
        if (result != CTL_OK) {
            return result;
        }
        loop_iterate(ctl->loop, watch->is_complete ? WAIT_MS : WAIT_MS / 10);
    }
    return CTL_OK;
}

enum ctl_exit watch_clients(struct ctl *ctl)
{
    struct ctl_watch watch = {.ctl = ctl};
    enum ctl_exit result = ctl_connect_space(ctl, &watch.space);
    if (result != CTL_OK) {
        return result;
    }
    reader_destroy(&ctl->reader); /* the view has a connection of its own */
    ctl_listen_for_signals(ctl);
    open_watch(&watch);
    result = watch_until_stopped(&watch);
    close_watch(&watch);
    return result;
}
