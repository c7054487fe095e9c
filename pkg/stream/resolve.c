/*
 * resolve: getaddrinfo in a detached thread, at most one for each name.
 *
 * The thread owns its request and its end of the socket pair; when nobody waits any more, its
 * answer is discarded. A thread cannot be cancelled while its resolver hangs. So a caller that
 * gives up leaves the flight running, and the next caller that needs the name joins it.
 *
 * Flights belong to the process, which may have several loops in their own threads: a game with the
 * client library. `lock` guards the list, and each flight that nobody waits for. A flight with
 * waiters belongs to the thread of its loop; only that thread changes it, under the lock. The lock
 * is not held during callbacks.
 */
#include "stream/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

/* Concurrent threads. */
#define FLIGHTS_MAX 32
/* The maximum age of an answer that nobody waited for, when the name is requested again. */
#define ANSWER_FRESH_US 10000000

struct lookup_request {
    int fd;
    char host[];
};

/* What a thread sends through the socket pair. */
struct lookup_answer {
    uint64_t finished_us; /* of the monotonic clock */
    struct stream_addresses addresses;
};

/* A lookup in progress. */
struct flight {
    struct list link; /* in flights, until it is answered */
    struct list waiters;
    struct loop *loop;
    struct loop_io *io; /* NULL: nobody waits */
    int fd;
    char host[];
};

struct stream_lookup {
    struct list link;      /* in the flight's waiters */
    struct flight *flight; /* NULL: done has been called */
    struct loop_timer *timer;
    uint16_t port;
    void (*done)(void *arg, const struct stream_addresses *addresses);
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list flights = {&flights, &flights};
static unsigned flight_count;

static void set_address_port(struct stream_address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET) {
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    } else if (address->storage.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    }
}

static void find_addresses(const char *host, int flags, struct stream_addresses *addresses)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;

    memset(addresses, 0, sizeof *addresses);
    addresses->error = getaddrinfo(host, NULL, &hints, &found);
    if (addresses->error != 0) {
        return;
    }
    for (struct addrinfo *at = found; at && addresses->count < STREAM_ADDRESSES_MAX;
         at = at->ai_next) {
        struct stream_address *address = &addresses->list[addresses->count];

        if (at->ai_addrlen <= sizeof address->storage) {
            memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
            address->len = at->ai_addrlen;
            addresses->count++;
        }
    }
    freeaddrinfo(found);
    if (addresses->count == 0) {
        addresses->error = EAI_NONAME;
    }
}

static void set_ports(struct stream_addresses *addresses, uint16_t port)
{
    for (unsigned i = 0; i < addresses->count; i++) {
        set_address_port(&addresses->list[i], port);
    }
}

bool stream_resolve_numeric(const char *host, uint16_t port, struct stream_addresses *addresses)
{
    find_addresses(host, AI_NUMERICHOST, addresses);
    set_ports(addresses, port);
    return addresses->error == 0;
}

static void *lookup_thread(void *arg)
{
    struct lookup_request *request = arg;
    struct lookup_answer answer;

    memset(&answer, 0, sizeof answer);
    find_addresses(request->host, 0, &answer.addresses);
    answer.finished_us = clock_monotonic_us();
    (void)send(request->fd, &answer, sizeof answer, MSG_NOSIGNAL);
    close(request->fd);
    free(request);
    return NULL;
}

/* All signals are blocked in the thread: the loop handles them. */
static int start_lookup_thread(struct lookup_request *request)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int error;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, lookup_thread, request);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void free_flight(struct flight *flight)
{
    list_remove(&flight->link);
    flight_count--;
    loop_io_destroy(&flight->io);
    close(flight->fd);
    free(flight);
}

static void leave_waiters(struct stream_lookup *lookup)
{
    list_remove(&lookup->link);
    lookup->flight = NULL;
}

/* Moves the waiters out of the flight, and frees the flight. */
static void land_flight(struct flight *flight, struct list *waiters)
{
    list_init(waiters);
    list_move_all(&flight->waiters, waiters);
    free_flight(flight);
    LIST_FOREACH (at, waiters) {
        list_entry(at, struct stream_lookup, link)->flight = NULL;
    }
}

/* A callback may cancel its own lookup or others, and start new ones. */
static void deliver_addresses(struct list *waiters, const struct stream_addresses *found)
{
    while (!list_is_empty(waiters)) {
        struct stream_lookup *lookup = list_entry(waiters->next, struct stream_lookup, link);
        struct stream_addresses addresses = *found;

        list_remove(&lookup->link);
        loop_timer_stop(lookup->timer);
        set_ports(&addresses, lookup->port);
        lookup->done(lookup->arg, &addresses);
    }
}

static void on_flight_answered(void *arg, unsigned events)
{
    struct flight *flight = arg;
    struct lookup_answer answer;
    struct list waiters;
    ssize_t len = recv(flight->fd, &answer, sizeof answer, MSG_DONTWAIT);

    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (len != sizeof answer) {
        memset(&answer, 0, sizeof answer);
        answer.addresses.error = EAI_AGAIN; /* no thread: try again */
    }
    pthread_mutex_lock(&lock);
    land_flight(flight, &waiters);
    pthread_mutex_unlock(&lock);
    deliver_addresses(&waiters, &answer.addresses);
}

/* True when the answer has arrived; it stays in the socket. */
static bool peek_answer(const struct flight *flight, struct lookup_answer *answer)
{
    ssize_t len = recv(flight->fd, answer, sizeof *answer, MSG_DONTWAIT | MSG_PEEK);

    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (len != sizeof *answer) {
        answer->addresses.error = EAI_AGAIN;
    }
    return true;
}

/* Frees flights that were answered while nobody waited: the failed and the old ones, or all.
 * Returns the number of flights without an answer. */
static unsigned drop_old_flights(bool all)
{
    unsigned hanging = 0;

    LIST_FOREACH (at, &flights) {
        struct flight *flight = list_entry(at, struct flight, link);
        struct lookup_answer answer;

        if (!peek_answer(flight, &answer)) {
            hanging++;
        } else if (list_is_empty(&flight->waiters) &&
                   (all || answer.addresses.error != 0 ||
                    clock_monotonic_us() - answer.finished_us > ANSWER_FRESH_US)) {
            free_flight(flight);
        }
    }
    return hanging;
}

static struct flight *find_flight(const struct loop *loop, const char *host)
{
    LIST_FOREACH (at, &flights) {
        struct flight *flight = list_entry(at, struct flight, link);

        if (strcmp(flight->host, host) == 0 &&
            (list_is_empty(&flight->waiters) || flight->loop == loop)) {
            return flight;
        }
    }
    return NULL;
}

static struct flight *start_flight(const char *host)
{
    size_t size = strlen(host) + 1;
    struct flight *flight;
    struct lookup_request *request;
    int pair[2];

    if (flight_count >= FLIGHTS_MAX && drop_old_flights(true) >= FLIGHTS_MAX) {
        errno = EAGAIN;
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return NULL;
    }
    request = mem_alloc(sizeof *request + size);
    request->fd = pair[1];
    memcpy(request->host, host, size);
    flight = mem_zalloc(1, sizeof *flight + size);
    memcpy(flight->host, host, size);
    flight->fd = pair[0];
    list_init(&flight->waiters);
    list_init(&flight->link);
    list_append(&flights, &flight->link);
    flight_count++;
    if (start_lookup_thread(request) != 0) {
        close(pair[1]); /* read as the end: EAI_AGAIN */
        free(request);
    }
    return flight;
}

static void leave_flight(struct stream_lookup *lookup)
{
    struct flight *flight = lookup->flight;

    pthread_mutex_lock(&lock);
    leave_waiters(lookup);
    if (flight && list_is_empty(&flight->waiters)) {
        loop_io_destroy(&flight->io);
    }
    pthread_mutex_unlock(&lock);
    loop_timer_stop(lookup->timer);
}

static void on_lookup_late(void *arg)
{
    const struct stream_addresses none = {.error = EAI_AGAIN};
    struct stream_lookup *lookup = arg;

    leave_flight(lookup);
    lookup->done(lookup->arg, &none);
}

unsigned stream_lookups_in_flight(void)
{
    unsigned hanging;

    pthread_mutex_lock(&lock);
    hanging = drop_old_flights(false);
    pthread_mutex_unlock(&lock);
    return hanging;
}

/* False when no flight exists and none can be started. */
static bool join_flight(struct loop *loop, const char *host, struct stream_lookup *lookup)
{
    struct flight *flight;

    (void)drop_old_flights(false);
    flight = find_flight(loop, host);
    if (!flight) {
        flight = start_flight(host);
    }
    if (!flight) {
        return false;
    }
    if (!flight->io) {
        flight->loop = loop;
        flight->io = loop_io_create(loop, flight->fd, on_flight_answered, flight);
        loop_io_set(flight->io, LOOP_READ);
    }
    lookup->flight = flight;
    list_append(&flight->waiters, &lookup->link);
    return true;
}

struct stream_lookup *
stream_lookup_start(struct loop *loop, const char *host, uint16_t port, uint64_t timeout_ms,
                    void (*done)(void *arg, const struct stream_addresses *addresses), void *arg)
{
    struct stream_lookup *lookup = mem_zalloc(1, sizeof *lookup);
    bool has_joined;

    list_init(&lookup->link);
    lookup->port = port;
    lookup->done = done;
    lookup->arg = arg;
    pthread_mutex_lock(&lock);
    has_joined = join_flight(loop, host, lookup);
    pthread_mutex_unlock(&lock);
    if (!has_joined) {
        int error = errno;

        free(lookup);
        errno = error;
        return NULL;
    }
    lookup->timer = loop_timer_create(loop, on_lookup_late, lookup);
    if (timeout_ms > 0) {
        loop_timer_start(lookup->timer, timeout_ms);
    }
    return lookup;
}

void stream_lookup_cancel(struct stream_lookup **pointer)
{
    struct stream_lookup *lookup = *pointer;

    *pointer = NULL;
    if (lookup) {
        leave_flight(lookup);
        loop_timer_destroy(&lookup->timer);
        free(lookup);
    }
}
