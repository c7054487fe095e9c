/*
 * watchers: connections that open, and then count the entries they receive, with their latency.
 *
 * A bare watcher (the floor's) does not open: it just reads what comes.
 */
#include "base/mem.h"
#include "peer.h"

struct watcher {
    struct peer peer;
    bool is_asked; /* to open, at least once */
    bool has_opened;
    bool is_counted; /* it has opened once */
};

struct watchers {
    struct worker *worker;
    struct peer_set *peers;
    uint32_t to_open;
};

/* The answer to an Open: a length and the id. */
static size_t take_id(struct watcher *watcher, struct bytes input)
{
    struct watchers *watchers = peer_set_arg(watcher->peer.peers);
    if (input.len == 0 || input.len < 1u + input.data[0]) {
        return 0;
    }
    if (input.data[0] == 0) {
        peer_refuse(&watcher->peer, "%s refuses an Open", watchers->worker->part.target);
    } else {
        watcher->has_opened = true;
    }
    if (!watcher->has_opened || watcher->is_counted) {
        return 1u + input.data[0];
    }
    watcher->is_counted = true;
    if (--watchers->to_open == 0) {
        worker_done(watchers->worker);
    }
    return 1u + input.data[0];
}

static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct watcher *watcher = (struct watcher *)peer;
    struct watchers *watchers = peer_set_arg(peer->peers);
    size_t at = 0;
    if (!watcher->has_opened && !watchers->worker->part.bare) {
        at = take_id(watcher, input);
        if (!watcher->has_opened) {
            return at;
        }
        if (!peer_is_settled(peer)) {
            peer_settled(peer);
        }
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
        if (push.type == TRACKER_UPDATE) {
            bench_delivered(watchers->worker, push.state, now_us);
        }
        at += result.consumed;
    }
    return at;
}

static void on_watchers_connected(void *arg)
{
    struct watchers *watchers = arg;
    worker_done(watchers->worker);
}

static void open_watcher(struct peer *peer)
{
    tracker_write_open(peer_output(peer), TRACKER_VERSIONED, (struct bytes){NULL, 0});
    peer_flush_later(peer);
}

static void resume(struct peer *peer)
{
    if (((struct watcher *)peer)->is_asked) {
        open_watcher(peer);
    } else {
        peer_settled(peer);
    }
}

static void lost(struct peer *peer)
{
    ((struct watcher *)peer)->has_opened = false;
}

static void *create_watchers(struct worker *worker)
{
    static const struct peer_handler handler = {
        .received = received, .connected = on_watchers_connected, .resume = resume, .lost = lost};
    struct watchers *watchers = mem_zalloc(1, sizeof *watchers);
    watchers->worker = worker;
    watchers->peers = peer_set_create(worker, sizeof(struct watcher), &handler, watchers);
    return watchers;
}

static void open_all_watchers(struct watchers *watchers)
{
    watchers->to_open = watchers->worker->part.connections;
    if (watchers->worker->part.bare || watchers->to_open == 0) {
        worker_done(watchers->worker);
        return;
    }
    for (uint32_t i = 0; i < watchers->worker->part.connections; i++) {
        struct watcher *watcher = peer_set_at(watchers->peers, i);
        watcher->is_asked = true;
        if (peer_is_settled(&watcher->peer)) {
            open_watcher(&watcher->peer);
        }
    }
}

static void run_watchers_step(void *self, enum step step)
{
    struct watchers *watchers = self;
    if (step == STEP_CONNECT) {
        peer_set_connect(watchers->peers);
    } else if (step == STEP_OPEN) {
        open_all_watchers(watchers);
    } else {
        worker_done(watchers->worker);
    }
}

const struct role watchers_role = {"watchers", create_watchers, run_watchers_step};
