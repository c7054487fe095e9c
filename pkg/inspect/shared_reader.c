#include "inspect/shared_reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "map/shared.h"
#include "schema/keys.h"
#include "schema/scripts.h"

struct stored_reply {
    struct reader *reader;
    const char *key;
    struct map_shared *shared;
};

static void on_stored(void *arg, const struct redis_reply *reply)
{
    struct stored_reply *stored = arg;
    char *why = NULL;
    if (reply->type == REDIS_ARRAY) {
        for (size_t i = 0; i + 1 < reply->count; i += 2) {
            if (bytes_equal(reply->elements[i]->text, BYTES_LITERAL(".revision"))) {
                stored->shared->revision = bytes_decimal(reply->elements[i + 1]->text);
            }
        }
        why = shared_set_values(&stored->shared->values, reply, 0);
    } else {
        why = mem_format("%.*s", (int)reply->text.len, (const char *)reply->text.data);
    }
    if (why) {
        reader_fail(stored->reader, READER_REFUSED, "%s: %s", stored->key, why);
    }
    free(why);
}

bool map_shared_read(struct reader *reader, const char *prefix, struct map_shared *shared)
{
    char *key = keys_shared(prefix);
    struct stored_reply stored = {reader, key, shared};
    struct bytes args[] = {BYTES_LITERAL("HGETALL"), bytes_from_string(key)};
    shared->revision = 0;
    reader_command(reader, on_stored, &stored, 2, args);
    bool fine = reader_wait(reader);
    free(key);
    return fine;
}

struct write_reply {
    bool ok;
    uint64_t revision;
};

static void on_written(void *arg, const struct redis_reply *reply)
{
    struct write_reply *written = arg;
    if (reply->type == REDIS_ARRAY && reply->count == 2 &&
        bytes_equal(reply->elements[0]->text, BYTES_LITERAL("ok"))) {
        written->ok = true;
        written->revision = bytes_decimal(reply->elements[1]->text);
    }
}

enum map_shared_result map_shared_write(struct reader *reader, const char *prefix,
                                        struct map_shared *shared,
                                        const struct map_settings *wanted)
{
    static struct redis_script script = {.name = "shared_set", .source = script_shared_set};
    struct bytes args[3 + 2 * SHARED_SETTINGS_MAX];
    char *texts[SHARED_SETTINGS_MAX], read[24], lease[24], *key = keys_shared(prefix);
    struct map_settings next = *wanted;
    struct write_reply written = {.ok = false};
    const struct config_setting *setting;
    size_t count = 0, used = 0;
    const int64_t before = shared->values.lease,
                  longest = before > next.lease ? before : next.lease;
    snprintf(read, sizeof read, "%llu", (unsigned long long)shared->revision);
    snprintf(lease, sizeof lease, "%lld", (long long)longest);
    args[count++] = bytes_from_string(key);
    args[count++] = bytes_from_string(read);
    args[count++] = bytes_from_string(lease);
    for (size_t i = 0; (setting = map_shared_setting(i)); i++) {
        if (*shared_field(setting, &next) != *shared_field(setting, &shared->values)) {
            texts[used] = config_value_text(setting, &next);
            args[count++] = bytes_from_string(map_shared_field(setting));
            args[count++] = bytes_from_string(texts[used++]);
        }
    }
    reader_eval(reader, &script, on_written, &written, 1, count, args);
    bool fine = reader_wait(reader);
    while (used > 0) {
        free(texts[--used]);
    }
    free(key);
    if (!fine) {
        return MAP_SHARED_FAILED;
    }
    if (!written.ok) {
        return MAP_SHARED_CHANGED;
    }
    shared->values = next;
    shared->revision = written.revision;
    return MAP_SHARED_OK;
}
