/*
 * fake_store: what the fuzzed front-end finds in its Redis: the entries and rooms that it has
 * written. Nothing here judges as strictly as apply.lua does: whatever the front-end asks for is
 * answered, and published.
 */
#ifndef FUZZ_FAKE_STORE_H
#define FUZZ_FAKE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/mem.h"

#define FAKE_EPOCH "0123456789abcdef"

/* A field of an entry, or a member of a room. */
struct fake_field {
    struct list link;
    struct bytes name, value; /* owned */
};

/* An entry (client:<id>) or a room (room:<name>). */
struct fake_hash {
    struct list link;
    struct bytes name; /* owned */
    struct list fields;
    uint64_t due_ms; /* an orphan's end, or a registration's next probe */
    uint64_t seq;    /* of a room's last message */
};

struct fake_store {
    struct list entries, rooms;
    uint64_t revision, seq, born, links;
    struct bytes invited; /* owned: the last invitation */
    uint64_t now_ms;
    struct bytes forced; /* borrowed: the line of every result, until it is empty again */
    /* Delivers a message to a channel's subscribers; returns how many there are. */
    unsigned (*publish)(void *arg, struct bytes channel, struct bytes message);
    void *arg;
};

/* The arguments of a script: KEYS and ARGV, and the next of each. */
struct fake_call {
    const struct bytes *keys, *argv;
    size_t key_count, argv_count, key, arg;
    struct bytes prefix; /* of the partition */
    struct writer results, bodies, events;
    unsigned event_count;
};

static struct bytes fake_copy(struct bytes bytes)
{
    return (struct bytes){mem_dup(bytes.data, bytes.len), bytes.len};
}

static void fake_release(struct bytes *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct bytes){NULL, 0};
}

static struct fake_field *fake_find_field(struct fake_hash *hash, struct bytes name)
{
    LIST_FOREACH (node, &hash->fields) {
        struct fake_field *field = list_entry(node, struct fake_field, link);
        if (bytes_equal(field->name, name)) {
            return field;
        }
    }
    return NULL;
}

static struct bytes fake_get(struct fake_hash *hash, const char *name)
{
    struct fake_field *field = hash ? fake_find_field(hash, bytes_from_string(name)) : NULL;
    return field ? field->value : (struct bytes){NULL, 0};
}

static void fake_set(struct fake_hash *hash, struct bytes name, struct bytes value)
{
    struct fake_field *field = fake_find_field(hash, name);
    if (!field) {
        field = mem_zalloc(1, sizeof *field);
        list_init(&field->link);
        list_append(&hash->fields, &field->link);
        field->name = fake_copy(name);
    } else {
        fake_release(&field->value);
    }
    field->value = fake_copy(value);
}

static void fake_set_text(struct fake_hash *hash, const char *name, const char *value)
{
    fake_set(hash, bytes_from_string(name), bytes_from_string(value));
}

static void fake_drop_field(struct fake_field *field)
{
    list_remove(&field->link);
    fake_release(&field->name);
    fake_release(&field->value);
    free(field);
}

static void fake_unset(struct fake_hash *hash, struct bytes name)
{
    struct fake_field *field = fake_find_field(hash, name);
    if (field) {
        fake_drop_field(field);
    }
}

static struct fake_hash *fake_find(const struct list *hashes, struct bytes name)
{
    LIST_FOREACH (node, hashes) {
        struct fake_hash *hash = list_entry(node, struct fake_hash, link);
        if (bytes_equal(hash->name, name)) {
            return hash;
        }
    }
    return NULL;
}

static struct fake_hash *fake_add(struct list *hashes, struct bytes name)
{
    struct fake_hash *hash = mem_zalloc(1, sizeof *hash);
    list_init(&hash->link);
    list_init(&hash->fields);
    list_append(hashes, &hash->link);
    hash->name = fake_copy(name);
    return hash;
}

static void fake_drop(struct fake_hash *hash)
{
    LIST_FOREACH (node, &hash->fields) {
        fake_drop_field(list_entry(node, struct fake_field, link));
    }
    list_remove(&hash->link);
    fake_release(&hash->name);
    free(hash);
}

static void fake_store_init(struct fake_store *store)
{
    *store = (struct fake_store){.revision = 1};
    list_init(&store->entries);
    list_init(&store->rooms);
}

static void fake_store_free(struct fake_store *store)
{
    LIST_FOREACH (node, &store->entries) {
        fake_drop(list_entry(node, struct fake_hash, link));
    }
    LIST_FOREACH (node, &store->rooms) {
        fake_drop(list_entry(node, struct fake_hash, link));
    }
    fake_release(&store->invited);
}

/* What fields and messages are made of. */

static bool fake_is_private(struct bytes name)
{
    return bytes_equal(name, BYTES_LITERAL("session")) ||
           bytes_equal(name, BYTES_LITERAL("version")) ||
           bytes_equal(name, BYTES_LITERAL("resume")) ||
           bytes_equal(name, BYTES_LITERAL("certificate"));
}

static void fake_write_field(struct writer *to, struct bytes name, struct bytes value)
{
    writer_format(to, "%zu %zu\n", name.len, value.len);
    writer_bytes(to, name);
    writer_bytes(to, value);
}

static void fake_write_body(struct writer *to, struct fake_hash *entry)
{
    LIST_FOREACH (node, &entry->fields) {
        struct fake_field *field = list_entry(node, struct fake_field, link);
        if (!fake_is_private(field->name)) {
            fake_write_field(to, field->name, field->value);
        }
    }
}

static void fake_write_event(struct writer *to, const char *op, struct bytes id,
                             struct bytes version, struct bytes body)
{
    writer_format(to, "%s %zu %zu %zu\n", op, id.len, version.len, body.len);
    writer_bytes(to, id);
    writer_bytes(to, version);
    writer_bytes(to, body);
}

static void fake_add_event(struct fake_call *call, const char *op, struct fake_hash *entry)
{
    struct writer body = {0};
    bool is_full = strcmp(op, "orphan") != 0 && strcmp(op, "close") != 0;
    if (is_full) {
        fake_write_body(&body, entry);
    } else if (strcmp(op, "close") == 0) {
        fake_write_field(&body, BYTES_LITERAL("reason"), BYTES_LITERAL("closed"));
    }
    fake_write_event(&call->events, op, entry->name,
                     is_full ? fake_get(entry, "version") : (struct bytes){NULL, 0},
                     writer_bytes_written(&body));
    call->event_count++;
    writer_free(&body);
}

static void fake_publish_in(struct fake_store *store, struct bytes prefix, const char *kind,
                            struct bytes name, const struct writer *message)
{
    struct writer channel = {0};
    writer_bytes(&channel, prefix);
    writer_string(&channel, kind);
    writer_bytes(&channel, name);
    store->publish(store->arg, writer_bytes_written(&channel), writer_bytes_written(message));
    writer_free(&channel);
}

/* The status of the user whose device it is, or of the entry itself. */
static void fake_publish_status(struct fake_store *store, const struct fake_call *call,
                                struct fake_hash *entry, const char *status)
{
    struct writer message = {0};
    struct bytes user = fake_get(entry, "user");
    writer_format(&message, "1 %s %llu %s", FAKE_EPOCH, (unsigned long long)++store->seq, status);
    fake_publish_in(store, call->prefix, "presence:", user.data ? user : entry->name, &message);
    writer_free(&message);
}

/* Arguments. */

static struct bytes fake_next(struct fake_call *call)
{
    return call->arg < call->argv_count ? call->argv[call->arg++] : (struct bytes){NULL, 0};
}

static struct bytes fake_next_key(struct fake_call *call)
{
    return call->key < call->key_count ? call->keys[call->key++] : (struct bytes){NULL, 0};
}

static struct bytes fake_behind(struct bytes key, struct bytes prefix, size_t more)
{
    size_t skip = prefix.len + more;
    return key.len > skip ? (struct bytes){key.data + skip, key.len - skip}
                          : (struct bytes){NULL, 0};
}

/* n {field value}: into the entry, or skipped. */
static void fake_take_fields(struct fake_call *call, struct fake_hash *into)
{
    uint64_t count = bytes_decimal(fake_next(call));
    for (uint64_t i = 0; i + 1 < count && call->arg < call->argv_count; i += 2) {
        struct bytes name = fake_next(call), value = fake_next(call);
        if (into) {
            fake_set(into, name, value);
        }
    }
}

static void fake_set_version(struct fake_hash *entry, uint64_t version)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    fake_set_text(entry, "version", text);
}

static void fake_ok(struct fake_call *call, struct fake_hash *entry)
{
    struct bytes version = fake_get(entry, "version");
    writer_format(&call->results, "ok %.*s", (int)version.len, (const char *)version.data);
}

/* Operations on entries: open, claim, restore and their like. */
static void fake_own(struct fake_store *store, struct fake_call *call, struct bytes id,
                     struct bytes session, uint64_t version)
{
    struct fake_hash *entry = fake_find(&store->entries, id);
    const char *op = entry ? "adopt" : "open";
    if (!entry) {
        entry = fake_add(&store->entries, id);
        fake_set_text(entry, "since", "1700000000000");
    }
    entry->due_ms = 0;
    fake_set(entry, BYTES_LITERAL("session"), session);
    fake_set(entry, BYTES_LITERAL("node"), call->argv[1]);
    fake_set_version(entry, version);
    fake_take_fields(call, entry);
    fake_add_event(call, op, entry);
    fake_publish_status(store, call, entry, "online");
    fake_ok(call, entry);
}

static bool fake_is_owner(struct fake_hash *entry, struct bytes session)
{
    return entry && bytes_equal(fake_get(entry, "session"), session);
}

static void fake_update(struct fake_store *store, struct fake_call *call, struct bytes id,
                        bool of_fields)
{
    struct bytes session = fake_next(call);
    uint64_t version = bytes_decimal(fake_next(call));
    struct fake_hash *entry = fake_find(&store->entries, id);
    bool may = fake_is_owner(entry, session) && version > bytes_decimal(fake_get(entry, "version"));
    struct fake_hash *into = may ? entry : NULL;
    if (of_fields) {
        fake_take_fields(call, into);
        for (uint64_t m = bytes_decimal(fake_next(call)); m > 0 && call->arg < call->argv_count;
             m--) {
            struct bytes name = fake_next(call);
            if (into) {
                fake_unset(into, name);
            }
        }
    } else {
        struct bytes state = fake_next(call);
        if (into) {
            fake_set(into, BYTES_LITERAL("state"), state);
        }
    }
    if (into) {
        fake_set_version(into, version);
        fake_add_event(call, "update", into);
        writer_string(&call->results, "ok");
    } else {
        writer_string(&call->results, entry ? "stale" : "missing");
    }
}

static void fake_claim(struct fake_store *store, struct fake_call *call, struct bytes id)
{
    struct bytes session = fake_next(call), version = fake_next(call);
    struct fake_hash *entry = fake_find(&store->entries, id);
    uint64_t stored = bytes_decimal(fake_get(entry, "version")), wanted = stored + 1;
    (void)fake_next(call); /* the rule */
    if (version.len > 1 && version.data[0] == '=') {
        wanted = bytes_decimal((struct bytes){version.data + 1, version.len - 1});
    }
    if (entry && wanted <= stored) {
        fake_take_fields(call, NULL);
        writer_string(&call->results, "stale");
    } else if (entry && fake_get(entry, "node").len > 0 && !fake_is_owner(entry, session)) {
        fake_take_fields(call, NULL);
        writer_string(&call->results, "owned other 9999999999999");
    } else {
        fake_own(store, call, id, session, wanted);
    }
}

static void fake_resume(struct fake_store *store, struct fake_call *call, struct bytes id)
{
    struct fake_hash *entry = fake_find(&store->entries, id);
    struct bytes session = fake_next(call), secret = fake_next(call);
    struct writer body = {0};
    if (!entry || !bytes_equal(fake_get(entry, "resume"), secret)) {
        fake_take_fields(call, NULL);
        writer_string(&call->results, "missing");
        return;
    }
    fake_own(store, call, id, session, bytes_decimal(fake_get(entry, "version")));
    fake_write_body(&body, entry);
    writer_format(&call->results, " %zu", body.len);
    writer_bytes(&call->bodies, writer_bytes_written(&body));
    writer_free(&body);
}

static void fake_end(struct fake_store *store, struct fake_call *call, struct fake_hash *entry)
{
    if (!entry) {
        writer_string(&call->results, "missing");
        return;
    }
    fake_add_event(call, "close", entry);
    fake_publish_status(store, call, entry, "offline");
    writer_string(&call->results, "ok ended 1700000000000 ");
    writer_bytes(&call->results, fake_get(entry, "session"));
    writer_string(&call->results, " ");
    writer_bytes(&call->results, fake_get(entry, "version"));
    fake_drop(entry);
}

static void fake_orphan(struct fake_store *store, struct fake_call *call, struct fake_hash *entry)
{
    if (!entry || fake_get(entry, "node").len == 0) {
        writer_string(&call->results, "missing");
        return;
    }
    fake_set_text(entry, "node", "");
    entry->due_ms = store->now_ms + 5000;
    fake_add_event(call, "orphan", entry);
    writer_string(&call->results, "ok");
}

static void fake_register(struct fake_store *store, struct fake_call *call, struct bytes id)
{
    uint64_t first = bytes_decimal(fake_next(call));
    struct fake_hash *entry = fake_find(&store->entries, id);
    const char *op = entry ? "update" : "open";
    (void)fake_next(call); /* restores */
    entry = entry ? entry : fake_add(&store->entries, id);
    fake_set_text(entry, "session", "00000000000000000000000000000000");
    fake_set_text(entry, "node", "");
    fake_set_text(entry, "since", "1700000000000");
    fake_set_version(entry, bytes_decimal(fake_get(entry, "version")) + 1);
    fake_take_fields(call, entry);
    entry->due_ms = store->now_ms + first;
    fake_add_event(call, op, entry);
    writer_string(&call->results, "ok");
}

static void fake_probe(struct fake_store *store, struct fake_call *call, struct fake_hash *entry)
{
    uint64_t number = bytes_decimal(fake_get(entry, "probe")) + 1;
    char text[24];
    if (!entry || number > 3) {
        fake_end(store, call, entry);
        return;
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    fake_set_text(entry, "probe", text);
    entry->due_ms = store->now_ms + 2000;
    writer_format(&call->results, "ok %s", text);
}

#endif
