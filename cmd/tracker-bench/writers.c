/*
 * writers: connections that update entries of their own, by a schedule (open loop) or as fast as
 * answers come (closed loop, part.window updates under way per connection).
 *
 * Each connection owns its share of part.entries and updates them in turn, so that neighbouring
 * updates are of different entries. STEP_OPEN makes each entry by its first update; a connection
 * that was lost makes all of its entries again before it takes part in the load. What was due
 * meanwhile is missed, as a client has only its latest state to send.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "peer.h"

#define OPENS_AT_ONCE 64
#define DRAIN_MS      2000

struct stamp {
    uint64_t intended_us;
    uint64_t actual_us;
};

struct connection {
    struct peer peer;
    uint32_t first; /* number of its first entry */
    uint32_t entries;
    bool is_asked;      /* to make its entries, at least once */
    bool is_making;     /* them: what it sends is not of the load */
    bool is_counted;    /* it has made them once */
    uint32_t made;      /* sent */
    uint32_t confirmed; /* answered */
    uint32_t next;      /* entry to update */
    uint64_t *versions;
    struct stamp *ring; /* of the updates that wait for an answer, oldest at head */
    uint32_t head;
    uint32_t waiting;
    uint32_t capacity;
};

struct writers {
    struct worker *worker;
    struct peer_set *peers;
    struct pacer *pacer;
    struct loop_timer *drain;
    uint8_t *scratch;
    uint32_t next;       /* connection that is to send next */
    uint64_t waiting;    /* updates of the load, of all connections */
    uint64_t unanswered; /* on connections that were lost */
    uint32_t to_make;    /* connections that have not made their entries */
    enum step step;
    bool has_ended;
};

static void record_sent(struct connection *connection, struct stamp stamp)
{
    if (connection->waiting == connection->capacity) {
        uint32_t capacity = connection->capacity ? connection->capacity * 2 : 16;
        struct stamp *ring = mem_zalloc(capacity, sizeof *ring);
        for (uint32_t i = 0; i < connection->waiting; i++) {
            ring[i] = connection->ring[(connection->head + i) % connection->capacity];
        }
        free(connection->ring);
        connection->ring = ring;
        connection->capacity = capacity;
        connection->head = 0;
    }
    connection->ring[(connection->head + connection->waiting++) % connection->capacity] = stamp;
}

static void send_update(struct writers *writers, struct connection *connection, uint32_t entry,
                        struct stamp stamp)
{
    struct worker *worker = writers->worker;
    char id[32];
    int len = snprintf(id, sizeof id, "%06" PRIx32 "-%" PRIx32, worker->run & 0xffffff,
                       connection->first + entry);
    struct bytes state = bench_state(worker, writers->scratch, stamp.intended_us, stamp.actual_us);
    tracker_write_update(peer_output(&connection->peer), worker->part.dialect,
                         (struct bytes){(const uint8_t *)id, (size_t)len},
                         ++connection->versions[entry], state);
    peer_flush_later(&connection->peer);
    if (worker->part.bare) {
        return;
    }
    record_sent(connection, stamp);
    writers->waiting += !connection->is_making;
}

static void send_next(struct writers *writers, struct connection *connection, uint64_t intended_us,
                      uint64_t now_us)
{
    if (!peer_is_settled(&connection->peer)) {
        writers->worker->results->missed += worker_in_window(writers->worker, intended_us);
        return;
    }
    writers->worker->results->sent += worker_in_window(writers->worker, intended_us);
    send_update(writers, connection, connection->next, (struct stamp){intended_us, now_us});
    connection->next = (connection->next + 1) % connection->entries;
}

static void make_entries(struct writers *writers, struct connection *connection)
{
    while (connection->made < connection->entries && connection->waiting < OPENS_AT_ONCE) {
        send_update(writers, connection, connection->made++, (struct stamp){0, 0});
    }
}

static void begin_making(struct writers *writers, struct connection *connection)
{
    connection->is_making = true;
    connection->made = connection->confirmed = 0;
    make_entries(writers, connection);
}

static void finish_writing(struct writers *writers)
{
    writers->worker->results->unanswered = writers->waiting + writers->unanswered;
    loop_timer_stop(writers->drain);
    writers->has_ended = false;
    worker_done(writers->worker);
}

static void drain_ended(void *arg)
{
    finish_writing(arg);
}

static void on_writing_ended(void *arg)
{
    struct writers *writers = arg;
    writers->has_ended = true;
    if (writers->waiting == 0) {
        finish_writing(writers);
    } else {
        loop_timer_start(writers->drain, DRAIN_MS);
    }
}

static void send_next_update(void *arg, uint64_t intended_us)
{
    struct writers *writers = arg;
    uint32_t index = writers->next++ % writers->worker->part.connections;
    send_next(writers, peer_set_at(writers->peers, index), intended_us, clock_monotonic_us());
}

static void count_answer(struct worker *worker, struct stamp stamp, bool accepted, uint64_t now_us)
{
    struct results *results = worker->results;
    if (worker_in_window(worker, now_us)) {
        results->accepted += accepted;
        results->refused += !accepted;
    }
    if (worker_in_window(worker, stamp.intended_us)) {
        histogram_record(&results->intended, now_us - stamp.intended_us);
        histogram_record(&results->actual, now_us - stamp.actual_us);
    }
}

static void fill_window(struct writers *writers, struct connection *connection, uint64_t now_us)
{
    for (uint32_t n = 0; n < writers->worker->part.window; n++) {
        send_next(writers, connection, now_us, now_us);
    }
}

/* Its entries are there: it takes part, again if it was lost. */
static void entries_made(struct writers *writers, struct connection *connection, uint64_t now_us)
{
    const bool is_first = !connection->is_counted;
    connection->is_making = false;
    connection->is_counted = true;
    if (!peer_is_settled(&connection->peer)) {
        peer_settled(&connection->peer);
    }
    if (is_first && --writers->to_make == 0) {
        worker_done(writers->worker);
    }
    if (writers->step == STEP_RUN && now_us < writers->worker->span.end_us) {
        fill_window(writers, connection, now_us);
    }
}

static void take_open_confirmation(struct writers *writers, struct connection *connection,
                                   bool accepted, uint64_t now_us)
{
    if (!accepted) {
        peer_refuse(&connection->peer,
                    "%s refuses an update that makes an entry; see client.max_ids, tracker.rate "
                    "and budget.address_rate",
                    writers->worker->part.target);
    } else if (++connection->confirmed == connection->entries) {
        entries_made(writers, connection, now_us);
    } else {
        make_entries(writers, connection);
    }
}

static void take_update_answer(struct connection *connection, bool accepted, uint64_t now_us)
{
    struct writers *writers = peer_set_arg(connection->peer.peers);
    struct stamp stamp;
    if (connection->waiting == 0) {
        bench_fail("an answer to nothing");
    }
    stamp = connection->ring[connection->head];
    connection->head = (connection->head + 1) % connection->capacity;
    connection->waiting--;
    if (connection->is_making) {
        take_open_confirmation(writers, connection, accepted, now_us);
        return;
    }
    writers->waiting--;
    count_answer(writers->worker, stamp, accepted, now_us);
    if (writers->worker->part.window > 0 && now_us < writers->worker->span.end_us) {
        send_next(writers, connection, now_us, now_us);
    }
    if (writers->has_ended && writers->waiting == 0) {
        finish_writing(writers);
    }
}

/* Answers, and between them pushes where the front-end sends a writer any. */
static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    size_t at = 0;
    while (at < input.len && !peer->is_ended) {
        struct tracker_push push;
        struct tracker_result result;
        if (input.data[at] != TRACKER_MAGIC_DOCUMENT) {
            take_update_answer((struct connection *)peer, input.data[at++] == 1, now_us);
            continue;
        }
        result = tracker_read_push((struct bytes){input.data + at, input.len - at}, &push);
        if (result.outcome == TRACKER_FAILED) {
            bench_fail("a malformed push: %s", result.reason);
        }
        if (result.outcome == TRACKER_MORE) {
            break;
        }
        at += result.consumed;
    }
    return at;
}

static void on_writers_connected(void *arg)
{
    struct writers *writers = arg;
    worker_done(writers->worker);
}

static void resume(struct peer *peer)
{
    struct connection *connection = (struct connection *)peer;
    if (connection->is_asked) {
        begin_making(peer_set_arg(peer->peers), connection);
    } else {
        peer_settled(peer);
    }
}

static void lost(struct peer *peer)
{
    struct writers *writers = peer_set_arg(peer->peers);
    struct connection *connection = (struct connection *)peer;
    if (!connection->is_making) {
        writers->waiting -= connection->waiting;
        writers->unanswered += connection->waiting;
    }
    connection->waiting = 0;
    if (writers->has_ended && writers->waiting == 0) {
        finish_writing(writers);
    }
}

static void *create_writers(struct worker *worker)
{
    static const struct peer_handler handler = {
        .received = received, .connected = on_writers_connected, .resume = resume, .lost = lost};
    struct writers *writers = mem_zalloc(1, sizeof *writers);
    const struct worker_part *part = &worker->part;
    uint32_t first = part->first_entry;
    writers->worker = worker;
    writers->scratch = mem_alloc(part->state_size);
    writers->peers = peer_set_create(worker, sizeof(struct connection), &handler, writers);
    writers->pacer = pacer_create(worker->loop, send_next_update, on_writing_ended, writers);
    writers->drain = loop_timer_create(worker->loop, drain_ended, writers);
    for (uint32_t i = 0; i < part->connections; i++) {
        struct connection *connection = peer_set_at(writers->peers, i);
        connection->entries =
            part->entries / part->connections + (i < part->entries % part->connections);
        connection->first = first;
        connection->versions = mem_zalloc(connection->entries, sizeof *connection->versions);
        first += connection->entries;
    }
    return writers;
}

static void open_all_writers(struct writers *writers)
{
    if (writers->worker->part.bare) {
        worker_done(writers->worker);
        return;
    }
    writers->to_make = writers->worker->part.connections;
    for (uint32_t i = 0; i < writers->worker->part.connections; i++) {
        struct connection *connection = peer_set_at(writers->peers, i);
        connection->is_asked = true;
        if (peer_is_settled(&connection->peer)) {
            begin_making(writers, connection);
        }
    }
}

static void begin_closed_loop(void *arg)
{
    struct writers *writers = arg;
    uint64_t now = clock_monotonic_us();
    for (uint32_t i = 0; i < writers->worker->part.connections; i++) {
        fill_window(writers, peer_set_at(writers->peers, i), now);
    }
}

static void start_writing(struct writers *writers)
{
    const struct span *span = &writers->worker->span;
    pacer_start(writers->pacer, writers->worker->part.rate, span->begin_us, span->end_us);
    if (writers->worker->part.window > 0) {
        begin_closed_loop(writers);
    }
}

static void run_writers_step(void *self, enum step step)
{
    struct writers *writers = self;
    writers->step = step;
    if (step == STEP_CONNECT) {
        peer_set_connect(writers->peers);
    } else if (step == STEP_OPEN) {
        open_all_writers(writers);
    } else if (step == STEP_RUN) {
        start_writing(writers);
    } else {
        worker_done(writers->worker);
    }
}

static void step_filler(void *self, enum step step_now)
{
    struct writers *writers = self;
    if (step_now == STEP_RUN) {
        worker_done(writers->worker);
    } else {
        run_writers_step(self, step_now);
    }
}

const struct role fillers_role = {"fillers", create_writers, step_filler};
const struct role writers_role = {"writers", create_writers, run_writers_step};
