/*
 * turntable_whothere: whothere. The front-end knows the users of the rooms in which its sessions
 * are; those of another room are read from Redis. The users of the space are read from the view,
 * which is watched only while a request waits for it; the answer is encoded once until the view
 * changes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

/* A whothere in progress. */
struct whothere_request {
    struct list link; /* the session's */
    struct list due;  /* the subscribers' rooms_due */
    struct turntable_session *session;
    struct map_read *view; /* one of these in progress, or neither */
    struct room_users_read *room;
    size_t name_len;
    uint8_t name[]; /* the room's */
};

static struct whothere_request *create_whothere_request(struct turntable_session *session,
                                                        struct bytes name)
{
    struct whothere_request *request = mem_zalloc(1, sizeof *request + name.len);
    request->session = session;
    request->name_len = name.len;
    if (name.len > 0) {
        memcpy(request->name, name.data, name.len);
    }
    list_init(&request->due);
    list_append(&session->whothere_requests, &request->link);
    turntable_request_begin(session, 1);
    return request;
}

static void free_whothere_request(struct whothere_request *request)
{
    turntable_request_end(request->session, 1);
    if (request->name_len > 0) {
        turntable_resume_reading(request->session, STOP_BARRIER);
    }
    list_remove(&request->link);
    list_remove(&request->due);
    free(request);
}

static struct frame *encode_there(const struct bytes *ids, size_t count)
{
    struct writer text = {0};
    (void)turntable_write_there(&text, ids, count);
    return turntable_text_frame(&text);
}

static void send_there(struct turntable_session *session, struct frame *frame)
{
    turntable_charge(session, frame->len, TURNTABLE_BYTES_PER_UNIT);
    turntable_send_frame(session, METRIC_TURNTABLE_THERE, frame);
}

/* Rooms. */

static void on_room_read(void *arg, bool known, const struct bytes *users, size_t count)
{
    struct whothere_request *request = arg;
    struct turntable_session *session = request->session;
    request->room = NULL;
    free_whothere_request(request);
    if (known) {
        struct frame *frame = encode_there(users, count);
        turntable_charge(session, count, TURNTABLE_RECEIVERS_PER_UNIT); /* Redis has read each */
        send_there(session, frame);
        frame_unref(&frame);
    } else {
        turntable_send_result(session, MAP_DEADLINE, "the users of the room are not known",
                              "whothere");
    }
}

static void send_room(struct turntable_session *session, struct room *room)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    if (!subscribers->room_there || subscribers->room_there_generation != room_generation(room)) {
        size_t count;
        const struct bytes *users = room_users(room, &count);
        frame_unref(&subscribers->room_there);
        subscribers->room_there = encode_there(users, count);
        subscribers->room_there_generation = room_generation(room);
    }
    send_there(session, subscribers->room_there);
}

/* A room that has to be read from Redis is read before the session's next message is. */
static void answer_for_room(struct turntable_session *session, struct bytes name)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct room *room = turntable_room_of(session, name);
    struct whothere_request *request;
    if (room) {
        send_room(session, room);
        return;
    }
    turntable_stop_reading(session, STOP_BARRIER);
    request = create_whothere_request(session, name);
    list_append(&subscribers->rooms_due, &request->due);
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->read_rooms);
}

/* After the writes of this iteration, so that a user who has just left is not listed. */
static void read_due_rooms(void *arg)
{
    struct turntable_subscribers *subscribers = arg;
    while (!list_is_empty(&subscribers->rooms_due)) {
        struct whothere_request *request =
            list_entry(subscribers->rooms_due.next, struct whothere_request, due);
        struct bytes name = {request->name, request->name_len};
        list_remove(&request->due);
        request->room = room_read_users(subscribers->rooms, name, on_room_read, request);
    }
}

/* The space. */

/* Stops watching the view after the last request. */
static void release_view(struct turntable_subscribers *subscribers)
{
    if (--subscribers->reads > 0) {
        return;
    }
    map_unwatch(&subscribers->watcher);
    frame_unref(&subscribers->there);
}

static int compare_there_ids(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* A user is listed once, whatever the number of devices. */
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
        if (kept == 0 || !bytes_equal(ids[kept - 1], ids[i])) {
            ids[kept++] = ids[i];
        }
    }
    frame = encode_there(ids, kept);
    free(ids);
    return frame;
}

static void send_space(struct turntable_session *session)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct map_view *view = subscribers->watcher.view;
    if (!subscribers->there || subscribers->there_generation != map_view_generation(view)) {
        frame_unref(&subscribers->there);
        subscribers->there = encode_space(view);
        subscribers->there_generation = map_view_generation(view);
        turntable_charge(session, map_view_count(view), TURNTABLE_ENTRIES_PER_UNIT);
    }
    send_there(session, subscribers->there);
}

static void refuse_space(struct turntable_session *session, const char *why)
{
    turntable_send_error(session, TURNTABLE_CODE_LIMIT, why, "whothere");
}

static void on_view_read(void *arg, bool known, bool stale)
{
    struct whothere_request *request = arg;
    struct turntable_session *session = request->session;
    struct turntable_subscribers *subscribers = session->port->subscribers;
    request->view = NULL;
    free_whothere_request(request);
    if (!known) {
        turntable_send_result(session, MAP_DEADLINE, "the users of the space are not known",
                              "whothere");
    } else if (map_view_is_over(subscribers->watcher.view)) {
        refuse_space(session, "the space has more entries than view.max_entries");
    } else {
        send_space(session);
    }
    release_view(subscribers);
}

static void answer_for_space(struct turntable_session *session)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    const char *why = NULL;
    struct whothere_request *request;
    if (!subscribers->watcher.view && !map_watch(subscribers->space, &subscribers->watcher, &why)) {
        refuse_space(session, why);
        return;
    }
    subscribers->reads++;
    request = create_whothere_request(session, (struct bytes){0});
    request->view = map_read(subscribers->watcher.view, MAP_READ_HERE, on_view_read, request);
}

void turntable_whothere_answer(struct turntable_session *session,
                               const struct turntable_message *message)
{
    if (message->channel.data) {
        answer_for_room(session, message->channel);
    } else {
        answer_for_space(session);
    }
}

void turntable_whothere_end(struct turntable_session *session)
{
    while (!list_is_empty(&session->whothere_requests)) {
        struct whothere_request *request =
            list_entry(session->whothere_requests.next, struct whothere_request, link);
        if (request->view) {
            map_read_cancel(&request->view);
            release_view(session->port->subscribers);
        }
        if (request->room) {
            room_read_cancel(&request->room);
        }
        free_whothere_request(request);
    }
}

static void ignore_view_changes(struct map_watcher *watcher, const struct map_changes *changes)
{
}

static void ignore_view_live(struct map_watcher *watcher)
{
}

void turntable_whothere_begin(struct turntable_subscribers *subscribers)
{
    list_init(&subscribers->rooms_due);
    subscribers->read_rooms = (struct loop_task){.callback = read_due_rooms, .arg = subscribers};
    list_init(&subscribers->watcher.link);
    subscribers->watcher.changed = ignore_view_changes;
    subscribers->watcher.live = ignore_view_live;
}

void turntable_whothere_free(struct turntable_subscribers *subscribers)
{
    loop_cancel(subscribers->service->common.loop, &subscribers->read_rooms);
    map_unwatch(&subscribers->watcher);
    frame_unref(&subscribers->there);
    frame_unref(&subscribers->room_there);
    frame_unref(&subscribers->present);
}
