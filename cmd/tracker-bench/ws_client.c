/* talker: see the header. */
#include "ws_client.h"

#include "base/mem.h"
#include "ws.h"

struct talkers {
    struct member *member;
    struct peers *peers;
    const struct service *service;
    const struct talker_handler *handler;
    void *arg;
};

struct talker *talkers_at(struct talkers *talkers, uint32_t index)
{
    return peers_at(talkers->peers, index);
}

void *talkers_arg(const struct talkers *talkers)
{
    return talkers->arg;
}

struct talkers *talker_talkers(const struct talker *talker)
{
    return peers_arg(talker->peer.peers);
}

struct writer *talker_output(struct talker *talker)
{
    return peer_output(&talker->peer);
}

void talker_flush(struct talker *talker)
{
    if (talker->peer.output.len > talker->peer.written)
        peer_flush_later(&talker->peer);
}

static void take_part(struct talker *talker)
{
    const struct talkers *talkers = talker_talkers(talker);
    const bool returns = peer_is_returning(&talker->peer);
    talker->state = TALKER_TAKES_PART;
    peer_settled(&talker->peer);
    if (returns && talkers->handler->returned != NULL)
        talkers->handler->returned(talker);
}

static size_t shake_hands(struct talker *talker, struct bytes input)
{
    const struct service *service = talker_talkers(talker)->service;
    bool is_all = service->welcome == NULL;
    bool accepted;
    size_t consumed = ws_read_response(input, &accepted);
    if (consumed == 0)
        return 0;
    if (!accepted) {
        peer_refuse(&talker->peer, "%s refuses the handshake: %.*s",
                    talker->voice.member->part.target, (int)consumed, (const char *)input.data);
        return input.len;
    }
    talker->state = TALKER_WAITS;
    if (service->hello != NULL)
        is_all = service->hello(talker_output(talker), &talker->voice);
    talker_flush(talker);
    if (is_all)
        take_part(talker);
    return consumed;
}

static void take_message(struct talker *talker, struct bytes message, uint64_t now_us)
{
    const struct talkers *talkers = talker_talkers(talker);
    const struct service *service = talkers->service;
    if (talker->state == TALKER_WAITS) {
        enum service_verdict verdict =
            service->welcome(talker_output(talker), &talker->voice, message);
        talker_flush(talker);
        if (verdict == SERVICE_TAKES_PART)
            take_part(talker);
        else if (verdict == SERVICE_REFUSES)
            peer_refuse(&talker->peer, "%s refuses to let a client take part: %.*s",
                        talker->voice.member->part.target, (int)message.len,
                        (const char *)message.data);
        return;
    }
    talkers->handler->heard(talker, message, now_us);
    if (service->heed != NULL) {
        service->heed(talker_output(talker), message);
        talker_flush(talker);
    }
}

static void take_frame(struct talker *talker, enum ws_opcode opcode, struct bytes payload,
                       uint64_t now_us)
{
    struct results *results = talker_talkers(talker)->member->results;
    if (opcode == WS_TEXT || opcode == WS_BINARY) {
        if (member_in_window(talker->voice.member, now_us))
            results->frames++;
        take_message(talker, payload, now_us);
    } else if (opcode == WS_PING) {
        ws_write_masked(talker_output(talker), WS_PONG, payload);
        talker_flush(talker);
    } else if (opcode == WS_CLOSE) {
        if (payload.len >= 2 && results->lost == 0)
            bench_warn("%s says Close %u: %.*s", talker->voice.member->part.target,
                       payload.data[0] << 8 | payload.data[1], (int)payload.len - 2,
                       (const char *)payload.data + 2);
        ws_write_masked(talker_output(talker), WS_CLOSE,
                        (struct bytes){payload.data, payload.len >= 2 ? 2 : 0});
        peer_end(&talker->peer);
    }
}

/* Bytes that belong to a frame too large to be kept. */
static size_t throw_away(struct talker *talker, size_t available, uint64_t now_us)
{
    size_t gone = available < talker->skip ? available : (size_t)talker->skip;
    talker->skip -= gone;
    if (talker->skip == 0)
        take_frame(talker, WS_TEXT, (struct bytes){NULL, 0}, now_us);
    return gone;
}

/* Of one frame, or of a part of a large one; 0: more is needed. */
static size_t take_next(struct talker *talker, struct bytes input, uint64_t now_us)
{
    struct ws_header header;
    bool valid;
    if (talker->skip > 0)
        return throw_away(talker, input.len, now_us);
    if (!ws_read_header(input, &header, &valid))
        return 0;
    if (!valid || header.is_masked)
        bench_fail("%s sends what is no whole message of a server",
                   talker->voice.member->part.target);
    if (header.len > TALKER_KEPT) {
        talker->skip = header.len;
        return header.size;
    }
    if (input.len - header.size < header.len)
        return 0;
    take_frame(talker, header.opcode, (struct bytes){input.data + header.size, (size_t)header.len},
               now_us);
    return header.size + (size_t)header.len;
}

static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct talker *talker = (struct talker *)peer;
    struct results *results = talker_talkers(talker)->member->results;
    size_t at = 0;
    size_t consumed;
    if (talker->state == TALKER_SHAKES_HANDS && (at = shake_hands(talker, input)) == 0)
        return 0;
    while (at < input.len && !peer->is_ended &&
           (consumed = take_next(talker, (struct bytes){input.data + at, input.len - at}, now_us)) >
               0)
        at += consumed;
    if (member_in_window(talker->voice.member, now_us))
        results->frame_bytes += at;
    return at;
}

static void greet(struct peer *peer)
{
    struct talker *talker = (struct talker *)peer;
    service_write_request(talker_output(talker), talker_talkers(talker)->service, &talker->voice);
    talker_flush(talker);
}

static void lost(struct peer *peer)
{
    struct talker *talker = (struct talker *)peer;
    talker->state = TALKER_SHAKES_HANDS;
    talker->skip = 0;
}

static void all_settled(void *arg)
{
    struct talkers *talkers = arg;
    talkers->handler->ready(talkers->arg);
}

struct talkers *talkers_create(struct member *member, const struct service *service, bool speak,
                               size_t size, const struct talker_handler *handler, void *arg)
{
    static const struct peer_handler peer_handler = {
        .received = received, .connected = all_settled, .greet = greet, .lost = lost};
    struct talkers *talkers = mem_zalloc(1, sizeof *talkers);
    talkers->member = member;
    talkers->service = service;
    talkers->handler = handler;
    talkers->arg = arg;
    talkers->peers = peers_create(member, size, &peer_handler, talkers);
    for (uint32_t i = 0; i < member->part.connections; i++) {
        struct talker *talker = talkers_at(talkers, i);
        talker->voice =
            (struct voice){.member = member, .number = member->part.first + i, .speaks = speak};
    }
    return talkers;
}

void talkers_start(struct talkers *talkers)
{
    peers_connect(talkers->peers);
}
