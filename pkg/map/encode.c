/*
 * encode: operations as arguments of the apply script. What follows from a kind is in its row of
 * the table (op_type.c).
 */
#include "map/encode_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/op_type_private.h"
#include "map/partition_private.h"
#include "map/room_op_private.h"
#include "schema/event.h"
#include "schema/fields.h"

/* Memory for the texts of one batch: sized before, so that pointers into it stay good. */
void scratch_begin(struct scratch *scratch, size_t size)
{
    if (size > scratch->size) {
        free(scratch->data);
        scratch->data = mem_alloc(size);
        scratch->size = size;
    }
    scratch->used = 0;
}

struct bytes scratch_join(struct scratch *scratch, const char *a, const char *b, struct bytes c)
{
    char *start = scratch->data + scratch->used;
    size_t a_len = strlen(a), b_len = strlen(b);
    memcpy(start, a, a_len);
    memcpy(start + a_len, b, b_len);
    if (c.len)
        memcpy(start + a_len + b_len, c.data, c.len);
    scratch->used += a_len + b_len + c.len;
    return (struct bytes){(uint8_t *)start, a_len + b_len + c.len};
}

struct bytes scratch_number(struct scratch *scratch, const char *before, uint64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return scratch_join(scratch, before, "", (struct bytes){(uint8_t *)text, (size_t)len});
}

void add_key(struct arguments *to, struct bytes key)
{
    to->keys[to->key_count++] = key;
}

void add_value(struct arguments *to, struct bytes value)
{
    to->values[to->value_count++] = value;
}

static struct bytes version_text(struct scratch *scratch, const struct op *op)
{
    if (op->kind != OP_CLAIM)
        return scratch_number(scratch, "", op->version);
    if (op->version_kind == MAP_VERSION_NEXT)
        return BYTES_LITERAL("+");
    return scratch_number(scratch, op->version_kind == MAP_VERSION_LOW_BYTE ? "~" : "=",
                          op->version);
}

/* Who may adopt: apply compares an address without its port. Who has no certificate can prove
 * nothing by one. */
static struct bytes rule_text(struct scratch *scratch, const struct op *op)
{
    if (op->adopt == MAP_ADOPT_TLS && op->certificate)
        return scratch_join(scratch, "tls ", "", bytes_from_string(op->certificate));
    if (op->adopt == MAP_ADOPT_ANY || op->adopt == MAP_ADOPT_TLS)
        return BYTES_LITERAL("any");
    const char *port = op->address ? strrchr(op->address, ':') : NULL;
    if (op->adopt == MAP_ADOPT_OFF || !port)
        return BYTES_LITERAL("off");
    return (struct bytes){(uint8_t *)op->address, (size_t)(port - op->address)};
}

/* All of a body's fields that have values. */
static void add_body(struct arguments *to, struct bytes body)
{
    struct bytes name, value;
    while (event_field(&body, &name, &value)) {
        if (!value.data)
            continue;
        add_value(to, name);
        add_value(to, value);
    }
}

static void add_fields(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    if (op->made_of_fields) {
        add_value(to, scratch_number(scratch, "", 4 + fields_count(op_state(op))));
        add_body(to, op_state(op));
    } else if (op->kind == OP_RESUME) {
        add_value(to, BYTES_LITERAL("4"));
    } else {
        add_value(to, op->certificate ? BYTES_LITERAL("8") : BYTES_LITERAL("6"));
        add_value(to, BYTES_LITERAL("state"));
        add_value(to, op_state(op));
    }
    if (op->certificate && !op->made_of_fields && op->kind != OP_RESUME) {
        add_value(to, BYTES_LITERAL("certificate"));
        add_value(to, bytes_from_string(op->certificate));
    }
    add_value(to, BYTES_LITERAL("protocol"));
    add_value(to, bytes_from_string(op->protocol));
    add_value(to, BYTES_LITERAL("address"));
    add_value(to, bytes_from_string(op->address));
}

static void add_changes(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    struct bytes body = op_state(op), name, value;
    add_value(to, scratch_number(scratch, "", fields_count(body)));
    add_body(to, body);
    add_value(to, scratch_number(scratch, "", fields_count_deleted(body)));
    while (event_field(&body, &name, &value)) {
        if (!value.data)
            add_value(to, name);
    }
}

/* What follows the kind, as apply.lua has it: the fewer strings the better, each costs Redis a
 * fraction of a microsecond. */

void encode_fence(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
}

void encode_update(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, version_text(scratch, op));
    add_value(to, op_state(op));
}

void encode_open(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_fields(to, scratch, op);
}

void encode_restore(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, version_text(scratch, op));
    add_fields(to, scratch, op);
}

void encode_set(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, version_text(scratch, op));
    add_changes(to, scratch, op);
}

void encode_resume(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, op_state(op));
    add_fields(to, scratch, op);
}

void encode_claim(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, version_text(scratch, op));
    add_value(to, rule_text(scratch, op));
    add_fields(to, scratch, op);
}

void encode_close(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, rule_text(scratch, op));
}

void encode_ended(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->fence));
    add_value(to, scratch_number(scratch, "", op->since));
    add_value(to, scratch_number(scratch, "", op->version));
}

void encode_node(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, bytes_from_string(op->other));
}

void encode_register(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, scratch_number(scratch, "", op->version));
    add_value(to, op->restores ? BYTES_LITERAL("1") : BYTES_LITERAL("0"));
    add_value(to, scratch_number(scratch, "", fields_count(op_state(op))));
    add_body(to, op_state(op));
}

void encode_join(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    const struct map_settings *settings = op->partition->map->settings;
    add_value(to, op_member(op));
    add_value(to, op_behind_member(op));
    add_value(to, scratch_number(scratch, "", (uint64_t)settings->room_max_members));
    add_value(to, scratch_number(scratch, "", op->version));
}

void encode_leave(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, op_member(op));
    add_value(to, scratch_number(scratch, "", op->version));
}

void encode_evict_member(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    add_value(to, op_member(op));
    add_value(to, bytes_from_string(op->other));
}

void encode_publish(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    encode_leave(to, scratch, op);
    add_value(to, op_behind_member(op));
}

static const char *name_in_script(const struct op *op, const struct op_type *type)
{
    if (op->alone)
        return "alone";
    return op->only_there ? "refresh" : type->name;
}

void encode_operation(struct arguments *to, struct scratch *scratch, const struct op *op)
{
    const struct op_type *type = op_type_of(op);
    struct partition *partition = op->partition;
    struct bytes id = {(uint8_t *)op->id, op->id_len};
    add_key(to, scratch_join(scratch, partition->prefix, type->key, id));
    if (type->has_node_key)
        add_key(to,
                scratch_join(scratch, partition->prefix, "node:", bytes_from_string(op->other)));
    add_value(to, bytes_from_string(name_in_script(op, type)));
    if (type->encode)
        type->encode(to, scratch, op);
}
