/* settings: the settings of views; pkg/map has them in its table. */
#ifndef VIEW_SETTINGS_H
#define VIEW_SETTINGS_H

#include <stdint.h>

struct view_settings {
    int64_t max_entries;       /* view.max_entries */
    int64_t chunk;             /* view.chunk: entries per read */
    int64_t snapshot_interval; /* view.snapshot_interval: ms between two, of a partition */
    int64_t linger;            /* view.linger: ms a view is kept without watchers */
    int64_t wait;              /* view.wait: ms a read waits for the session's own last write */
};

#endif
