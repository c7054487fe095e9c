/*
 * ws_clients: the roles that listen to a WebSocket service and that speak there, by a schedule.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "ws_client.h"

struct speaking {
    struct worker *worker;
    struct ws_clients *clients;
    struct pacer *pacer;
    uint8_t *scratch;
    uint32_t next; /* who is to speak next */
};

static void speak_next(void *arg, uint64_t intended_us)
{
    struct speaking *speaking = arg;
    struct worker *worker = speaking->worker;
    struct ws_client *client =
        ws_clients_at(speaking->clients, speaking->next++ % worker->part.connections);
    struct bytes text = service_text(worker, speaking->scratch, intended_us, clock_monotonic_us());
    if (!peer_is_settled(&client->peer)) {
        worker->results->missed += worker_in_window(worker, intended_us);
        return;
    }
    worker->results->sent += worker_in_window(worker, intended_us);
    worker->part.service->publish(ws_client_output(client), &client->service_client, text);
    client->service_client.said++;
    ws_client_flush(client);
}

static void on_speaking_ended(void *arg)
{
    struct speaking *speaking = arg;
    worker_done(speaking->worker);
}

static void on_service_message(struct ws_client *client, struct bytes message, uint64_t now_us)
{
    struct speaking *speaking = ws_clients_arg(ws_client_owner(client));
    service_record_delivery(speaking->worker, message, now_us);
}

static void on_clients_ready(void *arg)
{
    struct speaking *speaking = arg;
    worker_done(speaking->worker);
}

static struct speaking *create_clients(struct worker *worker, bool speak)
{
    static const struct ws_client_handler handler = {.received = on_service_message,
                                                     .ready = on_clients_ready};
    struct speaking *speaking = mem_zalloc(1, sizeof *speaking);
    speaking->worker = worker;
    speaking->clients = ws_clients_create(worker, worker->part.service, speak,
                                          sizeof(struct ws_client), &handler, speaking);
    return speaking;
}

static void *create_listeners(struct worker *worker)
{
    return create_clients(worker, false);
}

static void *create_speakers(struct worker *worker)
{
    struct speaking *speaking = create_clients(worker, true);
    speaking->scratch = mem_alloc(worker->part.state_size);
    speaking->pacer = pacer_create(worker->loop, speak_next, on_speaking_ended, speaking);
    return speaking;
}

static void run_clients_step(void *self, enum step step)
{
    struct speaking *speaking = self;
    const struct span *span = &speaking->worker->span;
    if (step == STEP_OPEN) {
        ws_clients_start(speaking->clients);
    } else if (step == STEP_RUN && speaking->pacer) {
        pacer_start(speaking->pacer, speaking->worker->part.rate, span->begin_us, span->end_us);
    } else {
        worker_done(speaking->worker);
    }
}

const struct role listeners_role = {"listeners", create_listeners, run_clients_step};
const struct role speakers_role = {"speakers", create_speakers, run_clients_step};
