/*
 * listener: accepts connections on IPv4, IPv6 or unix sockets, under the limits of its net, and
 * hands them to a protocol.
 *
 * struct net is what the listeners of one process share: the shared read buffer, the time-out
 * queues, the counts of connections in all and per address. When descriptors run out (EMFILE,
 * ENFILE) all listeners of the net stop accepting until a connection has closed or
 * net.accept_pause has passed; nothing spins.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"
#include "loop/loop.h"
#include "net/conn.h"

/* The settings of a net and its listeners; CONFIG_LISTENER ones may be given per listener. Of
 * totals, this process has its share (base/share.h). */
struct net_settings {
    int64_t max_connections;        /* net.max_connections, in all */
    int64_t max_per_address;        /* net.max_per_address; 0: none */
    int64_t handshake_timeout;      /* net.handshake_timeout, ms until the first complete message */
    int64_t idle_timeout;           /* net.idle_timeout, ms; 0: off */
    int64_t message_timeout;        /* net.message_timeout, ms of reading from its first byte on */
    int64_t write_timeout;          /* net.write_timeout, ms without progress of waiting output */
    int64_t keepalive;              /* net.keepalive, ms until the first TCP probe; 0: off */
    int64_t keepalive_interval;     /* net.keepalive_interval, ms between probes (whole seconds) */
    int64_t keepalive_probes;       /* net.keepalive_probes unanswered ones that end a connection */
    int64_t max_output_total;       /* net.max_output_total, bytes; 0: by the process's limit */
    int64_t max_input_total;        /* net.max_input_total */
    int64_t max_output_per_address; /* net.max_output_per_address, bytes; 0: none */
    int64_t max_input_per_address;  /* net.max_input_per_address */
    int64_t max_input;              /* net.max_input, bytes of unconsumed input */
    int64_t max_output;   /* net.max_output, bytes of backlog above which a peer is not read from */
    int64_t linger;       /* net.linger, ms to wait for the peer's end after our last bytes */
    int64_t send_buffer;  /* net.send_buffer, SO_SNDBUF; 0: the kernel's */
    int64_t backlog;      /* net.backlog */
    int64_t accept_pause; /* net.accept_pause, ms */
    int64_t accept_batch; /* net.accept_batch, connections accepted per iteration and listener */
    bool reuse_port;      /* net.reuse_port: SO_REUSEPORT */
    bool proxy;           /* net.proxy: a PROXY header (v1 or v2) must be first */
    char *proxy_from;     /* net.proxy_from: prefixes allowed to send it; empty: any */
    char *shared_addresses; /* net.shared_addresses: prefixes whose addresses have no budget */
    bool tls;               /* net.tls */
    char *tls_certificate;  /* net.tls_certificate: PEM file, with its chain */
    char *tls_key;          /* net.tls_key */
    char *tls_client_ca;    /* net.tls_client_ca: clients need a certificate of it */
};
extern const struct config_module net_config;

struct net;
struct listener;

/* settings are read at each use, so a reload that writes them takes effect. */
struct net *net_create(struct loop *loop, const struct net_settings *settings);
/* There must be no listeners and no connections. */
void net_destroy(struct net **net);
/* What connections and their addresses may cost; read at each use, must outlive the net. At first
 * there are no limits. */
struct budget_settings;
void net_set_budget(struct net *net, const struct budget_settings *settings);
/* Sends the output of all connections at once, as far as their sockets take it: before the end. */
void net_flush(struct net *net);
uint64_t net_connection_count(const struct net *net);
struct loop *net_loop(const struct net *net);
/* Bytes of unfinished input and of output, and what is allowed of each. */
uint64_t net_input_size(const struct net *net);
uint64_t net_input_limit(const struct net *net);
uint64_t net_output_size(const struct net *net);
uint64_t net_output_limit(const struct net *net);
void net_log_limits(const struct net *net);

struct listener_callbacks {
    /* Before a connection is made: NULL lets it in, else the reason it is refused (a static word
     * for log and metric: "denied", "banned", "rate", "cut_off"). Where a PROXY header comes first
     * it is called with the client's address from that header, not with the proxy's. May be NULL.
     */
    const char *(*admit)(void *arg, const struct address *peer);
    /* A connection that is ready for use (PROXY header read, TLS handshake done): must call
     * conn_set_handler before it returns. */
    void (*accepted)(void *arg, struct conn *conn);
};

/* NULL when it is a place to listen on as listener_create takes it, else what is wrong (the caller
 * frees). Opens nothing. */
char *listener_check(const char *where) __attribute__((warn_unused_result));
/* Where to listen: "127.0.0.1:6789", "[::]:0", "*:6789" (all, both families), "unix:/path".
 * NULL and *error (the caller frees) when it cannot. settings: this listener's own copy, must
 * outlive it. A stale unix socket on which no process listens is replaced. */
struct listener *listener_create(struct net *net, const char *where,
                                 const struct net_settings *settings,
                                 const struct listener_callbacks *callbacks, void *arg,
                                 char **error) __attribute__((warn_unused_result));
/* The same on a listening socket that was opened for that place by a supervisor, which keeps it;
 * -1: opens one. The descriptor is the listener's, also on an error. */
struct listener *listener_inherit(struct net *net, const char *where, int fd,
                                  const struct net_settings *settings,
                                  const struct listener_callbacks *callbacks, void *arg,
                                  char **error) __attribute__((warn_unused_result));
/* Accepts also from another worker's socket for the same place, until it is released or the
 * listener stops. Owns the descriptor. */
void listener_adopt(struct listener *listener, int fd, unsigned from);
void listener_release(struct listener *listener, unsigned from);
/* Stops accepting; its connections stay open. Removes the unix socket's file. */
void listener_destroy(struct listener **listener);
/* "127.0.0.1:6789" with the real port, "unix:/path". Lives as long as the listener. */
const char *listener_where(const struct listener *listener);
/* Closes the socket (and those that are not yet connections), keeps the listener. */
void listener_stop(struct listener *listener);
/* Closes every connection that it accepted. */
void listener_close_connections(struct listener *listener, enum conn_close_reason reason);
/* Closes those whose peers' addresses are chosen. */
void listener_close_chosen(struct listener *listener,
                           bool (*is_chosen)(void *arg, const struct address *peer), void *arg,
                           enum conn_close_reason reason);
/* Reads the certificate files again for new connections. NULL, or what is wrong (caller frees). */
char *listener_reload_tls(struct listener *listener) __attribute__((warn_unused_result));
/* Whether listener_reload_tls could use the files that these settings name. NULL, or what is wrong
 * (the caller frees). */
char *listener_check_tls(const struct listener *listener, const struct net_settings *settings)
    __attribute__((warn_unused_result));

#endif
