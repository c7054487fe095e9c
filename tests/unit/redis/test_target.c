/* URLs of Redis: good ones with what they mean, bad ones with the reason, no password ever shown.
 */
#include "redis/redis_fixture.h"

static const struct good {
    const char *url;
    enum redis_scheme scheme;
    const char *host;
    unsigned port;
    const char *user;
    const char *password;
    unsigned database;
    const char *described;
} good[] = {
    {"embedded", REDIS_EMBEDDED, NULL, 0, NULL, NULL, 0, "embedded"},
    {"redis://localhost", REDIS_TCP, "localhost", 6379, NULL, NULL, 0, "redis://localhost:6379/0"},
    {"redis://localhost/", REDIS_TCP, "localhost", 6379, NULL, NULL, 0, "redis://localhost:6379/0"},
    {"REDIS://h:1", REDIS_TCP, "h", 1, NULL, NULL, 0, "redis://h:1/0"},
    {"redis://10.0.0.1:6380/15", REDIS_TCP, "10.0.0.1", 6380, NULL, NULL, 15,
     "redis://10.0.0.1:6380/15"},
    {"redis://[::1]:6380/2", REDIS_TCP, "::1", 6380, NULL, NULL, 2, "redis://[::1]:6380/2"},
    {"redis://[2001:db8::7]", REDIS_TCP, "2001:db8::7", 6379, NULL, NULL, 0,
     "redis://[2001:db8::7]:6379/0"},
    {"rediss://h:65535", REDIS_TCP, "h", 65535, NULL, NULL, 0, "rediss://h:65535/0"},
    {"redis://:geheim@h", REDIS_TCP, "h", 6379, NULL, "geheim", 0, "redis://h:6379/0"},
    {"redis://me:geheim@h:7", REDIS_TCP, "h", 7, "me", "geheim", 0, "redis://h:7/0"},
    {"redis://me@h", REDIS_TCP, "h", 6379, "me", NULL, 0, "redis://h:6379/0"},
    {"redis://me:@h", REDIS_TCP, "h", 6379, "me", "", 0, "redis://h:6379/0"},
    {"redis://a%40b:p%3Aq%2fr%25@h", REDIS_TCP, "h", 6379, "a@b", "p:q/r%", 0, "redis://h:6379/0"},
    {"redis://me:a@b@h", REDIS_TCP, "h", 6379, "me", "a@b", 0, "redis://h:6379/0"},
    {"rediss://me:geheim@[::1]:7/3", REDIS_TCP, "::1", 7, "me", "geheim", 3, "rediss://[::1]:7/3"},
    {"unix:/run/redis.sock", REDIS_UNIX, "/run/redis.sock", 0, NULL, NULL, 0,
     "unix:/run/redis.sock"},
    {"unix:///run/redis.sock", REDIS_UNIX, "/run/redis.sock", 0, NULL, NULL, 0,
     "unix:/run/redis.sock"},
    {"unix:///run/a%20b?db=4", REDIS_UNIX, "/run/a b", 0, NULL, NULL, 4, "unix:/run/a b?db=4"},
    {"unix://me:geheim@/run/s", REDIS_UNIX, "/run/s", 0, "me", "geheim", 0, "unix:/run/s"},
    {"unix:/a?db=65535", REDIS_UNIX, "/a", 0, NULL, NULL, 65535, "unix:/a?db=65535"},
};

static void assert_same(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a) {
        assert_string_equal(a, b);
    }
}

static void test_good(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct redis_target target;
        char *error = redis_target_parse(good[i].url, &target);
        char *described;

        if (error) {
            fail_msg("%s: %s", good[i].url, error);
        }
        assert_int_equal(target.scheme, good[i].scheme);
        assert_same(target.host, good[i].host);
        assert_int_equal(target.port, good[i].port);
        assert_same(target.user, good[i].user);
        assert_same(target.password, good[i].password);
        assert_int_equal(target.database, good[i].database);
        described = redis_target_describe(&target);
        assert_string_equal(described, good[i].described);
        free(described);
        redis_target_free(&target);
        assert_null(target.host);
    }
}

static const struct sentinels {
    const char *url;
    bool tls;
    const char *master;
    const char *password;
    unsigned database;
    const char *described;
} sentinels[] = {
    {"redis-sentinel://h/main", false, "main", NULL, 0, "redis-sentinel://h:26379/main/0"},
    {"redis+sentinel://h:1/main/", false, "main", NULL, 0, "redis-sentinel://h:1/main/0"},
    {"redis-sentinel://:geheim@a,10.0.0.1:7,[::1]:8,[2001:db8::7]/a%20b/15", false, "a b", "geheim",
     15, "redis-sentinel://a:26379,10.0.0.1:7,[::1]:8,[2001:db8::7]:26379/a b/15"},
    {"rediss-sentinel://a,b/m", true, "m", NULL, 0, "rediss-sentinel://a:26379,b:26379/m/0"},
};

static void test_sentinels(void **state)
{
    for (size_t i = 0; i < sizeof sentinels / sizeof *sentinels; i++) {
        struct redis_target target;
        char *error = redis_target_parse(sentinels[i].url, &target);
        char *described;

        if (error) {
            fail_msg("%s: %s", sentinels[i].url, error);
        }
        assert_int_equal(target.scheme, REDIS_SENTINEL);
        assert_int_equal(target.tls, sentinels[i].tls);
        assert_null(target.host);
        assert_string_equal(target.master, sentinels[i].master);
        assert_same(target.password, sentinels[i].password);
        assert_int_equal(target.database, sentinels[i].database);
        described = redis_target_describe(&target);
        assert_string_equal(described, sentinels[i].described);
        free(described);
        redis_target_free(&target);
        assert_int_equal(target.endpoint_count, 0);
    }
}

static const struct bad {
    const char *url;
    const char *reason; /* a part of it */
} bad[] = {
    {"", "not one of"},
    {"localhost:6379", "not one of"},
    {"http://geheim@h", "not one of"},
    {"redis:h", "not one of"},
    {"embedded:", "not one of"},
    {"redis://", "host"},
    {"redis://:6379", "host"},
    {"redis://geheim@", "host"},
    {"redis://[]:1", "host"},
    {"redis://[::1", "bracket"},
    {"redis://::1", "host"},
    {"redis://fe80::1", "port"},
    {"redis://[::1]x", "port"},
    {"redis://h:", "port"},
    {"redis://h:0", "port"},
    {"redis://h:65536", "port"},
    {"redis://h:99999999999999999999", "port"},
    {"redis://h:-1", "port"},
    {"redis://h:+1", "port"},
    {"redis://h:63a", "port"},
    {"redis://me:gehe/im@h", "port"},
    {"redis://h/x", "database"},
    {"redis://h/-1", "database"},
    {"redis://h/65536", "database"},
    {"redis://h/1/2", "database"},
    {"redis://h?db=1", "query"},
    {"redis://h#1", "query"},
    {"redis://me:geheim%@h", "percent"},
    {"redis://me:geheim%4@h", "percent"},
    {"redis://me:geheim%zz@h", "percent"},
    {"redis://me:geheim%00@h", "percent"},
    {"redis://m%e:geheim@h", "percent"},
    {"unix:", "slash"},
    {"unix:relative", "slash"},
    {"unix://relative/path", "slash"},
    {"unix://geheim@host/path", "slash"},
    {"unix:/a?db=", "query"},
    {"unix:/a?db=1&password=geheim", "query"},
    {"unix:/a%", "percent"},
    {"redis-sentinel://me:geheim@h", "name of the master"},
    {"redis-sentinel://me:geheim@h/", "name of the master"},
    {"redis-sentinel://h//1", "name of the master"},
    {"redis-sentinel://h/main%", "name of the master"},
    {"redis-sentinel://h/main/x", "database"},
    {"redis-sentinel://h/main?db=1", "query"},
    {"redis-sentinel:///main", "host"},
    {"redis-sentinel://h,/main", "host"},
    {"redis-sentinel://h,,i/main", "host"},
    {"redis-sentinel://h:0,i/main", "port"},
    {"redis-sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/main", "more than 16"},
    {"redis-cluster://h", "Cluster is not supported"},
    {"redis+cluster://geheim@h", "Cluster is not supported"},
};

static void test_bad(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct redis_target target;
        char *error = redis_target_parse(bad[i].url, &target);

        if (!error || !strstr(error, bad[i].reason)) {
            fail_msg("%s: %s", bad[i].url, error ? error : "accepted");
        }
        assert_null(strstr(error, "gehe"));
        assert_null(target.host);
        assert_null(target.password);
        free(error);
        redis_target_free(&target);
    }
}

static void test_long(void **state)
{
    struct redis_target target;
    char url[400] = "unix:/";
    char *error;

    memset(url + 6, 'a', 106); /* with its slash 107 bytes: what fits */
    assert_null(redis_target_parse(url, &target));
    redis_target_free(&target);
    url[6 + 106] = 'a';
    error = redis_target_parse(url, &target);
    assert_non_null(strstr(error, "107"));
    free(error);

    memset(url, 'h', sizeof url - 1);
    memcpy(url, "redis://", 8);
    url[8 + 256] = '\0';
    error = redis_target_parse(url, &target);
    assert_non_null(strstr(error, "host"));
    free(error);
}

static void test_scheme_of_refused(void **state)
{
    struct redis_target target;

    free(redis_target_parse("redis-sentinel://h", &target));
    assert_int_equal(target.scheme, REDIS_SENTINEL);
    free(redis_target_parse("redis-cluster://h", &target));
    assert_int_equal(target.scheme, REDIS_CLUSTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_scheme_of_refused),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
