/* Listeners: what a specification may say, and the options of one that is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "patience.h"
#include "server/listeners.h"

struct stage {
    struct configuration configuration;
    struct loop *loop;
    struct net *net;
    struct http_router *router;
    struct listeners *listeners;
    unsigned asked; /* how often admit was */
    const char *refuse;
};

static const char *admit(void *arg, const struct address *peer)
{
    struct stage *stage = arg;
    assert_int_equal(peer->family, ADDRESS_IPV4);
    stage->asked++;
    return stage->refuse;
}

static int create(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    random_init();
    configuration_init(&stage->configuration);
    stage->loop = loop_create();
    stage->net = net_create(stage->loop, &stage->configuration.net);
    stage->router = http_router_create();
    stage->listeners = listeners_create(&(struct listeners_context){
        .configuration = &stage->configuration,
        .net = stage->net,
        .admin = stage->router,
        .bare = stage->router,
        .admit = admit,
        .arg = stage,
    });
    *state = stage;
    return 0;
}

static int destroy(void **state)
{
    struct stage *stage = *state;
    listeners_stop(stage->listeners, true);
    listeners_close_connections(stage->listeners, true);
    loop_iterate(stage->loop, 0);
    listeners_destroy(&stage->listeners);
    http_router_destroy(&stage->router);
    net_destroy(&stage->net);
    loop_destroy(&stage->loop);
    configuration_free(&stage->configuration);
    free(stage);
    return 0;
}

static void test_good(void **state)
{
    static const char *const good[] = {
        "tracker=127.0.0.1:6789",
        "tracker=[::1]:0",
        "tracker=*:0",
        "tracker=unix:/run/t.sock",
        "web=127.0.0.1:0",
        "tracker=127.0.0.1:0,space=main",
        "tracker=127.0.0.1:0,original=2014,push=off,adopt=same_address,max_state=1KiB",
        "tracker=127.0.0.1:0,tracker.rate=7,net.proxy=true,reuse_port=true,idle_timeout=1h",
        "web=127.0.0.1:0,admin=off,proxy=true",
        "web=127.0.0.1:0,admin=on",
        "web=127.0.0.1:0,max_headers=5,http.timeout=1s",
        "web=127.0.0.1:0,space=main,rate=5,tracker.rate=6,original=2014",
        "web=127.0.0.1:0,origins=same https://a.example:8443 null,ws.timeout=1m",
        "web=127.0.0.1:0,tls=true,tls_certificate=a.pem,tls_key=b.pem",
        "web=127.0.0.1:0,max_total=1KiB,sync.max_errors=5,max_errors=6,turntable.max_rooms=3",
        "sync=127.0.0.1:0",
        "sync=unix:/run/s.sock,space=main,max_properties=5,sync.max_name=6,origins=same,proxy=true",
        "turntable=127.0.0.1:0,duplicate_login=reject,max_message=1KiB,http.timeout=1s",
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *error = listeners_add(stage->listeners, good[i]);
        if (error) {
            fail_msg("%s: %s", good[i], error);
        }
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        const char *named; /* in the message */
    } bad[] = {
        {"synk=127.0.0.1:0", "known are tracker, web, turntable, sync"},
        {"Tracker=127.0.0.1:0", "Tracker"},
        {"127.0.0.1:0", "known are tracker, web, turntable, sync"},
        {"sync=127.0.0.1:0,admin=off", "admin"},
        {"sync=127.0.0.1:0,original=2014", "original"},
        {"sync=127.0.0.1:0,max_propertys=5", "the nearest is \"max_properties\""},
        {"sync=127.0.0.1:0,space=other", "map.spaces"},
        {"turntable=127.0.0.1:0,max_properties=5", "max_properties"},
        {"turntable=127.0.0.1:0,validate=none", "turntable.validate"},
        {"tracker", "address"},
        {"tracker=", "address"},
        {"tracker=127.0.0.1", "ADDRESS:PORT"},
        {"tracker=localhost:6789", "localhost:6789: not ADDRESS:PORT"},
        {"tracker=127.0.0.1:65536", "ADDRESS:PORT"},
        {"tracker=::1:6789", "ADDRESS:PORT"},
        {"tracker=unix:", "path"},
        {"web=*", "ADDRESS:PORT"},
        {"tracker=127.0.0.1:0,spce=main", "unknown option \"spce\"; the nearest is \"space\""},
        {"tracker=127.0.0.1:0,orignal=2014", "the nearest is \"original\""},
        {"tracker=127.0.0.1:0,max_per_adress=5", "the nearest is \"max_per_address\""},
        {"tracker=127.0.0.1:0,net.prxy=true", "the nearest is \"proxy\""},
        {"web=127.0.0.1:0,admim=off", "the nearest is \"admin\""},
        {"web=127.0.0.1:0,max_headrs=5", "the nearest is \"max_headers\""},
        {"tracker=127.0.0.1:0,original", "original"},
        {"tracker=127.0.0.1:0,original=2015", "2013"},
        {"tracker=127.0.0.1:0,rate=-1", "rate"},
        {"tracker=127.0.0.1:0,admin=off", "admin"},
        {"tracker=127.0.0.1:0,space=other", "map.spaces"},
        {"tracker=127.0.0.1:0,space=", "map.spaces"},
        {"tracker=127.0.0.1:0,space=mai", "map.spaces"},
        {"tracker=127.0.0.1:0,max_header=1KiB", "max_header"},
        {"tracker=127.0.0.1:0,max_connections=5", "max_connections"},
        {"web=127.0.0.1:0,tls=true", "tls_certificate"},
        {"web=127.0.0.1:0,tls=true,tls_certificate=a.pem", "tls_key"},
        {"web=127.0.0.1:0,rate=-1", "ws.rate"},
        {"web=127.0.0.1:0,tracker.rate=-1", "tracker.rate"},
        {"web=127.0.0.1:0,origins=example.org", "https://host"},
        {"web=127.0.0.1:0,space=other", "map.spaces"},
        {"tracker=127.0.0.1:0,ws.rate=1", "ws.rate"},
        {"web=127.0.0.1:0,admin=maybe", "admin"},
    };
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *error = listeners_add(stage->listeners, bad[i].text);
        assert_non_null(error);
        if (!strstr(error, bad[i].named)) {
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, error, bad[i].named);
        }
        free(error);
    }
}

static void set(struct stage *stage, const char *assignment)
{
    char *error = config_set(stage->configuration.config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
}

static void check_description(struct stage *stage, const char *expected)
{
    struct writer text = {0};
    assert_null(listeners_add_configured(stage->listeners));
    listeners_describe(stage->listeners, &text);
    writer_u8(&text, 0);
    assert_string_equal((char *)text.data, expected);
    writer_free(&text);
}

static void test_the_standard_ones(void **state)
{
    check_description(*state, "tracker=127.0.0.1:6789,web=127.0.0.1:8080,sync=127.0.0.1:13372");
}

static void test_those_of_the_setting(void **state)
{
    struct stage *stage = *state;
    set(stage, "map.spaces=main other");
    set(stage, "listen= web=127.0.0.1:1  tracker=[::1]:2,space=other ");
    check_description(stage, "web=127.0.0.1:1,tracker=[::1]:2");
}

/* Connects, and waits until the front-end has closed the connection; whether it was let in. */
static bool is_let_in(struct stage *stage)
{
    struct writer text = {0};
    struct address address;
    struct sockaddr_storage storage;
    unsigned asked = stage->asked;
    struct patience patience = patience_begin();
    listeners_describe(stage->listeners, &text);
    writer_u8(&text, 0);
    assert_true(address_parse((char *)text.data + strlen("web="), &address));
    writer_free(&text);
    socklen_t len = address_to_sockaddr(&address, &storage);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&storage, len), 0);
    while (stage->asked == asked && !patience_is_over(&patience)) {
        loop_iterate(stage->loop, 10);
    }
    assert_int_equal(stage->asked, asked + 1);
    bool let_in = net_connection_count(stage->net) > 0;
    close(fd);
    while (net_connection_count(stage->net) > 0 && !patience_is_over(&patience)) {
        loop_iterate(stage->loop, 10);
    }
    assert_int_equal(net_connection_count(stage->net), 0);
    return let_in;
}

static void test_admission(void **state)
{
    struct stage *stage = *state;
    assert_null(listeners_add(stage->listeners, "web=127.0.0.1:0"));
    assert_null(listeners_open(stage->listeners));
    assert_true(is_let_in(stage));
    stage->refuse = "denied";
    assert_false(is_let_in(stage));
    stage->refuse = NULL;
    assert_true(is_let_in(stage));
}

static void test_an_address_that_cannot_be_used(void **state)
{
    struct stage *stage = *state;
    char *error;
    assert_null(listeners_add(stage->listeners, "web=127.0.0.1:0"));
    assert_null(listeners_add(stage->listeners, "web=192.0.2.1:0"));
    error = listeners_open(stage->listeners);
    assert_non_null(error);
    assert_non_null(strstr(error, "192.0.2.1:0"));
    free(error);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, create, destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_bad),
        TEST(test_the_standard_ones),
        TEST(test_those_of_the_setting),
        TEST(test_admission),
        TEST(test_an_address_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
