/*
 * player: the live list of game servers with their round-trip times, with the client library.
 *
 *   cc player.c -o player $(pkg-config --cflags --static --libs tracker)
 *   ./player 127.0.0.1:23470
 *
 * Prints a line for each server that is added, updated or removed. It uses the library's loop only.
 */
#include <stdio.h>
#include <stdlib.h>

#include <signal.h>

#include <client/pinger.h>
#include <client/server_list.h>

struct player {
    struct loop *loop;
    struct server_list *list;
    struct pinger *pinger;
};

static void print_text(const char *name, struct bytes text)
{
    if (text.data)
        printf(" %s=%.*s", name, (int)text.len, (const char *)text.data);
}

static void on_changed(void *arg, enum server_list_change change, const struct lobby_server *server)
{
    static const char *const words[] = {"up", "changed", "down"};
    struct player *player = arg;
    char where[ADDRESS_TEXT_SIZE];
    struct address address;
    printf("%s %.*s", words[change], (int)server->id.len, (const char *)server->id.data);
    print_text("description", server->infos.description);
    print_text("version", server->infos.version);
    if (server->infos.has_players)
        printf(" players=%u", (unsigned)server->infos.players);
    printf(server->state == LOBBY_SUSPECT ? " suspect\n" : "\n");
    fflush(stdout);
    /* The round-trip time from here, which the tracker cannot know. */
    snprintf(where, sizeof where, "%.*s", (int)server->id.len, (const char *)server->id.data);
    if (change == SERVER_LIST_ADDED && address_parse(where, &address))
        pinger_ping(player->pinger, &address, PINGER_GETINFO);
}

static void on_list_completed(void *arg)
{
    struct player *player = arg;
    printf("whole %zu\n", server_list_count(player->list));
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

static const struct server_list_events list_events = {.changed = on_changed,
                                                      .completed = on_list_completed,
                                                      .refused = on_refused,
                                                      .disconnected = on_disconnected};

static void on_answered(void *arg, const struct address *server, uint32_t microseconds,
                        struct bytes infostring)
{
    char text[ADDRESS_TEXT_SIZE];
    printf("ping %s %u us\n", address_format(server, text), (unsigned)microseconds);
    fflush(stdout);
}

static void on_ping_timed_out(void *arg, const struct address *server)
{
    char text[ADDRESS_TEXT_SIZE];
    printf("ping %s -\n", address_format(server, text));
    fflush(stdout);
}

static const struct pinger_events pinger_events = {.answered = on_answered,
                                                   .timed_out = on_ping_timed_out};

static void on_signal(void *arg)
{
    loop_stop(arg);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: player HOST:PORT\n");
        return 2;
    }
    struct player player = {.loop = loop_create()};
    const struct lobby_options options = {.target = argv[1]};
    char *error = NULL;
    signal(SIGPIPE, SIG_IGN);
    player.pinger = pinger_create(player.loop, NULL, &pinger_events, &player);
    player.list = server_list_create(player.loop, &options, &list_events, &player, &error);
    if (!player.list) {
        fprintf(stderr, "%s\n", error);
        return 2;
    }
    struct loop_signal *interrupt = loop_signal_create(player.loop, SIGINT, on_signal, player.loop);
    struct loop_signal *terminate =
        loop_signal_create(player.loop, SIGTERM, on_signal, player.loop);
    server_list_start(player.list);
    loop_run(player.loop);
    loop_signal_destroy(&interrupt);
    loop_signal_destroy(&terminate);
    server_list_destroy(&player.list);
    pinger_destroy(&player.pinger);
    loop_destroy(&player.loop);
    return 0;
}
