/*
 * fsck_fixture: a real Redis that contains a small map without faults, written by hand.
 */
#ifndef FSCK_FIXTURE_H
#define FSCK_FIXTURE_H

#include "inspect/fsck.h"

#include "redis/redis_fixture.h"

#define P       "t:{main/1/0}:"
#define LIVE    "aaaaaaaaaaaa"
#define OTHER   "bbbbbbbbbbbb"
#define EXPIRED "dddddddddddd"
#define FENCE   "0123456789abcdef0123456789abcdef"
#define EPOCH   "00000000000000e1"

struct fixture {
    struct server server;
    struct world world;
    struct reader *reader;
};

/* Words are separated by single spaces; '' is an empty word, @ a space within one. The reply is in
 * the form of server_ask. */
static inline char *ask_for(struct fixture *f, const char *command)
{
    const char *words[24];
    size_t lengths[24];
    int count = 0;
    char *text = mem_strdup(command);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        assert_true(count < 24);
        words[count] = strcmp(word, "''") == 0 ? "" : word;
        lengths[count] = strlen(words[count]);
        count++;
        for (char *at = strchr(word, '@'); at; at = strchr(at, '@')) {
            *at = ' ';
        }
    }
    redisContext *context = server_connect(&f->server);
    redisReply *reply = redisCommandArgv(context, count, words, lengths);
    assert_non_null(reply);
    char *result = reply->type == REDIS_REPLY_INTEGER ? mem_format("%lld", reply->integer)
                   : reply->type == REDIS_REPLY_NIL   ? mem_strdup("(nil)")
                                                      : mem_dup(reply->str, (size_t)reply->len);
    freeReplyObject(reply);
    redisFree(context);
    free(text);
    return result;
}

static inline void ask(struct fixture *f, const char *command)
{
    char *reply = ask_for(f, command);
    if (!strncmp(reply, "ERR", 3) || !strncmp(reply, "WRONGTYPE", 9)) {
        fail_msg("%s: %s", command, reply);
    }
    free(reply);
}

/* Two front-ends. The first owns "one", which is the device of a user; "two" is an orphan. Another
 * user has just disconnected. A room has that device and two of other partitions as members. */
static const char *const sound[] = {
    "FLUSHALL",
    "HSET t:spaces main 1",
    "HSET " P "head epoch " EPOCH " revision 10 P 1 last 1 hold_until 0 entries 2 seq 5 rooms 4",
    "ZADD " P "nodes 9999999999999 " LIVE,
    "ZADD " P "nodes 9999999999998 " OTHER,
    "HSET " P "client:one state s1 version 3 protocol tracker node " LIVE " session " FENCE
    " user u1 status busy p:k v",
    "PEXPIRE " P "client:one 30000",
    "HSET " P "node:" LIVE " one u1",
    "HSET " P "client:two version 0 state s2 node '' session " FENCE,
    "PEXPIRE " P "client:two 30000",
    "ZADD " P "deadlines 9999999999999 c:two",
    "HSET " P "user:u1 one busy .status busy .seq 5",
    "HSET " P "user:u2 .status online .seq 3",
    "ZADD " P "deadlines 9999999999999 u:u2",
    "HSET " P "room:r .members 3 .born 4 .seq 9 u:u1 1 u:u3 2",
    "HSET " P "room:r m:one " LIVE "@7@u1 m:far " LIVE "@0@u3 m:farther " OTHER "@0@u3",
    "HSET " P "open_rooms r 4",
    "HSET " P "members:" LIVE " one@r u1 far@r u3",
    "HSET " P "members:" OTHER " farther@r u3",
    "ZADD " P "invitations 0 9999999999999.00@2@u1@5@u@two@192.0.2.1",
    "ZADD " P "invitations 0 9999999999999.01@2@u1@2@u2@",
    "HSET " P "inviters all 2 u:u@two 1 u:u2 1 a:192.0.2.1 1",
    "PEXPIREAT " P "invitations 9999999999999",
    "PEXPIREAT " P "inviters 9999999999999",
    NULL,
};

static inline void make_sound(struct fixture *f)
{
    for (const char *const *command = sound; *command; command++) {
        ask(f, *command);
    }
}

static inline int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    fixture_init(state);
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    server_start(&f.server, NULL);
    server_grant(&f.server, "~t:* &t:*");
    world_create_for(&f.world, &f.server);
    redis_acl_log_in(f.world.config, "trackerctl");
    f.reader = reader_create(f.world.loop, &f.world.target, &f.world.settings, PATIENCE_MS);
    assert_true(reader_connect(f.reader));
    make_sound(&f);
    *state = &f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    reader_destroy(&f->reader);
    world_destroy(&f->world);
    server_stop(&f->server);
    return 0;
}

static inline struct fsck_options options_for(uint32_t partitions)
{
    return (struct fsck_options){.space = {.prefix = "t", .name = "main", .partitions = partitions},
                                 .confirm_ms = 1,
                                 .ttl = 30000,
                                 .grace = 5000,
                                 .offline_delay = 5000};
}

static inline void run(struct fixture *f, const struct fsck_options *options,
                       struct fsck_report *report)
{
    if (!fsck_run(f->reader, options, report)) {
        fail_msg("fsck failed: %s", reader_error(f->reader));
    }
}

static inline void expect_clean(struct fixture *f, uint32_t partitions, const char *when)
{
    struct fsck_options options = options_for(partitions);
    struct fsck_report report;
    run(f, &options, &report);
    for (size_t i = 0; i < report.count; i++) {
        fail_msg("%s: found %s of %.*s", when, fsck_rule_name(report.findings[i].rule),
                 (int)report.findings[i].id.len, (const char *)report.findings[i].id.data);
    }
    fsck_report_free(&report);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
