/*
 * turntable_invite: the users that a joingame invites. Those that could not be invited are reported
 * together, once all results are there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

/* The invitations of one joingame whose results are not all there. */
struct invite_round {
    struct invite_round *next; /* the session's */
    struct turntable_session *session;
    uint32_t waiting; /* results, and its maker */
    uint32_t failed;
    enum map_result why; /* of the last that failed */
};

struct invite_round *turntable_invite_begin(struct turntable_session *session)
{
    struct invite_round *round = mem_zalloc(1, sizeof *round);
    round->session = session;
    round->waiting = 1;
    round->next = session->invite_rounds;
    session->invite_rounds = round;
    return round;
}

static void free_invite_round(struct invite_round *round)
{
    struct invite_round **at = &round->session->invite_rounds;
    while (*at != round) {
        at = &(*at)->next;
    }
    *at = round->next;
    free(round);
}

void turntable_invite_finish(struct invite_round *round)
{
    struct turntable_session *session = round->session;
    uint32_t failed = round->failed;
    enum map_result why = round->why;
    if (--round->waiting > 0) {
        return;
    }
    free_invite_round(round);
    if (failed > 0) {
        char *what = failed == 1 ? mem_format("a user may not have been invited")
                                 : mem_format("%u users may not have been invited", failed);
        turntable_send_result(session, why, what, "joingame");
        free(what);
    }
}

static void on_invite_sent(void *arg, enum map_result result, uint64_t version)
{
    struct invite_round *round = arg;
    turntable_request_end(round->session, 1);
    if (result != MAP_OK) {
        round->failed++;
        round->why = result;
    }
    turntable_invite_finish(round);
}

/* What is counted together: an IPv4 address, the /64 of an IPv6 one. Others are not counted. */
static struct bytes sender_address(const struct turntable_session *session,
                                   char text[ADDRESS_TEXT_SIZE])
{
    struct address address = *conn_peer(turntable_conn(session));
    if (conn_shares_address(turntable_conn(session))) {
        return BYTES_LITERAL("");
    }
    if (address.family != ADDRESS_IPV4 && address.family != ADDRESS_IPV6) {
        return BYTES_LITERAL("");
    }
    if (address.family == ADDRESS_IPV6) {
        memset(address.ip + 8, 0, sizeof address.ip - 8);
    }
    return bytes_from_string(address_format_ip(&address, text));
}

void turntable_invite_send(struct invite_round *round, struct bytes room, struct bytes user)
{
    struct turntable_session *session = round->session;
    struct writer text = {0};
    char address[ADDRESS_TEXT_SIZE];
    const struct invite_sender sender = {turntable_user(session), sender_address(session, address)};
    turntable_write_invite(&text, room, user, turntable_user(session));
    round->waiting++;
    turntable_request_begin(session, 1);
    invite_user(session->map, &sender, user, writer_bytes_written(&text), on_invite_sent, round);
    writer_free(&text);
}

void turntable_invite_drop_all(struct turntable_session *session)
{
    while (session->invite_rounds) {
        free_invite_round(session->invite_rounds);
    }
}
