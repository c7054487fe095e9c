/*
 * listener: accepting. A refused connection is accepted and closed at once, so that the peer
 * notices and the kernel's queue does not fill; it costs a descriptor for that moment.
 */
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/share.h"
#include "net/net_private.h"
#include "net/prefixes_private.h"

static bool may_count(const struct address *peer)
{
    return peer->family == ADDRESS_IPV4 || peer->family == ADDRESS_IPV6;
}

static enum metric refusal_metric(const char *reason)
{
    if (strcmp(reason, "rate") == 0) {
        return METRIC_REFUSED_RATE;
    }
    if (strcmp(reason, "banned") == 0) {
        return METRIC_REFUSED_BANNED;
    }
    return strcmp(reason, "cut_off") == 0 ? METRIC_REFUSED_CUT_OFF : METRIC_REFUSED_DENIED;
}

/* NULL when its address has as many connections as it may have. */
static struct budget_account *count_connection(struct listener *listener,
                                               const struct address *peer)
{
    struct net *net = listener->net;
    const uint64_t now_us = loop_now_us(net->loop);
    const int64_t limit = listener->settings->max_per_address;
    struct budget_account *account = budget_account_acquire(net->budget, peer, now_us);
    if (limit > 0 && budget_account_usage(account)->connections >= (uint64_t)limit) {
        budget_account_release(net->budget, account, now_us);
        return NULL;
    }
    budget_account_usage(account)->connections++;
    return account;
}

bool listener_admits(struct listener *listener, const struct address *peer,
                     struct budget_account **account)
{
    struct net *net = listener->net;
    const char *reason = NULL;
    *account = NULL;
    if (listener->callbacks->admit) {
        reason = listener->callbacks->admit(listener->arg, peer);
    }
    if (reason) {
        net_refuse(net, listener, peer, reason, refusal_metric(reason), NULL);
        return false;
    }
    if (!may_count(peer)) {
        return true;
    }
    *account = count_connection(listener, peer);
    if (!*account) {
        net_refuse(net, listener, peer, "address_limit", METRIC_REFUSED_ADDRESS_LIMIT, NULL);
        return false;
    }
    return true;
}

/* The proxy itself: unix sockets are guarded by their file's permissions. */
static bool admits_proxy(struct listener *listener, const struct address *peer)
{
    const char *from = listener->settings->proxy_from;
    if (!from || from[0] == 0 || !may_count(peer) || prefixes_contain(from, peer)) {
        return true;
    }
    net_refuse(listener->net, listener, peer, "proxy_header", METRIC_REFUSED_PROXY,
               "not one of net.proxy_from");
    return false;
}

static void take_accepted_socket(struct listener *listener, int fd, const struct address *peer)
{
    struct net *net = listener->net;
    const struct net_settings *settings = listener->settings;
    struct budget_account *account = NULL;
    struct conn *conn;
    if (net->count >= share_of((uint64_t)net->settings->max_connections)) {
        net_refuse(net, listener, peer, "limit", METRIC_REFUSED_LIMIT, NULL);
        close(fd);
        return;
    }
    if (settings->proxy ? !admits_proxy(listener, peer)
                        : !listener_admits(listener, peer, &account)) {
        close(fd);
        return;
    }
    conn = conn_create(listener, fd, peer, account);
    conn_move(conn, settings->proxy ? CONN_PROXY : conn_first_state(listener));
}

/* Accepts one. False when there is no more, or no descriptor for it. */
static bool accept_one(struct listener *listener, int from)
{
    struct sockaddr_storage storage;
    struct address peer;
    socklen_t len = sizeof storage;
    int fd;
    if (listener->net->count >= listener->net->room) {
        net_pause_accepting(listener->net, EMFILE);
        return false;
    }
    storage.ss_family = AF_UNSPEC;
    fd = accept4(from, (struct sockaddr *)&storage, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            net_pause_accepting(listener->net, errno);
        } else if (errno != EAGAIN) {
            return true; /* that connection has ended already */
        }
        return false;
    }
    socket_adopt(&listener->socket, fd);
    if (listener->socket.is_tcp) {
        address_from_sockaddr((struct sockaddr *)&storage, &peer);
    } else {
        peer = (struct address){.family = ADDRESS_UNIX};
    }
    take_accepted_socket(listener, fd, &peer);
    return true;
}

/* Until there is no more, or the listener stops. */
static void accept_batch_from(struct listener *listener, int from)
{
    int64_t left = listener->settings->accept_batch;
    listener->references++; /* a callback may destroy the listener */
    loop_label(listener->net->loop, "accept");
    socket_apply_settings(&listener->socket, listener->settings);
    while (left-- > 0 && listener->socket.fd >= 0 && !listener->net->paused &&
           accept_one(listener, from)) {
    }
    listener_unref(listener);
}

static void on_accept(void *arg, unsigned events)
{
    struct listener *listener = arg;
    accept_batch_from(listener, listener->socket.fd);
}

/* ---- sockets of other workers ---- */

struct adopted_socket {
    struct list link;
    struct listener *listener;
    struct loop_io *io;
    unsigned from;
    int fd;
};

static void on_accept_adopted(void *arg, unsigned events)
{
    const struct adopted_socket *adopted = arg;
    accept_batch_from(adopted->listener, adopted->fd);
}

static void close_adopted(struct adopted_socket *adopted)
{
    list_remove(&adopted->link);
    loop_io_destroy(&adopted->io);
    close(adopted->fd);
    free(adopted);
}

static void close_all_adopted(struct listener *listener)
{
    while (!list_is_empty(&listener->adopted)) {
        close_adopted(list_entry(listener->adopted.next, struct adopted_socket, link));
    }
}

void listener_set_accepting(struct listener *listener, bool accepts)
{
    const unsigned events = accepts ? LOOP_READ : 0;
    if (listener->io) {
        loop_io_set(listener->io, events);
    }
    LIST_FOREACH (node, &listener->adopted) {
        loop_io_set(list_entry(node, struct adopted_socket, link)->io, events);
    }
}

void listener_adopt(struct listener *listener, int fd, unsigned from)
{
    struct net *net = listener->net;
    if (listener->socket.fd < 0) {
        close(fd); /* it has stopped */
        return;
    }
    struct adopted_socket *adopted = mem_zalloc(1, sizeof *adopted);
    *adopted = (struct adopted_socket){.listener = listener, .from = from, .fd = fd};
    list_append(&listener->adopted, &adopted->link);
    adopted->io = loop_io_create(net->loop, fd, on_accept_adopted, adopted);
    if (!net->paused) {
        loop_io_set(adopted->io, LOOP_READ);
    }
}

void listener_release(struct listener *listener, unsigned from)
{
    LIST_FOREACH (node, &listener->adopted) {
        struct adopted_socket *adopted = list_entry(node, struct adopted_socket, link);
        if (adopted->from == from) {
            close_adopted(adopted);
        }
    }
}

static struct tls_context *create_listener_context(const struct net_settings *settings,
                                                   char **error)
{
    const char *ca = settings->tls_client_ca;
    *error = NULL;
    return tls_server_context_create(settings->tls_certificate, settings->tls_key,
                                     ca != NULL && ca[0] != 0 ? ca : NULL, error);
}

static char *read_certificates(struct listener *listener)
{
    char *error;
    struct tls_context *context = create_listener_context(listener->settings, &error);
    if (!context) {
        return error;
    }
    tls_context_unref(&listener->tls);
    listener->tls = context;
    return NULL;
}

struct listener *listener_create(struct net *net, const char *where,
                                 const struct net_settings *settings,
                                 const struct listener_callbacks *callbacks, void *arg,
                                 char **error)
{
    return listener_inherit(net, where, -1, settings, callbacks, arg, error);
}

struct listener *listener_inherit(struct net *net, const char *where, int fd,
                                  const struct net_settings *settings,
                                  const struct listener_callbacks *callbacks, void *arg,
                                  char **error)
{
    struct listener *listener = mem_zalloc(1, sizeof *listener);
    listener->net = net;
    listener->references = 1;
    listener->settings = settings;
    listener->transport = settings->tls ? &conn_tls : &conn_plain;
    listener->callbacks = callbacks;
    listener->arg = arg;
    listener->socket.fd = -1;
    list_init(&listener->node);
    list_init(&listener->all);
    list_init(&listener->adopted);
    list_append(&net->all_listeners, &listener->all);
    queue_init(listener);
    *error = settings->tls ? read_certificates(listener) : NULL;
    if (*error && fd >= 0) {
        close(fd);
    } else if (!*error) {
        *error = fd < 0 ? socket_open(&listener->socket, where, settings, &listener->where)
                        : socket_inherit(&listener->socket, fd, where, settings, &listener->where);
    }
    if (*error) {
        listener_unref(listener);
        return NULL;
    }
    list_append(&net->listeners, &listener->node);
    listener->io = loop_io_create(net->loop, listener->socket.fd, on_accept, listener);
    if (!net->paused) {
        loop_io_set(listener->io, LOOP_READ);
    }
    return listener;
}

void listener_unref(struct listener *listener)
{
    if (--listener->references > 0) {
        return;
    }
    list_remove(&listener->all);
    queue_free(listener);
    tls_context_unref(&listener->tls);
    free(listener->where);
    free(listener);
}

/* Those in a handshake would become connections later, when nobody expects them. */
static void close_handshaking(struct listener *listener)
{
    LIST_FOREACH (node, &listener->queues[QUEUE_HANDSHAKE]) {
        struct conn *conn = list_entry(node, struct conn, node);
        if (conn->state == CONN_PROXY || conn->state == CONN_TLS) {
            conn_close(conn, CONN_CLOSE_LOCAL);
        }
    }
}

void listener_stop(struct listener *listener)
{
    loop_io_destroy(&listener->io);
    socket_close(&listener->socket);
    close_all_adopted(listener);
    close_handshaking(listener);
}

void listener_destroy(struct listener **pointer)
{
    struct listener *listener = *pointer;
    *pointer = NULL;
    if (!listener) {
        return;
    }
    listener_stop(listener);
    list_remove(&listener->node);
    /* Its connections keep the present settings, which are the owner's and may be freed. */
    listener->last_settings = *listener->settings;
    listener->last_settings.proxy_from = NULL;
    listener->last_settings.shared_addresses = NULL;
    listener->last_settings.tls_certificate = NULL;
    listener->last_settings.tls_key = NULL;
    listener->last_settings.tls_client_ca = NULL;
    listener->settings = &listener->last_settings;
    listener_unref(listener);
}

const char *listener_where(const struct listener *listener)
{
    return listener->where;
}

char *listener_check_tls(const struct listener *listener, const struct net_settings *settings)
{
    char *error;
    struct tls_context *context;
    if (!listener->settings->tls) {
        return NULL;
    }
    context = create_listener_context(settings, &error);
    if (context) {
        tls_context_unref(&context);
    }
    return error;
}

char *listener_check(const char *where)
{
    return socket_check(where);
}

char *listener_reload_tls(struct listener *listener)
{
    return listener->settings->tls ? read_certificates(listener) : NULL;
}
