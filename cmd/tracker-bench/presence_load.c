/*
 * friends: users of turntable on a ring, each of whom watches those who follow, and who turn busy
 * and free again by a schedule. All are connections of one process, which so knows when the
 * change began that it is told of.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "ws.h"
#include "ws_client.h"

#define CHANGED "\"command\":\"userchange\""

/* What a user did last. */
struct change {
    uint64_t intended_us;
    uint64_t actual_us;
    bool busy;
};

struct friends {
    struct member *member;
    struct talkers *talkers;
    struct pacer *pacer;
    struct change *changes;
    uint32_t turn;
};

static bool has(struct bytes message, const char *word)
{
    return message.len > 0 && memmem(message.data, message.len, word, strlen(word)) != NULL;
}

static void write_idme(struct writer *to, const struct voice *voice)
{
    struct writer id = {0};
    service_write_user(&id, voice);
    service_write_text(to, "{\"command\":\"idme\",\"data\":\"%.*s\"}", (int)id.len,
                       (const char *)id.data);
    writer_free(&id);
}

static void write_subscribe(struct writer *to, const struct voice *voice)
{
    const struct part *part = &voice->member->part;
    struct writer text = {0};
    struct voice other = *voice;
    writer_string(&text, "{\"command\":\"subscribe\",\"data\":[");
    for (uint32_t i = 1; i <= part->each; i++) {
        other.number = (voice->number + i) % part->connections;
        writer_string(&text, i > 1 ? ",\"" : "\"");
        service_write_user(&text, &other);
        writer_string(&text, "\"");
    }
    writer_string(&text, "]}");
    ws_write_masked(to, WS_TEXT, writer_bytes_written(&text));
    writer_free(&text);
}

/* Takes part once the statuses of all friends have been told. */
static enum service_verdict welcome(struct writer *to, const struct voice *voice,
                                    struct bytes message)
{
    if (has(message, "\"command\":\"error\""))
        return SERVICE_REFUSES;
    if (has(message, "\"command\":\"idyou\"")) {
        write_idme(to, voice);
        write_subscribe(to, voice);
    }
    return message.len == 0 || has(message, CHANGED) ? SERVICE_TAKES_PART : SERVICE_WAITS;
}

static const struct service service = {.name = "friends",
                                       .path = "/turntable",
                                       .speak_path = "/turntable",
                                       .protocol = "turntable",
                                       .welcome = welcome};

/* "…-NUMBER":"STATUS" — what was told before the change, and what is told twice, does not count. */
static void take_status(struct friends *friends, const char *number, uint64_t now_us)
{
    char *end;
    unsigned long user = strtoul(number, &end, 10);
    const struct change *change;
    if (strncmp(end, "\":\"", 3) != 0 || user >= friends->member->part.connections)
        return;
    change = &friends->changes[user];
    if (change->intended_us != 0 && change->busy == (end[3] == 'b'))
        bench_delivered_at(friends->member, change->intended_us, change->actual_us, now_us);
}

static void heard(struct talker *talker, struct bytes message, uint64_t now_us)
{
    struct friends *friends = talkers_arg(talker_talkers(talker));
    char text[TALKER_KEPT + 1];
    if (friends->member->span.begin_us == 0 || !has(message, CHANGED))
        return;
    memcpy(text, message.data, message.len);
    text[message.len] = '\0';
    for (const char *at = text; (at = strstr(at, "s-")) != NULL; at += 2)
        take_status(friends, at + 2, now_us);
}

static void write_status(struct talker *talker, const struct change *change)
{
    service_write_text(talker_output(talker), "{\"command\":\"status\",\"data\":\"%s\"}",
                       change->busy ? "busy" : "online");
    talker_flush(talker);
}

static void due(void *arg, uint64_t intended_us)
{
    struct friends *friends = arg;
    struct member *member = friends->member;
    uint32_t user = friends->turn++ % member->part.connections;
    struct talker *talker = talkers_at(friends->talkers, user);
    struct change *change = &friends->changes[user];
    if (!peer_is_settled(&talker->peer)) {
        member->results->missed += member_in_window(member, intended_us);
        return;
    }
    *change = (struct change){intended_us, clock_monotonic_us(), !change->busy};
    member->results->sent += member_in_window(member, intended_us);
    write_status(talker, change);
}

/* The same status again, which is no change that is measured. */
static void returned(struct talker *talker)
{
    struct friends *friends = talkers_arg(talker_talkers(talker));
    struct change *change = &friends->changes[talker->voice.number];
    change->intended_us = 0;
    write_status(talker, change);
}

static void ended(void *arg)
{
    struct friends *friends = arg;
    member_done(friends->member);
}

static void *create(struct member *member)
{
    static const struct talker_handler handler = {heard, ended, returned};
    struct friends *friends = mem_zalloc(1, sizeof *friends);
    friends->member = member;
    friends->changes = mem_zalloc(member->part.connections, sizeof *friends->changes);
    friends->talkers =
        talkers_create(member, &service, true, sizeof(struct talker), &handler, friends);
    friends->pacer = pacer_create(member->loop, due, ended, friends);
    return friends;
}

static void step(void *self, enum step step)
{
    struct friends *friends = self;
    const struct span *span = &friends->member->span;
    if (step == STEP_OPEN)
        talkers_start(friends->talkers);
    else if (step == STEP_RUN)
        pacer_start(friends->pacer, friends->member->part.rate, span->begin_us, span->end_us);
    else
        member_done(friends->member);
}

const struct role friends_role = {"friends", create, step};
