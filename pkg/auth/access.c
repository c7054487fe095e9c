/* access: the lists are short, so they are searched linearly. */
#include "auth/access.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct prefixes {
    struct address_prefix *prefixes;
    size_t count;
};

struct access_list {
    struct prefixes allowed;
    struct prefixes denied;
};

static const char separators[] = " ,\t\r\n";

/* The next word of a list, moving *at past it; false at the end. */
static bool next_list_word(const char **at, const char **word, size_t *len)
{
    *word = *at + strspn(*at, separators);
    *len = strcspn(*word, separators);
    *at = *word + *len;
    return *len > 0;
}

static bool parse_word(const char *word, size_t len, struct address_prefix *prefix)
{
    char text[ADDRESS_TEXT_SIZE];

    if (len >= sizeof text) {
        return false;
    }
    memcpy(text, word, len);
    text[len] = '\0';
    return address_prefix_parse(text, prefix);
}

/* NULL, or a message with the word that is not a prefix. */
static char *parse_list(const char *at, struct prefixes *list)
{
    const char *word;
    size_t len;

    while (next_list_word(&at, &word, &len)) {
        list->prefixes = mem_realloc(list->prefixes, (list->count + 1) * sizeof list->prefixes[0]);
        if (!parse_word(word, len, &list->prefixes[list->count])) {
            return mem_format("\"%.*s\" is neither an address nor a prefix such as 10.0.0.0/8",
                              len > 100 ? 100 : (int)len, word);
        }
        list->count++;
    }
    return NULL;
}

struct access_list *access_list_create(const char *allow, const char *deny, char **error)
{
    struct access_list *list = mem_zalloc(1, sizeof *list);

    *error = parse_list(allow, &list->allowed);
    if (!*error) {
        *error = parse_list(deny, &list->denied);
    }
    if (*error) {
        access_list_destroy(&list);
    }
    return list;
}

void access_list_destroy(struct access_list **list)
{
    if (!*list) {
        return;
    }
    free((*list)->allowed.prefixes);
    free((*list)->denied.prefixes);
    free(*list);
    *list = NULL;
}

static bool any_prefix_contains(const struct prefixes *list, const struct address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (address_prefix_contains(&list->prefixes[i], address)) {
            return true;
        }
    }
    return false;
}

bool access_list_allows(const struct access_list *list, const struct address *address)
{
    if (address->family == ADDRESS_UNIX) {
        return true;
    }
    if (any_prefix_contains(&list->denied, address)) {
        return false;
    }
    return list->allowed.count == 0 || any_prefix_contains(&list->allowed, address);
}

const char *access_list_check(const char *value)
{
    struct address_prefix prefix;
    const char *word;
    size_t len;

    while (next_list_word(&value, &word, &len)) {
        if (!parse_word(word, len, &prefix)) {
            return "must be addresses or prefixes such as 10.0.0.0/8, separated by spaces or "
                   "commas";
        }
    }
    return NULL;
}
