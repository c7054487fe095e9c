/* heard_fixture: what is told on channels, one after the other. */
#ifndef UNIT_MAP_HEARD_FIXTURE_H
#define UNIT_MAP_HEARD_FIXTURE_H

#include "map/fields_fixture.h"

struct heard {
    struct redis_subscriber *subscriber;
    size_t subscribed;
    char log[65536]; /* of each message but its epoch and seq: "<channel's name> <rest>;" */
    size_t len;
    unsigned count;
    uint64_t seq; /* of the last */
    bool disordered;
};

static inline void heard_subscribed(void *arg, struct bytes channel)
{
    (void)channel;
    ((struct heard *)arg)->subscribed++;
}

/* "1 <epoch> <seq> <rest>" */
static inline void heard_message(void *arg, struct bytes channel, struct bytes message)
{
    struct heard *heard = arg;
    const char *name = strrchr((const char *)channel.data, '}');
    size_t skip = name ? (size_t)(name + 2 - (const char *)channel.data) : 0;
    struct bytes format = bytes_next_word(&message), epoch = bytes_next_word(&message);
    uint64_t seq = bytes_decimal(bytes_next_word(&message));
    assert_true(bytes_equal(format, BYTES_LITERAL("1")));
    assert_int_equal(epoch.len, EPOCH_LENGTH);
    heard->disordered |= seq <= heard->seq;
    heard->seq = seq;
    heard->count++;
    heard->len +=
        (size_t)snprintf(heard->log + heard->len, sizeof heard->log - heard->len, "%.*s %.*s;",
                         (int)(channel.len - skip), (const char *)channel.data + skip,
                         (int)message.len, (const char *)message.data);
    assert_true(heard->len < sizeof heard->log);
}

static const struct redis_subscriber_callbacks heard_callbacks = {.subscribed = heard_subscribed,
                                                                  .message = heard_message};

static inline void heard_create(struct world *world, struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    heard->subscriber = redis_subscriber_create(world->loop, "test", &world->link_target,
                                                &world->link_settings, &heard_callbacks, heard);
}

static inline void heard_listen(struct world *world, struct heard *heard, const char *channel)
{
    size_t before = heard->subscribed;
    redis_subscribe(heard->subscriber, bytes_from_string(channel));
    WAIT_UNTIL(world, heard->subscribed > before);
}

static inline void heard_destroy(struct heard *heard)
{
    assert_false(heard->disordered);
    redis_subscriber_destroy(&heard->subscriber);
}

/* Waits for just this, since the last call. */
static inline void heard_expect(struct world *world, struct heard *heard, const char *text)
{
    WAIT_UNTIL(world, heard->len >= strlen(text));
    assert_string_equal(heard->log, text);
    heard->len = 0;
    heard->log[0] = 0;
}

#endif
