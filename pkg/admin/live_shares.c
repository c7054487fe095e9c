/*
 * live_shares: who has the live streams. When there are as many as web.max_watchers, a stream from
 * another address takes the place of the oldest one of the network (IPv6: /48) that has most of
 * them; when none has more than the newcomer's, of the address.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/live_private.h"
#include "base/mem.h"
#include "net/conn.h"

struct live_address live_address_of(const struct conn *conn)
{
    const struct address *peer = conn_peer(conn);
    struct live_address address = {.family = peer->family};
    memcpy(address.ip, peer->ip, peer->family == ADDRESS_IPV4 ? 4 : sizeof address.ip);
    return address;
}

static int compare_addresses(const struct live_address *a, const struct live_address *b)
{
    return memcmp(a, b, sizeof *a);
}

static int compare_shares(const void *a, const void *b)
{
    const struct live_share *one = *(struct live_share *const *)a;
    const struct live_share *other = *(struct live_share *const *)b;
    int order = compare_addresses(&one->address, &other->address);
    return order != 0 ? order : (one->number > other->number) - (one->number < other->number);
}

size_t live_shares_count(const struct list *shares, const struct live_address *address)
{
    size_t count = 0;
    LIST_FOREACH (node, shares) {
        count +=
            compare_addresses(&list_entry(node, struct live_share, link)->address, address) == 0;
    }
    return count;
}

#define NETWORK_BYTES 6 /* of an IPv6 address: /48 */

static bool is_same_network(const struct live_address *a, const struct live_address *b)
{
    return a->family == b->family &&
           memcmp(a->ip, b->ip, a->family == ADDRESS_IPV4 ? 4 : NETWORK_BYTES) == 0;
}

static bool is_same_address(const struct live_address *a, const struct live_address *b)
{
    return compare_addresses(a, b) == 0;
}

/* A stream of the group that has most of them; NULL: none has more than the newcomer's would have.
 * sorted: groups are contiguous, and of one address the oldest stream comes first. */
static struct live_share *
choose_group(struct live_share *const *sorted, size_t count, const struct live_address *newcomer,
             bool (*is_same)(const struct live_address *a, const struct live_address *b))
{
    struct live_share *chosen = NULL;
    size_t most = 1;
    for (size_t i = 0; i < count; i++) {
        most += is_same(&sorted[i]->address, newcomer);
    }
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1;
             end < count && is_same(&sorted[first]->address, &sorted[end]->address); end++) {
        }
        if (end - first > most) {
            most = end - first;
            chosen = sorted[first];
        }
    }
    return chosen;
}

/* The oldest one of the same network. */
static struct live_share *oldest_of_network(struct live_share *const *sorted, size_t count,
                                            struct live_share *of)
{
    struct live_share *oldest = of;
    for (size_t i = 0; i < count; i++) {
        if (is_same_network(&sorted[i]->address, &of->address) &&
            sorted[i]->number < oldest->number) {
            oldest = sorted[i];
        }
    }
    return oldest;
}

struct live_share *live_shares_choose(const struct list *shares,
                                      const struct live_address *newcomer)
{
    size_t count = 0;
    LIST_FOREACH (node, shares) {
        count++;
    }
    struct live_share **sorted = mem_zalloc(count + 1, sizeof *sorted), *chosen;
    count = 0;
    LIST_FOREACH (node, shares) {
        sorted[count++] = list_entry(node, struct live_share, link);
    }
    qsort(sorted, count, sizeof *sorted, compare_shares);
    chosen = choose_group(sorted, count, newcomer, is_same_network);
    if (chosen) {
        chosen = oldest_of_network(sorted, count, chosen);
    } else {
        chosen = choose_group(sorted, count, newcomer, is_same_address);
    }
    free(sorted);
    return chosen;
}
