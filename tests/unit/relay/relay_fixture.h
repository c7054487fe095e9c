/* relay_fixture: clients that receive packets, and callers that wait for the result of theirs. */
#ifndef UNIT_RELAY_RELAY_FIXTURE_H
#define UNIT_RELAY_RELAY_FIXTURE_H

#include "map/fixture.h"

#include "relay/relay.h"

/* A client whose protocol accepts packets. */
struct taker {
    struct map_session *session;
    struct client opener; /* shares the session: for client_open */
    struct writer got;    /* "from:packet;" of each */
    unsigned count;
    bool ended;
    enum map_end why;
};

static inline uint64_t taker_idle_ms(void *arg)
{
    return 0;
}

static inline void taker_end(void *arg, enum map_end why)
{
    struct taker *taker = arg;
    taker->ended = true;
    taker->why = why;
    map_session_end(&taker->session, true);
}

static inline bool taker_relayed(void *arg, struct map_packet *packet)
{
    struct taker *taker = arg;
    taker->count++;
    writer_bytes(&taker->got, map_packet_from(packet));
    writer_string(&taker->got, ":");
    writer_bytes(&taker->got, map_packet_text(packet));
    writer_string(&taker->got, ";");
    return true;
}

static const struct map_sink taker_sink = {
    .idle_ms = taker_idle_ms, .end = taker_end, .relayed = taker_relayed};

static inline void taker_open(struct world *world, struct taker *taker, struct front *front)
{
    memset(taker, 0, sizeof *taker);
    taker->opener.space = map_space_find(front->map, "");
    taker->session =
        map_session_create(taker->opener.space, "test", "192.0.2.1:1000", &taker_sink, taker);
    taker->opener.session = taker->session;
    assert_int_equal(client_open(world, &taker->opener, "s"), MAP_OK);
}

static inline struct bytes taker_id(const struct taker *taker)
{
    return bytes_from_string(taker->opener.id);
}

static inline void taker_close(struct taker *taker)
{
    map_session_end(&taker->session, false);
    writer_free(&taker->got);
}

static inline bool taker_got(const struct taker *taker, const char *text)
{
    return bytes_equal(writer_bytes_written(&taker->got), bytes_from_string(text));
}

/* The results of packets. */
struct outcome {
    unsigned answers;
    unsigned results[MAP_REFUSED + 1];
    enum map_result last;
};

static inline void outcome_done(void *arg, enum map_result result, uint64_t version)
{
    struct outcome *outcome = arg;
    outcome->answers++;
    outcome->results[result]++;
    outcome->last = result;
}

static inline enum map_result relay_wait(struct world *world, struct map_session *session,
                                         const char *from, struct bytes to, const char *packet)
{
    struct outcome outcome = {0};
    relay_send_packet(session, bytes_from_string(from), to, bytes_from_string(packet), outcome_done,
                      &outcome);
    assert_int_equal(outcome.answers, 0); /* never from within */
    WAIT_UNTIL(world, outcome.answers == 1);
    return outcome.last;
}

#endif
