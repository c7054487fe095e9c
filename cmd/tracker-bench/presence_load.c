/*
 * presence_load: users of turntable on a ring, each of whom watches the following ones, and who
 * change between busy and online on a schedule. All are connections of one process, so that it
 * knows when a change that it receives was sent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "ws.h"
#include "ws_client.h"

#define CHANGED "\"command\":\"userchange\""

/* A user's last change. */
struct status_change {
    uint64_t intended_us;
    uint64_t actual_us;
    bool busy;
};

struct presence_load {
    struct worker *worker;
    struct ws_clients *clients;
    struct pacer *pacer;
    struct status_change *changes;
    uint32_t next;
};

static bool message_has(struct bytes message, const char *word)
{
    return message.len > 0 && memmem(message.data, message.len, word, strlen(word));
}

static void write_idme(struct writer *to, const struct service_client *service_client)
{
    struct writer id = {0};
    service_write_user(&id, service_client);
    service_write_text(to, "{\"command\":\"idme\",\"data\":\"%.*s\"}", (int)id.len,
                       (const char *)id.data);
    writer_free(&id);
}

static void write_subscribe(struct writer *to, const struct service_client *service_client)
{
    const struct worker_part *part = &service_client->worker->part;
    struct writer text = {0};
    struct service_client other = *service_client;
    writer_string(&text, "{\"command\":\"subscribe\",\"data\":[");
    for (uint32_t i = 1; i <= part->each; i++) {
        other.number = (service_client->number + i) % part->connections;
        writer_string(&text, i > 1 ? ",\"" : "\"");
        service_write_user(&text, &other);
        writer_string(&text, "\"");
    }
    writer_string(&text, "]}");
    ws_write_masked(to, WS_TEXT, writer_bytes_written(&text));
    writer_free(&text);
}

/* Takes part once it has received the statuses of all friends. */
static enum service_verdict check_joined_user(struct writer *to,
                                              const struct service_client *service_client,
                                              struct bytes message)
{
    if (message_has(message, "\"command\":\"error\"")) {
        return SERVICE_REFUSES;
    }
    if (message_has(message, "\"command\":\"idyou\"")) {
        write_idme(to, service_client);
        write_subscribe(to, service_client);
    }
    return message.len == 0 || message_has(message, CHANGED) ? SERVICE_TAKES_PART : SERVICE_WAITS;
}

static const struct service service = {.name = "friends",
                                       .path = "/turntable",
                                       .speak_path = "/turntable",
                                       .protocol = "turntable",
                                       .check_joined = check_joined_user};

/* "…-NUMBER":"STATUS" — statuses from before the change, and duplicates, do not count. */
static void take_status_change(struct presence_load *load, const char *number, uint64_t now_us)
{
    char *end;
    unsigned long user = strtoul(number, &end, 10);
    const struct status_change *change;
    if (strncmp(end, "\":\"", 3) != 0 || user >= load->worker->part.connections) {
        return;
    }
    change = &load->changes[user];
    if (change->intended_us != 0 && change->busy == (end[3] == 'b')) {
        bench_delivered_at(load->worker, change->intended_us, change->actual_us, now_us);
    }
}

static void on_status_message(struct ws_client *client, struct bytes message, uint64_t now_us)
{
    struct presence_load *load = ws_clients_arg(ws_client_owner(client));
    char text[WS_CLIENT_KEPT + 1];
    if (load->worker->span.begin_us == 0 || !message_has(message, CHANGED)) {
        return;
    }
    memcpy(text, message.data, message.len);
    text[message.len] = '\0';
    for (const char *at = text; (at = strstr(at, "s-")); at += 2) {
        take_status_change(load, at + 2, now_us);
    }
}

static void write_status(struct ws_client *client, const struct status_change *change)
{
    service_write_text(ws_client_output(client), "{\"command\":\"status\",\"data\":\"%s\"}",
                       change->busy ? "busy" : "online");
    ws_client_flush(client);
}

static void change_next_status(void *arg, uint64_t intended_us)
{
    struct presence_load *load = arg;
    struct worker *worker = load->worker;
    uint32_t user = load->next++ % worker->part.connections;
    struct ws_client *client = ws_clients_at(load->clients, user);
    struct status_change *change = &load->changes[user];
    if (!peer_is_settled(&client->peer)) {
        worker->results->missed += worker_in_window(worker, intended_us);
        return;
    }
    *change = (struct status_change){intended_us, clock_monotonic_us(), !change->busy};
    worker->results->sent += worker_in_window(worker, intended_us);
    write_status(client, change);
}

/* Sends the same status again, which is not measured. */
static void resend_status(struct ws_client *client)
{
    struct presence_load *load = ws_clients_arg(ws_client_owner(client));
    struct status_change *change = &load->changes[client->service_client.number];
    change->intended_us = 0;
    write_status(client, change);
}

static void on_changes_ended(void *arg)
{
    struct presence_load *load = arg;
    worker_done(load->worker);
}

static void *create_presence_load(struct worker *worker)
{
    static const struct ws_client_handler handler = {on_status_message, on_changes_ended,
                                                     resend_status};
    struct presence_load *load = mem_zalloc(1, sizeof *load);
    load->worker = worker;
    load->changes = mem_zalloc(worker->part.connections, sizeof *load->changes);
    load->clients =
        ws_clients_create(worker, &service, true, sizeof(struct ws_client), &handler, load);
    load->pacer = pacer_create(worker->loop, change_next_status, on_changes_ended, load);
    return load;
}

static void run_presence_step(void *self, enum step step)
{
    struct presence_load *load = self;
    const struct span *span = &load->worker->span;
    if (step == STEP_OPEN) {
        ws_clients_start(load->clients);
    } else if (step == STEP_RUN) {
        pacer_start(load->pacer, load->worker->part.rate, span->begin_us, span->end_us);
    } else {
        worker_done(load->worker);
    }
}

const struct role presence_role = {"friends", create_presence_load, run_presence_step};
