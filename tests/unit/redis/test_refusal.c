/* Errors distinguished by their texts, and the periods in which refusals continue, on a fake clock.
 */
#include "redis/redis_fixture.h"

#include "redis/refusal_private.h"

static const struct error {
    const char *text;
    enum redis_refusal refusal;
    const char *name;
} errors[] = {
    {"READONLY You can't write against a read only replica.", REDIS_REFUSAL_READONLY, "readonly"},
    {"READONLY You can't write against a read only replica. script: 0, on @user_script:1.",
     REDIS_REFUSAL_READONLY, "readonly"},
    {"LOADING Redis is loading the dataset in memory", REDIS_REFUSAL_LOADING, "loading"},
    {"OOM command not allowed when used memory > 'maxmemory'.", REDIS_REFUSAL_OOM, "oom"},
    {"MISCONF Redis is configured to save RDB snapshots", REDIS_REFUSAL_MISCONF, "misconf"},
    {"NOPERM this user has no permissions", REDIS_REFUSAL_NOPERM, "noperm"},
    {"ERR The user executing the script can't run this command or subcommand script: 8",
     REDIS_REFUSAL_NOPERM, "noperm"},
    {"ERR ACL failure in script: no permissions", REDIS_REFUSAL_NOPERM, "noperm"},
    {"NOAUTH Authentication required.", REDIS_REFUSAL_NOAUTH, "noauth"},
    {"WRONGPASS invalid username-password pair", REDIS_REFUSAL_NOAUTH, "noauth"},
    {"ERR AUTH <password> called without any password configured", REDIS_REFUSAL_NOAUTH, "noauth"},
    {"ERR max number of clients reached", REDIS_REFUSAL_MAXCLIENTS, "maxclients"},
    {"BUSY Redis is busy running a script.", REDIS_REFUSAL_BUSY, "busy"},
    {"MASTERDOWN Link with MASTER is down", REDIS_REFUSAL_MASTERDOWN, "masterdown"},
    {"NOSCRIPT No matching script.", REDIS_REFUSAL_NOSCRIPT, "noscript"},
    {"NOSCRIPT", REDIS_REFUSAL_NOSCRIPT, "noscript"},
    {"BUSYGROUP Consumer Group name already exists", REDIS_REFUSAL_OTHER, "other"},
    {"OOMPH", REDIS_REFUSAL_OTHER, "other"},
    {"ERR syntax error", REDIS_REFUSAL_OTHER, "other"},
    {"ERR AUTHENTIC", REDIS_REFUSAL_OTHER, "other"},
    {"WRONGTYPE Operation against a key", REDIS_REFUSAL_OTHER, "other"},
    {"noauth lower", REDIS_REFUSAL_OTHER, "other"},
    {"", REDIS_REFUSAL_OTHER, "other"},
};

static struct redis_reply error_reply(const char *text)
{
    return (struct redis_reply){.type = REDIS_ERROR, .text = bytes_from_string(text)};
}

static void test_errors(void **state)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct redis_reply reply = error_reply(errors[i].text);

        assert_int_equal(redis_refusal_of(&reply), errors[i].refusal);
        assert_string_equal(redis_refusal_name(redis_refusal_of(&reply)), errors[i].name);
        reply.type = REDIS_STRING;
        assert_int_equal(redis_refusal_of(&reply), REDIS_REFUSAL_OTHER);
    }
    assert_int_equal(redis_refusal_of(NULL), REDIS_REFUSAL_OTHER);
    assert_string_equal(redis_status_name(REDIS_OK), "ok");
    assert_string_equal(redis_status_name(REDIS_REFUSED), "refused");
    assert_string_equal(redis_status_name(REDIS_DOWN), "down");
    assert_string_equal(redis_status_name(REDIS_LOST), "lost");
}

/* What the log holds since the last time. */
static size_t log_read(int fd, char *text, size_t size)
{
    ssize_t len = read(fd, text, size - 1);

    len = len > 0 ? len : 0;
    text[len] = '\0';
    return (size_t)len;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void test_periods(void **state)
{
    struct redis_refusals refusals = {0};
    struct redis_reply oom = error_reply("OOM command not allowed");
    struct redis_reply busy = error_reply("BUSY in a script");
    int64_t ooms = metrics_get(METRIC_REDIS_REFUSED_OOM);
    char text[8192];
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_set_fd(ends[1]);
    log_configure(LOG_INFO, LOG_FORMAT_LOGFMT);
    for (uint64_t now = 1000; now < 2000; now++) {
        redis_refusals_note(&refusals, "a", &oom, false, now);
    }
    redis_refusals_note(&refusals, "a", &busy, false, 2000);
    assert_int_equal(metrics_get(METRIC_REDIS_REFUSED_OOM) - ooms, 1000);
    log_read(ends[0], text, sizeof text);
    assert_int_equal(count_of(text, "kind=oom"), 1);
    assert_int_equal(count_of(text, "kind=busy"), 1);

    assert_true(redis_refusals_check(&refusals, "a", 1999 + REDIS_REFUSAL_QUIET_MS - 1));
    assert_int_equal(log_read(ends[0], text, sizeof text), 0);
    assert_true(redis_refusals_check(&refusals, "a", 1999 + REDIS_REFUSAL_QUIET_MS));
    log_read(ends[0], text, sizeof text);
    assert_int_equal(count_of(text, "kind=oom"), 1);
    assert_int_equal(count_of(text, "count=1000"), 1);
    assert_int_equal(count_of(text, "lasted_ms=999"), 1);

    redis_refusals_link_up(&refusals, "a", 2500);
    log_read(ends[0], text, sizeof text);
    assert_int_equal(count_of(text, "kind=busy"), 1);
    assert_false(redis_refusals_check(&refusals, "a", 2500));

    redis_refusals_note(&refusals, "a", &oom, false, 90000);
    log_read(ends[0], text, sizeof text);
    assert_int_equal(count_of(text, "kind=oom"), 1);
    log_set_fd(2);
    close(ends[0]);
    close(ends[1]);
}

static void test_secrets(void **state)
{
    struct redis_refusals refusals = {0};
    struct redis_reply unknown =
        error_reply("ERR unknown command 'AUTH', with args beginning with: 'geheim'");
    char text[8192];
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_set_fd(ends[1]);
    log_configure(LOG_INFO, LOG_FORMAT_LOGFMT);
    redis_refusals_note(&refusals, "a", &unknown, true, 1);
    log_set_fd(2);
    assert_true(log_read(ends[0], text, sizeof text) > 0);
    assert_null(strstr(text, "geheim"));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
