/*
 * queue: the time-outs of the connections that a listener accepted.
 *
 * A kind of time-out lasts equally long for all of them, so a list in the order in which they
 * began is in the order in which they end: beginning and ending cost O(1), and one timer, which
 * ticks while there are connections, checks the heads. A time-out is up to one tick late and
 * never early. The durations are read at each tick, so a reload applies to those that run.
 */
#include "net/net_private.h"

#include <stdlib.h>

#include "base/mem.h"

#define TICK_MS 250

static struct conn *first_conn(const struct list *queue)
{
    return list_is_empty(queue) ? NULL : list_entry(queue->next, struct conn, node);
}

void queue_log_closing(struct conn *conn, enum conn_close_reason reason)
{
    log_limited(LOG_INFO, &conn->listener->net->closed_limit, "connection_closed",
                LOG_STRING("listener", conn->listener->where),
                LOG_STRING("peer", conn_peer_text(conn)),
                LOG_STRING("reason", conn_close_reason_name(reason)));
}

static void close_late(struct conn *conn, enum conn_close_reason reason)
{
    queue_log_closing(conn, reason);
    conn_close(conn, reason);
}

static void end_handshakes(struct listener *listener)
{
    struct list *queue = &listener->queues[QUEUE_HANDSHAKE];
    struct conn *conn;
    while ((conn = first_conn(queue)) &&
           net_has_passed(listener->net, conn->since, listener->settings->handshake_timeout)) {
        if (conn->state == CONN_PROXY) {
            conn_refuse(conn, "proxy_header", METRIC_REFUSED_PROXY, "no header in time");
        } else if (conn->state == CONN_TLS) {
            conn_refuse(conn, "tls", METRIC_REFUSED_TLS, "handshake not done in time");
        } else {
            close_late(conn, CONN_CLOSE_HANDSHAKE);
        }
    }
}

/* Without an idle time-out this queue is not kept in order. When there is one again, it starts
 * anew for all connections. */
static void end_idle(struct listener *listener)
{
    struct list *queue = &listener->queues[QUEUE_IDLE];
    int64_t timeout = listener->settings->idle_timeout;
    struct conn *conn;
    if (timeout > 0 && !listener->idle_on) {
        LIST_FOREACH (node, queue) {
            list_entry(node, struct conn, node)->since = net_stamp(listener->net);
        }
    }
    listener->idle_on = timeout > 0;
    while (timeout > 0 && (conn = first_conn(queue)) &&
           net_has_passed(listener->net, conn->since, timeout)) {
        close_late(conn, CONN_CLOSE_IDLE);
    }
}

static void end_lingering(struct listener *listener)
{
    struct list *queue = &listener->queues[QUEUE_LINGER];
    struct conn *conn;
    while ((conn = first_conn(queue)) &&
           net_has_passed(listener->net, conn->since, listener->settings->linger)) {
        conn_close(conn, conn->reason);
    }
}

static void end_writes(struct listener *listener)
{
    struct list *queue = &listener->queues[QUEUE_WRITE];
    while (!list_is_empty(queue)) {
        struct output *output = list_entry(queue->next, struct output, node);
        if (!net_has_passed(listener->net, output->since, listener->settings->write_timeout)) {
            break;
        }
        close_late(output->conn, CONN_CLOSE_WRITE);
    }
}

static bool is_listener_in_use(const struct listener *listener)
{
    for (int i = 0; i < QUEUES; i++) {
        if (!list_is_empty(&listener->queues[i])) {
            return true;
        }
    }
    return false;
}

static void on_queue_tick(void *arg)
{
    struct listener *listener = arg;
    end_handshakes(listener);
    end_idle(listener);
    end_lingering(listener);
    end_writes(listener);
    unfinished_end_late(listener);
    if (is_listener_in_use(listener)) {
        loop_timer_start(listener->tick, TICK_MS);
    }
}

void queue_init(struct listener *listener)
{
    listener->tick = loop_timer_create(listener->net->loop, on_queue_tick, listener);
    for (int i = 0; i < QUEUES; i++) {
        list_init(&listener->queues[i]);
    }
}

void queue_free(struct listener *listener)
{
    loop_timer_destroy(&listener->tick);
}

void queue_keep_ticking(struct listener *listener)
{
    if (!loop_timer_is_running(listener->tick)) {
        loop_timer_start(listener->tick, TICK_MS);
    }
}

void queue_conn(struct conn *conn, enum queue queue)
{
    conn->since = net_stamp(conn->listener->net);
    list_remove(&conn->node);
    list_append(&conn->listener->queues[queue], &conn->node);
    queue_keep_ticking(conn->listener);
}

void queue_output(struct conn *conn)
{
    struct output *output = conn->output;
    output->since = net_stamp(conn->listener->net);
    list_remove(&output->node);
    list_append(&conn->listener->queues[QUEUE_WRITE], &output->node);
    queue_keep_ticking(conn->listener);
}

/* Closing one connection may close others, so those to be closed are collected first. A connection
 * is freed at the end of the event-loop iteration, not before. */
struct chosen {
    bool (*is_chosen)(void *arg, const struct address *peer);
    void *arg;
    struct conn **conns;
    size_t count, capacity;
};

static void choose_conn(struct chosen *chosen, struct conn *conn)
{
    if (!chosen->is_chosen(chosen->arg, &conn->peer)) {
        return;
    }
    if (chosen->count == chosen->capacity) {
        chosen->capacity = chosen->capacity > 0 ? 2 * chosen->capacity : 64;
        chosen->conns = mem_realloc(chosen->conns, chosen->capacity * sizeof *chosen->conns);
    }
    chosen->conns[chosen->count++] = conn;
}

void listener_close_chosen(struct listener *listener,
                           bool (*is_chosen)(void *arg, const struct address *peer), void *arg,
                           enum conn_close_reason reason)
{
    static const enum queue queues[] = {QUEUE_HANDSHAKE, QUEUE_IDLE, QUEUE_LINGER, QUEUE_WAITING};
    struct chosen chosen = {.is_chosen = is_chosen, .arg = arg};
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        LIST_FOREACH (node, &listener->queues[queues[i]]) {
            choose_conn(&chosen, list_entry(node, struct conn, node));
        }
    }
    /* Connections that only send what is left are in no other queue, and before the first attempt
     * to send it in none at all. */
    LIST_FOREACH (node, &listener->queues[QUEUE_WRITE]) {
        choose_conn(&chosen, list_entry(node, struct output, node)->conn);
    }
    LIST_FOREACH (node, &listener->net->dirty) {
        struct conn *conn = list_entry(node, struct conn, dirty);
        if (conn->listener == listener) {
            choose_conn(&chosen, conn);
        }
    }
    for (size_t i = 0; i < chosen.count; i++) {
        conn_close(chosen.conns[i], reason); /* harmless when it has been closed meanwhile */
    }
    free(chosen.conns);
}

static bool admits_any_peer(void *arg, const struct address *peer)
{
    return true;
}

void listener_close_connections(struct listener *listener, enum conn_close_reason reason)
{
    listener_close_chosen(listener, admits_any_peer, NULL, reason);
}
