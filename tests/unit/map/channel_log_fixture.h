/* channel_log_fixture: the messages of channels, one after the other. */
#ifndef UNIT_MAP_CHANNEL_LOG_FIXTURE_H
#define UNIT_MAP_CHANNEL_LOG_FIXTURE_H

#include "map/fields_fixture.h"

struct channel_log {
    struct redis_subscriber *subscriber;
    size_t subscribed;
    char text[65536]; /* of each message but its epoch and seq: "<channel's name> <rest>;" */
    size_t len;
    unsigned count;
    uint64_t seq; /* of the last */
    bool disordered;
};

static inline void channel_log_subscribed(void *arg, struct bytes channel)
{
    ((struct channel_log *)arg)->subscribed++;
}

/* "1 <epoch> <seq> <rest>" */
static inline void channel_log_message(void *arg, struct bytes channel, struct bytes message)
{
    struct channel_log *log = arg;
    const char *name = strrchr((const char *)channel.data, '}');
    size_t skip = name ? (size_t)(name + 2 - (const char *)channel.data) : 0;
    struct bytes format = bytes_next_word(&message), epoch = bytes_next_word(&message);
    uint64_t seq = bytes_decimal(bytes_next_word(&message));
    assert_true(bytes_equal(format, BYTES_LITERAL("1")));
    assert_int_equal(epoch.len, EPOCH_LENGTH);
    log->disordered |= seq <= log->seq;
    log->seq = seq;
    log->count++;
    log->len += (size_t)snprintf(log->text + log->len, sizeof log->text - log->len, "%.*s %.*s;",
                                 (int)(channel.len - skip), (const char *)channel.data + skip,
                                 (int)message.len, (const char *)message.data);
    assert_true(log->len < sizeof log->text);
}

static const struct redis_subscriber_callbacks channel_log_callbacks = {
    .subscribed = channel_log_subscribed, .message = channel_log_message};

static inline void channel_log_create(struct world *world, struct channel_log *log)
{
    memset(log, 0, sizeof *log);
    log->subscriber = redis_subscriber_create(world->loop, "test", &world->link_target,
                                              &world->link_settings, &channel_log_callbacks, log);
}

static inline void channel_log_listen(struct world *world, struct channel_log *log,
                                      const char *channel)
{
    size_t before = log->subscribed;
    redis_subscribe(log->subscriber, bytes_from_string(channel));
    WAIT_UNTIL(world, log->subscribed > before);
}

static inline void channel_log_destroy(struct channel_log *log)
{
    assert_false(log->disordered);
    redis_subscriber_destroy(&log->subscriber);
}

/* Waits for just this, since the last call. */
static inline void channel_log_expect(struct world *world, struct channel_log *log,
                                      const char *text)
{
    WAIT_UNTIL(world, log->len >= strlen(text));
    assert_string_equal(log->text, text);
    log->len = 0;
    log->text[0] = 0;
}

#endif
