/* The routes for operators over real HTTP, with a real map. */
#include "map/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/health.h"

struct stage {
    struct world *world;
    struct front *front;
    struct config *config;
    struct net_settings net_settings;
    struct http_settings http_settings;
    struct admin_settings admin_settings;
    struct net *net;
    struct http_router *router;
    struct health *health;
    struct admin *admin;
    struct listener *listener;
};

static void accepted(void *arg, struct conn *conn)
{
    struct stage *stage = arg;
    http_serve(stage->net, conn, &stage->http_settings, stage->router);
}

static const struct listener_callbacks callbacks = {.accepted = accepted};

static int create(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    char *error = NULL;
    stage->world = world_create();
    stage->front = &stage->world->fronts[stage->world->count++];
    front_prepare(stage->world, stage->front);
    front_set(stage->front, "map.spaces=main other");
    front_set(stage->front, "map.partitions=5");
    front_start(stage->world, stage->front);
    stage->config = config_create();
    config_add(stage->config, &net_config, &stage->net_settings);
    config_add(stage->config, &http_config, &stage->http_settings);
    config_add(stage->config, &admin_config, &stage->admin_settings);
    stage->net = net_create(stage->world->loop, &stage->net_settings);
    stage->router = http_router_create();
    stage->health = health_create(stage->front->map);
    stage->admin =
        admin_create(stage->front->map, stage->health, &stage->admin_settings, "lobby", "0.0.0");
    stage->listener =
        listener_create(stage->net, "127.0.0.1:0", &stage->net_settings, &callbacks, stage, &error);
    if (!stage->listener) {
        fail_msg("%s", error);
    }
    *state = stage;
    return 0;
}

static int destroy(void **state)
{
    struct stage *stage = *state;
    listener_stop(stage->listener);
    listener_close_connections(stage->listener, CONN_CLOSE_LOCAL);
    loop_iterate(stage->world->loop, 0);
    listener_destroy(&stage->listener);
    http_router_destroy(&stage->router);
    admin_destroy(&stage->admin);
    health_destroy(&stage->health);
    net_destroy(&stage->net);
    config_destroy(&stage->config);
    config_free_values(&net_config, &stage->net_settings);
    config_free_values(&http_config, &stage->http_settings);
    config_free_values(&admin_config, &stage->admin_settings);
    world_destroy(stage->world);
    free(stage);
    return 0;
}

/* The answer to a GET, headers and body, valid until the next call. */
static const char *get(struct stage *stage, const char *path)
{
    static char answer[65536];
    struct address address;
    struct sockaddr_storage storage;
    size_t len = 0;
    ssize_t n = -1;
    char *request =
        mem_format("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    assert_true(address_parse(listener_where(stage->listener), &address));
    socklen_t name_len = address_to_sockaddr(&address, &storage);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&storage, name_len), 0);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (n != 0) {
        WAIT_UNTIL(stage->world,
                   (n = read(fd, answer + len, sizeof answer - 1 - len)) >= 0 || errno != EAGAIN);
        assert_true(n >= 0);
        len += (size_t)n;
    }
    answer[len] = 0;
    close(fd);
    free(request);
    return answer;
}

static void expect(struct stage *stage, const char *path, const char *status, const char *text)
{
    const char *answer = get(stage, path);
    if (strncmp(answer + strlen("HTTP/1.1 "), status, 3) != 0 || !strstr(answer, text)) {
        fail_msg("%s: %s, where %s and %s were expected", path, answer, status, text);
    }
}

static void test_probes(void **state)
{
    struct stage *stage = *state;
    const char *why = "";
    health_add_probes(stage->health, stage->router);
    WAIT_UNTIL(stage->world, health_is_ready(stage->health, &why));
    expect(stage, "/healthz", "200", "\r\n\r\nok\n");
    expect(stage, "/readyz", "200", "\r\n\r\nready\n");
    expect(stage, "/readyz?balancer", "200", "\r\n\r\nready\n");
    expect(stage, "/metrics", "404", "");
    health_set_draining(stage->health);
    expect(stage, "/healthz", "200", "\r\n\r\nok\n");
    expect(stage, "/readyz", "503", "not ready: draining\n");
    expect(stage, "/readyz?balancer", "404", "not ready: draining\n");
    expect(stage, "/readyz?x=1&balancer=&%7a", "404", "not ready: draining\n");
    expect(stage, "/readyz?x=balancer&balance&%7a=%25&&=", "503", "not ready: draining\n");
    expect(stage, "/readyz?balancer&%zz", "400", "a malformed % in the query\n");
}

static void test_not_ready_without_redis(void **state)
{
    struct stage *stage = *state;
    const char *why = NULL;
    health_add_probes(stage->health, stage->router);
    redis_embedded_stop(&stage->world->server);
    WAIT_UNTIL(stage->world, !health_is_ready(stage->health, &why));
    assert_non_null(why);
    expect(stage, "/readyz", "503", "not ready: ");
    expect(stage, "/healthz", "200", "ok");
    expect(stage, "/readyz?local", "503", "not ready: ");
    health_set_local(stage->health, false);
    expect(stage, "/readyz?local", "200", "as ready as any other front-end: ");
    expect(stage, "/readyz?local&balancer", "200", "as ready as any other front-end: ");
    expect(stage, "/readyz?balancer", "404", "not ready: ");
    expect(stage, "/readyz", "503", "not ready: ");
    health_set_local(stage->health, true);
    expect(stage, "/readyz?balancer&local", "404", "not ready: ");
    health_set_local(stage->health, false);
    health_set_draining(stage->health);
    expect(stage, "/readyz?local", "503", "not ready: draining\n");
}

static void test_pages(void **state)
{
    struct stage *stage = *state;
    health_add_pages(stage->health, stage->router);
    admin_add_routes(stage->admin, stage->router);
    expect(stage, "/", "200", "<!doctype html>");
    expect(stage, "/tracker.js", "200", "text/javascript");
    stage->admin_settings.page = ADMIN_OFF;
    expect(stage, "/", "200", "/api/v1/shard?id=");
    expect(stage, "/page.js", "404", "disabled");
    expect(stage, "/tracker.js", "200", "text/javascript");
    expect(stage, "/metrics", "200", "text/plain; version=0.0.4");
    expect(stage, "/metrics", "200", "\ntracker_ready ");
    expect(stage, "/nothing", "404", "");
}

/* The vectors of the sharding rule. */
static void test_shard(void **state)
{
    struct stage *stage = *state;
    admin_add_routes(stage->admin, stage->router);
    expect(stage, "/api/v1/shard?id=1%3A789", "200",
           "{\"id\":\"1:789\",\"space\":\"main\",\"shard\":1,\"partitions\":5}\n");
    expect(stage, "/api/v1/shard?id=1:789&space=other", "200", "\"space\":\"other\",\"shard\":1");
    expect(stage, "/api/v1/shard?id=%22%00%ff", "200", "{\"id64\":\"IgD/\"");
    expect(stage, "/api/v1/shard", "400", "error");
    expect(stage, "/api/v1/shard?id=", "400", "error");
    expect(stage, "/api/v1/shard?id=x&space=nowhere", "404", "error");
    expect(stage, "/api/v1/shard?id=x&space=main%00", "404", "error");
    expect(stage,
           "/api/v1/shard?id=x&space="
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
           "404", "error");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, create, destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_probes),
        TEST(test_not_ready_without_redis),
        TEST(test_pages),
        TEST(test_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
