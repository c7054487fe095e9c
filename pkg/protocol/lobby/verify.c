/*
 * lobby_verify: the number that proves a game server's address and port.
 *
 * It is sent by UDP to the address and port under which the server would be listed, up to
 * lobby.verify_tries times, and never over TCP; the server returns it on its connection. Datagrams
 * to the sending socket are ignored.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/verify.h"
#include "metrics/metrics.h"
#include "net/udp/udp.h"
#include "protocol/lobby/lobby_private.h"

#define DATAGRAM_MAX 64 /* of received ones, which are dropped */

struct verifier {
    struct udp *udp;
};

static void on_verify_packet(void *arg, const struct udp_path *path, struct bytes bytes)
{
}

/* NULL when it cannot be created, which is logged. */
static struct verifier *verifier_of(struct lobby_service *service)
{
    struct verifier *verifier = service->verifier;
    char *error = NULL;

    if (verifier) {
        return verifier;
    }
    verifier = mem_zalloc(1, sizeof *verifier);
    verifier->udp = udp_create(service->common.loop, service->settings->verify_from, service->udp,
                               DATAGRAM_MAX, on_verify_packet, verifier, &error);
    if (!verifier->udp) {
        log_limited(LOG_ERROR, &service->refused_limit, "lobby_verify_unavailable",
                    LOG_STRING("err", error));
        free(error);
        free(verifier);
        return NULL;
    }
    service->verifier = verifier;
    return verifier;
}

void lobby_verifier_destroy(struct verifier **pointer)
{
    struct verifier *verifier = *pointer;

    *pointer = NULL;
    if (!verifier) {
        return;
    }
    udp_destroy(&verifier->udp);
    free(verifier);
}

static uint64_t make_number(void)
{
    uint64_t number;

    random_bytes(&number, sizeof number);
    return VERIFY_MIN + number % (VERIFY_MAX - VERIFY_MIN + 1);
}

static void send_number(struct game *game)
{
    const struct udp_path path = {.peer = game->address};
    struct writer datagram = {0};

    verify_write(&datagram, game->number);
    udp_send(game->session->port->service->verifier->udp, &path, writer_bytes_written(&datagram));
    writer_free(&datagram);
    game->tries++;
    metrics_add(METRIC_LOBBY_VERIFY_SENT, 1);
}

static void on_verify_timer(void *arg)
{
    struct game *game = arg;
    const struct lobby_settings *settings = lobby_settings_of(game->session);

    if (game->tries >= settings->verify_tries) {
        metrics_add(METRIC_LOBBY_UNVERIFIED, 1);
        lobby_end_with(game->session, LOBBY_CODE_UNVERIFIED,
                       "the number sent to your port by UDP did not come back");
        return;
    }
    send_number(game);
    loop_timer_start(game->verify_timer, (uint64_t)settings->verify_interval);
}

void lobby_verify_begin(struct game *game)
{
    struct lobby_service *service = game->session->port->service;

    if (!verifier_of(service)) {
        lobby_end_with(game->session, LOBBY_CODE_UNAVAILABLE,
                       "this front-end cannot send datagrams");
        return;
    }
    game->number = make_number();
    game->verify_timer = loop_timer_create(service->common.loop, on_verify_timer, game);
    send_number(game);
    loop_timer_start(game->verify_timer,
                     (uint64_t)lobby_settings_of(game->session)->verify_interval);
}

void lobby_verify_end(struct game *game)
{
    if (game->verify_timer) {
        loop_timer_destroy(&game->verify_timer);
    }
}

/* It may be returned as often as it was sent. */
void lobby_verify_check(struct game *game, uint64_t number)
{
    metrics_add(METRIC_LOBBY_VERIFY, 1);
    if (game->number == 0 || number != game->number) {
        metrics_add(METRIC_LOBBY_BAD_NUMBER, 1);
        lobby_refuse(game->session, LOBBY_CODE_BAD_NUMBER, "not the number that was sent");
        return;
    }
    if (game->verified) {
        return;
    }
    metrics_add(METRIC_LOBBY_VERIFIED, 1);
    lobby_verify_end(game);
    lobby_game_verified(game);
}
