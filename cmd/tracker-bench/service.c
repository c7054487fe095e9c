/* service: a table of them, and the few messages that each needs. */
#include "service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/sync.h"
#include "ws.h"

#define MARK        '~' /* is in nothing else that a service sends */
#define DIGITS      16
#define ROOM_FORMAT "bench-%08" PRIx32

static bool message_contains(struct bytes message, const char *word)
{
    return message.len > 0 && memmem(message.data, message.len, word, strlen(word));
}

static enum service_verdict verdict_when(bool takes_part)
{
    return takes_part ? SERVICE_TAKES_PART : SERVICE_WAITS;
}

void service_write_text(struct writer *to, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    int len;
    va_start(arguments, format);
    len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text) {
        bench_fail("a message is too long");
    }
    ws_write_masked(to, WS_TEXT, (struct bytes){(const uint8_t *)text, (size_t)len});
}

static void write_raw(struct writer *to, struct service_client *service_client, struct bytes text)
{
    ws_write_masked(to, WS_TEXT, text);
}

/* Socket.IO: its packets are digits and JSON; 0 and 40 open, 2 asks for a 3. */

static enum service_verdict check_joined_socketio(struct writer *to,
                                                  const struct service_client *service_client,
                                                  struct bytes message)
{
    if (message.len > 0 && message.data[0] == '0') {
        service_write_text(to, "40");
    } else if (message_contains(message, "44{")) {
        return SERVICE_REFUSES;
    }
    return verdict_when(message.len > 1 && message.data[0] == '4' && message.data[1] == '0');
}

static void publish_socketio(struct writer *to, struct service_client *service_client,
                             struct bytes text)
{
    service_write_text(to, "42[\"m\",\"%.*s\"]", (int)text.len, (const char *)text.data);
}

static void answer_socketio(struct writer *to, struct bytes message)
{
    if (message.len == 1 && message.data[0] == '2') {
        service_write_text(to, "3");
    }
}

/* Tracker: who listens opens an entry in the dialect with pushes, who speaks updates entries. */

static bool join_tracker(struct writer *to, const struct service_client *service_client)
{
    struct writer open = {0};
    if (service_client->speaks) {
        return true;
    }
    tracker_write_open(&open, TRACKER_VERSIONED, (struct bytes){NULL, 0});
    ws_write_masked(to, WS_BINARY, writer_bytes_written(&open));
    writer_free(&open);
    return false;
}

static enum service_verdict check_joined_tracker(struct writer *to,
                                                 const struct service_client *service_client,
                                                 struct bytes message)
{
    return message.len > 0 && message.data[0] == 0 ? SERVICE_REFUSES : SERVICE_TAKES_PART;
}

static void publish_tracker(struct writer *to, struct service_client *service_client,
                            struct bytes text)
{
    const uint32_t entries = service_client->worker->part.entries;
    struct writer update = {0};
    char id[32];
    int len = snprintf(id, sizeof id, "%06" PRIx32 "-%" PRIx32 "-%" PRIx64,
                       service_client->worker->run & 0xffffff, service_client->number,
                       service_client->said % entries);
    tracker_write_update(&update, TRACKER_2013, (struct bytes){(const uint8_t *)id, (size_t)len},
                         service_client->said / entries + 1, text);
    ws_write_masked(to, WS_BINARY, writer_bytes_written(&update));
    writer_free(&update);
}

/* turntable: a member of a room. */

void service_write_user(struct writer *to, const struct service_client *service_client)
{
    writer_format(to, "1:%06" PRIx32 "%c-%" PRIu32, service_client->worker->run & 0xffffff,
                  service_client->speaks ? 's' : 'l', service_client->number);
}

static void join_room(struct writer *to, const struct service_client *service_client)
{
    struct writer id = {0};
    service_write_user(&id, service_client);
    service_write_text(to, "{\"command\":\"idme\",\"data\":\"%.*s\"}", (int)id.len,
                       (const char *)id.data);
    service_write_text(to,
                       "{\"command\":\"joingame\",\"data\":{\"channel\":\"" ROOM_FORMAT
                       "\",\"self\":\"%.*s\",\"invite\":[]}}",
                       service_client->worker->run, (int)id.len, (const char *)id.data);
    writer_free(&id);
}

static enum service_verdict check_joined_room(struct writer *to,
                                              const struct service_client *service_client,
                                              struct bytes message)
{
    if (message_contains(message, "\"command\":\"error\"")) {
        return SERVICE_REFUSES;
    }
    if (message_contains(message, "\"command\":\"idyou\"")) {
        join_room(to, service_client);
    }
    /* Only the list of members can be that large. */
    return verdict_when(message.len == 0 || message_contains(message, "\"command\":\"member\""));
}

static void publish_room(struct writer *to, struct service_client *service_client,
                         struct bytes text)
{
    service_write_text(to,
                       "{\"command\":\"game\",\"data\":{\"channel\":\"" ROOM_FORMAT
                       "\",\"actions\":[{\"data\":\"%.*s\"}]}}",
                       service_client->worker->run, (int)text.len, (const char *)text.data);
}

static enum service_verdict check_joined_turntable(struct writer *to,
                                                   const struct service_client *service_client,
                                                   struct bytes message)
{
    if (message_contains(message, "\"command\":\"error\"")) {
        return SERVICE_REFUSES;
    }
    return verdict_when(message_contains(message, "\"command\":\"idyou\""));
}

/* Metadata sync: a change of a property of who speaks, or a packet to all. */

static void write_masked_update(struct writer *to, const struct sync_property *properties,
                                size_t count)
{
    struct writer packet = {0};
    sync_write_update(&packet, properties, count);
    ws_write_masked(to, WS_TEXT, writer_bytes_written(&packet));
    writer_free(&packet);
}

/* The part's number of properties for everybody, p00, p01, ...; the text will be in the first. */
static enum service_verdict check_joined_sync(struct writer *to,
                                              const struct service_client *service_client,
                                              struct bytes message)
{
    struct sync_property properties[64];
    char names[64][4];
    uint32_t count = service_client->worker->part.each;
    if (message_contains(message, "\"type\":\"error\"")) {
        return SERVICE_REFUSES;
    }
    if (count > sizeof names / sizeof names[0]) {
        bench_fail("too many properties: %" PRIu32, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "p%02u", (unsigned)i % 100);
        properties[i] = (struct sync_property){.name = bytes_from_string(names[i]),
                                               .value = BYTES_LITERAL("\"value of it\"")};
    }
    if (count > 0) {
        write_masked_update(to, properties, count);
    }
    return SERVICE_TAKES_PART;
}

static void publish_sync(struct writer *to, struct service_client *service_client,
                         struct bytes text)
{
    struct writer value = {0};
    struct sync_property property = {.name = BYTES_LITERAL("p00")};
    writer_format(&value, "\"%.*s\"", (int)text.len, (const char *)text.data);
    property.value = writer_bytes_written(&value);
    write_masked_update(to, &property, 1);
    writer_free(&value);
}

/* Without the mark: in the whole map each text would be found again at every tick. */
static void publish_sync_whole(struct writer *to, struct service_client *service_client,
                               struct bytes text)
{
    publish_sync(to, service_client, (struct bytes){text.data + 1, text.len - 1});
}

static void publish_relay(struct writer *to, struct service_client *service_client,
                          struct bytes text)
{
    service_write_text(to, "{\"to\":\"*\",\"packet\":{\"type\":\"m\",\"m\":\"%.*s\"}}",
                       (int)text.len, (const char *)text.data);
}

void service_write_request(struct writer *to, const struct service *service,
                           const struct service_client *service_client)
{
    char path[128];
    const char *start = service_client->speaks ? service->speak_path : service->path;
    if (service->has_channels) {
        (void)snprintf(path, sizeof path, "%s" ROOM_FORMAT, start, service_client->worker->run);
    } else {
        (void)snprintf(path, sizeof path, "%s", start);
    }
    ws_write_request(to, path, service->protocol);
}

static const struct service services[] = {
    {.name = "floor",
     .help = "a bare loop of our own, started for this run: the lower bound of the cost",
     .path = "/",
     .speak_path = "/",
     .publish = write_raw},
    {.name = "nchan",
     .help = "nginx with Nchan: /sub/NAME and /pub/NAME",
     .path = "/sub/",
     .speak_path = "/pub/",
     .has_channels = true,
     .publish = write_raw},
    {.name = "socketio",
     .help = "Socket.IO; an event \"m\" is sent to all",
     .path = "/socket.io/?EIO=4&transport=websocket",
     .speak_path = "/socket.io/?EIO=4&transport=websocket",
     .echoes = true,
     .check_joined = check_joined_socketio,
     .publish = publish_socketio,
     .answer = answer_socketio},
    {.name = "tracker",
     .help = "the Tracker protocol: updates of entries, and their pushes",
     .path = "/tracker",
     .speak_path = "/tracker",
     .protocol = "tracker",
     .join = join_tracker,
     .check_joined = check_joined_tracker,
     .publish = publish_tracker},
    {.name = "turntable",
     .help = "turntable, connected and nothing more",
     .path = "/turntable",
     .speak_path = "/turntable",
     .protocol = "turntable",
     .check_joined = check_joined_turntable,
     .publish = publish_room},
    {.name = "room",
     .help = "turntable: the game of a room",
     .path = "/turntable",
     .speak_path = "/turntable",
     .protocol = "turntable",
     .echoes = true,
     .check_joined = check_joined_room,
     .publish = publish_room},
    {.name = "sync",
     .help = "metadata sync: a property changes, the whole map is sent",
     .path = "/sync",
     .speak_path = "/sync",
     .echoes = true,
     .check_joined = check_joined_sync,
     .publish = publish_sync_whole},
    {.name = "sync-delta",
     .help = "the same in delta mode",
     .path = "/sync?mode=delta",
     .speak_path = "/sync?mode=delta",
     .echoes = true,
     .check_joined = check_joined_sync,
     .publish = publish_sync},
    {.name = "sync-relay",
     .help = "metadata sync in delta mode: a packet to \"*\"",
     .path = "/sync?mode=delta",
     .speak_path = "/sync?mode=delta",
     .echoes = true,
     .check_joined = check_joined_sync,
     .publish = publish_relay},
};
#define SERVICES (sizeof services / sizeof services[0])

const struct service *service_find(const char *name)
{
    for (size_t i = 0; i < SERVICES; i++) {
        if (strcmp(services[i].name, name) == 0) {
            return &services[i];
        }
    }
    return NULL;
}

void services_print(void)
{
    for (size_t i = 0; i < SERVICES; i++) {
        (void)printf("  %-22s %s\n", services[i].name, services[i].help);
    }
}

/* Stamps. */

static uint8_t *put_hex(uint8_t *to, uint64_t value)
{
    for (int i = DIGITS - 1; i >= 0; i--, value >>= 4) {
        to[i] = (uint8_t) "0123456789abcdef"[value & 15];
    }
    return to + DIGITS;
}

static uint64_t get_hex(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < DIGITS; i++) {
        value = value << 4 | (from[i] <= '9' ? from[i] - '0' : (from[i] & 15) + 9);
    }
    return value;
}

struct bytes service_text(const struct worker *worker, uint8_t *scratch, uint64_t intended_us,
                          uint64_t now_us)
{
    memset(scratch, 'x', worker->part.state_size);
    scratch[0] = MARK;
    (void)put_hex(put_hex(scratch + 1, intended_us), now_us);
    return (struct bytes){scratch, worker->part.state_size};
}

void service_record_delivery(struct worker *worker, struct bytes message, uint64_t now_us)
{
    const uint8_t *end = message.data + message.len;
    const uint8_t *at = message.data;
    while (at < end && (at = memchr(at, MARK, (size_t)(end - at)))) {
        if (end - at < 1 + 2 * DIGITS) {
            return;
        }
        bench_delivered_at(worker, get_hex(at + 1), get_hex(at + 1 + DIGITS), now_us);
        at += 1 + 2 * DIGITS;
    }
}
