/*
 * tracker_rate: writes over the rate of their connection wait, and with them all later input of the
 * connection.
 *
 * Updates of dialects without ids, which have no reply, do not wait: a client that sends its state
 * faster than the rate would get an ever larger backlog. They are read, the newest is held until
 * the rate allows it, and those that it superseded count in its version. Any other write waits for
 * what is held.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

/* Of the budget: each unit is for so many bytes of acknowledgements, or so many reads of them. */
#define UNIT_BYTES     1024
#define READS_PER_UNIT 8

#define TICK_MS        10

static void throttle_session(struct tracker_session *session)
{
    struct tracker_service *service = session->port->service;
    struct pending *pending = pending_of(session);
    if (!list_is_empty(&pending->throttled)) {
        return;
    }
    metrics_add(METRIC_WRITES_RATE, 1);
    list_append(&service->throttled, &pending->throttled);
    if (!loop_timer_is_running(service->rate_timer)) {
        loop_timer_start(service->rate_timer, TICK_MS);
    }
}

static enum rate_verdict hold_update(struct tracker_session *session, struct bytes state)
{
    struct held *old, *held = mem_alloc(sizeof *held + state.len);
    throttle_session(session);
    old = session->pending->held;
    *held = (struct held){.skipped = old ? old->skipped + 1 : 0, .len = state.len};
    if (state.len > 0) {
        memcpy(held->state, state.data, state.len);
    }
    metrics_add(METRIC_WRITES_SUPERSEDED, old != NULL);
    session->pending->held = held;
    free(old);
    return RATE_HELD;
}

static struct held *take_held(struct tracker_session *session)
{
    struct pending *pending = session->pending;
    struct held *held = pending->held;
    pending->held = NULL;
    list_remove(&pending->throttled);
    return held;
}

static void write_held(struct tracker_session *session)
{
    struct held *held = take_held(session);
    tracker_write_entry(session, (struct bytes){held->state, held->len}, held->skipped,
                        REPLY_SILENT);
    free(held);
}

void rate_charge_acknowledgements(struct tracker_session *session, size_t len)
{
    const size_t owed = session->owed + UNIT_BYTES / READS_PER_UNIT + len;
    if (owed >= UNIT_BYTES) {
        conn_charge(session->conn, (uint32_t)(owed / UNIT_BYTES));
    }
    session->owed = (uint16_t)(owed % UNIT_BYTES);
}

void rate_flush(struct tracker_session *session)
{
    if (!session->pending || !session->pending->held) {
        return;
    }
    /* An ending session does not open an entry again that was closed or taken over meanwhile. */
    if (session->id && map_session_owns(session->map, bytes_from_string(session->id))) {
        write_held(session);
    } else {
        free(take_held(session));
        pending_release(session);
    }
}

static bool rate_admits_write(struct tracker_session *session)
{
    const struct tracker_settings *settings = session->port->settings;
    uint32_t rate = (uint32_t)settings->rate, burst = (uint32_t)settings->burst;
    uint64_t now_us = loop_now_us(session->port->service->common.loop);
    return bucket_take(&session->bucket, rate, burst, now_us);
}

/* Behind a held update until that is written, else for the rate. */
static enum rate_verdict wait_for_rate(struct tracker_session *session)
{
    const struct tracker_settings *settings = session->port->settings;
    if (session->pending && session->pending->held) {
        throttle_session(session);
        tracker_stop_reading(session, STOP_THROTTLED);
        return RATE_WAIT;
    }
    metrics_add(METRIC_WRITES_RATE, 1);
    conn_wait_us(session->conn, bucket_wait_us(&session->bucket, (uint32_t)settings->rate,
                                               (uint32_t)settings->burst,
                                               loop_now_us(session->port->service->common.loop)));
    return RATE_WAIT;
}

enum rate_verdict rate_judge(struct tracker_session *session, const struct tracker_message *message)
{
    struct held *held = session->pending ? session->pending->held : NULL;
    if (message->type == TRACKER_UPDATE && !tracker_has_ids(session) && session->id) {
        return held != NULL || !rate_admits_write(session) ? hold_update(session, message->state)
                                                           : RATE_GO;
    }
    if (held || (message->type != TRACKER_ALL && !rate_admits_write(session))) {
        return wait_for_rate(session);
    }
    return RATE_GO;
}

static void on_rate_tick(void *arg)
{
    struct tracker_service *service = arg;
    uint64_t now_us = loop_now_us(service->common.loop);
    LIST_FOREACH (node, &service->throttled) {
        struct tracker_session *session = list_entry(node, struct pending, throttled)->session;
        const struct tracker_settings *settings = session->port->settings;
        if (bucket_wait_ms(&session->bucket, (uint32_t)settings->rate, (uint32_t)settings->burst,
                           now_us) > 0) {
            continue;
        }
        if (session->pending->held) {
            if (!rate_admits_write(session)) {
                continue;
            }
            write_held(session);
        } else {
            list_remove(node);
            pending_release(session);
        }
        tracker_resume_reading(session, STOP_THROTTLED);
    }
    if (!list_is_empty(&service->throttled)) {
        loop_timer_start(service->rate_timer, TICK_MS);
    }
}

void rate_init(struct tracker_service *service)
{
    list_init(&service->throttled);
    service->rate_timer = loop_timer_create(service->common.loop, on_rate_tick, service);
}

void rate_free(struct tracker_service *service)
{
    loop_timer_destroy(&service->rate_timer);
}
