/* game_server: the lobby's protocol from the game server's side. */
#include "client/game_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "client/lobby_link_private.h"
#include "codec/verify.h"

#define DEFAULT_INFOS_INTERVAL_MS 100

struct game_server {
    struct lobby_link link;
    const struct game_server_events *events;
    void *arg;
    char *password;
    char *name;
    uint16_t port;
    uint32_t infos_interval_ms;
    struct loop_timer *pause; /* runs while infos were said a moment ago */
    struct writer infos;      /* the line that is wanted, with its end */
    bool unsaid;              /* it has not been said on this connection */
    uint64_t number;          /* came by UDP before the welcome by TCP; 0: none */
};

static void say_infos(struct game_server *server)
{
    if (!server->link.greeted || !server->unsaid || server->infos.len == 0 ||
        loop_timer_is_running(server->pause))
        return;
    server->unsaid = false;
    writer_bytes(&server->link.wire.out, writer_bytes_written(&server->infos));
    lobby_link_send(&server->link);
    loop_timer_start(server->pause, server->infos_interval_ms);
}

static void on_infos_pause_over(void *arg)
{
    say_infos(arg);
}

static void on_up(void *arg)
{
    struct game_server *server = arg;
    struct bytes name = server->name ? bytes_from_string(server->name) : (struct bytes){0};
    server->number = 0;
    lobby_write_server_login(&server->link.wire.out, bytes_from_string(server->password), name,
                             server->port);
    lobby_link_send(&server->link);
}

static void on_welcome(struct game_server *server, const struct lobby_message *message)
{
    lobby_link_greeted(&server->link);
    loop_timer_stop(server->pause);
    server->unsaid = true;
    say_infos(server);
    if (server->number) {
        lobby_write_verify(&server->link.wire.out, server->number);
        lobby_link_send(&server->link);
    }
    server->number = 0;
    if (server->events->welcome)
        server->events->welcome(server->arg, message->id, message->verify);
}

static void on_message(void *arg, const struct lobby_message *message)
{
    struct game_server *server = arg;
    if (message->type == LOBBY_WELCOME) {
        on_welcome(server, message);
    } else if (message->type == LOBBY_PING) {
        lobby_write_pong(&server->link.wire.out, message->number);
        lobby_link_send(&server->link);
    } else if (message->type == LOBBY_ERROR && server->events->refused) {
        server->events->refused(server->arg, lobby_code_parse(message->code), message->reason);
    }
}

static void on_game_server_down(void *arg, const char *reason)
{
    struct game_server *server = arg;
    loop_timer_stop(server->pause);
    if (server->events->disconnected)
        server->events->disconnected(server->arg, reason);
}

static void on_release(void *arg)
{
    struct game_server *server = arg;
    writer_free(&server->infos);
    free(server->password);
    free(server->name);
    free(server);
}

static const struct lobby_link_events link_events = {
    .up = on_up, .message = on_message, .down = on_game_server_down, .release = on_release};

/* NULL, or what is wrong. */
static char *check_game_server_options(const struct game_server_options *options)
{
    struct writer login = {.limit = LOBBY_LINE_MAX};
    const char *password = options->password ? options->password : "";
    struct bytes name = options->name ? bytes_from_string(options->name) : (struct bytes){0};
    lobby_write_server_login(&login, bytes_from_string(password), name, options->port);
    bool fits = !login.failed;
    writer_free(&login);
    if (!fits)
        return mem_strdup("the password or its name is no text, or too long");
    return options->port ? NULL : mem_strdup("the game's port is missing");
}

struct game_server *game_server_create(struct loop *loop, const struct game_server_options *options,
                                       const struct game_server_events *events, void *arg,
                                       char **error)
{
    *error = check_game_server_options(options);
    if (*error)
        return NULL;
    struct game_server *server = mem_zalloc(1, sizeof *server);
    *error = lobby_link_init(&server->link, loop, &options->link, true, &link_events, server);
    if (*error) {
        free(server);
        return NULL;
    }
    server->events = events;
    server->arg = arg;
    server->password = mem_strdup(options->password ? options->password : "");
    server->name = options->name ? mem_strdup(options->name) : NULL;
    server->port = options->port;
    server->infos_interval_ms =
        options->infos_interval_ms ? options->infos_interval_ms : DEFAULT_INFOS_INTERVAL_MS;
    server->pause = loop_timer_create(loop, on_infos_pause_over, server);
    return server;
}

void game_server_destroy(struct game_server **pointer)
{
    struct game_server *server = *pointer;
    *pointer = NULL;
    if (!server)
        return;
    loop_timer_destroy(&server->pause);
    lobby_link_end(&server->link);
}

void game_server_start(struct game_server *server)
{
    lobby_link_start(&server->link);
}

void game_server_stop(struct game_server *server)
{
    loop_timer_stop(server->pause);
    lobby_link_stop(&server->link);
}

bool game_server_is_welcome(const struct game_server *server)
{
    return server->link.greeted;
}

bool game_server_set(struct game_server *server, const struct lobby_property *properties,
                     size_t count)
{
    struct writer line = {.limit = LOBBY_LINE_MAX + 1};
    for (size_t i = 0; i < count; i++)
        line.failed |= lobby_is_reserved(properties[i].name);
    lobby_write_infos(&line, properties, count);
    if (line.failed) {
        writer_free(&line);
        return false;
    }
    if (bytes_equal(writer_bytes_written(&line), writer_bytes_written(&server->infos))) {
        writer_free(&line);
        return true;
    }
    writer_free(&server->infos);
    server->infos = line;
    server->unsaid = true;
    say_infos(server);
    return true;
}

bool game_server_datagram(struct game_server *server, struct bytes datagram)
{
    uint64_t number;
    if (!verify_read(datagram, &number))
        return false;
    if (server->link.greeted) {
        lobby_write_verify(&server->link.wire.out, number);
        lobby_link_send(&server->link);
    } else if (lobby_link_is_up(&server->link)) {
        server->number = number;
    }
    return true;
}
