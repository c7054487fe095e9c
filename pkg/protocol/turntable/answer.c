/*
 * turntable_answer: answers to subscribe. Each waits until all of its statuses are known; those of
 * one session are sent in the order of the requests. Statuses that are not known within
 * redis.deadline are reported as unavailable, and sent as changes when they become known.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

#define NAMED_MAX 10 /* ids that an error names */

struct presence_answer {
    struct list of_session;      /* the subscriptions' answers */
    struct loop_pending pending; /* in the subscribers' answers */
    struct subscriptions *subscriptions;
    size_t next; /* the first that has not been found known */
    size_t count;
    struct watch *watches[]; /* NULL: unsubscribed meanwhile */
};

static struct turntable_subscribers *
answering_subscribers(const struct subscriptions *subscriptions)
{
    return subscriptions->session->port->subscribers;
}

static bool is_watch_known(const struct watch *watch)
{
    return presence_is_known(watch->at.presence);
}

static void drop_answer(struct presence_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->watches[i]) {
            answer->watches[i]->awaited--;
        }
    }
    list_remove(&answer->of_session);
    loop_pending_cancel(&answer->pending);
    turntable_request_end(answer->subscriptions->session, 1);
    free(answer);
}

static void send_unknown_error(struct turntable_session *session, struct watch *const *watches,
                               size_t count)
{
    struct writer why = {0};
    writer_format(&why,
                  "the status of %zu of the ids is not known yet, and will be sent later: ", count);
    for (size_t i = 0; i < count && i < NAMED_MAX; i++) {
        writer_string(&why, i > 0 ? ", " : "");
        writer_bytes(&why, presence_name(watches[i]->at.presence));
    }
    writer_string(&why, count > NAMED_MAX ? ", ..." : "");
    writer_u8(&why, 0);
    turntable_send_error(session, TURNTABLE_CODE_UNAVAILABLE, (const char *)why.data, "subscribe");
    writer_free(&why);
}

/* Sends the statuses that are known, an error for the others, and frees it. */
static void send_presence_answer(struct presence_answer *answer)
{
    struct turntable_session *session = answer->subscriptions->session;
    struct watch **known = mem_zalloc(answer->count + 1, sizeof(struct watch *));
    struct watch **unknown = mem_zalloc(answer->count + 1, sizeof(struct watch *));
    size_t known_count = 0, unknown_count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct watch *watch = answer->watches[i];
        if (watch && is_watch_known(watch)) {
            known[known_count++] = watch;
        } else if (watch) {
            unknown[unknown_count++] = watch;
        }
    }
    drop_answer(answer);
    if (known_count > 0 || unknown_count == 0) {
        turntable_presence_send(session, known, known_count);
    }
    if (unknown_count > 0) {
        send_unknown_error(session, unknown, unknown_count);
    }
    free(unknown);
    free(known);
}

static bool is_complete(struct presence_answer *answer)
{
    while (answer->next < answer->count &&
           (!answer->watches[answer->next] || is_watch_known(answer->watches[answer->next]))) {
        answer->next++;
    }
    return answer->next == answer->count;
}

/* Oldest first, up to the first that is not complete. */
static void send_complete_answers(struct subscriptions *subscriptions)
{
    while (!list_is_empty(&subscriptions->answers)) {
        struct presence_answer *answer =
            list_entry(subscriptions->answers.next, struct presence_answer, of_session);
        if (!is_complete(answer)) {
            return;
        }
        send_presence_answer(answer);
    }
}

void turntable_answer_expect(struct subscriptions *subscriptions, struct watch *const *watches,
                             size_t count)
{
    struct turntable_subscribers *subscribers = answering_subscribers(subscriptions);
    struct presence_answer *answer = mem_zalloc(1, sizeof *answer + count * sizeof(struct watch *));
    answer->subscriptions = subscriptions;
    answer->count = count;
    memcpy(answer->watches, watches, count * sizeof(struct watch *));
    for (size_t i = 0; i < count; i++) {
        watches[i]->awaited++;
    }
    list_append(&subscriptions->answers, &answer->of_session);
    loop_pending_init(&answer->pending);
    loop_pending_begin(subscribers->answers, &answer->pending,
                       map_deadline_ms(subscribers->service->common.map), 0);
    turntable_request_begin(subscriptions->session, 1);
    send_complete_answers(subscriptions);
}

void turntable_answer_check_soon(struct subscriptions *subscriptions)
{
    struct turntable_subscribers *subscribers = answering_subscribers(subscriptions);
    if (!list_is_empty(&subscriptions->answering)) {
        return;
    }
    list_append(&subscribers->answering, &subscriptions->answering);
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->answer);
}

static void send_due_answers(void *arg)
{
    struct turntable_subscribers *subscribers = arg;
    while (!list_is_empty(&subscribers->answering)) {
        struct subscriptions *subscriptions =
            list_entry(subscribers->answering.next, struct subscriptions, answering);
        list_remove(&subscriptions->answering);
        send_complete_answers(subscriptions);
    }
}

/* Answers are never settled: once complete they are sent, and cancelled. */
static void on_answer_expired(void *arg, struct loop_pending *pending, int result)
{
    struct presence_answer *answer = list_entry(pending, struct presence_answer, pending);
    struct subscriptions *subscriptions = answer->subscriptions;

    send_presence_answer(answer);
    send_complete_answers(subscriptions);
}

void turntable_answer_forget_removed(struct subscriptions *subscriptions)
{
    LIST_FOREACH (node, &subscriptions->answers) {
        struct presence_answer *answer = list_entry(node, struct presence_answer, of_session);
        for (size_t i = 0; i < answer->count; i++) {
            if (answer->watches[i] && answer->watches[i]->removed) {
                answer->watches[i] = NULL;
            }
        }
    }
}

void turntable_answer_drop_all(struct subscriptions *subscriptions)
{
    while (!list_is_empty(&subscriptions->answers)) {
        drop_answer(list_entry(subscriptions->answers.next, struct presence_answer, of_session));
    }
}

void turntable_answer_begin(struct turntable_subscribers *subscribers)
{
    struct loop *loop = subscribers->service->common.loop;
    list_init(&subscribers->answering);
    subscribers->answer = (struct loop_task){.callback = send_due_answers, .arg = subscribers};
    subscribers->answers =
        loop_pending_set_create(loop, LOOP_PHASE_STORE, on_answer_expired, subscribers);
}

void turntable_answer_free(struct turntable_subscribers *subscribers)
{
    loop_cancel(subscribers->service->common.loop, &subscribers->answer);
    loop_pending_set_destroy(&subscribers->answers);
}
