/*
 * connect: from waiting to a connected socket: the address to try, and the TLS context.
 */
#include "redis/link_private.h"

#include <stdlib.h>

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
    if (link->target->scheme == REDIS_TLS) {
        request.tls = link->tls;
        request.server_name = link->target->host;
    }
    request.step_ms = (uint64_t)link->settings->connect_timeout;
    redis_link_enter(link, LINK_CONNECTING);
    link->connector = stream_connector_start(link->loop, &request, &connector_events, link);
}

static bool have_tls(struct redis_link *link)
{
    const struct redis_settings *s = link->settings;
    char *error = NULL;

    if (link->target->scheme != REDIS_TLS || link->tls) {
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

/* Asks the guide; true when nothing remains to be done for this attempt. */
static bool is_guided(struct redis_link *link)
{
    struct stream_address address;

    if (!link->guide) {
        return false;
    }
    switch (link->guide->attempt(link->guide_arg, &address)) {
    case REDIS_ATTEMPT_TARGET:
        return false;
    case REDIS_ATTEMPT_ADDRESS:
        begin_to_connect(link, (struct stream_request){.address = &address});
        return true;
    case REDIS_ATTEMPT_WAIT:
        return true;
    }
    return false;
}

static void attempt(struct redis_link *link)
{
    const struct redis_target *target = link->target;

    if (!have_tls(link) || is_guided(link)) {
        return;
    }
    if (target->scheme == REDIS_UNIX) {
        begin_to_connect(link, (struct stream_request){.path = target->host});
    } else if (target->scheme == REDIS_TCP || target->scheme == REDIS_TLS) {
        begin_to_connect(link, (struct stream_request){.host = target->host, .port = target->port});
    } else {
        redis_link_unfit(link, "the target names no server to connect to");
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
