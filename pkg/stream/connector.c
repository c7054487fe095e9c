/*
 * connector: one timer for all bounds. It expires at the end of the step or of the total time,
 * whichever is first; or at once, to report from the loop a failure before the start returned.
 */
#include "stream/connector.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stream/connect.h"
#include "tls/tls.h"

struct stream_connector {
    struct loop *loop;
    const struct stream_connector_events *events;
    void *arg;
    struct stream_lookup *lookup; /* set: the name is being looked up */
    struct stream_addresses addresses;
    unsigned next, end;           /* of the addresses, those that are left */
    struct stream_socket *socket; /* set: it is connecting */
    struct loop_timer *timer;
    uint64_t step_ms;
    uint64_t until_ms; /* UINT64_MAX: no limit */
    bool one_address;
    unsigned attempt;
    bool has_source;
    struct address source;
    struct tls_context *tls;
    char *server_name;
    bool failed_at_once;
    struct stream_failure failure;
    char reason[160];
};

static void start_bound(struct stream_connector *connector)
{
    uint64_t now = loop_now_ms(connector->loop);
    uint64_t left = connector->until_ms > now ? connector->until_ms - now : 0;

    if (connector->step_ms > 0 && connector->step_ms < left) {
        left = connector->step_ms;
    }
    if (connector->until_ms != UINT64_MAX || connector->step_ms > 0) {
        loop_timer_start(connector->timer, left);
    }
}

static void set_failure(struct stream_connector *connector, enum stream_step step,
                        const char *reason)
{
    (void)snprintf(connector->reason, sizeof connector->reason, "%s", reason);
    connector->failure.step = step;
    connector->failure.timed_out = false;
    connector->failure.reason = connector->reason;
}

/* The callback may destroy the connector. */
static void report_failure(struct stream_connector *connector)
{
    loop_timer_stop(connector->timer);
    connector->events->failed(connector->arg, &connector->failure);
}

static void on_progress(void *arg, unsigned events);

/* Starts with the next address to which a socket can be opened. False when none is left. */
static bool try_next_address(struct stream_connector *connector)
{
    while (connector->next < connector->end) {
        const struct stream_address *to = &connector->addresses.list[connector->next++];

        connector->socket = stream_socket_open(
            connector->loop, to, connector->has_source ? &connector->source : NULL, connector->tls,
            connector->server_name, on_progress, connector);
        if (connector->socket) {
            start_bound(connector);
            return true;
        }
        set_failure(connector, STREAM_CONNECTS, strerror(errno));
    }
    return false;
}

static void fail_address(struct stream_connector *connector)
{
    stream_socket_close(&connector->socket, true);
    if (!try_next_address(connector)) {
        report_failure(connector);
    }
}

static void on_progress(void *arg, unsigned events)
{
    struct stream_connector *connector = arg;
    struct stream_socket *socket = connector->socket;
    int connected = stream_socket_connected(socket);

    if (connected > 0) {
        loop_timer_stop(connector->timer);
        connector->socket = NULL;
        connector->events->connected(connector->arg, socket);
    } else if (connected < 0) {
        bool in_tls = stream_socket_failed_in_tls(socket);

        connector->failure.tls_failed |= in_tls;
        set_failure(connector, in_tls ? STREAM_SECURES : STREAM_CONNECTS,
                    stream_socket_error(socket));
        fail_address(connector);
    }
}

static void choose_addresses(struct stream_connector *connector)
{
    unsigned count = connector->addresses.count;

    connector->next = connector->one_address ? connector->attempt % count : 0;
    connector->end = connector->one_address ? connector->next + 1 : count;
}

static void on_addresses_found(void *arg, const struct stream_addresses *addresses)
{
    struct stream_connector *connector = arg;

    connector->addresses = *addresses;
    stream_lookup_cancel(&connector->lookup);
    if (connector->addresses.error != 0) {
        set_failure(connector, STREAM_RESOLVES, gai_strerror(connector->addresses.error));
        report_failure(connector);
        return;
    }
    choose_addresses(connector);
    if (!try_next_address(connector)) {
        report_failure(connector);
    }
}

static void on_bound(void *arg)
{
    struct stream_connector *connector = arg;

    if (connector->failed_at_once) {
        report_failure(connector);
        return;
    }
    set_failure(connector, connector->lookup ? STREAM_RESOLVES : STREAM_CONNECTS, "timed out");
    connector->failure.timed_out = true;
    if (loop_now_ms(connector->loop) >= connector->until_ms) {
        connector->next = connector->end; /* no time for the other addresses */
    }
    stream_lookup_cancel(&connector->lookup);
    fail_address(connector);
}

/* False when it has failed already. */
static bool begin_attempt(struct stream_connector *connector, const struct stream_request *request)
{
    struct stream_addresses *addresses = &connector->addresses;

    if (request->address) {
        addresses->list[0] = *request->address;
        addresses->count = 1;
    } else if (request->path) {
        if (!stream_address_of_path(request->path, &addresses->list[0])) {
            set_failure(connector, STREAM_CONNECTS, strerror(errno));
            return false;
        }
        addresses->count = 1;
    } else if (!stream_resolve_numeric(request->host, request->port, addresses)) {
        connector->lookup = stream_lookup_start(connector->loop, request->host, request->port, 0,
                                                on_addresses_found, connector);
        if (!connector->lookup) {
            set_failure(connector, STREAM_RESOLVES, strerror(errno));
            return false;
        }
        start_bound(connector);
        return true;
    }
    choose_addresses(connector);
    return try_next_address(connector);
}

struct stream_connector *stream_connector_start(struct loop *loop,
                                                const struct stream_request *request,
                                                const struct stream_connector_events *events,
                                                void *arg)
{
    struct stream_connector *connector = mem_zalloc(1, sizeof *connector);

    connector->loop = loop;
    connector->events = events;
    connector->arg = arg;
    connector->timer = loop_timer_create(loop, on_bound, connector);
    connector->step_ms = request->step_ms;
    connector->until_ms =
        request->total_ms > 0 ? loop_now_ms(loop) + request->total_ms : UINT64_MAX;
    connector->one_address = request->one_address;
    connector->attempt = request->attempt;
    if (request->source) {
        connector->has_source = true;
        connector->source = *request->source;
    }
    if (request->tls) {
        connector->tls = tls_context_ref(request->tls);
        connector->server_name = request->server_name ? mem_strdup(request->server_name) : NULL;
    }
    if (!begin_attempt(connector, request)) {
        connector->failed_at_once = true;
        loop_timer_start(connector->timer, 0);
    }
    return connector;
}

void stream_connector_destroy(struct stream_connector **pointer)
{
    struct stream_connector *connector = *pointer;

    *pointer = NULL;
    if (!connector) {
        return;
    }
    stream_lookup_cancel(&connector->lookup);
    stream_socket_close(&connector->socket, true);
    loop_timer_destroy(&connector->timer);
    tls_context_unref(&connector->tls);
    free(connector->server_name);
    free(connector);
}

bool stream_connector_has_more(const struct stream_connector *connector)
{
    return connector->next < connector->end;
}

void stream_connector_continue(struct stream_connector *connector)
{
    set_failure(connector, STREAM_CONNECTS, "no other address");
    if (!try_next_address(connector)) {
        connector->failed_at_once = true;
        loop_timer_start(connector->timer, 0);
    }
}

const struct stream_address *stream_connector_address(const struct stream_connector *connector)
{
    return &connector->addresses.list[connector->next - 1];
}
