/*
 * fake_scripts: the answers of the scripts of pkg/schema/scripts, written as RESP. apply is
 * answered operation by operation from fake_store.
 */
#ifndef FUZZ_FAKE_SCRIPTS_H
#define FUZZ_FAKE_SCRIPTS_H

#include <string.h>

#include "fake_rooms.h"
#include "schema/scripts.h"
#include "tls/digest.h"

static void resp_bulk(struct writer *to, struct bytes text)
{
    writer_format(to, "$%zu\r\n", text.len);
    writer_bytes(to, text);
    writer_string(to, "\r\n");
}

static void resp_text(struct writer *to, const char *text)
{
    resp_bulk(to, bytes_from_string(text));
}

static void resp_number(struct writer *to, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    resp_text(to, text);
}

static void fake_apply_op(struct fake_store *store, struct fake_call *call)
{
    struct bytes name = fake_next(call), key = fake_next_key(call);
    struct bytes id = fake_behind(key, call->prefix, strlen("client:"));
    struct bytes of_room = fake_behind(key, call->prefix, strlen("room:"));
    struct fake_hash *entry = fake_find(&store->entries, id);
    char op[16];
    snprintf(op, sizeof op, "%.*s", (int)name.len, (const char *)name.data);
    if (!strcmp(op, "open") || !strcmp(op, "alone")) {
        fake_own(store, call, id, fake_next(call), 0);
    } else if (!strcmp(op, "restore") || !strcmp(op, "refresh")) {
        struct bytes session = fake_next(call);
        fake_own(store, call, id, session, bytes_decimal(fake_next(call)));
    } else if (!strcmp(op, "update") || !strcmp(op, "set")) {
        fake_update(store, call, id, op[0] == 's');
    } else if (!strcmp(op, "claim")) {
        fake_claim(store, call, id);
    } else if (!strcmp(op, "resume")) {
        fake_resume(store, call, id);
    } else if (!strcmp(op, "close")) {
        (void)fake_next(call);
        (void)fake_next(call);
        fake_end(store, call, entry);
    } else if (!strcmp(op, "ended")) {
        call->arg += 3;
        fake_end(store, call, entry);
    } else if (!strcmp(op, "reap") || !strcmp(op, "unregister")) {
        fake_end(store, call, entry);
    } else if (!strcmp(op, "orphan")) {
        (void)fake_next(call);
        fake_orphan(store, call, entry);
    } else if (!strcmp(op, "orphan_node") || !strcmp(op, "forget_node")) {
        (void)fake_next(call);
        (void)fake_next_key(call);
        writer_string(&call->results, "ok");
    } else if (!strcmp(op, "register")) {
        fake_register(store, call, id);
    } else if (!strcmp(op, "probe")) {
        fake_probe(store, call, entry);
    } else if (!strcmp(op, "join")) {
        fake_join(store, call, of_room);
    } else if (!strcmp(op, "leave") || !strcmp(op, "evict_member")) {
        fake_leave(store, call, of_room);
    } else if (!strcmp(op, "publish")) {
        fake_say(store, call, of_room);
    } else {
        writer_string(&call->results, "ok"); /* offline, probe_soon, or one that is new */
    }
}

static void fake_apply(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    struct writer text = {0}, message = {0};
    call->key = 5;
    call->arg = 6;
    while (call->arg < call->argv_count && call->key < call->key_count) {
        size_t start = call->results.len;
        fake_apply_op(store, call);
        if (store->forced.len > 0) {
            call->results.len = start;
            writer_bytes(&call->results, store->forced);
        }
        writer_string(&call->results, "\n");
    }
    if (call->event_count > 0) {
        writer_format(&message, "1 %s %llu %u\n", FAKE_EPOCH,
                      (unsigned long long)(store->revision + 1), call->event_count);
        writer_bytes(&message, writer_bytes_written(&call->events));
        store->revision += call->event_count;
        store->publish(store->arg, call->keys[4], writer_bytes_written(&message));
    }
    writer_format(&text, "ok %llu %llu\n", (unsigned long long)store->revision,
                  (unsigned long long)store->now_ms);
    writer_bytes(&text, writer_bytes_written(&call->results));
    writer_bytes(&text, writer_bytes_written(&call->bodies));
    resp_bulk(reply, writer_bytes_written(&text));
    writer_free(&text);
    writer_free(&message);
}

static void fake_hello(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    writer_string(reply, "*8\r\n");
    resp_text(reply, "ok");
    resp_text(reply, FAKE_EPOCH);
    resp_number(reply, store->revision);
    resp_number(reply, ++store->links);
    resp_number(reply, store->now_ms);
    resp_number(reply, store->now_ms);
    writer_string(reply, ":0\r\n:1\r\n");
}

/* The orphans, or the registrations, that are due. */
static void fake_write_due(struct fake_store *store, struct writer *reply, bool registered)
{
    struct writer list = {0};
    unsigned count = 0;
    LIST_FOREACH (node, &store->entries) {
        struct fake_hash *entry = list_entry(node, struct fake_hash, link);
        bool is_registered = fake_get(entry, "registered").data != NULL;
        if (entry->due_ms == 0 || entry->due_ms > store->now_ms || is_registered != registered) {
            continue;
        }
        struct writer member = {0};
        writer_string(&member, registered ? "" : "c:");
        writer_bytes(&member, entry->name);
        resp_bulk(&list, writer_bytes_written(&member));
        writer_free(&member);
        count++;
    }
    writer_format(reply, "*%u\r\n", count);
    writer_bytes(reply, writer_bytes_written(&list));
    writer_free(&list);
}

static unsigned fake_count_owned(struct fake_store *store)
{
    unsigned count = 0;
    LIST_FOREACH (node, &store->entries) {
        count += fake_get(list_entry(node, struct fake_hash, link), "node").len > 0;
    }
    return count;
}

static unsigned fake_count_members(struct fake_store *store)
{
    unsigned count = 0;
    LIST_FOREACH (node, &store->rooms) {
        LIST_FOREACH (member, &list_entry(node, struct fake_hash, link)->fields) {
            count++;
        }
    }
    return count;
}

static void fake_sweep(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    writer_string(reply, "*11\r\n");
    resp_text(reply, "ok");
    resp_number(reply, store->revision);
    resp_number(reply, store->now_ms);
    resp_number(reply, store->now_ms);
    writer_format(reply, ":%u\r\n", fake_count_owned(store));
    fake_write_due(store, reply, false);
    writer_string(reply, "*0\r\n");
    writer_format(reply, ":%u\r\n", fake_count_members(store));
    fake_write_due(store, reply, true);
    resp_number(reply, fake_count_owned(store));
    writer_string(reply, ":1\r\n");
}

static void fake_read(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    struct writer events = {0}, message = {0}, body = {0};
    unsigned count = 0;
    for (size_t i = 1; i < call->key_count; i++) {
        struct fake_hash *entry =
            fake_find(&store->entries, fake_behind(call->keys[i], call->prefix, strlen("client:")));
        if (entry) {
            writer_reset(&body);
            fake_write_body(&body, entry);
            fake_write_event(&events, "entry", entry->name, fake_get(entry, "version"),
                             writer_bytes_written(&body));
            count++;
        }
    }
    writer_format(&message, "1 %s %llu %u\n", FAKE_EPOCH, (unsigned long long)store->revision,
                  count);
    writer_bytes(&message, writer_bytes_written(&events));
    resp_bulk(reply, writer_bytes_written(&message));
    writer_free(&body);
    writer_free(&events);
    writer_free(&message);
}

static void fake_shared(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    size_t fields = call->argv_count > 2 ? call->argv_count - 2 : 0;
    writer_format(reply, "*%zu\r\n", fields + 3);
    resp_text(reply, "1");
    resp_number(reply, store->now_ms);
    resp_text(reply, "");
    for (size_t i = 0; i < fields; i++) {
        resp_bulk(reply, call->argv[2 + i]);
    }
}

static bool fake_is_present(struct fake_store *store, struct bytes user)
{
    LIST_FOREACH (node, &store->entries) {
        if (bytes_equal(fake_get(list_entry(node, struct fake_hash, link), "user"), user)) {
            return true;
        }
    }
    return false;
}

static void fake_presence(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    struct writer text = {0};
    writer_format(&text, "1 %s %llu 0\n", FAKE_EPOCH, (unsigned long long)store->seq);
    for (size_t i = 1; i <= (call->key_count - 1) / 2; i++) {
        struct bytes user = fake_behind(call->keys[i], call->prefix, strlen("user:"));
        writer_u8(&text, fake_is_present(store, user) ? '1' : '0');
    }
    resp_bulk(reply, writer_bytes_written(&text));
    writer_free(&text);
}

/* The front-ends of the user's devices, each with the device's id behind it or not. */
static void fake_write_devices(struct fake_store *store, struct writer *reply, struct bytes user,
                               bool with_ids)
{
    struct writer list = {0};
    unsigned count = 0;
    LIST_FOREACH (node, &store->entries) {
        struct fake_hash *entry = list_entry(node, struct fake_hash, link);
        if (bytes_equal(fake_get(entry, "user"), user)) {
            resp_bulk(&list, fake_get(entry, "node"));
            count++;
            if (with_ids) {
                resp_bulk(&list, entry->name);
                count++;
            }
        }
    }
    writer_format(reply, "*%u\r\n", count);
    writer_bytes(reply, writer_bytes_written(&list));
    writer_free(&list);
}

static void fake_older_devices(struct fake_store *store, struct fake_call *call,
                               struct writer *reply)
{
    fake_write_devices(store, reply, fake_behind(call->keys[0], call->prefix, strlen("user:")),
                       true);
}

static void fake_invite(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    struct writer text = {0};
    writer_string(&text, "1999999999999.00 ");
    writer_bytes(&text, fake_next(call));
    fake_release(&store->invited);
    store->invited = fake_copy(writer_bytes_written(&text));
    writer_string(reply, "*2\r\n");
    resp_bulk(reply, store->invited);
    fake_write_devices(store, reply, fake_behind(call->keys[3], call->prefix, strlen("user:")),
                       false);
    writer_free(&text);
}

static void fake_room(struct fake_store *store, struct fake_call *call, struct writer *reply)
{
    struct fake_hash *room =
        fake_find(&store->rooms, fake_behind(call->keys[1], call->prefix, strlen("room:")));
    struct writer text = {0}, users = {0}, mine = {0};
    unsigned count = 0;
    if (room) {
        LIST_FOREACH (node, &room->fields) {
            const struct fake_field *member = list_entry(node, struct fake_field, link);
            writer_format(&users, "%zu 1\n", member->value.len);
            writer_bytes(&users, member->value);
            writer_format(&mine, "%zu\n", member->name.len);
            writer_bytes(&mine, member->name);
            count++;
        }
    }
    writer_format(&text, "1 %s %llu %llu ", FAKE_EPOCH,
                  (unsigned long long)(room ? room->due_ms : 0),
                  (unsigned long long)(room ? room->seq : 0));
    size_t place = text.len;
    struct bytes mark = call->argv_count > 1 ? call->argv[1] : (struct bytes){NULL, 0};
    if (mark.len > 0 && mark.data[0] != '0') {
        writer_string(&text, "mark ");
        writer_bytes(&text, call->argv[0]);
        writer_string(&text, " ");
        writer_bytes(&text, mark);
        store->publish(store->arg, call->keys[2], writer_bytes_written(&text));
        text.len = place;
    }
    writer_format(&text, "%u %u\n", count, count);
    writer_bytes(&text, writer_bytes_written(&users));
    writer_bytes(&text, writer_bytes_written(&mine));
    resp_bulk(reply, writer_bytes_written(&text));
    writer_free(&text);
    writer_free(&users);
    writer_free(&mine);
}

static const struct fake_script {
    const char *source;
    void (*answer)(struct fake_store *store, struct fake_call *call, struct writer *reply);
} fake_scripts[] = {{script_apply, fake_apply},
                    {script_hello, fake_hello},
                    {script_sweep, fake_sweep},
                    {script_read, fake_read},
                    {script_shared, fake_shared},
                    {script_invite, fake_invite},
                    {script_presence, fake_presence},
                    {script_room, fake_room},
                    {script_older_devices, fake_older_devices}};

#define FAKE_SCRIPTS (sizeof fake_scripts / sizeof *fake_scripts)

static void fake_script_hash(struct bytes source, char hash[41])
{
    uint8_t digest[TLS_SHA1_SIZE];
    tls_sha1(source, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
    }
}

/* EVALSHA hash count key... argument...; an unknown script is an error of the fuzzer. */
static void fake_eval(struct fake_store *store, const struct bytes *args, size_t count,
                      struct writer *reply)
{
    static char hashes[FAKE_SCRIPTS][41];
    size_t keys = count > 2 ? (size_t)bytes_decimal(args[2]) : 0;
    if (count < 4 || keys < 1 || keys > count - 3) {
        writer_string(reply, "-ERR arguments\r\n");
        return;
    }
    struct fake_call call = {.keys = args + 3,
                             .argv = args + 3 + keys,
                             .key_count = keys,
                             .argv_count = count - 3 - keys,
                             .prefix = args[3]};
    const uint8_t *brace = memrchr(args[3].data, '}', args[3].len);
    if (brace) {
        call.prefix.len = (size_t)(brace - args[3].data) + 2;
    }
    for (size_t i = 0; i < FAKE_SCRIPTS; i++) {
        if (!hashes[i][0]) {
            fake_script_hash(bytes_from_string(fake_scripts[i].source), hashes[i]);
        }
        if (bytes_equal(args[1], bytes_from_string(hashes[i]))) {
            fake_scripts[i].answer(store, &call, reply);
            writer_free(&call.results);
            writer_free(&call.bodies);
            writer_free(&call.events);
            return;
        }
    }
    writer_string(reply, "-NOSCRIPT no such script\r\n");
}

#endif
