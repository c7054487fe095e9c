/* sentinel_lookup: one short-lived link for each Sentinel. */
#include "redis/sentinel_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "redis/link_private.h"

/* After the first answer, how long others may take. */
#define SETTLE_MS 500

struct sentinel_question {
    struct redis_sentinel_lookup *lookup;
    struct redis_sentinel_access access;
    struct redis_link *link; /* NULL: it has been answered, or cannot be */
};

struct redis_sentinel_lookup {
    redis_sentinel_callback callback;
    void *arg;
    const char *name;                /* of the master */
    struct loop_timer *settle_timer; /* runs from the first answer on */
    size_t count, open, answered;
    struct redis_endpoint best; /* host NULL: none yet */
    uint64_t best_epoch;
    char *why_not; /* the last reason */
    struct sentinel_question questions[];
};

void redis_sentinel_access_init(struct redis_sentinel_access *access,
                                const struct redis_target *target,
                                const struct redis_settings *settings, size_t index)
{
    access->settings = *settings;
    access->settings.user = settings->sentinel_user;
    access->settings.password = settings->sentinel_password;
    access->target = (struct redis_target){.scheme = REDIS_TCP,
                                           .tls = target->tls,
                                           .host = mem_strdup(target->endpoints[index].host),
                                           .port = target->endpoints[index].port};
}

void redis_sentinel_access_free(struct redis_sentinel_access *access)
{
    redis_target_free(&access->target);
}

/* Replies are flat arrays of names and values. */
static struct bytes sentinel_field(const struct redis_reply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        if (bytes_equal(reply->elements[i]->text, bytes_from_string(name))) {
            return reply->elements[i + 1]->text;
        }
    }
    return (struct bytes){NULL, 0};
}

static void set_why_not(struct redis_sentinel_lookup *lookup, char *why)
{
    free(lookup->why_not);
    lookup->why_not = why;
}

static void take_answer(struct redis_sentinel_lookup *lookup, const struct redis_reply *reply)
{
    struct bytes host = sentinel_field(reply, "ip");
    uint64_t port = bytes_decimal(sentinel_field(reply, "port"));
    uint64_t epoch = bytes_decimal(sentinel_field(reply, "config-epoch"));

    if (host.len == 0 || port == 0 || port > UINT16_MAX) {
        set_why_not(lookup, mem_strdup("a Sentinel's answer has no address of the master"));
        return;
    }
    if (lookup->answered++ == 0) {
        loop_timer_start(lookup->settle_timer, SETTLE_MS);
    }
    if (!lookup->best.host || epoch > lookup->best_epoch) {
        free(lookup->best.host);
        lookup->best = (struct redis_endpoint){.host = mem_dup((const char *)host.data, host.len),
                                               .port = (uint16_t)port};
        lookup->best_epoch = epoch;
    }
}

static void close_question(struct sentinel_question *question)
{
    if (question->link) {
        question->lookup->open--;
        redis_link_destroy(&question->link);
    }
}

static void close_questions(struct redis_sentinel_lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++) {
        close_question(&lookup->questions[i]);
    }
}

/* The lookup may be cancelled in this call. */
static void complete_lookup(void *arg)
{
    struct redis_sentinel_lookup *lookup = arg;

    loop_timer_stop(lookup->settle_timer);
    close_questions(lookup);
    lookup->callback(lookup->arg, lookup->best.host ? &lookup->best : NULL, lookup->why_not);
}

static void finish_question(struct sentinel_question *question)
{
    struct redis_sentinel_lookup *lookup = question->lookup;

    close_question(question);
    if (lookup->open == 0 || lookup->answered > lookup->count / 2) {
        complete_lookup(lookup);
    }
}

static void on_sentinel_reply(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct sentinel_question *question = arg;
    struct redis_sentinel_lookup *lookup = question->lookup;

    if (!question->link || status == REDIS_LOST || status == REDIS_DOWN) {
        return; /* it is closed, or on_sentinel_down follows */
    }
    if (status == REDIS_OK) {
        take_answer(lookup, reply);
    } else {
        const size_t len = reply->text.len < 256 ? reply->text.len : 256;

        set_why_not(lookup, mem_format("a Sentinel refused to name the master \"%s\": %.*s",
                                       lookup->name, (int)len, (const char *)reply->text.data));
    }
    finish_question(question);
}

static void on_sentinel_up(void *arg, const char *run_id)
{
    struct sentinel_question *question = arg;

    redis_command_strings(question->link, on_sentinel_reply, question, "SENTINEL", "MASTER",
                          question->lookup->name, NULL);
}

static void on_sentinel_failed(void *arg, const char *why)
{
    struct sentinel_question *question = arg;

    set_why_not(question->lookup, mem_format("a Sentinel does not answer: %s", why));
    finish_question(question);
}

static void on_sentinel_down(void *arg)
{
    on_sentinel_failed(arg, "the connection was lost");
}

static const struct redis_link_callbacks question_callbacks = {
    .up = on_sentinel_up, .down = on_sentinel_down, .failed = on_sentinel_failed};

struct redis_sentinel_lookup *redis_sentinel_lookup_start(struct loop *loop,
                                                          const struct redis_target *target,
                                                          const struct redis_settings *settings,
                                                          redis_sentinel_callback callback,
                                                          void *arg)
{
    const size_t count = target->endpoint_count;
    struct redis_sentinel_lookup *lookup =
        mem_zalloc(1, sizeof *lookup + count * sizeof *lookup->questions);

    lookup->callback = callback;
    lookup->arg = arg;
    lookup->name = target->master;
    lookup->settle_timer = loop_timer_create(loop, complete_lookup, lookup);
    lookup->count = count;
    lookup->open = count;
    for (size_t i = 0; i < count; i++) {
        struct sentinel_question *question = &lookup->questions[i];

        question->lookup = lookup;
        redis_sentinel_access_init(&question->access, target, settings, i);
        question->link =
            redis_link_create(loop, "sentinel", &question->access.target,
                              &question->access.settings, &question_callbacks, question);
        redis_link_set_sentinel(question->link);
    }
    return lookup;
}

void redis_sentinel_lookup_cancel(struct redis_sentinel_lookup **pointer)
{
    struct redis_sentinel_lookup *lookup = *pointer;

    *pointer = NULL;
    if (!lookup) {
        return;
    }
    loop_timer_destroy(&lookup->settle_timer);
    close_questions(lookup);
    for (size_t i = 0; i < lookup->count; i++) {
        redis_sentinel_access_free(&lookup->questions[i].access);
    }
    free(lookup->best.host);
    free(lookup->why_not);
    free(lookup);
}
