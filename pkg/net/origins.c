/* origins: a short list, looked through for each handshake. */
#include "net/origins_private.h"

#include <string.h>
#include <strings.h>

#define SEPARATORS " ,"

static bool is_same(struct bytes a, const char *b, size_t len)
{
    return a.len == len && (len == 0 || strncasecmp((const char *)a.data, b, len) == 0);
}

/* The next entry of the list; false at its end. */
static bool next(const char **list, const char **entry, size_t *len)
{
    *entry = *list + strspn(*list, SEPARATORS);
    *len = strcspn(*entry, SEPARATORS);
    *list = *entry + *len;
    return *len > 0;
}

/* scheme://host or scheme://host:port, as a browser sends it: nothing behind. */
static bool is_origin(const char *entry, size_t len)
{
    const char *mark = memmem(entry, len, "://", 3);
    return mark != NULL && mark > entry && mark + 3 < entry + len &&
           memchr(mark + 3, '/', (size_t)(entry + len - (mark + 3))) == NULL;
}

const char *origins_check(const char *list)
{
    const char *entry;
    size_t len;
    while (next(&list, &entry, &len)) {
        bool is_word = (len == 4 && strncmp(entry, "same", 4) == 0) ||
                       (len == 4 && strncmp(entry, "null", 4) == 0);
        if (!is_word && !is_origin(entry, len))
            return "an entry is not of the form https://host, https://host:port, same or null";
    }
    return NULL;
}

static bool is_of_host(struct bytes origin, struct bytes host)
{
    const uint8_t *mark = origin.len > 0 ? memmem(origin.data, origin.len, "://", 3) : NULL;
    size_t skipped = mark != NULL ? (size_t)(mark + 3 - origin.data) : 0;
    return mark != NULL && host.len > 0 &&
           is_same((struct bytes){origin.data + skipped, origin.len - skipped},
                   (const char *)host.data, host.len);
}

bool origins_contain(const char *list, struct bytes origin, struct bytes host)
{
    const char *entry;
    size_t len;
    while (next(&list, &entry, &len)) {
        if (len == 4 && strncmp(entry, "same", 4) == 0) {
            if (is_of_host(origin, host))
                return true;
        } else if (is_same(origin, entry, len)) {
            return true;
        }
    }
    return false;
}
