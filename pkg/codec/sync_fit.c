/* Fitting changes of properties into the limits of an entry, and reporting the others: sync.h. */
#include "codec/sync.h"

#include <string.h>

#define MESSAGE_MAX 1024 /* bytes of the refused properties in an error's message */

/* The entry's totals while a packet's changes are applied. */
struct sum {
    const struct sync_property *properties;
    size_t given; /* properties before */
    size_t count, total;
    const struct sync_limits *limits;
};

static size_t size_of(const struct sync_property *property)
{
    return property->name.len + property->value.len;
}

/* The property that the entry has with this name; NULL when there is none. */
static const struct sync_property *find_given(const struct sum *sum, struct bytes name)
{
    for (size_t i = 0; i < sum->given; i++) {
        if (bytes_equal(sum->properties[i].name, name)) {
            return &sum->properties[i];
        }
    }
    return NULL;
}

static void add_deleted_sizes(struct sum *sum, const struct sync_packet *packet)
{
    for (size_t i = 0; i < packet->property_count; i++) {
        const struct sync_property *change = &packet->properties[i];
        const struct sync_property *old = change->value.data ? NULL : find_given(sum, change->name);

        if (old) {
            sum->count--;
            sum->total -= size_of(old);
        }
    }
}

/* Applies a change; or returns why it is refused. */
static const char *add_change(struct sum *sum, const struct sync_property *change)
{
    const struct sync_property *old = find_given(sum, change->name);
    const size_t before = old ? size_of(old) : 0, after = size_of(change);

    if (!old && sum->count >= sum->limits->properties) {
        return "more properties than an entry may have";
    }
    if (after > before && sum->total - before + after > sum->limits->total) {
        return "more bytes of properties than an entry may have";
    }
    sum->count += !old;
    sum->total = sum->total - before + after;
    return NULL;
}

void sync_packet_fit(struct sync_packet *packet, const struct sync_property *properties,
                     size_t count, const struct sync_limits *limits)
{
    struct sum sum = {properties, count, count, 0, limits};
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        sum.total += size_of(&properties[i]);
    }
    add_deleted_sizes(&sum, packet);
    for (size_t i = 0; i < packet->property_count; i++) {
        const struct sync_property change = packet->properties[i];
        const struct json_value *source = packet->sources[i];
        const char *reason = change.value.data ? add_change(&sum, &change) : NULL;

        if (reason) {
            packet->refused[packet->refused_count++] =
                (struct sync_refusal){source, SYNC_CODE_LIMIT, reason};
            continue;
        }
        packet->properties[kept] = change;
        packet->sources[kept++] = source;
    }
    packet->property_count = kept;
}

size_t sync_write_refusals(struct writer *to, const struct sync_packet *packet)
{
    for (size_t i = 0; i < packet->refused_count; i++) {
        const struct sync_refusal *refusal = &packet->refused[i];
        struct json_error error = {0};

        (void)json_value_fail(refusal->value,
                              refusal->code == SYNC_CODE_LIMIT ? JSON_FAULT_LIMIT : JSON_FAULT_RULE,
                              refusal->reason, &error);
        if (to->len > 0 && to->len + strlen(error.text) > MESSAGE_MAX) {
            return packet->refused_count - i;
        }
        writer_format(to, "%s%s", to->len > 0 ? "; " : "", error.text);
    }
    return 0;
}
