/* settings: the table of net.*. */
#include "net/listener.h"

#include <stddef.h>

#include "net/prefixes_private.h"

#define DAY_MS (24LL * 3600 * 1000)
#define GIB    (1LL << 30)
#define TIB    (1LL << 40)

#define NET(name, type, standard, flags, min, max, help)                                           \
    {                                                                                              \
        "net." #name, type, offsetof(struct net_settings, name), standard, flags, min, max, NULL,  \
            help, NULL                                                                             \
    }
#define BOTH (CONFIG_RELOADABLE | CONFIG_LISTENER)

static const struct config_setting net_table[] = {
    NET(max_connections, CONFIG_INT, "100000", CONFIG_RELOADABLE, 1, 10000000,
        "Connections open at a time, over all listeners."),
    NET(max_per_address, CONFIG_INT, "1024", BOTH, 0, 10000000,
        "Connections open at a time from one client address; 0: no limit."),
    NET(handshake_timeout, CONFIG_DURATION, "10s", BOTH, 100, DAY_MS,
        "How long a new connection may take until its first complete message."),
    NET(idle_timeout, CONFIG_DURATION, "0s", BOTH, 0, 30 * DAY_MS,
        "Time without traffic after which a connection is closed; 0: never."),
    NET(message_timeout, CONFIG_DURATION, "30s", BOTH, 100, DAY_MS,
        "How long a message may take from its first byte to its last, while it is read."),
    NET(write_timeout, CONFIG_DURATION, "30s", BOTH, 100, DAY_MS,
        "How long waiting output may make no progress before the connection is closed."),
    NET(keepalive, CONFIG_DURATION, "10s", BOTH, 0, DAY_MS / 4,
        "Time without traffic until TCP probes the peer (whole seconds); 0: off."),
    NET(keepalive_interval, CONFIG_DURATION, "5s", BOTH, 1000, DAY_MS / 4,
        "Time between TCP probes (whole seconds)."),
    NET(keepalive_probes, CONFIG_INT, "3", BOTH, 1, 100,
        "Unanswered TCP probes that end a connection."),
    NET(max_input, CONFIG_SIZE, "1MiB", BOTH, 1024, GIB,
        "Input that is kept for a message that is not complete yet; more closes the connection."),
    NET(max_output, CONFIG_SIZE, "1MiB", BOTH, 1024, GIB,
        "Waiting output above which no more requests are read until all of it is taken."),
    NET(max_output_total, CONFIG_SIZE, "0", CONFIG_RELOADABLE, 0, TIB,
        "Output that all connections may hold; 0: a quarter of the memory limit."),
    NET(max_input_total, CONFIG_SIZE, "0", CONFIG_RELOADABLE, 0, TIB,
        "Unfinished input that all connections may hold; 0: an eighth of the memory limit."),
    NET(max_output_per_address, CONFIG_SIZE, "256MiB", CONFIG_RELOADABLE, 0, TIB,
        "Output that the connections of one address may hold; 0: no limit."),
    NET(max_input_per_address, CONFIG_SIZE, "64MiB", CONFIG_RELOADABLE, 0, TIB,
        "Unfinished input that the connections of one address may hold; 0: no limit."),
    NET(linger, CONFIG_DURATION, "2s", BOTH, 0, 60000,
        "How long the peer's end is awaited after our last bytes."),
    NET(send_buffer, CONFIG_SIZE, "0", BOTH, 0, GIB,
        "Size of the kernel's send buffer of a connection; 0: the kernel decides."),
    NET(backlog, CONFIG_INT, "4096", CONFIG_LISTENER, 1, 65535,
        "Connections that may wait to be accepted."),
    NET(accept_pause, CONFIG_DURATION, "1s", CONFIG_RELOADABLE, 10, 60000,
        "How long accepting pauses when descriptors run out, unless a connection ends before."),
    NET(accept_batch, CONFIG_INT, "64", BOTH, 1, 4096,
        "Connections that a listener accepts in one event-loop iteration."),
    NET(reuse_port, CONFIG_BOOL, "false", CONFIG_LISTENER, 0, 0,
        "Let several processes listen on the same port (SO_REUSEPORT)."),
    NET(proxy, CONFIG_BOOL, "false", BOTH, 0, 0,
        "A PROXY protocol header, version 1 or 2, must come first on each connection."),
    {"net.proxy_from", CONFIG_STRING, offsetof(struct net_settings, proxy_from), "", BOTH, 0, 0,
     NULL, "Prefixes of the proxies that may connect where a PROXY header is expected; empty: any.",
     prefixes_check},
    {"net.shared_addresses", CONFIG_STRING, offsetof(struct net_settings, shared_addresses), "",
     BOTH, 0, 0, NULL,
     "Prefixes of addresses that many clients share (balancers, NAT): they have no budget of their "
     "own.",
     prefixes_check},
    NET(tls, CONFIG_BOOL, "false", CONFIG_LISTENER, 0, 0, "Speak TLS."),
    NET(tls_certificate, CONFIG_STRING, "", BOTH, 0, 0,
        "PEM file with the certificate and its chain."),
    NET(tls_key, CONFIG_STRING, "", BOTH, 0, 0, "PEM file with the private key."),
    NET(tls_client_ca, CONFIG_STRING, "", BOTH, 0, 0,
        "PEM file of the authority that must have signed a client's certificate; empty: none."),
    {.key = NULL}};

const struct config_module net_config = {.settings = net_table,
                                         .values_size = sizeof(struct net_settings)};
