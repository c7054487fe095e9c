/*
 * requests: an operator's request is published to the channel of a front-end. The answer arrives on
 * a channel with a random name, which is subscribed before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "front_ends.h"
#include "output.h"
#include "schema/keys.h"

#define CHANNEL_DIGITS 16

struct exchange {
    struct ctl *ctl;
    struct front_end_request *requests;
    size_t count;
    size_t open; /* that wait for an answer */
    char *channel;
    bool subscribed;
    bool done;
};

static void settle_request(struct exchange *exchange, struct front_end_request *request,
                           enum request_outcome outcome)
{
    request->outcome = outcome;
    if (--exchange->open == 0) {
        exchange->done = true;
    }
}

static void on_replies_subscribed(void *arg, struct bytes channel)
{
    struct exchange *exchange = arg;
    exchange->subscribed = true;
}

/* "<number> ok|error <text>" */
static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    struct exchange *exchange = arg;
    struct cursor cursor = cursor_over(message);
    uint64_t number = cursor_decimal(&cursor, ' ');
    struct bytes word = cursor_until(&cursor, ' ');
    struct bytes text = cursor_take(&cursor, cursor_left(&cursor));
    bool is_ok = bytes_equal(word, BYTES_LITERAL("ok"));
    if (cursor.failed || number < 1 || number > exchange->count ||
        !(is_ok || bytes_equal(word, BYTES_LITERAL("error")))) {
        return;
    }
    struct front_end_request *request = &exchange->requests[number - 1];
    if (request->outcome != REQUEST_WAITS) {
        return;
    }
    request->taken_us = clock_monotonic_us() - request->sent_us;
    request->text = (struct bytes){mem_dup(text.data, text.len), text.len};
    settle_request(exchange, request, is_ok ? REQUEST_DONE : REQUEST_REFUSED);
}

static void on_nothing(void *arg)
{
}

static const struct redis_subscriber_callbacks subscriber_callbacks = {.subscribed =
                                                                           on_replies_subscribed,
                                                                       .message = on_message,
                                                                       .up = on_nothing,
                                                                       .down = on_nothing};

/* How many front-ends have received the request. */
static void on_request_published(void *arg, const struct redis_reply *reply)
{
    struct front_end_request *request = arg;
    if (reply->type == REDIS_INTEGER && reply->integer == 0 && request->outcome == REQUEST_WAITS) {
        request->outcome = REQUEST_GONE;
    }
}

static void publish_request(struct exchange *exchange, size_t index, const char *verb,
                            struct bytes argument)
{
    struct front_end_request *request = &exchange->requests[index];
    char *channel = keys_node_channel(exchange->ctl->redis.prefix, exchange->ctl->target.database,
                                      request->node);
    struct writer text = {0};
    writer_format(&text, "request %s %zu %s", exchange->channel, index + 1, verb);
    if (argument.len > 0) {
        writer_u8(&text, ' ');
        writer_bytes(&text, argument);
    }
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel),
                           writer_bytes_written(&text)};
    request->sent_us = clock_monotonic_us();
    reader_command(exchange->ctl->reader, on_request_published, request, 3, args);
    writer_free(&text);
    free(channel);
}

/* Waits until each has answered or has no subscriber; reaching the time-out is not a problem with
 * Redis. */
static void wait_for_answers(struct exchange *exchange)
{
    bool over = false;
    uint64_t until = loop_now_ms(exchange->ctl->loop) + (uint64_t)exchange->ctl->timeout_ms;
    exchange->open = 0;
    for (size_t i = 0; i < exchange->count; i++) {
        exchange->open += exchange->requests[i].outcome == REQUEST_WAITS;
    }
    exchange->done = exchange->open == 0;
    while (!exchange->done && !over && reader_problem(exchange->ctl->reader) == READER_FINE) {
        loop_iterate(exchange->ctl->loop, 10);
        over = loop_now_ms(exchange->ctl->loop) >= until;
    }
}

enum ctl_exit requests_run(struct ctl *ctl, struct front_end_request *requests, size_t count,
                           const char *verb, struct bytes argument)
{
    char digits[CHANNEL_DIGITS + 1];
    struct exchange exchange = {.ctl = ctl, .requests = requests, .count = count, .open = count};
    id_make_hex(digits, CHANNEL_DIGITS);
    exchange.channel = keys_reply_channel(ctl->redis.prefix, ctl->target.database, digits);
    struct redis_subscriber *subscriber = redis_subscriber_create(
        ctl->loop, "answers", &ctl->target, &ctl->redis, &subscriber_callbacks, &exchange);
    redis_subscribe(subscriber, bytes_from_string(exchange.channel));
    if (reader_wait_for(ctl->reader, &exchange.subscribed)) {
        for (size_t i = 0; i < count; i++) {
            publish_request(&exchange, i, verb, argument);
        }
        if (reader_wait(ctl->reader)) {
            wait_for_answers(&exchange);
        }
    }
    redis_subscriber_destroy(&subscriber);
    free(exchange.channel);
    return ctl_check(ctl);
}

void requests_free(struct front_end_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)requests[i].text.data);
    }
}

static void complain_of_refusal(const struct front_end_request *request, const char *shown)
{
    char *why = output_shown_string(request->text);
    ctl_complain("front-end %s refuses: %s", shown, why);
    free(why);
}

enum ctl_exit request_check(const struct front_end_request *request, const char *shown)
{
    switch (request->outcome) {
    case REQUEST_DONE:
        return CTL_OK;
    case REQUEST_REFUSED:
        complain_of_refusal(request, shown);
        return CTL_NO;
    case REQUEST_GONE:
        ctl_complain("front-end %s is not running", shown);
        return CTL_UNREACHABLE;
    case REQUEST_WAITS:
        break;
    }
    ctl_complain("front-end %s does not answer", shown);
    return CTL_LATE;
}
