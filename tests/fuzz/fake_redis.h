/*
 * fake_redis: a Redis in the fuzzer's own process, on a unix socket. It answers what a front-end
 * asks for from fake_store, delivers what is published to those who have subscribed, and does what
 * the input wants it to do wrong: errors, other types, truncated and late replies, silence, lost
 * connections.
 */
#ifndef FUZZ_FAKE_REDIS_H
#define FUZZ_FAKE_REDIS_H

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_scripts.h"

#define FAKE_LINKS    8
#define FAKE_CHANNELS 64
#define FAKE_ARGS     512
#define FAKE_FAULTS   16
/* What one reply may make the front-end hold: none of the input's is longer. */
#define FAKE_OUTPUT (1 << 20)

enum fake_fault {
    FAULT_ERROR,      /* "-" and the text of the fault */
    FAULT_RAW,        /* the text of the fault itself, whatever it is */
    FAULT_NIL,        /* $-1 */
    FAULT_NUMBER,     /* :1 */
    FAULT_EMPTY,      /* *0 */
    FAULT_FLIP,       /* one byte of the reply is another */
    FAULT_SHORT,      /* half of it, and the connection is closed */
    FAULT_LATE,       /* half of it; the rest follows after some services */
    FAULT_SILENCE,    /* no answer from now on, while the connection stays open */
    FAULT_DISCONNECT, /* the connection is closed */
    FAULT_FORCED,     /* the text is the line of every result of apply from now on */
    FAULTS
};

struct fake_link {
    int fd; /* -1: none */
    struct writer in, out;
    unsigned late;   /* services until more is sent */
    size_t sendable; /* of out, while it is late */
    bool is_silent;
    struct bytes channels[FAKE_CHANNELS]; /* owned */
    unsigned channel_count;
};

struct fake_redis {
    int listener;
    struct fake_link links[FAKE_LINKS];
    struct fake_store store;
    struct {
        enum fake_fault kind;
        unsigned replies;  /* this many are sound before */
        struct bytes text; /* owned */
    } faults[FAKE_FAULTS];
    unsigned fault_count;
    size_t commands;
};

static void fake_close(struct fake_link *link)
{
    if (link->fd >= 0) {
        close(link->fd);
    }
    for (unsigned i = 0; i < link->channel_count; i++) {
        fake_release(&link->channels[i]);
    }
    writer_free(&link->in);
    writer_free(&link->out);
    *link = (struct fake_link){.fd = -1};
}

static unsigned fake_deliver(void *arg, struct bytes channel, struct bytes message)
{
    struct fake_redis *redis = arg;
    unsigned count = 0;
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        struct fake_link *link = &redis->links[i];
        for (unsigned j = 0; j < link->channel_count; j++) {
            if (bytes_equal(link->channels[j], channel) && link->out.len < FAKE_OUTPUT) {
                writer_string(&link->out, "*3\r\n");
                resp_text(&link->out, "message");
                resp_bulk(&link->out, channel);
                resp_bulk(&link->out, message);
                count++;
            }
        }
    }
    return count;
}

static void fake_subscribe(struct fake_link *link, struct bytes channel, bool on,
                           struct writer *reply)
{
    unsigned at = 0;
    while (at < link->channel_count && !bytes_equal(link->channels[at], channel)) {
        at++;
    }
    if (on && at == link->channel_count && at < FAKE_CHANNELS) {
        link->channels[link->channel_count++] = fake_copy(channel);
    } else if (!on && at < link->channel_count) {
        fake_release(&link->channels[at]);
        link->channels[at] = link->channels[--link->channel_count];
    }
    writer_string(reply, "*3\r\n");
    resp_text(reply, on ? "subscribe" : "unsubscribe");
    resp_bulk(reply, channel);
    writer_format(reply, ":%u\r\n", link->channel_count);
}

static void fake_info(struct writer *reply)
{
    resp_text(reply, "redis_version:7.0.15\r\nrun_id:0123456789012345678901234567890123456789\r\n"
                     "role:master\r\nmaxmemory:0\r\nused_memory:1000000\r\n"
                     "maxmemory_policy:noeviction\r\n");
}

static void fake_time(struct fake_redis *redis, struct writer *reply)
{
    writer_string(reply, "*2\r\n");
    resp_number(reply, redis->store.now_ms / 1000);
    resp_number(reply, redis->store.now_ms % 1000 * 1000);
}

/* The ids of all entries with a node, as HSCAN returns them, or those without, as ZSCAN does. */
static void fake_scan(struct fake_redis *redis, struct bytes key, bool owned, struct writer *reply)
{
    struct writer list = {0}, member = {0};
    unsigned count = 0;
    bool of_entries = memmem(key.data, key.len, "node:", 5) != NULL;
    bool of_due = memmem(key.data, key.len, "deadlines", 9) != NULL;
    LIST_FOREACH (node, &redis->store.entries) {
        struct fake_hash *entry = list_entry(node, struct fake_hash, link);
        bool is_owned = fake_get(entry, "node").len > 0;
        bool is_registered = fake_get(entry, "registered").data != NULL;
        if (owned ? !is_owned || !of_entries : is_owned || is_registered == of_due) {
            continue;
        }
        writer_reset(&member);
        writer_string(&member, of_due ? "c:" : "");
        writer_bytes(&member, entry->name);
        resp_bulk(&list, writer_bytes_written(&member));
        resp_text(&list, "1");
        count += 2;
    }
    writer_string(reply, "*2\r\n");
    resp_text(reply, "0");
    writer_format(reply, "*%u\r\n", count);
    writer_bytes(reply, writer_bytes_written(&list));
    writer_free(&list);
    writer_free(&member);
}

/* A field of client:<id>, of any partition. */
static void fake_hget(struct fake_redis *redis, struct bytes key, struct bytes field,
                      struct writer *reply)
{
    const uint8_t *at = memmem(key.data, key.len, "}:client:", 9);
    struct bytes id = at ? (struct bytes){at + 9, (size_t)(key.data + key.len - at) - 9}
                         : (struct bytes){NULL, 0};
    struct fake_hash *entry = at ? fake_find(&redis->store.entries, id) : NULL;
    const struct fake_field *found = entry ? fake_find_field(entry, field) : NULL;
    if (found) {
        resp_bulk(reply, found->value);
    } else if (bytes_equal(field, BYTES_LITERAL("epoch"))) {
        resp_text(reply, FAKE_EPOCH);
    } else if (bytes_equal(field, BYTES_LITERAL("revision")) ||
               bytes_equal(field, BYTES_LITERAL(".revision"))) {
        resp_number(reply, field.data[0] == '.' ? 1 : redis->store.revision);
    } else if (memmem(key.data, key.len, "spaces", 6)) {
        resp_text(reply, "1");
    } else {
        writer_string(reply, "$-1\r\n");
    }
}

static void fake_read_hash(struct fake_redis *redis, const struct bytes *args, size_t count,
                           struct writer *reply)
{
    writer_format(reply, "*%zu\r\n", count - 2);
    for (size_t i = 2; i < count; i++) {
        fake_hget(redis, args[1], args[i], reply);
    }
}

static void fake_list_invited(struct fake_redis *redis, struct writer *reply)
{
    writer_format(reply, "*%d\r\n", redis->store.invited.len > 0);
    if (redis->store.invited.len > 0) {
        resp_bulk(reply, redis->store.invited);
    }
}

static const struct {
    const char *name;
    const char *reply;
} fake_constants[] = {
    {"AUTH", "+OK\r\n"},
    {"SELECT", "+OK\r\n"},
    {"CLIENT", "+OK\r\n"},
    {"HSET", ":1\r\n"},
    {"HSETNX", ":0\r\n"},
    {"PEXPIRE", ":1\r\n"},
    {"DEL", ":1\r\n"},
    {"LREM", ":1\r\n"},
    {"ZADD", ":0\r\n"},
    {"ZREM", ":0\r\n"},
    {"SET", "$-1\r\n"},
    {"HRANDFIELD", "*0\r\n"},
    {"ZRANGE", "*1\r\n$4\r\nnode\r\n"},
    {"ZRANGEBYSCORE", "*0\r\n"},
    {"HGETALL", "*0\r\n"},
};

static void fake_execute(struct fake_redis *redis, struct fake_link *link, const struct bytes *args,
                         size_t count, struct writer *reply)
{
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)args[0].len, (const char *)args[0].data);
    if (!strcmp(name, "EVALSHA")) {
        fake_eval(&redis->store, args, count, reply);
    } else if (!strcmp(name, "SCRIPT") && count == 3) {
        char hash[41];
        fake_script_hash(args[2], hash);
        resp_text(reply, hash);
    } else if (!strcmp(name, "SUBSCRIBE") || !strcmp(name, "UNSUBSCRIBE")) {
        for (size_t i = 1; i < count; i++) {
            fake_subscribe(link, args[i], name[0] == 'S', reply);
        }
    } else if (!strcmp(name, "PUBLISH") && count == 3) {
        writer_format(reply, ":%u\r\n", fake_deliver(redis, args[1], args[2]));
    } else if (!strcmp(name, "PING")) {
        writer_string(reply, link->channel_count ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n");
    } else if (!strcmp(name, "INFO")) {
        fake_info(reply);
    } else if (!strcmp(name, "TIME")) {
        fake_time(redis, reply);
    } else if ((!strcmp(name, "HSCAN") || !strcmp(name, "ZSCAN")) && count > 1) {
        fake_scan(redis, args[1], name[0] == 'H', reply);
    } else if (!strcmp(name, "HGET") && count == 3) {
        fake_hget(redis, args[1], args[2], reply);
    } else if (!strcmp(name, "HMGET") && count > 2) {
        fake_read_hash(redis, args, count, reply);
    } else if (!strcmp(name, "LRANGE")) {
        fake_list_invited(redis, reply);
    } else {
        for (size_t i = 0; i < sizeof fake_constants / sizeof *fake_constants; i++) {
            if (!strcmp(name, fake_constants[i].name)) {
                writer_string(reply, fake_constants[i].reply);
                return;
            }
        }
        writer_string(reply, "-ERR unknown command\r\n");
    }
}

static void fake_add_fault(struct fake_redis *redis, enum fake_fault kind, unsigned replies,
                           struct bytes text)
{
    if (kind == FAULT_FORCED) {
        fake_release(&redis->store.forced);
        redis->store.forced = fake_copy(text);
    } else if (redis->fault_count < FAKE_FAULTS) {
        redis->faults[redis->fault_count].kind = kind;
        redis->faults[redis->fault_count].replies = replies;
        redis->faults[redis->fault_count++].text = fake_copy(text);
    }
}

static void fake_drop_fault(struct fake_redis *redis)
{
    fake_release(&redis->faults[0].text);
    redis->fault_count--;
    memmove(redis->faults, redis->faults + 1, redis->fault_count * sizeof *redis->faults);
}

/* Ends the faults: from now on Redis is as it should be. */
static void fake_heal(struct fake_redis *redis)
{
    while (redis->fault_count > 0) {
        fake_drop_fault(redis);
    }
    fake_release(&redis->store.forced);
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        if (redis->links[i].is_silent) {
            fake_close(&redis->links[i]);
        }
    }
}

/* The reply with the first fault, if that is due. False: the connection is to be closed. */
static bool fake_spoil(struct fake_redis *redis, struct fake_link *link, struct writer *reply)
{
    bool stays = true;
    if (redis->fault_count == 0 || redis->faults[0].replies-- > 0) {
        return true;
    }
    enum fake_fault kind = redis->faults[0].kind;
    struct bytes text = redis->faults[0].text;
    if (kind == FAULT_ERROR || kind == FAULT_RAW) {
        writer_reset(reply);
        writer_string(reply, kind == FAULT_ERROR ? "-" : "");
        writer_bytes(reply, text);
        writer_string(reply, kind == FAULT_ERROR ? "\r\n" : "");
    } else if (kind == FAULT_NIL || kind == FAULT_NUMBER || kind == FAULT_EMPTY) {
        writer_reset(reply);
        writer_string(reply, kind == FAULT_NIL      ? "$-1\r\n"
                             : kind == FAULT_NUMBER ? ":1\r\n"
                                                    : "*0\r\n");
    } else if (kind == FAULT_FLIP && reply->len > 0 && text.len > 0) {
        reply->data[text.data[0] * reply->len / 256] ^= text.len > 1 ? text.data[1] : 1;
    } else if (kind == FAULT_SHORT) {
        reply->len /= 2;
        stays = false;
    } else if (kind == FAULT_LATE && link->late == 0) {
        link->late = 4;
        link->sendable = link->out.len + reply->len / 2;
    }
    link->is_silent |= kind == FAULT_SILENCE;
    stays &= kind != FAULT_DISCONNECT;
    fake_drop_fault(redis);
    return stays;
}

/* One command of the input, "*N" and N times "$LEN": how long it is, 0 if it is incomplete. */
static size_t fake_parse(struct bytes in, struct bytes *args, size_t *count)
{
    struct cursor cursor = cursor_over(in);
    if (cursor_left(&cursor) == 0) {
        return 0;
    }
    assert(cursor_u8(&cursor) == '*');
    *count = (size_t)cursor_decimal(&cursor, '\r');
    (void)cursor_u8(&cursor);
    for (size_t i = 0; i < *count && !cursor.failed; i++) {
        (void)cursor_u8(&cursor);
        uint64_t len = cursor_decimal(&cursor, '\r');
        (void)cursor_u8(&cursor);
        struct bytes arg = cursor_take(&cursor, (size_t)len);
        (void)cursor_take(&cursor, 2);
        if (i < FAKE_ARGS) {
            args[i] = arg;
        }
    }
    *count = *count < FAKE_ARGS ? *count : FAKE_ARGS;
    return cursor.failed ? 0 : (size_t)(cursor.at - in.data);
}

/* Executes what has arrived. False: the connection is to be closed. */
static bool fake_answer(struct fake_redis *redis, struct fake_link *link)
{
    struct bytes args[FAKE_ARGS];
    size_t used = 0, len, count;
    bool stays = true;
    while (stays && used < link->in.len &&
           (len = fake_parse((struct bytes){link->in.data + used, link->in.len - used}, args,
                             &count)) > 0) {
        struct writer reply = {0};
        fake_execute(redis, link, args, count, &reply);
        redis->commands++;
        stays = fake_spoil(redis, link, &reply);
        if (!link->is_silent) {
            writer_bytes(&link->out, writer_bytes_written(&reply));
        }
        writer_free(&reply);
        used += len;
    }
    if (used > 0) {
        memmove(link->in.data, link->in.data + used, link->in.len - used);
        link->in.len -= used;
    }
    return stays;
}

static bool fake_receive(struct fake_link *link)
{
    for (;;) {
        uint8_t buffer[16384];
        ssize_t n = recv(link->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n <= 0) {
            return n < 0 && errno == EAGAIN;
        }
        writer_bytes(&link->in, (struct bytes){buffer, (size_t)n});
    }
}

static void fake_send(struct fake_link *link)
{
    size_t most = link->out.len;
    if (link->late > 0 && --link->late > 0) {
        most = link->sendable < most ? link->sendable : most;
    }
    ssize_t n = most > 0 ? send(link->fd, link->out.data, most, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n > 0) {
        memmove(link->out.data, link->out.data + n, link->out.len - (size_t)n);
        link->out.len -= (size_t)n;
        link->sendable -= (size_t)n < link->sendable ? (size_t)n : link->sendable;
    }
}

/* Accepts, reads, executes and answers what there is. */
static void fake_redis_service(struct fake_redis *redis, uint64_t now_ms)
{
    redis->store.now_ms = now_ms;
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        struct fake_link *link = &redis->links[i];
        if (link->fd < 0) {
            link->fd = accept4(redis->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        }
        if (link->fd >= 0 && !(fake_receive(link) && fake_answer(redis, link))) {
            fake_send(link);
            fake_close(link);
        }
    }
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        if (redis->links[i].fd >= 0) {
            fake_send(&redis->links[i]);
        }
    }
}

static void fake_redis_start(struct fake_redis *redis, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(redis, 0, sizeof *redis);
    fake_store_init(&redis->store);
    redis->store.publish = fake_deliver;
    redis->store.arg = redis;
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        redis->links[i].fd = -1;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    unlink(path);
    redis->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(redis->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(redis->listener, 16) != 0) {
        abort();
    }
}

static void fake_redis_stop(struct fake_redis *redis)
{
    fake_heal(redis);
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        fake_close(&redis->links[i]);
    }
    fake_store_free(&redis->store);
    close(redis->listener);
}

#endif
