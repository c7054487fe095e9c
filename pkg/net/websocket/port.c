/*
 * websocket_port: pings, connections that become idle or do not answer Close, the rate.
 *
 * No connection has a timer of its own. Open ones are in a wheel of slots, each of which is due
 * GRAIN_MS after the one before: a connection is in the slot of its next ping or time-out, and is
 * checked then. What it receives meanwhile does not move it; the check takes it into account. So a
 * ping and a time-out are at most two grains late, and never early.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/transport.h"
#include "net/websocket/websocket_private.h"

#define GRAIN_MS 100

/* Time until the connection has to be checked, ms; SPAN_MS when nothing is due that soon. */
#define SPAN_MS ((uint64_t)(WEBSOCKET_WHEEL_SLOTS - 2) * GRAIN_MS)

static uint64_t time_left(int64_t limit, uint64_t passed)
{
    if (limit == 0) {
        return SPAN_MS;
    }
    return (uint64_t)limit > passed ? (uint64_t)limit - passed : 0;
}

static uint64_t websocket_check_due_in(const struct websocket *websocket)
{
    const struct websocket_port *port = websocket->port;
    const struct websocket_settings *settings = port->settings;
    uint64_t ping =
        time_left(settings->ping_interval, net_elapsed_ms(port->net, websocket->pinged));
    uint64_t idle_ms = time_left(settings->timeout, conn_idle_ms(websocket->conn));
    uint64_t left = ping < idle_ms ? ping : idle_ms;
    return left < SPAN_MS ? left : SPAN_MS;
}

static void websocket_check(struct websocket *websocket)
{
    struct websocket_port *port = websocket->port;
    const struct websocket_settings *settings = port->settings;
    struct conn *conn = websocket->conn;
    if (settings->timeout > 0 && conn_idle_ms(conn) >= (uint64_t)settings->timeout) {
        websocket_give_up(websocket, CONN_CLOSE_SILENT);
        return;
    }
    bool is_ping_due = settings->ping_interval > 0 &&
                       net_has_passed(port->net, websocket->pinged, settings->ping_interval);
    if (is_ping_due) {
        websocket->pinged = net_stamp(port->net);
    }
    websocket_watch(websocket);
    /* A peer with a backlog is not sent pings. */
    if (is_ping_due && !conn_has_backlog(conn)) {
        websocket_send_ping(websocket);
    }
}

static struct websocket *first_websocket(const struct list *list)
{
    return list_is_empty(list) ? NULL : list_entry(list->next, struct websocket, node);
}

/* A reload has changed settings that determine the slots. */
static void wheel_apply_settings(struct websocket_port *port)
{
    const struct websocket_settings *settings = port->settings;
    struct list all;
    struct websocket *websocket;
    if (port->wheel.ping_interval == settings->ping_interval &&
        port->wheel.timeout == settings->timeout) {
        return;
    }
    port->wheel.ping_interval = settings->ping_interval;
    port->wheel.timeout = settings->timeout;
    list_init(&all);
    for (size_t i = 0; i < WEBSOCKET_WHEEL_SLOTS; i++) {
        list_move_all(&port->wheel.slots[i], &all);
    }
    while ((websocket = first_websocket(&all))) {
        websocket_watch(websocket);
    }
}

static void wheel_advance(struct websocket_port *port)
{
    struct websocket_wheel *wheel = &port->wheel;
    uint64_t now = loop_now_ms(net_loop(port->net));
    struct list due;
    struct websocket *websocket;
    list_init(&due);
    while (wheel->time_ms + GRAIN_MS <= now) {
        wheel->time_ms += GRAIN_MS;
        wheel->position = (wheel->position + 1) % WEBSOCKET_WHEEL_SLOTS;
        list_move_all(&wheel->slots[wheel->position], &due);
    }
    while ((websocket = first_websocket(&due))) {
        list_remove(&websocket->node);
        websocket_check(websocket);
    }
}

static void end_closing(struct websocket_port *port)
{
    struct websocket *websocket;
    while ((websocket = first_websocket(&port->closing)) &&
           net_has_passed(port->net, websocket->closing_since, port->settings->close_timeout)) {
        list_remove(&websocket->node);
        websocket_give_up(websocket, (enum conn_close_reason)websocket->reason);
    }
}

static void on_websocket_tick(void *arg)
{
    struct websocket_port *port = arg;
    websocket_forget_shared(port);
    wheel_apply_settings(port);
    wheel_advance(port);
    end_closing(port);
    if (port->count > 0) {
        loop_timer_start(port->tick, GRAIN_MS);
    }
}

static void wait_for_tick(struct websocket_port *port)
{
    if (!loop_timer_is_running(port->tick)) {
        port->wheel.time_ms = loop_now_ms(net_loop(port->net)); /* it is empty */
        loop_timer_start(port->tick, GRAIN_MS);
    }
}

void websocket_watch(struct websocket *websocket)
{
    struct websocket_wheel *wheel = &websocket->port->wheel;
    wait_for_tick(websocket->port);
    /* The wheel may have to catch up with the clock: slots count from its own time. */
    uint64_t due = loop_now_ms(net_loop(websocket->port->net)) - wheel->time_ms +
                   websocket_check_due_in(websocket);
    uint64_t ahead = due / GRAIN_MS + 1;
    if (ahead > WEBSOCKET_WHEEL_SLOTS - 1) {
        ahead = WEBSOCKET_WHEEL_SLOTS - 1;
    }
    list_remove(&websocket->node);
    list_append(&wheel->slots[(wheel->position + ahead) % WEBSOCKET_WHEEL_SLOTS], &websocket->node);
}

void websocket_await_close(struct websocket *websocket)
{
    websocket->closing_since = net_stamp(websocket->port->net);
    list_remove(&websocket->node);
    list_append(&websocket->port->closing, &websocket->node);
    wait_for_tick(websocket->port);
}

/* The rate is one of its own beside the budget; a connection over it waits as one over its budget.
 */

bool websocket_admits(struct websocket *websocket)
{
    const struct websocket_settings *settings = websocket->port->settings;
    const uint32_t rate = (uint32_t)settings->rate, burst = (uint32_t)settings->burst;
    const uint64_t now_us = loop_now_us(net_loop(websocket->port->net));
    const uint64_t wait_us = bucket_wait_us(&websocket->rate, rate, burst, now_us);
    if (wait_us == 0) {
        return true;
    }
    if (settings->over_rate == WEBSOCKET_OVER_RATE_CLOSE) {
        websocket_fail(websocket, WEBSOCKET_ERROR_RATE);
        return false;
    }
    metrics_add(METRIC_WEBSOCKET_THROTTLED, 1);
    conn_wait_us(websocket->conn, wait_us);
    return false;
}

void websocket_charge(struct websocket *websocket)
{
    bucket_charge(&websocket->rate, (uint32_t)websocket->port->settings->rate, 1,
                  loop_now_us(net_loop(websocket->port->net)));
}

struct websocket_port *websocket_port_create(struct net *net,
                                             const struct websocket_settings *settings)
{
    static const uint8_t ping[] = {0x80 | WEBSOCKET_FRAME_PING, 0};
    struct websocket_port *port = mem_zalloc(1, sizeof *port);
    port->net = net;
    port->settings = settings;
    for (size_t i = 0; i < WEBSOCKET_WHEEL_SLOTS; i++) {
        list_init(&port->wheel.slots[i]);
    }
    port->wheel.ping_interval = settings->ping_interval;
    port->wheel.timeout = settings->timeout;
    list_init(&port->closing);
    list_init(&port->resumed);
    port->present = (struct loop_task){.callback = websocket_stream_present, .arg = port};
    port->tick = loop_timer_create(net_loop(net), on_websocket_tick, port);
    port->ping = frame_create((struct bytes){ping, sizeof ping});
    port->closed_limit = (struct log_limit){.burst = 10};
    port->refused_limit = (struct log_limit){.burst = 10};
    return port;
}

void websocket_port_destroy(struct websocket_port **pointer)
{
    struct websocket_port *port = *pointer;
    *pointer = NULL;
    if (!port) {
        return;
    }
    assert(port->count == 0);
    loop_cancel(net_loop(port->net), &port->present);
    loop_timer_destroy(&port->tick);
    websocket_forget_shared(port);
    frame_unref(&port->ping);
    free(port);
}

size_t websocket_port_count(const struct websocket_port *port)
{
    return port->count;
}

static void end_all(struct list *list, enum conn_close_reason reason)
{
    LIST_FOREACH (node, list) {
        websocket_end(list_entry(node, struct websocket, node), reason);
    }
}

void websocket_port_end(struct websocket_port *port, enum conn_close_reason reason)
{
    for (size_t i = 0; i < WEBSOCKET_WHEEL_SLOTS; i++) {
        end_all(&port->wheel.slots[i], reason);
    }
}
