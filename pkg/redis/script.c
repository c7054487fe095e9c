/*
 * script: calls Lua scripts by hash, and loads those that Redis does not know.
 *
 * Each call keeps its formatted command until its last reply. A call that got NOSCRIPT is held, and
 * SCRIPT LOAD is sent for its script unless that is in flight. Meanwhile new calls are deferred.
 * When the last SCRIPT LOAD has been answered, every call that was sent before it has been answered
 * too (replies arrive in order), so sending the held calls and then the deferred ones preserves the
 * order of all calls.
 */
#include "redis/link_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "tls/digest.h"

/* Bounds the loop if the script cache is flushed between each load and the next call. */
#define ATTEMPTS_MAX 8

struct redis_call {
    struct list node; /* in held or deferred, or in no list while it is in flight */
    const struct redis_script *script;
    redis_callback callback;
    void *arg;
    unsigned attempts;
    size_t len;
    uint8_t command[];
};

struct script_load {
    struct list node; /* link->loads */
    struct redis_link *link;
    const struct redis_script *script;
};

static void prepare_script(struct redis_script *script)
{
    uint8_t digest[TLS_SHA1_SIZE];

    tls_sha1(bytes_from_string(script->source), digest);
    id_format_hex(digest, sizeof digest, script->sha1);
}

static struct redis_call *call_create(const struct redis_script *script, redis_callback callback,
                                      void *arg, size_t count, const struct bytes *args)
{
    size_t size = redis_format_size(count, args);
    struct redis_call *call = mem_alloc(sizeof *call + size);

    list_init(&call->node);
    call->script = script;
    call->callback = callback;
    call->arg = arg;
    call->attempts = 0;
    call->len = size;
    redis_format(call->command, count, args);
    return call;
}

/* Calls back and frees, in this order: the reply may be about nothing of ours. */
static void call_finish(struct redis_call *call, enum redis_status status,
                        const struct redis_reply *reply)
{
    redis_callback callback = call->callback;
    void *arg = call->arg;

    list_remove(&call->node);
    free(call);
    if (callback) {
        callback(arg, status, reply);
    }
}

static void call_send(struct redis_link *link, struct redis_call *call)
{
    list_remove(&call->node);
    redis_link_queue_call(link, call, (struct bytes){call->command, call->len});
}

static struct redis_call *first_call(const struct list *calls)
{
    return list_entry(calls->next, struct redis_call, node);
}

void redis_calls_lose(struct list *calls)
{
    while (!list_is_empty(calls)) {
        call_finish(first_call(calls), REDIS_LOST, NULL);
    }
}

static void resend_call(struct redis_link *link)
{
    while (!list_is_empty(&link->held)) {
        call_send(link, first_call(&link->held));
    }
    while (!list_is_empty(&link->deferred)) {
        call_send(link, first_call(&link->deferred));
    }
}

static struct redis_call *find_held(struct redis_link *link, const struct redis_script *script)
{
    LIST_FOREACH (node, &link->held) {
        struct redis_call *call = list_entry(node, struct redis_call, node);

        if (call->script == script) {
            return call;
        }
    }
    return NULL;
}

/* The load failed, and so have the calls that need it. Callbacks may close the connection; the load
 * stays in the list meanwhile, so that new calls are still deferred. */
static void refuse_held(struct redis_link *link, const struct redis_script *script,
                        const struct redis_reply *reply)
{
    struct redis_reader *reader = link->reader;
    struct redis_call *call;

    while (link->reader == reader && (call = find_held(link, script))) {
        call_finish(call, REDIS_REFUSED, reply);
    }
}

static void load_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    static const struct redis_reply wrong_hash = {
        .type = REDIS_ERROR, .text = {(const uint8_t *)"ERR unexpected script hash", 26}};
    struct script_load *load = arg;
    struct redis_link *link = load->link;
    struct redis_reader *reader = link->reader;

    if (status == REDIS_REFUSED) {
        refuse_held(link, load->script, reply);
    } else if (status == REDIS_OK &&
               !bytes_equal(reply->text, bytes_from_string(load->script->sha1))) {
        log_error("redis_script_hash_mismatch", LOG_STRING("link", link->name),
                  LOG_STRING("script", load->script->name), LOG_BYTES("hash", reply->text));
        refuse_held(link, load->script, &wrong_hash);
    }
    list_remove(&load->node);
    free(load);
    if (status != REDIS_LOST && link->reader == reader && list_is_empty(&link->loads)) {
        resend_call(link);
    }
}

static bool is_loading(const struct redis_link *link, const struct redis_script *script)
{
    LIST_FOREACH (node, &link->loads) {
        if (list_entry(node, struct script_load, node)->script == script) {
            return true;
        }
    }
    return false;
}

static void load_begin(struct redis_link *link, const struct redis_script *script)
{
    const struct bytes args[] = {BYTES_LITERAL("SCRIPT"), BYTES_LITERAL("LOAD"),
                                 bytes_from_string(script->source)};
    struct script_load *load = mem_alloc(sizeof *load);

    load->link = link;
    load->script = script;
    list_init(&load->node);
    list_append(&link->loads, &load->node);
    metrics_add(METRIC_REDIS_SCRIPT_LOADS, 1);
    log_info("redis_script_loaded", LOG_STRING("link", link->name),
             LOG_STRING("script", script->name), LOG_STRING("sha1", script->sha1));
    redis_link_queue(link,
                     &(struct redis_pending){.callback = load_replied, .arg = load, .expected = 1},
                     sizeof args / sizeof *args, args);
}

void redis_call_replied(struct redis_link *link, struct redis_call *call, enum redis_status status,
                        const struct redis_reply *reply)
{
    if (status != REDIS_REFUSED || redis_refusal_of(reply) != REDIS_REFUSAL_NOSCRIPT ||
        ++call->attempts > ATTEMPTS_MAX) {
        call_finish(call, status, reply);
        return;
    }
    list_append(&link->held, &call->node);
    if (!is_loading(link, call->script)) {
        load_begin(link, call->script);
    }
}

void redis_eval(struct redis_link *link, struct redis_script *script, redis_callback callback,
                void *arg, size_t keys, size_t count, const struct bytes *args)
{
    struct bytes *all;
    struct redis_call *call;
    uint8_t number[BYTES_DECIMAL_MAX];

    if (!redis_link_is_up(link)) {
        if (callback) {
            callback(arg, REDIS_DOWN, NULL);
        }
        return;
    }
    if (script->sha1[0] == '\0') {
        prepare_script(script);
    }
    all = mem_alloc((count + 3) * sizeof *all);
    all[0] = BYTES_LITERAL("EVALSHA");
    all[1] = bytes_from_string(script->sha1);
    all[2] = (struct bytes){number, bytes_write_decimal(number, keys)};
    if (count > 0) {
        memcpy(all + 3, args, count * sizeof *all);
    }
    call = call_create(script, callback, arg, count + 3, all);
    free(all);
    if (list_is_empty(&link->loads)) {
        call_send(link, call);
    } else {
        list_append(&link->deferred, &call->node);
    }
}
