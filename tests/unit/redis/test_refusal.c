/* Errors told apart by their texts, and the periods in which refusals go on, on a fake clock. */
#include "redis/redis_fixture.h"

#include "base/ids.h"
#include "redis/refusal_private.h"
#include "redis/sha1_private.h"

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

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
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

/* RFC 3174, section 7.3, and lengths around a block's end as sha1sum has them. */
static void test_sha1(void **state)
{
    static const struct {
        const char *text;
        unsigned times;
        const char *digest;
    } cases[] = {
        {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"0123456701234567012345670123456701234567012345670123456701234567", 10,
         "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
        {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
        {"a", 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {"a", 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {"a", 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
        {"a", 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {"a", 65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer text = {0};
        uint8_t digest[SHA1_SIZE];
        char hex[2 * SHA1_SIZE + 1];

        for (unsigned n = 0; n < cases[i].times; n++) {
            writer_string(&text, cases[i].text);
        }
        redis_sha1(writer_bytes_written(&text), digest);
        id_format_hex(digest, SHA1_SIZE, hex);
        assert_string_equal(hex, cases[i].digest);
        writer_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_sha1),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
