/* wire: parses the text of a target. */
#include "client/wire_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"

#define UNIX_PREFIX "unix:"

static bool is_port_text(const char *text)
{
    const size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len) {
        return false;
    }
    const unsigned long port = strtoul(text, NULL, 10);
    return port > 0 && port <= UINT16_MAX;
}

bool wire_target_parse(const char *text, struct wire_target *target)
{
    *target = (struct wire_target){0};
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        const char *path = text + strlen(UNIX_PREFIX);
        if (path[0] == '\0' || strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
            return false;
        }
        target->path = mem_strdup(path);
        return true;
    }
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !is_port_text(colon + 1)) {
        return false;
    }
    const char *end = colon;
    if (host[0] == '[' && end[-1] == ']') {
        host++;
        end--;
    } else if (memchr(host, ':', (size_t)(colon - host))) {
        return false;
    }
    if (end <= host) {
        return false;
    }
    target->host = mem_dup(host, (size_t)(end - host));
    target->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

void wire_target_free(struct wire_target *target)
{
    free(target->host);
    free(target->path);
    *target = (struct wire_target){0};
}
