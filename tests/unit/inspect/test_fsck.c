/*
 * fsck on a real Redis: sound maps are clean, a fault that front-ends repair is no finding, and a
 * run that fails reports that. fsck_rules.h and its tests have the rules.
 */
#include "inspect/fsck_fixture.h"

static void test_sound(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.entries, 2);
    assert_int_equal(report.listed, 1);
    assert_int_equal(report.deadlines, 1);
    assert_int_equal(report.users, 2);
    assert_int_equal(report.rooms, 1);
    assert_int_equal(report.suspects, 0);
    assert_int_equal(report.unattended, 0);
    fsck_report_free(&report);
    ask(f, "FLUSHALL");
    expect_clean(f, 1, "an empty Redis");
}

/* An entry without a node is in no index and has no deadline: so it is not counted before it is
 * repaired. */
static void test_no_node(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "HSET " P "client:three state s version 1 session " FENCE);
    ask(f, "PEXPIRE " P "client:three 30000");
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_NODE);
    assert_true(report.findings[0].repaired);
    fsck_report_free(&report);
    server_expect(&f->server, "", "HGET " P "client:three node");
    server_expect(&f->server, "3", "HGET " P "head entries");
    expect_clean(f, 1, "repaired");
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "HDEL " P "head epoch");
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_HEAD);
    assert_false(report.findings[0].repaired);
    fsck_report_free(&report);
    ask(f, "HSET " P "head epoch " EPOCH " P 3");
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_PARTITIONS);
    assert_int_equal(report.findings[0].stored, 3);
    assert_int_equal(report.findings[0].counted, 1);
    assert_false(report.findings[0].repaired);
    fsck_report_free(&report);
}

/* Each is found and repaired, and the numbers are again those of the two invitations. */
static void test_inviters(void **state)
{
    static const char *const wrong[] = {
        "HSET " P "inviters all 7",
        "HSET " P "inviters u:u2 2",
        "HSET " P "inviters a:192.0.2.9 1",
        "HDEL " P "inviters u:u@two",
        "DEL " P "inviters",
        "SET " P "inviters x",
        "PERSIST " P "inviters",
        "PERSIST " P "invitations",
        "ZADD " P "invitations 0 nonsense",
        "ZADD " P "invitations 0 9999999999999.03@2@u1@99@u2@",
        "ZADD " P "invitations 0 9999999999999.03@2@u1@2@u2",
    };
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_sound(f);
        ask(f, wrong[i]);
        options.repair = false;
        run(f, &options, &report);
        fsck_report_free(&report);
        options.repair = true;
        run(f, &options, &report);
        if (report.count != 1 || report.findings[0].rule != FSCK_INVITERS ||
            !report.findings[0].repaired) {
            fail_msg("%s: %zu findings", wrong[i], report.count);
        }
        fsck_report_free(&report);
        expect_clean(f, 1, wrong[i]);
        server_expect(&f->server, "2", "HGET " P "inviters all");
        server_expect(&f->server, "1", "HGET " P "inviters u:u2");
        server_expect(&f->server, "4", "HLEN " P "inviters");
    }
    make_sound(f);
    ask(f, "SET " P "invitations x");
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_true(report.findings[0].repaired);
    fsck_report_free(&report);
    server_expect(&f->server, "0", "EXISTS " P "invitations " P "inviters");
}

static void add_invitations(struct fixture *f, int from, int to)
{
    redisContext *context = server_connect(&f->server);
    for (int i = from; i < to; i++) {
        redisReply *reply = redisCommand(context, "ZADD " P "invitations 0 %s%d",
                                         "9999999999999.05 2 u1 2 u2 192.0.2.", i);
        assert_non_null(reply);
        freeReplyObject(reply);
    }
    redisFree(context);
}

/* The script counts no more than 5,000 of them by sender and address. */
static void test_of_many_invitations_the_total_is_checked(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    options.repair = true;
    add_invitations(f, 0, 4998);
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    fsck_report_free(&report);
    server_expect(&f->server, "4999", "HGET " P "inviters u:u2");
    add_invitations(f, 4998, 5000);
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_true(report.findings[0].repaired);
    fsck_report_free(&report);
    server_expect(&f->server, "5002", "HGET " P "inviters all");
    server_expect(&f->server, "4999", "HGET " P "inviters u:u2");
    expect_clean(f, 1, "the total is right");
}

/* During the recovery grace, entries of a front-end without a lease are allowed. */
static void test_hold(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "ZADD " P "nodes 1000 " LIVE);
    ask(f, "DEL " P "client:two");
    ask(f, "HSET " P "head hold_until 9999999999999");
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.recovering, 1);
    fsck_report_free(&report);
    ask(f, "HSET " P "head hold_until 1000");
    run(f, &options, &report);
    assert_int_equal(report.count, 4); /* two entries, and two members of the room */
    assert_int_equal(report.recovering, 0);
    fsck_report_free(&report);
    ask(f, "DEL " P "nodes");
    run(f, &options, &report);
    assert_int_equal(report.unattended, 1);
    fsck_report_free(&report);
}

static void repair_by_hand(void *arg)
{
    struct fixture *f = arg;
    ask(f, "HSET " P "node:" LIVE " one u1");
    ask(f, "HSET " P "head entries 2");
    /* Another thing is wrong now, but has not been so for a sweep. */
    ask(f, "PERSIST " P "client:one");
}

/* What is put right before the second look is no finding. */
static void test_looks_twice(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    struct loop_timer *timer = loop_timer_create(f->world.loop, repair_by_hand, f);
    ask(f, "HDEL " P "node:" LIVE " one");
    options.confirm_ms = 1000;
    loop_timer_start(timer, 500);
    run(f, &options, &report);
    loop_timer_destroy(&timer);
    assert_int_equal(report.suspects, 2); /* the entry, and the count */
    assert_int_equal(report.count, 0);
    fsck_report_free(&report);
}

static void new_front_end(void *arg)
{
    struct fixture *f = arg;
    ask(f, "ZADD " P "nodes 9999999999999 cccccccccccc");
    ask(f, "HSET " P "client:one node cccccccccccc");
    ask(f, "HDEL " P "node:" LIVE " one");
    ask(f, "HSET " P "node:cccccccccccc one u1");
    ask(f, "HSET " P "room:r m:one cccccccccccc@0@u1 m:far cccccccccccc@0@u3");
    ask(f, "RENAME " P "members:" LIVE " " P "members:cccccccccccc");
}

/* A front-end that comes between the two looks, and adopts. */
static void test_front_end_comes(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    struct loop_timer *timer = loop_timer_create(f->world.loop, new_front_end, f);
    ask(f, "ZADD " P "nodes 1000 " LIVE);
    options.confirm_ms = 1000;
    loop_timer_start(timer, 500);
    run(f, &options, &report);
    loop_timer_destroy(&timer);
    assert_int_equal(report.suspects, 2); /* the entry, and the room */
    assert_int_equal(report.count, 0);
    fsck_report_free(&report);
}

/* Ids of any bytes, and partitions. */
static void test_binary_ids_in_partitions(void **state)
{
    static const char script[] =
        "local ids = {'\\0', '\\r\\n', 'a b', '\\255\\254', 'c:x', 'client:y', '', '}:', '*'} "
        "for p = 0, 2 do local k = 't:{main/3/' .. p .. '}:' "
        "redis.call('HSET', k .. 'head', 'epoch', '00000000000000e1', 'revision', '0', 'P', '3', "
        "'entries', tostring(#ids)) "
        "redis.call('ZADD', k .. 'nodes', '9999999999999', 'aaaaaaaaaaaa') "
        "for i, id in ipairs(ids) do local e = k .. 'client:' .. id "
        "redis.call('HSET', e, 'node', i % 2 == 0 and 'aaaaaaaaaaaa' or '', 'version', '1', "
        "'state', '', 'session', '0123456789abcdef0123456789abcdef') "
        "redis.call('PEXPIRE', e, 30000) "
        "if i % 2 == 0 then redis.call('HSET', k .. 'node:aaaaaaaaaaaa', id, '') "
        "else redis.call('ZADD', k .. 'deadlines', '9999999999999', 'c:' .. id) end end end";
    struct fixture *f = *state;
    struct fsck_options options = options_for(3);
    struct fsck_report report;
    ask(f, "FLUSHALL");
    char *reply = server_ask(&f->server, "EVAL %s 0", script);
    assert_string_equal(reply, "(nil)");
    free(reply);
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.entries, 27);
    assert_int_equal(report.suspects, 0);
    fsck_report_free(&report);

    reply = server_ask(&f->server, "DEL t:{main/3/1}:client:%b", "\r\n", (size_t)2);
    free(reply);
    reply = server_ask(&f->server, "HSET t:{main/3/2}:client:%b session x", "\0", (size_t)1);
    free(reply);
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct fsck_finding *finding = &report.findings[i];
        assert_int_equal(finding->partition, i + 1);
        assert_int_equal(finding->rule, i == 0 ? FSCK_MISSING : FSCK_SESSION);
        assert_true(bytes_equal(finding->id, i == 0 ? BYTES_LITERAL("\r\n") : BYTES_LITERAL("\0")));
        assert_true(finding->repaired);
    }
    fsck_report_free(&report);
    expect_clean(f, 3, "repaired");
}

/* More than one batch, in all passes. */
static void test_many(void **state)
{
    static const char script[] =
        "local k = 't:{main/1/0}:' for i = 1, 1234 do local e = k .. 'client:m' .. i "
        "redis.call('HSET', e, 'node', 'dddddddddddd', 'version', '1', 'state', '', 'session', "
        "'0123456789abcdef0123456789abcdef') redis.call('PEXPIRE', e, 30000) "
        "redis.call('HSET', k .. 'node:dddddddddddd', 'm' .. i, '') end "
        "redis.call('HSET', k .. 'head', 'entries', '1236')";
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    free(server_ask(&f->server, "EVAL %s 0", script));
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.entries, 1236);
    assert_int_equal(report.count, 1234);
    assert_int_equal(report.repaired, 1234);
    for (size_t i = 0; i < report.count; i++) {
        assert_int_equal(report.findings[i].rule, FSCK_ABANDONED);
    }
    fsck_report_free(&report);
    server_expect(&f->server, "0", "EXISTS " P "node:" EXPIRED);
    server_expect(&f->server, "1236", "HGET " P "head entries");
    server_expect(&f->server, "1244", "HGET " P "head revision");
    expect_clean(f, 1, "repaired");
}

/* If Redis becomes unreachable, it ends with a problem, not with a clean report. */
static void test_redis_goes(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    (void)kill(f->server.pid, SIGKILL);
    assert_false(fsck_run(f->reader, &options, &report));
    fsck_report_free(&report);
    assert_int_equal(reader_problem(f->reader), READER_UNREACHABLE);
    assert_true(strlen(reader_error(f->reader)) > 0);
}

/* A nodes key that is no sorted set cannot be judged. */
static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "DEL " P "nodes");
    ask(f, "SET " P "nodes x");
    assert_false(fsck_run(f->reader, &options, &report));
    fsck_report_free(&report);
    assert_int_equal(reader_problem(f->reader), READER_REFUSED);
}

static void test_rules_have_names(void **state)
{
    for (int i = 0; i < FSCK_RULES; i++) {
        assert_non_null(fsck_rule_name((enum fsck_rule)i));
        assert_non_null(fsck_rule_help((enum fsck_rule)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sound),
        TEST(test_no_node),
        TEST(test_head),
        TEST(test_inviters),
        TEST(test_of_many_invitations_the_total_is_checked),
        TEST(test_hold),
        TEST(test_looks_twice),
        TEST(test_front_end_comes),
        TEST(test_binary_ids_in_partitions),
        TEST(test_many),
        TEST(test_redis_goes),
        TEST(test_unreadable),
        cmocka_unit_test(test_rules_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
