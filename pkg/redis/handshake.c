/*
 * handshake: the commands on each new connection before it is up.
 *
 *   AUTH [user] password, SELECT database   if configured
 *   CLIENT SETNAME tracker-NAME
 *   INFO server                             not for subscribers without a guide, nor for Sentinels
 *   INFO replication                        for a guide: a replica is refused
 *   INFO memory                             not for subscribers, nor for Sentinels
 *   PING                                    refused by a server that is loading, busy in a script
 * or without its master, which answers all of the above
 *
 * All are sent together. After a temporary refusal (LOADING, BUSY, MASTERDOWN) the connection stays
 * open and the PING is repeated after the backoff. CLIENT, INFO replication, INFO memory and PING
 * are optional: a server that withholds them, by its ACL or because it does not know them, is used
 * without. Other refusals end the connection.
 */
#include "redis/link_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define OLDEST_MAJOR 7

struct bytes redis_info_value(struct bytes info, const char *name)
{
    struct cursor cursor = cursor_over(info);
    struct bytes wanted = bytes_from_string(name);

    while (cursor_left(&cursor) > 0 && !cursor.failed) {
        struct bytes line = cursor_until(&cursor, '\n');

        if (line.len > wanted.len && line.data[wanted.len] == ':' &&
            memcmp(line.data, wanted.data, wanted.len) == 0) {
            size_t end = line.data[line.len - 1] == '\r' ? line.len - 1 : line.len;

            return (struct bytes){line.data + wanted.len + 1, end - wanted.len - 1};
        }
    }
    return (struct bytes){NULL, 0};
}

static void fail_handshake(struct redis_link *link, const char *step,
                           const struct redis_reply *reply, bool secret)
{
    struct bytes text = reply->text;
    const uint8_t *space = memchr(text.data, ' ', text.len);
    char *why;

    if (secret && space) {
        text.len = (size_t)(space - text.data);
    }
    why = mem_format("%s was refused: %.*s", step, text.len < 256 ? (int)text.len : 256,
                     (const char *)text.data);
    redis_link_unfit(link, why);
    free(why);
}

/* True when a step succeeded. Otherwise the connection may have been closed. */
static bool step_passed(struct redis_link *link, enum redis_status status,
                        const struct redis_reply *reply, const char *step, bool secret)
{
    if (status == REDIS_OK) {
        return true;
    }
    if (status != REDIS_REFUSED) {
        return false; /* it is already closed */
    }
    switch (redis_refusal_of(reply)) {
    case REDIS_REFUSAL_MAXCLIENTS:
    case REDIS_REFUSAL_LOADING:
    case REDIS_REFUSAL_BUSY:
    case REDIS_REFUSAL_MASTERDOWN:
        redis_link_lose(link, (const char *)reply->text.data);
        break;
    default:
        fail_handshake(link, step, reply, secret);
        break;
    }
    return false;
}

static void auth_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    (void)step_passed(arg, status, reply, "AUTH", true);
}

static void select_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    (void)step_passed(arg, status, reply, "SELECT", false);
}

bool redis_is_withheld(enum redis_status status, const struct redis_reply *reply)
{
    const struct bytes general = BYTES_LITERAL("ERR ");

    if (status != REDIS_REFUSED) {
        return false;
    }
    switch (redis_refusal_of(reply)) {
    case REDIS_REFUSAL_NOPERM:
        return true;
    case REDIS_REFUSAL_OTHER: /* a renamed command, or one unknown to a proxy */
        return reply->text.len >= general.len &&
               memcmp(reply->text.data, general.data, general.len) == 0;
    default:
        return false;
    }
}

/* The name is for CLIENT LIST only. */
static void name_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    if (!redis_is_withheld(status, reply)) {
        (void)step_passed(arg, status, reply, "CLIENT SETNAME", false);
    }
}

static void role_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_link *link = arg;
    struct bytes role;

    if (redis_is_withheld(status, reply)) {
        link->guide->no_role(link->guide_arg);
        return;
    }
    if (!step_passed(link, status, reply, "INFO replication", false)) {
        return;
    }
    role = redis_info_value(reply->text, "role");
    if (role.len > 0 && !bytes_equal(role, BYTES_LITERAL("master"))) {
        link->guide->replica(link->guide_arg);
        redis_link_lose(link, "the server is a replica");
    }
}

static void server_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_link *link = arg;
    struct bytes version, run_id;
    struct cursor cursor;
    char *why;

    link->run_id[0] = '\0';
    if (link->push && redis_is_withheld(status, reply)) {
        return; /* the command link checks it, if it may */
    }
    if (!step_passed(link, status, reply, "INFO server", false)) {
        return;
    }
    version = redis_info_value(reply->text, "redis_version");
    run_id = redis_info_value(reply->text, "run_id");
    cursor = cursor_over(version);
    if (cursor_decimal(&cursor, '.') < OLDEST_MAJOR || cursor.failed) {
        why = mem_format("Redis %.*s is too old: it must be %d.0 or later", (int)version.len,
                         (const char *)version.data, OLDEST_MAJOR);
        redis_link_unfit(link, why);
        free(why);
        return;
    }
    if (run_id.len != sizeof link->run_id - 1) {
        redis_link_unfit(link, "INFO server has no run_id");
        return;
    }
    memcpy(link->run_id, run_id.data, run_id.len);
}

static void memory_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_link *link = arg;
    struct bytes policy;
    char *why;

    if (redis_is_withheld(status, reply)) {
        log_warn("redis_eviction_policy_unknown", LOG_STRING("link", link->name),
                 LOG_STRING("why", "INFO memory is refused"));
        return;
    }
    if (!step_passed(link, status, reply, "INFO memory", false)) {
        return;
    }
    policy = redis_info_value(reply->text, "maxmemory_policy");
    if (policy.len > 0 && !bytes_equal(policy, BYTES_LITERAL("noeviction"))) {
        why = mem_format("maxmemory-policy is %.*s: it must be noeviction, as eviction removes the "
                         "keys with a TTL first",
                         policy.len < 64 ? (int)policy.len : 64, (const char *)policy.data);
        redis_link_unfit(link, why);
        free(why);
    }
}

static bool is_admitted(struct redis_link *link)
{
    if (!link->guide) {
        return true;
    }
    return link->guide->admit(link->guide_arg, link->run_id) == REDIS_ADMIT;
}

/* NULL for a unix socket. The caller frees it. */
static char *address_of_server(const struct redis_link *link)
{
    const struct redis_endpoint *at = &link->server_at;

    if (!at->host) {
        return NULL;
    }
    return mem_format(strchr(at->host, ':') ? "[%s]:%u" : "%s:%u", at->host, at->port);
}

static void finish_handshake(struct redis_link *link)
{
    char *address;

    if (!is_admitted(link)) {
        return;
    }
    address = address_of_server(link);
    redis_link_enter(link, LINK_UP);
    redis_refusals_link_up(&link->refusals, link->name, loop_now_ms(link->loop));
    free(link->unfit);
    link->unfit = NULL;
    LOG_WITH(link->is_sentinel ? LOG_DEBUG : LOG_INFO, NULL, "redis_connected",
             LOG_STRING("link", link->name), LOG_STRING("redis", link->server),
             LOG_STRING("address", address),
             LOG_STRING("run_id", *link->run_id != '\0' ? link->run_id : NULL));
    free(address);
    if (link->callbacks.up) {
        link->callbacks.up(link->arg, link->run_id);
    }
}

static void ping_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct redis_link *link = arg;
    enum redis_refusal refusal = redis_refusal_of(reply);

    if (status == REDIS_REFUSED &&
        (refusal == REDIS_REFUSAL_LOADING || refusal == REDIS_REFUSAL_BUSY ||
         refusal == REDIS_REFUSAL_MASTERDOWN)) {
        link->handshake_waits = true;
        loop_timer_start(link->state_timer, redis_link_backoff(link));
        link->attempts++;
        return;
    }
    /* A server that cannot save refuses even PING (MISCONF), but answers reads. */
    if ((status == REDIS_REFUSED && refusal == REDIS_REFUSAL_MISCONF) ||
        redis_is_withheld(status, reply) || step_passed(link, status, reply, "PING", false)) {
        finish_handshake(link);
    }
}

static void queue_handshake_command(struct redis_link *link, redis_callback callback, bool secret,
                                    size_t count, const struct bytes *args)
{
    redis_link_queue(
        link,
        &(struct redis_pending){.callback = callback, .arg = link, .expected = 1, .secret = secret},
        count, args);
}

static void send_redis_ping(struct redis_link *link)
{
    const struct bytes ping = BYTES_LITERAL("PING");

    queue_handshake_command(link, ping_replied, false, 1, &ping);
}

static const char *first_text_of(const char *a, const char *b)
{
    return a ? a : b ? b : "";
}

static void send_redis_auth(struct redis_link *link)
{
    const char *user = first_text_of(link->target->user, link->settings->user);
    const char *password = first_text_of(link->target->password, link->settings->password);
    struct bytes args[3] = {BYTES_LITERAL("AUTH")};
    size_t count = 1;

    if (*user == '\0' && *password == '\0') {
        return;
    }
    if (*user != '\0') {
        args[count++] = bytes_from_string(user);
    }
    args[count++] = bytes_from_string(password);
    queue_handshake_command(link, auth_replied, true, count, args);
}

static void send_redis_select(struct redis_link *link)
{
    char number[16];

    if (link->target->database > 0) {
        (void)snprintf(number, sizeof number, "%u", link->target->database);
        queue_handshake_command(
            link, select_replied, false, 2,
            (struct bytes[]){BYTES_LITERAL("SELECT"), bytes_from_string(number)});
    }
}

/* Requests the server's identity and role. */
static void request_info(struct redis_link *link)
{
    if ((!link->push && !link->is_sentinel) || link->guide) {
        queue_handshake_command(link, server_replied, false, 2,
                                (struct bytes[]){BYTES_LITERAL("INFO"), BYTES_LITERAL("server")});
    }
    if (link->guide) {
        queue_handshake_command(
            link, role_replied, false, 2,
            (struct bytes[]){BYTES_LITERAL("INFO"), BYTES_LITERAL("replication")});
    }
}

void redis_link_identify_again(struct redis_link *link)
{
    if (link->state == LINK_HANDSHAKING) {
        request_info(link);
        send_redis_ping(link);
    }
}

void redis_link_handshake(struct redis_link *link)
{
    char *name = mem_format("tracker-%s", link->name);

    send_redis_auth(link);
    send_redis_select(link);
    queue_handshake_command(link, name_replied, false, 3,
                            (struct bytes[]){BYTES_LITERAL("CLIENT"), BYTES_LITERAL("SETNAME"),
                                             bytes_from_string(name)});
    request_info(link);
    if (!link->push && !link->is_sentinel) {
        queue_handshake_command(link, memory_replied, false, 2,
                                (struct bytes[]){BYTES_LITERAL("INFO"), BYTES_LITERAL("memory")});
    }
    send_redis_ping(link);
    free(name);
}

void redis_link_handshake_timer(struct redis_link *link)
{
    if (!link->handshake_waits) {
        redis_link_lose(link, "the handshake timed out");
        return;
    }
    link->handshake_waits = false;
    loop_timer_start(link->state_timer, (uint64_t)link->settings->connect_timeout);
    if (link->guide) {
        redis_link_identify_again(link); /* it may be another server by now */
    } else {
        send_redis_ping(link);
    }
}
