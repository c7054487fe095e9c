/*
 * turntable_there: whothere. Who is in a room is known here to its members; others read it from
 * Redis. Who is in the space is read from the view, which is watched only while somebody waits for
 * that, and encoded once while it does not change.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

/* A whothere that waits. */
struct there_request {
    struct list link; /* the session's */
    struct list due;  /* the subscribers': the room is to be read in this turn */
    struct turntable_session *session;
    struct map_read *view; /* one of these, or none just now */
    struct map_room_read *room;
    size_t name_len;
    uint8_t name[]; /* the room's */
};

static struct there_request *wait_for_presence(struct turntable_session *session, struct bytes name)
{
    struct there_request *asked = mem_zalloc(1, sizeof *asked + name.len);
    asked->session = session;
    asked->name_len = name.len;
    if (name.len > 0)
        memcpy(asked->name, name.data, name.len);
    list_init(&asked->due);
    list_append(&session->asked, &asked->link);
    turntable_asks(session, 1);
    return asked;
}

static void done_with(struct there_request *asked)
{
    turntable_answered(asked->session, 1);
    list_remove(&asked->link);
    list_remove(&asked->due);
    free(asked);
}

static struct frame *encode_there(const struct bytes *ids, size_t count)
{
    struct writer text = {0};
    (void)turntable_write_there(&text, ids, count);
    return turntable_text_frame(&text);
}

static void send_ids(struct turntable_session *session, const struct bytes *ids, size_t count)
{
    struct frame *frame = encode_there(ids, count);
    turntable_send_frame(session, METRIC_TURNTABLE_THERE, frame);
    frame_unref(&frame);
}

/* Rooms. */

static void on_room_read(void *arg, bool known, const struct bytes *users, size_t count)
{
    struct there_request *asked = arg;
    struct turntable_session *session = asked->session;
    asked->room = NULL;
    done_with(asked);
    if (known)
        send_ids(session, users, count);
    else
        turntable_message_tell_result(session, MAP_DEADLINE, "who is in the room is not known",
                                      "whothere");
}

static void tell_room(struct turntable_session *session, struct bytes name)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct map_room *room = turntable_room_of(session, name);
    struct there_request *asked;
    size_t count;
    if (room != NULL) {
        const struct bytes *users = map_room_users(room, &count);
        send_ids(session, users, count);
        return;
    }
    asked = wait_for_presence(session, name);
    list_append(&subscribers->asking, &asked->due);
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->ask);
}

/* Behind what this turn has written: who has just left a room does not find itself there. */
static void on_ask(void *arg)
{
    struct turntable_subscribers *subscribers = arg;
    while (!list_is_empty(&subscribers->asking)) {
        struct there_request *asked =
            list_entry(subscribers->asking.next, struct there_request, due);
        struct bytes name = {asked->name, asked->name_len};
        list_remove(&asked->due);
        asked->room = map_room_read_users(subscribers->rooms, name, on_room_read, asked);
    }
}

/* The space. */

/* Lets go of the view when nobody waits for it any more. */
static void release_view(struct turntable_subscribers *subscribers)
{
    if (--subscribers->reads > 0)
        return;
    map_unwatch(&subscribers->watcher);
    frame_unref(&subscribers->there);
}

static int compare_there_ids(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* A user stands for all devices. */
static struct frame *encode_space(struct map_view *view)
{
    size_t count, kept = 0;
    struct map_entry *const *entries = map_view_sorted(view, &count);
    struct bytes *ids = mem_zalloc(count + 1, sizeof *ids);
    struct frame *frame;
    for (size_t i = 0; i < count; i++) {
        struct bytes user = map_entry_field(entries[i], "user");
        ids[i] = user.len > 0 ? user : map_entry_id(entries[i]);
    }
    qsort(ids, count, sizeof *ids, compare_there_ids);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !bytes_equal(ids[kept - 1], ids[i]))
            ids[kept++] = ids[i];
    }
    frame = encode_there(ids, kept);
    free(ids);
    return frame;
}

static void send_space(struct turntable_session *session)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct map_view *view = subscribers->watcher.view;
    if (subscribers->there == NULL || subscribers->there_generation != map_view_generation(view)) {
        frame_unref(&subscribers->there);
        subscribers->there = encode_space(view);
        subscribers->there_generation = map_view_generation(view);
    }
    turntable_send_frame(session, METRIC_TURNTABLE_THERE, subscribers->there);
}

static void refuse_space(struct turntable_session *session, const char *why)
{
    turntable_message_tell(session, TURNTABLE_CODE_LIMIT, why, "whothere");
}

static void on_view_read(void *arg, bool known, bool stale)
{
    struct there_request *asked = arg;
    struct turntable_session *session = asked->session;
    struct turntable_subscribers *subscribers = session->port->subscribers;
    (void)stale;
    asked->view = NULL;
    done_with(asked);
    if (!known)
        turntable_message_tell_result(session, MAP_DEADLINE, "who is there is not known",
                                      "whothere");
    else if (map_view_is_over(subscribers->watcher.view))
        refuse_space(session, "the space has more entries than view.max_entries");
    else
        send_space(session);
    release_view(subscribers);
}

static void tell_space(struct turntable_session *session)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    const char *why = NULL;
    struct there_request *asked;
    if (subscribers->watcher.view == NULL &&
        !map_watch(subscribers->space, &subscribers->watcher, &why)) {
        refuse_space(session, why);
        return;
    }
    subscribers->reads++;
    asked = wait_for_presence(session, (struct bytes){0});
    asked->view = map_read(subscribers->watcher.view, MAP_READ_HERE, on_view_read, asked);
}

void turntable_there_take(struct turntable_session *session,
                          const struct turntable_message *message)
{
    if (message->channel.data != NULL)
        tell_room(session, message->channel);
    else
        tell_space(session);
}

void turntable_there_end(struct turntable_session *session)
{
    while (!list_is_empty(&session->asked)) {
        struct there_request *asked = list_entry(session->asked.next, struct there_request, link);
        if (asked->view != NULL) {
            map_read_cancel(&asked->view);
            release_view(session->port->subscribers);
        }
        if (asked->room != NULL)
            map_room_read_cancel(&asked->room);
        done_with(asked);
    }
}

static void ignore_view_changes(struct map_watcher *watcher, const struct map_changes *changes)
{
    (void)watcher;
    (void)changes;
}

static void ignore_view_live(struct map_watcher *watcher)
{
    (void)watcher;
}

void turntable_there_begin(struct turntable_subscribers *subscribers)
{
    list_init(&subscribers->asking);
    subscribers->ask = (struct loop_task){.callback = on_ask, .arg = subscribers};
    list_init(&subscribers->watcher.link);
    subscribers->watcher.changed = ignore_view_changes;
    subscribers->watcher.live = ignore_view_live;
}

void turntable_there_free(struct turntable_subscribers *subscribers)
{
    loop_cancel(subscribers->service->common.loop, &subscribers->ask);
    map_unwatch(&subscribers->watcher);
    frame_unref(&subscribers->there);
}
