/*
 * tracker_client: the connection's life cycle: connecting, losing it, reconnecting.
 *
 * A callback may stop or destroy the client. Code after one compares the wire's generation, or
 * checks `destroyed`; the memory is freed in the loop's last phase.
 */
#include "client/tracker_client.h"

#include <stdlib.h>

#include "base/address.h"
#include "base/mem.h"
#include "base/random.h"
#include "client/client_private.h"
#include "stream/backoff.h"
#include "tls/tls.h"

#define DEFAULT_CONNECT_TIMEOUT_MS 5000
#define DEFAULT_REPLY_TIMEOUT_MS   10000
#define DEFAULT_BACKOFF_MS         100
#define DEFAULT_BACKOFF_MAX_MS     30000
#define DEFAULT_MAX_OUTPUT         (1024 * 1024)
#define DEFAULT_MAX_PENDING        65536
#define DEFAULT_MAX_MAP            (64 * 1024 * 1024)

static uint64_t next_tracker_pause(const struct tracker_client *client, unsigned *failures)
{
    const struct stream_backoff backoff = {client->options.backoff_ms,
                                           client->options.backoff_max_ms};
    return stream_backoff_pause(&backoff, (*failures)++);
}

void client_entry_retry(struct tracker_client *client)
{
    if (!loop_timer_is_running(client->entry_retry)) {
        loop_timer_start(client->entry_retry, next_tracker_pause(client, &client->refusals));
    }
}

static void on_entry_retry(void *arg)
{
    struct tracker_client *client = arg;
    if (client->wire.state == WIRE_UP && client->entry.state != ENTRY_NONE) {
        client_entry_resume(client);
    }
}

static void notify_request_lost(struct tracker_client *client, enum tracker_client_request request)
{
    if (client->events->replied) {
        client->events->replied(client->arg, request, TRACKER_CLIENT_LOST);
    }
}

static size_t count_opens(const struct tracker_client *client)
{
    size_t count = 0;
    for (size_t i = 0; i < client_pending_count(client); i++) {
        count += client_pending_peek(client, i).kind == TRACKER_CLIENT_OPEN;
    }
    return count;
}

/* The last Open is not reported as lost when the client is going to repeat it. */
static void report_lost_requests(struct tracker_client *client)
{
    size_t opens = count_opens(client);
    const bool will_reopen = client->running && client->entry.state == ENTRY_OPENING;
    while (!client->destroyed && client_pending_count(client) > 0) {
        const uint8_t kind = client_pending_peek(client, 0).kind;
        client_pending_pop(client);
        if (kind == PENDING_ADOPT || kind == PENDING_REOPEN) {
            continue;
        }
        if (kind == TRACKER_CLIENT_OPEN && --opens == 0 && will_reopen) {
            continue;
        }
        notify_request_lost(client, (enum tracker_client_request)kind);
    }
    if (!client->destroyed) {
        loop_timer_stop(client->reply_deadline);
    }
}

static void on_tracker_client_down(void *arg, const char *reason)
{
    struct tracker_client *client = arg;
    client->map.begun = client->map.unreported = false;
    loop_timer_stop(client->entry_retry);
    if (client->options.reconnect) {
        loop_timer_start(client->retry, next_tracker_pause(client, &client->failures));
    } else {
        client->running = false;
    }
    report_lost_requests(client);
    if (!client->destroyed && client->events->disconnected) {
        client->events->disconnected(client->arg, reason);
    }
}

static void on_up(void *arg)
{
    struct tracker_client *client = arg;
    const bool resuming = client->entry.state != ENTRY_NONE;
    if (resuming) {
        client_entry_resume(client);
    }
    if (client->events->connected) {
        client->events->connected(client->arg, resuming);
    }
}

static const struct wire_events wire_events = {
    .up = on_up, .bytes = client_input, .down = on_tracker_client_down};

static void on_tracker_retry(void *arg)
{
    struct tracker_client *client = arg;
    const struct tracker_client_options *options = &client->options;
    wire_connect(&client->wire, &(struct wire_options){.target = &client->target,
                                                       .attempt = client->failures,
                                                       .source = options->source,
                                                       .tls = options->tls,
                                                       .server_name = options->server_name,
                                                       .timeout_ms = options->connect_timeout_ms});
}

static void on_reply_deadline(void *arg)
{
    struct tracker_client *client = arg;
    wire_fail(&client->wire, "no reply in time");
}

static void set_tracker_defaults(struct tracker_client_options *options)
{
    if (options->connect_timeout_ms == 0) {
        options->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
    }
    if (options->reply_timeout_ms == 0) {
        options->reply_timeout_ms = DEFAULT_REPLY_TIMEOUT_MS;
    }
    if (options->backoff_ms == 0) {
        options->backoff_ms = DEFAULT_BACKOFF_MS;
    }
    if (options->backoff_max_ms == 0) {
        options->backoff_max_ms = DEFAULT_BACKOFF_MAX_MS;
    }
    if (options->max_output == 0) {
        options->max_output = DEFAULT_MAX_OUTPUT;
    }
    if (options->max_pending == 0) {
        options->max_pending = DEFAULT_MAX_PENDING;
    }
    if (options->max_map == 0) {
        options->max_map = DEFAULT_MAX_MAP;
    }
}

static void release_tracker_client(void *arg)
{
    struct tracker_client *client = arg;
    wire_target_free(&client->target);
    free((char *)client->options.server_name);
    free((char *)client->options.source);
    if (client->options.tls) {
        tls_context_unref(&client->options.tls);
    }
    writer_free(&client->pending);
    writer_free(&client->entry.value);
    writer_free(&client->map.entries);
    free(client);
}

/* NULL, with the target parsed; or an error message. */
static char *check_tracker_options(const struct tracker_client_options *options,
                                   struct wire_target *target)
{
    struct address source;
    if (options->dialect <= TRACKER_UNKNOWN || options->dialect > TRACKER_2014) {
        return mem_strdup("unknown dialect");
    }
    if (options->source && !address_parse_ip(options->source, &source)) {
        return mem_format("not a numeric address: %s", options->source);
    }
    if (!options->target || !wire_target_parse(options->target, target)) {
        return mem_format("invalid target: %s (expected host:port, [v6]:port or unix:/path)",
                          options->target ? options->target : "");
    }
    return NULL;
}

struct tracker_client *tracker_client_create(struct loop *loop,
                                             const struct tracker_client_options *options,
                                             const struct tracker_client_events *events, void *arg,
                                             char **error)
{
    struct wire_target target;
    *error = check_tracker_options(options, &target);
    if (*error) {
        return NULL;
    }
    random_init();
    struct tracker_client *client = mem_zalloc(1, sizeof *client);
    client->loop = loop;
    client->events = events;
    client->arg = arg;
    client->options = *options;
    client->options.target = NULL;
    set_tracker_defaults(&client->options);
    client->target = target;
    if (options->server_name) {
        client->options.server_name = mem_strdup(options->server_name);
    }
    if (options->source) {
        client->options.source = mem_strdup(options->source);
    }
    if (options->tls) {
        client->options.tls = tls_context_ref(options->tls);
    }
    wire_init(&client->wire, loop, &wire_events, client);
    client->retry = loop_timer_create(loop, on_tracker_retry, client);
    client->reply_deadline = loop_timer_create(loop, on_reply_deadline, client);
    client->entry_retry = loop_timer_create(loop, on_entry_retry, client);
    client->release = (struct loop_task){.callback = release_tracker_client, .arg = client};
    return client;
}

void tracker_client_destroy(struct tracker_client **pointer)
{
    struct tracker_client *client = *pointer;
    *pointer = NULL;
    if (!client) {
        return;
    }
    client->destroyed = true;
    wire_close(&client->wire);
    loop_timer_destroy(&client->retry);
    loop_timer_destroy(&client->reply_deadline);
    loop_timer_destroy(&client->entry_retry);
    loop_defer(client->loop, LOOP_PHASE_FREE, &client->release);
}

void tracker_client_start(struct tracker_client *client)
{
    client->running = true;
    if (client->wire.state == WIRE_DOWN && !loop_timer_is_running(client->retry)) {
        loop_timer_start(client->retry, 0);
    }
}

void tracker_client_stop(struct tracker_client *client)
{
    client->running = false;
    wire_close(&client->wire);
    loop_timer_stop(client->retry);
    loop_timer_stop(client->reply_deadline);
    loop_timer_stop(client->entry_retry);
    writer_free(&client->pending);
    client->pending_at = 0;
    client->map.begun = client->map.unreported = false;
}

bool tracker_client_is_connected(const struct tracker_client *client)
{
    return client->wire.state == WIRE_UP;
}
