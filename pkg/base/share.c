/* share: see the header. */
#include "base/share.h"

static unsigned share_processes = 1;

void share_set_processes(unsigned processes)
{
    share_processes = processes;
}

uint64_t share_of(uint64_t total)
{
    return total / share_processes + (total % share_processes != 0);
}
