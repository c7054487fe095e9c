/* shares: see shares.h. */
#include "auth/shares.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define LEVELS 3

struct prefix_key {
    uint8_t family;
    uint8_t bytes; /* of ip that count */
    uint8_t ip[8];
};

struct shares_prefix {
    UT_hash_handle hh;
    struct prefix_key key;
    struct shares_prefix *parent; /* NULL: the root */
    struct list link;             /* the parent's children, the last one to grow at the end */
    struct list children;
    struct list members;            /* of a prefix of the last level */
    struct shares_prefix *heaviest; /* of the children; NULL: not known */
    size_t count;                   /* members in it, at all levels */
};

static struct prefix_key make_prefix_key(const struct address *address, unsigned level)
{
    static const uint8_t ipv4[LEVELS] = {2, 3, 4}, ipv6[LEVELS] = {4, 6, 8};
    struct prefix_key key;

    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    if (address->family == ADDRESS_IPV4) {
        key.bytes = ipv4[level];
    } else if (address->family == ADDRESS_IPV6) {
        key.bytes = ipv6[level];
    } else {
        key.bytes = (uint8_t)level; /* makes the keys of the levels differ, though all are empty */
        return key;
    }
    memcpy(key.ip, address->ip, key.bytes);
    return key;
}

static struct shares_prefix *find_prefix(const struct shares *shares, const struct address *address,
                                         unsigned level)
{
    const struct prefix_key key = make_prefix_key(address, level);
    struct shares_prefix *prefix = NULL;

    HASH_FIND(hh, shares->all, &key, sizeof key, prefix);
    return prefix;
}

static struct shares_prefix *create_prefix(struct shares_prefix *parent)
{
    struct shares_prefix *prefix = mem_zalloc(1, sizeof *prefix);

    prefix->parent = parent;
    list_init(&prefix->link);
    list_init(&prefix->children);
    list_init(&prefix->members);
    if (parent) {
        list_append(&parent->children, &prefix->link);
    }
    return prefix;
}

static struct shares_prefix *find_or_add_prefix(struct shares *shares, struct shares_prefix *parent,
                                                const struct address *address, unsigned level)
{
    struct shares_prefix *prefix = find_prefix(shares, address, level);

    if (!prefix) {
        prefix = create_prefix(parent);
        prefix->key = make_prefix_key(address, level);
        HASH_ADD(hh, shares->all, key, sizeof prefix->key, prefix);
    }
    return prefix;
}

static void grow_prefix(struct shares_prefix *prefix)
{
    struct shares_prefix *parent = prefix->parent;

    prefix->count++;
    if (!parent) {
        return;
    }
    list_remove(&prefix->link);
    list_append(&parent->children, &prefix->link);
    if (parent->heaviest && prefix->count >= parent->heaviest->count) {
        parent->heaviest = prefix;
    }
}

void shares_add(struct shares *shares, struct share *share, const struct address *address)
{
    struct shares_prefix *prefix;

    if (!shares->root) {
        shares->root = create_prefix(NULL);
    }
    prefix = shares->root;
    for (unsigned level = 0; level < LEVELS; level++) {
        grow_prefix(prefix);
        prefix = find_or_add_prefix(shares, prefix, address, level);
    }
    grow_prefix(prefix);
    share->prefix = prefix;
    list_init(&share->link);
    list_append(&prefix->members, &share->link);
}

static void shrink_prefix(struct shares *shares, struct shares_prefix *prefix)
{
    if (prefix->parent && prefix->parent->heaviest == prefix) {
        prefix->parent->heaviest = NULL;
    }
    if (--prefix->count > 0) {
        return;
    }
    list_remove(&prefix->link);
    if (prefix->parent) {
        assert(shares->all); /* at least the member's own */
        HASH_DEL(shares->all, prefix);
    } else {
        shares->root = NULL;
    }
    free(prefix);
}

void shares_remove(struct shares *shares, struct share *share)
{
    struct shares_prefix *prefix = share->prefix;

    if (!prefix) {
        return;
    }
    share->prefix = NULL;
    list_remove(&share->link);
    while (prefix) {
        struct shares_prefix *parent = prefix->parent;

        shrink_prefix(shares, prefix);
        prefix = parent;
    }
}

/* Of equals the last one to grow. Searched only after it has lost a member: refusing a newcomer
 * costs no search. */
static struct shares_prefix *find_heaviest(struct shares_prefix *parent)
{
    if (parent->heaviest) {
        return parent->heaviest;
    }
    LIST_FOREACH (node, &parent->children) {
        struct shares_prefix *child = list_entry(node, struct shares_prefix, link);

        if (!parent->heaviest || child->count >= parent->heaviest->count) {
            parent->heaviest = child;
        }
    }
    return parent->heaviest;
}

static struct list *members_of_heaviest(struct shares_prefix *prefix)
{
    while (list_is_empty(&prefix->members)) {
        prefix = find_heaviest(prefix);
    }
    return &prefix->members;
}

struct list *shares_find_victim(const struct shares *shares, const struct address *newcomer)
{
    struct shares_prefix *prefix = shares->root;

    for (unsigned level = 0; prefix && level < LEVELS; level++) {
        struct shares_prefix *own = find_prefix(shares, newcomer, level);
        struct shares_prefix *heaviest = find_heaviest(prefix);
        const size_t held = own ? own->count : 0;

        if (heaviest != own && held + 1 < heaviest->count) {
            return members_of_heaviest(heaviest);
        }
        prefix = own;
    }
    return NULL;
}
