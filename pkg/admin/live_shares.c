/*
 * live_shares: who has the live streams. When there are as many as web.max_watchers, a stream from
 * another address takes the place of the oldest one of the address that has most of them.
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

struct live_share *live_shares_choose(const struct list *shares,
                                      const struct live_address *newcomer)
{
    size_t count = 0, most = live_shares_count(shares, newcomer) + 1;
    struct live_share **sorted, *chosen = NULL;
    LIST_FOREACH (node, shares) {
        count++;
    }
    sorted = mem_zalloc(count + 1, sizeof *sorted);
    count = 0;
    LIST_FOREACH (node, shares) {
        sorted[count++] = list_entry(node, struct live_share, link);
    }
    qsort(sorted, count, sizeof *sorted, compare_shares);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1;
             end < count && compare_addresses(&sorted[first]->address, &sorted[end]->address) == 0;
             end++) {
        }
        if (end - first > most) {
            most = end - first;
            chosen = sorted[first];
        }
    }
    free(sorted);
    return chosen;
}
