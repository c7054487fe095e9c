/*
 * reader: one client that opens when the load begins, and measures how long it takes until it has
 * received part.expected entries, in any packets.
 */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "pacer.h"
#include "peer.h"

struct known {
    UT_hash_handle hh;
    size_t len;
    uint8_t id[];
};

struct snapshot_reader {
    struct worker *worker;
    struct peer_set *peers;
    struct pacer *pacer;
    struct known *known;
    uint64_t began_us;
    bool has_opened;
};

static void add_entry_read(struct snapshot_reader *reader, struct bytes id, uint64_t now_us)
{
    struct results *results = reader->worker->results;
    struct known *known;
    HASH_FIND(hh, reader->known, id.data, id.len, known);
    if (known) {
        return;
    }
    known = mem_alloc(sizeof *known + id.len);
    known->len = id.len;
    memcpy(known->id, id.data, id.len);
    HASH_ADD(hh, reader->known, id, known->len, known);
    if (++results->entries == reader->worker->part.expected) {
        results->whole_us = now_us - reader->began_us;
    }
}

static void learn_push(struct snapshot_reader *reader, const struct tracker_push *push,
                       uint64_t now_us)
{
    struct bytes entries = push->entries;
    struct bytes id = push->id;
    struct bytes state;
    uint8_t version;
    if (push->type == TRACKER_UPDATE) {
        add_entry_read(reader, id, now_us);
        return;
    }
    while (tracker_all_next(&entries, &version, &id, &state)) {
        add_entry_read(reader, id, now_us);
    }
}

static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct snapshot_reader *reader = peer_set_arg(peer->peers);
    size_t at = 0;
    if (reader->worker->results->first_us == 0) {
        reader->worker->results->first_us = now_us - reader->began_us;
    }
    if (!reader->has_opened) {
        if (input.len < 1u + input.data[0]) {
            return 0;
        }
        if (input.data[0] == 0) {
            peer_refuse(peer, "%s refuses the reader's Open; see view.max_entries",
                        reader->worker->part.target);
        } else {
            reader->has_opened = true;
        }
        if (!reader->has_opened) {
            return input.len;
        }
        if (!peer_is_settled(peer)) {
            peer_settled(peer);
        }
        at = 1u + input.data[0];
    }
    while (at < input.len) {
        struct tracker_push push;
        struct tracker_result result =
            tracker_read_push((struct bytes){input.data + at, input.len - at}, &push);
        if (result.outcome == TRACKER_FAILED) {
            bench_fail("a malformed push: %s", result.reason);
        }
        if (result.outcome == TRACKER_MORE) {
            break;
        }
        learn_push(reader, &push, now_us);
        at += result.consumed;
    }
    return at;
}

static void on_reader_connected(void *arg)
{
    struct snapshot_reader *reader = arg;
    worker_done(reader->worker);
}

static void open_reader(struct peer *peer)
{
    tracker_write_open(peer_output(peer), TRACKER_VERSIONED, (struct bytes){NULL, 0});
    peer_flush_later(peer);
}

/* It reads on: what it had read before counts. */
static void resume(struct peer *peer)
{
    const struct snapshot_reader *reader = peer_set_arg(peer->peers);
    if (reader->began_us != 0) {
        open_reader(peer);
    } else {
        peer_settled(peer);
    }
}

static void lost(struct peer *peer)
{
    struct snapshot_reader *reader = peer_set_arg(peer->peers);
    reader->has_opened = false;
}

/* The schedule has two moments, the second of which is beyond the end. */
static void begin_reading(void *arg, uint64_t intended_us)
{
    struct snapshot_reader *reader = arg;
    struct peer *peer = peer_set_at(reader->peers, 0);
    if (reader->began_us != 0) {
        return;
    }
    reader->began_us = intended_us;
    if (peer_is_settled(peer)) {
        open_reader(peer);
    }
}

static void on_reading_ended(void *arg)
{
    struct snapshot_reader *reader = arg;
    worker_done(reader->worker);
}

static void *create_reader(struct worker *worker)
{
    static const struct peer_handler handler = {
        .received = received, .connected = on_reader_connected, .resume = resume, .lost = lost};
    struct snapshot_reader *reader = mem_zalloc(1, sizeof *reader);
    reader->worker = worker;
    reader->peers = peer_set_create(worker, sizeof(struct peer), &handler, reader);
    reader->pacer = pacer_create(worker->loop, begin_reading, on_reading_ended, reader);
    return reader;
}

static void run_reader_step(void *self, enum step step)
{
    struct snapshot_reader *reader = self;
    const struct span *span = &reader->worker->span;
    if (step == STEP_CONNECT) {
        peer_set_connect(reader->peers);
    } else if (step == STEP_RUN) {
        pacer_start(reader->pacer, 1, span->window_us, span->end_us);
    } else {
        worker_done(reader->worker);
    }
}

const struct role reader_role = {"reader", create_reader, run_reader_step};
