/*
 * encode: operations as arguments of the apply script. What follows from a kind is in its row of
 * the table (op_type.c).
 */
#include "map/encode_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
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
    assert(a_len + b_len + c.len <= scratch->size - scratch->used);
    memcpy(start, a, a_len);
    memcpy(start + a_len, b, b_len);
    if (c.len) {
        memcpy(start + a_len + b_len, c.data, c.len);
    }
    scratch->used += a_len + b_len + c.len;
    return (struct bytes){(uint8_t *)start, a_len + b_len + c.len};
}

struct bytes scratch_number(struct scratch *scratch, const char *before, uint64_t number)
{
    uint8_t text[BYTES_DECIMAL_MAX];
    size_t len = bytes_write_decimal(text, number);
    return scratch_join(scratch, before, "", (struct bytes){text, len});
}

void arguments_add_key(struct arguments *to, struct bytes key)
{
    assert(to->key_count < to->max_keys);
    to->keys[to->key_count++] = key;
}

void arguments_add(struct arguments *to, struct bytes value)
{
    assert(to->value_count < to->max_values);
    to->values[to->value_count++] = value;
}

void arguments_add_number(struct arguments *to, uint64_t number)
{
    arguments_add(to, scratch_number(to->scratch, "", number));
}

void arguments_add_fields(struct arguments *to, struct bytes body)
{
    struct bytes name, value;
    while (event_field(&body, &name, &value)) {
        if (value.data) {
            arguments_add(to, name);
            arguments_add(to, value);
        }
    }
}

static void add_text(struct arguments *to, const char *text)
{
    arguments_add(to, bytes_from_string(text));
}

/* Of an entry that the session may not own: the script makes it whole. */
static struct bytes claimed_version(struct scratch *scratch, const struct op *op)
{
    if (op->of.write.version_kind == MAP_VERSION_NEXT) {
        return BYTES_LITERAL("+");
    }
    return scratch_number(scratch, op->of.write.version_kind == MAP_VERSION_LOW_BYTE ? "~" : "=",
                          op->version);
}

/* Who may adopt: apply compares an address without its port. A client without a certificate can
 * prove nothing by one. */
static struct bytes adoption_rule(struct scratch *scratch, const struct op *op)
{
    const uint8_t adopt = op->of.write.adopt;
    if (adopt == MAP_ADOPT_TLS && op->certificate) {
        return scratch_join(scratch, "tls ", "", bytes_from_string(op->certificate));
    }
    if (adopt == MAP_ADOPT_ANY || adopt == MAP_ADOPT_TLS) {
        return BYTES_LITERAL("any");
    }
    const char *port = op->address ? strrchr(op->address, ':') : NULL;
    if (adopt == MAP_ADOPT_OFF || !port) {
        return BYTES_LITERAL("off");
    }
    return (struct bytes){(uint8_t *)op->address, (size_t)(port - op->address)};
}

static void add_client(struct arguments *to, const struct op *op)
{
    add_text(to, "protocol");
    add_text(to, op->protocol);
    add_text(to, "address");
    add_text(to, op->address);
}

static void add_entry_fields(struct arguments *to, const struct op *op)
{
    if (op->made_of_fields) {
        arguments_add_number(to, 4 + fields_count(op_state(op)));
        arguments_add_fields(to, op_state(op));
    } else {
        add_text(to, op->certificate ? "8" : "6");
        add_text(to, "state");
        arguments_add(to, op_state(op));
        if (op->certificate) {
            add_text(to, "certificate");
            add_text(to, op->certificate);
        }
    }
    add_client(to, op);
}

/* What follows the name, as apply.lua has it: the fewer strings the better, each costs Redis a
 * fraction of a microsecond. */

void encode_fence(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
}

void encode_update(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add_number(to, op->version);
    arguments_add(to, op_state(op));
}

void encode_open(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    add_entry_fields(to, op);
}

void encode_restore(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add_number(to, op->version);
    add_entry_fields(to, op);
}

void encode_set(struct arguments *to, const struct op *op)
{
    struct bytes body = op_state(op), name, value;
    add_text(to, op->fence);
    arguments_add_number(to, op->version);
    arguments_add_number(to, fields_count(body));
    arguments_add_fields(to, body);
    arguments_add_number(to, fields_count_deleted(body));
    while (event_field(&body, &name, &value)) {
        if (!value.data) {
            arguments_add(to, name);
        }
    }
}

void encode_resume(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add(to, op_state(op));
    add_text(to, "4");
    add_client(to, op);
}

void encode_claim(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add(to, claimed_version(to->scratch, op));
    arguments_add(to, adoption_rule(to->scratch, op));
    add_entry_fields(to, op);
}

void encode_close(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add(to, adoption_rule(to->scratch, op));
}

void encode_ended(struct arguments *to, const struct op *op)
{
    add_text(to, op->fence);
    arguments_add_number(to, op->of.since);
    arguments_add_number(to, op->version);
}

void encode_node(struct arguments *to, const struct op *op)
{
    add_text(to, op->of.node);
}

void encode_operation(struct arguments *to, const struct op *op)
{
    const struct op_type *type = op->type;
    const char *prefix = op->partition->prefix;
    arguments_add_key(to, scratch_join(to->scratch, prefix, type->key, op_id(op)));
    if (type->has_node_key) {
        arguments_add_key(
            to, scratch_join(to->scratch, prefix, "node:", bytes_from_string(op->of.node)));
    }
    add_text(to, type->name);
    if (type->encode) {
        type->encode(to, op);
    }
}
