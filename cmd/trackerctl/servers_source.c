/*
 * servers_source: see servers_source.h. Each server is written as the line that a lobby would send,
 * and parsed by the lobby's codec.
 */
#include "servers_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/lobby_text.h"
#include "schema/keys.h"
#include "servers_api.h"

#define VALUES_MAX 8000000
#define UNDER_WAY  1000 /* commands */

struct source_entry {
    UT_hash_handle hh; /* by id, which is its message's */
    struct writer line;
    struct lobby_message message; /* one server */
    unsigned seen;                /* the number of the last read that contained it */
};

struct servers_source {
    struct ctl *ctl;
    const char *target;
    struct source_entry *entries;
    unsigned readings;
    servers_source_changed changed;
    void *arg;
};

/* An id whose fields are being read. */
struct source_key {
    struct servers_source *source;
    struct source_key *next;
    uint32_t partition;
    size_t len;
    uint8_t id[];
};

struct source_keys {
    struct servers_source *source;
    struct source_key *first;
};

struct servers_source *servers_source_create(struct ctl *ctl, const char *target)
{
    struct servers_source *source = mem_zalloc(1, sizeof *source);

    source->ctl = ctl;
    source->target = target;
    return source;
}

static void free_source_entry(struct source_entry *entry)
{
    lobby_message_free(&entry->message);
    writer_free(&entry->line);
    free(entry);
}

void servers_source_destroy(struct servers_source **pointer)
{
    struct servers_source *source = *pointer;
    struct source_entry *entry, *next;

    *pointer = NULL;
    if (!source) {
        return;
    }
    HASH_ITER (hh, source->entries, entry, next) {
        HASH_DEL(source->entries, entry);
        free_source_entry(entry);
    }
    free(source);
}

/* A server as a line of type up, without its end. Takes ownership of the line. */
static void take_server_line(struct servers_source *source, struct writer *line)
{
    static const struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;
    struct lobby_limits generous = limits;
    struct lobby_error error = {0};
    struct source_entry *entry = mem_zalloc(1, sizeof *entry), *old;
    struct bytes id;

    entry->line = *line;
    *line = (struct writer){0};
    generous.json.bytes = entry->line.len;
    generous.json.keys = 1024;
    if (entry->line.failed || !lobby_read(writer_bytes_written(&entry->line), LOBBY_FROM_TRACKER,
                                          &generous, &entry->message, &error)) {
        writer_free(&entry->line);
        free(entry);
        return;
    }
    entry->seen = source->readings;
    id = entry->message.servers[0].id;
    HASH_FIND(hh, source->entries, id.data, id.len, old);
    if (old && bytes_equal(writer_bytes_written(&old->line), writer_bytes_written(&entry->line))) {
        old->seen = source->readings;
        free_source_entry(entry);
        return;
    }
    if (old) {
        HASH_DEL(source->entries, old);
    }
    HASH_ADD_KEYPTR(hh, source->entries, id.data, id.len, entry);
    source->changed(source->arg, old ? SERVER_LIST_UPDATED : SERVER_LIST_ADDED,
                    &entry->message.servers[0]);
    if (old) {
        free_source_entry(old);
    }
}

static void drop_unseen_entries(struct servers_source *source)
{
    struct source_entry *entry, *next;

    HASH_ITER (hh, source->entries, entry, next) {
        if (entry->seen == source->readings) {
            continue;
        }
        HASH_DEL(source->entries, entry);
        source->changed(source->arg, SERVER_LIST_REMOVED, &entry->message.servers[0]);
        free_source_entry(entry);
    }
}

static struct json_writer begin_line(struct writer *line)
{
    struct json_writer json = json_writer_over(line);

    json_write_object_begin(&json);
    json_write_member(&json, "type", BYTES_LITERAL("up"));
    json_write_name(&json, "server");
    json_write_object_begin(&json);
    return json;
}

static void end_line(struct json_writer *json)
{
    json_write_object_end(json);
    json_write_object_end(json);
}

/* From the API. */

static void take_api_server(struct servers_source *source, const struct json_value *server)
{
    static const char *const own[] = {"id", "ip", "port", "state", "since"};
    const struct json_value *infos = json_value_member(server, "infos"), *member;
    struct writer line = {0};
    struct json_writer json = begin_line(&line);

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        member = json_value_member(server, own[i]);
        if (member) {
            json_write_source(&json, member);
        }
    }
    for (member = infos ? json_value_first(infos) : NULL; member;
         member = json_value_next(member)) {
        if (!lobby_is_reserved(json_value_key(member))) {
            json_write_source(&json, member);
        }
    }
    end_line(&json);
    take_server_line(source, &line);
}

static char *take_api_answer(struct servers_source *source, struct bytes answer)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    const uint8_t *end = answer.len > 0 ? memmem(answer.data, answer.len, "\r\n\r\n", 4) : NULL;
    struct json_document *document;
    const struct json_value *servers;

    if (!end || answer.len < 12 || memcmp(answer.data, "HTTP/1.", 7) != 0) {
        return mem_strdup("the answer is not HTTP");
    }
    if (memcmp(answer.data + 9, "200", 3) != 0) {
        return mem_format("the API answers %.3s", (const char *)answer.data + 9);
    }
    limits.bytes = SERVERS_API_ANSWER_MAX;
    limits.values = VALUES_MAX;
    limits.keys = 1024;
    document = json_document_parse(
        (struct bytes){end + 4, answer.len - (size_t)(end + 4 - answer.data)}, &limits, &error);
    servers = document ? json_value_require(json_document_root(document), "servers",
                                            JSON_TYPE_ARRAY, &error)
                       : NULL;
    for (const struct json_value *one = servers ? json_value_first(servers) : NULL; one;
         one = json_value_next(one)) {
        take_api_server(source, one);
    }
    json_document_free(&document);
    return servers ? NULL : mem_format("the API's answer: %s", error.text);
}

static char *read_api(struct servers_source *source)
{
    struct writer answer = {0};
    char *problem = servers_api_read(source->ctl, source->target, &answer);

    if (!problem) {
        problem = take_api_answer(source, writer_bytes_written(&answer));
    }
    writer_free(&answer);
    return problem;
}

/* From Redis (docs/redis-keys.md). */

static struct bytes reply_field(const struct redis_reply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        if (bytes_equal(reply->elements[i]->text, bytes_from_string(name))) {
            return reply->elements[i + 1]->text;
        }
    }
    return (struct bytes){0};
}

/* A server of the master, with the lobby's names of properties, as in all lists for people. */
static const struct {
    const char *word, *field;
    bool is_number;
} words[] = {{"description", "p:hostname", false},
             {"map", "p:mapname", false},
             {"game", "p:gamename", false},
             {"players", "p:clients", true},
             {"max_players", "p:sv_maxclients", true}};

static bool is_reserved_name(struct bytes name)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (bytes_equal(name, bytes_from_string(words[i].word))) {
            return true;
        }
    }
    return false;
}

static void write_words(struct json_writer *json, const struct redis_reply *reply)
{
    const struct json_limits limits = JSON_LIMITS_DEFAULT;

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct json_error error = {0};
        struct json_document *document =
            json_document_parse(reply_field(reply, words[i].field), &limits, &error);
        struct writer plain = {0};
        struct bytes text;

        if (document && json_value_text(json_document_root(document), &text, &error)) {
            json_write_name(json, words[i].word);
            lobby_text_write_plain(&plain, text);
            if (words[i].is_number) {
                json_write_integer(json, (int64_t)(bytes_decimal(text) & INT32_MAX));
            } else {
                json_write_text(json, writer_bytes_written(&plain));
            }
        }
        writer_free(&plain);
        json_document_free(&document);
    }
}

static void write_said(struct json_writer *json, const struct redis_reply *reply, bool registered)
{
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        struct bytes name = reply->elements[i]->text, value = reply->elements[i + 1]->text;

        if (name.len <= 2 || memcmp(name.data, "p:", 2) != 0) {
            continue;
        }
        name.data += 2;
        name.len -= 2;
        if (json_is_text(name) && json_scalar_is_valid(value) && !lobby_is_reserved(name) &&
            !(registered && is_reserved_name(name))) {
            json_write_key(json, name);
            json_write_raw(json, value);
        }
    }
}

static void on_server_fields(void *arg, const struct redis_reply *reply)
{
    const struct source_key *key = arg;
    struct address address;
    struct writer line = {0};
    struct json_writer json;
    char text[ADDRESS_TEXT_SIZE];
    bool registered;

    if (reply->type != REDIS_ARRAY || key->len >= sizeof text || memchr(key->id, 0, key->len)) {
        return;
    }
    memcpy(text, key->id, key->len);
    text[key->len] = 0;
    registered = bytes_equal(reply_field(reply, "protocol"), BYTES_LITERAL("q3master"));
    if (!address_parse(text, &address) ||
        (!registered && !bytes_equal(reply_field(reply, "protocol"), BYTES_LITERAL("lobby")))) {
        return;
    }
    json = begin_line(&line);
    json_write_member(&json, "id", (struct bytes){key->id, key->len});
    json_write_member(&json, "ip", bytes_from_string(address_format_ip(&address, text)));
    json_write_name(&json, "port");
    json_write_integer(&json, address.port);
    json_write_name(&json, "since");
    json_write_integer(&json, (int64_t)(bytes_decimal(reply_field(reply, "since")) & INT64_MAX));
    json_write_member(&json, "state",
                      bytes_equal(reply_field(reply, "suspect"), BYTES_LITERAL("1"))
                          ? BYTES_LITERAL("suspect")
                          : BYTES_LITERAL("live"));
    if (registered) {
        write_words(&json, reply);
    }
    write_said(&json, reply, registered);
    end_line(&json);
    take_server_line(key->source, &line);
}

static void on_server_key(void *arg, uint32_t partition, struct bytes name)
{
    struct source_keys *keys = arg;
    const size_t skip = strlen("client:");
    struct source_key *key = mem_zalloc(1, sizeof *key + name.len);

    key->source = keys->source;
    key->partition = partition;
    key->len = name.len - skip;
    memcpy(key->id, name.data + skip, key->len);
    key->next = keys->first;
    keys->first = key;
}

static void request_server_fields(struct reader *reader, const struct reader_space *space,
                                  struct source_key *key)
{
    struct writer text = {0};
    char *prefix =
        keys_partition_prefix(space->prefix, space->name, space->partitions, key->partition);
    const struct bytes args[] = {
        BYTES_LITERAL("HGETALL"),
        keys_write(&text, prefix, "client:", (struct bytes){key->id, key->len})};

    reader_command(reader, on_server_fields, key, 2, args);
    writer_free(&text);
    free(prefix);
}

static char *read_redis(struct servers_source *source)
{
    struct ctl *ctl = source->ctl;
    struct reader_space space = {.prefix = ctl->redis.prefix, .name = ctl->space};
    struct source_keys keys = {.source = source};
    bool is_read;

    if (reader_problem(ctl->reader) != READER_FINE && !ctl_reconnect(ctl)) {
        return mem_strdup("Redis is unreachable");
    }
    is_read = reader_read_partitions(ctl->reader, space.prefix, space.name, &space.partitions) &&
              reader_each_key(ctl->reader, &space, "client:", on_server_key, &keys);
    for (struct source_key *key = keys.first; key && is_read; key = key->next) {
        request_server_fields(ctl->reader, &space, key);
        is_read = reader_wait_below(ctl->reader, UNDER_WAY);
    }
    is_read = is_read && reader_wait(ctl->reader);
    while (keys.first) {
        struct source_key *key = keys.first;

        keys.first = key->next;
        free(key);
    }
    return is_read ? NULL : mem_strdup(reader_error(ctl->reader));
}

char *servers_source_read(struct servers_source *source, servers_source_changed changed, void *arg)
{
    char *problem;

    source->changed = changed;
    source->arg = arg;
    source->readings++;
    problem = source->target ? read_api(source) : read_redis(source);
    if (!problem) {
        drop_unseen_entries(source);
    }
    return problem;
}
