/*
 * fsck_rules: damages to a sound map, each with the rule that finds it. A damage is found by no
 * other rule but those that follow from it, its repair publishes what readers have to know, and the
 * map is clean afterwards.
 */
#ifndef FSCK_RULES_H
#define FSCK_RULES_H

#include "inspect/fsck_fixture.h"

#include "schema/event.h"

struct damage {
    const char *name;
    const char *commands[5];
    enum fsck_rule rule;
    const char *id, *node;
    const char *event; /* that the repair publishes; NULL: none */
    struct {
        const char *command, *reply;
    } then[6];
    enum fsck_rule also[3]; /* found besides; 0 ends, as FSCK_TYPE is never one */
    const char *presence;   /* the status of user u1 that is published, or NULL */
    const char *room;       /* what is published to the room, behind its epoch */
};

static inline redisContext *listen_to(struct fixture *f, const char *channel)
{
    redisContext *context = server_connect(&f->server);
    redisReply *reply = redisCommand(context, "SUBSCRIBE %s", channel);
    assert_non_null(reply);
    freeReplyObject(reply);
    return context;
}

/* The message of a user or a room, with this epoch and this end; text NULL: none is awaited. */
static inline void expect_message(redisContext *context, const struct damage *c, const char *text)
{
    redisReply *reply = NULL;
    if (text) {
        assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
        const char *message = reply->element[2]->str;
        size_t len = strlen(message), text_len = strlen(text);
        if (strncmp(message, "1 " EPOCH " ", 3 + sizeof EPOCH - 1) != 0 || len < text_len ||
            strcmp(message + len - text_len, text) != 0) {
            fail_msg("%s: published %s", c->name, message);
        }
        freeReplyObject(reply);
    }
    redisFree(context);
}

/* -1 when there is no such field. */
static inline int field_length(struct bytes body, const char *name)
{
    struct bytes field, value;
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, bytes_from_string(name))) {
            return (int)value.len;
        }
    }
    return -1;
}

/* The one event of the one message, with the next revision. */
static inline void expect_event(redisContext *context, const struct damage *c)
{
    struct event_message message;
    struct event event;
    redisReply *reply = NULL;
    bool bad;
    assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
    struct bytes text = {(const uint8_t *)reply->element[2]->str, reply->element[2]->len};
    assert_true(event_message_read(text, &message));
    assert_int_equal(message.epoch, 0xe1);
    assert_int_equal(message.revision, 11);
    assert_int_equal(message.count, 1);
    assert_true(event_next(&message, &event, &bad));
    assert_string_equal(event_op_name(event.op), c->event);
    assert_true(bytes_equal(event.id, bytes_from_string(c->id)));
    if (event.op == EVENT_ADOPT) {
        assert_int_equal(field_length(event.body, "node"), 0);
        assert_int_equal(field_length(event.body, "session"), -1);
        assert_int_equal(field_length(event.body, "state"), 2);
    }
    assert_false(event_next(&message, &event, &bad));
    assert_false(bad);
    freeReplyObject(reply);
}

static inline bool is_expected(const struct damage *c, enum fsck_rule rule, size_t *others)
{
    for (size_t i = 0; i < sizeof c->also / sizeof *c->also && c->also[i]; i++) {
        if (rule == c->also[i] && rule != c->rule) {
            ++*others;
            return true;
        }
    }
    return rule == c->rule;
}

static inline void expect_found(const struct fsck_report *report, const struct damage *c,
                                bool is_repaired)
{
    size_t found = 0, others = 0, wanted = 0;
    while (wanted < sizeof c->also / sizeof *c->also && c->also[wanted]) {
        wanted++;
    }
    for (size_t i = 0; i < report->count; i++) {
        const struct fsck_finding *finding = &report->findings[i];
        if (finding->rule == FSCK_COUNT && c->rule != FSCK_COUNT) {
            fail_msg("%s: the count is %llu, and %llu are counted", c->name,
                     (unsigned long long)finding->stored, (unsigned long long)finding->counted);
        }
        if (!is_expected(c, finding->rule, &others)) {
            fail_msg("%s: found %s", c->name, fsck_rule_name(finding->rule));
        }
        if (finding->repaired != is_repaired) {
            fail_msg("%s: %s is %srepaired", c->name, fsck_rule_name(finding->rule),
                     is_repaired ? "not " : "");
        }
        if (finding->rule != c->rule) {
            continue;
        }
        if (!bytes_equal(finding->id, bytes_from_string(c->id))) {
            fail_msg("%s: found of %.*s", c->name, (int)finding->id.len,
                     (const char *)finding->id.data);
        }
        if (c->node) {
            assert_string_equal(finding->node, c->node);
        } else {
            assert_null(finding->node);
        }
        found++;
    }
    if (found != 1 || others != wanted) {
        fail_msg("%s: found %zu times, and %zu others", c->name, found, others);
    }
    assert_int_equal(report->repaired, is_repaired ? report->count : 0);
}

/* Each damage is found, by its rule only, repaired, and then the map is clean. */
static inline void expect_damages_repaired(struct fixture *f, const struct damage *list,
                                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct damage *c = &list[i];
        struct fsck_options options = options_for(1);
        struct fsck_report report;
        make_sound(f);
        expect_clean(f, 1, c->name);
        for (size_t j = 0; j < 5 && c->commands[j]; j++) {
            ask(f, c->commands[j]);
        }
        redisContext *context = listen_to(f, P "events");
        redisContext *presence = listen_to(f, P "presence:u1"), *room = listen_to(f, P "room:r");
        run(f, &options, &report);
        expect_found(&report, c, false);
        fsck_report_free(&report);
        /* A check changes nothing: the repair finds the same again. */
        options.repair = true;
        run(f, &options, &report);
        expect_found(&report, c, true);
        fsck_report_free(&report);
        if (c->event) {
            expect_event(context, c);
        }
        redisFree(context);
        expect_message(presence, c, c->presence);
        expect_message(room, c, c->room);
        server_expect(&f->server, c->event ? "11" : "10", "HGET " P "head revision");
        for (size_t j = 0; j < sizeof c->then / sizeof *c->then && c->then[j].command; j++) {
            char *reply = ask_for(f, c->then[j].command);
            if (strcmp(reply, c->then[j].reply) != 0) {
                fail_msg("%s: %s says %s", c->name, c->then[j].command, reply);
            }
            free(reply);
        }
        expect_clean(f, 1, c->name);
    }
}

#endif
