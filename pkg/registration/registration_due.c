/*
 * registration_due: registrations whose next probe, or end, this front-end knows to be due at a
 * moment: it has just asked them, or has made them due. A probe operation at that moment comes up
 * to a sweep earlier than the sweep's. apply judges both; when this front-end ends, the sweeps are
 * left.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "map/feature.h"
#include "registration/registration.h"
#include "registration/registration_private.h"
#include "view/view.h"

/* Redis counts whole milliseconds, and its clock and ours do not run alike. */
#define MARGIN_MS 5

struct registration_due {
    UT_hash_handle hh; /* by id */
    struct registration_space *registry;
    struct partition *partition;
    struct loop_timer *timer;
    uint8_t id_len;
    uint8_t id[];
};

static struct bytes due_id(const struct registration_due *due)
{
    return (struct bytes){due->id, due->id_len};
}

static void destroy_due(struct registration_due *due)
{
    HASH_DEL(due->registry->due, due);
    loop_timer_destroy(&due->timer);
    free(due);
}

static void on_due(void *arg)
{
    struct registration_due *due = arg;

    if (partition_is_ready(due->partition) && registration_has_prober(due->registry)) {
        registration_enqueue_probe(due->partition, due_id(due));
    }
    destroy_due(due);
}

/* The interval of its rules, "ttl probes interval"; 0 when they are not known. */
static uint64_t entry_probe_interval(const struct map_space *space, struct bytes id)
{
    const struct map_view *view = map_space_view(space);
    const struct map_entry *entry = view ? map_view_find(view, id) : NULL;
    struct bytes rules = entry ? map_entry_field(entry, "registered") : (struct bytes){0};

    (void)bytes_next_word(&rules);
    (void)bytes_next_word(&rules);
    return rules.len > 0 ? bytes_decimal(rules) : 0;
}

void registration_expect_due(struct partition *partition, struct bytes id, bool again)
{
    struct map_space *space = partition_space(partition);
    struct registration_space *registry = registration_space_of(space);
    const uint64_t interval = entry_probe_interval(space, id);
    struct registration_due *due;

    HASH_FIND(hh, registry->due, id.data, id.len, due);
    if (due && again) {
        loop_timer_start(due->timer, interval + MARGIN_MS);
    }
    if (due || interval == 0 || !registration_has_prober(registry)) {
        return;
    }
    due = mem_zalloc(1, sizeof *due + id.len);
    due->registry = registry;
    due->partition = partition;
    due->id_len = (uint8_t)id.len;
    memcpy(due->id, id.data, id.len);
    due->timer = loop_timer_create(map_loop(map_space_map(space)), on_due, due);
    loop_timer_start(due->timer, interval + MARGIN_MS);
    HASH_ADD_KEYPTR(hh, registry->due, due->id, due->id_len, due);
}

void registration_forget_due(struct registration_space *registry)
{
    struct registration_due *due, *next;

    HASH_ITER (hh, registry->due, due, next) {
        destroy_due(due);
    }
}
