/*
 * registration: entries without a connection: game servers that have registered by UDP. A feature
 * of the map.
 *
 * Such an entry belongs to no front-end, only to its time: it stays while it is registered again
 * before that ends. Some probes before its end, whichever front-end's sweep comes first asks the
 * server whether it is still there, by the prober that it was given; an entry that has let all its
 * probes pass unanswered is closed, and the event is published as for any other. So it outlives the
 * front-end that registered it. When Redis loses it, the front-ends that have it in their view
 * register it again.
 */
#ifndef REGISTRATION_REGISTRATION_H
#define REGISTRATION_REGISTRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

struct map_feature;
/* To be added to each map (map/feature.h). */
extern const struct map_feature registration_feature;

struct registration {
    struct bytes id;                /* "203.0.113.7:27960", "[2001:db8::7]:27960" */
    const char *protocol;           /* static */
    const char *address;            /* as the id, or where it was before addresses were mapped */
    const struct map_field *fields; /* all that it has: others are deleted. Those that are equal to
                                       what is stored are not published again */
    size_t field_count;
    uint64_t ttl;            /* ms from now to its end, the probes included; at most
                                map.max_registration */
    unsigned probes;         /* how often it is asked before it ends; may be 0 */
    uint64_t probe_interval; /* ms from one to the next, and from the last to the end */
};
/* Copies. MAP_OWNED: a connection owns the id, and its state counts. MAP_LIMIT: the space is full.
 * done may be NULL; it is not called any more once the map is being destroyed. */
void registration_submit(struct map_space *space, const struct registration *registration,
                         map_done done, void *arg);
/* It may be gone, and the caller has just asked it: its probes begin one interval from now, if not
 * before, and it ends unless it registers again.
 * MAP_MISSING: there is no such registration. done may be NULL. */
void registration_probe_soon(struct map_space *space, struct bytes id, map_done done, void *arg);
/* Closes it now. MAP_MISSING: there is no such registration. done may be NULL. */
void registration_remove(struct map_space *space, struct bytes id, map_done done, void *arg);

/* Asks servers whether they are there. One for a space; its function is set by the caller. */
struct registration_prober {
    struct list link; /* the space's */
    struct map_space *space;
    /* This front-end is to ask this one now; probe counts from 1. */
    void (*probe)(struct registration_prober *prober, struct bytes id, unsigned probe);
};
/* From now on this front-end takes its part in the probes of the space's registrations. */
void registration_add_prober(struct map_space *space, struct registration_prober *prober);
void registration_remove_prober(struct registration_prober *prober);

#endif
