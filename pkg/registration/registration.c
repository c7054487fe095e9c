/*
 * registration: see registration.h. What is judged of registrations, apply_registry.lua judges;
 * here they become operations, probes are handed out, and what Redis has lost is registered again.
 */
#include "registration/registration.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "map/feature.h"
#include "map/op.h"
#include "metrics/metrics.h"
#include "registration/registration_private.h"
#include "schema/fields.h"
#include "view/view.h"

/* After a new epoch all front-ends have the same to put back: each begins at a moment of its own,
 * and leaves out what it sees that another has put there. */
#define RESTORE_JITTER_MS 500
#define RESTORE_PAUSE_MS  20
#define RESTORE_COUNT     100 /* entries looked at in one go */

struct registration_spaces {
    struct map *map;
    struct registration_space spaces[]; /* in the map's order */
};

static void restore_some(void *arg);

struct registration_space *registration_space_of(const struct map_space *space)
{
    struct registration_spaces *state =
        map_feature_state(map_space_map(space), &registration_feature);
    assert(state);
    return &state->spaces[map_space_index(space)];
}

static void forget_lost(struct registration_space *registry)
{
    for (size_t i = 0; i < registry->lost_count; i++) {
        free((void *)(uintptr_t)registry->lost[i].data);
    }
    free(registry->lost);
    registry->lost = NULL;
    registry->lost_count = registry->lost_next = 0;
}

/* Registering. */

/* What REGISTER has of its own (op_data). */
struct registration_op {
    uint64_t first; /* ms until it is probed first, or ends */
    bool restores;  /* only if there is no such entry */
};
static_assert(sizeof(struct registration_op) <= OP_DATA_SIZE, "an operation has room for it");

static void encode_register(struct arguments *to, const struct op *op)
{
    const struct registration_op *own = op_data(op);
    arguments_add_number(to, own->first);
    arguments_add(to, own->restores ? BYTES_LITERAL("1") : BYTES_LITERAL("0"));
    arguments_add_number(to, fields_count(op_state(op)));
    arguments_add_fields(to, op_state(op));
}

/* It has not ended, whatever was remembered of an entry of that id. */
static uint64_t on_registered(struct op *op, uint64_t version, struct bytes body)
{
    map_forget_end(op_partition(op), op_id(op));
    return version;
}

/* version: the number of the probe that this front-end is to send; 0: none. */
static uint64_t on_probe_due(struct op *op, uint64_t version, struct bytes body)
{
    if (version > 0) {
        registration_send_probe(partition_space(op_partition(op)), op_id(op), (unsigned)version);
        registration_expect_due(op_partition(op), op_id(op), true);
    }
    return version;
}

static uint64_t on_probe_brought_forward(struct op *op, uint64_t version, struct bytes body)
{
    registration_expect_due(op_partition(op), op_id(op), false);
    return version;
}

static const struct op_type register_type = {.name = "register",
                                             .key = "client:",
                                             .of_entry = true,
                                             .encode = encode_register,
                                             .on_accepted = on_registered};
static const struct op_type unregister_type = {
    .name = "unregister", .key = "client:", .of_entry = true};
static const struct op_type probe_type = {.name = "probe",
                                          .key = "client:",
                                          .of_entry = true,
                                          .of_sweep = true,
                                          .on_accepted = on_probe_due};
static const struct op_type probe_soon_type = {.name = "probe_soon",
                                               .key = "client:",
                                               .of_entry = true,
                                               .on_accepted = on_probe_brought_forward};

static void write_rules(struct writer *body, uint64_t ttl, uint64_t probes, uint64_t interval)
{
    char text[72];
    int len = snprintf(text, sizeof text, "%llu %llu %llu", (unsigned long long)ttl,
                       (unsigned long long)probes, (unsigned long long)interval);
    fields_write(body, BYTES_LITERAL("registered"),
                 (struct bytes){(const uint8_t *)text, (size_t)len});
}

/* The probes take no more than the whole time, each at least one part of it. */
static void fit_rules(uint64_t ttl, uint64_t *probes, uint64_t *interval)
{
    if (*probes > 0 && *interval > ttl / (*probes + 1)) {
        *interval = ttl / (*probes + 1);
    }
    if (*interval == 0) {
        *probes = 0;
    }
}

void registration_submit(struct map_space *space, const struct registration *registration,
                         map_done done, void *arg)
{
    const uint64_t longest = (uint64_t)map_settings_of(map_space_map(space))->max_registration;
    const uint64_t ttl = registration->ttl < longest ? registration->ttl : longest;
    uint64_t probes = registration->probes, interval = registration->probe_interval;
    struct op *op =
        op_create_typed(partition_of(space, registration->id), &register_type, registration->id);
    struct writer body = {0};
    fit_rules(ttl, &probes, &interval);
    for (size_t i = 0; i < registration->field_count; i++) {
        if (map_field_is_free(registration->fields[i].name) && registration->fields[i].value.data) {
            fields_set(&body, registration->fields[i].name, registration->fields[i].value);
        }
    }
    fields_write(&body, BYTES_LITERAL("protocol"), bytes_from_string(registration->protocol));
    fields_write(&body, BYTES_LITERAL("address"), bytes_from_string(registration->address));
    write_rules(&body, ttl, probes, interval);
    op_take_fields(op, &body);
    ((struct registration_op *)op_data(op))->first = ttl - probes * interval;
    op_submit(op, NULL, done, arg);
}

void registration_remove(struct map_space *space, struct bytes id, map_done done, void *arg)
{
    op_submit(op_create_typed(partition_of(space, id), &unregister_type, id), NULL, done, arg);
}

void registration_probe_soon(struct map_space *space, struct bytes id, map_done done, void *arg)
{
    op_submit(op_create_typed(partition_of(space, id), &probe_soon_type, id), NULL, done, arg);
}

/* Probes. */

void registration_add_prober(struct map_space *space, struct registration_prober *prober)
{
    prober->space = space;
    list_append(&registration_space_of(space)->probers, &prober->link);
}

void registration_remove_prober(struct registration_prober *prober)
{
    list_remove(&prober->link);
    prober->space = NULL;
}

bool registration_has_prober(const struct registration_space *registry)
{
    return !list_is_empty(&registry->probers);
}

void registration_enqueue_probe(struct partition *partition, struct bytes id)
{
    if (id.len == 0 || id.len > UINT8_MAX) {
        return;
    }
    op_enqueue_of_sweep(op_create_typed(partition, &probe_type, id));
}

void registration_send_probe(struct map_space *space, struct bytes id, unsigned probe)
{
    const struct registration_space *registry = registration_space_of(space);
    if (!registration_has_prober(registry)) {
        return;
    }
    struct registration_prober *prober =
        list_entry(registry->probers.next, struct registration_prober, link);
    metrics_add(METRIC_PROBES, 1);
    prober->probe(prober, id, probe);
}

/* Registering again what Redis has lost. */

static void restore_missing_registrations(void *state, struct map_space *space,
                                          const struct bytes *ids, size_t count)
{
    struct registration_space *registry = registration_space_of(space);
    registry->lost =
        mem_realloc(registry->lost, (registry->lost_count + count) * sizeof *registry->lost);
    for (size_t i = 0; i < count; i++) {
        struct map_entry *entry = map_view_find(map_space_view(space), ids[i]);
        if (map_entry_field(entry, "registered").data) {
            registry->lost[registry->lost_count++] =
                (struct bytes){mem_dup(ids[i].data, ids[i].len), ids[i].len};
        }
    }
    if (registry->lost_next < registry->lost_count && !loop_timer_is_running(registry->timer)) {
        loop_timer_start(registry->timer, random_below(RESTORE_JITTER_MS));
    }
}

static bool is_maps_own(struct bytes field)
{
    return bytes_equal(field, BYTES_LITERAL("node")) ||
           bytes_equal(field, BYTES_LITERAL("since")) ||
           bytes_equal(field, BYTES_LITERAL("registered"));
}

/* When it registered last is not known: some time of its whole is taken to be left, so that not
 * all are to be asked at the same moment. */
static void restore_registration(struct map_space *space, const struct map_entry *entry)
{
    struct bytes id = map_entry_id(entry), rules = map_entry_field(entry, "registered"), field,
                 value;
    uint64_t ttl = bytes_decimal(bytes_next_word(&rules));
    uint64_t probes = bytes_decimal(bytes_next_word(&rules)), interval = bytes_decimal(rules);
    const uint64_t longest = (uint64_t)map_settings_of(map_space_map(space))->max_registration;
    struct writer body = {0};
    size_t at = 0;
    if (ttl > longest) {
        ttl = longest;
    }
    if (probes > ttl) {
        probes = ttl;
    }
    fit_rules(ttl, &probes, &interval);
    while (map_entry_next_field(entry, &at, &field, &value)) {
        if (!is_maps_own(field)) {
            fields_write(&body, field, value);
        }
    }
    write_rules(&body, ttl, probes, interval);
    struct op *op = op_create_typed(partition_of(space, id), &register_type, id);
    struct registration_op *own = op_data(op);
    op_take_fields(op, &body);
    own->restores = true;
    own->first = random_below((uint32_t)(ttl - probes * interval) + 1);
    metrics_add(METRIC_RESTORED, 1);
    op_submit(op, NULL, NULL, NULL);
}

static void restore_some(void *arg)
{
    struct registration_space *registry = arg;
    struct map_space *space = registry->space;
    struct map_view *view = map_space_view(space);
    for (size_t i = 0; i < RESTORE_COUNT && registry->lost_next < registry->lost_count; i++) {
        struct bytes id = registry->lost[registry->lost_next++];
        const struct map_entry *entry = view ? view_find_unconfirmed(view, id) : NULL;
        if (entry) {
            restore_registration(space, entry);
        }
    }
    if (registry->lost_next < registry->lost_count) {
        loop_timer_start(registry->timer, RESTORE_PAUSE_MS);
    } else {
        forget_lost(registry);
    }
}

/* The feature. */

static void *create_registrations(struct map *map)
{
    const size_t count = map_space_count(map);
    struct registration_spaces *state =
        mem_zalloc(1, sizeof *state + count * sizeof *state->spaces);
    state->map = map;
    for (size_t i = 0; i < count; i++) {
        struct registration_space *registry = &state->spaces[i];
        registry->space = map_space_at(map, i);
        registry->timer = loop_timer_create(map_loop(map), restore_some, registry);
        list_init(&registry->probers);
    }
    return state;
}

static void destroy_registrations(void *arg)
{
    struct registration_spaces *state = arg;
    for (size_t i = 0; i < map_space_count(state->map); i++) {
        struct registration_space *registry = &state->spaces[i];
        registration_forget_due(registry);
        forget_lost(registry);
        loop_timer_destroy(&registry->timer);
    }
    free(state);
}

static void on_registration_found(void *state, struct partition *partition, enum map_found what,
                                  struct bytes name, const char *node)
{
    if (what == MAP_FOUND_REGISTRATION) {
        registration_enqueue_probe(partition, name);
    }
}

static bool probes_registrations(const void *state, const struct map_space *space)
{
    return registration_has_prober(registration_space_of(space));
}

const struct map_feature registration_feature = {.create = create_registrations,
                                                 .destroy = destroy_registrations,
                                                 .found = on_registration_found,
                                                 .probes = probes_registrations,
                                                 .missing = restore_missing_registrations};
