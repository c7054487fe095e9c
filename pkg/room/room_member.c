/*
 * room_member: the members of rooms here: joining, leaving, publishing.
 *
 * What is asked of Redis for a member is a struct room_request: the member may have left when its
 * answer comes, and its session may have ended, with which the request ends.
 */
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_op_private.h"
#include "room/room_private.h"

/* Until the list is read, and read again, when the room's messages do not have a joining that Redis
 * has accepted. */
#define CHECK_MS 1000

enum request_kind { REQUEST_JOIN, REQUEST_PUBLISH };

struct room_request {
    struct ending ending;
    struct list in_member;
    struct list settled;   /* the set's */
    struct member *member; /* NULL: it has left */
    map_done done;         /* PUBLISH */
    void *arg;
    uint8_t kind;
    uint8_t result; /* settled */
    bool repeated;
    size_t len;
    uint8_t message[]; /* PUBLISH */
};

static struct bytes member_device_id(const struct member *member)
{
    return (struct bytes){(const uint8_t *)member->public.id, member->public.id_len};
}

static struct bytes user_of(const struct member *member)
{
    return (struct bytes){(const uint8_t *)member->public.id + member->public.id_len,
                          member->user_len};
}

static void free_request(struct room_request *request)
{
    if (request->member && request->kind == REQUEST_JOIN) {
        request->member->joins--;
    }
    ending_detach(&request->ending);
    list_remove(&request->in_member);
    list_remove(&request->settled);
    free(request);
}

static void on_requester_ended(struct ending *ending)
{
    free_request(list_entry(ending, struct room_request, ending));
}

static struct room_request *create_request(struct member *member, enum request_kind kind,
                                           struct bytes message)
{
    struct room_request *request = mem_alloc(sizeof *request + message.len);
    memset(request, 0, sizeof *request);
    request->kind = (uint8_t)kind;
    request->member = member;
    request->len = message.len;
    if (message.len) {
        memcpy(request->message, message.data, message.len);
    }
    list_init(&request->settled);
    list_init(&request->in_member);
    list_append(&member->requests, &request->in_member);
    ending_attach(&request->ending, member->public.session, on_requester_ended);
    return request;
}

static void confirm_member(struct member *member, bool confirmed)
{
    struct room *room = member->public.room;
    size_t *count = &room_space_of(room->rooms->space)->confirmed[partition_index(room->partition)];
    *count += confirmed;
    *count -= member->confirmed;
    member->confirmed = confirmed;
    member->confirmed_at = room->reads;
    loop_pending_cancel(&member->check);
    if (confirmed && loop_pending_is_waiting(&member->joining)) {
        loop_pending_begin(room->rooms->checks, &member->check, CHECK_MS, 0);
    }
}

static void free_member(struct member *member)
{
    struct room *room = member->public.room;
    struct room_set *rooms = room->rooms;
    while (!list_is_empty(&member->requests)) {
        struct room_request *request =
            list_entry(member->requests.next, struct room_request, in_member);
        list_remove(&request->in_member);
        request->member = NULL;
        request->done = NULL;
    }
    confirm_member(member, false);
    room->active -= member->public.active;
    if (room->current == member) {
        room->current = NULL;
    }
    loop_pending_cancel(&member->joining);
    fanout_leave(&room->fanout, &member->public.link);
    struct list *lists[] = {&member->entering, &member->again, &member->public.link};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_remove(lists[i]);
    }
    ending_detach(&member->ending);
    HASH_DEL(room->table, member);
    metrics_add(METRIC_ROOM_MEMBERS, -1);
    free(member);
    if (!list_is_empty(&room->members)) {
        return;
    }
    list_append(&rooms->unused, &room->unused);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_FREE, &rooms->forget);
}

static void leave_room(struct member *member)
{
    struct room *room = member->public.room;
    if (member->sent) {
        room_op_leave(room->rooms->space, NULL, room_name(room), member_device_id(member),
                      ++room->rooms->number, NULL, NULL);
    }
    free_member(member);
}

/* It could not join: it is not in the room. */
void room_member_fail(struct member *member, enum map_result result)
{
    map_done done = member->public.done;
    void *arg = member->public.done_arg;
    leave_room(member);
    if (done) {
        done(arg, result, 0);
    }
}

void room_member_expire(void *rooms, struct loop_pending *joining, int result)
{
    room_member_fail(list_entry(joining, struct member, joining), MAP_DEADLINE);
}

/* It may have been a member before: then the list has it. */
void room_member_check(void *arg, struct loop_pending *check, int result)
{
    struct room_set *rooms = arg;
    struct member *member = list_entry(check, struct member, check);

    loop_pending_begin(rooms->checks, check, CHECK_MS, 0);
    if (member->public.room->state == ROOM_LISTED) {
        room_read_start(member->public.room);
    }
}

/* Joining. */

static void join_again_later(struct member *member)
{
    struct room_set *rooms = member->public.room->rooms;
    if (list_is_empty(&member->again)) {
        list_append(&rooms->again, &member->again);
    }
    rooms_retry_later(rooms);
}

/* seq: of the room's last message, which is its joining unless it was a member already. */
static void on_join_accepted(struct member *member, uint64_t seq)
{
    struct room *room = member->public.room;
    confirm_member(member, true);
    bool is_late = !member->public.active && list_is_empty(&member->entering) && seq <= room->seq;
    /* Messages of another epoch, from before a member here was confirmed in it, have not been
     * received. */
    bool is_of_other = strcmp(room->epoch, partition_epoch(room->partition)) != 0;
    if (room->state == ROOM_LISTED && (is_late || is_of_other)) {
        room_read_start(room);
    }
}

static void on_join_answered(void *arg, enum map_result result, uint64_t version)
{
    struct room_request *request = arg;
    struct member *member = request->member;
    free_request(request);
    if (!member) {
        return;
    }
    if (result == MAP_OK) {
        on_join_accepted(member, version);
    } else if (member->public.active) {
        join_again_later(member);
    } else if (member->joins == 0) {
        room_member_fail(member, result);
    }
}

void room_member_join(struct member *member)
{
    struct map_session *session = member->public.session;
    list_remove(&member->again);
    if (!session) {
        return;
    }
    struct room_request *request = create_request(member, REQUEST_JOIN, (struct bytes){0});
    member->joins++;
    member->sent = true;
    room_op_join(session, room_name(member->public.room), member_device_id(member), user_of(member),
                 member->number, member->public.active, on_join_answered, request);
}

void room_member_join_soon(struct member *member)
{
    struct room_set *rooms = member->public.room->rooms;
    list_remove(&member->again);
    list_append(&rooms->fresh, &member->again);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_VIEW, &rooms->join);
}

void room_join_fresh(void *arg)
{
    struct room_set *rooms = arg;
    while (!list_is_empty(&rooms->fresh)) {
        room_member_join(list_entry(rooms->fresh.next, struct member, again));
    }
}

void room_join_waiting(struct room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct room_member *public = list_entry(node, struct room_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (!member->sent) {
            room_member_join_soon(member);
        }
    }
}

void room_member_lost(struct member *member)
{
    member->parted |= member->public.active;
    confirm_member(member, false);
    if (member->joins == 0) {
        room_member_join(member);
    }
}

struct member *room_find_member(const struct room *room, struct bytes id)
{
    struct member *member = NULL;
    HASH_FIND(hh, room->table, id.data, id.len, member);
    return member;
}

static void session_ended(struct ending *ending)
{
    struct member *member = list_entry(ending, struct member, ending);
    member->public.session = NULL;
    list_remove(&member->again);
}

struct member *room_member_create(struct room *room, struct map_session *session, struct bytes id,
                                  struct bytes user)
{
    struct member *member = mem_zalloc(1, sizeof *member + id.len + user.len);
    struct room_member *public = &member->public;
    struct list *lists[] = {&member->entering, &member->again, &member->requests, &public->link};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    loop_pending_init(&member->joining);
    loop_pending_init(&member->check);
    public->room = room;
    public->session = session;
    public->id_len = (uint8_t)id.len;
    memcpy(public->id, id.data, id.len);
    memcpy(public->id + id.len, user.data, user.len);
    member->user_len = user.len;
    member->number = ++room->rooms->number;
    ending_attach(&member->ending, session, session_ended);
    list_append(&room->members, &public->link);
    HASH_ADD_KEYPTR(hh, room->table, public->id, public->id_len, member);
    metrics_add(METRIC_ROOM_MEMBERS, 1);
    return member;
}

void room_leave(struct room_member **member)
{
    struct room_member *public = *member;
    *member = NULL;
    if (public) {
        leave_room(list_entry(public, struct member, public));
    }
}

/* Publishing. */

static void end_publish(struct room_request *request, enum map_result result)
{
    map_done done = request->done;
    void *arg = request->arg;
    free_request(request);
    if (done) {
        done(arg, result, 0);
    }
}

void room_settle_requests(void *arg)
{
    struct room_set *rooms = arg;
    while (!list_is_empty(&rooms->settled)) {
        struct room_request *request =
            list_entry(rooms->settled.next, struct room_request, settled);
        end_publish(request, (enum map_result)request->result);
    }
}

static void submit_publish(struct room_request *request);

static void on_published(void *arg, enum map_result result, uint64_t version)
{
    struct room_request *request = arg;
    struct member *member = request->member;
    if (result != MAP_MISSING || !member || request->repeated) {
        end_publish(request, result);
        return;
    }
    /* Redis lost the member: nothing has been published. */
    request->repeated = true;
    room_member_lost(member);
    submit_publish(request);
}

static void submit_publish(struct room_request *request)
{
    struct member *member = request->member;
    struct room *room = member->public.room;
    member->public.last_number = ++room->rooms->number;
    room_op_publish(member->public.session, room_name(room), member_device_id(member),
                    member->public.last_number, (struct bytes){request->message, request->len},
                    on_published, request);
}

void room_publish(struct room_member *public, struct bytes message, map_done done, void *arg)
{
    struct member *member = list_entry(public, struct member, public);
    struct room_set *rooms = public->room->rooms;
    struct room_request *request = create_request(member, REQUEST_PUBLISH, message);
    request->done = done;
    request->arg = arg;
    if (public->active && public->session) {
        submit_publish(request);
        return;
    }
    request->result = MAP_MISSING;
    list_append(&rooms->settled, &request->settled);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_VIEW, &rooms->settle);
}

void room_rejoin(struct room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct room_member *public = list_entry(node, struct room_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (member->sent && member->joins == 0) {
            room_member_join(member);
        }
    }
}
