/*
 * pipeline: a link's commands: the output of this event-loop iteration, the ring of those in
 * flight, and their time-out.
 *
 * All commands of one iteration are sent with one write, in LOOP_PHASE_OUTPUT. All have the same
 * time-out, so one timer, for the oldest, is enough; it is not restarted for each command.
 */
#include "redis/link_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"

#define OUT_KEEP      262144 /* memory that an empty output keeps */
#define FIRST_PENDING 64

/* The output. */

static size_t out_waiting(const struct redis_link *link)
{
    return link->out.len - link->out_sent;
}

void redis_link_forget_output(struct redis_link *link)
{
    metrics_add(METRIC_REDIS_QUEUED, -(int64_t)out_waiting(link));
    link->out_sent = 0;
    if (link->out.capacity > OUT_KEEP) {
        writer_free(&link->out);
    } else {
        writer_reset(&link->out);
    }
}

/* The server may have sent the reason before it closed: read what has arrived. */
static void write_failed(struct redis_link *link)
{
    struct redis_reader *reader = link->reader;
    char *why = mem_strdup(stream_socket_error(link->socket));

    redis_link_receive(link);
    if (link->reader == reader) {
        redis_link_lose(link, why);
    }
    free(why);
}

void redis_link_flush(void *arg)
{
    struct redis_link *link = arg;

    if (!link->socket) {
        return;
    }
    while (out_waiting(link) > 0) {
        ssize_t n =
            stream_socket_write(link->socket, link->out.data + link->out_sent, out_waiting(link));

        if (n < 0 && errno == EAGAIN) {
            stream_socket_want_write(link->socket, true);
            return;
        }
        if (n < 0) {
            write_failed(link);
            return;
        }
        link->out_sent += (size_t)n;
        metrics_add(METRIC_REDIS_QUEUED, -(int64_t)n);
    }
    redis_link_forget_output(link);
    stream_socket_want_write(link->socket, false);
}

/* Room for a command. The bytes already sent are dropped when they are most of the buffer. */
static uint8_t *out_reserve(struct redis_link *link, size_t size)
{
    if (link->out_sent > OUT_KEEP && link->out_sent > link->out.len / 2) {
        size_t waiting = out_waiting(link);

        memmove(link->out.data, link->out.data + link->out_sent, waiting);
        link->out.len = waiting;
        link->out_sent = 0;
    }
    metrics_add(METRIC_REDIS_QUEUED, (int64_t)size);
    loop_defer(link->loop, LOOP_PHASE_OUTPUT, &link->flush_task);
    return writer_reserve(&link->out, size);
}

/* Commands in flight. */

static void pending_grow(struct redis_link *link)
{
    size_t capacity = link->pending_capacity > 0 ? link->pending_capacity * 2 : FIRST_PENDING;
    struct redis_pending *ring = mem_zalloc(capacity, sizeof *ring);

    for (size_t i = 0; i < link->pending_count; i++) {
        ring[i] = *redis_link_pending(link, i);
    }
    free(link->pending);
    link->pending = ring;
    link->pending_first = 0;
    link->pending_capacity = capacity;
}

static void pending_push(struct redis_link *link, const struct redis_pending *pending)
{
    struct redis_pending *last;

    if (link->pending_count == link->pending_capacity) {
        pending_grow(link);
    }
    last = redis_link_pending(link, link->pending_count++);
    *last = *pending;
    last->sent_us = loop_now_us(link->loop);
    metrics_add(METRIC_REDIS_COMMANDS, 1);
    if (!loop_timer_is_running(link->command_timer)) {
        loop_timer_start(link->command_timer, (uint64_t)link->settings->timeout);
    }
}

struct redis_pending redis_link_pop(struct redis_link *link)
{
    struct redis_pending oldest = *redis_link_pending(link, 0);

    link->pending_first = (link->pending_first + 1) & (link->pending_capacity - 1);
    link->pending_count--;
    link->pending_popped++;
    return oldest;
}

void redis_link_queue(struct redis_link *link, const struct redis_pending *pending, size_t count,
                      const struct bytes *args)
{
    redis_format(out_reserve(link, redis_format_size(count, args)), count, args);
    pending_push(link, pending);
}

void redis_link_queue_call(struct redis_link *link, struct redis_call *call, struct bytes command)
{
    memcpy(out_reserve(link, command.len), command.data, command.len);
    pending_push(link, &(struct redis_pending){.call = call, .expected = 1});
}

/* Time-outs: one timer, for the oldest. */

static bool oldest_is_late(const struct redis_link *link, uint64_t *left_ms)
{
    uint64_t sent_us = link->pending[link->pending_first].sent_us;
    uint64_t timeout_us = (uint64_t)link->settings->timeout * 1000;
    uint64_t age_us = loop_now_us(link->loop) - sent_us;

    *left_ms = age_us < timeout_us ? (timeout_us - age_us) / 1000 + 1 : 0;
    return *left_ms == 0;
}

/* If this process stalled, the reply is in the socket already, or will be shortly: so read first,
 * and give the oldest command a tenth of the time-out more, once. */
void redis_link_command_timer(void *arg)
{
    struct redis_link *link = arg;
    struct redis_reader *reader = link->reader;
    uint64_t left_ms;

    if (link->pending_count == 0) {
        return;
    }
    if (oldest_is_late(link, &left_ms)) {
        redis_link_receive(link);
        if (link->reader != reader || link->pending_count == 0) {
            return;
        }
    }
    if (!oldest_is_late(link, &left_ms)) {
        loop_timer_start(link->command_timer, left_ms);
    } else if (link->late_popped != link->pending_popped) {
        link->late_popped = link->pending_popped;
        loop_timer_start(link->command_timer, (uint64_t)link->settings->timeout / 10 + 1);
    } else {
        metrics_add(METRIC_REDIS_TIMEOUTS, 1);
        redis_link_lose(link, "a command was not answered in time");
    }
}
