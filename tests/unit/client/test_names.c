/* Name resolution, with a resolver that hangs: this program replaces getaddrinfo. */
#include "client/peer.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "client/game_server.h"
#include "client/server_list.h"

/* While set, getaddrinfo does not return for names that begin with "hangs". */
static atomic_bool hangs;
static atomic_uint calls;
static atomic_bool blocked; /* getaddrinfo was called in the loop's thread */
static pthread_t loop_thread;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    atomic_fetch_add(&calls, 1);
    if (pthread_equal(pthread_self(), loop_thread)) {
        atomic_store(&blocked, true);
        return EAI_AGAIN; /* instead of hanging the test */
    }
    while (strncmp(node, "hangs", 5) == 0 && atomic_load(&hangs)) {
        (void)poll(NULL, 0, 1);
    }
    if (strcmp(node, "nowhere") == 0) {
        return EAI_NONAME;
    }
    struct addrinfo *one = mem_zalloc(1, sizeof *one);
    struct sockaddr_in *address = mem_zalloc(1, sizeof *address);

    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->ai_addr = (struct sockaddr *)address;
    one->ai_addrlen = sizeof *address;
    *found = one;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found->ai_addr);
    free(found);
}

/* Other work of the loop: the frames of a game. */
struct frames {
    struct loop_timer *timer;
    unsigned count;
};

static void on_frame(void *arg)
{
    struct frames *frames = arg;

    frames->count++;
    loop_timer_start(frames->timer, 1);
}

static void begin_frames(struct frames *frames, struct loop *loop)
{
    frames->count = 0;
    frames->timer = loop_timer_create(loop, on_frame, frames);
    loop_timer_start(frames->timer, 1);
}

static int setup(void **state)
{
    loop_thread = pthread_self();
    atomic_store(&hangs, true);
    atomic_store(&blocked, false);
    atomic_store(&calls, 0);
    return 0;
}

/* The peer's port under another name. */
static char *target_of(const char *name, const struct peer *peer)
{
    return mem_format("%s%s", name, strchr(peer->target, ':'));
}

static void test_name_resolution_does_not_block_the_loop(void **state)
{
    struct fixture fixture;
    struct frames frames;

    fixture_begin(&fixture, TRACKER_VERSIONED);
    char *target = target_of("hangs-here", &fixture.peer);
    fixture_connect(
        &fixture, (struct tracker_client_options){.target = target, .dialect = TRACKER_VERSIONED});
    begin_frames(&frames, fixture.loop);
    WAIT_UNTIL(&fixture, atomic_load(&calls) == 1 && frames.count >= 20);
    assert_false(atomic_load(&blocked));
    assert_int_equal(fixture.events_seen.len, 0);
    assert_false(tracker_client_is_connected(fixture.client));
    atomic_store(&hangs, false);
    expect_events(&fixture, "connected\n");
    loop_timer_destroy(&frames.timer);
    fixture_end(&fixture);
    free(target);
}

/* connect_timeout_ms includes name resolution. Another attempt waits for the same query. */
static void test_name_resolution_timeout(void **state)
{
    struct fixture fixture;

    fixture_begin(&fixture, TRACKER_VERSIONED);
    char *target = target_of("hangs-on", &fixture.peer);
    fixture_connect(&fixture, (struct tracker_client_options){.target = target,
                                                              .dialect = TRACKER_VERSIONED,
                                                              .reconnect = true,
                                                              .connect_timeout_ms = 20,
                                                              .backoff_ms = 1,
                                                              .backoff_max_ms = 5});
    expect_events(&fixture, "disconnected: resolve: timed out\n"
                            "disconnected: resolve: timed out\n");
    assert_int_equal(atomic_load(&calls), 1);
    atomic_store(&hangs, false);
    WAIT_UNTIL(&fixture, tracker_client_is_connected(fixture.client));
    assert_false(atomic_load(&blocked));
    fixture_end(&fixture);
    free(target);
}

static void test_an_unknown_name(void **state)
{
    struct fixture fixture;

    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture_connect(&fixture, (struct tracker_client_options){.target = "nowhere:1",
                                                              .dialect = TRACKER_VERSIONED});
    expect_events(&fixture, "disconnected: resolve: Name or service not known\n");
    assert_false(atomic_load(&blocked));
    fixture_end(&fixture);
}

/* A client that is stopped or destroyed receives no callback when the query completes. */
static void test_a_client_stopped_during_name_resolution(void **state)
{
    struct fixture fixture;

    fixture_begin(&fixture, TRACKER_VERSIONED);
    char *target = target_of("hangs-too", &fixture.peer);
    for (unsigned i = 0; i < 2; i++) {
        fixture_connect(&fixture, (struct tracker_client_options){.target = target,
                                                                  .dialect = TRACKER_VERSIONED});
        WAIT_UNTIL(&fixture, atomic_load(&calls) == 1);
        if (i == 0) {
            tracker_client_stop(fixture.client);
        }
        tracker_client_destroy(&fixture.client);
    }
    atomic_store(&hangs, false);
    for (unsigned i = 0; i < 20; i++) {
        loop_iterate(fixture.loop, 1);
    }
    assert_int_equal(fixture.events_seen.len, 0);
    assert_int_equal(fixture.peer.accepted, 0);
    fixture_end(&fixture);
    free(target);
}

/* game_server and server_list: neither blocks the loop, or the other. */
static void test_name_resolution_of_the_lobby_clients(void **state)
{
    static const struct game_server_events server_events = {0};
    static const struct server_list_events list_events = {0};
    const struct game_server_options game = {
        .link.target = "hangs-lobby:1", .password = "x", .port = 1};
    struct loop *loop = loop_create();
    struct patience patience = patience_begin();
    struct frames frames;
    char *error = NULL;
    struct game_server *server = game_server_create(loop, &game, &server_events, NULL, &error);
    struct server_list *servers = server_list_create(loop, &game.link, &list_events, NULL, &error);

    assert_non_null(server);
    assert_non_null(servers);
    game_server_start(server);
    server_list_start(servers);
    begin_frames(&frames, loop);
    while (frames.count < 20 || atomic_load(&calls) < 1) {
        assert_false(patience_is_over(&patience));
        loop_iterate(loop, 10);
    }
    assert_false(atomic_load(&blocked));
    assert_int_equal(atomic_load(&calls), 1);
    game_server_destroy(&server);
    server_list_destroy(&servers);
    atomic_store(&hangs, false);
    loop_timer_destroy(&frames.timer);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_name_resolution_does_not_block_the_loop, setup),
        cmocka_unit_test_setup(test_name_resolution_timeout, setup),
        cmocka_unit_test_setup(test_an_unknown_name, setup),
        cmocka_unit_test_setup(test_a_client_stopped_during_name_resolution, setup),
        cmocka_unit_test_setup(test_name_resolution_of_the_lobby_clients, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
