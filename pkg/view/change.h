/* change: one change of a view's contents, for owners that want each (struct view_callbacks). */
#ifndef VIEW_CHANGE_H
#define VIEW_CHANGE_H

#include "schema/event.h"
#include "view/view.h"

struct view_change {
    enum event_op op;              /* EVENT_ENTRY: found in a snapshot */
    bool is_new;                   /* the view did not contain the entry */
    uint32_t partition;            /* of the entry */
    const struct map_entry *entry; /* as it is now; when it closes: as it was */
    struct bytes body; /* of the event; empty when a snapshot did not contain the entry */
};

/* Its front-end has released it, and none has adopted it yet, as far as events say. Its field
 * `node` may still contain the former one. */
bool map_entry_is_orphan(const struct map_entry *entry);

#endif
