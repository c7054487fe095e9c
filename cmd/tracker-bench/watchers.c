/*
 * watchers: connections that open, and then count what they are told, with its latency.
 *
 * A bare watcher (the floor's) does not open: it just reads what comes.
 */
#include "base/mem.h"
#include "peer.h"

struct watcher {
    struct peer peer;
    bool has_opened;
};

struct watchers {
    struct member *member;
    struct peers *peers;
    uint32_t to_open;
};

/* The answer to an Open: a length and the id. */
static size_t take_id(struct watcher *watcher, struct bytes input)
{
    struct watchers *watchers = peers_arg(watcher->peer.peers);
    if (input.len == 0 || input.len < 1u + input.data[0])
        return 0;
    if (input.data[0] == 0)
        bench_fail("%s refuses an Open", watchers->member->part.target);
    watcher->has_opened = true;
    if (--watchers->to_open == 0)
        member_done(watchers->member);
    return 1u + input.data[0];
}

static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct watcher *watcher = (struct watcher *)peer;
    struct watchers *watchers = peers_arg(peer->peers);
    size_t at = 0;
    if (!watcher->has_opened && !watchers->member->part.bare) {
        at = take_id(watcher, input);
        if (at == 0)
            return 0;
    }
    while (at < input.len) {
        struct tracker_push push;
        struct tracker_result result =
            tracker_read_push((struct bytes){input.data + at, input.len - at}, &push);
        if (result.outcome == TRACKER_FAILED)
            bench_fail("a malformed push: %s", result.reason);
        if (result.outcome == TRACKER_MORE)
            break;
        if (push.type == TRACKER_UPDATE)
            bench_delivered(watchers->member, push.state, now_us);
        at += result.consumed;
    }
    return at;
}

static void connected(void *arg)
{
    struct watchers *watchers = arg;
    member_done(watchers->member);
}

static void *create(struct member *member)
{
    static const struct peer_handler handler = {.received = received, .connected = connected};
    struct watchers *watchers = mem_zalloc(1, sizeof *watchers);
    watchers->member = member;
    watchers->peers = peers_create(member, sizeof(struct watcher), &handler, watchers);
    return watchers;
}

static void open_all(struct watchers *watchers)
{
    watchers->to_open = watchers->member->part.connections;
    if (watchers->member->part.bare || watchers->to_open == 0) {
        member_done(watchers->member);
        return;
    }
    for (uint32_t i = 0; i < watchers->member->part.connections; i++) {
        struct peer *peer = peers_at(watchers->peers, i);
        tracker_write_open(peer_output(peer), TRACKER_VERSIONED, (struct bytes){NULL, 0});
        peer_flush_later(peer);
    }
}

static void step(void *self, enum step step)
{
    struct watchers *watchers = self;
    if (step == STEP_CONNECT)
        peers_connect(watchers->peers);
    else if (step == STEP_OPEN)
        open_all(watchers);
    else
        member_done(watchers->member);
}

const struct role watchers_role = {"watchers", create, step};
