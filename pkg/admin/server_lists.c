/*
 * server_lists: the list of game servers, written once for all who ask for the same list at the
 * same revision of the map, and sent to each as a reference to the same frame.
 *
 * A list is written by a job (loop/job.h), in pieces. A request is answered from the last one if
 * nothing has changed since it was begun; or by the one that is being written if nothing has
 * changed since that was begun; otherwise by the next one, for which all such requests wait. So
 * however many ask, a list is written once at a time.
 *
 * The frames in use, also older ones that clients have not read yet, have web.max_lists bytes at
 * most. A list that does not fit is sent as it is written (listing_private.h), to each request by
 * itself, and without an entity tag, which would have to be known before.
 */
#include "admin/servers_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/listing_private.h"
#include "base/mem.h"

#define TAG_DIGITS   40
#define LISTS        64 /* that are kept while nobody asks for them */
#define STEP_SERVERS 16

/* What a list was written from. */
struct list_mark {
    uint64_t generation, owner_generation, watches, nodes_read;
};

struct shared_list {
    struct list link; /* server_lists.lists: the least recently requested one first */
    struct server_lists *lists;
    struct loop_job job;
    struct admin_space *space; /* held by the requests */
    struct server_filter filter;
    bool stale;
    struct list running, waiting; /* struct list_request */
    struct writer text, after;    /* of the one that is being written */
    struct json_writer json;
    struct list_mark begun;
    /* The last one. */
    struct frame *frame; /* NULL: none */
    struct list_mark mark;
    char tag[ADMIN_TAG_SIZE(TAG_DIGITS)];
};

struct list_request {
    struct list link;
    struct http_request *request;
};

/* A frame that clients have not read yet. */
struct old_frame {
    struct list link;
    struct frame *frame;
};

struct server_lists {
    struct admin *admin;
    struct list lists;
    size_t count;
    struct list old; /* struct old_frame */
};

/* One list as it is written, for one request. */
struct server_stream {
    struct listing listing;
    struct server_filter filter;
    struct writer after;
};

static struct list_mark mark_of(const struct shared_list *list)
{
    const struct map_view *view = list->space->watcher.view;
    return (struct list_mark){map_view_generation(view), map_view_owner_generation(view),
                              list->space->watches, list->lists->admin->nodes_read};
}

static bool is_same_mark(const struct list_mark *a, const struct list_mark *b)
{
    return a->generation == b->generation && a->owner_generation == b->owner_generation &&
           a->watches == b->watches && a->nodes_read == b->nodes_read;
}

/* Frames. */

static void drop_frame(struct shared_list *list)
{
    if (list->frame && list->frame->references > 1) {
        struct old_frame *old = mem_zalloc(1, sizeof *old);
        old->frame = list->frame;
        list->frame = NULL;
        list_append(&list->lists->old, &old->link);
    }
    frame_unref(&list->frame);
}

static void free_old_frame(struct old_frame *old)
{
    list_remove(&old->link);
    frame_unref(&old->frame);
    free(old);
}

static size_t used_bytes(struct server_lists *lists)
{
    size_t used = 0;
    LIST_FOREACH (node, &lists->lists) {
        const struct shared_list *list = list_entry(node, struct shared_list, link);
        used += list->text.len + (list->frame ? list->frame->len : 0);
    }
    for (struct list *node = lists->old.next, *next; node != &lists->old; node = next) {
        struct old_frame *old = list_entry(node, struct old_frame, link);
        next = node->next;
        if (old->frame->references == 1) {
            free_old_frame(old);
        } else {
            used += old->frame->len;
        }
    }
    return used;
}

static void free_server_list(struct shared_list *list)
{
    loop_job_stop(list->lists->admin->loop, &list->job);
    list_remove(&list->link);
    list->lists->count--;
    drop_frame(list);
    servers_free_filter(&list->filter);
    writer_free(&list->text);
    writer_free(&list->after);
    free(list);
}

static bool is_list_wanted(const struct shared_list *list)
{
    return !list_is_empty(&list->running) || !list_is_empty(&list->waiting);
}

/* Drops lists that nobody waits for, the least recently requested ones first. Returns the bytes
 * that are left. */
static size_t shrink_lists(struct server_lists *lists, size_t count, size_t bytes)
{
    size_t used = used_bytes(lists);
    for (struct list *node = lists->lists.next, *next; node != &lists->lists; node = next) {
        struct shared_list *list = list_entry(node, struct shared_list, link);
        next = node->next;
        if (lists->count <= count && used <= bytes) {
            break;
        }
        if (!is_list_wanted(list)) {
            used -= list->frame && list->frame->references == 1 ? list->frame->len : 0;
            free_server_list(list);
        }
    }
    return used;
}

/* Answers. */

static void answer_from_list(struct shared_list *list, struct http_request *request)
{
    char headers[128];
    snprintf(headers, sizeof headers, "ETag: %s\r\nCache-Control: no-cache\r\n%s", list->tag,
             admin_stale_header(list->stale));
    if (admin_has_tag(http_request_header(request, "If-None-Match"), list->tag)) {
        http_respond(request, 304, NULL, headers, (struct bytes){0});
        return;
    }
    http_respond_frame(request, 200, JSON_TYPE, headers, list->frame);
}

static void free_server_stream(struct listing *listing)
{
    struct server_stream *stream = (struct server_stream *)listing;
    servers_free_filter(&stream->filter);
    writer_free(&stream->after);
    free(stream);
}

/* Appends some servers; false behind the last one. */
static bool write_some_servers(struct json_writer *json, struct admin *admin,
                               const struct admin_space *space, const struct server_filter *filter,
                               struct writer *after)
{
    size_t count, before = json->to->len;
    struct map_entry *const *entries = map_view_sorted(space->watcher.view, &count);
    size_t at = listing_place_after(entries, count, writer_bytes_written(after));
    for (size_t i = 0; i < STEP_SERVERS && at < count && json->to->len - before < 8192; i++) {
        servers_write_passing(json, entries[at], filter, admin->nodes);
        listing_note_id(after, entries[at++]);
    }
    if (at < count) {
        return true;
    }
    json_write_array_end(json);
    json_write_object_end(json);
    writer_u8(json->to, '\n');
    return false;
}

static void write_servers_begin(struct json_writer *json, const struct admin_space *space,
                                bool stale)
{
    json_write_object_begin(json);
    json_write_member(json, "space", bytes_from_string(map_space_name(space->map)));
    admin_write_stale(json, stale);
    json_write_name(json, "servers");
    json_write_array_begin(json);
}

static bool write_server_stream(struct listing *listing)
{
    struct server_stream *stream = (struct server_stream *)listing;
    return write_some_servers(&listing->json, listing->admin, listing->space, &stream->filter,
                              &stream->after);
}

static void start_server_stream(const struct shared_list *list, struct http_request *request)
{
    struct server_stream *stream = mem_zalloc(1, sizeof *stream);
    stream->listing.write = write_server_stream;
    stream->listing.free = free_server_stream;
    servers_copy_filter(&stream->filter, &list->filter);
    listing_start(&stream->listing, list->lists->admin, request, list->space, list->stale,
                  "list_servers");
    write_servers_begin(&stream->listing.json, list->space, list->stale);
}

/* Each of them releases its hold on the space. */
static void answer_running(struct shared_list *list,
                           void (*answer)(struct shared_list *, struct http_request *))
{
    while (!list_is_empty(&list->running)) {
        struct list_request *one = list_entry(list->running.next, struct list_request, link);
        struct http_request *request = one->request;
        list_remove(&one->link);
        free(one);
        answer(list, request);
        admin_space_release(list->space);
    }
}

static void stream_to(struct shared_list *list, struct http_request *request)
{
    start_server_stream(list, request);
}

/* The job. */

static bool begin_next_list(struct shared_list *list)
{
    if (list_is_empty(&list->waiting)) {
        return false;
    }
    list_move_all(&list->waiting, &list->running);
    list->begun = mark_of(list);
    writer_free(&list->text);
    writer_reset(&list->after);
    list->json = json_writer_over(&list->text);
    write_servers_begin(&list->json, list->space, list->stale);
    return true;
}

static void complete_list(struct shared_list *list)
{
    drop_frame(list);
    list->frame = frame_create(writer_bytes_written(&list->text));
    list->mark = list->begun;
    admin_write_tag(writer_bytes_written(&list->text), TAG_DIGITS, list->tag);
    writer_free(&list->text);
    answer_running(list, answer_from_list);
}

static bool on_server_list_step(void *arg)
{
    struct shared_list *list = arg;
    struct server_lists *lists = list->lists;
    const size_t limit = (size_t)lists->admin->settings->max_lists;
    bool more =
        write_some_servers(&list->json, lists->admin, list->space, &list->filter, &list->after);
    if (shrink_lists(lists, SIZE_MAX, limit) > limit) {
        writer_free(&list->text);
        answer_running(list, stream_to);
    } else if (more) {
        return true;
    } else {
        complete_list(list);
    }
    return begin_next_list(list);
}

static struct shared_list *find_list(struct server_lists *lists, struct admin_space *space,
                                     const struct server_filter *filter, bool stale)
{
    LIST_FOREACH (node, &lists->lists) {
        struct shared_list *list = list_entry(node, struct shared_list, link);
        if (list->space == space && list->stale == stale &&
            servers_same_filter(&list->filter, filter)) {
            list_remove(&list->link);
            list_append(&lists->lists, &list->link);
            return list;
        }
    }
    (void)shrink_lists(lists, LISTS - 1, SIZE_MAX);
    struct shared_list *list = mem_zalloc(1, sizeof *list);
    list->lists = lists;
    list->space = space;
    list->stale = stale;
    servers_copy_filter(&list->filter, filter);
    list->job =
        (struct loop_job){.step = on_server_list_step, .arg = list, .label = "list_servers"};
    list_init(&list->running);
    list_init(&list->waiting);
    list_append(&lists->lists, &list->link);
    lists->count++;
    return list;
}

void server_lists_answer(struct server_lists *lists, struct http_request *request,
                         struct admin_space *space, const struct server_filter *filter, bool stale)
{
    struct shared_list *list = find_list(lists, space, filter, stale);
    struct list_mark now = mark_of(list);
    if (list->frame && is_same_mark(&list->mark, &now)) {
        answer_from_list(list, request);
        return;
    }
    struct list_request *one = mem_zalloc(1, sizeof *one);
    one->request = request;
    admin_charge(request, map_view_count(space->watcher.view) / ADMIN_SCANNED_PER_UNIT);
    admin_space_keep(space);
    if (!list_is_empty(&list->running) && is_same_mark(&list->begun, &now)) {
        list_append(&list->running, &one->link);
        return;
    }
    list_append(&list->waiting, &one->link);
    if (list_is_empty(&list->running) && begin_next_list(list)) {
        loop_job_start(lists->admin->loop, &list->job);
    }
}

struct server_lists *server_lists_create(struct admin *admin)
{
    struct server_lists *lists = mem_zalloc(1, sizeof *lists);
    lists->admin = admin;
    list_init(&lists->lists);
    list_init(&lists->old);
    return lists;
}

static void refuse_at_end(struct shared_list *list, struct http_request *request)
{
    admin_respond_error(request, 503, "the front-end is shutting down");
}

void server_lists_destroy(struct server_lists **pointer)
{
    struct server_lists *lists = *pointer;
    *pointer = NULL;
    while (!list_is_empty(&lists->lists)) {
        struct shared_list *list = list_entry(lists->lists.next, struct shared_list, link);
        answer_running(list, refuse_at_end);
        list_move_all(&list->waiting, &list->running);
        answer_running(list, refuse_at_end);
        free_server_list(list);
    }
    while (!list_is_empty(&lists->old)) {
        free_old_frame(list_entry(lists->old.next, struct old_frame, link));
    }
    free(lists);
}
