/*
 * pubsub: the peer of the latency measurement: PUBLISH on one connection to a plain Redis, the
 * message on another.
 *
 * All messages have the same length, so their frame is compared and not parsed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "peer.h"

#define CHANNEL "tracker-bench"

struct subscriber {
    struct peer peer;
    bool is_asked; /* to subscribe, at least once */
    bool has_subscribed;
    bool is_counted; /* it has subscribed once */
};

struct pubsub {
    struct worker *worker;
    struct peer_set *peers;
    struct pacer *pacer;
    uint8_t *scratch;
    struct writer head; /* of every message that a subscriber gets */
    uint32_t to_subscribe;
};

/* Whether it is none. */
static bool refuse_error(struct peer *peer, struct bytes input)
{
    const struct pubsub *pubsub = peer_set_arg(peer->peers);
    if (input.len == 0 || input.data[0] != '-') {
        return true;
    }
    peer_refuse(peer, "%s: %.*s", pubsub->worker->part.target,
                (int)(input.len < 100 ? input.len : 100), (const char *)input.data);
    return false;
}

static struct pubsub *create_common(struct worker *worker, size_t size,
                                    const struct peer_handler *handler)
{
    struct pubsub *pubsub = mem_zalloc(1, sizeof *pubsub);
    pubsub->worker = worker;
    pubsub->peers = peer_set_create(worker, size, handler, pubsub);
    pubsub->scratch = mem_alloc(worker->part.state_size);
    return pubsub;
}

static void on_pubsub_connected(void *arg)
{
    struct pubsub *pubsub = arg;
    worker_done(pubsub->worker);
}

/* The publisher. */

static size_t publisher_received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct pubsub *pubsub = peer_set_arg(peer->peers);
    struct bytes rest = input;
    const uint8_t *end;
    while (rest.len > 0 && (end = memchr(rest.data, '\n', rest.len))) {
        if (!refuse_error(peer, rest)) {
            break;
        }
        if (peer_is_settled(peer)) {
            pubsub->worker->results->accepted += worker_in_window(pubsub->worker, now_us);
        } else {
            peer_settled(peer);
        }
        rest.len -= (size_t)(end + 1 - rest.data);
        rest.data = end + 1;
    }
    return input.len - rest.len;
}

/* An answer, whatever it is, shows that Redis is there. */
static void resume_publisher(struct peer *peer)
{
    writer_string(peer_output(peer), "*1\r\n$4\r\nPING\r\n");
    peer_flush_later(peer);
}

static void publish_next(void *arg, uint64_t intended_us)
{
    struct pubsub *pubsub = arg;
    struct worker *worker = pubsub->worker;
    struct peer *peer = peer_set_at(pubsub->peers, 0);
    uint64_t now = clock_monotonic_us();
    if (!peer_is_settled(peer)) {
        worker->results->missed += worker_in_window(worker, intended_us);
        return;
    }
    writer_format(peer_output(peer), "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%u\r\n",
                  strlen(CHANNEL), CHANNEL, worker->part.state_size);
    writer_bytes(peer_output(peer), bench_state(worker, pubsub->scratch, intended_us, now));
    writer_string(peer_output(peer), "\r\n");
    worker->results->sent += worker_in_window(worker, intended_us);
    peer_flush_later(peer);
}

static void *create_publisher(struct worker *worker)
{
    static const struct peer_handler handler = {.received = publisher_received,
                                                .connected = on_pubsub_connected,
                                                .resume = resume_publisher};
    struct pubsub *pubsub = create_common(worker, sizeof(struct peer), &handler);
    pubsub->pacer = pacer_create(worker->loop, publish_next, on_pubsub_connected, pubsub);
    return pubsub;
}

static void step_publisher(void *self, enum step step)
{
    struct pubsub *pubsub = self;
    const struct span *span = &pubsub->worker->span;
    if (step == STEP_CONNECT) {
        peer_set_connect(pubsub->peers);
    } else if (step == STEP_RUN) {
        pacer_start(pubsub->pacer, pubsub->worker->part.rate, span->begin_us, span->end_us);
    } else {
        worker_done(pubsub->worker);
    }
}

const struct role publisher_role = {"publisher", create_publisher, step_publisher};

/* The subscribers. */

/* The confirmation is three lines and a number, of which the last begins with ':'. */
static size_t take_subscribe_reply(struct subscriber *subscriber, struct bytes input)
{
    struct pubsub *pubsub = peer_set_arg(subscriber->peer.peers);
    const uint8_t *number = memchr(input.data, ':', input.len);
    const uint8_t *end = NULL;
    if (!refuse_error(&subscriber->peer, input)) {
        return 0;
    }
    if (number) {
        end = memchr(number, '\n', (size_t)(input.data + input.len - number));
    }
    if (!end) {
        return 0;
    }
    subscriber->has_subscribed = true;
    if (!peer_is_settled(&subscriber->peer)) {
        peer_settled(&subscriber->peer);
    }
    if (!subscriber->is_counted && --pubsub->to_subscribe == 0) {
        worker_done(pubsub->worker);
    }
    subscriber->is_counted = true;
    return (size_t)(end + 1 - input.data);
}

static size_t subscriber_received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct pubsub *pubsub = peer_set_arg(peer->peers);
    struct subscriber *subscriber = (struct subscriber *)peer;
    const struct writer *head = &pubsub->head;
    size_t whole = head->len + pubsub->worker->part.state_size + 2;
    size_t at = 0;
    if (!subscriber->has_subscribed) {
        return take_subscribe_reply(subscriber, input);
    }
    for (; input.len - at >= whole; at += whole) {
        if (memcmp(input.data + at, head->data, head->len) != 0) {
            bench_fail("%s sent an unexpected message", pubsub->worker->part.target);
        }
        bench_delivered(pubsub->worker,
                        (struct bytes){input.data + at + head->len, whole - head->len - 2}, now_us);
    }
    return at;
}

static void subscribe(struct peer *peer)
{
    writer_format(peer_output(peer), "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(CHANNEL),
                  CHANNEL);
    peer_flush_later(peer);
}

static void resume_subscriber(struct peer *peer)
{
    if (((struct subscriber *)peer)->is_asked) {
        subscribe(peer);
    } else {
        peer_settled(peer);
    }
}

static void subscriber_lost(struct peer *peer)
{
    ((struct subscriber *)peer)->has_subscribed = false;
}

static void *create_subscriber(struct worker *worker)
{
    static const struct peer_handler handler = {.received = subscriber_received,
                                                .connected = on_pubsub_connected,
                                                .resume = resume_subscriber,
                                                .lost = subscriber_lost};
    struct pubsub *pubsub = create_common(worker, sizeof(struct subscriber), &handler);
    writer_format(&pubsub->head, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(CHANNEL),
                  CHANNEL, worker->part.state_size);
    return pubsub;
}

static void subscribe_all(struct pubsub *pubsub)
{
    pubsub->to_subscribe = pubsub->worker->part.connections;
    for (uint32_t i = 0; i < pubsub->worker->part.connections; i++) {
        struct subscriber *subscriber = peer_set_at(pubsub->peers, i);
        subscriber->is_asked = true;
        if (peer_is_settled(&subscriber->peer)) {
            subscribe(&subscriber->peer);
        }
    }
}

static void step_subscriber(void *self, enum step step)
{
    struct pubsub *pubsub = self;
    if (step == STEP_CONNECT) {
        peer_set_connect(pubsub->peers);
    } else if (step == STEP_OPEN) {
        subscribe_all(pubsub);
    } else {
        worker_done(pubsub->worker);
    }
}

const struct role subscriber_role = {"subscribers", create_subscriber, step_subscriber};
