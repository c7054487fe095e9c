/*
 * connect: from waiting to a connected socket: the address to try, which Sentinels may know, and
 * the TLS context.
 */
#include "redis/link_private.h"

#include <stdlib.h>

#include "base/mem.h"
#include "redis/sentinel_private.h"
#include "tls/tls.h"

static void on_link_ready(void *arg, unsigned events)
{
    struct redis_link *link = arg;
    struct redis_reader *reader = link->reader;

    loop_label(link->loop, "redis_replies");
    redis_link_receive(link);
    if (link->reader == reader && link->out.len > link->out_sent) {
        redis_link_flush(link);
    }
}

static void on_link_connected(void *arg, struct stream_socket *socket)
{
    struct redis_link *link = arg;

    link->socket = socket;
    stream_socket_hand_over(socket, on_link_ready, link);
    link->reader = redis_reader_create((size_t)link->settings->max_reply);
    redis_link_enter(link, LINK_HANDSHAKING);
    redis_link_handshake(link);
}

static void on_not_connected(void *arg, const struct stream_failure *failure)
{
    struct redis_link *link = arg;

    if (failure->tls_failed) {
        tls_context_unref(&link->tls); /* the files are read again: they may have been replaced */
    }
    if (!failure->timed_out) {
        redis_link_lose(link, failure->reason);
    } else if (failure->step == STREAM_RESOLVES) {
        redis_link_lose(link, "looking up the host timed out");
    } else {
        redis_link_lose(link, "connecting timed out");
    }
}

static const struct stream_connector_events connector_events = {.connected = on_link_connected,
                                                                .failed = on_not_connected};

static void begin_to_connect(struct redis_link *link, struct stream_request request)
{
    if (link->target->tls) {
        request.tls = link->tls;
        request.server_name = link->server_at.host;
    }
    request.step_ms = (uint64_t)link->settings->connect_timeout;
    redis_link_enter(link, LINK_CONNECTING);
    link->connector = stream_connector_start(link->loop, &request, &connector_events, link);
}

static void note_server(struct redis_link *link, const struct redis_endpoint *endpoint)
{
    char *host = mem_strdup(endpoint->host);

    free(link->server_at.host);
    link->server_at = (struct redis_endpoint){.host = host, .port = endpoint->port};
}

static void connect_to_endpoint(struct redis_link *link, const struct redis_endpoint *endpoint)
{
    note_server(link, endpoint);
    begin_to_connect(
        link, (struct stream_request){.host = link->server_at.host, .port = link->server_at.port});
}

static void on_master_found(void *arg, const struct redis_endpoint *master, const char *why)
{
    struct redis_link *link = arg;

    if (master) {
        connect_to_endpoint(link, master);
        redis_sentinel_lookup_cancel(&link->lookup);
    } else {
        redis_link_lose(link, why);
    }
}

static void ask_sentinels(struct redis_link *link)
{
    redis_link_enter(link, LINK_CONNECTING);
    link->lookup = redis_sentinel_lookup_start(link->loop, link->target, link->settings,
                                               on_master_found, link);
}

/* To the very address of the leader, not only to one of its name. */
static void follow_link(struct redis_link *link, const struct redis_link *leader)
{
    if (leader->server_at.host) {
        note_server(link, &leader->server_at);
    }
    begin_to_connect(
        link, (struct stream_request){.address = stream_connector_address(leader->connector)});
}

static bool have_tls(struct redis_link *link)
{
    const struct redis_settings *s = link->settings;
    char *error = NULL;

    if (!link->target->tls || link->tls) {
        return true;
    }
    link->tls =
        tls_client_context_create(*s->tls_ca != '\0' ? s->tls_ca : NULL,
                                  *s->tls_certificate != '\0' ? s->tls_certificate : NULL,
                                  *s->tls_key != '\0' ? s->tls_key : NULL, s->tls_verify, &error);
    if (!link->tls) {
        redis_link_unfit(link, error);
        free(error);
        return false;
    }
    return true;
}

static void connect_to_target(struct redis_link *link)
{
    const struct redis_target *target = link->target;

    switch (target->scheme) {
    case REDIS_UNIX:
        begin_to_connect(link, (struct stream_request){.path = target->host});
        break;
    case REDIS_TCP:
        connect_to_endpoint(link,
                            &(struct redis_endpoint){.host = target->host, .port = target->port});
        break;
    case REDIS_SENTINEL:
        ask_sentinels(link);
        break;
    case REDIS_EMBEDDED:
    case REDIS_CLUSTER:
        redis_link_unfit(link, "the target names no server to connect to");
        break;
    }
}

static void attempt(struct redis_link *link)
{
    enum redis_attempt kind = REDIS_ATTEMPT_TARGET;
    const struct redis_link *leader = NULL;

    if (!have_tls(link)) {
        return;
    }
    if (link->guide) {
        kind = link->guide->attempt(link->guide_arg, &leader);
    }
    switch (kind) {
    case REDIS_ATTEMPT_TARGET:
        connect_to_target(link);
        break;
    case REDIS_ATTEMPT_FOLLOW:
        follow_link(link, leader);
        break;
    case REDIS_ATTEMPT_WAIT:
        break;
    }
}

void redis_link_state_timer(void *arg)
{
    struct redis_link *link = arg;

    switch (link->state) {
    case LINK_WAITING:
        attempt(link);
        break;
    case LINK_HANDSHAKING:
        redis_link_handshake_timer(link);
        break;
    case LINK_CONNECTING:
    case LINK_UP:
    case LINK_CLOSED:
        break;
    }
}
