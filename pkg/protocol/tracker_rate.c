/*
 * tracker_rate: writes over the rate of their connection or address wait, and with them everything
 * that the connection has still to say. One timer looks after all that wait.
 */
#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker_private.h"

#define TICK_MS       10
#define ADDRESSES_MAX 65536

static void on_tick(void *arg)
{
    struct tracker_service *service = arg;
    uint64_t now_us = loop_now_us(service->loop);
    LIST_FOREACH (node, &service->throttled) {
        struct tracker_session *session = list_entry(node, struct pending, throttled)->session;
        const struct tracker_settings *settings = session->port->settings;
        if (bucket_wait_ms(&session->bucket, (uint32_t)settings->rate, (uint32_t)settings->burst,
                           now_us) > 0)
            continue;
        list_remove(node);
        pending_release(session);
        session_go(session, STOP_THROTTLED);
    }
    if (!list_is_empty(&service->throttled))
        loop_timer_start(service->rate_timer, TICK_MS);
}

void rate_init(struct tracker_service *service)
{
    list_init(&service->throttled);
    service->addresses = bucket_table_create(ADDRESSES_MAX);
    service->rate_timer = loop_timer_create(service->loop, on_tick, service);
}

void rate_free(struct tracker_service *service)
{
    loop_timer_destroy(&service->rate_timer);
    bucket_table_destroy(&service->addresses);
}

static void throttle(struct tracker_session *session)
{
    struct tracker_service *service = session->port->service;
    metrics_add(METRIC_WRITES_RATE, 1);
    list_append(&service->throttled, &pending_of(session)->throttled);
    session_stop(session, STOP_THROTTLED);
    if (!loop_timer_is_running(service->rate_timer))
        loop_timer_start(service->rate_timer, TICK_MS);
}

/* Connections on a unix socket have no address in common but the socket's. */
static bool address_admits(struct tracker_session *session, uint64_t now_us)
{
    const struct tracker_settings *settings = session->port->settings;
    const struct address *peer = conn_peer(session->conn);
    return peer->family == ADDRESS_UNIX ||
           bucket_table_take(session->port->service->addresses, peer,
                             (uint32_t)settings->address_rate, (uint32_t)settings->address_burst,
                             now_us);
}

bool rate_admits(struct tracker_session *session)
{
    const struct tracker_settings *settings = session->port->settings;
    uint32_t rate = (uint32_t)settings->rate, burst = (uint32_t)settings->burst;
    uint64_t now_us = loop_now_us(session->port->service->loop);
    /* The connection's token is taken last, so that none is taken from who has to wait. */
    if (bucket_wait_ms(&session->bucket, rate, burst, now_us) == 0 &&
        address_admits(session, now_us) && bucket_take(&session->bucket, rate, burst, now_us))
        return true;
    throttle(session);
    return false;
}
