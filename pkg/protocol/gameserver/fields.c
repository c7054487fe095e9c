/*
 * Writing a game server's properties as fields: see gameserver.h.
 *
 * While fields are added, the text that they borrow from may move, so only lengths are kept; the
 * pointers are set when all have been added.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/infostring.h"
#include "codec/lobby_text.h"
#include "protocol/gameserver/gameserver.h"
#include "schema/event.h"

#define ORIGINAL  "original"
#define PREFIX    "p:"
#define PAIRS_MAX 512 /* of an infostring of at most Q3MASTER_PACKET_MAX bytes */

static void reset(struct gameserver_fields *fields)
{
    fields->count = 0;
    writer_reset(&fields->text);
}

void gameserver_fields_free(struct gameserver_fields *fields)
{
    free(fields->fields);
    writer_free(&fields->text);
    memset(fields, 0, sizeof *fields);
}

/* The name, followed by the value, has been written to the text. */
static void add_gameserver_field(struct gameserver_fields *to, size_t name_len, size_t value_len,
                                 bool deleted)
{
    static const uint8_t placeholder;

    if (to->count == to->capacity) {
        to->capacity = to->capacity > 0 ? 2 * to->capacity : 16;
        to->fields = mem_realloc(to->fields, to->capacity * sizeof *to->fields);
    }
    to->fields[to->count++] = (struct map_field){
        .name = {&placeholder, name_len}, .value = {deleted ? NULL : &placeholder, value_len}};
}

/* Sets each one's pointers into the text. */
static void finish_gameserver_fields(struct gameserver_fields *to)
{
    const uint8_t *at = to->text.data;

    for (size_t i = 0; i < to->count; i++) {
        struct map_field *field = &to->fields[i];

        field->name.data = at;
        at += field->name.len;
        if (field->value.data) {
            field->value.data = at;
        }
        at += field->value.len;
    }
}

void gameserver_fields_from_infos(struct gameserver_fields *to, const struct lobby_infos *infos,
                                  struct bytes original)
{
    reset(to);
    for (size_t i = 0; i < infos->property_count; i++) {
        const struct lobby_property *property = &infos->properties[i];

        if (lobby_is_reserved(property->name)) {
            continue;
        }
        writer_string(&to->text, PREFIX);
        writer_bytes(&to->text, property->name);
        writer_bytes(&to->text, property->value);
        add_gameserver_field(to, 2 + property->name.len, property->value.len, false);
    }
    if (original.len > 0) {
        writer_string(&to->text, ORIGINAL);
        writer_bytes(&to->text, original);
        add_gameserver_field(to, strlen(ORIGINAL), original.len, false);
    }
    finish_gameserver_fields(to);
}

/* Whether a field of that name has been added; before finish_gameserver_fields, so by lengths. */
static bool has_added_name(const struct gameserver_fields *fields, size_t start, size_t len)
{
    size_t at = 0;

    for (size_t i = 0; i < fields->count; i++) {
        const struct map_field *field = &fields->fields[i];

        if (field->name.len == len &&
            memcmp(fields->text.data + at, fields->text.data + start, len) == 0) {
            return true;
        }
        at += field->name.len + field->value.len;
    }
    return false;
}

static void add_pair(struct gameserver_fields *to, struct bytes key, struct bytes value)
{
    const size_t start = to->text.len;
    struct writer text = {0};
    struct json_writer json;
    size_t name_len;

    writer_string(&to->text, PREFIX);
    lobby_text_write(&to->text, key);
    name_len = to->text.len - start;
    if (has_added_name(to, start, name_len)) {
        to->text.len = start;
        return;
    }
    lobby_text_write(&text, value);
    json = json_writer_over(&to->text);
    json_write_text(&json, writer_bytes_written(&text));
    writer_free(&text);
    add_gameserver_field(to, name_len, to->text.len - start - name_len, false);
}

void gameserver_fields_from_info(struct gameserver_fields *to, const struct q3master_info *info,
                                 struct bytes game, bool implied)
{
    struct infostring_pair *pairs = mem_alloc(PAIRS_MAX * sizeof *pairs);
    const size_t count = infostring_pairs(info->infostring, pairs, PAIRS_MAX);

    reset(to);
    add_pair(to, BYTES_LITERAL("gamename"), game);
    for (size_t i = 0; i < count; i++) {
        if (!bytes_equal(pairs[i].key, BYTES_LITERAL("challenge"))) {
            add_pair(to, pairs[i].key, pairs[i].value);
        }
    }
    free(pairs);
    writer_string(&to->text, "implied");
    writer_string(&to->text, implied ? "1" : "0");
    add_gameserver_field(to, strlen("implied"), 1, false);
    finish_gameserver_fields(to);
}

static const struct map_field *find_wanted_field(const struct gameserver_fields *fields,
                                                 struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (bytes_equal(fields->fields[i].name, name)) {
            return &fields->fields[i];
        }
    }
    return NULL;
}

static void add_deleted_fields(struct gameserver_fields *to, struct bytes present,
                               const struct gameserver_fields *wanted)
{
    struct bytes name, value;

    while (event_field(&present, &name, &value)) {
        bool is_ours = (name.len > 2 && memcmp(name.data, PREFIX, 2) == 0) ||
                       bytes_equal(name, BYTES_LITERAL(ORIGINAL));

        if (!value.data || !is_ours || find_wanted_field(wanted, name)) {
            continue;
        }
        writer_bytes(&to->text, name);
        add_gameserver_field(to, name.len, 0, true);
    }
}

static bool is_present(struct bytes present, const struct map_field *wanted)
{
    struct bytes name, value;

    while (event_field(&present, &name, &value)) {
        if (bytes_equal(name, wanted->name)) {
            return value.data != NULL && bytes_equal(value, wanted->value);
        }
    }
    return false;
}

void gameserver_fields_from_difference(struct gameserver_fields *to, struct bytes present,
                                       const struct gameserver_fields *wanted)
{
    reset(to);
    add_deleted_fields(to, present, wanted);
    for (size_t i = 0; i < wanted->count; i++) {
        const struct map_field *field = &wanted->fields[i];

        if (is_present(present, field)) {
            continue;
        }
        writer_bytes(&to->text, field->name);
        writer_bytes(&to->text, field->value);
        add_gameserver_field(to, field->name.len, field->value.len, false);
    }
    finish_gameserver_fields(to);
}
