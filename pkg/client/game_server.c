/* game_server: the game server's side of the lobby protocol. */
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
    struct loop_timer *pause; /* runs for infos_interval_ms after infos were sent */
    struct writer infos;      /* the newest infos line, with its newline */
    bool infos_unsent;        /* `infos` has not been sent on this connection */
    uint64_t verify_number;   /* arrived by UDP before the welcome by TCP; 0: none */
};

static void send_infos(struct game_server *server)
{
    if (!server->link.logged_in || !server->infos_unsent || server->infos.len == 0 ||
        loop_timer_is_running(server->pause)) {
        return;
    }
    server->infos_unsent = false;
    writer_bytes(&server->link.wire.out, writer_bytes_written(&server->infos));
    lobby_link_send(&server->link);
    loop_timer_start(server->pause, server->infos_interval_ms);
}

static void on_infos_pause_over(void *arg)
{
    send_infos(arg);
}

static void on_up(void *arg)
{
    struct game_server *server = arg;
    struct bytes name = server->name ? bytes_from_string(server->name) : (struct bytes){0};
    server->verify_number = 0;
    lobby_write_server_login(&server->link.wire.out, bytes_from_string(server->password), name,
                             server->port);
    lobby_link_send(&server->link);
}

static void on_logged_in(struct game_server *server, const struct lobby_message *message)
{
    lobby_link_accept_login(&server->link);
    loop_timer_stop(server->pause);
    server->infos_unsent = true;
    send_infos(server);
    if (server->verify_number) {
        lobby_write_verify(&server->link.wire.out, server->verify_number);
        lobby_link_send(&server->link);
    }
    server->verify_number = 0;
    if (server->events->logged_in) {
        server->events->logged_in(server->arg, message->id, message->verify);
    }
}

static void on_message(void *arg, const struct lobby_message *message)
{
    struct game_server *server = arg;
    if (message->type == LOBBY_WELCOME) {
        on_logged_in(server, message);
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
    if (server->events->disconnected) {
        server->events->disconnected(server->arg, reason);
    }
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

/* NULL, or an error message. */
static char *check_game_server_options(const struct game_server_options *options)
{
    struct writer login = {.limit = LOBBY_LINE_MAX};
    const char *password = options->password ? options->password : "";
    struct bytes name = options->name ? bytes_from_string(options->name) : (struct bytes){0};
    lobby_write_server_login(&login, bytes_from_string(password), name, options->port);
    bool fits = !login.failed;
    writer_free(&login);
    if (!fits) {
        return mem_strdup("password or password name is not UTF-8, or too long");
    }
    return options->port ? NULL : mem_strdup("the game's port is not set");
}

struct game_server *game_server_create(struct loop *loop, const struct game_server_options *options,
                                       const struct game_server_events *events, void *arg,
                                       char **error)
{
    *error = check_game_server_options(options);
    if (*error) {
        return NULL;
    }
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
    if (!server) {
        return;
    }
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

bool game_server_is_logged_in(const struct game_server *server)
{
    return server->link.logged_in;
}

bool game_server_set_infos(struct game_server *server, const struct lobby_property *properties,
                           size_t count)
{
    struct writer line = {.limit = LOBBY_LINE_MAX + 1};
    for (size_t i = 0; i < count; i++) {
        line.failed |= lobby_is_reserved(properties[i].name);
    }
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
    server->infos_unsent = true;
    send_infos(server);
    return true;
}

bool game_server_handle_datagram(struct game_server *server, struct bytes datagram)
{
    uint64_t number;
    if (!verify_read(datagram, &number)) {
        return false;
    }
    if (server->link.logged_in) {
        lobby_write_verify(&server->link.wire.out, number);
        lobby_link_send(&server->link);
    } else if (lobby_link_is_up(&server->link)) {
        server->verify_number = number;
    }
    return true;
}
