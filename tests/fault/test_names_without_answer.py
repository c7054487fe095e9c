"""A nameserver that does not answer: the resolver of the C library waits for it for ten seconds or so. Programs
with the client library go on meanwhile, and trackerctl keeps to its --timeout.
"""
import os
import time

from harness.waiting import check_in_time, stolen

# In seconds: far from that, and from what a busy machine takes.
AT_ONCE = 3

GAME = """
#include <client/game_server.h>
#include <client/tracker_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ull + time.tv_nsec / 1000000;
}

/* The frames of a game: one every 10 ms, and the longest pause between two. */
static struct loop_timer *timer;
static unsigned long long last, longest;

static void note_pause(void)
{
    unsigned long long passed = now() - last;

    longest = passed > longest ? passed : longest;
    last += passed;
}

static void frame(void *arg)
{
    note_pause();
    loop_timer_start(timer, 10);
}

static int left = 2; /* of the attempts that have to fail */

static void lost(void *arg, const char *reason)
{
    printf("%s: %s\\n", (const char *)arg, reason);
    left--;
}

int main(int argc, char **argv)
{
    static const struct tracker_client_events client_events = {.disconnected = lost};
    static const struct game_server_events server_events = {.disconnected = lost};
    const struct tracker_client_options options = {
        .target = argv[1], .dialect = TRACKER_VERSIONED, .connect_timeout_ms = 1000};
    const struct game_server_options game = {
        .link = {.target = argv[1], .connect_timeout_ms = 1000}, .password = "x", .port = 1};
    struct loop *loop = loop_create();
    char *error = NULL;
    struct tracker_client *client =
        tracker_client_create(loop, &options, &client_events, "client", &error);
    struct game_server *server =
        game_server_create(loop, &game, &server_events, "server", &error);

    if (!client || !server)
        return 1;
    last = now();
    timer = loop_timer_create(loop, frame, NULL);
    loop_timer_start(timer, 10);
    tracker_client_start(client);
    game_server_start(server);
    while (left > 0)
        loop_iterate(loop, 100);
    note_pause();
    printf("longest %llu\\n", longest);
    tracker_client_destroy(&client);
    game_server_destroy(&server);
    loop_timer_destroy(&timer);
    loop_destroy(&loop);
    return 0;
}
"""


def without_answer(t):
    """A host whose names are asked of another one, whose packets are dropped."""
    network = t.network()
    here, nameserver = network.host("here"), network.host("nameserver")
    network.nameserver(nameserver.address)
    network.drop(nameserver)
    return here


def compile_game(t):
    root, directory = t.directory("root"), t.directory("game")
    t.run(t.path("docker/install-files"), root, "/usr", t.build, "1.0")
    environment = {"PKG_CONFIG_PATH": f"{root}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": root}
    words = t.run("pkg-config", "--cflags", "--static", "--libs", "tracker", environment=environment).stdout.split()
    source, program = os.path.join(directory, "game.c"), os.path.join(directory, "game")
    with open(source, "w", encoding="ascii") as file:
        file.write(GAME)
    sanitize = ["-fsanitize=address,undefined"] if t.sanitized else []
    t.run("gcc", "-Wall", "-Wno-unused-parameter", "-Werror", *sanitize, source, "-o", program, *words, timeout=60)
    return program


def test_the_frames_of_a_game_continue(t):
    program = compile_game(t)
    here = without_answer(t)

    def attempt():
        since = time.monotonic()
        with here:
            output = t.run(program, "tracker.test:6789", timeout=60).stdout
        *reasons, longest = output.splitlines()
        assert sorted(reasons) == ["client: resolve: timed out", "server: resolve: timed out"], output
        longest = int(longest.split()[1]) / 1000
        return {"the longest frame": (longest - stolen(since), -float("inf"), AT_ONCE)}
    check_in_time(attempt)


def test_trackerctl_keeps_to_its_timeout(t):
    here = without_answer(t)

    def attempt():
        times = {}
        for target in ("http://tracker.test:8080", "tracker.test:7002"):
            since = time.monotonic()
            with here:
                result = t.run("trackerctl", "--timeout", "1s", "--connect", target, "--json", "servers", check=False,
                               timeout=60)
            assert result.returncode == 3 and target in result.stderr and not result.stdout, result
            times[target] = (time.monotonic() - since - stolen(since), -float("inf"), AT_ONCE)
        return times
    check_in_time(attempt)
