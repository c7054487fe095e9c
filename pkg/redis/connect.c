/*
 * connect: from waiting to a connected socket: TLS context, addresses, one address after another.
 */
#include "redis/link_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"

static void connect_failed(struct redis_link *link, const char *why)
{
    char *text = mem_strdup(why);

    if (redis_socket_failed_in_tls(link->socket)) {
        tls_context_unref(&link->tls); /* read the files again: they may have been replaced */
    }
    redis_socket_close(&link->socket, true);
    if (!redis_link_try_addresses(link)) {
        redis_link_lose(link, text);
    }
    free(text);
}

static void socket_ready(void *arg, unsigned events)
{
    struct redis_link *link = arg;
    struct redis_reader *reader = link->reader;

    if (link->state == LINK_CONNECTING) {
        int connected = redis_socket_connected(link->socket);

        if (connected < 0) {
            connect_failed(link, redis_socket_error(link->socket));
        } else if (connected > 0) {
            link->reader = redis_reader_create((size_t)link->settings->max_reply);
            redis_link_enter(link, LINK_HANDSHAKING);
            redis_link_handshake(link);
        }
        return;
    }
    redis_link_receive(link);
    if (link->reader == reader && link->out.len > link->out_sent) {
        redis_link_flush(link);
    }
}

bool redis_link_try_addresses(struct redis_link *link)
{
    bool tls = link->target->scheme == REDIS_TLS;

    while (link->next_address < link->addresses.count) {
        const struct redis_address *address = &link->addresses.list[link->next_address++];

        link->socket = redis_socket_open(link->loop, (const struct sockaddr *)&address->storage,
                                         address->len, tls ? link->tls : NULL,
                                         tls ? link->target->host : NULL, socket_ready, link);
        if (link->socket != NULL) {
            redis_link_enter(link, LINK_CONNECTING);
            return true;
        }
    }
    return false;
}

static void connect_begin(struct redis_link *link)
{
    link->next_address = 0;
    if (!redis_link_try_addresses(link)) {
        redis_link_lose(link, strerror(errno));
    }
}

static void resolved(void *arg, const struct redis_addresses *addresses)
{
    struct redis_link *link = arg;

    link->addresses = *addresses;
    redis_lookup_cancel(&link->lookup);
    if (link->addresses.error != 0) {
        redis_link_lose(link, gai_strerror(link->addresses.error));
    } else {
        connect_begin(link);
    }
}

static void use_unix_path(struct redis_link *link)
{
    struct redis_address *address = &link->addresses.list[0];
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;

    memset(&link->addresses, 0, sizeof link->addresses);
    name->sun_family = AF_UNIX;
    strncpy(name->sun_path, link->target->host, sizeof name->sun_path - 1);
    address->len = sizeof *name;
    link->addresses.count = 1;
}

static bool have_tls(struct redis_link *link)
{
    const struct redis_settings *s = link->settings;
    char *error = NULL;

    if (link->target->scheme != REDIS_TLS || link->tls != NULL) {
        return true;
    }
    link->tls =
        tls_client_context_create(*s->tls_ca != '\0' ? s->tls_ca : NULL,
                                  *s->tls_certificate != '\0' ? s->tls_certificate : NULL,
                                  *s->tls_key != '\0' ? s->tls_key : NULL, s->tls_verify, &error);
    if (link->tls == NULL) {
        redis_link_unfit(link, error);
        free(error);
        return false;
    }
    return true;
}

/* What the guide says: true when there is nothing more to do for this attempt. */
static bool is_guided(struct redis_link *link)
{
    struct redis_address address;

    if (link->guide == NULL) {
        return false;
    }
    switch (link->guide->attempt(link->guide_arg, &address)) {
    case REDIS_ATTEMPT_TARGET:
        return false;
    case REDIS_ATTEMPT_ADDRESS:
        memset(&link->addresses, 0, sizeof link->addresses);
        link->addresses.list[0] = address;
        link->addresses.count = 1;
        connect_begin(link);
        return true;
    case REDIS_ATTEMPT_WAIT:
        return true;
    }
    return false;
}

static void attempt(struct redis_link *link)
{
    if (!have_tls(link) || is_guided(link)) {
        return;
    }
    if (link->target->scheme == REDIS_UNIX) {
        use_unix_path(link);
        connect_begin(link);
    } else if (link->target->scheme != REDIS_TCP && link->target->scheme != REDIS_TLS) {
        redis_link_unfit(link, "the target names no server to connect to");
    } else if (redis_resolve_numeric(link->target->host, link->target->port, &link->addresses)) {
        connect_begin(link);
    } else {
        link->lookup = redis_lookup_start(link->loop, link->target->host, link->target->port, 0,
                                          resolved, link);
        if (link->lookup != NULL) {
            redis_link_enter(link, LINK_RESOLVING);
        } else {
            redis_link_lose(link, strerror(errno));
        }
    }
}

void redis_link_state_timer(void *arg)
{
    struct redis_link *link = arg;

    switch (link->state) {
    case LINK_WAITING:
        attempt(link);
        break;
    case LINK_RESOLVING:
        redis_link_lose(link, "looking up the host timed out");
        break;
    case LINK_CONNECTING:
        redis_socket_close(&link->socket, true);
        if (!redis_link_try_addresses(link)) {
            redis_link_lose(link, "connecting timed out");
        }
        break;
    case LINK_HANDSHAKING:
        redis_link_handshake_timer(link);
        break;
    case LINK_UP:
    case LINK_CLOSED:
        break;
    }
}
