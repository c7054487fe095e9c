/*
 * sync_refused: errors that name the properties that were refused. A client that causes them with
 * each packet gets one error per interval, which names all since the last.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/sync/sync_private.h"

#define INTERVAL_MS 1000

/* Exists while the interval after an error runs. */
struct sync_refused {
    struct sync_session *session;
    struct loop_timer *timer;
    struct writer message; /* not sent yet */
    size_t more;           /* that it has no room for */
    enum sync_code code;   /* of the first */
};

static void note_refusals(struct sync_refused *refused, const struct sync_packet *packet)
{
    if (refused->message.len == 0) {
        refused->code = packet->refused[0].code;
    }
    refused->more += sync_write_refusals(&refused->message, packet);
}

static void send_refusals(struct sync_refused *refused)
{
    if (refused->more > 0) {
        writer_format(&refused->message, "; and %zu more", refused->more);
    }
    writer_u8(&refused->message, 0);
    sync_packet_fail(refused->session, refused->code, (const char *)refused->message.data);
    writer_reset(&refused->message);
    refused->more = 0;
    loop_timer_start(refused->timer, INTERVAL_MS);
}

static void on_interval_end(void *arg)
{
    struct sync_refused *refused = arg;

    if (refused->message.len > 0) {
        send_refusals(refused);
    } else {
        sync_refused_destroy(&refused->session->refused);
    }
}

void sync_refused_add(struct sync_session *session, const struct sync_packet *packet)
{
    struct sync_refused *refused = session->refused;

    if (refused) {
        note_refusals(refused, packet);
        return;
    }
    refused = session->refused = mem_zalloc(1, sizeof *refused);
    refused->session = session;
    refused->timer =
        loop_timer_create(session->port->service->common.loop, on_interval_end, refused);
    note_refusals(refused, packet);
    send_refusals(refused);
}

void sync_refused_destroy(struct sync_refused **pointer)
{
    struct sync_refused *refused = *pointer;

    *pointer = NULL;
    if (!refused) {
        return;
    }
    loop_timer_destroy(&refused->timer);
    writer_free(&refused->message);
    free(refused);
}
