/*
 * holders: connections that open one entry each, in the dialect without pushes, and stay idle.
 *
 * They open at the part's connect_rate, or else OPENS_AT_ONCE at a time.
 */
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "pacer.h"
#include "peer.h"

#define OPENS_AT_ONCE 512

struct holder {
    struct peer peer;
    bool is_asked; /* an open was requested at least once */
    bool has_opened;
};

struct holders {
    struct worker *worker;
    struct peer_set *peers;
    uint8_t *scratch;
    uint32_t asked;
    uint32_t opened;
};

static void open_holder(struct holders *holders, struct peer *peer)
{
    tracker_write_open(peer_output(peer), TRACKER_2013,
                       bench_state(holders->worker, holders->scratch, 0, 0));
    peer_flush_later(peer);
}

/* A closed connection opens its entry when it has reconnected. */
static void open_next(struct holders *holders)
{
    struct holder *holder = peer_set_at(holders->peers, holders->asked++);
    holder->is_asked = true;
    if (peer_is_settled(&holder->peer)) {
        open_holder(holders, &holder->peer);
    }
}

static void resume(struct peer *peer)
{
    const struct holder *holder = (struct holder *)peer;
    if (holder->is_asked) {
        open_holder(peer_set_arg(peer->peers), peer);
    } else {
        peer_settled(peer);
    }
}

static void open_due(void *arg, uint64_t intended_us)
{
    open_next(arg);
}

static void all_asked(void *arg)
{
}

static void open_some(struct holders *holders)
{
    const struct worker_part *part = &holders->worker->part;
    while (part->connect_rate <= 0 && holders->asked < part->connections &&
           holders->asked < holders->opened + OPENS_AT_ONCE) {
        open_next(holders);
    }
}

static void open_holders(struct holders *holders)
{
    const struct worker_part *part = &holders->worker->part;
    if (part->connect_rate > 0) {
        pacer_start_count(pacer_create(holders->worker->loop, open_due, all_asked, holders),
                          part->connect_rate, part->connections);
    } else {
        open_some(holders);
    }
}

/* The answer is the bare id. */
static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct holders *holders = peer_set_arg(peer->peers);
    struct holder *holder = (struct holder *)peer;
    if (input.len < ID_CLIENT_LENGTH) {
        return 0;
    }
    if (!peer_is_settled(peer)) {
        peer_settled(peer);
    }
    if (holder->has_opened) {
        return ID_CLIENT_LENGTH;
    }
    holder->has_opened = true;
    if (++holders->opened == holders->worker->part.connections) {
        worker_done(holders->worker);
    } else {
        open_some(holders);
    }
    return ID_CLIENT_LENGTH;
}

static void on_holders_connected(void *arg)
{
    struct holders *holders = arg;
    worker_done(holders->worker);
}

static void *create_holders(struct worker *worker)
{
    static const struct peer_handler handler = {
        .received = received, .connected = on_holders_connected, .resume = resume};
    struct holders *holders = mem_zalloc(1, sizeof *holders);
    holders->worker = worker;
    holders->scratch = mem_alloc(worker->part.state_size);
    holders->peers = peer_set_create(worker, sizeof(struct holder), &handler, holders);
    return holders;
}

static void run_holders_step(void *self, enum step step)
{
    struct holders *holders = self;
    if (step == STEP_CONNECT) {
        peer_set_connect(holders->peers);
    } else if (step == STEP_OPEN && holders->worker->part.connections > 0) {
        open_holders(holders);
    } else {
        worker_done(holders->worker);
    }
}

const struct role holders_role = {"holders", create_holders, run_holders_step};
