/*
 * link: one connection to Redis at a time, and the commands on it.
 *
 * Only redis_link_enter changes the state, and every connection ends in redis_link_lose. It sets
 * the state first and calls the callbacks afterwards, so that a callback finds a link that is down
 * and refuses commands.
 */
#include "redis/link_private.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "redis/sentinel_private.h"
#include "stream/backoff.h"
#include "tls/tls.h"

#define READ_SIZE           65536
#define READS_PER_ITERATION 16 /* so that other events are handled */

static const char *link_state_name(enum link_state state)
{
    static const char *const names[] = {"closed", "waiting", "connecting", "handshaking", "up"};

    return names[state];
}

/* After a loss all front-ends reconnect before others consider their leases expired. */
uint64_t redis_link_backoff(const struct redis_link *link)
{
    const struct stream_backoff backoff = {.first_ms = (uint64_t)link->settings->backoff,
                                           .most_ms = (uint64_t)link->settings->backoff_max};

    return link->down_since_ms != 0
               ? stream_backoff_pause_after_loss(&backoff, link->attempts,
                                                 loop_now_ms(link->loop) - link->down_since_ms)
               : stream_backoff_pause(&backoff, link->attempts);
}

static bool is_command_link(const struct redis_link *link)
{
    return !link->push && !link->is_sentinel;
}

void redis_link_enter(struct redis_link *link, enum link_state state)
{
    enum link_state before = link->state;

    link->state = state;
    log_debug("redis_link", LOG_STRING("link", link->name),
              LOG_STRING("from", link_state_name(before)),
              LOG_STRING("to", link_state_name(state)));
    loop_timer_stop(link->state_timer);
    if (before == LINK_UP && is_command_link(link)) {
        metrics_add(METRIC_REDIS_UP, -1);
    }
    switch (state) {
    case LINK_CLOSED:
    case LINK_CONNECTING:
        break;
    case LINK_WAITING:
        loop_timer_start(link->state_timer, redis_link_backoff(link));
        link->attempts++;
        break;
    case LINK_HANDSHAKING:
        link->handshake_waits = false;
        loop_timer_start(link->state_timer, (uint64_t)link->settings->connect_timeout);
        break;
    case LINK_UP:
        link->up_since_ms = loop_now_ms(link->loop);
        metrics_add(METRIC_REDIS_CONNECTS, 1);
        if (is_command_link(link)) {
            metrics_add(METRIC_REDIS_UP, 1);
        }
        break;
    }
}

/* The input. */

static void refusal_timer_fired(void *arg)
{
    struct redis_link *link = arg;

    if (redis_refusals_check(&link->refusals, link->name, loop_now_ms(link->loop))) {
        loop_timer_start(link->refusal_timer, REDIS_REFUSAL_QUIET_MS / 5);
    }
}

static void note_link_error(struct redis_link *link, const struct redis_reply *reply, bool secret)
{
    redis_refusals_note(&link->refusals, link->name, reply, secret, loop_now_ms(link->loop));
    if (!loop_timer_is_running(link->refusal_timer)) {
        loop_timer_start(link->refusal_timer, REDIS_REFUSAL_QUIET_MS / 5);
    }
}

/* Redis sends unsolicited data only before it closes the connection. */
static void on_unsolicited_reply(struct redis_link *link, const struct redis_reply *reply)
{
    if (reply->type == REDIS_ERROR) {
        note_link_error(link, reply, false);
        redis_link_lose(link, (const char *)reply->text.data);
    } else {
        redis_link_lose(link, "a reply to no command");
    }
}

static void dispatch_reply(struct redis_link *link, const struct redis_reply *reply)
{
    enum redis_status status = reply->type == REDIS_ERROR ? REDIS_REFUSED : REDIS_OK;
    struct redis_reader *reader = link->reader;
    struct redis_pending pending;
    bool readonly;

    if (link->push && link->push(link->arg, reply)) {
        return;
    }
    if (link->pending_count == 0) {
        on_unsolicited_reply(link, reply);
        return;
    }
    readonly = link->guide != NULL && link->state == LINK_UP && status == REDIS_REFUSED &&
               redis_refusal_of(reply) == REDIS_REFUSAL_READONLY;
    pending = *redis_link_pending(link, 0);
    if (pending.expected > 1 && status == REDIS_OK) {
        redis_link_pending(link, 0)->expected--;
    } else {
        (void)redis_link_pop(link);
    }
    metrics_observe(HISTOGRAM_REDIS_ROUND_TRIP, loop_now_us(link->loop) - pending.sent_us);
    if (status == REDIS_REFUSED) {
        note_link_error(link, reply, pending.secret);
    }
    if (pending.call) {
        redis_call_replied(link, pending.call, status, reply);
    } else if (pending.callback) {
        pending.callback(pending.arg, status, reply);
    }
    if (readonly && link->reader == reader) {
        link->guide->readonly(link->guide_arg);
    }
}

/* False when the connection was closed meanwhile. */
static bool consume_replies(struct redis_link *link, const uint8_t *data, size_t len)
{
    struct redis_reader *reader = link->reader;
    const struct redis_reply *reply;
    const char *error;

    while (len > 0) {
        size_t piece = len < REDIS_FEED_MAX ? len : REDIS_FEED_MAX;

        redis_reader_feed(reader, data, piece);
        data += piece;
        len -= piece;
        while ((reply = redis_reader_next(reader, &error))) {
            dispatch_reply(link, reply);
            if (link->reader != reader) {
                return false;
            }
        }
        if (error) {
            redis_link_lose(link, error);
            return false;
        }
    }
    return true;
}

void redis_link_receive(struct redis_link *link)
{
    uint8_t buffer[READ_SIZE];
    bool more = true;

    for (unsigned i = 0;
         more && (i < READS_PER_ITERATION || stream_socket_has_pending(link->socket)); i++) {
        ssize_t n = stream_socket_read(link->socket, buffer, sizeof buffer);

        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            redis_link_lose(link,
                            n == 0 ? "closed by the server" : stream_socket_error(link->socket));
            return;
        }
        if (!consume_replies(link, buffer, (size_t)n)) {
            return;
        }
        more = (size_t)n == sizeof buffer || stream_socket_has_pending(link->socket);
    }
}

/* Losing. */

static void lose_pending(struct redis_link *link)
{
    redis_calls_lose(&link->held);
    while (link->pending_count > 0) {
        struct redis_pending pending = redis_link_pop(link);

        if (pending.call) {
            redis_call_replied(link, pending.call, REDIS_LOST, NULL);
        } else if (pending.callback) {
            pending.callback(pending.arg, REDIS_LOST, NULL);
        }
    }
    redis_calls_lose(&link->deferred);
}

static void disconnect(struct redis_link *link)
{
    loop_timer_stop(link->command_timer);
    loop_cancel(link->loop, &link->flush_task);
    stream_socket_close(&link->socket, true);
    redis_reader_retire(&link->reader, link->loop);
    redis_link_forget_output(link);
}

static void log_loss(struct redis_link *link, bool was_up, const char *why)
{
    link->connect_limit.burst = 3;
    if (was_up) {
        log_warn("redis_connection_lost", LOG_STRING("link", link->name),
                 LOG_STRING("redis", link->server), LOG_STRING("why", why),
                 LOG_INT("in_flight", (int64_t)link->pending_count));
    } else {
        log_limited(LOG_WARN, &link->connect_limit, "redis_connect_failed",
                    LOG_STRING("link", link->name), LOG_STRING("redis", link->server),
                    LOG_STRING("why", why));
    }
}

static void end_connection(struct redis_link *link)
{
    disconnect(link);
    redis_sentinel_lookup_cancel(&link->lookup);
    stream_connector_destroy(&link->connector);
}

/* When the handshake fails, another address of the name may lead to a usable server. */
static bool try_next_server(struct redis_link *link, const char *why)
{
    if (link->state != LINK_HANDSHAKING || !stream_connector_has_more(link->connector)) {
        return false;
    }
    log_loss(link, false, why);
    disconnect(link);
    lose_pending(link); /* only the handshake's own */
    redis_link_enter(link, LINK_CONNECTING);
    stream_connector_continue(link->connector);
    return true;
}

static void note_up_time(struct redis_link *link)
{
    uint64_t now = loop_now_ms(link->loop);
    bool for_a_while = now - link->up_since_ms >= (uint64_t)link->settings->backoff_max;

    if (for_a_while) {
        link->attempts = 0;
    }
    if (for_a_while || link->down_since_ms == 0) {
        link->down_since_ms = now;
    }
}

static void lose_connection(struct redis_link *link, const char *why)
{
    bool was_up = link->state == LINK_UP;
    char *text = mem_strdup(why); /* it may belong to the socket, which is closed here */

    log_loss(link, was_up, why);
    if (was_up) {
        note_up_time(link);
    }
    end_connection(link);
    redis_link_enter(link, LINK_WAITING);
    lose_pending(link);
    if (was_up && link->state != LINK_CLOSED && link->callbacks.down) {
        link->callbacks.down(link->arg);
    }
    if (!was_up && link->state != LINK_CLOSED && link->callbacks.failed) {
        link->callbacks.failed(link->arg, text);
    }
    free(text);
}

void redis_link_lose(struct redis_link *link, const char *why)
{
    char *text = mem_strdup(why); /* it may belong to a reply, which is freed here */

    if (!try_next_server(link, text)) {
        lose_connection(link, text);
    }
    free(text);
}

void redis_link_unfit(struct redis_link *link, const char *why)
{
    bool is_new = !link->unfit || strcmp(link->unfit, why) != 0;

    if (is_new) {
        free(link->unfit);
        link->unfit = mem_strdup(why);
        log_error("redis_unusable", LOG_STRING("link", link->name),
                  LOG_STRING("redis", link->server), LOG_STRING("why", why));
    }
    redis_link_lose(link, link->unfit);
    if (is_new && link->state != LINK_CLOSED && link->callbacks.unfit) {
        link->callbacks.unfit(link->arg, link->unfit);
    }
}

/* The public part. */

static void free_link(void *arg)
{
    struct redis_link *link = arg;

    tls_context_unref(&link->tls);
    writer_free(&link->out);
    free(link->pending);
    free(link->unfit);
    free(link->server_at.host);
    free(link->server);
    free(link->name);
    free(link);
}

struct redis_link *
redis_link_create_pushed(struct loop *loop, const char *name, const struct redis_target *target,
                         const struct redis_settings *settings,
                         const struct redis_link_callbacks *callbacks, void *arg,
                         bool (*push)(void *arg, const struct redis_reply *reply))
{
    struct redis_link *link = mem_zalloc(1, sizeof *link);

    link->loop = loop;
    link->name = mem_strdup(name);
    link->server = redis_target_describe(target);
    link->target = target;
    link->settings = settings;
    link->callbacks = *callbacks;
    link->arg = arg;
    link->push = push;
    link->flush_task = (struct loop_task){.callback = redis_link_flush, .arg = link};
    link->free_task = (struct loop_task){.callback = free_link, .arg = link};
    link->state_timer = loop_timer_create(loop, redis_link_state_timer, link);
    link->command_timer = loop_timer_create(loop, redis_link_command_timer, link);
    link->refusal_timer = loop_timer_create(loop, refusal_timer_fired, link);
    link->late_popped = UINT64_MAX;
    list_init(&link->held);
    list_init(&link->deferred);
    list_init(&link->loads);
    link->state = LINK_WAITING;
    loop_timer_start(link->state_timer, 0);
    return link;
}

struct redis_link *redis_link_create(struct loop *loop, const char *name,
                                     const struct redis_target *target,
                                     const struct redis_settings *settings,
                                     const struct redis_link_callbacks *callbacks, void *arg)
{
    return redis_link_create_pushed(loop, name, target, settings, callbacks, arg, NULL);
}

void redis_link_destroy(struct redis_link **pointer)
{
    struct redis_link *link = *pointer;

    *pointer = NULL;
    if (!link) {
        return;
    }
    end_connection(link);
    redis_link_enter(link, LINK_CLOSED);
    lose_pending(link);
    loop_timer_destroy(&link->state_timer);
    loop_timer_destroy(&link->command_timer);
    loop_timer_destroy(&link->refusal_timer);
    loop_defer(link->loop, LOOP_PHASE_FREE, &link->free_task);
}

bool redis_link_is_up(const struct redis_link *link)
{
    return link != NULL && link->state == LINK_UP;
}

void redis_link_reset(struct redis_link *link, const char *why)
{
    if (link && link->state > LINK_WAITING) {
        lose_connection(link, why);
    }
}

void redis_link_set_sentinel(struct redis_link *link)
{
    link->is_sentinel = true;
}

void redis_link_set_guide(struct redis_link *link, const struct redis_link_guide *guide, void *arg)
{
    link->guide = guide;
    link->guide_arg = arg;
}

void redis_link_try_now(struct redis_link *link)
{
    if (link->state == LINK_WAITING) {
        loop_timer_start(link->state_timer, 0);
    }
}

bool redis_link_leads_to(const struct redis_link *link, struct bytes host, struct bytes port)
{
    char number[8];

    (void)snprintf(number, sizeof number, "%u", link->server_at.port);
    return link->state >= LINK_CONNECTING && link->server_at.host &&
           bytes_equal(host, bytes_from_string(link->server_at.host)) &&
           bytes_equal(port, bytes_from_string(number));
}

void redis_command(struct redis_link *link, redis_callback callback, void *arg, size_t count,
                   const struct bytes *args)
{
    if (redis_link_is_up(link)) {
        redis_link_queue(link,
                         &(struct redis_pending){.callback = callback, .arg = arg, .expected = 1},
                         count, args);
    } else if (callback) {
        callback(arg, REDIS_DOWN, NULL);
    }
}

void redis_command_strings(struct redis_link *link, redis_callback callback, void *arg, ...)
{
    struct bytes args[REDIS_STRINGS_MAX];
    size_t count = 0;
    const char *string;
    va_list list;

    va_start(list, arg);
    while ((string = va_arg(list, const char *))) {
        assert(count < REDIS_STRINGS_MAX);
        args[count++] = bytes_from_string(string);
    }
    va_end(list);
    redis_command(link, callback, arg, count, args);
}
