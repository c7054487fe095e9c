/*
 * sync_relay: packets from client to client. The sender's front-end encodes what receivers get; it
 * is forwarded as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/sync/sync_private.h"

/* Why a receiver did not get a packet. */
enum relay_failure { FAILURE_UNDELIVERABLE, FAILURE_NO_ANSWER, FAILURE_NOT_SENT };
#define FAILURES 3

static const struct {
    enum sync_code code;
    const char *text;
} failures[FAILURES] = {
    [FAILURE_UNDELIVERABLE] = {SYNC_CODE_UNDELIVERABLE, "no receiver accepts packets"},
    [FAILURE_NO_ANSWER] = {SYNC_CODE_UNAVAILABLE, "no answer in time, it may not have arrived"},
    [FAILURE_NOT_SENT] = {SYNC_CODE_UNAVAILABLE, "too many packets wait, this one was not sent"},
};

/* One receiver of a packet. */
struct relay_target {
    struct sync_relay *relay;
    struct bytes id; /* empty: all clients */
};

/* A packet until the outcome is known for each of its receivers. Those for which it becomes known
 * in one event-loop iteration that they did not get it are named in one error for each reason. */
struct sync_relay {
    struct list link; /* the session's */
    struct sync_session *session;
    size_t waiting; /* receivers whose outcome is not known */
    struct loop_task report;
    bool failed[FAILURES]; /* to be reported */
    struct writer failed_ids[FAILURES];
    struct relay_target targets[]; /* then their ids */
};

/* A client that sends faster than it is answered must not starve the others. */
static void begin_relay(struct sync_session *session, size_t count)
{
    session->under_way += (uint32_t)count;
    if (session->under_way >= (uint64_t)session->port->settings->pipeline) {
        conn_pause_reading(websocket_conn(session->websocket));
    }
}

static void end_relay(struct sync_session *session)
{
    if (--session->under_way < (uint64_t)session->port->settings->pipeline) {
        conn_resume_reading(websocket_conn(session->websocket));
    }
}

static void free_sync_relay(struct sync_relay *relay)
{
    list_remove(&relay->link);
    loop_cancel(relay->session->port->service->common.loop, &relay->report);
    for (size_t i = 0; i < FAILURES; i++) {
        writer_free(&relay->failed_ids[i]);
    }
    free(relay);
}

static void note_relay_failure(struct sync_relay *relay, struct bytes id,
                               enum relay_failure failure)
{
    struct writer *ids = &relay->failed_ids[failure];
    relay->failed[failure] = true;
    loop_defer(relay->session->port->service->common.loop, LOOP_PHASE_STORE, &relay->report);
    if (id.len > 0) {
        writer_string(ids, ids->len > 0 ? ", " : "");
        writer_bytes(ids, id);
    }
}

/* No longer than what was asked, but for the reason. */
static void send_relay_failure(struct sync_relay *relay, enum relay_failure failure)
{
    struct writer *text = &relay->failed_ids[failure];
    writer_string(text, text->len > 0 ? ": " : "");
    writer_string(text, failures[failure].text);
    writer_u8(text, 0);
    sync_packet_fail(relay->session, failures[failure].code, (const char *)text->data);
    writer_reset(text);
    relay->failed[failure] = false;
}

static void on_relay_report(void *arg)
{
    struct sync_relay *relay = arg;
    for (size_t i = 0; i < FAILURES; i++) {
        if (relay->failed[i]) {
            send_relay_failure(relay, (enum relay_failure)i);
        }
    }
    if (relay->waiting == 0) {
        free_sync_relay(relay);
    }
}

static void on_done(void *arg, enum map_result result, uint64_t version)
{
    const struct relay_target *target = arg;
    struct sync_relay *relay = target->relay;
    struct sync_session *session = relay->session;
    switch (result) {
    case MAP_OK:
        break;
    case MAP_DEADLINE:
        note_relay_failure(relay, target->id, FAILURE_NO_ANSWER);
        break;
    case MAP_REFUSED:
    case MAP_LIMIT:
        note_relay_failure(relay, target->id, FAILURE_NOT_SENT);
        break;
    default:
        note_relay_failure(relay, target->id, FAILURE_UNDELIVERABLE);
        break;
    }
    if (--relay->waiting == 0 && !relay->report.queued) {
        free_sync_relay(relay);
    }
    end_relay(session);
}

/* For these receivers, or with count 0 for all clients. */
static struct sync_relay *create_sync_relay(struct sync_session *session, const struct bytes *ids,
                                            size_t count)
{
    size_t targets = count > 0 ? count : 1, size = 0;
    for (size_t i = 0; i < count; i++) {
        size += ids[i].len;
    }
    struct sync_relay *relay =
        mem_zalloc(1, sizeof *relay + targets * sizeof relay->targets[0] + size);
    uint8_t *at = (uint8_t *)(relay->targets + targets);
    relay->session = session;
    relay->waiting = targets;
    relay->report = (struct loop_task){.callback = on_relay_report, .arg = relay};
    relay->targets[0].relay = relay;
    for (size_t i = 0; i < count; i++) {
        relay->targets[i] = (struct relay_target){relay, {at, ids[i].len}};
        memcpy(at, ids[i].data, ids[i].len);
        at += ids[i].len;
    }
    list_init(&relay->link);
    list_append(&session->relays, &relay->link);
    begin_relay(session, targets);
    return relay;
}

static void relay_to_many(struct sync_session *session, const struct sync_packet *packet,
                          struct bytes from, struct bytes text)
{
    struct sync_relay *relay = create_sync_relay(session, packet->to, packet->to_count);
    struct relay_receiver *receivers = mem_alloc(packet->to_count * sizeof *receivers);
    struct map_packet *shared = map_packet_create(from, text);
    for (size_t i = 0; i < packet->to_count; i++) {
        receivers[i] = (struct relay_receiver){relay->targets[i].id, &relay->targets[i]};
    }
    relay_send_to_many(session->map, shared, receivers, packet->to_count, on_done);
    map_packet_unref(&shared);
    free(receivers);
}

static void relay_to_all(struct sync_session *session, struct bytes from, struct bytes text)
{
    struct conn *conn = websocket_conn(session->websocket);
    const struct fanout *packets = &session->port->subscribers->packets;
    struct sync_relay *relay;
    uint32_t cost = relay_broadcast_cost(session->map, text.len), most = conn_max_charge(conn);
    conn_wait_us(conn, fanout_wait_us(packets));
    if (fanout_refuses(packets)) {
        sync_packet_fail(session, failures[FAILURE_NOT_SENT].code, failures[FAILURE_NOT_SENT].text);
        return;
    }
    conn_charge(conn, cost < most ? cost : most); /* however many clients there are */
    relay = create_sync_relay(session, NULL, 0);
    relay_send_broadcast(session->map, from, text, on_done, &relay->targets[0]);
}

/* False when the packet has been refused. */
static bool charge_relay(struct sync_session *session, const struct sync_packet *packet, size_t len)
{
    struct conn *conn = websocket_conn(session->websocket);
    uint32_t cost = relay_cost(session->map, len, packet->to, packet->to_count);
    if (cost > conn_max_charge(conn)) {
        sync_packet_fail(session, SYNC_CODE_LIMIT,
                         "to: too much work for one packet (budget.rate): send it to fewer "
                         "receivers, or a smaller one");
        return false;
    }
    conn_charge(conn, cost);
    return true;
}

void sync_relay_send(struct sync_session *session, const struct sync_packet *packet)
{
    struct bytes from = bytes_from_string(session->token), text;
    struct writer writer = {0};
    metrics_add(METRIC_SYNC_RELAY, 1);
    sync_write_relay(&writer, packet, from);
    text = writer_bytes_written(&writer);
    if (packet->everyone) {
        relay_to_all(session, from, text);
    }
    if (packet->to_count > 0 && charge_relay(session, packet, text.len)) {
        relay_to_many(session, packet, from, text);
    }
    writer_free(&writer);
}

void sync_relay_forget(struct sync_session *session)
{
    while (!list_is_empty(&session->relays)) {
        free_sync_relay(list_entry(session->relays.next, struct sync_relay, link));
    }
}

/* Packets cannot be joined: a client that leaves too many unread is closed. What the kernel takes
 * at once is not unread. */
static bool may_send_relayed(struct sync_session *session, size_t len)
{
    struct conn *conn = websocket_conn(session->websocket);
    uint64_t most = (uint64_t)session->port->settings->max_backlog;
    if (session->state != SYNC_MEMBER) {
        return false;
    }
    size_t unread = conn_output_size(conn);
    session->unread = session->unread < unread ? session->unread : (uint32_t)unread;
    if (session->unread > 0 && session->unread + len > most) {
        unread = conn_flush_output(conn);
        session->unread = session->unread < unread ? session->unread : (uint32_t)unread;
    }
    if (session->unread > 0 && session->unread + len > most) {
        sync_session_end_later(session, SYNC_END_BACKLOG);
        return false;
    }
    session->unread += (uint32_t)len;
    return true;
}

static struct frame *encode_relayed(void *arg, struct bytes text)
{
    return websocket_frame_create(WEBSOCKET_TEXT, text);
}

static void send_relayed(struct sync_session *session, struct frame *frame)
{
    websocket_send_frame(session->websocket, frame);
    metrics_add(METRIC_SYNC_PUSH_PACKET, 1);
}

bool sync_relay_receive(void *arg, struct map_packet *packet)
{
    struct sync_session *session = arg;
    if (session->state == SYNC_MEMBER) {
        fanout_catch_up(&session->port->subscribers->packets, &session->place);
    }
    if (!may_send_relayed(session, map_packet_text(packet).len)) {
        return false;
    }
    send_relayed(session, map_packet_frame(packet, encode_relayed, NULL));
    return true;
}

/* Numbers are compared as they wrap. */
void sync_relay_deliver(void *subscribers, struct list *place, const struct fanout_frame *packet)
{
    struct sync_session *session = list_entry(place, struct sync_session, place);
    if ((int32_t)((uint32_t)packet->number - session->last_packet) <= 0) {
        return;
    }
    session->last_packet = (uint32_t)packet->number;
    if (may_send_relayed(session, packet->frame->len)) {
        send_relayed(session, packet->frame);
    }
}

void sync_relay_broadcast(struct relay_listener *listener, struct bytes from, struct bytes packet)
{
    struct sync_subscribers *subscribers = list_entry(listener, struct sync_subscribers, listener);
    struct frame *frame;
    if (list_is_empty(&subscribers->members)) {
        return;
    }
    frame = websocket_frame_create(WEBSOCKET_TEXT, packet);
    fanout_add(&subscribers->packets, 0, frame);
    frame_unref(&frame);
}
