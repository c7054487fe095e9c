/* ban: see ban.h. Prefixes have their host bits cleared (address_prefix_parse), and so have the
 * keys of look-ups. */
#include "auth/ban.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define LENGTHS 129

struct ban_key {
    uint8_t family;
    uint8_t bits;
    uint8_t ip[16];
};

struct ban {
    UT_hash_handle hh;
    struct ban_key key;
};

/* The prefix lengths of one family, with the number of prefixes of each. */
struct lengths {
    size_t used[LENGTHS];
    uint8_t list[LENGTHS]; /* those that are used */
    size_t count;
};

struct ban_set {
    struct ban *bans;
    struct lengths ipv4, ipv6;
};

static struct lengths *lengths_of(struct ban_set *set, uint8_t family)
{
    return family == ADDRESS_IPV4 ? &set->ipv4 : &set->ipv6;
}

static void add_length(struct lengths *lengths, uint8_t bits)
{
    if (lengths->used[bits]++ == 0) {
        lengths->list[lengths->count++] = bits;
    }
}

static void remove_length(struct lengths *lengths, uint8_t bits)
{
    size_t i = 0;

    if (--lengths->used[bits] > 0) {
        return;
    }
    while (lengths->list[i] != bits) {
        i++;
    }
    lengths->list[i] = lengths->list[--lengths->count];
}

static struct ban_key make_ban_key(const struct address *address, uint8_t bits)
{
    struct ban_key key = {.family = address->family, .bits = bits};
    const size_t whole = bits / 8;

    memcpy(key.ip, address->ip, whole);
    if (bits % 8 != 0) {
        key.ip[whole] = (uint8_t)(address->ip[whole] & 0xff << (8 - bits % 8));
    }
    return key;
}

static struct ban *find_ban(const struct ban_set *set, const struct ban_key *key)
{
    struct ban *ban;

    HASH_FIND(hh, set->bans, key, sizeof *key, ban);
    return ban;
}

struct ban_set *ban_set_create(void)
{
    return mem_zalloc(1, sizeof(struct ban_set));
}

void ban_set_destroy(struct ban_set **set)
{
    if (!*set) {
        return;
    }
    ban_set_clear(*set);
    free(*set);
    *set = NULL;
}

bool ban_set_add(struct ban_set *set, const struct address_prefix *prefix)
{
    const struct ban_key key = make_ban_key(&prefix->address, prefix->bits);
    struct ban *ban;

    if (find_ban(set, &key)) {
        return false;
    }
    ban = mem_zalloc(1, sizeof *ban);
    ban->key = key;
    HASH_ADD(hh, set->bans, key, sizeof ban->key, ban);
    add_length(lengths_of(set, key.family), key.bits);
    return true;
}

static void drop_ban(struct ban_set *set, struct ban *ban)
{
    remove_length(lengths_of(set, ban->key.family), ban->key.bits);
    HASH_DEL(set->bans, ban);
    free(ban);
}

bool ban_set_remove(struct ban_set *set, const struct address_prefix *prefix)
{
    const struct ban_key key = make_ban_key(&prefix->address, prefix->bits);
    struct ban *ban = find_ban(set, &key);

    if (!ban) {
        return false;
    }
    drop_ban(set, ban);
    return true;
}

void ban_set_clear(struct ban_set *set)
{
    struct ban *ban, *next;

    HASH_ITER (hh, set->bans, ban, next) {
        drop_ban(set, ban);
    }
}

size_t ban_set_count(const struct ban_set *set)
{
    return HASH_COUNT(set->bans);
}

bool ban_set_holds(const struct ban_set *set, const struct address *address)
{
    const struct lengths *lengths = address->family == ADDRESS_IPV4 ? &set->ipv4 : &set->ipv6;

    if (address->family != ADDRESS_IPV4 && address->family != ADDRESS_IPV6) {
        return false;
    }
    for (size_t i = 0; i < lengths->count; i++) {
        const struct ban_key key = make_ban_key(address, lengths->list[i]);

        if (find_ban(set, &key)) {
            return true;
        }
    }
    return false;
}

/* The next word of a list; false at the end. A word that is too long is truncated, and so not a
 * prefix. */
static bool next_prefix_word(const char **at, char word[ADDRESS_TEXT_SIZE])
{
    static const char separators[] = " ,\t\r\n";
    size_t len;

    *at += strspn(*at, separators);
    len = strcspn(*at, separators);
    (void)snprintf(word, ADDRESS_TEXT_SIZE, "%.*s",
                   (int)(len < ADDRESS_TEXT_SIZE ? len : ADDRESS_TEXT_SIZE - 1), *at);
    *at += len;
    return len > 0;
}

/* Whether all words are prefixes; word is set to the last one, else to the first that is not one.
 */
static bool is_prefix_list(const char *list, char word[ADDRESS_TEXT_SIZE])
{
    struct address_prefix prefix;

    while (next_prefix_word(&list, word)) {
        if (!address_prefix_parse(word, &prefix)) {
            return false;
        }
    }
    return true;
}

char *ban_set_add_list(struct ban_set *set, const char *list)
{
    char word[ADDRESS_TEXT_SIZE];
    struct address_prefix prefix;

    if (!is_prefix_list(list, word)) {
        return mem_format("\"%s\" is neither an address nor a prefix such as 10.0.0.0/8", word);
    }
    while (next_prefix_word(&list, word)) {
        if (address_prefix_parse(word, &prefix)) {
            (void)ban_set_add(set, &prefix);
        }
    }
    return NULL;
}

const char *ban_list_check(const char *list)
{
    char word[ADDRESS_TEXT_SIZE];

    return is_prefix_list(list, word)
               ? NULL
               : "must be addresses or prefixes such as 10.0.0.0/8, separated by "
                 "spaces or commas";
}

void ban_set_write(const struct ban_set *set, struct writer *to)
{
    char text[ADDRESS_TEXT_SIZE];

    for (const struct ban *ban = set->bans; ban; ban = ban->hh.next) {
        struct address_prefix prefix = {.address.family = ban->key.family, .bits = ban->key.bits};

        memcpy(prefix.address.ip, ban->key.ip, sizeof ban->key.ip);
        writer_string(to, ban_format(&prefix, text));
        writer_u8(to, '\n');
    }
}

const char *ban_format(const struct address_prefix *prefix, char text[ADDRESS_TEXT_SIZE])
{
    const unsigned whole = prefix->address.family == ADDRESS_IPV4 ? 32 : 128;
    char ip[ADDRESS_TEXT_SIZE];

    address_format_ip(&prefix->address, ip);
    if (prefix->bits == whole) {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "%.45s", ip);
    } else {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "%.45s/%u", ip, prefix->bits);
    }
    return text;
}
