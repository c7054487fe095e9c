#include "protocol/q3master/prefix_output_private.h"

#include <string.h>

#include "base/random.h"

#define CELL_BITS 12

_Static_assert(PREFIX_OUTPUT_CELLS == 1 << CELL_BITS, "a cell has so many bits of the hash");
_Static_assert(PREFIX_OUTPUT_ROWS *CELL_BITS <= 64, "each row has bits of its own");

/* The network's cell in each row. */
static void find_prefix_cells(const struct address *peer, size_t cells[PREFIX_OUTPUT_ROWS])
{
    uint8_t key[7] = {peer->family};
    uint64_t hash;

    memcpy(key + 1, peer->ip, peer->family == ADDRESS_IPV6 ? 6 : 3);
    hash = random_keyed_hash(key, sizeof key);
    for (size_t row = 0; row < PREFIX_OUTPUT_ROWS; row++) {
        cells[row] = hash & (PREFIX_OUTPUT_CELLS - 1);
        hash >>= CELL_BITS;
    }
}

/* When the network has paid for all, at the latest. */
static uint64_t prefix_due_us(const struct prefix_output *output,
                              const size_t cells[PREFIX_OUTPUT_ROWS])
{
    uint64_t least = UINT64_MAX;

    for (size_t row = 0; row < PREFIX_OUTPUT_ROWS; row++) {
        const uint64_t due = output->due_us[row][cells[row]];

        least = due < least ? due : least;
    }
    return least;
}

static uint64_t cost_us(uint64_t bytes, int64_t rate)
{
    return (bytes * 1000000 + (uint64_t)rate - 1) / (uint64_t)rate;
}

bool prefix_output_take(struct prefix_output *output, const struct address *peer, size_t bytes,
                        struct prefix_limit limit, uint64_t now_us)
{
    size_t cells[PREFIX_OUTPUT_ROWS];
    uint64_t due, cost;

    if (limit.rate == 0) {
        return true;
    }
    find_prefix_cells(peer, cells);
    due = prefix_due_us(output, cells);
    cost = cost_us(bytes, limit.rate);
    if (due > now_us && due + cost > now_us + cost_us((uint64_t)limit.burst, limit.rate)) {
        return false;
    }
    due = (due > now_us ? due : now_us) + cost;
    /* A cell that is ahead already covers this network as well. */
    for (size_t row = 0; row < PREFIX_OUTPUT_ROWS; row++) {
        if (output->due_us[row][cells[row]] < due) {
            output->due_us[row][cells[row]] = due;
        }
    }
    return true;
}
