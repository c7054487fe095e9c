/*
 * game_server: a game server that keeps itself listed in the lobby, with the client library.
 *
 *   cc game_server.c -o game_server $(pkg-config --cflags --static --libs tracker)
 *   ./game_server 127.0.0.1:23471 PASSWORD [PORT]
 *
 * The game is a door: a datagram "join" to its port adds a player, "leave" removes one. It has its
 * own loop, poll, in which the library's loop is one descriptor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <client/game_server.h>

static unsigned players;

/* Sets the infos that players see; values are JSON. */
static void update_infos(struct game_server *server)
{
    char count[16];
    snprintf(count, sizeof count, "%u", players);
    const struct lobby_property infos[] = {
        {BYTES_LITERAL("description"), BYTES_LITERAL("\"A door\"")},
        {BYTES_LITERAL("version"), BYTES_LITERAL("\"1.0\"")},
        {BYTES_LITERAL("players"), bytes_from_string(count)},
        {BYTES_LITERAL("max_players"), BYTES_LITERAL("8")},
    };
    if (!game_server_set_infos(server, infos, sizeof infos / sizeof *infos))
        fprintf(stderr, "the infos are too long\n");
}

static void on_logged_in(void *arg, struct bytes id, bool verify)
{
    printf("logged in as %.*s\n", (int)id.len, (const char *)id.data);
    fflush(stdout);
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    fprintf(stderr, "refused: %.*s\n", (int)reason.len, (const char *)reason.data);
}

static void on_disconnected(void *arg, const char *reason)
{
    fprintf(stderr, "disconnected: %s; trying again\n", reason);
}

static const struct game_server_events events = {
    .logged_in = on_logged_in, .refused = on_refused, .disconnected = on_disconnected};

/* Binds the game's port; sets *port when it is 0. */
static int open_game(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("the game's port");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static void on_datagram(struct game_server *server, int game)
{
    uint8_t data[2048];
    ssize_t len = recv(game, data, sizeof data, 0);
    struct bytes datagram = {data, len > 0 ? (size_t)len : 0};
    /* The tracker's datagram that verifies our address belongs to the library. */
    if (game_server_handle_datagram(server, datagram))
        return;
    if (bytes_equal(datagram, BYTES_LITERAL("join")))
        players++;
    else if (bytes_equal(datagram, BYTES_LITERAL("leave")) && players > 0)
        players--;
    update_infos(server);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = 1;
}

static void play(struct loop *loop, struct game_server *server, int game, int library)
{
    struct pollfd wanted[] = {{.fd = game, .events = POLLIN}, {.fd = library, .events = POLLIN}};
    while (!stopped) {
        if (poll(wanted, 2, -1) < 0)
            continue; /* a signal */
        if (wanted[0].revents)
            on_datagram(server, game);
        /* Also after each call of the library, which may have output to write. */
        loop_iterate(loop, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: game_server HOST:PORT PASSWORD [PORT]\n");
        return 2;
    }
    uint16_t port = argc > 3 ? (uint16_t)atoi(argv[3]) : 0;
    int game = open_game(&port);
    struct loop *loop = loop_create();
    int library = loop_fd(loop); /* before the library uses the loop */
    const struct game_server_options options = {
        .link = {.target = argv[1]}, .password = argv[2], .port = port};
    char *error = NULL;
    struct game_server *server = game_server_create(loop, &options, &events, NULL, &error);
    if (!server) {
        fprintf(stderr, "%s\n", error);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    update_infos(server);
    game_server_start(server);
    loop_iterate(loop, 0);
    play(loop, server, game, library);
    game_server_destroy(&server);
    loop_destroy(&loop);
    close(game);
    return 0;
}
