/*
 * talkers: the roles that listen to a WebSocket service and that speak there, by a schedule.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "ws_client.h"

struct speaking {
    struct member *member;
    struct talkers *talkers;
    struct pacer *pacer;
    uint8_t *scratch;
    uint32_t turn; /* who is to speak next */
};

static void due(void *arg, uint64_t intended_us)
{
    struct speaking *speaking = arg;
    struct member *member = speaking->member;
    struct talker *talker =
        talkers_at(speaking->talkers, speaking->turn++ % member->part.connections);
    struct bytes text = service_text(member, speaking->scratch, intended_us, clock_monotonic_us());
    if (!peer_is_settled(&talker->peer)) {
        member->results->missed += member_in_window(member, intended_us);
        return;
    }
    member->results->sent += member_in_window(member, intended_us);
    member->part.service->say(talker_output(talker), &talker->voice, text);
    talker->voice.said++;
    talker_flush(talker);
}

static void schedule_ended(void *arg)
{
    struct speaking *speaking = arg;
    member_done(speaking->member);
}

static void heard(struct talker *talker, struct bytes message, uint64_t now_us)
{
    struct speaking *speaking = talkers_arg(talker_talkers(talker));
    service_heard(speaking->member, message, now_us);
}

static void ready(void *arg)
{
    struct speaking *speaking = arg;
    member_done(speaking->member);
}

static struct speaking *create(struct member *member, bool speak)
{
    static const struct talker_handler handler = {.heard = heard, .ready = ready};
    struct speaking *speaking = mem_zalloc(1, sizeof *speaking);
    speaking->member = member;
    speaking->talkers = talkers_create(member, member->part.service, speak, sizeof(struct talker),
                                       &handler, speaking);
    return speaking;
}

static void *create_listeners(struct member *member)
{
    return create(member, false);
}

static void *create_speakers(struct member *member)
{
    struct speaking *speaking = create(member, true);
    speaking->scratch = mem_alloc(member->part.state_size);
    speaking->pacer = pacer_create(member->loop, due, schedule_ended, speaking);
    return speaking;
}

static void step(void *self, enum step step)
{
    struct speaking *speaking = self;
    const struct span *span = &speaking->member->span;
    if (step == STEP_OPEN)
        talkers_start(speaking->talkers);
    else if (step == STEP_RUN && speaking->pacer != NULL)
        pacer_start(speaking->pacer, speaking->member->part.rate, span->begin_us, span->end_us);
    else
        member_done(speaking->member);
}

const struct role listeners_role = {"listeners", create_listeners, step};
const struct role speakers_role = {"speakers", create_speakers, step};
