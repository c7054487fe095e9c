/* lobby_listing: which entries a game server's connection may take over, and which not. */
#include "map/fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listener.h"
#include "protocol/lobby/lobby_private.h"
#include "registration/registration.h"

#define ID "127.0.0.1:4711"

struct stage {
    struct world *world;
    struct config *config;
    struct net_settings net_settings;
    struct udp_settings udp;
    struct lobby_settings settings;
    struct net *net;
    struct bans *bans;
    struct lobby_service *service;
    struct lobby_port *port;
    struct listener *listener;
    struct map_watcher watcher;
    int fd;
    struct writer input;
};

static void on_accepted(void *arg, struct conn *conn)
{
    lobby_serve(((struct stage *)arg)->port, conn);
}

static const struct listener_callbacks callbacks = {.accepted = on_accepted};

static void on_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
}

static void on_live(struct map_watcher *watcher)
{
}

static struct map_space *space_of(const struct stage *stage)
{
    return map_space_find(stage->world->fronts[0].map, "");
}

static int begin(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    const char *why;
    char *error = NULL;

    stage->world = world_with_fronts(1);
    stage->config = config_create();
    config_add(stage->config, &net_config, &stage->net_settings);
    config_add(stage->config, &udp_config, &stage->udp);
    config_add(stage->config, &lobby_config, &stage->settings);
    assert_null(config_set(stage->config, "lobby.password=secret"));
    assert_null(config_set(stage->config, "lobby.verify=off"));
    stage->net = net_create(stage->world->loop, &stage->net_settings);
    stage->bans = bans_create(stage->world->fronts[0].map, "", &stage->settings.bans_reread);
    stage->service = lobby_service_create(stage->world->fronts[0].map, stage->bans,
                                          &stage->settings, &stage->udp);
    stage->port =
        lobby_port_create(stage->service, space_of(stage), LOBBY_FOR_BOTH, &stage->settings);
    stage->listener =
        listener_create(stage->net, "127.0.0.1:0", &stage->net_settings, &callbacks, stage, &error);
    assert_non_null(stage->listener);
    stage->watcher.changed = on_changed;
    stage->watcher.live = on_live;
    assert_non_null(map_watch(space_of(stage), &stage->watcher, &why));
    stage->fd = -1;
    *state = stage;
    return 0;
}

static int end(void **state)
{
    struct stage *stage = *state;

    if (stage->fd >= 0) {
        (void)close(stage->fd);
    }
    map_unwatch(&stage->watcher);
    listener_stop(stage->listener);
    listener_close_connections(stage->listener, CONN_CLOSE_LOCAL);
    loop_iterate(stage->world->loop, 0);
    assert_int_equal(lobby_service_count(stage->service), 0);
    listener_destroy(&stage->listener);
    lobby_port_destroy(&stage->port);
    lobby_service_destroy(&stage->service);
    bans_destroy(&stage->bans);
    net_destroy(&stage->net);
    config_destroy(&stage->config);
    config_free_values(&net_config, &stage->net_settings);
    config_free_values(&udp_config, &stage->udp);
    config_free_values(&lobby_config, &stage->settings);
    world_destroy(stage->world);
    writer_free(&stage->input);
    free(stage);
    return 0;
}

/* A game server logs in, and sends its infos at once. */
static void come(struct stage *stage)
{
    static const char text[] = "{\"type\":\"login\",\"passwd\":\"secret\",\"port\":4711}\n"
                               "{\"type\":\"infos\",\"description\":\"here\"}\n";
    struct address address;
    struct sockaddr_storage storage;

    assert_true(address_parse(listener_where(stage->listener), &address));
    const socklen_t len = address_to_sockaddr(&address, &storage);
    stage->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(stage->fd, (struct sockaddr *)&storage, len), 0);
    assert_int_equal(fcntl(stage->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(stage->fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
}

static bool holds(struct stage *stage, const char *text)
{
    uint8_t bytes[4096];
    const ssize_t n = read(stage->fd, bytes, sizeof bytes);

    if (n > 0) {
        writer_bytes(&stage->input, (struct bytes){bytes, (size_t)n});
    }
    return stage->input.len > 0 && memmem(stage->input.data, stage->input.len, text, strlen(text));
}

static bool is_listed_as(const struct stage *stage, const char *protocol)
{
    const struct map_entry *entry = map_view_find(stage->watcher.view, bytes_from_string(ID));

    return entry != NULL &&
           bytes_equal(map_entry_field(entry, "protocol"), bytes_from_string(protocol));
}

static void test_a_free_place(void **state)
{
    struct stage *stage = *state;

    come(stage);
    WAIT_UNTIL(stage->world, is_listed_as(stage, "lobby"));
    assert_true(holds(stage, "welcome"));
}

/* The same game server uses the master over UDP and the lobby over TCP: the connection counts. */
static void test_that_of_its_registration_with_the_master(void **state)
{
    struct stage *stage = *state;
    const struct map_field field = {BYTES_LITERAL("p:hostname"), BYTES_LITERAL("\"there\"")};
    const struct registration registration = {.id = BYTES_LITERAL(ID),
                                              .protocol = "q3master",
                                              .address = ID,
                                              .fields = &field,
                                              .field_count = 1,
                                              .ttl = 60000};

    registration_submit(space_of(stage), &registration, NULL, NULL);
    WAIT_UNTIL(stage->world, is_listed_as(stage, "q3master"));
    come(stage);
    WAIT_UNTIL(stage->world, is_listed_as(stage, "lobby"));
    const struct map_entry *entry = map_view_find(stage->watcher.view, bytes_from_string(ID));
    assert_null(map_entry_field(entry, "p:hostname").data);
}

/* Any other owner keeps its entry. */
static void test_not_that_of_something_else(void **state)
{
    struct stage *stage = *state;
    struct client other = {.space = space_of(stage)};
    const struct map_open open = {.id = BYTES_LITERAL(ID)};

    other.session = map_session_create(other.space, "sync", "10.0.0.1:1", &client_sink, &other);
    map_session_open_fields(other.session, &open, client_done, &other);
    WAIT_UNTIL(stage->world, is_listed_as(stage, "sync"));
    come(stage);
    WAIT_UNTIL(stage->world, holds(stage, "\"taken\""));
    assert_true(is_listed_as(stage, "sync"));
    assert_false(other.ended);
    map_session_end(&other.session, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_free_place),
        TEST(test_that_of_its_registration_with_the_master),
        TEST(test_not_that_of_something_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
