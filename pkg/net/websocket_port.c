/*
 * websocket_port: who is asked for a sign of life, who has given none, who does not answer Close,
 * who has to wait.
 *
 * Each open connection is looked after several times within the shorter of ping interval and
 * time-out. All wait equally long for that, so they stand in one list in the order in which it is
 * due: no connection has a timer of its own, and a time-out is late by a fraction of itself at
 * most.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/net_private.h"
#include "net/websocket_private.h"

#define TICK_MS     250
#define THROTTLE_MS 10
#define LOOKS       8 /* within the shorter of the two */
#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 5000

static int64_t look_ms(const struct websocket_settings *settings)
{
    int64_t shorter = settings->ping_interval;
    if (shorter == 0 || (settings->timeout > 0 && settings->timeout < shorter))
        shorter = settings->timeout;
    if (shorter == 0 || shorter / LOOKS > LOOK_MAX_MS)
        return LOOK_MAX_MS;
    return shorter / LOOKS > LOOK_MIN_MS ? shorter / LOOKS : LOOK_MIN_MS;
}

static uint64_t tick_ms(const struct websocket_settings *settings)
{
    int64_t look = look_ms(settings);
    return look < TICK_MS ? (uint64_t)look : TICK_MS;
}

static void look(struct websocket *websocket)
{
    struct websocket_port *port = websocket->port;
    const struct websocket_settings *settings = port->settings;
    struct conn *conn = websocket->conn;
    if (settings->timeout > 0 && conn_silence_ms(conn) >= (uint64_t)settings->timeout) {
        websocket_give_up(websocket, CONN_CLOSE_SILENT);
        return;
    }
    websocket_watch(websocket);
    /* Who does not take what there is already is not asked for more. */
    if (settings->ping_interval == 0 || conn_is_behind(conn) ||
        !net_has_passed(port->net, websocket->pinged, settings->ping_interval))
        return;
    websocket->pinged = net_stamp(port->net);
    websocket_send_ping(websocket);
}

static struct websocket *first_of(const struct list *list)
{
    return list_is_empty(list) ? NULL : list_entry(list->next, struct websocket, node);
}

static void look_after(struct websocket_port *port)
{
    int64_t every = look_ms(port->settings);
    struct websocket *websocket;
    while ((websocket = first_of(&port->watched)) != NULL &&
           net_has_passed(port->net, websocket->looked, every)) {
        list_remove(&websocket->node);
        look(websocket);
    }
}

static void end_closing(struct websocket_port *port)
{
    struct websocket *websocket;
    while ((websocket = first_of(&port->closing)) != NULL &&
           net_has_passed(port->net, websocket->looked, port->settings->close_timeout)) {
        list_remove(&websocket->node);
        websocket_give_up(websocket, (enum conn_close_reason)websocket->reason);
    }
}

static void on_tick(void *arg)
{
    struct websocket_port *port = arg;
    websocket_forget_shared(port);
    look_after(port);
    end_closing(port);
    if (port->count > 0)
        loop_timer_start(port->tick, tick_ms(port->settings));
}

static void wait_for_tick(struct websocket_port *port)
{
    if (!loop_timer_is_running(port->tick))
        loop_timer_start(port->tick, tick_ms(port->settings));
}

void websocket_watch(struct websocket *websocket)
{
    websocket->looked = net_stamp(websocket->port->net);
    list_remove(&websocket->node);
    list_append(&websocket->port->watched, &websocket->node);
    wait_for_tick(websocket->port);
}

void websocket_await_close(struct websocket *websocket)
{
    websocket->looked = net_stamp(websocket->port->net);
    list_remove(&websocket->node);
    list_append(&websocket->port->closing, &websocket->node);
    wait_for_tick(websocket->port);
}

/* The rate: each message moves the time at which it is due by its share of a second; up to a burst
 * of them may be taken before they are due. */

static uint64_t share_us(const struct websocket_settings *settings)
{
    return 1000000 / (uint64_t)settings->rate;
}

static bool is_due(const struct websocket *websocket)
{
    const struct websocket_settings *settings = websocket->port->settings;
    uint64_t now = loop_now_us(net_loop(websocket->port->net));
    if (settings->rate == 0)
        return true;
    return websocket->rate_due_us <= now + (uint64_t)(settings->burst - 1) * share_us(settings);
}

bool websocket_admits(struct websocket *websocket)
{
    struct websocket_port *port = websocket->port;
    if (is_due(websocket))
        return true;
    if (port->settings->over_rate == WEBSOCKET_OVER_RATE_CLOSE) {
        websocket_fail(websocket, WEBSOCKET_ERROR_RATE);
        return false;
    }
    metrics_add(METRIC_WEBSOCKET_THROTTLED, 1);
    list_remove(&websocket->node);
    list_append(&port->throttled, &websocket->node);
    websocket_stop(websocket, WEBSOCKET_STOP_RATE);
    if (!loop_timer_is_running(port->throttle))
        loop_timer_start(port->throttle, THROTTLE_MS);
    return false;
}

void websocket_charge(struct websocket *websocket)
{
    const struct websocket_settings *settings = websocket->port->settings;
    uint64_t now = loop_now_us(net_loop(websocket->port->net));
    if (settings->rate == 0)
        return;
    if (websocket->rate_due_us < now)
        websocket->rate_due_us = now;
    websocket->rate_due_us += share_us(settings);
}

static void on_throttle(void *arg)
{
    struct websocket_port *port = arg;
    LIST_FOREACH (node, &port->throttled) {
        struct websocket *websocket = list_entry(node, struct websocket, node);
        if (!is_due(websocket))
            continue;
        websocket_watch(websocket);
        websocket_go(websocket, WEBSOCKET_STOP_RATE);
    }
    if (!list_is_empty(&port->throttled))
        loop_timer_start(port->throttle, THROTTLE_MS);
}

struct websocket_port *websocket_port_create(struct net *net,
                                             const struct websocket_settings *settings)
{
    static const uint8_t ping[] = {0x80 | WEBSOCKET_FRAME_PING, 0};
    struct websocket_port *port = mem_zalloc(1, sizeof *port);
    port->net = net;
    port->settings = settings;
    list_init(&port->watched);
    list_init(&port->throttled);
    list_init(&port->closing);
    list_init(&port->resumed);
    port->present = (struct loop_task){.callback = websocket_stream_present, .arg = port};
    port->tick = loop_timer_create(net_loop(net), on_tick, port);
    port->throttle = loop_timer_create(net_loop(net), on_throttle, port);
    port->ping = frame_create((struct bytes){ping, sizeof ping});
    port->closed_limit = (struct log_limit){.burst = 10};
    port->refused_limit = (struct log_limit){.burst = 10};
    return port;
}

void websocket_port_destroy(struct websocket_port **pointer)
{
    struct websocket_port *port = *pointer;
    *pointer = NULL;
    if (port == NULL)
        return;
    assert(port->count == 0);
    loop_cancel(net_loop(port->net), &port->present);
    loop_timer_destroy(&port->tick);
    loop_timer_destroy(&port->throttle);
    websocket_forget_shared(port);
    frame_unref(&port->ping);
    free(port);
}

size_t websocket_port_count(const struct websocket_port *port)
{
    return port->count;
}

void websocket_port_end(struct websocket_port *port, enum conn_close_reason reason)
{
    struct list *const lists[] = {&port->watched, &port->throttled};
    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH (node, lists[i])
            websocket_end(list_entry(node, struct websocket, node), reason);
    }
}
