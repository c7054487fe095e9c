/* prefixes: the list is parsed at each use; it is short, and used once per connection. */
#include "net/prefixes_private.h"

#include <string.h>

#define SEPARATORS " ,\t"

/* The next word, copied; false at the end. A word that does not fit is cut, and is not a prefix. */
static bool next_prefix(const char **list, char word[ADDRESS_TEXT_SIZE])
{
    const char *start = *list + strspn(*list, SEPARATORS);
    size_t len = strcspn(start, SEPARATORS);
    *list = start + len;
    if (len == 0) {
        return false;
    }
    if (len >= ADDRESS_TEXT_SIZE) {
        len = ADDRESS_TEXT_SIZE - 1;
    }
    memcpy(word, start, len);
    word[len] = 0;
    return true;
}

const char *prefixes_check(const char *list)
{
    char word[ADDRESS_TEXT_SIZE];
    struct address_prefix prefix;
    while (next_prefix(&list, word)) {
        if (!address_prefix_parse(word, &prefix)) {
            return "not a list of addresses or prefixes such as 10.0.0.0/8";
        }
    }
    return NULL;
}

bool prefixes_contain(const char *list, const struct address *address)
{
    char word[ADDRESS_TEXT_SIZE];
    struct address_prefix prefix;
    while (next_prefix(&list, word)) {
        if (address_prefix_parse(word, &prefix) && address_prefix_contains(&prefix, address)) {
            return true;
        }
    }
    return false;
}
