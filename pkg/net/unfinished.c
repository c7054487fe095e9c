/*
 * unfinished: messages of which a part was received. From the first byte on a message has
 * net.message_timeout to become complete, counted while the connection is read from.
 *
 * Those that are read are in a queue of their listener, in the order in which their time began to
 * run, so that one timer checks the head (queue.c). One that stopped and goes on is at the end of
 * the queue again, with the time that it has spent: then it may get up to twice the time, never
 * less. A complete message costs nothing here, and an idle connection has none.
 */
#include "net/net_private.h"

#include <stdlib.h>

#include "base/mem.h"

struct unfinished {
    struct conn *conn;
    struct list node;  /* in QUEUE_MESSAGE while its time runs */
    uint32_t since;    /* stamp: it has been running since then */
    uint64_t spent_ms; /* before that */
};

static bool is_timed(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !conn->handler->has_message_timeout;
}

struct unfinished *unfinished_update(struct conn *conn, struct unfinished *unfinished,
                                     bool has_input)
{
    bool is_wanted = is_timed(conn) && (has_input || (conn->flags & CONN_UNDER_WAY));
    if (!is_wanted || (conn->flags & CONN_MESSAGE_DONE)) {
        unfinished_destroy(&unfinished);
    }
    conn->flags &= (uint16_t)~CONN_MESSAGE_DONE;
    if (is_wanted && !unfinished) {
        unfinished = mem_zalloc(1, sizeof *unfinished);
        unfinished->conn = conn;
        list_init(&unfinished->node);
    }
    return unfinished;
}

void unfinished_destroy(struct unfinished **pointer)
{
    struct unfinished *unfinished = *pointer;
    *pointer = NULL;
    if (unfinished) {
        list_remove(&unfinished->node);
    }
    free(unfinished);
}

/* One that has spent its time already goes first: what has arrived meanwhile may complete it. */
static void start_unfinished(struct unfinished *unfinished)
{
    struct listener *listener = unfinished->conn->listener;
    struct list *queue = &listener->queues[QUEUE_MESSAGE];
    uint64_t timeout = (uint64_t)listener->settings->message_timeout;
    unfinished->since = net_stamp(listener->net);
    if (unfinished->spent_ms < timeout) {
        list_append(queue, &unfinished->node);
    } else {
        unfinished->since = net_stamp_before(listener->net, timeout);
        list_prepend(queue, &unfinished->node);
    }
    queue_keep_ticking(listener);
}

static void stop_unfinished(struct unfinished *unfinished)
{
    unfinished->spent_ms += net_elapsed_ms(unfinished->conn->listener->net, unfinished->since);
    list_remove(&unfinished->node);
}

void unfinished_watch(struct conn *conn)
{
    struct unfinished *unfinished = conn->input->unfinished;
    bool is_running;
    if (!unfinished) {
        return;
    }
    is_running = !list_is_empty(&unfinished->node);
    if (conn_may_read(conn) && !is_running) {
        start_unfinished(unfinished);
    } else if (!conn_may_read(conn) && is_running) {
        stop_unfinished(unfinished);
    }
}

void unfinished_end_late(struct listener *listener)
{
    struct list *queue = &listener->queues[QUEUE_MESSAGE];
    while (!list_is_empty(queue)) {
        struct unfinished *first = list_entry(queue->next, struct unfinished, node);
        if (!net_has_passed(listener->net, first->since, listener->settings->message_timeout)) {
            break;
        }
        queue_log_closing(first->conn, CONN_CLOSE_MESSAGE);
        conn_expel(first->conn, CONN_CLOSE_MESSAGE);
    }
}
