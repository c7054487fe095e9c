#include "schema/status.h"

static const struct bytes names[] = {[MAP_OFFLINE] = BYTES_LITERAL("offline"),
                                     [MAP_ONLINE] = BYTES_LITERAL("online"),
                                     [MAP_BUSY] = BYTES_LITERAL("busy")};

const char *map_status_name(enum map_status status)
{
    return (const char *)names[status].data;
}

bool map_status_read(struct bytes text, enum map_status *status)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (bytes_equal(text, names[i])) {
            *status = (enum map_status)i;
            return true;
        }
    }
    return false;
}
